"""A convolutional branch for each frequency band, fused into one embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.backbones.base import Encoder, seeded_init
from musicfsl.errors import InputError
from musicfsl.multiband import MultiBand

__all__ = ["MultiBandBackbone", "MultiBandCNN"]

# The standard deviation of the features within a clip is about this many decibels.
_DECIBELS_PER_UNIT = 15.0


class MultiBandCNN(Encoder):
    """Three log-spectrogram bands, a branch of four strided convolutions each, then one layer that fuses them.

    With the default settings it has 640,784 parameters and needs 18 million multiply-adds for 1 s of sound (without
    the spectrograms). Normalisation is by group, so the embedding of a clip does not depend on its neighbours.

    Args:
        sample_rate: of the waves in Hz.
        windows: of the bands in samples; see `musicfsl.MultiBand`.
        edges: between the bands in Hz.
        hop_length: samples between frames.
        floor: smallest power.
        widths: channels of the four blocks of a branch, multiples of 8.
        dim: size of an embedding.
        seed: of the first weights.

    Shape:
        - input: waves ``(B, 1, n_samples)`` or features ``(B, n_features, n_frames)``
        - output: ``(B, dim)``, not negative

    Raises:
        InputError: a setting is out of range.

    Reference:
        Y. Han, J. Kim, K. Lee, Deep convolutional neural networks for predominant instrument recognition in
        polyphonic music, IEEE/ACM Transactions on Audio, Speech, and Language Processing 25(1), 2017 (one band);
        Y. Wu, K. He, Group normalization, ECCV 2018.

    Example:
        >>> encoder = MultiBandCNN()
        >>> encoder(torch.zeros(2, 1, 22050)).shape
        torch.Size([2, 256])
    """

    name = "multiband_cnn"
    front_end: MultiBand
    backbone: MultiBandBackbone

    def __init__(
        self,
        sample_rate: int = 22050,
        windows: Sequence[int] = (1024, 512, 256),
        edges: Sequence[float] = (1000.0, 4000.0),
        hop_length: int = 110,
        floor: float = 1e-10,
        widths: Sequence[int] = (16, 32, 64, 64),
        dim: int = 256,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.front_end = MultiBand(sample_rate, windows, edges, hop_length, floor)
        with seeded_init(seed):
            self.backbone = MultiBandBackbone(self.front_end.band_slices, widths, dim)
        self.widths = tuple(widths)
        self.dim = dim

    def pretrained_parts(self) -> list[nn.Module]:
        """The branches; the layer that fuses them is new to a task."""
        return [self.backbone.branches]

    def settings(self) -> dict[str, Any]:
        return {**self.front_end.settings(), "widths": list(self.widths), "dim": self.dim}


class MultiBandBackbone(nn.Module):
    """The network behind `MultiBandCNN`.

    Args:
        bands: where each band lies along the feature axis.
        widths: channels of the four blocks of a branch, multiples of 8.
        dim: size of an embedding.

    Shape:
        - input: ``(B, n_features, n_frames)`` in decibels
        - output: ``(B, dim)``
    """

    def __init__(self, bands: Sequence[slice], widths: Sequence[int], dim: int) -> None:
        super().__init__()
        if not widths or any(width % 8 or width <= 0 for width in widths):
            raise InputError(f"widths are {tuple(widths)}; expected multiples of 8")
        if dim < 1:
            raise InputError(f"dim is {dim}; expected 1 or more")
        self.bands = list(bands)
        self.branches = nn.ModuleList(_branch(widths) for _ in bands)
        rows = [_rows_left(band.stop - band.start, len(widths)) for band in bands]
        self.fusion = nn.Sequential(nn.Linear(2 * widths[-1] * sum(rows), dim), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        # Subtracting the clip's mean level takes out how loud it was recorded, and keeps how bands compare.
        level = features.mean(dim=(1, 2), keepdim=True)
        x = ((features - level) / _DECIBELS_PER_UNIT).unsqueeze(1)
        summaries = []
        for band, branch in zip(self.bands, self.branches, strict=True):
            y = branch(x[:, :, band]).flatten(1, 2)  # (B, channels * rows, frames): pitch is kept, time is summed up
            summaries += [y.mean(dim=-1), y.amax(dim=-1)]  # what lasts and what stands out
        embedding: Tensor = self.fusion(torch.cat(summaries, dim=1))
        return embedding


def _branch(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in zip((1, *widths), widths, strict=False):
        if not layers:  # sees 7 frames (35 ms) and strides by 4, which does most of the saving
            convolution = nn.Conv2d(n_in, n_out, (3, 7), stride=(2, 4), padding=(1, 3), bias=False)
        else:
            convolution = nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False)
        layers += [convolution, nn.GroupNorm(8, n_out), nn.ReLU()]
    return nn.Sequential(*layers)


def _rows_left(n: int, n_blocks: int) -> int:
    """Rows that remain of ``n`` after the strides by two."""
    for _ in range(n_blocks):
        n = (n - 1) // 2 + 1
    return n
