"""What an evaluation of multi-label recognition found: measures with intervals and chance, printed honestly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicfsl.multilabel.scores import HEADLINES

__all__ = ["ClassScores", "Measure", "TagReport"]

# How a measure is called in print.
_WORDS = {
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "micro_precision": "micro precision",
    "macro_precision": "macro precision",
    "micro_recall": "micro recall",
    "macro_recall": "macro recall",
    "map": "mAP",
    "micro_map": "micro AP",
    "lrap": "LRAP",
    "sample_accuracy": "sample accuracy",
}


class Measure(NamedTuple):
    """A measured value with its 95 % interval over excerpts, and what can be had without listening.

    Attributes:
        value: 0 to 1.
        low: lower end of the interval.
        high: upper end.
        chance: see `chance_levels`.
    """

    value: float
    low: float
    high: float
    chance: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], chance {self.chance:.3f}"


class ClassScores(NamedTuple):
    """How well one class is found.

    Attributes:
        name: of the class.
        threshold: from which it is answered.
        support: excerpts that have it.
        n_answered: excerpts in which it was answered.
        precision: None where it was never answered.
        recall: None, like F1 and average precision, for a class that no excerpt has.
        f1: as in `tag_scores`.
        average_precision: needs no threshold.
    """

    name: str
    threshold: float
    support: int
    n_answered: int
    precision: Measure | None
    recall: Measure | None
    f1: Measure | None
    average_precision: Measure | None

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            name: value._asdict() if isinstance(value, Measure) else value for name, value in self._asdict().items()
        }


@dataclass(frozen=True)
class TagReport:
    """What `report_tags` found. ``print`` it for a paragraph, ``print(report.table())`` for all of it.

    The measures are defined in `tag_scores`, their chance levels in `chance_levels`.

    Attributes:
        micro_f1: from here to ``macro_recall`` at the thresholds.
        macro_f1: mean over the classes that occur.
        micro_precision: of all answers.
        macro_precision: a class that was never answered counts 0.
        micro_recall: of all labels.
        macro_recall: mean over the classes that occur.
        map: mean average precision over the classes that occur.
        micro_map: average precision of all cells of excerpt and class in one ranking.
        lrap: label ranking average precision, over the excerpts that have a label.
        sample_accuracy: share of right cells at the thresholds. It misleads: see ``silent_accuracy``.
        silent_accuracy: sample accuracy of answering no label, ever.
        classes: one row a class.
        absent: names of classes that no excerpt has, which macro measures leave out.
        n_excerpts: number of excerpts.
        n_unlabelled: how many of them have no label at all.
        n_resamples: bootstrap samples.
        seed: of these.
        grouped: whether whole groups (songs) were drawn, rather than excerpts.
        is_synthetic: whether the sound was made by rules; None where nobody said.
    """

    micro_f1: Measure
    macro_f1: Measure
    micro_precision: Measure
    macro_precision: Measure
    micro_recall: Measure
    macro_recall: Measure
    map: Measure
    micro_map: Measure
    lrap: Measure
    sample_accuracy: Measure
    silent_accuracy: float
    classes: list[ClassScores]
    absent: list[str]
    n_excerpts: int
    n_unlabelled: int
    n_resamples: int
    seed: int
    grouped: bool = False
    is_synthetic: bool | None = None

    @property
    def measures(self) -> dict[str, Measure]:
        """The measures over all classes, in the order in which they are printed."""
        return {name: getattr(self, name) for name in HEADLINES}

    def by_class(self, measure: str) -> NDArray[np.float64]:
        """Values and intervals of all classes, as figures take them.

        Args:
            measure: "precision", "recall", "f1" or "average_precision".

        Returns:
            float64 ``(C, 3)``: value, lower and upper end; NaN where the measure does not exist.
        """
        rows = [getattr(row, measure) for row in self.classes]
        return np.array([(np.nan,) * 3 if found is None else found[:3] for found in rows])

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            "measures": {name: measure._asdict() for name, measure in self.measures.items()},
            "silent_accuracy": self.silent_accuracy,
            "classes": [row.to_dict() for row in self.classes],
            "absent": self.absent,
            "n_excerpts": self.n_excerpts,
            "n_unlabelled": self.n_unlabelled,
            "n_resamples": self.n_resamples,
            "seed": self.seed,
            "grouped": self.grouped,
            "is_synthetic": self.is_synthetic,
        }

    def table(self) -> str:
        """All measures, and a row a class, as text."""
        width = max(16, *(len(row.name) for row in self.classes))
        lines = [self._origin(), ""]
        lines += [f"  {_WORDS[name]:16} {measure}" for name, measure in self.measures.items()]
        lines += [f"  {'':16} {self.silent_accuracy:.3f} is the sample accuracy of never answering any label", ""]
        lines += [
            f"  {'class':{width}} support answered threshold precision recall  F1 [95 % interval]     "
            "AP [95 % interval]     chance F1, AP"
        ]
        for row in self.classes:
            precision, recall = (
                f"{'-' if found is None else format(found.value, '.3f'):9}" for found in (row.precision, row.recall)
            )
            line = (
                f"  {row.name:{width}} {row.support:7} {row.n_answered:8} {row.threshold:9.2f} {precision} {recall[:7]}"
            )
            if row.f1 is not None and row.average_precision is not None:
                f1, ap = (f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]  " for m in (row.f1, row.average_precision))
                line += f" {f1} {ap} {row.f1.chance:.3f}, {row.average_precision.chance:.3f}"
            lines.append(line.rstrip())
        return "\n".join([*lines, *(["", self._remarks()] if self._remarks() else [])])

    def __str__(self) -> str:
        accuracy = self.sample_accuracy
        parts = [
            self._origin() + ".",
            f"Micro F1 {self.micro_f1}; macro F1 {self.macro_f1}; mAP {self.map}; LRAP {self.lrap}.",
            f"Sample accuracy {accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}], where never answering any"
            f" label has {self.silent_accuracy:.3f}.",
            self._remarks(),
        ]
        return " ".join(part for part in parts if part)

    def _origin(self) -> str:
        """What was measured, and how the intervals came about."""
        kind = {True: "synthetic data", False: "recordings", None: "data of unknown origin"}[self.is_synthetic]
        thresholds = sorted({round(row.threshold, 4) for row in self.classes})
        at = f"threshold {thresholds[0]:g}"
        if len(thresholds) > 1:
            at = f"a threshold a class, {thresholds[0]:.2f} to {thresholds[-1]:.2f}"
        return (
            f"{self.n_excerpts} excerpts, {len(self.classes)} classes, {kind}, {at}; [95 % interval over "
            f"{self.n_resamples} bootstrap samples of {'songs' if self.grouped else 'excerpts'}, seed {self.seed}]; "
            "chance is the best answer that does not listen"
        )

    def _remarks(self) -> str:
        """What the reader must know before comparing these numbers with others."""
        remarks = []
        if self.absent:
            remarks.append(f"No excerpt has {', '.join(self.absent)}: macro measures leave out what is absent.")
        silent = [row.name for row in self.classes if row.n_answered == 0 and row.support > 0]
        if not any(row.n_answered for row in self.classes):
            remarks.append("Nothing is answered at this threshold: there is no precision, which counts 0.")
        elif silent:
            remarks.append(f"Never answered: {', '.join(silent)}; their precision counts 0 in the macro mean.")
        if self.n_unlabelled:
            who, whom = ("excerpt has", "it") if self.n_unlabelled == 1 else ("excerpts have", "them")
            remarks.append(f"{self.n_unlabelled} {who} no label; LRAP leaves {whom} out.")
        return " ".join(remarks)
