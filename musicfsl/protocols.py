"""Evaluations that have a name: the same episodes for everyone who says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.episodes import EpisodeSampler
from musicfsl.errors import EpisodeError, InputError, did_you_mean
from musicfsl.evaluation import EpisodeReport, evaluate_episodes
from musicfsl.heads.base import Head
from musicfsl.taxonomy import Taxonomy

__all__ = ["PROTOCOLS", "Protocol", "ProtocolReport", "find_protocol", "run_protocol"]


@dataclass(frozen=True)
class Protocol:
    """The shape of an evaluation.

    Attributes:
        name: what it is called.
        n_way: classes an episode.
        shots: labelled clips a class; an evaluation for each.
        n_query: clips to recognise a class.
        n_episodes: episodes for each number of shots.
        reference: where it comes from.
    """

    name: str
    n_way: int
    shots: tuple[int, ...]
    n_query: int
    n_episodes: int
    reference: str

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.n_way}-way; {', '.join(map(str, self.shots))} shots; {self.n_query} queries a class; "
            f"{self.n_episodes} episodes"
        )


#: Name -> protocol.
PROTOCOLS: dict[str, Protocol] = {
    "music-trees": Protocol(
        "music-trees",
        n_way=12,
        shots=(1, 4, 8, 16),
        n_query=120,
        n_episodes=100,
        reference="H. Flores Garcia, A. Aguilar, E. Manilow, B. Pardo, Leveraging hierarchical structures for few-shot "
        "musical instrument recognition, ISMIR 2021",
    )
}


@dataclass(frozen=True)
class ProtocolReport:
    """What `run_protocol` found. ``print`` it for all of it.

    Attributes:
        protocol: as it was run.
        changed: names of what differs from the protocol as published; empty for none.
        reports: number of shots -> report.
    """

    protocol: Protocol
    changed: list[str]
    reports: dict[int, EpisodeReport]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values by episode, as JSON can hold it."""
        return {
            "protocol": self.protocol.name,
            "changed": self.changed,
            "shots": {str(shots): report.to_dict() for shots, report in self.reports.items()},
        }

    def __str__(self) -> str:
        changed = f" (not as published: {', '.join(self.changed)})" if self.changed else ""
        lines = [f"{self.protocol}{changed}"]
        for shots, report in self.reports.items():
            lines.append(f"{shots} shot{'s' if shots > 1 else ''}: {report}")
        return "\n".join(lines)


def find_protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        InputError: there is none; the nearest name is given.

    Example:
        >>> print(find_protocol("music-trees"))
        music-trees: 12-way; 1, 4, 8, 16 shots; 120 queries a class; 100 episodes
    """
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol '{name}'.{did_you_mean(name, PROTOCOLS)} Known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def run_protocol(
    name: str,
    embeddings: Tensor | NDArray[np.floating[Any]],
    targets: ArrayLike,
    head: Head,
    *,
    seed: int = 0,
    groups: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    is_synthetic: bool | None = None,
    taxonomy: Taxonomy | None = None,
    n_way: int | None = None,
    shots: Sequence[int] | None = None,
    n_query: int | None = None,
    n_episodes: int | None = None,
) -> ProtocolReport:
    """Runs a named evaluation on embedded clips.

    Args:
        name: one of `PROTOCOLS`.
        embeddings: as for `musicfsl.evaluate_episodes`, like all that is not explained here.
        targets: class of each clip.
        head: any head.
        seed: of the episodes.
        groups: no group then stands on both sides of an episode.
        class_names: names by label.
        is_synthetic: what the report says of the data.
        taxonomy: for measures of how bad mistakes are.
        n_way: instead of the protocol's, where the data set is too small for it; the report then says so.
        shots: likewise.
        n_query: likewise.
        n_episodes: likewise.

    Raises:
        EpisodeError: the data set has too few classes or clips; the message says what is possible.
        InputError: there is no such protocol, or see `musicfsl.evaluate_episodes`.

    Example:
        >>> from musicfsl.heads import PrototypicalHead
        >>> targets = np.repeat(np.arange(12), 136)
        >>> embeddings = np.eye(12, dtype=np.float32)[targets]
        >>> report = run_protocol("music-trees", embeddings, targets, PrototypicalHead())
        >>> {shots: report.mean for shots, report in report.reports.items()}
        {1: 1.0, 4: 1.0, 8: 1.0, 16: 1.0}
    """
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol '{name}'.{did_you_mean(name, PROTOCOLS)} Known: {', '.join(PROTOCOLS)}")
    published = PROTOCOLS[name]
    given = {"n_way": n_way, "shots": shots, "n_query": n_query, "n_episodes": n_episodes}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if "shots" in changes:
        changes["shots"] = tuple(changes["shots"])
    protocol = replace(published, **changes)
    labels = np.asarray(targets)
    _check_size(protocol, labels, None if groups is None else np.asarray(groups), class_names)
    return ProtocolReport(
        protocol,
        [key for key, value in changes.items() if value != getattr(published, key)],
        {
            n_support: evaluate_episodes(
                embeddings,
                labels,
                head,
                protocol.n_way,
                n_support,
                protocol.n_query,
                protocol.n_episodes,
                seed,
                groups=groups,
                class_names=class_names,
                is_synthetic=is_synthetic,
                taxonomy=taxonomy,
            )
            for n_support in protocol.shots
        },
    )


def _check_size(
    protocol: Protocol, targets: NDArray[Any], groups: NDArray[Any] | None, class_names: Sequence[str] | None
) -> None:
    """Refuses before the first number of shots is run what would fail at the last."""
    if not protocol.shots:
        raise InputError("shots is empty; give one number or more")
    n_classes = len(np.unique(targets))
    if protocol.n_way > n_classes:
        raise EpisodeError(
            f"{protocol.name} asks for {protocol.n_way} ways, but there are {n_classes} classes; the largest possible "
            f"is n_way={n_classes}, which a report would name as a change"
        )

    def shortage(n_support: int, n_query: int) -> EpisodeError | None:
        try:
            EpisodeSampler(targets, protocol.n_way, n_support, n_query, 0, groups, class_names)
        except EpisodeError as error:
            return error
        return None

    most = max(protocol.shots)
    error = shortage(most, protocol.n_query)
    if error is None:
        return
    advice = []
    for shots in sorted({most, min(protocol.shots)}, reverse=True):
        largest = _largest(lambda n: shortage(shots, n) is None, protocol.n_query)  # noqa: B023 (called at once)
        if largest > 0:
            advice.append(f"n_query={largest} with {shots} shot{'s' if shots > 1 else ''}")
    raise EpisodeError(
        f"{protocol.name} with {most} shots and {protocol.n_query} queries a class is too large: {error}"
        + (f". Possible at most: {', or '.join(advice)}, which a report would name as a change" if advice else "")
    )


def _largest(fits: Callable[[int], bool], upper: int) -> int:
    """The largest number up to ``upper`` that fits, where all smaller ones do too; 0 where none does."""
    low, high = 0, upper
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
