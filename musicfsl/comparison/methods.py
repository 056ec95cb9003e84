"""Every method on every encoder's embeddings, on the very same episodes."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl._progress import progress_bar
from musicfsl.classifier.methods import METHODS
from musicfsl.comparison.reports import Compared, Comparison, best_of
from musicfsl.episodes import EpisodeSampler
from musicfsl.errors import EpisodeError, InputError, did_you_mean
from musicfsl.evaluation import EpisodeReport, evaluate_episodes
from musicfsl.heads import HEADS, Head, PrototypicalHead
from musicfsl.heads.standardized import StandardizedHead
from musicfsl.metrics import mean_ci95

__all__ = ["compare_methods", "find_methods", "largest_shape", "untrained_methods"]

# What an episode has where nobody says otherwise, and the data set is large enough.
_MOST_WAYS, _SHOTS, _QUERIES = 10, 5, 15


def compare_methods(
    embeddings: Mapping[str, Tensor | NDArray[np.floating[Any]]],
    targets: ArrayLike,
    methods: Mapping[str, Head] | None = None,
    *,
    standardize: Collection[str] = (),
    n_way: int | None = None,
    n_support: int | None = None,
    n_query: int | None = None,
    n_episodes: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    is_synthetic: bool | None = None,
    query_imbalance: float | None = None,
    trained_on: Mapping[str, Sequence[str]] | None = None,
    progress: bool = False,
) -> Comparison:
    """Runs every method on every kind of embeddings of the same clips.

    All lines see the very same episodes, each of which divides the clips of its classes anew into support and query.
    So differences between lines are taken episode by episode, and have narrower intervals than the lines themselves.

    Args:
        embeddings: name of an encoder -> float ``(N, dim)``, one row a clip, each in the same order. The first should
            be the baseline.
        targets: int ``(N,)``, class of each clip.
        methods: name -> head; None takes all that need no training (`untrained_methods`). The first should be the
            baseline.
        standardize: names of embeddings whose dimensions every support set brings to one scale (`StandardizedHead`).
        n_way: classes an episode; this and the next two are as large as the data allows where they are None, but at
            most 10 ways, 5 shots and 15 queries (`largest_shape`).
        n_support: labelled clips a class.
        n_query: clips to recognise a class.
        n_episodes: number of episodes, at least 2.
        seed: of the episodes.
        groups: int ``(N,)``: no group then stands on both sides of an episode.
        class_names: names by label, for messages and the reports.
        is_synthetic: what the reports say of the data.
        query_imbalance: as for `musicfsl.evaluate_episodes`.
        trained_on: name of an encoder -> those of the classes that it was trained on, for the reports.
        progress: show a progress bar.

    Raises:
        EpisodeError: an episode of this shape is impossible.
        InputError: there is nothing to compare, or see `musicfsl.evaluate_episodes`.

    Example:
        >>> targets = np.repeat(np.arange(4), 10)
        >>> z = np.eye(4, dtype=np.float32)[targets]
        >>> found = compare_methods({"ideal": z}, targets, find_methods(["prototypical", "ridge"]), n_episodes=20)
        >>> [(line.method, line.report.mean) for line in found.lines]
        [('prototypical', 1.0), ('ridge', 1.0)]
    """
    methods = untrained_methods() if methods is None else methods
    if not embeddings or not methods:
        raise InputError("there is nothing to compare; give embeddings of one encoder or more, and one method or more")
    unknown = [name for name in standardize if name not in embeddings]
    if unknown:
        raise InputError(f"standardize names '{unknown[0]}', but embeddings are of {', '.join(embeddings)}")
    labels = np.asarray(targets)
    owners = None if groups is None else np.asarray(groups)
    n_way, n_support, n_query = largest_shape(labels, owners, class_names, n_way, n_support, n_query)
    names = [(encoder, method) for encoder in embeddings for method in methods]
    reports: list[EpisodeReport] = []
    seconds: list[float] = []
    for encoder, method in progress_bar(names, desc="comparing", unit="method", show=progress):
        head = methods[method]
        start = time.perf_counter()
        report = evaluate_episodes(
            embeddings[encoder],
            labels,
            StandardizedHead(head) if encoder in standardize else head,
            n_way,
            n_support,
            n_query,
            n_episodes,
            seed,
            groups=owners,
            class_names=class_names,
            is_synthetic=is_synthetic,
            query_imbalance=query_imbalance,
        )
        seconds.append(time.perf_counter() - start)
        known = None if trained_on is None else trained_on.get(encoder)
        reports.append(replace(report, transductive=head.is_transductive, trained_on=known))
    first, best = reports[0], reports[best_of(reports)]
    return Comparison(
        [
            Compared(
                encoder,
                method,
                report,
                mean_ci95(report.accuracies - first.accuracies),
                mean_ci95(best.accuracies - report.accuracies),
                duration,
            )
            for (encoder, method), report, duration in zip(names, reports, seconds, strict=True)
        ]
    )


def untrained_methods() -> dict[str, Head]:
    """Every head that works without training and gives an item one class, by its name.

    The nearest class mean comes first, and a second time with cosines, as "prototypical-cosine".

    Example:
        >>> list(untrained_methods())[:3]
        ['prototypical', 'prototypical-cosine', 'simpleshot']
    """
    methods: dict[str, Head] = {}
    for name in METHODS:
        methods[name] = HEADS[name]()
        if name == PrototypicalHead.name:
            methods[f"{name}-cosine"] = PrototypicalHead("cosine")
    return methods


def find_methods(names: Sequence[str]) -> dict[str, Head]:
    """Some of `untrained_methods`, in the order asked for.

    Raises:
        InputError: there is no such method; or it says nothing before it is trained.

    Example:
        >>> list(find_methods(["ridge", "prototypical-cosine"]))
        ['ridge', 'prototypical-cosine']
    """
    known = untrained_methods()
    for name in names:
        if name in HEADS and name not in known:
            raise InputError(
                f"the method '{name}' takes training, or other labels than one class a recording; expected some of "
                f"{', '.join(known)}"
            )
        if name not in known:
            raise InputError(f"there is no method '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}")
    return {name: known[name] for name in names}


def largest_shape(
    targets: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
    class_names: Sequence[str] | None = None,
    n_way: int | None = None,
    n_support: int | None = None,
    n_query: int | None = None,
) -> tuple[int, int, int]:
    """Ways, shots and queries of an episode that every class has the clips for, where they are not given.

    The most are 10 ways, 5 shots and 15 queries a class; in small classes at most half of the clips are shots.

    Args:
        targets: int ``(N,)``, class of each clip.
        groups: int ``(N,)``: no group then stands on both sides of an episode.
        class_names: names by label, for messages.
        n_way: ways, where they are given; shots and queries likewise.
        n_support: shots.
        n_query: queries a class.

    Returns:
        ways, shots, and queries a class.

    Raises:
        EpisodeError: no shape is possible; the message names the class and the shortage.

    Example:
        >>> largest_shape(np.repeat([0, 1, 2], [7, 30, 30]))
        (3, 3, 4)
        >>> largest_shape(np.repeat([0, 1, 2], [7, 30, 30]), n_support=1)
        (3, 1, 6)
    """
    ways = min(_MOST_WAYS, len(np.unique(targets))) if n_way is None else n_way
    shots = range(_SHOTS, 0, -1) if n_support is None else [n_support]
    queries = range(_QUERIES, 0, -1) if n_query is None else [n_query]
    shapes = [(s, q) for s in shots for q in queries]
    if n_support is None and n_query is None:
        totals = range(_SHOTS + _QUERIES, 1, -1)
        shapes = [(min(_SHOTS, n // 2), n - min(_SHOTS, n // 2)) for n in totals]
    for n_shots, n_queries in shapes[:-1]:
        try:
            EpisodeSampler(targets, ways, n_shots, n_queries, 0, groups, class_names)
        except EpisodeError:
            continue
        return ways, n_shots, n_queries
    EpisodeSampler(targets, ways, *shapes[-1], 0, groups, class_names)  # what the smallest one lacks is said
    return ways, *shapes[-1]
