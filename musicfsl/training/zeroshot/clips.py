"""Clips for zero-shot training: batches in which every class comes equally often."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import Window
from musicfsl.errors import InputError

__all__ = ["ClipBatch", "ClipBatches", "EmbeddedClips"]


class ClipBatch(NamedTuple):
    """A step of training.

    Attributes:
        x: features ``(B, n_features, n_frames)``, waves ``(B, 1, n_samples)`` or embeddings ``(B, dim)``.
        targets: int64 ``(B,)``.
    """

    x: Tensor
    targets: Tensor


class ClipBatches(Dataset[ClipBatch]):
    """An endless stream of batches; batch *i* is a pure function of ``(seed, i)``.

    The clips go round the classes in random order, so that a class of many clips is not trained more than one of few,
    and round the clips of each class likewise.

    Args:
        clips: waves or stored features, cut to a length.
        embeddings: float ``(N, dim)`` of the same clips, to be given instead of them; None gives the clips.
        batch_size: clips a batch.
        seed: of the order and of the places where clips are cut.
    """

    def __init__(
        self, clips: ClassConditionalDataset, embeddings: Tensor | None = None, batch_size: int = 64, seed: int = 0
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; expected 1 or more")
        self.clips, self.embeddings = clips, embeddings
        self.batch_size, self.seed = batch_size, seed
        self._of_class = list(clips.class_to_indices.values())

    def __getitem__(self, index: int) -> ClipBatch:
        first = index * self.batch_size
        chosen = [self._clip(number) for number in range(first, first + self.batch_size)]
        targets = torch.from_numpy(self.clips.targets[chosen])
        if self.embeddings is not None:
            return ClipBatch(self.embeddings[chosen], targets)
        cuts = np.random.default_rng((self.seed, 2, index))
        return ClipBatch(torch.stack([self.clips.draw(clip, cuts) for clip in chosen]), targets)

    def _clip(self, number: int) -> int:
        """The clip at one place of the stream."""
        n_classes = len(self._of_class)
        round_, place = divmod(number, n_classes)
        c = int(_order(n_classes, self.seed, 0, round_)[place])
        clips = self._of_class[c]
        cycle, place = divmod(round_, len(clips))
        return int(clips[_order(len(clips), self.seed, 1, c, cycle)[place]])


class EmbeddedClips(Dataset[Window]):
    """Embeddings in the form of windows, one a clip, so that validation treats both alike.

    Args:
        embeddings: float ``(N, dim)``.
    """

    def __init__(self, embeddings: Tensor) -> None:
        self.embeddings = embeddings

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, index: int) -> Window:
        return Window(self.embeddings[index], index)


@lru_cache(maxsize=4096)
def _order(n: int, *key: int) -> NDArray[np.int64]:
    return np.random.default_rng(key).permutation(n)
