"""The results of `benchmarks.tagging`, as Markdown and as JSON can hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl.multilabel import Measure, TagReport, report_tags, tune_thresholds
from musicfsl.multilabel.bootstrap import interval_of, resample_counts
from musicfsl.multilabel.scores import Answers
from musicfsl.tagging.tagger import DEFAULT_THRESHOLD

__all__ = ["COLUMNS", "DECISIONS", "Column", "Difference", "Predictions", "Results", "difference"]

#: How the windows of an excerpt are joined: their mean as it is, or divided by that of the most probable class.
DECISIONS = ("mean", "normalised")
_N_RESAMPLES = 1000


@dataclass(frozen=True)
class Column:
    """What a column of a table holds.

    Attributes:
        heading: of the column.
        measure: attribute of a `TagReport`.
        tuned: whether the thresholds are tuned on validation.
    """

    heading: str
    measure: str
    tuned: bool


#: Of all tables.
COLUMNS = (
    Column("mAP", "map", False),
    Column(f"micro F1 at {DEFAULT_THRESHOLD}", "micro_f1", False),
    Column(f"macro F1 at {DEFAULT_THRESHOLD}", "macro_f1", False),
    Column("micro F1, tuned", "micro_f1", True),
    Column("macro F1, tuned", "macro_f1", True),
)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one line says of the validation and the test excerpts: means over windows.

    Attributes:
        name: of the line.
        phase: of the training; "" where there are none.
        seed: of all that is drawn, the bootstrap included.
        validation: probabilities ``(N, C)``.
        validation_targets: uint8 ``(N, C)``.
        testing: probabilities ``(M, C)``.
        testing_targets: uint8 ``(M, C)``.
        classes: names of the columns.
        is_synthetic: whether the sound was made by rules.
        seconds: since the work on the line, pretraining and the phase before included, began.
        processor_seconds: the same in time of all cores, which work beside it on the machine does not lengthen as much.
    """

    name: str
    phase: str
    seed: int
    validation: NDArray[np.floating]
    validation_targets: NDArray[np.uint8]
    testing: NDArray[np.floating]
    testing_targets: NDArray[np.uint8]
    classes: tuple[str, ...]
    is_synthetic: bool
    seconds: float
    processor_seconds: float

    @property
    def line(self) -> str:
        """Name and phase."""
        return f"{self.name}, {self.phase}" if self.phase else self.name

    def thresholds(self, decision: str, tuned: bool) -> NDArray[np.float64]:
        """One a class: 0.6, or what is best for validation."""
        if not tuned:
            return np.full(len(self.classes), DEFAULT_THRESHOLD)
        return tune_thresholds(joined(self.validation, decision), self.validation_targets, self.classes)

    @cache  # noqa: B019 - a benchmark ends soon
    def report(self, decision: str, tuned: bool) -> TagReport:
        """What the test excerpts say."""
        return report_tags(
            joined(self.testing, decision),
            self.testing_targets,
            self.classes,
            self.thresholds(decision, tuned),
            n_resamples=_N_RESAMPLES,
            seed=self.seed,
            is_synthetic=self.is_synthetic,
        )

    @cache  # noqa: B019
    def resampled(self, decision: str, tuned: bool) -> dict[str, NDArray[np.float64]]:
        """The measures in all bootstrap samples, which are the same for all lines of a seed."""
        answers = Answers.of(joined(self.testing, decision), self.testing_targets, self.thresholds(decision, tuned))
        return answers.scores(resample_counts(len(self.testing), _N_RESAMPLES, self.seed))

    def __str__(self) -> str:
        cells = [
            f"{c.heading} {' / '.join(f'{getattr(self.report(d, c.tuned), c.measure).value:.3f}' for d in DECISIONS)}"
            for c in COLUMNS
        ]
        return (
            f"seed {self.seed}, {self.line} ({' / '.join(DECISIONS)}): {'; '.join(cells)} "
            f"({self.seconds:.0f} s, {self.processor_seconds:.0f} s of processor time)"
        )


