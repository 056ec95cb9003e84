"""What zero-shot evaluation found: measures with intervals and chance, printed honestly."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicfsl.metrics import MeanInterval
from musicfsl.zeroshot.curve import SeenUnseenCurve
from musicfsl.zeroshot.intervals import mean_ci95_of_few

__all__ = ["MEASURES", "ChanceLevels", "ClassesReport", "Measure", "SplitsReport", "ZeroShotReport", "chance_levels"]

#: Names of all measures, in the order in which they are printed.
MEASURES = (
    "seen",
    "zero_shot",
    "generalised_seen",
    "generalised_unseen",
    "harmonic",
    "calibrated_seen",
    "calibrated_unseen",
    "calibrated_harmonic",
    "area",
)


class Measure(NamedTuple):
    """A measured value with its 95 % interval over clips, and what guessing gives.

    Attributes:
        value: 0 to 1.
        low: lower end of the interval.
        high: upper end.
        chance: of guessing (see `chance_levels`).
        no_transfer: for measures of generalised recognition, what the same scores would give if the choice among the
            unseen classes were guessed: whoever recognises the seen classes and says "none of these" well is above
            chance without knowing one unseen class from another. None where guessing is chance.
    """

    value: float
    low: float
    high: float
    chance: float
    no_transfer: float | None = None

    def __str__(self) -> str:
        text = f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], chance {self.chance:.3f}"
        return text if self.no_transfer is None else f"{text}, no transfer {self.no_transfer:.3f}"


class ChanceLevels(NamedTuple):
    """What guessing gives for each measure; see `chance_levels`."""

    seen: float
    zero_shot: float
    generalised: float
    harmonic: float
    area: float


@dataclass(frozen=True)
class ZeroShotReport:
    """What `evaluate_zeroshot` found. ``print`` it for an honest table.

    All accuracies are means over classes, so that a class of many clips counts no more than one of few.

    Attributes:
        seen: held-out clips of seen classes, recognised among the seen classes.
        zero_shot: clips of unseen classes, recognised among the unseen classes.
        generalised_seen: clips of seen classes, recognised among all classes.
        generalised_unseen: clips of unseen classes, recognised among all classes.
        harmonic: harmonic mean of the latter two.
        calibrated_seen: ``generalised_seen`` with ``calibration``; None without one, like the next two.
        calibrated_unseen: ``generalised_unseen`` with it.
        calibrated_harmonic: ``harmonic`` with it.
        area: under the seen-unseen curve (AUSUC), which no calibration enters.
        calibration: what was added to the scores of unseen classes.
        curve: of calibrated stacking.
        seen_classes: names.
        unseen_classes: names.
        n_clips: clips of seen classes, and of unseen ones.
        confusion: int64 ``(C, C)``, true by predicted class among all, without calibration; the seen classes first.
        unseen_confusion: int64 ``(U, U)``, the same among unseen classes only.
        n_bootstrap: samples that the intervals rest on.
        seed: of these.
        grouped: True where whole groups (players, songs) were drawn.
        is_synthetic: True or False where it is known whether the data was synthetic, else None.
        side_information: what the class vectors were made of.
    """

    seen: Measure
    zero_shot: Measure
    generalised_seen: Measure
    generalised_unseen: Measure
    harmonic: Measure
    calibrated_seen: Measure | None
    calibrated_unseen: Measure | None
    calibrated_harmonic: Measure | None
    area: Measure
    calibration: float | None
    curve: SeenUnseenCurve
    seen_classes: list[str]
    unseen_classes: list[str]
    n_clips: tuple[int, int]
    confusion: NDArray[np.int64]
    unseen_confusion: NDArray[np.int64]
    n_bootstrap: int
    seed: int
    grouped: bool
    is_synthetic: bool | None = None
    side_information: str = ""

    @property
    def measures(self) -> dict[str, Measure]:
        """All measures by name, those of the calibration only where there is one."""
        found = {name: getattr(self, name) for name in MEASURES}
        return {name: measure for name, measure in found.items() if measure is not None}

    @property
    def per_class(self) -> dict[str, float]:
        """Unseen class -> share of its clips that were recognised among the unseen classes."""
        right = self.unseen_confusion.diagonal() / self.unseen_confusion.sum(axis=1)
        return {name: float(value) for name, value in zip(self.unseen_classes, right, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """Everything but the points of the curve, as JSON can hold it."""
        return {
            **{name: measure._asdict() for name, measure in self.measures.items()},
            "calibration": self.calibration,
            "seen_classes": self.seen_classes,
            "unseen_classes": self.unseen_classes,
            "n_seen_clips": self.n_clips[0],
            "n_unseen_clips": self.n_clips[1],
            "per_class": self.per_class,
            "confusion": self.confusion.tolist(),
            "unseen_confusion": self.unseen_confusion.tolist(),
            "n_bootstrap": self.n_bootstrap,
            "seed": self.seed,
            "grouped": self.grouped,
            "is_synthetic": self.is_synthetic,
            "side_information": self.side_information,
        }

    def __str__(self) -> str:
        n_seen, n_unseen = len(self.seen_classes), len(self.unseen_classes)
        lines = [
            (f"seen: {n_seen} classes, {self.n_clips[0]} clips", self.seen),
            (f"unseen: {n_unseen} classes, {self.n_clips[1]} clips", self.zero_shot),
            (f"among all {n_seen + n_unseen}: seen", self.generalised_seen),
            ("  unseen", self.generalised_unseen),
            ("  harmonic mean", self.harmonic),
        ]
        if self.calibrated_seen and self.calibrated_unseen and self.calibrated_harmonic:
            lines += [
                (f"calibrated by {self.calibration:+.3f}: seen", self.calibrated_seen),
                ("  unseen", self.calibrated_unseen),
                ("  harmonic mean", self.calibrated_harmonic),
            ]
        lines.append(("area under seen-unseen curve", self.area))
        width = max(len(label) for label, _ in lines)
        return "\n".join([*(f"{label:{width}}  {measure}" for label, measure in lines), _note(self)])


@dataclass(frozen=True)
class ClassesReport:
    """What `evaluate_classes` found: recognition among given classes.

    Attributes:
        accuracy: mean over the classes.
        classes: names.
        unseen_classes: which of them are unseen.
        n_clips: number of clips.
        confusion: int64 ``(C, C)``, true by predicted class.
        n_bootstrap: as in `ZeroShotReport`, like the following.
        seed: of the samples.
        grouped: True where whole groups were drawn.
        is_synthetic: whether the data was synthetic.
        side_information: what the class vectors were made of.
    """

    accuracy: Measure
    classes: list[str]
    unseen_classes: list[str]
    n_clips: int
    confusion: NDArray[np.int64]
    n_bootstrap: int
    seed: int
    grouped: bool
    is_synthetic: bool | None = None
    side_information: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {**asdict(self), "accuracy": self.accuracy._asdict(), "confusion": self.confusion.tolist()}

    def __str__(self) -> str:
        n_unseen = len(self.unseen_classes)
        which = {0: "all of them seen", len(self.classes): "all of them unseen"}.get(n_unseen, f"{n_unseen} unseen")
        return f"{len(self.classes)} classes ({which}), {self.n_clips} clips  {self.accuracy}\n{_note(self)}"


@dataclass(frozen=True)
class SplitsReport:
    """Reports of several class splits. ``print`` it for a table of means with their interval over splits.

    Attributes:
        names: of the splits.
        reports: one a split.
    """

    names: list[str]
    reports: list[ZeroShotReport]

    def means(self) -> dict[str, MeanInterval]:
        """Measure -> mean over the splits, and half the width of its 95 % interval (Student's t)."""
        names = [name for name in MEASURES if all(name in report.measures for report in self.reports)]
        return {name: mean_ci95_of_few([report.measures[name].value for report in self.reports]) for name in names}

    def chances(self) -> dict[str, float]:
        """Measure -> chance, averaged over the splits."""
        return {
            name: float(np.mean([report.measures[name].chance for report in self.reports])) for name in self.means()
        }

    def no_transfer(self) -> dict[str, float]:
        """Measure of generalised recognition -> its mean level without transfer (see `Measure`)."""
        levels: dict[str, float] = {}
        for name in self.means():
            values = [v for report in self.reports if (v := report.measures[name].no_transfer) is not None]
            if len(values) == len(self.reports):
                levels[name] = float(np.mean(values))
        return levels

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        chances, no_transfer = self.chances(), self.no_transfer()
        return {
            "means": {
                name: {**mean._asdict(), "chance": chances[name], "no_transfer": no_transfer.get(name)}
                for name, mean in self.means().items()
            },
            "splits": [
                {"split": name, **report.to_dict()} for name, report in zip(self.names, self.reports, strict=True)
            ],
        }

    def __str__(self) -> str:
        chances, no_transfer = self.chances(), self.no_transfer()
        return "\n".join(
            [f"mean of {len(self.reports)} class splits +- half a 95 % interval over them ({'; '.join(self.names)})"]
            + [
                f"  {name.replace('_', ' '):20} {mean.mean:.3f} +- {mean.ci95:.3f}, chance {chances[name]:.3f}"
                + (f", no transfer {no_transfer[name]:.3f}" if name in no_transfer else "")
                for name, mean in self.means().items()
            ]
        )


def chance_levels(n_seen: int, n_unseen: int) -> ChanceLevels:
    r"""What guessing gives for each measure.

    ``seen`` and ``zero_shot`` are one over the classes in question; ``generalised`` is one over all classes. A guesser
    who answers with a seen class more or less often moves along the line from :math:`(1/S, 0)` to :math:`(0, 1/U)`;
    under it lies ``area`` :math:`= 1 / (2 S U)`, and its highest harmonic mean is
    ``harmonic`` :math:`= 2 / (\sqrt{S} + \sqrt{U})^2`, at least that of guessing among all classes alike.

    Args:
        n_seen: classes, :math:`S`.
        n_unseen: classes, :math:`U`.

    Example:
        >>> chance_levels(4, 4)
        ChanceLevels(seen=0.25, zero_shot=0.25, generalised=0.125, harmonic=0.125, area=0.03125)
    """
    return ChanceLevels(
        seen=1 / n_seen,
        zero_shot=1 / n_unseen,
        generalised=1 / (n_seen + n_unseen),
        harmonic=2 / (math.sqrt(n_seen) + math.sqrt(n_unseen)) ** 2,
        area=1 / (2 * n_seen * n_unseen),
    )


def _note(report: ZeroShotReport | ClassesReport) -> str:
    """How the numbers of a report came about."""
    kind = {True: "synthetic data", False: "recordings", None: "data of unknown origin"}[report.is_synthetic]
    side = f", class vectors from {report.side_information}" if report.side_information else ""
    drawn = "groups" if report.grouped else "clips"
    return (
        f"accuracies are means over classes; [95 % interval over {report.n_bootstrap} bootstrap samples of {drawn} "
        f"within classes, seed {report.seed}]; {kind}{side}"
    )
