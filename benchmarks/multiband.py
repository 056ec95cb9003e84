"""The multi-band front end against three whole spectrograms that are cut afterwards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.rows import Row, best_of
from musicfsl import MultiBand

__all__ = ["measure", "with_librosa", "with_torch"]


def measure(n_clips: int = 16, repeats: int = 10) -> list[Row]:
    """A batch of clips of 3 s, then one of them alone, as a feature store takes them."""
    waves = torch.randn(n_clips, 1, 66150, generator=torch.Generator().manual_seed(0)).mul_(0.1)
    front_end = MultiBand()
    batch, alone = f"three bands of {n_clips} clips of 3 s", "three bands of a clip of 3 s"
    return [
        _row(batch, front_end, "three torch.stft", with_torch, waves, repeats),
        _row(alone, front_end, "three torch.stft", with_torch, waves[:1], repeats),
        _row(alone, front_end, "three librosa.stft", with_librosa, waves[:1], repeats),
    ]


def with_torch(front_end: MultiBand, waves: Tensor) -> Tensor:
    """Three whole spectrograms in decibels, and of each the band's bins."""
    bands = []
    for window, bins in _bins(front_end):
        hann = torch.hann_window(window)
        spectrum = torch.stft(waves[:, 0], window, front_end.hop_length, window=hann, return_complex=True)
        power = spectrum.abs().square() * (2 / hann.sum()).square()
        decibels = 10 * torch.log10(power.clamp(min=front_end.floor))
        bands.append(decibels[:, bins])
    return torch.cat(bands, dim=1)


def with_librosa(front_end: MultiBand, waves: Tensor) -> Tensor:
    """The same with librosa, clip by clip."""
    import librosa

    clips = []
    for wave in waves[:, 0].numpy():
        bands = []
        for window, bins in _bins(front_end):
            spectrum = librosa.stft(wave, n_fft=window, hop_length=front_end.hop_length, pad_mode="reflect")
            amplitude = np.abs(spectrum) * (4 / window)  # a Hann window sums to half its length
            decibels = librosa.amplitude_to_db(amplitude, amin=front_end.floor**0.5, top_db=None)
            bands.append(decibels[bins])
        clips.append(np.concatenate(bands))
    return torch.from_numpy(np.stack(clips))


def _bins(front_end: MultiBand) -> list[tuple[int, slice]]:
    """Window and bins of every band."""
    found = []
    for window, band in zip(front_end.windows, front_end.band_slices, strict=True):
        first = round(float(front_end.frequencies[band.start]) * window / front_end.sample_rate)
        found.append((window, slice(first, first + band.stop - band.start)))
    return found


def _row(
    what: str,
    front_end: MultiBand,
    peer: str,
    naive: Callable[[MultiBand, Tensor], Tensor],
    waves: Tensor,
    repeats: int,
) -> Row:
    """One comparison; the two are run by turns, so that what else the machine does strikes both."""
    with torch.no_grad():
        pairs = [
            (best_of(1, lambda: front_end(waves)), best_of(1, lambda: naive(front_end, waves)))
            for _ in range(repeats + 1)  # the first call of either also prepares things
        ]
    ours, theirs = min(first for first, _ in pairs), min(second for _, second in pairs)
    return Row(
        what, f"{1000 * ours:.1f} ms", f"{peer}: {1000 * theirs:.1f} ms", ours / theirs, "below 1", ours < theirs
    )
