"""Where support and query of a class may come from, with groups kept apart.

For every class a table of divisions of its groups is prepared once. An episode picks one of them, then
samples clips on either side. That keeps drawing thousands of episodes a matter of a few array operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicfsl._group_divisions import N_DIVISIONS, divide_class, divide_classes, shared_groups
from musicfsl.errors import EpisodeError

__all__ = ["GroupSplits", "Pools"]


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
        one_division: bool = False,
    ) -> None:
        self._order = order
        self._starts = starts  # (n_classes, n_divisions)
        self._sizes = sizes  # (n_classes,)
        self._support_sizes = support_sizes  # (n_classes, n_divisions)
        self._shared = shared
        self._one_division = one_division  # an episode's, instead of one of each of its classes

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
        """No group stands on both sides of a class.

        Raises:
            EpisodeError: a class's groups cannot be divided so that both sides have enough clips.
        """
        divisions = []
        for c, (item_groups, name) in enumerate(zip(groups, names, strict=True)):
            found = divide_class(item_groups, n_support, n_query, np.random.default_rng((seed, c)))
            if not found:
                raise EpisodeError(_class_cannot_be_divided(item_groups, n_support, n_query, name))
            divisions.append(found)
        return cls._of_divisions(members, divisions, one_division=False)

    @classmethod
    def grouped_as_one(
        cls,
        members: Sequence[NDArray[np.int64]],
        groups: Sequence[NDArray[np.int64]],
        n_support: int,
        n_query: int,
        names: Sequence[str],
        seed: int,
    ) -> GroupSplits:
        """No group stands on both sides of an episode, not of different classes either.

        Classes that share groups, directly or through others, are divided together, whichever of them an episode has,
        so that which classes it has is as likely as ever.

        Raises:
            EpisodeError: the groups cannot be divided so that both sides have enough clips of every class.
        """
        divisions: list[list[NDArray[np.bool_]]] = [[] for _ in members]
        for number, classes in enumerate(shared_groups(groups)):
            rng = np.random.default_rng((seed, number))
            found = divide_classes([groups[c] for c in classes], n_support, n_query, rng)
            if not found:
                for c in classes:  # one of them may be why
                    if not divide_class(groups[c], n_support, n_query, rng):
                        raise EpisodeError(_class_cannot_be_divided(groups[c], n_support, n_query, names[c]))
                raise EpisodeError(_classes_cannot_be_divided([groups[c] for c in classes], n_support, n_query))
            for c, masks in zip(classes, zip(*found, strict=True), strict=True):
                divisions[c] = list(masks)
        return cls._of_divisions(members, divisions, one_division=True)

    @classmethod
    def _of_divisions(
        cls,
        members: Sequence[NDArray[np.int64]],
        divisions: Sequence[Sequence[NDArray[np.bool_]]],
        one_division: bool,
    ) -> GroupSplits:
        """From masks of the support side, one or more for each class."""
        orders: list[NDArray[np.int64]] = []
        support_sizes = np.empty((len(members), N_DIVISIONS), dtype=np.int64)
        for c, (items, masks) in enumerate(zip(members, divisions, strict=True)):
            for d in range(N_DIVISIONS):
                is_support = masks[d % len(masks)]
                orders.append(np.concatenate([items[is_support], items[~is_support]]))
                support_sizes[c, d] = is_support.sum()
        sizes = np.array([len(m) for m in members], dtype=np.int64)
        lengths = np.repeat(sizes, N_DIVISIONS)
        starts = (np.cumsum(lengths) - lengths).reshape(len(members), N_DIVISIONS)
        return cls(np.concatenate(orders), starts, sizes, support_sizes, shared=False, one_division=one_division)

    def choose(self, classes: NDArray[np.int64], uniform: NDArray[np.float64]) -> Pools:
        """One division for each of an episode's classes, or one for all of them.

        Args:
            classes: int64 ``(episodes, n_way)``.
            uniform: ``(episodes, n_way)`` in [0, 1).

        Returns:
            one row for each class of each episode, ``episodes * n_way`` in all.
        """
        if self._one_division:
            uniform = np.broadcast_to(uniform[:, :1], uniform.shape)
        division = (uniform.reshape(-1) * self._starts.shape[1]).astype(np.int64)
        flat = classes.reshape(-1)
        return Pools(
            self._order,
            self._starts[flat, division],
            self._sizes[flat],
            self._support_sizes[flat, division],
            self._shared,
        )


def _class_cannot_be_divided(groups: NDArray[np.int64], n_support: int, n_query: int, name: str) -> str:
    return (
        f"class '{name}' has {len(groups)} clips in {len(np.unique(groups))} groups, which cannot be divided into "
        f"{n_support} support and {n_query} query clips from different groups; ask for fewer, add recordings, or set "
        "split_groups=False"
    )


def _classes_cannot_be_divided(groups: Sequence[NDArray[np.int64]], n_support: int, n_query: int) -> str:
    return (
        f"{len(groups)} classes share {len(np.unique(np.concatenate(groups)))} groups, and no way was found to divide "
        f"these so that each class has {n_support} support clips in some and {n_query} query clips in the others; ask "
        "for fewer, add recordings, leave out classes with few groups, or set groups_apart='class'"
    )
