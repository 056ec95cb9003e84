"""A store of features: what a front end (or an encoder) makes of every clip of a data set, computed once.

The store obeys the data set contract, so episodes are drawn from it as from waves. It is memory-mapped:
opening it costs nothing, reading touches only the frames asked for, and worker processes share the pages.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl._progress import progress_bar
from musicfsl.audio import trim_silence
from musicfsl.caching import atomic_directory, cache_root
from musicfsl.datasets.base import ClassConditionalDataset, hash_of
from musicfsl.errors import AudioError, CacheError, InputError

__all__ = ["FEATURE_VERSION", "FeatureStore", "FrontEnd", "repeated"]

#: Raised whenever the library computes other features from the same sound and settings: old stores are then left alone.
FEATURE_VERSION = 1

_FEATURES, _ITEMS, _ABOUT = "features.npy", "items.npz", "about.json"
_REQUIRED = ("key", "name", "classes", "sample_rate", "is_synthetic", "front_end")

# After reading this much, pages that were read are handed back, so that resident memory stays small
# however large the data set is. (They stay in the system's cache: reading them again is quick.)
_RESIDENT_BYTES = 64 * 2**20

# Clips handed to the threads at a time: bounds what lies finished but unwritten in memory.
_CLIPS_PER_ROUND = 256


class FrontEnd(Protocol):
    """What a store needs of a front end: `musicfsl.LogMel` is one."""

    sample_rate: int

    def __call__(self, wave: Tensor) -> Tensor:
        """``(1, n_samples)`` to ``(n_features, n_frames)``."""

    def settings(self) -> dict[str, Any]:
        """What determines the features, as JSON can hold it."""


class FeatureStore(ClassConditionalDataset):
    """Stored features under the data set contract: ``ds[i] -> ((n_features, n_frames) float32, target)``.

    Make one with `FeatureStore.build`, which opens it at once where it was computed before.

    Args:
        folder: a folder that `build` has made.
        n_frames: frames that ``ds[i]`` gives, cut at a seeded place (as the contract says); None gives whole clips.
        seed: of those places.

    Raises:
        CacheError: the folder is missing or damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], n_frames: int | None = None, seed: int = 0) -> None:
        if n_frames is not None and n_frames < 1:
            raise InputError(f"n_frames is {n_frames}; expected 1 or more, or None for whole clips")
        self.folder = Path(folder)
        about, items = _read_about(self.folder)
        self.name = about["name"]
        self.classes = about["classes"]
        self.sample_rate = about["sample_rate"]
        self.is_synthetic = about["is_synthetic"]
        self.front_end_settings = about["front_end"]
        self.targets = items["targets"]
        self.groups = items.get("groups")
        self.is_copy = items.get("is_copy")
        self.lengths = items["lengths"]
        self.length = n_frames
        self.seed = seed
        self._key = about["key"]
        self._starts: NDArray[np.int64] = np.cumsum(self.lengths) - self.lengths
        self._frames: NDArray[np.float32] | None = None
        self._bytes_read = 0
        self._map()  # a damaged file is reported here rather than in the middle of training

    @classmethod
    def build(
        cls,
        dataset: ClassConditionalDataset,
        front_end: FrontEnd,
        *,
        n_frames: int | None = None,
        trim_db: float | None = 60.0,
        cache_dir: str | os.PathLike[str] | None = None,
        n_workers: int | None = None,
        progress: bool = True,
        seed: int = 0,
    ) -> FeatureStore:
        """Computes the features of every clip, or opens them where that has been done before.

        The files are keyed by the data, the front end's settings, ``trim_db`` and the library's feature
        version. They appear under their final name only when complete.

        Args:
            dataset: waves. Where it cuts its items to a length, whole clips are stored nevertheless.
            front_end: computes the features of one wave.
            n_frames: as for the constructor.
            trim_db: cut silence at both ends of a clip first: what is more than this below the loudest part
                (see `musicfsl.audio.trim_silence`); None keeps it.
            cache_dir: folder for the cache; see `musicfsl.caching.cache_root`.
            n_workers: threads; None is one a processor. Decoding, resampling and transforms run outside Python's lock.
            progress: show a progress bar.
            seed: as for the constructor.

        Raises:
            InputError: the front end expects another sample rate than the data set's.
            AudioError: a recording cannot be read, is silent, or gives features that are not finite; the file is named.
            CacheError: the cache cannot be written, or is damaged.
        """
        if dataset.sample_rate != front_end.sample_rate:
            raise InputError(
                f"{dataset.name} has a sample rate of {dataset.sample_rate} Hz, but the front end expects "
                f"{front_end.sample_rate} Hz; open the data set with sample_rate={front_end.sample_rate}"
            )
        settings, threads = front_end.settings(), n_workers or _n_processors()
        return cls.keep(
            dataset,
            settings,
            lambda: _in_parallel(dataset, front_end, trim_db, threads),
            trim_db=trim_db,
            n_frames=n_frames,
            cache_dir=cache_dir,
            progress=progress,
            seed=seed,
        )

    @classmethod
    def keep(
        cls,
        dataset: ClassConditionalDataset,
        settings: dict[str, Any],
        compute: Callable[[], Iterator[NDArray[np.float32]]],
        *,
        what: str = "features",
        trim_db: float | None = None,
        n_frames: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = True,
        seed: int = 0,
    ) -> FeatureStore:
        """Stores what any computation makes of every clip, such as embeddings, or opens it where that was done before.

        Args:
            dataset: the clips.
            settings: all that decides the result but the clips and ``trim_db``, as JSON can hold it.
            compute: gives ``(n_frames, n_features)`` for each clip, in order; called where nothing is stored yet.
            what: the name of its results, for the progress bar and the cache's folder.
            trim_db: as for `build`, like the following ones.
            n_frames: frames that ``ds[i]`` gives.
            cache_dir: folder for the cache.
            progress: show a progress bar.
            seed: of the places where clips are cut.

        Raises:
            CacheError: the cache cannot be written, or is damaged.
        """
        # Through JSON and back, so that the settings compare equal to those read from a file.
        settings = json.loads(json.dumps(settings))
        key = hash_of(
            {"data": dataset.fingerprint(), "front_end": settings, "trim_db": trim_db, "version": FEATURE_VERSION}
        )
        folder = cache_root(cache_dir) / what / f"{_safe(dataset.name)}-{key}"
        if not folder.is_dir():
            about = {
                "key": key,
                "name": dataset.name,
                "classes": list(dataset.classes),
                "sample_rate": dataset.sample_rate,
                "is_synthetic": dataset.is_synthetic,
                "front_end": settings,
            }
            with atomic_directory(folder) as temporary:
                title = f"{what} of {dataset.name}"
                _compute(
                    dataset,
                    progress_bar(compute(), total=len(dataset), desc=title, unit="clip", show=progress),
                    temporary,
                    about,
                )
        return cls(folder, n_frames=n_frames, seed=seed)

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        start, n = int(self._starts[index]), int(self.lengths[index])
        stop = n if length is None else min(n, offset + length)
        frames = np.array(self._map()[start + offset : start + stop])  # a copy: the pages may be handed back
        self._bytes_read += frames.nbytes
        if self._bytes_read > _RESIDENT_BYTES:
            self._hand_back_pages()
        return torch.from_numpy(frames).T  # frames lie behind one another in the file; time comes last in the contract

    def fill(self, x: Tensor, length: int) -> Tensor:
        """Repeats a clip that is shorter than ``length``; see `repeated`."""
        return repeated(x, length)

    def fingerprint(self) -> str:
        return hash_of({"store": self._key})

    def _map(self) -> NDArray[np.float32]:
        if self._frames is None:
            path = self.folder / _FEATURES
            try:
                frames: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise _damaged(self.folder, f"{path.name}: {error}") from None
            if frames.ndim != 2 or len(frames) != int(self.lengths.sum()):
                raise _damaged(self.folder, f"{path.name} has {len(frames)} frames, not {int(self.lengths.sum())}")
            self._frames = frames
        return self._frames

    def _hand_back_pages(self) -> None:
        self._bytes_read = 0
        mapped = getattr(self._frames, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)

    def __getstate__(self) -> dict[str, Any]:
        # A worker process maps the file itself instead of receiving its content.
        return {**self.__dict__, "_frames": None}


