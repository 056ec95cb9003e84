"""Episodes of items with several labels each, such as excerpts in which several instruments sound.

Episode *i* is a pure function of ``(seed, i)``, as with `musicfsl.episodes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import EpisodeError, InputError

__all__ = ["MultiLabelEpisodeIndices", "MultiLabelEpisodeSampler"]

# Random divisions into sides that are tried for one episode, and for all classes together when a sampler is made.
_N_TRIES = 50
_N_FIRST_TRIES = 1000

_SUPPORT, _QUERY, _OPEN = 0, 1, -1


class MultiLabelEpisodeIndices(NamedTuple):
    """Which labels and items make up an episode.

    Attributes:
        classes: int64 ``(n_way,)``, columns of the targets; all others are masked out of the episode.
        support: int64 ``(n_support_total,)``, item indices, each once.
        query: int64 ``(n_query_total,)``, item indices, each once and none of them in the support set.
    """

    classes: NDArray[np.int64]
    support: NDArray[np.int64]
    query: NDArray[np.int64]


class MultiLabelEpisodeSampler:
    """Draws N-way K-shot episodes of items with several labels.

    Of the labels ``n_way`` are drawn. The items, or the groups (recordings, songs) where they are given, are divided
    at random into a support and a query side. On each side items are drawn label by label until every label has
    enough, where an item counts for all of its labels. So every label has at least ``n_support`` examples and
    ``n_query`` queries, often more; the two sets share no item and no group, and their sizes differ by episode. Every
    item has at least one of the episode's labels; its other labels are masked out by taking the columns
    ``targets[items][:, classes]``.

    Labels that no item has are left out.

    Args:
        targets: ``(N, C)`` of 0 and 1.
        n_way: labels an episode.
        n_support: examples a label, at least ("shots").
        n_query: queries a label, at least.
        seed: any integer of 0 or more.
        groups: int64 ``(N,)`` or None.
        class_names: names of the columns, for error messages.

    Raises:
        EpisodeError: an episode of this shape is impossible; the message names the class and the shortage.
        InputError: the targets are not multi-hot.

    Example:
        >>> targets = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]] * 4)
        >>> sampler = MultiLabelEpisodeSampler(targets, n_way=2, n_support=2, n_query=3, seed=0)
        >>> drawn = sampler.draw(7)
        >>> bool((targets[drawn.support][:, drawn.classes].sum(axis=0) >= 2).all())
        True
    """

    def __init__(
        self,
        targets: ArrayLike,
        n_way: int,
        n_support: int,
        n_query: int,
        seed: int = 0,
        groups: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        for name, value, least in (("n_way", n_way, 2), ("n_support", n_support, 1), ("n_query", n_query, 1)):
            if value < least:
                raise EpisodeError(f"{name} is {value}; expected {least} or more")
        if seed < 0:
            raise InputError(f"seed is {seed}; expected 0 or more")
        present = multi_hot(targets)
        if groups is not None and np.asarray(groups).shape != (len(present),):
            raise InputError(f"groups have shape {np.asarray(groups).shape}; expected ({len(present)},), one an item")
        self.n_way, self.n_support, self.n_query, self.seed = n_way, n_support, n_query, seed
        self._present = present
        self._labels: NDArray[np.int64] = np.flatnonzero(present.any(axis=0))
        if n_way > len(self._labels):
            raise EpisodeError(f"n_way is {n_way}, but only {len(self._labels)} classes have items")
        self._is_grouped = groups is not None
        units = np.arange(len(present)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        self._unit_of: NDArray[np.int64] = units  # what is put on a side as a whole: an item, or a group
        self._counts = np.zeros((int(units.max()) + 1, present.shape[1]), dtype=np.int64)
        np.add.at(self._counts, units, present)  # items of each class by unit
        names = [str(c) for c in range(present.shape[1])] if class_names is None else list(class_names)
        self._known_division = self._first_division(names)

    def draw(self, index: int) -> MultiLabelEpisodeIndices:
        """Draws episode ``index``."""
        rng = np.random.default_rng((self.seed, index))
        classes = rng.choice(self._labels, self.n_way, replace=False)
        side = self._division(classes, rng)[self._unit_of]
        return MultiLabelEpisodeIndices(
            classes,
            self._pick(classes, side == _SUPPORT, self.n_support, rng),
            self._pick(classes, side == _QUERY, self.n_query, rng),
        )

    def _division(self, classes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The side of every unit, with enough items of each class on both."""
        counts = self._counts[:, classes]
        for _ in range(_N_TRIES):
            side, short = _divide(counts, self.n_support, self.n_query, rng)
            if short is None:
                return side
        return self._known_division

    def _pick(
        self, classes: NDArray[np.int64], allowed: NDArray[np.bool_], k: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Items of one side, until each class has ``k``."""
        present = self._present[:, classes]
        free = allowed.copy()
        have = np.zeros(len(classes), dtype=np.int64)
        picked = []
        for c in range(len(classes)):
            if have[c] < k:
                candidates = np.flatnonzero(free & present[:, c])
                chosen = rng.choice(candidates, k - have[c], replace=False)
                free[chosen] = False
                have += present[chosen].sum(axis=0)
                picked.append(chosen)
        return np.concatenate(picked)

    def _first_division(self, names: Sequence[str]) -> NDArray[np.int64]:
        """A division that serves any episode, since every class has enough on both sides.

        Raises:
            EpisodeError: there is none, or none is found.
        """
        counts = self._counts[:, self._labels]
        need = self.n_support + self.n_query
        for label, n_items in zip(self._labels, counts.sum(axis=0), strict=True):
            if n_items < need:
                raise EpisodeError(
                    f"class '{names[label]}' has {n_items} items, but {self.n_support} support + {self.n_query} query "
                    f"need {need}; ask for fewer, or leave the class out"
                )
        rng = np.random.default_rng(self.seed)
        failures = np.zeros(len(self._labels), dtype=np.int64)
        for _ in range(_N_FIRST_TRIES):
            side, short = _divide(counts, self.n_support, self.n_query, rng)
            if short is None:
                return side
            failures[short] += 1
        worst = int(failures.argmax())
        among = f"in {(counts[:, worst] > 0).sum()} groups" if self._is_grouped else "that other classes have as well"
        raise EpisodeError(
            f"class '{names[self._labels[worst]]}' has {counts[:, worst].sum()} items {among}, and no division was "
            f"found that leaves every class {self.n_support} support and {self.n_query} query items"
            f"{' from different groups' if self._is_grouped else ''}; ask for fewer, add recordings, or leave it out"
        )


def multi_hot(targets: ArrayLike) -> NDArray[np.bool_]:
    """Targets as bool ``(N, C)``.

    Raises:
        InputError: they are not multi-hot.
    """
    array: NDArray[Any] = np.asarray(targets)
    if array.ndim != 2 or array.dtype.kind not in "biu" or array.size == 0:
        raise InputError(
            f"targets are {array.dtype} of shape {array.shape}; expected multi-hot targets, integers of shape (N, C)"
            + (" (numpy.eye(C, dtype=int)[targets] makes them of class numbers)" if array.ndim == 1 else "")
        )
    if not ((array == 0) | (array == 1)).all():
        raise InputError(
            "targets hold other values than 0 and 1; expected multi-hot targets, 1 where a label is present"
        )
    return array.astype(bool)


def _divide(
    counts: NDArray[np.int64], n_support: int, n_query: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], int | None]:
    """Puts every unit on a side at random, serving the classes with the fewest units first.

    Args:
        counts: ``(n_units, n_classes)``, items of each class in a unit.
        n_support: items that each class needs on the support side.
        n_query: items that each class needs on the query side.
        rng: of this try.

    Returns:
        the side of every unit, and the first class for which units were lacking (None where all have enough).
    """
    n_units, n_classes = counts.shape
    side = np.full(n_units, _OPEN, dtype=np.int64)
    scarcity = (counts > 0).sum(axis=0) + rng.random(n_classes)  # ties in random order
    for c in np.argsort(scarcity).tolist():
        lacking = [
            n_support - int(counts[side == _SUPPORT, c].sum()),
            n_query - int(counts[side == _QUERY, c].sum()),
        ]
        for unit in rng.permutation(np.flatnonzero((counts[:, c] > 0) & (side == _OPEN))).tolist():
            wanted = [max(0, items) for items in lacking]
            if not any(wanted):
                break
            side[unit] = _QUERY if rng.random() * sum(wanted) >= wanted[_SUPPORT] else _SUPPORT
            lacking[side[unit]] -= int(counts[unit, c])
        if max(lacking) > 0:
            return side, c
    rest = side == _OPEN
    side[rest] = np.where(rng.random(int(rest.sum())) * (n_support + n_query) < n_support, _SUPPORT, _QUERY)
    return side, None
