"""Pretrained CNN14 features of several frequency bands, fused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, interpolate

from musicfsl.backbones._panns_checkpoints import read_panns
from musicfsl.backbones.base import Encoder, seeded_init
from musicfsl.backbones.cnn14 import PANNS_WIDTHS, Cnn14Trunk, fill_trunk
from musicfsl.errors import InputError
from musicfsl.multiband import MultiBand

__all__ = ["PannsMultiBand", "PannsMultiBandBackbone"]

# The standard deviation of the features within a clip is about this many decibels.
_DECIBELS_PER_UNIT = 15.0
_ROWS = 64  # of the spectrograms that the trunk was trained on


class PannsMultiBand(Encoder):
    """Three log-spectrogram bands, the blocks of CNN14 on each with the same weights, then one layer that fuses them.

    Each band is stretched to the 64 rows that CNN14 was trained on, and two frames are averaged into one, which makes
    them 10 ms like CNN14's. The blocks and their last layer can be the published ones (`from_pretrained`); the scale
    of every row and the fusing layer are new, and learn in the first phase of a training in two phases. Three
    bands cost three times what `Cnn14` costs.

    Args:
        sample_rate: of the waves in Hz.
        windows: of the bands in samples; see `musicfsl.MultiBand`.
        edges: between the bands in Hz.
        hop_length: samples between frames.
        floor: smallest power.
        frames_averaged: frames that are averaged into one of CNN14's.
        widths: channels of the six blocks.
        trunk_dim: size of CNN14's embedding of one band.
        dim: size of an embedding.
        dropout: after every block in training, a probability.
        embedding_dropout: before and after CNN14's last layer in training, a probability.
        seed: of the first weights and of dropout.

    Shape:
        - input: waves ``(B, 1, n_samples)`` or features ``(B, n_features, n_frames)``
        - output: ``(B, dim)``, not negative

    Raises:
        InputError: a setting is out of range.

    Reference:
        See `Cnn14` and `musicfsl.MultiBand`.

    Example:
        >>> encoder = PannsMultiBand(widths=(4, 4, 8, 8, 16, 16), trunk_dim=32, dim=24).eval()
        >>> encoder(torch.zeros(2, 1, 22050)).shape
        torch.Size([2, 24])
    """

    name = "panns_multiband"
    front_end: MultiBand
    backbone: PannsMultiBandBackbone

    def __init__(
        self,
        sample_rate: int = 22050,
        windows: Sequence[int] = (1024, 512, 256),
        edges: Sequence[float] = (1000.0, 4000.0),
        hop_length: int = 110,
        floor: float = 1e-10,
        frames_averaged: int = 2,
        widths: Sequence[int] = PANNS_WIDTHS,
        trunk_dim: int = 2048,
        dim: int = 512,
        dropout: float = 0.2,
        embedding_dropout: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.front_end = MultiBand(sample_rate, windows, edges, hop_length, floor)
        with seeded_init(seed):
            trunk = Cnn14Trunk(widths, trunk_dim, dropout, embedding_dropout, seed)
            self.backbone = PannsMultiBandBackbone(self.front_end.band_slices, trunk, trunk_dim, dim, frames_averaged)
        self.frames_averaged = frames_averaged
        self.widths = tuple(widths)
        self.trunk_dim = trunk_dim
        self.dim = dim
        self.dropout = dropout
        self.embedding_dropout = embedding_dropout
        self.seed = seed

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = True,
        **settings: Any,
    ) -> PannsMultiBand:
        """Takes the blocks and the last layer from published weights; the rest begins at its first weights.

        Args:
            name_or_path: as for `Cnn14.from_pretrained`. The weights of either rate will do.
            cache_dir: folder for downloads; see `musicfsl.caching.cache_root`.
            progress: show the progress of a download.
            settings: keyword arguments of the constructor.

        Returns:
            the encoder in evaluation mode on the CPU.

        Raises:
            InputError: the name is unknown, or the settings are out of range.
            CheckpointError: as for `Cnn14.from_pretrained`.
        """
        weights = read_panns(name_or_path, cache_dir=cache_dir, progress=progress)
        encoder = cls(**settings)
        fill_trunk(encoder.backbone.trunk, weights)
        return encoder.eval()

    def pretrained_parts(self) -> list[nn.Module]:
        """CNN14's blocks and last layer; the scale of the rows and the fusing layer are new to a task."""
        return [self.backbone.trunk]

    def settings(self) -> dict[str, Any]:
        return {
            **self.front_end.settings(),
            "frames_averaged": self.frames_averaged,
            "widths": list(self.widths),
            "trunk_dim": self.trunk_dim,
            "dim": self.dim,
            "dropout": self.dropout,
            "embedding_dropout": self.embedding_dropout,
            "seed": self.seed,
        }


class PannsMultiBandBackbone(nn.Module):
    """The network behind `PannsMultiBand`.

    Args:
        bands: where each band lies along the feature axis.
        trunk: of CNN14.
        trunk_dim: size of what it gives.
        dim: size of an embedding.
        frames_averaged: frames that are averaged into one of CNN14's.

    Shape:
        - input: ``(B, n_features, n_frames)`` in decibels
        - output: ``(B, dim)``
    """

    def __init__(
        self, bands: Sequence[slice], trunk: Cnn14Trunk, trunk_dim: int, dim: int, frames_averaged: int
    ) -> None:
        super().__init__()
        if frames_averaged < 1:
            raise InputError(f"frames_averaged is {frames_averaged}; expected 1 or more")
        if dim < 1:
            raise InputError(f"dim is {dim}; expected 1 or more")
        self.bands = list(bands)
        self.frames_averaged = frames_averaged
        # What CNN14's normalisation of its input does for the bands it knows, which are not these.
        self.weight = nn.Parameter(torch.ones(len(bands), 1, _ROWS))
        self.bias = nn.Parameter(torch.zeros(len(bands), 1, _ROWS))
        self.trunk = trunk
        self.fusion = nn.Sequential(nn.Linear(len(bands) * trunk_dim, dim), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        level = features.mean(dim=(1, 2), keepdim=True)
        x = avg_pool1d((features - level) / _DECIBELS_PER_UNIT, self.frames_averaged, ceil_mode=True)
        x = torch.stack([_stretched(x[:, band]) for band in self.bands], dim=1)  # (B, bands, frames, 64)
        x = x * self.weight + self.bias
        z = self.trunk(x.flatten(0, 1).unsqueeze(1))  # (B * bands, trunk_dim): all bands in one pass
        embedding: Tensor = self.fusion(z.reshape(len(features), -1))
        return embedding


def _stretched(band: Tensor) -> Tensor:
    """A band ``(B, bins, frames)`` with its bins interpolated to 64 rows, as ``(B, frames, 64)``."""
    return interpolate(band.transpose(1, 2), size=_ROWS, mode="linear", align_corners=True)
