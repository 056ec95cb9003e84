"""A tagger: an encoder and one linear layer, which say of each class whether it is heard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.backbones.base import Encoder, seeded_init
from musicfsl.dropout import SeededDropout
from musicfsl.errors import InputError

__all__ = ["DEFAULT_THRESHOLD", "Tagger"]

#: Probability from which on a class counts as heard, where nothing else was decided.
DEFAULT_THRESHOLD = 0.6


class Tagger(nn.Module):
    """An encoder followed by a linear layer with one logit a class.

    Args:
        encoder: waves or features to embeddings.
        classes: names of the classes.
        seed: of the linear layer's first weights, and of the dropout.
        dropout: share of an embedding's components that training leaves out, 0 to below 1.
        duration: seconds of a window, in training and wherever the tagger is used.

    Attributes:
        encoder: as given.
        classifier: the linear layer.
        classes: names of the logits.
        duration: as given.
        thresholds: float ``(C,)``, the probability from which on a class counts as heard; 0.6 to begin with.
        tuned_thresholds: float ``(C,)``, thresholds that were tuned on validation excerpts; None where none were.

    Shape:
        - input: waves ``(B, 1, n_samples)`` or features ``(B, n_features, n_frames)``, as the encoder takes them
        - output: logits ``(B, n_classes)``

    Raises:
        InputError: there are fewer than two classes, one twice, or a number is out of range.

    Example:
        >>> from musicfsl.backbones import ConvEncoder
        >>> tagger = Tagger(ConvEncoder(), ["Cello", "Flute", "Voice"])
        >>> tagger.probabilities(torch.zeros(2, 1, 48000)).shape
        torch.Size([2, 3])
    """

    thresholds: Tensor
    tuned_thresholds: Tensor | None

    def __init__(
        self, encoder: Encoder, classes: Sequence[str], seed: int = 0, dropout: float = 0.0, duration: float = 3.0
    ) -> None:
        super().__init__()
        if isinstance(classes, str) or len(classes) < 2 or len(set(classes)) != len(classes):
            raise InputError(f"classes are {classes!r}; expected a list of two names or more, none of them twice")
        if not (math.isfinite(duration) and duration > 0):
            raise InputError(f"duration is {duration}; expected a positive number of seconds")
        self.encoder = encoder
        self.classes = list(classes)
        self.duration = float(duration)
        self.dropout = SeededDropout(dropout, seed)
        with seeded_init(seed):
            self.classifier = nn.Linear(encoder.dim, len(self.classes))
        self.register_buffer("thresholds", torch.full((len(self.classes),), DEFAULT_THRESHOLD))
        self.register_buffer("tuned_thresholds", None, persistent=False)  # stands in the card of a checkpoint

    @property
    def sample_rate(self) -> int:
        """Rate of the waves that the encoder expects, in Hz."""
        return self.encoder.sample_rate

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that build this tagger around its encoder again, as JSON can hold them."""
        return {"classes": list(self.classes), "dropout": self.dropout.p, "duration": self.duration}

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(B, n_classes)`` of waves or features."""
        logits: Tensor = self.classifier(self.dropout(self.embed(x)))
        return logits

    def embed(self, x: Tensor) -> Tensor:
        """The embeddings ``(B, dim)`` that the linear layer sees: whitened in training as they are afterwards."""
        whitening = self.encoder.whitening
        if whitening is None:
            z: Tensor = self.encoder(x)
            return z
        mode = whitening.training
        z = whitening.eval()(self.encoder.raw(x))
        whitening.train(mode)
        return z

    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities ``(B, n_classes)``, each of its own: they do not sum to 1."""
        return torch.sigmoid(self(x))
