"""The classical baseline: mel-frequency cepstral coefficients, averaged over time."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.backbones.base import Encoder
from musicfsl.errors import InputError
from musicfsl.spectrogram import LogMel

__all__ = ["MfccEncoder"]


class MfccEncoder(Encoder):
    """Mean over time of the first cepstral coefficients; nothing is learned.

    What a trained encoder must beat. For a fair comparison standardise its embeddings
    (`musicfsl.Standardizer`), since the first coefficients are much larger than the last.

    Args:
        sample_rate: of the waves in Hz.
        n_mfcc: coefficients, at most ``n_mels``.
        n_mels: mel bands (Slaney's scale and normalisation, as librosa's MFCC has them).
        n_fft: length of the Fourier transform in samples.
        hop_length: samples between frames.

    Shape:
        - input: ``(B, 1, n_samples)`` or log-mel features ``(B, n_mels, n_frames)``
        - output: ``(B, n_mfcc)``

    Reference:
        S. Davis, P. Mermelstein, Comparison of parametric representations for monosyllabic word recognition,
        IEEE Transactions on Acoustics, Speech, and Signal Processing 28(4), 1980.

    Example:
        >>> MfccEncoder()(torch.zeros(2, 1, 16000)).shape
        torch.Size([2, 20])
    """

    name = "mfcc"
    front_end: LogMel

    def __init__(
        self, sample_rate: int = 16000, n_mfcc: int = 20, n_mels: int = 128, n_fft: int = 2048, hop_length: int = 512
    ) -> None:
        super().__init__()
        if not 0 < n_mfcc <= n_mels:
            raise InputError(f"n_mfcc is {n_mfcc}; expected 1 to n_mels ({n_mels})")
        self.front_end = LogMel(
            sample_rate, n_fft, hop_length=hop_length, n_mels=n_mels, f_min=0.0, mel_scale="slaney", norm="slaney",
            floor=1e-10,
        )  # fmt: skip
        self.backbone = _MeanCepstrum(n_mels, n_mfcc)
        self.dim = n_mfcc

    def settings(self) -> dict[str, Any]:
        return {
            "sample_rate": self.sample_rate,
            "n_mfcc": self.dim,
            "n_mels": self.front_end.n_mels,
            "n_fft": self.front_end.n_fft,
            "hop_length": self.front_end.hop_length,
        }


class _MeanCepstrum(nn.Module):
    """Orthonormal discrete cosine transform over the bands, then the mean over time."""

    basis: Tensor

    def __init__(self, n_mels: int, n_mfcc: int) -> None:
        super().__init__()
        self.register_buffer("basis", _cosine_basis(n_mels, n_mfcc), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return features.mean(dim=-1) @ self.basis.T  # the transform is linear: averaging first is the same, and quicker


def _cosine_basis(n_bands: int, n_coefficients: int) -> Tensor:
    """The first vectors of the orthonormal discrete cosine transform (type II), ``(n_coefficients, n_bands)``."""
    band = torch.arange(n_bands, dtype=torch.float64) + 0.5
    order = torch.arange(n_coefficients, dtype=torch.float64)
    basis = torch.cos(math.pi / n_bands * order[:, None] * band) * math.sqrt(2.0 / n_bands)
    basis[:1] /= math.sqrt(2.0)
    return basis.float()
