"""CNN14 of PANNs: the convolutional network pretrained on AudioSet, as an encoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from musicfsl.backbones._panns_checkpoints import PannsWeights, panns_front_end, read_panns
from musicfsl.backbones.base import Encoder, seeded_init
from musicfsl.dropout import SeededDropout
from musicfsl.errors import InputError
from musicfsl.spectrogram import LogMel

__all__ = ["Cnn14", "Cnn14Backbone", "Cnn14Trunk"]

PANNS_WIDTHS = (64, 128, 256, 512, 1024, 2048)


class Cnn14(Encoder):
    """CNN14 of PANNs: log-mel spectrogram, six blocks of two convolutions, an embedding of 2048 numbers.

    With the default settings it has 80,753,615 parameters and needs 2.0 billion multiply-adds for 1 s of sound;
    ``widths`` and ``dim`` make smaller ones. Its first weights are random: `from_pretrained` brings those published
    for AudioSet (1.9 million clips, 527 classes).

    The network normalises by batch, as published: outside training mode a clip's embedding depends on the clip alone,
    but in training mode on the batch too. Clips of less than 32 frames (0.32 s), of which the five poolings by two
    would leave nothing, are repeated from their start.

    Args:
        sample_rate: of the waves in Hz: 32000, 16000 or 8000.
        widths: channels of the six blocks.
        dim: size of an embedding.
        n_classes: outputs of the classifier behind `tag`; None leaves it out.
        dropout: after every block in training, a probability.
        embedding_dropout: before and after the last layer in training, a probability.
        seed: of the first weights and of dropout.

    Shape:
        - input: waves ``(B, 1, n_samples)`` or features ``(B, 64, n_frames)``
        - output: ``(B, dim)``, not negative

    Raises:
        InputError: a setting is out of range.

    Reference:
        Q. Kong, Y. Cao, T. Iqbal, Y. Wang, W. Wang, M. D. Plumbley, PANNs: large-scale pretrained audio neural
        networks for audio pattern recognition, IEEE/ACM Transactions on Audio, Speech, and Language Processing 28,
        2020. Equal to the authors' implementation (PyPI ``panns-inference``), to which a test holds it.

    Example:
        >>> encoder = Cnn14(sample_rate=16000, widths=(4, 4, 8, 8, 16, 16), dim=32).eval()
        >>> encoder(torch.zeros(2, 1, 16000)).shape, encoder.tag(torch.zeros(2, 1, 16000)).shape
        (torch.Size([2, 32]), torch.Size([2, 527]))
    """

    name = "cnn14"
    front_end: LogMel
    backbone: Cnn14Backbone

    def __init__(
        self,
        sample_rate: int = 32000,
        widths: Sequence[int] = PANNS_WIDTHS,
        dim: int = 2048,
        n_classes: int | None = 527,
        dropout: float = 0.2,
        embedding_dropout: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if n_classes is not None and n_classes < 1:
            raise InputError(f"n_classes is {n_classes}; expected 1 or more, or None for no classifier")
        self.front_end = panns_front_end(sample_rate)
        with seeded_init(seed):
            self.backbone = Cnn14Backbone(self.front_end.n_mels, widths, dim, dropout, embedding_dropout, seed)
            self.classifier = None if n_classes is None else _initialized(nn.Linear(dim, n_classes))
        if self.classifier is not None:
            # It belongs to the classes of AudioSet: other tasks have a classifier of their own, and train that.
            self.classifier.requires_grad_(False)
        self.widths = tuple(widths)
        self.dim = dim
        self.n_classes = n_classes
        self.dropout = dropout
        self.embedding_dropout = embedding_dropout
        self.seed = seed

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        sample_rate: int | None = None,
        widths: Sequence[int] = PANNS_WIDTHS,
        dim: int = 2048,
        n_classes: int = 527,
        dropout: float = 0.2,
        embedding_dropout: float = 0.5,
        seed: int = 0,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> Cnn14:
        """Loads weights in the published layout.

        Args:
            name_or_path: ``"Cnn14_mAP=0.431"`` (32 kHz) or ``"Cnn14_16k_mAP=0.438"``, which are downloaded
                (330 and 360 MB) unless they were before; or the path of such a file.
            sample_rate: the rate that is wanted; None takes what the file was trained at, which its filters tell.
            widths: as for the constructor; published files have the default ones.
            dim: as for the constructor.
            n_classes: as for the constructor.
            dropout: as for the constructor.
            embedding_dropout: as for the constructor.
            seed: of dropout.
            cache_dir: folder for downloads; see `musicfsl.caching.cache_root`.
            progress: show the progress of a download.

        Returns:
            the encoder in evaluation mode on the CPU.

        Raises:
            InputError: the name is unknown, or the settings are out of range.
            CheckpointError: the file cannot be downloaded, is damaged, holds another model, or one of another rate.
        """
        weights = read_panns(name_or_path, sample_rate, cache_dir=cache_dir, progress=progress)
        encoder = cls(weights.sample_rate, widths, dim, n_classes, dropout, embedding_dropout, seed)
        weights.fill(encoder.backbone.normalize, "bn0.")
        fill_trunk(encoder.backbone.trunk, weights)
        assert encoder.classifier is not None
        weights.fill(encoder.classifier, "fc_audioset.")
        return encoder.eval()

    def tag(self, x: Tensor) -> Tensor:
        """Probabilities of the classes of AudioSet, each by itself.

        Args:
            x: waves or features, as for the encoder.

        Returns:
            ``(B, n_classes)``, 0 to 1, in the order of AudioSet's ``class_labels_indices.csv``.

        Raises:
            InputError: the encoder was made without a classifier.
        """
        if self.classifier is None:
            raise InputError("this Cnn14 has no classifier; make it with n_classes=527")
        return torch.sigmoid(self.classifier(self(x)))

    def settings(self) -> dict[str, Any]:
        return {
            "sample_rate": self.sample_rate,
            "widths": list(self.widths),
            "dim": self.dim,
            "n_classes": self.n_classes,
            "dropout": self.dropout,
            "embedding_dropout": self.embedding_dropout,
            "seed": self.seed,
        }


class Cnn14Backbone(nn.Module):
    """The network behind `Cnn14`: every mel band is normalised, then `Cnn14Trunk` follows.

    Args:
        n_mels: mel bands of the input.
        widths: channels of the six blocks.
        dim: size of an embedding.
        dropout: after every block in training.
        embedding_dropout: before and after the last layer in training.
        seed: of dropout.

    Shape:
        - input: ``(B, n_mels, n_frames)`` in decibels
        - output: ``(B, dim)``
    """

    def __init__(
        self,
        n_mels: int,
        widths: Sequence[int],
        dim: int,
        dropout: float = 0.2,
        embedding_dropout: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm1d(n_mels)
        self.trunk = Cnn14Trunk(widths, dim, dropout, embedding_dropout, seed)

    def forward(self, features: Tensor) -> Tensor:
        x = self.normalize(features)  # (B, n_mels, n_frames)
        embedding: Tensor = self.trunk(x.transpose(1, 2).unsqueeze(1))
        return embedding


class Cnn14Trunk(nn.Module):
    """The blocks, the pooling and the last layer of CNN14, behind the normalisation of its input.

    Args:
        widths: channels of the six blocks.
        dim: size of an embedding.
        dropout: after every block in training.
        embedding_dropout: before and after the last layer in training.
        seed: of dropout.

    Shape:
        - input: ``(B, 1, n_frames, n_bands)``, time before frequency as in the published weights; 32 bands or more
        - output: ``(B, dim)``
    """

    def __init__(
        self,
        widths: Sequence[int],
        dim: int,
        dropout: float = 0.2,
        embedding_dropout: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if len(widths) != len(PANNS_WIDTHS) or any(width < 1 for width in widths):
            raise InputError(f"widths are {tuple(widths)}; expected {len(PANNS_WIDTHS)} positive numbers of channels")
        if dim < 1:
            raise InputError(f"dim is {dim}; expected 1 or more")
        channels = (1, *widths)
        self.blocks = nn.ModuleList(_Block(n, m) for n, m in zip(channels, widths, strict=False))
        self.last = _initialized(nn.Linear(widths[-1], dim))
        self.dropouts = nn.ModuleList(SeededDropout(dropout, seed, layer) for layer in range(len(widths)))
        self.dropout_before = SeededDropout(embedding_dropout, seed, len(widths))
        self.dropout_after = SeededDropout(embedding_dropout, seed, len(widths) + 1)

    def forward(self, x: Tensor) -> Tensor:
        x = _repeated(x, 2 ** (len(self.blocks) - 1))
        for i, (block, dropout) in enumerate(zip(self.blocks, self.dropouts, strict=True)):
            x = block(x)
            if i < len(self.blocks) - 1:  # the last block keeps its size
                x = avg_pool2d(x, 2)
            x = dropout(x)
        x = x.mean(dim=3)  # (B, channels, frames): over frequency
        x = x.amax(dim=2) + x.mean(dim=2)  # (B, channels): what stands out and what lasts
        embedding: Tensor = self.dropout_after(relu(self.last(self.dropout_before(x))))
        return embedding


class _Block(nn.Module):
    """Two convolutions of 3 by 3, each normalised by batch."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = _initialized(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False))
        self.conv2 = _initialized(nn.Conv2d(n_out, n_out, 3, padding=1, bias=False))
        self.bn1 = nn.BatchNorm2d(n_out)
        self.bn2 = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(x)))


def fill_trunk(trunk: Cnn14Trunk, weights: PannsWeights) -> None:
    """Loads the published weights of the blocks and of the last layer.

    Raises:
        CheckpointError: they do not fit.
    """
    for i, block in enumerate(trunk.blocks):
        weights.fill(block, f"conv_block{i + 1}.")
    weights.fill(trunk.last, "fc1.")


def _initialized(layer: nn.Conv2d | nn.Linear) -> Any:
    """First weights as PANNs has them: Glorot's uniform ones, no bias."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _repeated(x: Tensor, n_frames: int) -> Tensor:
    """``x`` ``(B, 1, frames, bands)`` repeated from its start until it has ``n_frames``, if it has fewer."""
    n = x.shape[2]
    return x if n >= n_frames else x.repeat(1, 1, -(-n_frames // n), 1)[:, :, :n_frames]
