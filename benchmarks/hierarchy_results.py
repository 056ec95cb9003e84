"""The results of `benchmarks.hierarchy`, as Markdown and as JSON can hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pooling import Pooled, pooled
from musicfsl import EpisodeReport

__all__ = ["MEASURES", "Difference", "Results", "Run", "measure_of"]

#: Name of a measure -> heading.
MEASURES = {
    "accuracy": "accuracy",
    "family_accuracy": "accuracy at the top rank",
    "macro_f1": "macro F1",
    "f1": "hierarchical F1",
    "mistake_height": "height of a mistake",
}


def measure_of(report: EpisodeReport, name: str) -> NDArray[np.float64]:
    """A measure by episode; NaN where there is none, as for mistakes where none was made."""
    assert report.hierarchy is not None
    by_episode = report.hierarchy.episodes
    if name == "accuracy":
        return report.accuracies
    if name == "family_accuracy":
        heights = by_episode["heights"]
        found: NDArray[np.float64] = heights[:, :-1].sum(axis=1) / heights.sum(axis=1)
        return found
    return by_episode.get(name, np.full(len(report.accuracies), np.nan))


@dataclass(frozen=True)
class Run:
    """One training, tested.

    Attributes:
        line: what was trained.
        seed: of all that is drawn.
        tested: its classes.
        reports: number of shots -> report.
    """

    line: str
    seed: int
    tested: tuple[str, ...]
    reports: dict[int, EpisodeReport]

    def __str__(self) -> str:
        values = [f"{shots}-shot {report.mean:.3f} +- {report.ci95:.3f}" for shots, report in self.reports.items()]
        return f"seed {self.seed}, {self.line}: {', '.join(values)}"


class Difference(Pooled):
    """One line less another, on the same episodes."""

    def __str__(self) -> str:
        mean = round(self.mean, 3) + 0.0  # which makes 0 of -0
        return f"{mean:+.3f} ± {self.over_episodes:.3f} / ± {self.over_seeds:.3f}"


@dataclass(frozen=True)
class Results:
    """All runs; ``print`` it for tables.

    Attributes:
        data: what was tested on.
        trained_on: what was trained on.
        n_steps: of each training.
        runs: one a line, seed and split.
        seconds: for all of it.
    """

    data: str
    trained_on: str
    n_steps: int
    runs: list[Run]
    seconds: float

    @property
    def lines(self) -> list[str]:
        """Names of the lines, in order."""
        return list(dict.fromkeys(run.line for run in self.runs))

    @property
    def shots(self) -> list[int]:
        """Numbers of shots."""
        return list(self.runs[0].reports)

    def mean(self, line: str, shots: int, measure: str) -> float:
        """A measure of a line, averaged over splits and seeds."""
        return float(np.mean([measure_of(run.reports[shots], measure).mean() for run in self.of(line)]))

    def difference(self, line: str, other: str, shots: int, measure: str) -> Difference:
        """A line less another, training by training on the same episodes."""
        rows = []
        for a, b in zip(self.of(line), self.of(other), strict=True):
            assert (a.seed, a.tested) == (b.seed, b.tested)
            rows.append((a.seed, measure_of(a.reports[shots], measure) - measure_of(b.reports[shots], measure)))
        return Difference(**vars(pooled(rows)))

    def of(self, line: str) -> list[Run]:
        """The runs of a line."""
        return [run for run in self.runs if run.line == line]

    def comparisons(self) -> list[tuple[str, str]]:
        """Pairs of lines to compare: each with the flat one, and each tree with the same tree shuffled."""
        flat, *others = self.lines
        pairs = [(line, flat) for line in others]
        for line in others:
            shuffled = line.replace("hierarchical", "leaves shuffled")
            if shuffled != line and shuffled in others:
                pairs.append((line, shuffled))
        return pairs

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values by episode, as JSON can hold it."""
        return {
            "data": self.data,
            "trained_on": self.trained_on,
            "n_steps": self.n_steps,
            "seconds": self.seconds,
            "means": [
                {"line": line, "shots": shots, **{m: self.mean(line, shots, m) for m in MEASURES}}
                for shots in self.shots
                for line in self.lines
            ],
            "differences": [
                {"line": a, "less": b, "shots": shots, **{m: vars(self.difference(a, b, shots, m)) for m in MEASURES}}
                for shots in self.shots
                for a, b in self.comparisons()
            ],
            "runs": [
                {
                    "line": run.line,
                    "seed": run.seed,
                    "tested": list(run.tested),
                    "shots": {str(shots): report.to_dict() for shots, report in run.reports.items()},
                }
                for run in self.runs
            ],
        }

    def __str__(self) -> str:
        report = self.runs[0].reports[self.shots[0]]
        assert report.hierarchy is not None
        kind = {True: "synthetic data", False: "recordings", None: "data of unknown origin"}[report.is_synthetic]
        seeds = sorted({run.seed for run in self.runs})
        text = [
            f"{self.data} ({kind}), trained on {self.trained_on} for {self.n_steps} steps; {report.n_way}-way, "
            f"{report.n_query} queries a class, {report.n_episodes} episodes a test; seeds {seeds}; mistakes by the "
            f"taxonomy {report.hierarchy.taxonomy} (height 1 to {report.hierarchy.depth})",
            "Differences: mean ± half a 95 % interval over episodes / ± the same over seeds (Student's t)",
        ]
        for shots in self.shots:
            text += ["", f"| {shots} shot{'s' if shots > 1 else ''} | {' | '.join(MEASURES.values())} |"]
            text.append("|---" * (len(MEASURES) + 1) + "|")
            text += [
                f"| {line} | {' | '.join(f'{self.mean(line, shots, m):.3f}' for m in MEASURES)} |"
                for line in self.lines
            ]
            text.append(f"| chance | {' | '.join(f'{self._chance(shots, m):.3f}' for m in MEASURES)} |")
            text += [
                f"| {a} less {b} | {' | '.join(str(self.difference(a, b, shots, m)) for m in MEASURES)} |"
                for a, b in self.comparisons()
            ]
        return "\n".join([*text, "", f"{self.seconds:.0f} s in all"])

    def _chance(self, shots: int, measure: str) -> float:
        values = []
        for run in self.of(self.lines[0]):
            found = run.reports[shots].hierarchy
            assert found is not None
            if measure in ("accuracy", "family_accuracy"):
                values.append(found.accuracy[0 if measure == "accuracy" else -1].chance)
            else:
                of_measure = getattr(found, measure)
                values.append(math.nan if of_measure is None else of_measure.chance)
        return float(np.mean(values))
