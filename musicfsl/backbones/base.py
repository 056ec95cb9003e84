"""The contract of encoders: a front end and a backbone, from a wave to an embedding."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from musicfsl.backbones.whitening import Whitening
from musicfsl.errors import InputError
from musicfsl.features import FrontEnd

__all__ = ["Encoder", "EncoderFrontEnd", "device_of", "seeded_init"]


class EncoderFrontEnd(FrontEnd, Protocol):
    """What an encoder needs of its front end: `musicfsl.LogMel` and `musicfsl.MultiBand` are such.

    Attributes:
        sample_rate: of the waves in Hz.
        hop_length: samples between frames.
    """

    hop_length: int

    @property
    def n_features(self) -> int:
        """Number of values a frame."""

    @property
    def silence(self) -> float:
        """The value of silence, the lowest there is."""

    def n_frames(self, n_samples: int) -> int:
        """Frames that a wave of ``n_samples`` gives."""


class Encoder(nn.Module, ABC):
    """A front end (wave to features) followed by a backbone (features to embedding).

    The two parts stay separate so that features can be stored once and the backbone trained on them.
    Subclasses take typed keyword arguments only, and give them back from `settings`.

    Attributes:
        name: under which `musicfsl.backbones.build_encoder` finds the class.
        front_end: ``(B, 1, n_samples)`` to ``(B, n_features, n_frames)``.
        backbone: ``(B, n_features, n_frames)`` to ``(B, dim)``.
        dim: size of an embedding.
    """

    name: str
    front_end: EncoderFrontEnd
    backbone: nn.Module
    dim: int

    @property
    def whitening(self) -> Whitening | None:
        """The closed-form last layer of the backbone, where it has one; fitted between epochs of training."""
        return None

    @property
    def sample_rate(self) -> int:
        """Rate of the waves that the encoder expects, in Hz."""
        return self.front_end.sample_rate

    def pretrained_parts(self) -> list[nn.Module]:
        """The parts that bring what was learned elsewhere: a fine-tuning in two phases freezes them in the first.

        What the encoder has besides them, such as a layer that fuses branches, is new to the task and is trained
        from the start. By default the whole backbone.
        """
        return [self.backbone]

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The keyword arguments that build this encoder again, as JSON can hold them."""

    def forward(self, x: Tensor) -> Tensor:
        """Embeds waves, or features that this encoder's front end computed before.

        Args:
            x: waves ``(B, 1, n_samples)`` at `sample_rate`, or features ``(B, n_features, n_frames)``.

        Returns:
            ``(B, dim)``.

        Raises:
            InputError: ``x`` has another shape.
        """
        embedding: Tensor = self.backbone(self.features(x))
        return embedding

    def raw(self, x: Tensor) -> Tensor:
        """Embeddings before they are whitened, ``(B, dim)``; a backbone with a whitening layer has ``raw`` too."""
        if self.whitening is None:
            return self(x)
        embedding: Tensor = self.backbone.raw(self.features(x))  # type: ignore[operator]
        return embedding

    def features(self, x: Tensor) -> Tensor:
        """Features ``(B, n_features, n_frames)`` of waves; features come back as they are.

        Raises:
            InputError: ``x`` has another shape.
        """
        n_features = self.front_end.n_features
        if x.dim() != 3 or x.shape[1] not in (1, n_features) or not x.is_floating_point():
            raise InputError(
                f"the input is {x.dtype} of shape {tuple(x.shape)}; expected float waves (B, 1, n_samples) or "
                f"features (B, {n_features}, n_frames)"
            )
        features: Tensor = self.front_end(x) if x.shape[1] == 1 else x
        return features


def device_of(encoder: Encoder) -> torch.device:
    """Where an encoder computes."""
    return next(itertools.chain(encoder.parameters(), encoder.buffers())).device


class seeded_init:
    """Lets layers draw their first weights from a seed, and leaves torch's global random state as it was.

    Example:
        >>> with seeded_init(0):
        ...     a = nn.Linear(2, 2)
        >>> with seeded_init(0):
        ...     b = nn.Linear(2, 2)
        >>> torch.equal(a.weight, b.weight)
        True
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __enter__(self) -> None:
        self._before = torch.default_generator.get_state()
        torch.default_generator.manual_seed(self._seed)

    def __exit__(self, *_: object) -> None:
        torch.default_generator.set_state(self._before)
