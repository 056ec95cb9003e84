"""Batches of labelled excerpts: every epoch goes once through all of them, in an order of its own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import InputError

__all__ = ["TagBatch", "TagBatches", "multi_hot"]


class TagBatch(NamedTuple):
    """A step of training.

    Attributes:
        x: features ``(B, n_features, n_frames)`` or waves ``(B, 1, n_samples)``.
        targets: uint8 ``(B, C)`` of 0 and 1.
        number: of the batch, over all epochs: what a step draws is a function of the seed and of this.
    """

    x: Tensor
    targets: Tensor
    number: int


class TagBatches(Dataset[TagBatch]):
    """An endless stream of batches; batch *i* is a pure function of ``(seed, i)``.

    An epoch is ``batches_per_epoch`` of them and holds every clip once. Batches of an epoch differ by one clip at most,
    so that none is left with a few.

    Args:
        clips: waves or stored features, cut to a length.
        batch_size: clips a batch at most.
        seed: of the order and of the places where clips are cut.
    """

    def __init__(self, clips: ClassConditionalDataset, batch_size: int = 16, seed: int = 0) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; expected 1 or more")
        self.clips, self.seed = clips, seed
        self.batches_per_epoch = -(-len(clips) // batch_size)
        self._targets = torch.from_numpy(multi_hot(clips))

    def __getitem__(self, index: int) -> TagBatch:
        epoch, place = divmod(index, self.batches_per_epoch)
        order = _order(len(self.clips), self.seed, 0, epoch)
        first, last = (i * len(order) // self.batches_per_epoch for i in (place, place + 1))
        chosen = order[first:last]
        cuts = np.random.default_rng((self.seed, 1, index))
        x = torch.stack([self.clips.draw(int(clip), cuts) for clip in chosen])
        return TagBatch(x, self._targets[chosen], index)


def multi_hot(dataset: ClassConditionalDataset) -> NDArray[np.uint8]:
    """Labels uint8 ``(N, C)`` of 0 and 1, also of a data set whose items have a class each."""
    if dataset.is_multilabel:
        return np.ascontiguousarray(dataset.targets, dtype=np.uint8)
    return (dataset.targets[:, None] == np.arange(len(dataset.classes))).astype(np.uint8)


@lru_cache(maxsize=8)
def _order(n: int, *key: Any) -> NDArray[np.int64]:
    return np.random.default_rng(key).permutation(n)
