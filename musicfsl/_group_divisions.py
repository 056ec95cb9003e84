"""Ways to divide groups of clips into a support and a query side that both have enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_DIVISIONS", "divide_class", "divide_classes", "shared_groups"]

#: Divisions prepared a class. Episodes see at most this many different ones for a class.
N_DIVISIONS = 256

# Random orders of the groups that are tried before divisions are computed.
_N_TRIES = 4 * N_DIVISIONS

# Groups, up to which all ways to divide them can be looked at.
_FEW_GROUPS = 14


def divide_class(
    groups: NDArray[np.int64], n_support: int, n_query: int, rng: np.random.Generator
) -> list[NDArray[np.bool_]]:
    """Up to `N_DIVISIONS` random divisions of one class's clips; each a mask of the support side.

    The groups are put in random order and cut at a random one of the places that leave enough clips on
    both sides. Where hardly any order has such a place, one division is computed instead.
    """
    _, number, clips = np.unique(groups, return_inverse=True, return_counts=True)
    total = len(groups)
    divisions: list[NDArray[np.bool_]] = []
    for _ in range(_N_TRIES):
        order = rng.permutation(len(clips))
        before = np.cumsum(clips[order])[:-1]
        cuts = np.flatnonzero((before >= n_support) & (total - before >= n_query))
        if len(cuts):
            on_support_side = np.zeros(len(clips), dtype=bool)
            on_support_side[order[: cuts[rng.integers(len(cuts))] + 1]] = True
            divisions.append(on_support_side[number])
        if len(divisions) == N_DIVISIONS:
            return divisions
    if not divisions:
        chosen = _groups_with_sum_between(clips.tolist(), n_support, total - n_query)
        if chosen is not None:
            on_support_side = np.zeros(len(clips), dtype=bool)
            on_support_side[chosen] = True
            divisions.append(on_support_side[number])
    return divisions


def divide_classes(
    groups: Sequence[NDArray[np.int64]], n_support: int, n_query: int, rng: np.random.Generator
) -> list[list[NDArray[np.bool_]]]:
    """Up to `N_DIVISIONS` random divisions of several classes' clips, no group of which stands on both sides.

    As `divide_class`, but that a place to cut leaves enough clips of every class. Where no order has such a place, all
    ways to divide the groups are looked at, if these are few.

    Args:
        groups: of each class's clips.
        n_support: clips that each class needs on the support side.
        n_query: ... and on the other.
        rng: source of randomness.

    Returns:
        divisions, each a mask of the support side for each class.
    """
    if len(groups) == 1:
        return [[mask] for mask in divide_class(groups[0], n_support, n_query, rng)]
    known = np.unique(np.concatenate(groups))
    numbers = [np.searchsorted(known, item_groups) for item_groups in groups]
    clips = np.stack([np.bincount(n, minlength=len(known)) for n in numbers], axis=1)  # (groups, classes)
    most = clips.sum(axis=0) - n_query
    sides: list[NDArray[np.bool_]] = []
    for _ in range(_N_TRIES):
        order = rng.permutation(len(known))
        before = np.cumsum(clips[order], axis=0)[:-1]
        cuts = np.flatnonzero(((before >= n_support) & (before <= most)).all(axis=1))
        if len(cuts):
            side = np.zeros(len(known), dtype=bool)
            side[order[: cuts[rng.integers(len(cuts))] + 1]] = True
            sides.append(side)
        if len(sides) == N_DIVISIONS:
            break
    if not sides and len(known) <= _FEW_GROUPS:
        every = np.arange(2 ** len(known))[:, None] >> np.arange(len(known)) & 1  # (ways, groups)
        support = every @ clips
        possible = np.flatnonzero(((support >= n_support) & (support <= most)).all(axis=1))
        sides = [every[way].astype(bool) for way in rng.permutation(possible)[:N_DIVISIONS]]
    return [[side[n] for n in numbers] for side in sides]


def shared_groups(groups: Sequence[NDArray[np.int64]]) -> list[list[int]]:
    """Numbers of the classes that have groups in common, directly or through other classes.

    Example:
        >>> shared_groups([np.array([1, 2]), np.array([3, 3]), np.array([2, 5]), np.array([5])])
        [[0, 2, 3], [1]]
    """
    together: list[tuple[list[int], set[int]]] = []
    for c, item_groups in enumerate(groups):
        classes, own = [c], set(item_groups.tolist())
        apart = []
        for others, theirs in together:
            if own.isdisjoint(theirs):
                apart.append((others, theirs))
            else:
                classes, own = classes + others, own | theirs
        together = [*apart, (classes, own)]
    return sorted(sorted(classes) for classes, _ in together)


def _groups_with_sum_between(clips: list[int], low: int, high: int) -> list[int] | None:
    """Groups whose clips sum to at least ``low`` and at most ``high``, or None (subset sum by bit sets)."""
    reachable = [1]  # bit s of entry g: some of the first g groups hold s clips together
    for count in clips:
        reachable.append(reachable[-1] | reachable[-1] << count)
    total = next((s for s in range(low, high + 1) if reachable[-1] >> s & 1), None)
    if total is None:
        return None
    chosen = []
    for g in range(len(clips) - 1, -1, -1):
        if not reachable[g] >> total & 1:
            chosen.append(g)
            total -= clips[g]
    return chosen
