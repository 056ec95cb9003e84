"""Kaldi's filter bank as a front end: what Audio Spectrogram Transformers were trained on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError

__all__ = ["KaldiFilterBank", "kaldi_mel_filters"]

# Smallest mel energy before the logarithm: the spacing of float32 numbers at 1, as Kaldi has it.
_FLOOR = 2.0**-23

# What is copied of the frames stays in the processor's cache, and long recordings need little memory.
_FRAMES_AT_ONCE = 1024


class KaldiFilterBank(nn.Module):
    """Log-mel filter bank as Kaldi computes it, normalised to the order of 1.

    Equal to transformers' ``ASTFeatureExtractor``, to which tests hold it with torchaudio and without, but computed
    for a batch, on the device where the waves lie, and for as many frames as a clip has: `pad` appends what the
    extractor fills clips up with. It differs from `musicfsl.LogMel` in

    - framing: frames lie within the wave and nothing is padded, so 1 s has 98 of them, not 101, and frame *i* begins
      (rather than is centred) at sample ``i * hop_length``;
    - every frame has its mean subtracted (removal of the DC offset), then ``x[t] - preemphasis * x[t - 1]``
      (pre-emphasis, where the first sample is its own predecessor), and only then the window;
    - the window: a symmetric Hann window, which ends in 0 at both ends, not a periodic one;
    - the Fourier transform: windows are filled with zeros to the next power of two (400 to 512 samples);
    - the mel scale: 1127 ln(1 + f / 700), which is HTK's, but the triangles are straight lines in mel, not in Hz; a
      band that covers no Fourier bin (of 128 the fourth) is no error, but always holds the floor;
    - the logarithm: natural, of ``max(energy, 2**-23)``, not decibels;
    - at last ``(x - mean) / (2 * std)`` with the mean and standard deviation of the data that a model was trained on.

    Computed in float32 also under autocast, and on a module in half precision.

    Args:
        sample_rate: of the waves in Hz.
        n_mels: number of mel bands.
        win_length: length of a frame in samples (25 ms at 16 kHz).
        hop_length: samples between frames (10 ms at 16 kHz).
        f_min: lower edge of the lowest band in Hz.
        f_max: upper edge of the highest band in Hz; None is half the sample rate.
        preemphasis: 0 (none) to 1.
        mean: of the log energies, AudioSet's by default; 0 with ``std`` 0.5 leaves them as they are.
        std: their standard deviation.

    Shape:
        - input: ``(..., 1, n_samples)``, float in [-1, 1], with ``win_length`` samples or more
        - output: ``(..., n_mels, 1 + (n_samples - win_length) // hop_length)``, float32

    Raises:
        InputError: a setting is out of range, or a wave has the wrong shape or is too short.

    Reference:
        D. Povey et al., The Kaldi speech recognition toolkit, ASRU 2011 (``compute-fbank-feats``); the normalisation:
        Y. Gong, Y.-A. Chung, J. Glass, AST: Audio Spectrogram Transformer, Interspeech 2021.

    Example:
        >>> front_end = KaldiFilterBank()
        >>> features = front_end(torch.zeros(8, 1, 16000))
        >>> features.shape, front_end.pad(features, 1024).shape
        (torch.Size([8, 128, 98]), torch.Size([8, 128, 1024]))
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mels: int = 128,
        win_length: int = 400,
        hop_length: int = 160,
        f_min: float = 20.0,
        f_max: float | None = None,
        preemphasis: float = 0.97,
        mean: float = -4.2677393,
        std: float = 4.5689974,
    ) -> None:
        super().__init__()
        f_max = sample_rate / 2 if f_max is None else float(f_max)
        if win_length < 2 or hop_length < 1:
            raise InputError(
                f"win_length is {win_length} and hop_length {hop_length}; expected 2 or more, and 1 or more"
            )
        if not 0 <= preemphasis <= 1:
            raise InputError(f"preemphasis is {preemphasis}; expected 0 to 1")
        if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
            raise InputError(f"mean is {mean} and std {std}; expected finite numbers, std above 0")
        self.sample_rate = sample_rate
        self.n_mels = n_mels
        self.win_length = win_length
        self.hop_length = hop_length
        self.f_min = float(f_min)
        self.f_max = f_max
        self.preemphasis = float(preemphasis)
        self.mean = float(mean)
        self.std = float(std)
        self.n_fft = 1 << (win_length - 1).bit_length()  # the next power of two
        filters = kaldi_mel_filters(sample_rate, self.n_fft, n_mels, self.f_min, f_max)
        self.register_buffer("window", torch.hann_window(win_length, periodic=False), persistent=False)
        self.register_buffer("filters", filters, persistent=False)

    @property
    def n_features(self) -> int:
        """Number of values a frame."""
        return self.n_mels

    @property
    def silence(self) -> float:
        """The value of silence, the lowest there is."""
        return self._normalized(math.log(_FLOOR))

    @property
    def padding(self) -> float:
        """The value of frames that `pad` appends: a log energy of 0, which is a loud one."""
        return self._normalized(0.0)

    @property
    def decibel(self) -> float:
        """What a decibel of sound is in units of the features."""
        return math.log(10.0) / 10.0 / (2.0 * self.std)

    def settings(self) -> dict[str, Any]:
        """The arguments that build this front end again, as JSON can hold them."""
        return {
            "sample_rate": self.sample_rate,
            "n_mels": self.n_mels,
            "win_length": self.win_length,
            "hop_length": self.hop_length,
            "f_min": self.f_min,
            "f_max": self.f_max,
            "preemphasis": self.preemphasis,
            "mean": self.mean,
            "std": self.std,
        }

    def n_frames(self, n_samples: int) -> int:
        """Frames that a wave of ``n_samples`` gives; 0 where it is shorter than one.

        Example:
            >>> KaldiFilterBank().n_frames(16000)
            98
        """
        return max(0, 1 + (n_samples - self.win_length) // self.hop_length)

    def n_samples(self, n_frames: int) -> int:
        """Samples of the shortest wave that gives ``n_frames``.

        Example:
            >>> KaldiFilterBank().n_samples(98)
            15920
        """
        return self.win_length + (n_frames - 1) * self.hop_length

    def pad(self, features: Tensor, n_frames: int) -> Tensor:
        """Features cut, or filled at the end, to ``n_frames`` as transformers' ``ASTFeatureExtractor`` does it.

        Args:
            features: ``(..., n_mels, frames)``.
            n_frames: number of frames that is wanted.

        Returns:
            ``(..., n_mels, n_frames)``.
        """
        n = features.shape[-1]
        return nn.functional.pad(features, (0, n_frames - n), value=self.padding)

    def forward(self, wave: Tensor) -> Tensor:
        self._check(wave)
        # Autocast has no half-precision Fourier transform; all steps stay in float32.
        with torch.autocast(device_type=wave.device.type, enabled=False):
            flat = wave.float().reshape(-1, wave.shape[-1])  # (batch, n_samples)
            frames = flat.unfold(-1, self.win_length, self.hop_length)  # (batch, n_frames, win_length), a view
            parts = torch.split(frames, max(1, _FRAMES_AT_ONCE // max(1, len(flat))), dim=1)
            log_energy = torch.cat([self._log_energy(part) for part in parts], dim=1)  # (batch, n_frames, n_mels)
        features = self._normalized(log_energy)
        return features.reshape(*wave.shape[:-2], -1, self.n_mels).transpose(-1, -2)

    def _log_energy(self, frames: Tensor) -> Tensor:
        """Frames ``(..., win_length)`` to ``(..., n_mels)``."""
        frames = frames - frames.mean(dim=-1, keepdim=True)
        # The first sample is left out: the window is 0 there, and the power does not know where a frame begins.
        sharper = torch.sub(frames[..., 1:], frames[..., :-1], alpha=self.preemphasis)
        spectrum = torch.fft.rfft(sharper.mul_(self.window[1:]), n=self.n_fft)
        power = spectrum.real.square() + spectrum.imag.square()  # (..., n_fft // 2 + 1)
        return torch.matmul(power, self.filters.T).clamp(min=_FLOOR).log()

    def _normalized(self, x: Any) -> Any:
        return (x - self.mean) / (2.0 * self.std)

    def _check(self, wave: Tensor) -> None:
        if wave.dim() < 2 or wave.shape[-2] != 1 or not wave.is_floating_point():
            raise InputError(
                f"the wave is {wave.dtype} of shape {tuple(wave.shape)}; expected float (..., 1, n_samples), "
                "so mix stereo to mono and add the channel axis with wave.unsqueeze(-2)"
            )
        if wave.shape[-1] < self.win_length:
            raise InputError(
                f"the wave has {wave.shape[-1]} samples, but a frame of Kaldi's filter bank {self.win_length}, and "
                "nothing is padded; give a longer wave"
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> KaldiFilterBank:
        """Moves the tables to another device, but not to half precision, which would spoil quiet bands unnoticed."""
        super()._apply(lambda table: table.to(fn(table).device), recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.settings().items())


def kaldi_mel_filters(sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> Tensor:
    """Kaldi's filters: triangles that are equally wide, half overlapping and straight on the mel scale.

    Args:
        sample_rate: in Hz.
        n_fft: length of the Fourier transform in samples.
        n_mels: number of filters.
        f_min: lower edge of the first filter in Hz.
        f_max: upper edge of the last filter in Hz.

    Returns:
        float32 ``(n_mels, n_fft // 2 + 1)``; rows of filters that cover no Fourier bin are 0, as in Kaldi.

    Raises:
        InputError: there is no filter, or an edge lies outside 0 to half the sample rate.

    Example:
        >>> filters = kaldi_mel_filters(16000, 512, 128, 20.0, 8000.0)
        >>> filters.shape, int((filters.sum(dim=1) == 0).sum())
        (torch.Size([128, 257]), 1)
    """
    if n_mels < 1:
        raise InputError(f"n_mels is {n_mels}; expected 1 or more")
    if not 0 <= f_min < f_max <= sample_rate / 2:
        raise InputError(f"the band edges are {f_min} and {f_max} Hz; expected 0 <= f_min < f_max <= {sample_rate / 2}")
    low, high = (1127.0 * math.log1p(hz / 700.0) for hz in (f_min, f_max))
    bins = 1127.0 * torch.log1p(torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64) / 700.0)
    width = (high - low) / (n_mels + 1)  # half of a triangle's base
    centres = low + width * torch.arange(1, n_mels + 1, dtype=torch.float64)
    return (1 - (bins - centres[:, None]).abs() / width).clamp(min=0).float()
