"""The multi-band front end: every frequency band through a window of its own length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from musicfsl.errors import InputError
from musicfsl.spectrogram import check_wave

__all__ = ["MultiBand"]

# What is copied of the frames stays in the processor's cache, and long recordings need little memory.
_FRAMES_AT_ONCE = 2048


class MultiBand(nn.Module):
    """Log-power spectrograms of several frequency bands, long windows for low bands and short ones for high bands.

    A long window tells neighbouring notes of the bass apart, a short one says when a cymbal was struck; one window
    has to choose. Here every band has its own, with the Fourier bins that lie in the band alone. The frames of all
    bands are centred at the same times, so the bands are stacked along the feature axis; `band_slices` cuts them
    apart again.

    Only the bins that are asked for are computed: on a processor as a product of the frames, folded about their
    middle, with half the discrete Fourier basis (a third to half the time of three whole spectrograms,
    ``benchmarks/multiband.py``), elsewhere by `torch.stft`, since a product may be rounded to fewer digits there.
    Computed in float32 also under autocast.

    Args:
        sample_rate: of the waves in Hz.
        windows: length of the Hann window of each band in samples, even, lowest band first.
        edges: where one band ends and the next begins, in Hz; the bands reach from 0 to half the sample rate.
        hop_length: samples between frames. At most half of the shortest window, or sound falls between frames.
        floor: smallest power, which limits the decibels from below (1e-10 is -100 dB).

    Shape:
        - input: ``(..., 1, n_samples)``, float, with more than half of the longest window's samples
        - output: ``(..., n_features, 1 + n_samples // hop_length)``, float32, decibels; 0 dB is a sine of
          amplitude 1 at the frequency of the bin, whatever the window

    Raises:
        InputError: a setting is out of range, or a wave has the wrong shape or is too short.

    Reference:
        Spectrograms of several resolutions side by side: S. Böck, M. Schedl, Enhanced beat tracking with
        context-aware neural networks, DAFx 2011.

    Example:
        >>> front_end = MultiBand()
        >>> front_end(torch.zeros(8, 1, 22050)).shape
        torch.Size([8, 198, 201])
        >>> front_end.band_slices
        [slice(0, 47, None), slice(47, 116, None), slice(116, 198, None)]
    """

    frequencies: Tensor

    def __init__(
        self,
        sample_rate: int = 22050,
        windows: Sequence[int] = (1024, 512, 256),
        edges: Sequence[float] = (1000.0, 4000.0),
        hop_length: int = 110,
        floor: float = 1e-10,
    ) -> None:
        super().__init__()
        windows, edges = tuple(windows), tuple(float(edge) for edge in edges)
        _check_settings(sample_rate, windows, edges, hop_length, floor)
        self.sample_rate = sample_rate
        self.windows = windows
        self.edges = edges
        self.hop_length = hop_length
        self.floor = floor
        self._bins = _bins_of_bands(sample_rate, windows, edges)
        for i, (window, bins) in enumerate(zip(windows, self._bins, strict=True)):
            cosine, sine = _folded_basis(window, bins)
            self.register_buffer(f"window{i}", torch.hann_window(window), persistent=False)
            self.register_buffer(f"scale{i}", _amplitudes(window, bins).square()[:, None].float(), persistent=False)
            self.register_buffer(f"cosine{i}", cosine, persistent=False)
            self.register_buffer(f"sine{i}", sine, persistent=False)
        frequencies = [
            torch.tensor(bins, dtype=torch.float64) * sample_rate / window
            for bins, window in zip(self._bins, windows, strict=True)
        ]
        self.register_buffer("frequencies", torch.cat(frequencies).float(), persistent=False)

    @property
    def n_features(self) -> int:
        """Number of values a frame: the bins of all bands."""
        return sum(len(bins) for bins in self._bins)

    @property
    def band_slices(self) -> list[slice]:
        """Where each band lies along the feature axis, lowest first; `frequencies` has the bins' in Hz."""
        stops = accumulate((len(bins) for bins in self._bins), initial=0)
        return [slice(start, stop) for start, stop in pairwise(stops)]

    @property
    def silence(self) -> float:
        """The value of silence in decibels, the lowest there is."""
        return 10.0 * math.log10(self.floor)

    def settings(self) -> dict[str, Any]:
        """The arguments that build this front end again, as JSON can hold them."""
        return {
            "sample_rate": self.sample_rate,
            "windows": list(self.windows),
            "edges": list(self.edges),
            "hop_length": self.hop_length,
            "floor": self.floor,
        }

    def n_frames(self, n_samples: int) -> int:
        """Frames that a wave of ``n_samples`` gives.

        Example:
            >>> MultiBand(hop_length=110).n_frames(22050)
            201
        """
        return 1 + n_samples // self.hop_length

    def power(self, wave: Tensor) -> Tensor:
        """Power spectrograms of all bands, before the logarithm: ``(..., 1, n)`` to ``(..., n_features, frames)``."""
        check_wave(wave, max(self.windows), "a window of")
        # Autocast would do the product in half precision, whose rounding is louder than quiet sounds.
        with torch.autocast(device_type=wave.device.type, enabled=False):
            flat = wave.float().reshape(-1, wave.shape[-1])  # (batch, n_samples)
            one_band = self._product if flat.device.type == "cpu" else self._transform
            power = torch.cat([one_band(flat, band) for band in range(len(self.windows))], dim=1)
        return power.reshape(*wave.shape[:-2], *power.shape[-2:])

    def forward(self, wave: Tensor) -> Tensor:
        return 10.0 * torch.log10(self.power(wave).clamp(min=self.floor))

    def _product(self, flat: Tensor, band: int) -> Tensor:
        """One band's bins by a product with the Fourier basis: ``(batch, n_samples)`` to ``(batch, bins, frames)``."""
        half = self.windows[band] // 2
        padded = pad(flat.unsqueeze(1), (half, half), mode="reflect").squeeze(1)
        frames = padded.unfold(1, 2 * half, self.hop_length)  # (batch, frames, window), a view
        cosine, sine = self.get_buffer(f"cosine{band}"), self.get_buffer(f"sine{band}")
        powers = []
        for some in torch.split(frames, max(1, _FRAMES_AT_ONCE // len(flat)), dim=1):
            # The cosine is even about the middle and the sine odd, so each half of a frame needs half of a basis.
            # Sample 0 is left out: the window is 0 there. The middle falls upon itself, for which the basis allows.
            left, right = some[..., 1 : half + 1], some[..., half:].flip(-1)
            real, imaginary = torch.matmul(left + right, cosine), torch.matmul(left - right, sine)
            powers.append((real.square() + imaginary.square()).transpose(1, 2))
        return torch.cat(powers, dim=2)

    def _transform(self, flat: Tensor, band: int) -> Tensor:
        """The same by a Fourier transform."""
        window, bins = self.windows[band], self._bins[band]
        spectrum = torch.stft(
            flat,
            window,
            hop_length=self.hop_length,
            window=self.get_buffer(f"window{band}"),
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )[:, bins.start : bins.stop]
        return (spectrum.real.square() + spectrum.imag.square()) * self.get_buffer(f"scale{band}")

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.settings().items())


def _check_settings(
    sample_rate: int, windows: tuple[int, ...], edges: tuple[float, ...], hop_length: int, floor: float
) -> None:
    if not windows or any(window < 2 or window % 2 for window in windows):
        raise InputError(f"windows are {windows}; expected even numbers of samples, one a band")
    if len(edges) != len(windows) - 1:
        raise InputError(
            f"there are {len(windows)} windows and {len(edges)} edges; expected an edge between any two bands"
        )
    ascending = [0.0, *edges, sample_rate / 2]
    if any(low >= high for low, high in pairwise(ascending)):
        raise InputError(f"edges are {edges} Hz; expected ascending numbers between 0 and {sample_rate / 2}")
    if hop_length <= 0:
        raise InputError(f"hop_length is {hop_length}; expected a positive number of samples")
    if floor <= 0:
        raise InputError(f"floor is {floor}; expected a positive power")


def _bins_of_bands(sample_rate: int, windows: tuple[int, ...], edges: tuple[float, ...]) -> list[range]:
    """The Fourier bins of each band: its lower edge belongs to it, its upper edge to the next."""
    found = []
    for window, low, high in zip(windows, (0.0, *edges), (*edges, math.inf), strict=True):
        inside = [k for k in range(window // 2 + 1) if low <= k * sample_rate / window < high]
        if not inside:
            raise InputError(
                f"the window of {window} samples has no Fourier bin between {low} and {high} Hz; use a longer one or "
                "a wider band"
            )
        found.append(range(inside[0], inside[-1] + 1))
    return found


def _amplitudes(window: int, bins: range) -> Tensor:
    """What a bin's magnitude is multiplied by, so that it is the amplitude of a sine at its frequency."""
    scale = torch.full((len(bins),), 2.0, dtype=torch.float64)
    # A constant, and the highest frequency there is, have no mirror image to share their magnitude with.
    scale[[k in (0, window // 2) for k in bins]] = 1.0
    return scale / torch.hann_window(window, dtype=torch.float64).sum()


def _folded_basis(window: int, bins: range) -> tuple[Tensor, Tensor]:
    """Windowed and scaled cosines and sines at samples 1 to the middle of a frame, each ``(window // 2, bins)``."""
    sample = torch.arange(1, window // 2 + 1, dtype=torch.float64)
    phase = 2 * math.pi / window * torch.outer(sample, torch.tensor(bins, dtype=torch.float64))
    weight = torch.hann_window(window, dtype=torch.float64)[1 : window // 2 + 1].clone()
    weight[-1] /= 2  # the middle comes twice
    weighted = weight[:, None] * _amplitudes(window, bins)
    return (weighted * phase.cos()).float(), (weighted * phase.sin()).float()
