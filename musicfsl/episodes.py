"""Episodes: small classification tasks drawn from a data set.

Episode *i* is a pure function of ``(seed, i)``: which classes, which clips, where they are cut and how
they are augmented depend on nothing else, whatever the number of workers, processes or machines.
`EpisodeSampler` draws the indices of many episodes at once (evaluation uses it directly);
`EpisodeDataset` turns them into tensors for training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from musicfsl._episode_sampler import EpisodeIndices, EpisodeSampler, UnbalancedIndices
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import EpisodeError

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
        groups_apart: as in `EpisodeSampler`.

    Raises:
        EpisodeError: an episode of this shape is impossible; the message names the class and the shortage.
        InputError: as `EpisodeSampler`.

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
        groups_apart: Literal["class", "episode"] = "class",
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
            groups_apart=groups_apart,
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
