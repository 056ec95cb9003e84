"""Windows of labelled excerpts, at equal steps and to the very end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import Window
from musicfsl.errors import InputError

__all__ = ["TagWindows"]


class TagWindows(Dataset[Window]):
    """Windows of every clip at equal steps; where a rest remains, one more ends with the clip.

    Args:
        dataset: waves or stored features.
        length: of a window along the last axis, in samples or frames; a shorter clip is one window, filled as the data
            set does it (waves by zeros, stored features by repeating themselves).
        hop: steps between the starts of windows, at most ``length``; None is half of it.

    Raises:
        InputError: a number is out of range.

    Example:
        >>> windows = TagWindows(dataset, length=3 * 22050)  # doctest: +SKIP
    """

    def __init__(self, dataset: ClassConditionalDataset, length: int, hop: int | None = None) -> None:
        hop = max(1, length // 2) if hop is None else hop
        if not 1 <= hop <= length:
            raise InputError(f"length is {length} and hop {hop}; expected a hop of 1 or more and at most the length")
        self.dataset = dataset
        self.length = length
        self.clips, self.offsets = _starts(dataset.lengths, length, hop)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Window:
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} is out of range for {len(self)} windows")
        clip = int(self.clips[index])
        x = self.dataset.read(clip, int(self.offsets[index]), self.length)
        return Window(self.dataset.fill(x, self.length), clip)


def _starts(lengths: NDArray[np.int64], length: int, hop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clip and offset of every window."""
    slack = np.maximum(lengths - length, 0)
    counts = 1 - (-slack // hop)
    clips = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(len(clips)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, ... within each clip
    return clips, np.minimum(place * hop, slack[clips])
