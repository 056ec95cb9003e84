"""The results of `benchmarks.methods`, as Markdown and as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl.metrics import mean_ci95
from musicfsl.zeroshot.intervals import mean_ci95_of_few

__all__ = ["Figure", "PeerRun", "Results", "Run"]


@dataclass(frozen=True)
class Run:
    """One method on one split of the classes.

    Attributes:
        line: what the table calls it.
        seed: of the split, first weights, training and test.
        shots: labelled clips a class.
        accuracies: of each episode.
        seconds: for all of them.
        imbalance: concentration of the classes' shares of the queries; None where they are equal.
        transductive: whether it sees all queries together.
    """

    line: str
    seed: int
    shots: int
    accuracies: NDArray[np.float64]
    seconds: float
    imbalance: float | None = None
    transductive: bool = False

    def __str__(self) -> str:
        mean, ci95 = mean_ci95(self.accuracies)
        shares = "" if self.imbalance is None else ", unequal shares"
        return f"seed {self.seed}, {self.line}, {self.shots} shots{shares}: {mean:.3f} ± {ci95:.3f}"


@dataclass(frozen=True)
class PeerRun:
    """A method in both libraries, on the same episodes.

    Attributes:
        method: its name.
        ours: accuracy of each episode.
        alike: the same with the settings nearest to easyfsl's.
        theirs: easyfsl's.
        seconds: for all episodes, ours.
        their_seconds: easyfsl's.
    """

    method: str
    ours: NDArray[np.float64]
    alike: NDArray[np.float64]
    theirs: NDArray[np.float64]
    seconds: float
    their_seconds: float


@dataclass(frozen=True)
class Figure:
    """A mean over seeds.

    Attributes:
        mean: of the accuracies.
        over_episodes: half the width of the 95 % interval over episodes: of these very networks and classes.
        over_seeds: the same over seeds (Student's t): of other splits, first weights and episodes; None for one seed.
    """

    mean: float
    over_episodes: float
    over_seeds: float | None

    def __str__(self) -> str:
        over_seeds = "" if self.over_seeds is None else f" / ± {self.over_seeds:.3f}"
        return f"{self.mean + 0.0:.3f} ± {self.over_episodes:.3f}{over_seeds}"


@dataclass(frozen=True)
class Results:
    """All runs; ``print`` it for tables.

    Attributes:
        data: what was tested on.
        trained_on: what networks were trained on: other classes where it is the same.
        n_way: classes an episode.
        n_query: queries a class.
        n_steps: of each training.
        imbalance: concentration of the unequal shares.
        shots_of_details: number of shots of all but the first table, and of the times.
        runs: one a line, seed, number of shots and kind of shares.
        peers: beside easyfsl.
        seconds: for all of it.
    """

    data: str
    trained_on: str
    n_way: int
    n_query: int
    n_steps: int
    imbalance: float
    shots_of_details: int
    runs: list[Run]
    peers: list[PeerRun]
    seconds: float

    @property
    def lines(self) -> list[str]:
        """Names of the lines, in order."""
        return list(dict.fromkeys(run.line for run in self.runs))

    @property
    def shots(self) -> list[int]:
        """Numbers of shots, in order."""
        return list(dict.fromkeys(run.shots for run in self.runs if run.imbalance is None))

    def of(self, line: str, shots: int, imbalance: float | None = None) -> list[Run]:
        """The runs of a line, one a seed."""
        return [run for run in self.runs if (run.line, run.shots, run.imbalance) == (line, shots, imbalance)]

    def accuracy(self, line: str, shots: int, imbalance: float | None = None) -> Figure:
        """The accuracy of a line."""
        return _figure([run.accuracies for run in self.of(line, shots, imbalance)])

    def seconds_per_1000(self, line: str) -> float:
        """Seconds that 1,000 episodes take, in the mean of the seeds."""
        runs = self.of(line, self._timed_shots())
        return float(np.mean([1000 * run.seconds / len(run.accuracies) for run in runs]))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values by episode, as JSON can hold it."""
        settings = ("data", "trained_on", "n_way", "n_query", "n_steps", "imbalance", "seconds")
        return {
            **{name: getattr(self, name) for name in settings},
            "chance": 1 / self.n_way,
            "seeds": self._seeds(),
            "lines": [
                {
                    "line": line,
                    "transductive": self._is_transductive(line),
                    "n_episodes": len(self.of(line, self.shots[0])[0].accuracies),
                    "seconds_per_1000_episodes": self.seconds_per_1000(line),
                    "accuracy": {str(shots): vars(self.accuracy(line, shots)) for shots in self.shots},
                    "unequal_shares": vars(self.accuracy(line, self.shots_of_details, self.imbalance))
                    if line in self._unequal()
                    else None,
                }
                for line in self.lines
            ],
            "easyfsl": [
                {
                    "method": peer.method,
                    "n_episodes": len(peer.ours),
                    "ours": mean_ci95(peer.ours)._asdict(),
                    "alike": mean_ci95(peer.alike)._asdict(),
                    "easyfsl": mean_ci95(peer.theirs)._asdict(),
                    "ours_less_easyfsl": mean_ci95(peer.ours - peer.theirs)._asdict(),
                    "alike_less_easyfsl": mean_ci95(peer.alike - peer.theirs)._asdict(),
                    "ratio_of_times": peer.their_seconds / peer.seconds,
                }
                for peer in self.peers
            ],
        }

    def __str__(self) -> str:
        seeds = self._seeds()
        other = (
            "other classes of it" if self.data == self.trained_on else f"{self.trained_on}, without these instruments"
        )
        counts = sorted({len(run.accuracies) for run in self.runs}, reverse=True)
        text = [
            f"{self.data}: {self.n_way}-way, {self.n_query} queries a class, {' or '.join(map(str, counts))} episodes "
            f"a test, the same for all lines; seeds {seeds}; chance {1 / self.n_way:.3f}",
            f"Networks were trained on {other}, {self.n_steps} steps each.",
            "Mean ± half a 95 % interval over episodes" + (" / ± over seeds (Student's t)" if len(seeds) > 1 else "")
            + "; (t) is transductive",
            "",
            *_table(
                ["method", *(f"{n} shot{'s' if n > 1 else ''}" for n in self.shots), "s / 1,000 episodes"],
                [
                    [
                        self._named(line),
                        *(str(self.accuracy(line, shots)) for shots in self.shots),
                        f"{self.seconds_per_1000(line):.1f}",
                    ]
                    for line in self.lines
                ],
            ),
        ]  # fmt: skip
        if self._unequal():
            text += [
                "",
                f"Unequal numbers of queries by class, in Dirichlet({self.imbalance:g}) shares; "
                f"{self.shots_of_details} shots, the same classes and supports:",
                "",
                *_table(
                    ["method", "equal", "unequal", "change"], [self._unequal_row(line) for line in self._unequal()]
                ),
            ]
        if self.peers:
            text += [
                "",
                f"Beside easyfsl 1.5.0: {len(self.peers[0].ours)} episodes, {self.shots_of_details} shots, seed "
                f"{seeds[0]}; differences are taken episode by episode:",
                "",
                *_table(
                    ["method", "ours", "set like easyfsl", "easyfsl", "ours less easyfsl", "set alike less easyfsl",
                     "ours, s / 1,000", "easyfsl, s / 1,000", "ratio of times"],
                    [_peer_row(peer) for peer in self.peers],
                ),
            ]  # fmt: skip
        return "\n".join([*text, "", f"{self.seconds:.0f} s in all"])

    def _seeds(self) -> list[int]:
        return list(dict.fromkeys(run.seed for run in self.runs))

    def _timed_shots(self) -> int:
        return self.shots_of_details if self.shots_of_details in self.shots else self.shots[-1]

    def _is_transductive(self, line: str) -> bool:
        return self.of(line, self.shots[0])[0].transductive

    def _named(self, line: str) -> str:
        return f"{line} (t)" if self._is_transductive(line) else line

    def _unequal(self) -> list[str]:
        """The lines that were measured with unequal shares too."""
        return list(dict.fromkeys(run.line for run in self.runs if run.imbalance is not None))

    def _unequal_row(self, line: str) -> list[str]:
        equal, unequal = (self.accuracy(line, self.shots_of_details, which) for which in (None, self.imbalance))
        return [self._named(line), str(equal), str(unequal), f"{unequal.mean - equal.mean:+.3f}"]


def _figure(accuracies: Sequence[NDArray[np.float64]]) -> Figure:
    """Of one array of accuracies a seed."""
    found = [mean_ci95(values) for values in accuracies]
    over_episodes = math.sqrt(sum(each.ci95**2 for each in found)) / len(found)
    means = [each.mean for each in found]
    return Figure(float(np.mean(means)), over_episodes, mean_ci95_of_few(means).ci95 if len(means) > 1 else None)


def _peer_row(peer: PeerRun) -> list[str]:
    ours, theirs = (1000 * seconds / len(peer.ours) for seconds in (peer.seconds, peer.their_seconds))
    differences = [mean_ci95(values - peer.theirs) for values in (peer.ours, peer.alike)]
    return [
        peer.method,
        *("{:.3f} ± {:.3f}".format(*mean_ci95(values)) for values in (peer.ours, peer.alike, peer.theirs)),
        *("{:+.3f} ± {:.3f}".format(*difference) for difference in differences),
        f"{ours:.1f}",
        f"{theirs:.1f}",
        f"{theirs / ours:.1f}",
    ]


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (names, ["---"] * len(names), *rows)]
