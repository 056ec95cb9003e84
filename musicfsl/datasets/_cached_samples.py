"""What data sets share that the package makes by itself: 16-bit samples behind one another in a mapped file."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.datasets.base import ClassConditionalDataset, hash_of
from musicfsl.errors import CacheError

__all__ = ["CachedSamples", "damaged_cache"]


class CachedSamples(ClassConditionalDataset):
    """Items cut from one mapped file.

    A concrete class sets the attributes below, and maps the samples anew in `_mapped_samples`.

    Attributes:
        cache_folder: where the samples lie.
        _arguments: all that decides the items.
        _samples: int16, those of all items in order.
        _starts: int64 ``(N + 1,)``, where each item starts, and where the last one ends.
    """

    cache_folder: Path
    _arguments: dict[str, Any]
    _samples: NDArray[np.int16]
    _starts: NDArray[np.int64]

    @abstractmethod
    def _mapped_samples(self) -> NDArray[np.int16]:
        """The samples, once their table has been found to belong to them."""

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        """Reads item ``index``, or ``length`` samples of it from ``offset`` on; see the base class."""
        index = self._checked_index(index)
        end = int(self._starts[index + 1])
        start = min(int(self._starts[index]) + offset, end)
        stop = end if length is None else min(start + length, end)
        return torch.from_numpy(self._samples[start:stop].astype(np.float32) / 32768.0).unsqueeze(0)

    def fingerprint(self) -> str:
        """A hash of all arguments that decide the items, and of the version of what makes them."""
        return hash_of(self._arguments)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the samples out: a worker process opens the cache itself instead of receiving a copy of it."""
        return {key: value for key, value in self.__dict__.items() if key != "_samples"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._samples = self._mapped_samples()


def damaged_cache(folder: Path, reason: str) -> CacheError:
    """What is said of a cache folder whose files cannot be used."""
    return CacheError(f"the cache in {folder} is damaged ({reason}); delete that folder, and it will be made again")
