"""From a file to a waveform: decode, resample, cut, trim."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from musicfsl._containers import check_container, mp3_with_length
from musicfsl.errors import AudioError, InputError

if TYPE_CHECKING:
    import soundfile

__all__ = [
    "AUDIO_SUFFIXES",
    "AudioInfo",
    "audio_info",
    "check_recording",
    "crop_or_pad",
    "is_silent",
    "load_audio",
    "trim_silence",
]

#: File name endings that are taken for recordings when a folder is searched.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")

# The resampling filter looks to either side of a sample. Reading this many more samples (of the lower rate)
# on both sides of an excerpt, and cutting them off afterwards, makes it equal to the same part of the whole file.
_CONTEXT_SAMPLES = 400

# Samples decoded at a time where a whole file is only looked at.
_BLOCK = 1 << 20

# A length beyond this (about 200 years at 44.1 kHz) is libsndfile's way to say that the header gives none.
_LONGEST = 1 << 48


@dataclass(frozen=True)
class AudioInfo:
    """What a recording's header says.

    Attributes:
        sample_rate: samples a second.
        n_frames: samples a channel.
        channels: number of channels.
    """

    sample_rate: int
    n_frames: int
    channels: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.n_frames / self.sample_rate

    def n_samples(self, sample_rate: int) -> int:
        """Samples of the whole recording when it is loaded at ``sample_rate``."""
        return (2 * self.n_frames * sample_rate + self.sample_rate) // (2 * self.sample_rate)  # rounds like soxr


def audio_info(path: str | os.PathLike[str]) -> AudioInfo:
    """Reads the header of a recording.

    Args:
        path: a WAV, FLAC, OGG or MP3 file.

    Raises:
        AudioError: the file is missing, empty, not audio, holds no samples, or is truncated and its
            container tells (a loss that only decoding shows is found by `check_recording`).
    """
    with opened_recording(path) as (_, info):
        return info


def load_audio(
    path: str | os.PathLike[str],
    sample_rate: int = 16000,
    offset: float = 0.0,
    duration: float | None = None,
) -> Tensor:
    """Decodes a recording, mixes it to mono and resamples it.

    Only the excerpt asked for is read. Decoding is libsndfile's (through soundfile), resampling is
    the SoX resampler's at its "HQ" setting (through soxr). An excerpt equals the same samples of the
    whole recording. Values that decoding or resampling pushed beyond full scale are clipped to [-1, 1].

    Args:
        path: a WAV, FLAC, OGG or MP3 file of any rate and number of channels.
        sample_rate: rate of the result in Hz.
        offset: start of the excerpt in seconds, rounded to a sample of the result.
        duration: length of the excerpt in seconds; None reads to the end. An excerpt that passes the
            end of the file is as much shorter.

    Returns:
        float32 tensor of shape ``(1, n_samples)`` with values in [-1, 1].

    Raises:
        AudioError: the file is missing, empty, truncated, not audio, or holds NaN or infinite values;
            or the excerpt starts behind the end of the file.
        InputError: ``sample_rate``, ``offset`` or ``duration`` is out of range.

    Example:
        >>> import soundfile, tempfile, numpy as np
        >>> path = tempfile.mkdtemp() + "/tone.wav"
        >>> soundfile.write(path, np.sin(2 * np.pi * 440 * np.arange(44100) / 44100), 44100)
        >>> load_audio(path, sample_rate=16000, offset=0.5, duration=0.25).shape
        torch.Size([1, 4000])
    """
    if sample_rate <= 0:
        raise InputError(f"sample_rate is {sample_rate}; expected a positive number of Hz")
    if not (math.isfinite(offset) and offset >= 0):
        raise InputError(f"offset is {offset}; expected seconds from the start, 0 or more")
    if duration is not None and not (math.isfinite(duration) and round(duration * sample_rate) > 0):
        raise InputError(f"duration is {duration}; expected seconds, at least one sample, or None for all")

    with opened_recording(path) as (file, info):
        start, stop = round(offset * sample_rate), info.n_samples(sample_rate)
        if start >= stop:
            raise AudioError(f"{path} is {info.duration:.3f} s long; an excerpt from {offset:.3f} s on was asked for")
        if duration is not None:
            stop = min(stop, start + round(duration * sample_rate))
        wave = _read_resampled(file, path, info, sample_rate, start, stop)
    wave = np.clip(wave, -1.0, 1.0).astype(np.float32, copy=False)
    return torch.from_numpy(np.ascontiguousarray(wave)).unsqueeze(0)


def check_recording(path: str | os.PathLike[str]) -> AudioInfo:
    """Decodes a recording from end to end and keeps nothing.

    Raises:
        AudioError: the file is missing, empty, truncated, damaged, not audio, holds NaN or infinite
            values, or only silence.
    """
    silent = True
    with opened_recording(path) as (file, info):
        for start in range(0, info.n_frames, _BLOCK):
            silent &= not read_mono(file, path, start, min(info.n_frames, start + _BLOCK)).any()
    if silent:
        raise AudioError(f"{path} holds only silence; remove it or record it again")
    return info


def is_silent(path: str | os.PathLike[str]) -> bool:
    """Says whether every sample of a recording, mixed to mono, is zero. Stops reading at the first that is not.

    Raises:
        AudioError: the file cannot be read.
    """
    with opened_recording(path) as (file, info):
        starts = range(0, info.n_frames, _BLOCK)
        return not any(read_mono(file, path, start, min(info.n_frames, start + _BLOCK)).any() for start in starts)


def crop_or_pad(x: Tensor, length: int, offset: int = 0) -> Tensor:
    """Cuts ``length`` steps from the last axis, from ``offset`` on, filling what is missing with zeros.

    Args:
        x: tensor of shape ``(..., n)``.
        length: steps of the result.
        offset: first step taken, 0 or more.

    Returns:
        tensor of shape ``(..., length)``; a view where nothing had to be filled.

    Example:
        >>> crop_or_pad(torch.arange(1.0, 5.0), 3, offset=2)
        tensor([3., 4., 0.])
    """
    x = x[..., offset : offset + length]
    missing = length - x.shape[-1]
    return torch.nn.functional.pad(x, (0, missing)) if missing > 0 else x


def trim_silence(wave: Tensor, sample_rate: int, below_peak_db: float = 60.0) -> Tensor:
    """Cuts what is quieter than the loudest part by more than a threshold from both ends.

    The level is the root mean square of frames of 20 ms. Silence inside the recording stays.

    Args:
        wave: ``(1, n_samples)``.
        sample_rate: in Hz.
        below_peak_db: threshold in decibels below the loudest frame, greater than 0.

    Returns:
        a view ``(1, m)`` with ``0 < m <= n_samples``; an all-silent wave comes back whole.

    Example:
        >>> wave = torch.cat([torch.zeros(1, 1600), torch.ones(1, 3200), torch.zeros(1, 1600)], dim=1)
        >>> trim_silence(wave, 16000).shape
        torch.Size([1, 3200])
    """
    if below_peak_db <= 0:
        raise InputError(f"below_peak_db is {below_peak_db}; expected a positive number of decibels")
    frame = max(1, sample_rate // 50)
    n_samples = wave.shape[-1]
    n_frames = math.ceil(n_samples / frame)
    power = crop_or_pad(wave, n_frames * frame).reshape(n_frames, frame).square().mean(dim=1)
    threshold = power.max() * 10 ** (-below_peak_db / 10)
    loud = torch.nonzero(power > threshold).flatten()
    if len(loud) == 0:
        return wave
    return wave[..., int(loud[0]) * frame : min(n_samples, (int(loud[-1]) + 1) * frame)]


@contextmanager
def opened_recording(path: str | os.PathLike[str]) -> Iterator[tuple[soundfile.SoundFile, AudioInfo]]:
    """Opens a recording for decoding with `read_mono`, once all that can be known without decoding is in order."""
    import soundfile

    path = Path(path)
    try:
        if not path.is_file():
            raise AudioError(f"{path} does not exist or is not a file; check the path")
        if path.stat().st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes); remove it or copy it again")
        counted = check_container(path)
        file = soundfile.SoundFile(_system_name(path))
        if counted is not None and counted > file.frames:
            file.close()
            file, counted = soundfile.SoundFile(mp3_with_length(path, counted)), None
    except soundfile.SoundFileError as error:
        raise AudioError(f"{path} cannot be read as audio ({_reason(error)}); expected WAV, FLAC, OGG or MP3") from None
    except OSError as error:
        raise AudioError(f"{path} cannot be read ({error.strerror}); check the file and its permissions") from None
    with file:
        info = AudioInfo(int(file.samplerate), int(counted or file.frames), int(file.channels))
        if info.n_frames <= 0:
            raise AudioError(f"{path} holds no samples; remove it or record it again")
        if info.n_frames > _LONGEST:
            raise AudioError(f"{path} does not tell its length in its header; export it again")
        yield file, info


def _read_resampled(
    file: soundfile.SoundFile, path: str | os.PathLike[str], info: AudioInfo, sample_rate: int, start: int, stop: int
) -> np.ndarray:
    """Reads samples ``start`` to ``stop`` of what the whole file resampled to ``sample_rate`` would be."""
    native = info.sample_rate
    if native == sample_rate:
        return read_mono(file, path, start, stop)
    import soxr

    # Both rates have a sample at the same instant only every so often; resampling must start at such an
    # instant, or the excerpt would be shifted by a part of a sample against the whole.
    grid = native // math.gcd(native, sample_rate)
    context = math.ceil(_CONTEXT_SAMPLES * native / min(native, sample_rate))
    read_from = max(0, start * native // sample_rate - context) // grid * grid
    read_to = min(info.n_frames, -(-stop * native // sample_rate) + context)
    resampled: np.ndarray = soxr.resample(read_mono(file, path, read_from, read_to), native, sample_rate, quality="HQ")
    skip = start - read_from * sample_rate // native
    return resampled[skip : skip + stop - start]


def read_mono(file: soundfile.SoundFile, path: str | os.PathLike[str], start: int, stop: int) -> np.ndarray:
    """Reads samples ``start`` to ``stop`` at the file's own rate, as the mean of the channels."""
    import soundfile

    try:
        file.seek(start)
        samples = file.read(stop - start, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"{path} cannot be decoded ({_reason(error)}); it may be damaged, copy it again") from None
    if len(samples) < stop - start:
        raise AudioError(
            f"{path} is truncated or damaged (its header promises {file.frames} samples, but decoding ends "
            f"after {start + len(samples)}); copy it again"
        )
    channels = samples.shape[1]
    # A matrix product is ten times as quick as the mean over so short an axis, and as exact.
    mono: np.ndarray = samples[:, 0] if channels == 1 else samples @ np.full(channels, 1 / channels, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path} holds NaN or infinite samples; export it again")
    return mono


def _system_name(path: Path) -> str | bytes:
    """A path as soundfile can open it: as bytes where its name is in an older encoding than UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return str(path)


def _reason(error: Exception) -> str:
    """The last clause of libsndfile's message, which repeats the path first."""
    reason = str(error).rstrip(".").rpartition(": ")[2] or type(error).__name__
    # What it says of a file that its MP3 decoder cannot make sense of; the file is known to exist.
    return "Format not recognised" if reason.startswith("File does not exist") else reason
