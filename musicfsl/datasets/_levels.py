"""How loud a recording is from moment to moment, found by reading it once from end to end, and kept.

Reading takes a fixed amount of memory whatever the length of the file; what is kept is one number every 20 ms.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicfsl._progress import progress_bar
from musicfsl.audio import opened_recording, read_mono
from musicfsl.caching import atomic_file, cache_root
from musicfsl.datasets.base import hash_of
from musicfsl.errors import CacheError

__all__ = ["Levels", "read_levels", "stored_levels"]

#: Raised whenever other numbers would be computed from the same recording: what is in the cache is then left alone.
_VERSION = 1

_FRAMES_PER_SECOND = 50

# Frames decoded at a time; some 10 s of sound, a few megabytes.
_FRAMES_PER_BLOCK = 512


class Levels(NamedTuple):
    """The level of a recording, frame by frame.

    Attributes:
        powers: float32 ``(n_frames,)``: mean square of the samples of each frame, mixed to mono; the last frame may be
            shorter.
        frame: samples a frame.
        sample_rate: of the recording in Hz.
    """

    powers: NDArray[np.float32]
    frame: int
    sample_rate: int

    def sounding_shares(
        self, starts: NDArray[np.int64], lengths: NDArray[np.int64], sample_rate: int, silence_db: float
    ) -> NDArray[np.float64]:
        """For each excerpt, which share of its frames is less than ``silence_db`` below the loudest of the recording.

        A frame belongs to the excerpts that hold its middle; an excerpt too short to hold any takes the one it lies in.

        Args:
            starts: first sample of each excerpt, at ``sample_rate``.
            lengths: samples of each excerpt.
            sample_rate: that starts and lengths are counted in, in Hz.
            silence_db: decibels, greater than 0.

        Returns:
            float64 ``(n_excerpts,)``, 0 to 1; all 0 where the recording is silent throughout.
        """
        sounds = self.powers > self.powers.max() * 10 ** (-silence_db / 10)
        before = np.concatenate([[0], np.cumsum(sounds)])
        # Frame k has its middle at (k + 1/2) frames.
        per_sample = self.sample_rate / sample_rate / self.frame
        first = np.ceil(starts * per_sample - 0.5).astype(np.int64)
        stop = np.ceil((starts + lengths) * per_sample - 0.5).astype(np.int64)
        empty = stop <= first
        first[empty] = np.floor((starts[empty] + lengths[empty] / 2) * per_sample).astype(np.int64)
        stop[empty] = first[empty] + 1
        first = np.clip(first, 0, len(sounds) - 1)
        stop = np.clip(stop, first + 1, len(sounds))
        shares: NDArray[np.float64] = (before[stop] - before[first]) / (stop - first)
        return shares


def read_levels(path: str | os.PathLike[str]) -> Levels:
    """Decodes a recording from end to end and measures its level.

    Raises:
        AudioError: it is missing, damaged, truncated, not audio, or holds NaN or infinite values.
    """
    with opened_recording(path) as (file, info):
        frame = max(1, info.sample_rate // _FRAMES_PER_SECOND)
        powers = np.empty(-(-info.n_frames // frame), dtype=np.float32)
        for first in range(0, len(powers), _FRAMES_PER_BLOCK):
            stop = min(info.n_frames, (first + _FRAMES_PER_BLOCK) * frame)
            samples = read_mono(file, path, first * frame, stop)
            whole = len(samples) // frame
            frames = samples[: whole * frame].reshape(whole, frame)
            powers[first : first + whole] = np.einsum("ij,ij->i", frames, frames) / frame
            if rest := samples[whole * frame :].tolist():
                powers[first + whole] = sum(x * x for x in rest) / len(rest)
    return Levels(powers, frame, info.sample_rate)


def stored_levels(
    paths: Sequence[Path],
    stamps: Sequence[tuple[int, int]],
    cache_dir: str | os.PathLike[str] | None = None,
    n_workers: int | None = None,
    progress: bool = True,
) -> Iterator[Levels]:
    """The levels of recordings, read from the cache where they were measured before.

    There is one small file in the cache for each recording, under a key made of its path and stamp.

    Args:
        paths: absolute.
        stamps: size in bytes and time of change in ns of each recording.
        cache_dir: see `musicfsl.caching.cache_root`.
        n_workers: threads; None is one a processor.
        progress: show a progress bar, once something has to be measured.

    Raises:
        AudioError: a recording cannot be read.
        CacheError: the cache cannot be written, or is damaged.
    """
    folder = cache_root(cache_dir) / "levels"
    keys = [
        hash_of([str(path), *stamp, _FRAMES_PER_SECOND, _VERSION]) for path, stamp in zip(paths, stamps, strict=True)
    ]
    files = [folder / key[:2] / f"{key}.npz" for key in keys]
    missing = [i for i, file in enumerate(files) if not file.is_file()]

    def measure(i: int) -> None:
        levels = read_levels(paths[i])
        with atomic_file(files[i]) as temporary:
            np.savez(temporary, **levels._asdict())

    show = progress and bool(missing)
    with ThreadPoolExecutor(n_workers or os.cpu_count() or 1) as pool:  # decoding releases the interpreter
        for _ in progress_bar(pool.map(measure, missing), total=len(missing), desc="levels", unit="file", show=show):
            pass
    for file in files:
        yield _load(file)


def _load(file: Path) -> Levels:
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as content:
            return Levels(content["powers"], int(content["frame"]), int(content["sample_rate"]))
    except Exception as error:  # zipfile and numpy each raise their own kinds for damaged bytes
        raise CacheError(f"{file} in the cache is damaged ({error}); delete it and it is computed again") from None
