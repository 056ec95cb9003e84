"""The log-mel front end, on `torch.stft` alone.

It equals `torchaudio.transforms.MelSpectrogram` (a test holds it to that), but needs no torchaudio,
runs wherever torch runs, and carries its settings with it so that weights and stored features can be
checked against one another.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError

__all__ = ["LogMel", "MelScale", "check_wave", "hz_to_mel", "mel_filter_bank", "mel_to_hz"]

MelScale = Literal["htk", "slaney"]

# The slaney scale is linear below 1 kHz (200/3 Hz a mel) and logarithmic above (27 mels for a factor of 6.4).
_SLANEY_HZ_PER_MEL = 200.0 / 3.0
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_BREAK_MEL = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL
_SLANEY_LOG_STEP = math.log(6.4) / 27.0


class LogMel(nn.Module):
    """Log-scaled mel spectrogram in decibels.

    Power spectrogram of Hann windows, triangular mel filters, then ``10 log10(max(mel, floor))``.
    Computed in float32 also under autocast, since the squares of quiet sounds leave the range of half precision.

    Args:
        sample_rate: of the waves in Hz.
        n_fft: length of the Fourier transform in samples.
        win_length: length of the window in samples; None is ``n_fft``.
        hop_length: samples between frames.
        n_mels: number of mel bands.
        f_min: lower edge of the lowest band in Hz.
        f_max: upper edge of the highest band in Hz; None is half the sample rate.
        mel_scale: ``"htk"`` (2595 log10(1 + f / 700)) or ``"slaney"`` (linear below 1 kHz).
        norm: ``"slaney"`` divides every filter by its width in Hz; None leaves their peaks at 1.
        floor: smallest mel power, which limits the decibels from below (1e-8 is -80 dB).

    Shape:
        - input: ``(..., 1, n_samples)``, float, with more than ``n_fft // 2`` samples
        - output: ``(..., n_mels, 1 + n_samples // hop_length)``, float32, decibels relative to power 1

    Raises:
        InputError: a setting is out of range, or a wave has the wrong shape or is too short.

    Reference:
        D. O'Shaughnessy, Speech Communication: Human and Machine, Addison-Wesley, 1987 (the mel formula);
        M. Slaney, Auditory Toolbox, Interval Research, 1998 (the other scale and the normalisation).

    Example:
        >>> front_end = LogMel(sample_rate=16000, n_fft=400, hop_length=160, n_mels=64)
        >>> front_end(torch.zeros(8, 1, 16000)).shape
        torch.Size([8, 64, 101])
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        win_length: int | None = None,
        hop_length: int = 160,
        n_mels: int = 64,
        f_min: float = 30.0,
        f_max: float | None = None,
        mel_scale: MelScale = "htk",
        norm: Literal["slaney"] | None = None,
        floor: float = 1e-8,
    ) -> None:
        super().__init__()
        win_length = n_fft if win_length is None else win_length
        f_max = sample_rate / 2 if f_max is None else float(f_max)
        if not 0 < win_length <= n_fft:
            raise InputError(f"win_length is {win_length}; expected 1 to n_fft ({n_fft}) samples")
        if hop_length <= 0:
            raise InputError(f"hop_length is {hop_length}; expected a positive number of samples")
        if floor <= 0:
            raise InputError(f"floor is {floor}; expected a positive power")
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.win_length = win_length
        self.hop_length = hop_length
        self.n_mels = n_mels
        self.f_min = float(f_min)
        self.f_max = f_max
        self.mel_scale = mel_scale
        self.norm = norm
        self.floor = floor
        self.register_buffer("window", torch.hann_window(win_length), persistent=False)
        self.register_buffer(
            "filters",
            mel_filter_bank(sample_rate, n_fft, n_mels, self.f_min, self.f_max, mel_scale, norm),
            persistent=False,
        )

    @property
    def n_features(self) -> int:
        """Number of values a frame."""
        return self.n_mels

    @property
    def silence(self) -> float:
        """The value of silence in decibels, the lowest there is."""
        return 10.0 * math.log10(self.floor)

    def settings(self) -> dict[str, Any]:
        """The arguments that build this front end again, as JSON can hold them."""
        return {
            "sample_rate": self.sample_rate,
            "n_fft": self.n_fft,
            "win_length": self.win_length,
            "hop_length": self.hop_length,
            "n_mels": self.n_mels,
            "f_min": self.f_min,
            "f_max": self.f_max,
            "mel_scale": self.mel_scale,
            "norm": self.norm,
            "floor": self.floor,
        }

    def n_frames(self, n_samples: int) -> int:
        """Frames that a wave of ``n_samples`` gives.

        Example:
            >>> LogMel(hop_length=160).n_frames(16000)
            101
        """
        return 1 + n_samples // self.hop_length

    def mel(self, wave: Tensor) -> Tensor:
        """Mel power spectrogram, before the logarithm: ``(..., 1, n)`` to ``(..., n_mels, frames)``."""
        check_wave(wave, self.n_fft, "n_fft")
        # Autocast has no half-precision Fourier transform; both steps stay in float32.
        with torch.autocast(device_type=wave.device.type, enabled=False):
            flat = wave.float().reshape(-1, wave.shape[-1])  # (batch, n_samples)
            spectrum = torch.stft(
                flat,
                self.n_fft,
                hop_length=self.hop_length,
                win_length=self.win_length,
                window=self.window,
                center=True,
                pad_mode="reflect",
                return_complex=True,
            )
            power = spectrum.real.square() + spectrum.imag.square()  # (batch, n_fft // 2 + 1, frames)
            mel = torch.matmul(self.filters, power)  # (batch, n_mels, frames)
        return mel.reshape(*wave.shape[:-2], *mel.shape[-2:])

    def forward(self, wave: Tensor) -> Tensor:
        return 10.0 * torch.log10(self.mel(wave).clamp(min=self.floor))

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.settings().items())


