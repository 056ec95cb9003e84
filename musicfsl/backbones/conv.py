"""A small convolutional network on log-mel spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.backbones.base import Encoder, seeded_init
from musicfsl.backbones.whitening import Whitening
from musicfsl.errors import InputError
from musicfsl.spectrogram import LogMel

__all__ = ["ConvBackbone", "ConvEncoder"]

# The standard deviation of log-mel values within a clip is about this many decibels; dividing by it brings the
# network's input to the order of 1 without adapting to the loudness range of each clip.
_DECIBELS_PER_UNIT = 13.0

# (frequency, time) strides of the blocks. The first two do most of the saving.
_STRIDES = ((2, 2), (2, 2), (2, 1), (2, 1))


class ConvEncoder(Encoder):
    """Log-mel spectrogram, four strided convolutions, mean and deviation over time, within-class whitening.

    With the default settings it has 60,400 parameters and needs 6 million multiply-adds for 1 s of sound (without
    the spectrogram). Normalisation is by group, never by batch: the embedding of a clip does not depend on which
    others it is embedded with, so no query can leak into another.

    Args:
        sample_rate: of the waves in Hz.
        n_fft: window and Fourier transform length in samples.
        hop_length: samples between frames.
        n_mels: mel bands.
        floor: smallest mel power; 1e-5 is -50 dB, below which recordings differ by their noise.
        widths: channels of the four blocks, multiples of 8.
        seed: of the first weights.

    Shape:
        - input: waves ``(B, 1, n_samples)`` or features ``(B, n_mels, n_frames)``
        - output: ``(B, dim)``, 512 with the default settings

    Reference:
        Y. Wu, K. He, Group normalization, ECCV 2018; statistics pooling: D. Snyder et al., X-vectors: robust DNN
        embeddings for speaker recognition, ICASSP 2018; whitening: see `Whitening`.

    Example:
        >>> encoder = ConvEncoder()
        >>> encoder(torch.zeros(2, 1, 16000)).shape
        torch.Size([2, 512])
    """

    name = "conv"
    front_end: LogMel
    backbone: ConvBackbone

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        hop_length: int = 256,
        n_mels: int = 64,
        floor: float = 1e-5,
        widths: Sequence[int] = (16, 32, 64, 64),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.front_end = LogMel(sample_rate, n_fft, hop_length=hop_length, n_mels=n_mels, f_min=0.0, floor=floor)
        with seeded_init(seed):
            self.backbone = ConvBackbone(n_mels, widths)
        self.widths = tuple(widths)
        self.dim = self.backbone.whitening.dim

    @property
    def whitening(self) -> Whitening:
        return self.backbone.whitening

    def settings(self) -> dict[str, Any]:
        front_end = self.front_end
        return {
            "sample_rate": front_end.sample_rate,
            "n_fft": front_end.n_fft,
            "hop_length": front_end.hop_length,
            "n_mels": front_end.n_mels,
            "floor": front_end.floor,
            "widths": list(self.widths),
        }


class ConvBackbone(nn.Module):
    """The network behind `ConvEncoder`.

    Args:
        n_mels: mel bands of the input.
        widths: channels of the four blocks.

    Shape:
        - input: ``(B, n_mels, n_frames)`` in decibels
        - output: ``(B, dim)``, with ``dim`` twice the last width times the bands that the strides leave
    """

    def __init__(self, n_mels: int, widths: Sequence[int]) -> None:
        super().__init__()
        if len(widths) != len(_STRIDES) or any(width % 8 or width <= 0 for width in widths):
            raise InputError(f"widths are {tuple(widths)}; expected {len(_STRIDES)} multiples of 8")
        layers: list[nn.Module] = []
        channels, bands = 1, n_mels
        for width, stride in zip(widths, _STRIDES, strict=True):
            layers += [nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False), nn.GroupNorm(8, width)]
            layers += [nn.ReLU()]
            channels, bands = width, (bands - 1) // stride[0] + 1
        dim = 2 * channels * bands
        self.blocks = nn.Sequential(*layers)
        self.normalize = nn.LayerNorm(dim, elementwise_affine=False)
        self.whitening = Whitening(dim)

    def forward(self, features: Tensor) -> Tensor:
        embedding: Tensor = self.whitening(self.raw(features))
        return embedding

    def raw(self, features: Tensor) -> Tensor:
        """The embedding before it is whitened, ``(B, dim)``."""
        # Subtracting the clip's mean level takes out how loud it was recorded.
        level = features.mean(dim=(1, 2), keepdim=True)
        x = self.blocks(((features - level) / _DECIBELS_PER_UNIT).unsqueeze(1))  # (B, channels, bands, frames)
        x = x.flatten(1, 2)  # (B, channels * bands, frames): pitch is kept, only time is averaged
        deviation = (x.var(dim=-1, unbiased=False) + 1e-5).sqrt()
        embedding: Tensor = self.normalize(torch.cat([x.mean(dim=-1), deviation], dim=1))
        return embedding