def repeated(x: Tensor, length: int) -> Tensor:
    """Repeats features that are shorter than ``length`` from their start: statistics over time stay the clip's own.

    Args:
        x: ``(n_features, n_frames)``.
        length: frames.

    Returns:
        ``(n_features, length)``, or ``x`` itself where it is as long or longer.

    Example:
        >>> repeated(torch.tensor([[1.0, 2.0]]), 5)
        tensor([[1., 2., 1., 2., 1.]])
    """
    n = x.shape[-1]
    # Frame by frame, as they lie in memory: that is quicker than along the last axis.
    return x if n >= length else x.T.repeat(-(-length // n), 1)[:length].T


def _compute(
    dataset: ClassConditionalDataset, results: Iterable[NDArray[np.float32]], folder: Path, about: dict[str, Any]
) -> None:
    """Writes the three files of a store."""
    lengths = np.zeros(len(dataset), dtype=np.int64)
    with (folder / _FEATURES).open("wb") as file:
        n_features = 0
        # The header is written last, when the number of frames is known; its length is fixed beforehand.
        file.write(_npy_header(0, 0))
        for i, frames in enumerate(results):
            lengths[i], n_features = frames.shape
            file.write(frames.tobytes())
        file.seek(0)
        file.write(_npy_header(int(lengths.sum()), n_features))
    items: dict[str, NDArray[Any]] = {"targets": dataset.targets, "lengths": lengths}
    if dataset.groups is not None:
        items["groups"] = dataset.groups
    if dataset.is_copy is not None:
        items["is_copy"] = dataset.is_copy
    np.savez(folder / _ITEMS, **items)  # type: ignore[arg-type]
    (folder / _ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")


def _in_parallel(
    dataset: ClassConditionalDataset, front_end: FrontEnd, trim_db: float | None, n_workers: int
) -> Iterator[NDArray[np.float32]]:
    """The frames ``(n_frames, n_features)`` of every clip, in order."""

    def one(index: int) -> NDArray[np.float32]:
        wave = dataset.read(index)
        if not wave.any():
            raise AudioError(f"{dataset.item_name(index)} holds only silence; remove it")
        if trim_db is not None:
            wave = trim_silence(wave, dataset.sample_rate, trim_db)
        with torch.no_grad():
            features = front_end(wave)  # (n_features, n_frames)
        if not torch.isfinite(features).all():
            raise AudioError(f"{dataset.item_name(index)} gives features that are not finite; check the recording")
        return np.ascontiguousarray(features.T.numpy(), dtype=np.float32)

    with ThreadPoolExecutor(n_workers) as pool:
        for start in range(0, len(dataset), _CLIPS_PER_ROUND):
            yield from pool.map(one, range(start, min(len(dataset), start + _CLIPS_PER_ROUND)))


def _npy_header(n_frames: int, n_features: int) -> bytes:
    """The 128 bytes that begin a .npy file (format 1.0) of float32 ``(n_frames, n_features)``."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_frames}, {n_features}), }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.ljust(117).encode() + b"\n"


def _read_about(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    if not folder.is_dir():
        raise CacheError(f"the feature store {folder} does not exist; make it with FeatureStore.build")
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        with np.load(folder / _ITEMS, allow_pickle=False) as file:
            items = {name: file[name] for name in file.files}
        if len(items["targets"]) != len(items["lengths"]) or not {*_REQUIRED} <= about.keys():
            raise ValueError("its files do not fit one another")
    except Exception as error:  # zipfile, json and numpy each raise their own kinds for damaged bytes
        raise _damaged(folder, str(error)) from None
    return about, items


def _damaged(folder: Path, reason: str) -> CacheError:
    return CacheError(f"the feature store {folder} is damaged ({reason}); delete the folder and it is computed again")


def _n_processors() -> int:
    """Processors that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _safe(name: str) -> str:
    """A data set's name as part of a folder's name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:60]
