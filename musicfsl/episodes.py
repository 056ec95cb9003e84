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

from musicfsl._group_splits import GroupSplits
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import EpisodeError, InputError

__all__ = [
    "Augment",
    "ClassAugment",
    "Episode",
    "EpisodeDataset",
    "EpisodeIndices",
    "EpisodeSampler",
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
        uniform = self._uniform(start, count)  # (count, numbers an episode)
        if self._repeat_classes:
            ways = (uniform[:, :n_way] * len(self._labels)).astype(np.int64)  # (count, n_way)
        else:
            ways = _sample_without_replacement(uniform[:, :n_way], np.full(count, len(self._labels)))
        flat_ways = ways.reshape(-1)
        splits = uniform[:, n_way : 2 * n_way].reshape(-1)
        clips = uniform[:, 2 * n_way : n_way * (2 + n_support + n_query)].reshape(count * n_way, -1)
        pools = self._pools.choose(flat_ways, splits)
        if pools.shared:
            picked = _sample_without_replacement(clips, pools.sizes)
            support, query = picked[:, :n_support], picked[:, n_support:]
        else:
            support = _sample_without_replacement(clips[:, :n_support], pools.support_sizes)
            query = _sample_without_replacement(clips[:, n_support:], pools.sizes - pools.support_sizes)
            query += pools.support_sizes[:, None]
        return EpisodeIndices(
            classes=self._labels[ways],
            support=pools.items(support).reshape(count, n_way, n_support),
            query=pools.items(query).reshape(count, n_way, n_query),
        )

    def _uniform(self, start: int, count: int) -> NDArray[np.float64]:
        """Uniform numbers in [0, 1), ``(count, per_episode)``: a stretch of one Philox stream."""
        # One step of Philox's counter gives four 64-bit numbers, so an episode owns a whole number of steps.
        steps = -(-self.n_way * (2 + self.n_support + self.n_query) // 4)
        position = start * steps
        counter = [(position >> (64 * word)) & (2**64 - 1) for word in range(4)]
        bits = np.random.Philox(key=self.seed, counter=np.array(counter, dtype=np.uint64))
        return np.random.Generator(bits).random((count, 4 * steps))


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


def _sample_without_replacement(uniform: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row, an ordered sample of ``k`` different numbers below ``sizes[row]``.

    Args:
        uniform: ``(rows, k)`` in [0, 1).
        sizes: ``(rows,)``, each at least ``k``.

    Returns:
        int64 ``(rows, k)``.
    """
    rows, k = uniform.shape
    picked = np.empty((k, rows), dtype=np.int64)
    ascending = np.empty((k, rows), dtype=np.int64)  # the picks so far, sorted: contiguous columns make this quick
    columns = np.ascontiguousarray(uniform.T)
    for j in range(k):
        # A rank among the numbers not picked yet becomes a number by stepping over those picked.
        pick = (columns[j] * (sizes - j)).astype(np.int64)
        for t in range(j):
            pick += pick >= ascending[t]
        picked[j] = pick
        for t in range(j):
            lower = np.minimum(ascending[t], pick)
            pick = np.maximum(ascending[t], pick)
            ascending[t] = lower
        ascending[j] = pick
    return picked.T


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
