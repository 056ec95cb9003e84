"""From sounds of any rate and length to one embedding each; what cannot be used is found out and named."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicfsl._progress import progress_bar
from musicfsl.audio import audio_info, load_audio, trim_silence
from musicfsl.backbones.base import Encoder, device_of
from musicfsl.classifier.examples import named
from musicfsl.classifier.sounds import Item, Sound
from musicfsl.embedding import spread_windows
from musicfsl.errors import AudioError
from musicfsl.features import repeated

__all__ = ["Heard", "Unusable", "listen"]

#: Sounds shorter than this many seconds are refused.
SHORTEST = 0.05

# Sounds shorter than this are repeated before the front end sees them, which needs some of its windows filled.
_SHORTEST_FOR_FRONT_ENDS = 0.1

# Recordings longer than this are not decoded as a whole: windows are read where they lie.
_LONGEST_DECODED = 300.0

# Peaks below this (-80 dB of full scale) are the noise of converters.
_SILENT = 1e-4

# A sound of which more than this share lies at full scale was clipped; a full-scale sine has 0.9 %.
_FULL_SCALE, _CLIPPED_SHARE = 0.9999, 0.02

_BATCH = 64


class Unusable(NamedTuple):
    """A sound that was left out.

    Attributes:
        sound: its name.
        reason: one sentence.
    """

    sound: str
    reason: str


class Heard(NamedTuple):
    """What was made of a list of sounds.

    Attributes:
        z: float32 ``(N, dim)``, one row a sound that could be used: the mean embedding of its windows.
        positions: which sounds of the list these are.
        contents: a hash of each one's samples, by which copies are found.
        unusable: the others.
    """

    z: Tensor
    positions: list[int]
    contents: list[str]
    unusable: list[Unusable]


def listen(
    sounds: Sequence[Sound],
    encoder: Encoder,
    window: float,
    max_windows: int,
    *,
    strict: bool = True,
    progress: bool = False,
    warn_of_clipping: bool = True,
) -> Heard:
    """Embeds sounds as in training: silence at both ends is cut off, short ones repeat, windows are averaged.

    Args:
        sounds: what to listen to.
        encoder: is used in evaluation mode, where its weights lie, and left as it was.
        window: length of a window in seconds.
        max_windows: windows a sound at most, spread evenly; they overlap by half where that suffices.
        strict: raise for the first sound that cannot be used, instead of going on without it.
        progress: show a progress bar.
        warn_of_clipping: False where the same sounds were listened to before.

    Raises:
        AudioError: a sound cannot be read, is silent or too short (where ``strict``); or the encoder gives no finite
            embedding of it.
    """
    collected = _Collected(encoder, len(sounds))
    positions: list[int] = []
    contents, unusable, clipped = [], [], []
    was_training = encoder.training
    encoder.eval()
    try:
        for i, sound in enumerate(progress_bar(sounds, desc="listening", unit="sound", show=progress)):
            try:
                pieces = list(_pieces(sound, encoder.sample_rate, window, max_windows))
                if max(float(piece.abs().max()) for piece in pieces) <= _SILENT:
                    raise AudioError(f"{sound.name} holds only silence; remove it or record it again")
            except AudioError as error:
                if strict:
                    raise
                unusable.append(Unusable(sound.name, str(error)))
                continue
            if _is_clipped(pieces):
                clipped.append(sound.name)
            for windows in _windows(encoder, pieces, window, max_windows):
                collected.add(len(positions), windows)
            positions.append(i)
            contents.append(_hash(pieces))
        z = collected.means(len(positions))
    finally:
        encoder.train(was_training)
    for name, row in zip([sounds[i].name for i in positions], z, strict=True):
        if not torch.isfinite(row).all():
            raise AudioError(f"the encoder gives NaN or infinite values for {name}; check both")
    if clipped and warn_of_clipping:
        warnings.warn(
            f"{len(clipped)} of {len(sounds)} sounds are clipped: {named(clipped)}. They are used all the same, but "
            "sound like others that are distorted; record them again at a lower level",
            stacklevel=4,
        )
    return Heard(z, positions, contents, unusable)


class _Collected:
    """Runs windows through the encoder, many of several sounds at a time, and averages them by sound."""

    def __init__(self, encoder: Encoder, n_sounds: int) -> None:
        self._encoder, self._device = encoder, device_of(encoder)
        self._sums = torch.zeros(n_sounds, encoder.dim)
        self._counts = torch.zeros(n_sounds, 1)
        self._waiting: list[tuple[int, Tensor]] = []

    def add(self, sound: int, windows: Tensor) -> None:
        """Takes windows ``(n_features, n_frames)``."""
        self._waiting.append((sound, windows))
        if len(self._waiting) >= _BATCH:
            self._run()

    def means(self, n_sounds: int) -> Tensor:
        """Mean embeddings of the first sounds ``(n_sounds, dim)``."""
        self._run()
        return self._sums[:n_sounds] / self._counts[:n_sounds]

    @torch.no_grad()
    def _run(self) -> None:
        if self._waiting:
            sounds = torch.tensor([sound for sound, _ in self._waiting])
            x = torch.stack([windows for _, windows in self._waiting])
            self._sums.index_add_(0, sounds, self._encoder(x.to(self._device)).float().cpu())
            self._counts.index_add_(0, sounds, torch.ones(len(sounds), 1))
            self._waiting = []


def _pieces(sound: Sound, sample_rate: int, window: float, max_windows: int) -> Iterator[Tensor]:
    """The sound as waves ``(1, n)``: one, without the silence at its ends; or excerpts, where it is very long."""
    source = sound.source
    if isinstance(source, Path):
        info = audio_info(source)
        if info.duration > max(_LONGEST_DECODED, 2 * window):
            slack = info.duration - window
            n_windows = min(max_windows, 1 + math.ceil(2 * slack / window))
            loud = [
                load_audio(source, sample_rate, slack * i / max(1, n_windows - 1), window) for i in range(n_windows)
            ]
            peak = max(float(wave.abs().max()) for wave in loud)
            yield from (wave for wave in loud if float(wave.abs().max()) > 1e-3 * peak or peak == 0)
            return
        wave = load_audio(source, sample_rate)
    elif isinstance(source, Item):
        wave = _resampled(source.dataset.read(source.position), source.dataset.sample_rate, sample_rate)
    else:
        wave = _resampled(source.wave, source.rate or sample_rate, sample_rate)
    seconds = wave.shape[1] / sample_rate
    if seconds < SHORTEST:
        raise AudioError(
            f"{sound.name} is {1000 * seconds:.0f} ms long; at least {1000 * SHORTEST:.0f} ms are needed, so give a "
            "longer recording"
        )
    yield trim_silence(wave, sample_rate)


def _resampled(wave: Tensor, rate: int, sample_rate: int) -> Tensor:
    if rate == sample_rate:
        return wave
    import soxr

    samples = soxr.resample(wave[0].numpy(), rate, sample_rate, quality="HQ")
    return torch.from_numpy(np.clip(samples, -1.0, 1.0).astype(np.float32)).unsqueeze(0)


def _windows(encoder: Encoder, pieces: Sequence[Tensor], window: float, max_windows: int) -> Iterator[Tensor]:
    """Features ``(n_features, n_frames)`` of windows; frames of short pieces are repeated, as for training."""
    n_frames = encoder.front_end.n_frames(round(window * encoder.sample_rate))
    enough = round(_SHORTEST_FOR_FRONT_ENDS * encoder.sample_rate)
    for piece in pieces:
        wave = piece if piece.shape[1] >= enough else piece.repeat(1, -(-enough // piece.shape[1]))
        with torch.no_grad():
            features = encoder.front_end(wave.to(device_of(encoder))).cpu()
        _, offsets = spread_windows(np.array([features.shape[1]]), n_frames, max_windows if len(pieces) == 1 else 1)
        for offset in offsets:
            yield repeated(features[:, offset : offset + n_frames], n_frames)


def _is_clipped(pieces: Sequence[Tensor]) -> bool:
    n_samples = sum(piece.numel() for piece in pieces)
    return sum(int((piece.abs() >= _FULL_SCALE).sum()) for piece in pieces) > _CLIPPED_SHARE * n_samples


def _hash(pieces: Sequence[Tensor]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