def check_wave(wave: Tensor, longest: int, called: str) -> None:
    """Makes sure that a wave can be cut into frames of ``longest`` samples, whose setting is ``called`` so.

    Raises:
        InputError: it has the wrong shape or type, or is too short.
    """
    if wave.dim() < 2 or wave.shape[-2] != 1 or not wave.is_floating_point():
        raise InputError(
            f"the wave is {wave.dtype} of shape {tuple(wave.shape)}; expected float (..., 1, n_samples), "
            "so mix stereo to mono and add the channel axis with wave.unsqueeze(-2)"
        )
    if wave.shape[-1] <= longest // 2:
        raise InputError(
            f"the wave has {wave.shape[-1]} samples; with {called} {longest} it needs more than {longest // 2}"
        )


def mel_filter_bank(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    f_min: float,
    f_max: float,
    mel_scale: MelScale = "htk",
    norm: Literal["slaney"] | None = None,
) -> Tensor:
    """Triangular filters that are equally wide and half overlapping on the mel scale.

    Args:
        sample_rate: in Hz.
        n_fft: length of the Fourier transform in samples.
        n_mels: number of filters.
        f_min: lower edge of the first filter in Hz.
        f_max: upper edge of the last filter in Hz.
        mel_scale: ``"htk"`` or ``"slaney"``.
        norm: ``"slaney"`` scales every filter to area 1 (in Hz, up to a factor of 2); None to peak 1.

    Returns:
        float32 ``(n_mels, n_fft // 2 + 1)``.

    Raises:
        InputError: an edge lies outside 0 to half the sample rate, or the bands are so narrow that one
            covers no Fourier bin.

    Example:
        >>> mel_filter_bank(16000, 512, 40, 0.0, 8000.0).shape
        torch.Size([40, 257])
    """
    if mel_scale not in ("htk", "slaney"):
        raise InputError(f"mel_scale is '{mel_scale}'; expected 'htk' or 'slaney'")
    if norm not in (None, "slaney"):
        raise InputError(f"norm is '{norm}'; expected 'slaney' or None")
    if not 0 <= f_min < f_max <= sample_rate / 2:
        raise InputError(f"the band edges are {f_min} and {f_max} Hz; expected 0 <= f_min < f_max <= {sample_rate / 2}")
    mels = torch.linspace(hz_to_mel(f_min, mel_scale), hz_to_mel(f_max, mel_scale), n_mels + 2, dtype=torch.float64)
    edges = mel_to_hz(mels, mel_scale)  # (n_mels + 2,)
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp(min=0)
    if (filters.max(dim=1).values == 0).any():
        raise InputError(
            f"{n_mels} mel bands are too narrow for n_fft {n_fft} at {sample_rate} Hz: a band covers no Fourier bin; "
            "use fewer bands, a longer n_fft or a higher f_min"
        )
    if norm == "slaney":
        filters = filters * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return filters.float()


def hz_to_mel(hz: float, scale: MelScale) -> float:
    """A frequency in Hz on the mel scale, ``"htk"`` or ``"slaney"``."""
    if scale == "htk":
        return 2595.0 * math.log10(1.0 + hz / 700.0)
    if hz < _SLANEY_BREAK_HZ:
        return hz / _SLANEY_HZ_PER_MEL
    return _SLANEY_BREAK_MEL + math.log(hz / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP


def mel_to_hz(mel: Tensor, scale: MelScale) -> Tensor:
    """Frequencies in Hz of values on the mel scale."""
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    linear = mel * _SLANEY_HZ_PER_MEL
    logarithmic = _SLANEY_BREAK_HZ * torch.exp(_SLANEY_LOG_STEP * (mel - _SLANEY_BREAK_MEL))
    return torch.where(mel < _SLANEY_BREAK_MEL, linear, logarithmic)
