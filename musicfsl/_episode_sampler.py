"""Which items make up an episode: the indices of many episodes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl._group_splits import GroupSplits, Pools
from musicfsl._sampling import query_counts, sample_without_replacement, support_and_query, uniform_numbers
from musicfsl.errors import EpisodeError, InputError

__all__ = ["EpisodeIndices", "EpisodeSampler", "UnbalancedIndices", "single_label"]


class EpisodeIndices(NamedTuple):
    """Which items make up ``B`` episodes.

    Attributes:
        classes: int64 ``(B, n_way)``, class numbers of the data set.
        support: int64 ``(B, n_way, n_support)``, item indices.
        query: int64 ``(B, n_way, n_query)``, item indices.
    """

    classes: NDArray[np.int64]
    support: NDArray[np.int64]
    query: NDArray[np.int64]

    def flattened(self) -> UnbalancedIndices:
        """The same episodes, their queries in one row with targets."""
        count, n_way, n_query = self.query.shape
        targets = np.broadcast_to(np.repeat(np.arange(n_way), n_query), (count, n_way * n_query))
        return UnbalancedIndices(self.classes, self.support, self.query.reshape(count, -1), targets)


class UnbalancedIndices(NamedTuple):
    """Which items make up ``B`` episodes whose classes have unequal numbers of queries.

    Attributes:
        classes: int64 ``(B, n_way)``, class numbers of the data set.
        support: int64 ``(B, n_way, n_support)``, item indices.
        query: int64 ``(B, n_way * n_query)``, item indices, class by class.
        query_targets: int64 ``(B, n_way * n_query)``, numbered within the episode.
    """

    classes: NDArray[np.int64]
    support: NDArray[np.int64]
    query: NDArray[np.int64]
    query_targets: NDArray[np.int64]


class EpisodeSampler:
    """Draws the item indices of episodes, many at once.

    Classes are drawn without replacement, then clips without replacement within each class. With
    ``groups``, every class's groups (recordings, players, songs) are divided at random so that no group is in both the
    support and the queries of a class.

    Where classes share groups, as words share speakers, the group of a query may then still be in the support of
    another class, and draw the query there. ``groups_apart="episode"`` divides the groups of all classes at once, so
    that no group is on both sides of an episode. Where every group belongs to one class, both mean the same.

    Randomness comes from numpy's counter-based generator Philox (Salmon et al., "Parallel random numbers:
    as easy as 1, 2, 3", SC 2011): every episode owns a fixed stretch of one stream, so that any
    episode can be drawn alone or in a batch with the same result.

    Args:
        targets: int64 ``(N,)``, class of each item; labels need not be contiguous.
        n_way: classes an episode.
        n_support: labelled clips a class ("shots").
        n_query: clips to recognise a class.
        seed: any integer of 0 or more.
        groups: int64 ``(N,)`` or None.
        class_names: names by label, for error messages.
        repeat_classes: draw classes with replacement, so that one may stand in an episode more than once
            (for `EpisodeDataset`'s class augmentation) and ``n_way`` may exceed their number.
        groups_apart: where no group is on both sides: in each ``"class"``, or in the whole ``"episode"``.

    Raises:
        EpisodeError: an episode of this shape is impossible; the message names the class and the shortage. Or the
            targets are multi-hot.
        InputError: ``seed`` is negative, or ``groups_apart`` is unknown, or ``"episode"`` without groups.

    Example:
        >>> sampler = EpisodeSampler(np.repeat(np.arange(6), 10), n_way=5, n_support=2, n_query=3, seed=0)
        >>> sampler.draw(0, 100).query.shape
        (100, 5, 3)
    """

    def __init__(
        self,
        targets: NDArray[np.int64],
        n_way: int,
        n_support: int,
        n_query: int,
        seed: int = 0,
        groups: NDArray[np.int64] | None = None,
        class_names: Sequence[str] | None = None,
        repeat_classes: bool = False,
        groups_apart: Literal["class", "episode"] = "class",
    ) -> None:
        for name, value, least in (("n_way", n_way, 2), ("n_support", n_support, 1), ("n_query", n_query, 1)):
            if value < least:
                raise EpisodeError(f"{name} is {value}; expected {least} or more")
        if seed < 0:
            raise InputError(f"seed is {seed}; expected 0 or more")
        if groups_apart not in ("class", "episode"):
            raise InputError(f"groups_apart is {groups_apart!r}; expected 'class' or 'episode'")
        if groups_apart == "episode" and groups is None:
            raise InputError(
                "groups_apart is 'episode', but there are no groups to keep apart; give groups (a data set that has "
                "them, with split_groups=True), or leave it at 'class'"
            )
        targets = single_label(targets)
        labels = np.unique(targets)
        if n_way > len(labels) and not repeat_classes:
            raise EpisodeError(f"n_way is {n_way}, but the data set has only {len(labels)} classes with clips")

        self.n_way, self.n_support, self.n_query, self.seed = n_way, n_support, n_query, seed
        self.is_grouped = groups is not None
        self.groups_apart = groups_apart
        self._repeat_classes = repeat_classes
        self._labels = labels
        members = [np.flatnonzero(targets == label) for label in labels]
        names = [class_names[label] if class_names is not None else str(label) for label in labels]
        for name, indices in zip(names, members, strict=True):
            if len(indices) < n_support + n_query:
                raise EpisodeError(
                    f"class '{name}' has {len(indices)} clips, but {n_support} support + {n_query} query need "
                    f"{n_support + n_query}; ask for fewer, or leave the class out"
                )
        if groups is None:
            self._pools = GroupSplits.ungrouped(members)
        else:
            by_class = [np.asarray(groups)[indices] for indices in members]
            divide = GroupSplits.grouped_as_one if groups_apart == "episode" else GroupSplits.grouped
            self._pools = divide(members, by_class, n_support, n_query, names, seed)

    def draw(self, start: int, count: int = 1) -> EpisodeIndices:
        """Draws episodes ``start`` to ``start + count - 1``."""
        n_way, n_support, n_query = self.n_way, self.n_support, self.n_query
        ways, pools, clips = self._choose(start, count)
        support, query = support_and_query(clips, n_support, pools)
        return EpisodeIndices(
            classes=self._labels[ways],
            support=pools.items(support).reshape(count, n_way, n_support),
            query=pools.items(query).reshape(count, n_way, n_query),
        )

    def draw_unbalanced(self, start: int, count: int = 1, concentration: float = 2.0) -> UnbalancedIndices:
        """Draws episodes ``start`` to ``start + count - 1`` with unequal numbers of queries by class.

        Classes and support sets are those of `draw`. There are as many queries in all, but the classes' shares of them
        follow a symmetric Dirichlet distribution, and a class may have none. One that has too few clips gives all it
        has, and the others give more.

        Args:
            start: the first episode.
            count: number of episodes.
            concentration: of the Dirichlet distribution, above 0; the smaller, the less balanced.

        Reference:
            O. Veilleux, M. Boudiaf, P. Piantanida, I. Ben Ayed, Realistic evaluation of transductive few-shot learning,
            NeurIPS 2021 (concentration 2).

        Example:
            >>> sampler = EpisodeSampler(np.repeat(np.arange(6), 10), n_way=3, n_support=2, n_query=4, seed=0)
            >>> np.bincount(sampler.draw_unbalanced(0).query_targets[0], minlength=3)
            array([6, 5, 1])
        """
        if not concentration > 0:
            raise InputError(f"concentration is {concentration}; expected a positive number")
        n_way, n_support, total = self.n_way, self.n_support, self.n_way * self.n_query
        ways, pools, clips = self._choose(start, count)
        # `draw`'s numbers come first, so that all that both draw is the same; what goes beyond is a stream of its own.
        more = uniform_numbers(start, count, n_way * (1 + total - self.n_query), key=self.seed ^ (1 << 127))
        available = pools.sizes - (n_support if pools.shared else pools.support_sizes)
        counts = query_counts(more[:, :n_way], available.reshape(count, n_way), total, concentration)
        clips = np.concatenate(
            [clips, more[:, n_way : n_way * (1 + total - self.n_query)].reshape(len(clips), -1)], axis=1
        )
        support, query = support_and_query(clips[:, : n_support + int(counts.max())], n_support, pools)
        drawn = np.arange(query.shape[1]) < counts.reshape(-1, 1)  # (count * n_way, most queries of a class)
        return UnbalancedIndices(
            classes=self._labels[ways],
            support=pools.items(support).reshape(count, n_way, n_support),
            query=pools.items(np.where(drawn, query, 0))[drawn].reshape(count, total),
            query_targets=np.repeat(np.tile(np.arange(n_way), count), counts.ravel()).reshape(count, total),
        )

    def _choose(self, start: int, count: int) -> tuple[NDArray[np.int64], Pools, NDArray[np.float64]]:
        """Classes ``(count, n_way)``, what each of them draws clips from, and uniform numbers that draw them.

        The uniform numbers are ``(count * n_way, n_support + n_query)``.
        """
        n_way, n_support, n_query = self.n_way, self.n_support, self.n_query
        uniform = uniform_numbers(start, count, n_way * (2 + n_support + n_query), key=self.seed)
        if self._repeat_classes:
            ways = (uniform[:, :n_way] * len(self._labels)).astype(np.int64)  # (count, n_way)
        else:
            ways = sample_without_replacement(uniform[:, :n_way], np.full(count, len(self._labels)))
        clips = uniform[:, 2 * n_way : n_way * (2 + n_support + n_query)].reshape(count * n_way, -1)
        return ways, self._pools.choose(ways, uniform[:, n_way : 2 * n_way]), clips


def single_label(targets: ArrayLike) -> NDArray[np.int64]:
    """Targets as int64.

    Raises:
        EpisodeError: they are multi-hot.
    """
    array = np.asarray(targets)
    if array.ndim == 2:
        raise EpisodeError(
            f"the targets are multi-hot, of shape {array.shape}, but episodes of classes that exclude each other need "
            "one class an item; use MultiLabelEpisodeSampler and evaluate_multilabel_episodes, or, where every item "
            "has exactly one label, give targets.argmax(axis=1)"
        )
    return array.astype(np.int64)
