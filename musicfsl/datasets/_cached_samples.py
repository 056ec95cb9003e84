"""What data sets share that the package makes by itself: 16-bit samples behind one another in a mapped file."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.caching import atomic_directory
from musicfsl.datasets.base import ClassConditionalDataset, hash_of
from musicfsl.errors import CacheError

__all__ = ["CachedSamples", "damaged_cache", "made_in_order", "read_cache", "write_cache"]

_SAMPLES = "samples.npy"
_Made = TypeVar("_Made")


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


def made_in_order(function: Callable[..., _Made], tasks: Sequence[tuple[Any, ...]], parallel: bool) -> Iterator[_Made]:
    """What the function makes of one task after the other, in several processes where that is possible.

    joblib's loky starts fresh interpreters that do not import the user's ``__main__`` again: it works in
    notebooks, in scripts without a main guard, and on macOS, where to fork a process with threads is unsafe.

    Args:
        function: called with the members of a task.
        tasks: what to make.
        parallel: False where it would not pay: to start processes takes a second or two.
    """
    import joblib

    done = 0
    if parallel and joblib.cpu_count() > 1:
        try:
            processes = joblib.Parallel(n_jobs=-1, return_as="generator", max_nbytes=None)
            for made in processes(joblib.delayed(function)(*task) for task in tasks):
                yield made
                done += 1
        except (OSError, ImportError, BrokenExecutor):
            pass  # this system cannot start processes, or one was killed: go on here
    for task in tasks[done:]:
        yield function(*task)


def write_cache(
    folder: Path,
    table: str,
    arguments: dict[str, Any],
    make: Callable[[Path], Iterable[tuple[dict[str, Any], NDArray[np.int16]]]],
) -> None:
    """Writes items behind one another, and a table with a row each.

    Args:
        folder: the cache folder, which appears when it is complete.
        table: name of the table.
        arguments: all that decides the items, as JSON can hold it.
        make: gives row and samples of one item after the other; it may put temporary files into the folder that it is
            called with.
    """
    rows = []
    n_samples = 0
    with atomic_directory(folder) as temporary, open(temporary / _SAMPLES, "wb") as file:
        file.write(_header(0))
        for row, samples in make(temporary):
            file.write(samples.astype("<i2").tobytes())
            rows.append(row)
            n_samples += len(samples)
        file.seek(0)  # the number of samples is known now; the header's length is fixed
        file.write(_header(n_samples))
        text = json.dumps({"arguments": arguments, table: rows})
        (temporary / f"{table}.json").write_text(text, encoding="utf-8")


def read_cache(
    folder: Path, table: str, arguments: dict[str, Any], n_samples_of: Callable[[dict[str, Any]], int]
) -> tuple[NDArray[np.int16], list[dict[str, Any]]]:
    """Maps the samples and reads the table's rows, and makes sure that they belong together.

    Raises:
        CacheError: they do not.
    """
    try:
        content = json.loads((folder / f"{table}.json").read_text(encoding="utf-8"))
        rows = list(content[table])
        samples: NDArray[np.int16] = np.load(folder / _SAMPLES, mmap_mode="r", allow_pickle=False)
        whole = samples.dtype == np.int16 and samples.shape == (sum(n_samples_of(row) for row in rows),)
        whole = whole and content["arguments"] == json.loads(json.dumps(arguments))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged_cache(folder, str(error)) from None
    if not whole:
        raise damaged_cache(folder, "its files do not belong together")
    return samples, rows


def _header(n_samples: int) -> bytes:
    """The 128 bytes that begin a .npy file (format 1.0) of so many 16-bit samples."""
    text = f"{{'descr': '<i2', 'fortran_order': False, 'shape': ({n_samples},), }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117).encode() + b"\n"


def damaged_cache(folder: Path, reason: str) -> CacheError:
    """What is said of a cache folder whose files cannot be used."""
    return CacheError(f"the cache in {folder} is damaged ({reason}); delete that folder, and it will be made again")
