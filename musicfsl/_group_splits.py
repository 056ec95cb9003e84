"""Where support and query of a class may come from, with groups kept apart.

For every class a table of divisions of its groups is prepared once. An episode picks one of them, then
samples clips on either side. That keeps drawing thousands of episodes a matter of a few array operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import EpisodeError

__all__ = ["GroupSplits", "Pools"]

# Divisions prepared a class. Episodes see at most this many different ones for a class.
_N_DIVISIONS = 256
# Random orders of the groups that are tried before an order is computed.
_N_TRIES = 4 * _N_DIVISIONS


@dataclass(frozen=True)
class Pools:
    """For each of ``rows`` (episode, class) pairs, the clips to choose from.

    Attributes:
        order: int64 ``(total,)``, item indices of all prepared rows behind one another.
        starts: int64 ``(rows,)``, where each row's items begin in ``order``.
        sizes: int64 ``(rows,)``, clips of the class.
        support_sizes: int64 ``(rows,)``: the first so many clips are for support, the others for query.
        shared: True where support and query draw from the same clips (no groups).
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    support_sizes: NDArray[np.int64]
    shared: bool

    def items(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions within each row's clips ``(rows, k)`` to item indices ``(rows, k)``."""
        return self.order[self.starts[:, None] + positions]


class GroupSplits:
    """The prepared divisions of every class."""

    def __init__(
        self,
        order: NDArray[np.int64],
        starts: NDArray[np.int64],
        sizes: NDArray[np.int64],
        support_sizes: NDArray[np.int64],
        shared: bool,
    ) -> None:
        self._order = order
        self._starts = starts  # (n_classes, n_divisions)
        self._sizes = sizes  # (n_classes,)
        self._support_sizes = support_sizes  # (n_classes, n_divisions)
        self._shared = shared

    @classmethod
    def ungrouped(cls, members: Sequence[NDArray[np.int64]]) -> GroupSplits:
        """Any clip may stand on either side."""
        sizes = np.array([len(m) for m in members], dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        return cls(np.concatenate(members), starts[:, None], sizes, sizes[:, None], shared=True)

    @classmethod
    def grouped(
        cls,
        members: Sequence[NDArray[np.int64]],
        groups: Sequence[NDArray[np.int64]],
        n_support: int,
        n_query: int,
        names: Sequence[str],
        seed: int,
    ) -> GroupSplits:
        """No group stands on both sides.

        Raises:
            EpisodeError: a class's groups cannot be divided so that both sides have enough clips.
        """
        orders: list[NDArray[np.int64]] = []
        support_sizes = np.empty((len(members), _N_DIVISIONS), dtype=np.int64)
        for c, (items, item_groups, name) in enumerate(zip(members, groups, names, strict=True)):
            rng = np.random.default_rng((seed, c))
            divisions = _divide(item_groups, n_support, n_query, rng)
            if not divisions:
                raise EpisodeError(
                    f"class '{name}' has {len(items)} clips in {len(np.unique(item_groups))} groups, which cannot be "
                    f"divided into {n_support} support and {n_query} query clips from different groups; ask for "
                    "fewer, add recordings, or set split_groups=False"
                )
            for d in range(_N_DIVISIONS):
                is_support = divisions[d % len(divisions)]
                orders.append(np.concatenate([items[is_support], items[~is_support]]))
                support_sizes[c, d] = is_support.sum()
        sizes = np.array([len(m) for m in members], dtype=np.int64)
        lengths = np.repeat(sizes, _N_DIVISIONS)
        starts = (np.cumsum(lengths) - lengths).reshape(len(members), _N_DIVISIONS)
        return cls(np.concatenate(orders), starts, sizes, support_sizes, shared=False)

    def choose(self, classes: NDArray[np.int64], uniform: NDArray[np.float64]) -> Pools:
        """One division for each of ``classes`` ``(rows,)``, by a uniform number in [0, 1) each."""
        division = (uniform * self._starts.shape[1]).astype(np.int64)
        return Pools(
            self._order,
            self._starts[classes, division],
            self._sizes[classes],
            self._support_sizes[classes, division],
            self._shared,
        )


def _divide(
    groups: NDArray[np.int64], n_support: int, n_query: int, rng: np.random.Generator
) -> list[NDArray[np.bool_]]:
    """Up to `_N_DIVISIONS` random divisions of one class's clips; each a mask of the support side.

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
            on_support_side[order[: rng.choice(cuts) + 1]] = True
            divisions.append(on_support_side[number])
        if len(divisions) == _N_DIVISIONS:
            return divisions
    if not divisions:
        chosen = _groups_with_sum_between(clips.tolist(), n_support, total - n_query)
        if chosen is not None:
            on_support_side = np.zeros(len(clips), dtype=bool)
            on_support_side[chosen] = True
            divisions.append(on_support_side[number])
    return divisions


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
