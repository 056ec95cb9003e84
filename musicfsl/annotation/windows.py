"""Windows of a long recording, read block by block: memory stays the same however long it is."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.audio import audio_info, opened_recording, read_mono
from musicfsl.errors import AudioError, InputError

__all__ = ["RecordingWindows", "WindowBatch", "stream_audio"]

#: The level of digital silence, and of all that is quieter than this.
LOWEST_LEVEL = -200.0


class WindowBatch(NamedTuple):
    """Some windows that follow one another.

    Attributes:
        waves: float32 ``(B, 1, n_samples)`` in [-1, 1].
        levels: float64 ``(B,)``: root mean square of the part that each window speaks for, in decibels relative to full
            scale (dBFS), -200 or more.
    """

    waves: Tensor
    levels: NDArray[np.float64]


class RecordingWindows:
    """Cuts a recording of any length to windows of one length, while it is being read.

    Windows start every ``hop`` seconds; where a rest remains, one more ends with the recording. Each speaks for the
    part of the recording that lies nearer to its middle than to any other's: these parts (`bounds`) tile the recording.

    Args:
        path: a recording of any rate and number of channels.
        sample_rate: rate of the windows in Hz.
        window: length of a window in seconds.
        hop: seconds between the starts of windows, at most ``window``.
        batch_size: windows that iterating gives at a time.

    Attributes:
        path: of the recording.
        duration: of the recording in seconds.
        starts: int64 ``(N,)``, the first sample of each window at ``sample_rate``.
        bounds: float64 ``(N + 1,)``, in seconds: window ``i`` speaks for ``bounds[i]`` to ``bounds[i + 1]``.

    Raises:
        AudioError: the recording is missing, not audio, shorter than a window, or (found when it is read) truncated.
        InputError: a length is out of range.

    Example:
        >>> import soundfile, tempfile
        >>> path = tempfile.mkdtemp() + "/tone.wav"
        >>> soundfile.write(path, 0.5 * np.sin(np.arange(44100 * 3) / 10), 44100)
        >>> windows = RecordingWindows(path, sample_rate=16000, window=1.0, hop=0.5, batch_size=4)
        >>> windows.bounds.tolist()
        [0.0, 0.75, 1.25, 1.75, 2.25, 3.0]
        >>> [tuple(batch.waves.shape) for batch in windows]
        [(4, 1, 16000), (1, 1, 16000)]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        window: float = 1.0,
        hop: float = 0.5,
        batch_size: int = 32,
    ) -> None:
        if sample_rate < 1 or batch_size < 1:
            raise InputError(f"sample_rate is {sample_rate} and batch_size {batch_size}; expected 1 or more of both")
        if not (math.isfinite(window) and round(window * sample_rate) > 0):
            raise InputError(f"window is {window}; expected seconds, at least one sample")
        if not (math.isfinite(hop) and 0 < round(hop * sample_rate) <= round(window * sample_rate)):
            raise InputError(f"hop is {hop}; expected seconds, at least one sample and at most a window ({window:g})")
        info = audio_info(path)
        self.path = path
        self.sample_rate = sample_rate
        self.batch_size = batch_size
        self.duration = info.duration
        self._n_samples = info.n_samples(sample_rate)
        self._length = round(window * sample_rate)
        if self._n_samples < self._length:
            raise AudioError(
                f"{path} is {info.duration:.3f} s long, which is shorter than a window of {window:g} s; "
                "choose a shorter window"
            )
        self.starts = _starts(self._n_samples, self._length, round(hop * sample_rate))
        middles = self.starts[:-1] + self.starts[1:] + self._length  # twice the sample between two windows' middles
        self._bounds: NDArray[np.int64] = np.concatenate([[0], middles // 2, [self._n_samples]])
        self.bounds: NDArray[np.float64] = np.minimum(self._bounds / sample_rate, self.duration)
        self.bounds[-1] = self.duration

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[WindowBatch]:
        blocks = stream_audio(self.path, self.sample_rate)
        held, first = np.empty(0, dtype=np.float32), 0  # what may still be needed, and where in the recording it begins
        for batch in range(0, len(self), self.batch_size):
            starts = self.starts[batch : batch + self.batch_size]
            held, first = held[starts[0] - first :], int(starts[0])
            parts = [held]
            missing = int(starts[-1]) + self._length - first - len(held)
            while missing > 0:
                block = next(blocks, None)
                if block is None:
                    raise AudioError(f"{self.path} became shorter while it was read; annotate it again")
                parts.append(block)
                missing -= len(block)
            held = np.concatenate(parts)
            waves = np.stack([held[start - first : start - first + self._length] for start in starts])
            bounds = self._bounds[batch : batch + len(starts) + 1] - first
            yield WindowBatch(torch.from_numpy(waves).unsqueeze(1), _levels(held, bounds))


def stream_audio(path: str | os.PathLike[str], sample_rate: int, block: float = 10.0) -> Iterator[NDArray[np.float32]]:
    """Decodes a recording block by block, mixes it to mono and resamples it, in memory that does not grow.

    The blocks, put together, are what `musicfsl.load_audio` gives for the whole recording. (The bytes of an MP3 file
    that does not tell its length are held, as they are on the disk.)

    Args:
        path: a recording of any rate and number of channels.
        sample_rate: rate of the result in Hz.
        block: seconds that are decoded at a time.

    Yields:
        float32 ``(n,)`` with values in [-1, 1]; how long a block is depends on the resampler.

    Raises:
        AudioError: the file is missing, empty, truncated, not audio, or holds NaN or infinite values.
    """
    with opened_recording(path) as (file, info):
        resampler = None
        if info.sample_rate != sample_rate:
            import soxr

            resampler = soxr.ResampleStream(info.sample_rate, sample_rate, 1, dtype="float32", quality="HQ")
        step = max(1, round(block * info.sample_rate))
        for start in range(0, info.n_frames, step):
            stop = min(info.n_frames, start + step)
            samples = read_mono(file, path, start, stop)
            if resampler is not None:
                samples = resampler.resample_chunk(np.ascontiguousarray(samples), last=stop == info.n_frames)
            yield np.clip(samples, -1.0, 1.0)


def _starts(n_samples: int, length: int, hop: int) -> NDArray[np.int64]:
    starts = np.arange(0, n_samples - length + 1, hop, dtype=np.int64)
    last = n_samples - length
    return starts if starts[-1] == last else np.append(starts, last)


def _levels(samples: NDArray[np.float32], bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Level of each part between two bounds in dBFS."""
    parts = [samples[a:b] for a, b in itertools.pairwise(bounds)]
    powers = [float(np.mean(np.square(part, dtype=np.float64))) for part in parts]
    return 10 * np.log10(np.maximum(powers, 10 ** (LOWEST_LEVEL / 10)))
