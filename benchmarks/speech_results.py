"""The results of `benchmarks.speech`, as Markdown and as JSON can hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pooling import Pooled, pooled
from musicfsl.metrics import mean_ci95

__all__ = ["Results", "Run"]


@dataclass(frozen=True)
class Run:
    """One network, or the baseline, on the tested words of one split.

    Attributes:
        line: what was measured.
        seed: of the split, the first weights, training and test.
        tested: the words.
        accuracies: of each episode.
    """

    line: str
    seed: int
    tested: tuple[str, ...]
    accuracies: NDArray[np.float64]

    def __str__(self) -> str:
        found = mean_ci95(self.accuracies)
        return f"seed {self.seed}, {' '.join(self.tested)}: {self.line}: {found.mean:.3f} +- {found.ci95:.3f}"


@dataclass(frozen=True)
class Results:
    """All runs; ``print`` it for a table.

    Attributes:
        data: name of the folder.
        n_way: classes an episode.
        n_support: labelled clips a class.
        n_query: clips to recognise a class.
        n_steps: of each training.
        n_speakers: in the folder.
        notes: line -> what must be said of it.
        runs: one a line, seed and split.
        seconds: for all of it.
    """

    data: str
    n_way: int
    n_support: int
    n_query: int
    n_steps: int
    n_speakers: int
    notes: dict[str, str]
    runs: list[Run]
    seconds: float

    @property
    def lines(self) -> list[str]:
        """Names of the lines, in order."""
        return list(dict.fromkeys(run.line for run in self.runs))

    def of(self, line: str) -> list[Run]:
        """The runs of a line."""
        return [run for run in self.runs if run.line == line]

    def accuracy(self, line: str) -> Pooled:
        """The accuracy of a line."""
        return pooled([(run.seed, run.accuracies) for run in self.of(line)])

    def difference(self, line: str, other: str) -> Pooled:
        """A line less another, episode by episode."""
        rows = []
        for a, b in zip(self.of(line), self.of(other), strict=True):
            assert (a.seed, a.tested) == (b.seed, b.tested)
            rows.append((a.seed, a.accuracies - b.accuracies))
        return pooled(rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values by episode, as JSON can hold it."""
        reference = self._reference()
        return {
            "data": self.data,
            "n_way": self.n_way,
            "n_support": self.n_support,
            "n_query": self.n_query,
            "n_episodes": len(self.runs[0].accuracies),
            "n_steps": self.n_steps,
            "n_speakers": self.n_speakers,
            "chance": 1 / self.n_way,
            "seconds": self.seconds,
            "lines": [
                {
                    "line": line,
                    "note": self.notes.get(line, ""),
                    **vars(self.accuracy(line)),
                    f"less {reference}": vars(self.difference(line, reference)),
                }
                for line in self.lines
            ],
            "runs": [
                {"line": r.line, "seed": r.seed, "tested": list(r.tested), "mean": float(r.accuracies.mean())}
                for r in self.runs
            ],
        }

    def __str__(self) -> str:
        seeds = sorted({run.seed for run in self.runs})
        reference = self._reference()
        text = [
            f"{self.data} (recordings, {self.n_speakers} speakers): {self.n_way}-way {self.n_support}-shot, "
            f"{self.n_query} queries a class, by other speakers than the support; {len(self.runs[0].accuracies)} "
            f"episodes a test, {self.n_steps} steps a training, seeds {seeds}; chance {1 / self.n_way:.3f}",
            "Mean ± half a 95 % interval over episodes / ± the same over seeds (Student's t)",
            "",
            f"| line | accuracy | less '{reference}' |",
            "|---|---|---|",
        ]
        text += [
            f"| {line}{' (!)' if line in self.notes else ''} | {self.accuracy(line)} | "
            f"{'' if line == reference else self.difference(line, reference)} |"
            for line in self.lines
        ]
        text += [f"(!) {line}: {note}" for line, note in self.notes.items()]
        return "\n".join([*text, "", f"{self.seconds:.0f} s in all"])

    def _reference(self) -> str:
        return "AST, trained" if "AST, trained" in self.lines else self.lines[0]