@dataclass(frozen=True)
class Difference:
    """One line less another on the same excerpts, with its 95 % interval over them.

    Attributes:
        value: of the test excerpts.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


@dataclass(frozen=True)
class Results:
    """All lines; ``print`` it for tables.

    Attributes:
        data: name of the data set.
        is_synthetic: whether its sound was made by rules.
        split: in words, what no two subsets share.
        sizes: excerpts for training, validation and test.
        lines: the baseline, then a network's phases, for every seed.
        notes: what a reader must know of the networks.
        seconds: for all of it.
        processor_seconds: the same in time of all cores.
    """

    data: str
    is_synthetic: bool
    split: str
    sizes: Sequence[int]
    lines: Sequence[Predictions]
    notes: dict[str, str]
    seconds: float
    processor_seconds: float

    @property
    def seeds(self) -> list[int]:
        """Seeds, in order."""
        return list(dict.fromkeys(line.seed for line in self.lines))

    def of(self, seed: int) -> list[Predictions]:
        """The lines of a seed."""
        return [line for line in self.lines if line.seed == seed]

    def compared(self, seed: int) -> dict[str, tuple[Predictions, Predictions]]:
        """Phase two with phase one, and each network with the baseline."""
        baseline, *trained = self.of(seed)
        pairs = {}
        for one, two in zip(trained[::2], trained[1::2], strict=True):
            pairs[f"{two.line} less {one.phase}"] = two, one
            pairs[f"{two.line} less {baseline.line}"] = two, baseline
        return pairs

    def to_dict(self) -> dict[str, Any]:
        """Everything but the probabilities, as JSON can hold it."""
        return {
            "data": self.data,
            "is_synthetic": self.is_synthetic,
            "split": self.split,
            "sizes": list(self.sizes),
            "notes": self.notes,
            "seconds": round(self.seconds, 1),
            "processor_seconds": round(self.processor_seconds, 1),
            "lines": [
                {
                    "name": line.name,
                    "phase": line.phase,
                    "seed": line.seed,
                    "decision": decision,
                    "tuned": tuned,
                    "seconds": round(line.seconds, 1),
                    "processor_seconds": round(line.processor_seconds, 1),
                    "report": line.report(decision, tuned).to_dict(),
                }
                for line in self.lines
                for decision in DECISIONS
                for tuned in (False, True)
            ],
            "differences": [
                {"compared": name, "seed": seed, "decision": decision, **asdict(column), **asdict(found)}
                for seed in self.seeds
                for name, pair in self.compared(seed).items()
                for decision in DECISIONS
                for column in COLUMNS
                for found in [difference(*pair, decision, column)]
            ],
        }

    def __str__(self) -> str:
        kind = "made by rules" if self.is_synthetic else "of recordings"
        training, validation, testing = self.sizes
        parts = [
            f"{self.data}, {kind}: {training} training, {validation} validation and {testing} test excerpts; "
            f"{self.split}. [95 % interval over test excerpts]; chance is the best answer that does not listen. "
            f"{self.seconds:.0f} s in all, {self.processor_seconds:.0f} s of processor time.",
            *(f"{name}: {note}." for name, note in self.notes.items()),
        ]
        for seed in self.seeds:
            for decision in DECISIONS:
                parts.append(self._table(seed, decision))
                if self.compared(seed):
                    parts.append(self._differences(seed, decision))
        return "\n\n".join(parts)

    def _table(self, seed: int, decision: str) -> str:
        lines = self.of(seed)
        chance = [getattr(lines[0].report(decision, c.tuned), c.measure).chance for c in COLUMNS]
        rows = {
            "chance": [f"{level:.3f}" for level in chance],
            **{
                line.line: [_cell(getattr(line.report(decision, c.tuned), c.measure)) for c in COLUMNS]
                for line in lines
            },
        }
        return _markdown(f"seed {seed}, '{decision}' over windows", rows)

    def _differences(self, seed: int, decision: str) -> str:
        rows = {
            name: [str(difference(*pair, decision, column)) for column in COLUMNS]
            for name, pair in self.compared(seed).items()
        }
        return _markdown(f"difference, '{decision}'", rows)


def difference(a: Predictions, b: Predictions, decision: str, column: Column) -> Difference:
    """A line less another: resampled together, so that excerpts that are hard for both do not widen the interval."""
    value, other = (getattr(line.report(decision, column.tuned), column.measure).value for line in (a, b))
    samples, others = (line.resampled(decision, column.tuned)[column.measure] for line in (a, b))
    low, high = interval_of((samples - others)[:, None])
    return Difference(value - other, float(low[0]), float(high[0]))


def joined(means: NDArray[np.floating], decision: str) -> NDArray[np.floating]:
    """Means over windows as they are, or divided by that of the most probable class (`musicfsl.tagging.DECISIONS`)."""
    return means / means.max(axis=1, keepdims=True) if decision == "normalised" else means


def _markdown(corner: str, rows: dict[str, list[str]]) -> str:
    head = [corner, *(column.heading for column in COLUMNS)]
    return "\n".join(
        [
            f"| {' | '.join(head)} |",
            "|---" * len(head) + "|",
            *(f"| {name} | {' | '.join(r)} |" for name, r in rows.items()),
        ]
    )


def _cell(measure: Measure) -> str:
    return f"{measure.value:.3f} [{measure.low:.3f}, {measure.high:.3f}]"
