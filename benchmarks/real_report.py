"""The results of `benchmarks.real`, as text and as JSON can hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from musicfsl import EpisodeReport

__all__ = ["Half", "Line", "Results"]


@dataclass(frozen=True)
class Line:
    """One way to embed, measured on one half.

    Attributes:
        name: what the table calls it.
        trained_on: "nothing", "synthetic", "recordings", or "synthetic + recordings".
        report: accuracy on the tested half.
        seconds: for training, embedding and evaluating.
    """

    name: str
    trained_on: str
    report: EpisodeReport
    seconds: float


@dataclass(frozen=True)
class Half:
    """All lines of one tested half.

    Attributes:
        tested: its classes.
        trained: the other half's classes.
        left_out: classes of the embedded set that are instruments of the tested half, and so were not trained on.
        lines: the results.
    """

    tested: list[str]
    trained: list[str]
    left_out: list[str]
    lines: list[Line]


@dataclass(frozen=True)
class Results:
    """Both halves; ``print`` it for a table.

    Attributes:
        data: name of the folder.
        n_clips: its recordings.
        n_steps: training steps of each network.
        halves: the two.
        seconds: for all of it.
    """

    data: str
    n_clips: int
    n_steps: int
    halves: list[Half]
    seconds: float

    def means(self) -> dict[str, tuple[float, float]]:
        """Line -> mean accuracy over the halves, and half the width of its 95 % interval over episodes."""
        means = {}
        for lines in zip(*(half.lines for half in self.halves), strict=True):
            reports = [line.report for line in lines]
            ci95 = math.sqrt(sum(report.ci95**2 for report in reports)) / len(reports)
            means[lines[0].name] = (sum(report.mean for report in reports) / len(reports), ci95)
        return means

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single accuracies, as JSON can hold it."""
        report = self.halves[0].lines[0].report
        return {
            "data": self.data,
            "n_clips": self.n_clips,
            "n_steps": self.n_steps,
            "n_episodes": report.n_episodes,
            "seed": report.seed,
            "seconds": self.seconds,
            "halves": [
                {
                    "tested": half.tested,
                    "trained": half.trained,
                    "left_out": half.left_out,
                    "lines": [
                        {"name": line.name, "trained_on": line.trained_on, "seconds": line.seconds}
                        | line.report.to_dict()
                        for line in half.lines
                    ],
                }
                for half in self.halves
            ],
            "mean": {name: {"mean": mean, "ci95": ci95} for name, (mean, ci95) in self.means().items()},
        }

    def __str__(self) -> str:
        report = self.halves[0].lines[0].report
        rows = [
            f"{self.data}: {self.n_clips} recordings of {sum(len(half.tested) for half in self.halves)} classes",
            f"{report.n_support} shots, {report.n_query} queries a class; {report.n_episodes} episodes, the same for "
            f"every line; seed {report.seed}; {self.n_steps} training steps; +- is half a 95 % interval over episodes",
        ]
        for half in self.halves:
            rows += ["", *_rows(half)]
        rows += ["", "mean of both halves"]
        rows += [f"  {name:30} {mean:.3f} +- {ci95:.3f}" for name, (mean, ci95) in self.means().items()]
        return "\n".join([*rows, "", f"{self.seconds:.0f} s in all"])


def _rows(half: Half) -> list[str]:
    report = half.lines[0].report
    kind = {True: "synthetic data", False: "recordings", None: "data of unknown origin"}[report.is_synthetic]
    return [
        f"tested on {', '.join(half.tested)} ({kind}; {report.n_way}-way, chance {report.chance:.3f})",
        f"the same instruments, left out of the embedded set: {', '.join(half.left_out) or 'none'}",
    ] + [
        f"  {line.name:30} {line.report.mean:.3f} +- {line.report.ci95:.3f}   {line.seconds:4.0f} s   "
        f"trained on: {line.trained_on}"
        for line in half.lines
    ]
