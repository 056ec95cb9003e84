"""The results of a comparison, as a table and as JSON and CSV can hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from musicfsl.evaluation import EpisodeReport
from musicfsl.metrics import MeanInterval

__all__ = ["Compared", "Comparison", "Material", "best_of"]


@dataclass(frozen=True)
class Compared:
    """One method on one encoder's embeddings.

    Attributes:
        encoder: what the embeddings are called.
        method: what the head is called.
        report: its accuracy.
        gain: accuracy less that of the comparison's first line, episode by episode.
        behind: accuracy of the best line that is not transductive less this one's, episode by episode.
        seconds: for all episodes.
    """

    encoder: str
    method: str
    report: EpisodeReport
    gain: MeanInterval
    behind: MeanInterval
    seconds: float

    @property
    def is_among_the_best(self) -> bool:
        """Whether it is not behind the best by more than half of the interval of the difference."""
        return self.behind.mean <= self.behind.ci95

    @property
    def seconds_per_1000(self) -> float:
        """Seconds that 1,000 episodes take."""
        return 1000 * self.seconds / self.report.n_episodes

    def to_dict(self) -> dict[str, Any]:
        """The line, as JSON can hold it."""
        return {
            "encoder": self.encoder,
            "method": self.method,
            "gain": self.gain._asdict(),
            "behind": self.behind._asdict(),
            "is_among_the_best": self.is_among_the_best,
            "seconds": self.seconds,
            **self.report.to_dict(),
        }


@dataclass(frozen=True)
class Material:
    """What the episodes were drawn from.

    Attributes:
        name: of the folder or data set.
        n_clips: that were used.
        classes: names of the classes.
        left_out: classes that have too few clips.
        seconds: by encoder, for decoding and embedding all clips.
    """

    name: str
    n_clips: int
    classes: list[str]
    left_out: list[str]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """What `compare_methods` found. ``print`` it for a table.

    Attributes:
        lines: one an encoder and method, in the order asked for; the first is what the others are compared with.
        material: what the clips were, where `musicfsl.comparison.compare_sounds` has embedded them.
    """

    lines: list[Compared]
    material: Material | None = None

    @property
    def best(self) -> Compared:
        """The line of the highest accuracy that is not transductive, where there is one."""
        return self.lines[best_of([line.report for line in self.lines])]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values by episode, as JSON can hold it."""
        best = self.best
        return {
            "data": None if self.material is None else vars(self.material),
            "chance": best.report.chance,
            "best": {"encoder": best.encoder, "method": best.method},
            "lines": [line.to_dict() for line in self.lines],
        }

    def rows(self) -> list[list[Any]]:
        """A table of plain values, for files; the first row names the columns."""
        rows: list[list[Any]] = [
            ["encoder", "method", "transductive", "accuracy", "ci95", "gain", "gain_ci95", "chance", "n_way",
             "n_support", "n_query", "n_episodes", "seed", "seconds_per_1000_episodes"]
        ]  # fmt: skip
        for line in self.lines:
            r = line.report
            rows.append(
                [line.encoder, line.method, int(r.transductive), f"{r.mean:.6f}", f"{r.ci95:.6f}",
                 f"{line.gain.mean:.6f}", f"{line.gain.ci95:.6f}", f"{r.chance:.6f}", r.n_way, r.n_support, r.n_query,
                 r.n_episodes, r.seed, f"{line.seconds_per_1000:.3f}"]
            )  # fmt: skip
        return rows

    def __str__(self) -> str:
        first = self.lines[0]
        cells = [["encoder", "method", "accuracy", f"less {first.method} on {first.encoder}", "s"]]
        for line in self.lines:
            r = line.report
            cells.append(
                [
                    line.encoder,
                    line.method + (" (t)" if r.transductive else ""),
                    f"{r.mean:.3f} ± {r.ci95:.3f}" + (" *" if line.is_among_the_best else ""),
                    "" if line is first else f"{line.gain.mean:+.3f} ± {line.gain.ci95:.3f}",
                    f"{line.seconds_per_1000:.1f}",
                ]
            )
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        cells.insert(1, ["-" * width for width in widths])
        table = [
            "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
            for row in cells
        ]
        return "\n".join([*self._heading(), "", *table, "", *self._notes()])

    def _heading(self) -> list[str]:
        r = self.lines[0].report
        kind = {True: "synthetic data", False: "recordings", None: "data of unknown origin"}[r.is_synthetic]
        sides = ", support and query from different groups" if r.grouped else ""
        shares = "" if r.query_imbalance is None else f" on average, in Dirichlet({r.query_imbalance:g}) shares"
        known = [] if self.material is None else [_described(self.material)]
        return [
            *known,
            f"{r.n_way}-way {r.n_support}-shot, {r.n_query} queries a class{shares}{sides}; {r.n_episodes} episodes, "
            f"the same for every line; seed {r.seed}; chance {r.chance:.3f}; {kind}",
            "±: half a 95 % interval over episodes of these clips; s: seconds for 1,000 episodes",
        ]

    def _notes(self) -> list[str]:
        best = self.best
        several = len(self.lines) > 1
        notes = [f"best: {best.method} on {best.encoder}; * not behind it by more than the interval of the difference"]
        notes += ["the best of many was chosen on these very episodes, which flatters it a little"] if several else []
        if any(line.report.transductive for line in self.lines):
            notes.append(
                "(t): transductive, answers all queries of an episode together; most assume equally many of each class"
            )
        for encoder in dict.fromkeys(line.encoder for line in self.lines):
            known = next(line.report.trained_on for line in self.lines if line.encoder == encoder)
            if known:
                notes.append(f"not new to {encoder}, which saw classes of these names: {', '.join(known)}")
        return notes


def best_of(reports: Sequence[EpisodeReport]) -> int:
    """Which has the highest mean, of those that are not transductive where there are any."""
    candidates = [i for i, report in enumerate(reports) if not report.transductive] or list(range(len(reports)))
    return max(candidates, key=lambda i: reports[i].mean)


def _described(material: Material) -> str:
    times = ", ".join(f"{seconds:.1f} s with {name}" for name, seconds in material.seconds.items())
    left_out = f" ({', '.join(material.left_out)} left out)" if material.left_out else ""
    return (
        f"{material.name}: {material.n_clips} clips of {len(material.classes)} classes{left_out}; embedded in {times}"
    )
