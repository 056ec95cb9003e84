"""Episodes: small classification tasks drawn from a data set.

Episode *i* is a pure function of ``(seed, i)``: which classes, which clips, where they are cut and how
they are augmented depend on nothing else, whatever the number of workers, processes or machines.
`EpisodeSampler` draws the indices of many episodes at once (evaluation uses it directly);
`EpisodeDataset` turns them into tensors for training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset

from musicfsl._group_splits import GroupSplits, Pools
from musicfsl._sampling import query_counts, sample_without_replacement, support_and_query, uniform_numbers
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import EpisodeError, InputError

__all__ = [
    "Augment",
    "ClassAugment",
    "Episode",
    "EpisodeDataset",
    "EpisodeIndices",
    "EpisodeSampler",
    "UnbalancedIndices",
    "collate_episodes",
]

#: An augmentation: an item and a source of randomness in, a changed copy out.
Augment = Callable[[Tensor, np.random.Generator], Tensor]

#: Draws one augmentation for all clips of a class in an episode, which makes of it a class of its own.
ClassAugment = Callable[[np.random.Generator], Augment]


class Episode(NamedTuple):
    """One task, or several of the same shape stacked along a new first axis.

    Attributes:
        support: ``(n_way * n_support, ...)``, the labelled examples, class by class.
        support_targets: int64 ``(n_way * n_support,)``, numbered within the episode.
        query: ``(n_way * n_query, ...)``, the examples to be recognised, class by class.
        query_targets: int64 ``(n_way * n_query,)``.
        classes: names of the ``n_way`` classes; a list of such lists for stacked episodes.
    """

    support: Tensor
    support_targets: Tensor
    query: Tensor
    query_targets: Tensor
    classes: list[str]


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
    ``groups``, every class's groups (recordings, players, songs) are divided at random so that no group
    stands on both sides of an episode.

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

    Raises:
        EpisodeError: an episode of this shape is impossible; the message names the class and the shortage. Or the
            targets are multi-hot.

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
    ) -> None:
        for name, value, least in (("n_way", n_way, 2), ("n_support", n_support, 1), ("n_query", n_query, 1)):
            if value < least:
                raise EpisodeError(f"{name} is {value}; expected {least} or more")
        if seed < 0:
            raise InputError(f"seed is {seed}; expected 0 or more")
        targets = single_label(targets)
        labels = np.unique(targets)
        if n_way > len(labels) and not repeat_classes:
            raise EpisodeError(f"n_way is {n_way}, but the data set has only {len(labels)} classes with clips")

        self.n_way, self.n_support, self.n_query, self.seed = n_way, n_support, n_query, seed
        self.is_grouped = groups is not None
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
            self._pools = GroupSplits.grouped(members, by_class, n_support, n_query, names, seed)

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
        flat_ways = ways.reshape(-1)
        splits = uniform[:, n_way : 2 * n_way].reshape(-1)
        clips = uniform[:, 2 * n_way : n_way * (2 + n_support + n_query)].reshape(count * n_way, -1)
        return ways, self._pools.choose(flat_ways, splits), clips


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


class EpisodeDataset(Dataset[Episode]):
    """Episodes as tensors, for training or a closer look.

    Args:
        dataset: anything under the data set contract: waves, stored features, stored embeddings.
        n_way: classes an episode.
        n_support: labelled clips a class.
        n_query: clips to recognise a class.
        n_episodes: length of this data set.
        seed: episode *i* is a pure function of ``(seed, i)``.
        split_groups: keep groups apart between support and query where the data set has groups.
        augment: applied to every item with the episode's own generator; None for none.
        class_augment: draws one augmentation for each of the ``n_way`` classes, applied to all of its items,
            support and query alike. Classes are then drawn with replacement: two ways with the same class
            differ by their augmentations, and have to be told apart. None for none.

    Raises:
        EpisodeError: an episode of this shape is impossible; the message names the class and the shortage.

    Example:
        >>> import tempfile
        >>> from musicfsl.datasets import SyntheticInstruments
        >>> dataset = SyntheticInstruments(
        ...     n_players=2, notes_per_player=2, classes=["Flute", "Oboe", "Harp"], cache_dir=tempfile.mkdtemp(),
        ...     progress=False)
        >>> episodes = EpisodeDataset(dataset, n_way=3, n_support=1, n_query=2, n_episodes=100, seed=0)
        >>> episodes[7].support.shape
        torch.Size([3, 1, 16000])
    """

    def __init__(
        self,
        dataset: ClassConditionalDataset,
        n_way: int = 5,
        n_support: int = 5,
        n_query: int = 15,
        n_episodes: int = 100,
        seed: int = 0,
        split_groups: bool = True,
        augment: Augment | None = None,
        class_augment: ClassAugment | None = None,
    ) -> None:
        if n_episodes < 1:
            raise EpisodeError(f"n_episodes is {n_episodes}; expected 1 or more")
        self.dataset = dataset
        self.n_episodes = n_episodes
        self.seed = seed
        self.augment = augment
        self.class_augment = class_augment
        self.sampler = EpisodeSampler(
            dataset.targets,
            n_way,
            n_support,
            n_query,
            seed,
            groups=dataset.groups if split_groups else None,
            class_names=dataset.classes,
            repeat_classes=class_augment is not None,
        )

    def __len__(self) -> int:
        return self.n_episodes

    def __getitem__(self, index: int) -> Episode:
        if not 0 <= index < self.n_episodes:
            raise IndexError(f"episode {index} is out of range for {self.n_episodes} episodes")
        drawn = self.sampler.draw(index)
        rng = np.random.default_rng((self.seed, index))
        by_class = [self.class_augment(rng) for _ in drawn.classes[0]] if self.class_augment is not None else None
        return Episode(
            support=self._items(drawn.support[0], by_class, rng),
            support_targets=_numbered(drawn.support[0]),
            query=self._items(drawn.query[0], by_class, rng),
            query_targets=_numbered(drawn.query[0]),
            classes=[self.dataset.classes[c] for c in drawn.classes[0]],
        )

    def _items(self, indices: NDArray[np.int64], by_class: list[Augment] | None, rng: np.random.Generator) -> Tensor:
        """Items for indices ``(n_way, k)``, stacked class by class to ``(n_way * k, ...)``."""
        items = []
        for way, row in enumerate(indices.tolist()):
            for i in row:
                item = self.dataset.draw(i, rng)
                if by_class is not None:
                    item = by_class[way](item, rng)
                items.append(item if self.augment is None else self.augment(item, rng))
        lengths = {item.shape[-1] for item in items}
        if len(lengths) > 1:
            raise EpisodeError(
                f"the items of {self.dataset.name} have different lengths ({min(lengths)} to {max(lengths)}); "
                "give the data set a duration so that every item is cut to it"
            )
        return torch.stack(items)


def _numbered(indices: NDArray[np.int64]) -> Tensor:
    """``(n_way, k)`` to targets 0 0 0 1 1 1 ... of shape ``(n_way * k,)``."""
    n_way, k = indices.shape
    return torch.arange(n_way).repeat_interleave(k)


def collate_episodes(episodes: list[Episode]) -> Episode:
    """Stacks episodes of one shape along a new first axis (for a DataLoader's ``collate_fn``)."""
    return Episode(
        support=torch.stack([e.support for e in episodes]),
        support_targets=torch.stack([e.support_targets for e in episodes]),
        query=torch.stack([e.query for e in episodes]),
        query_targets=torch.stack([e.query_targets for e in episodes]),
        classes=[e.classes for e in episodes],  # type: ignore[misc]
    )
