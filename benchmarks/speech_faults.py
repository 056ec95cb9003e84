"""Two mistakes in what a transformer is fed with; see `benchmarks.speech`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from musicfsl import Encoder
from musicfsl.backbones import Whitening

__all__ = ["FAULTS", "Faults", "FaultyEncoder"]


@dataclass(frozen=True)
class Faults:
    """What is done to features before the transformer.

    Attributes:
        swap_axes: time becomes frequency.
        clamp: normalised values below 1e-7 become 1e-7.
    """

    swap_axes: bool = False
    clamp: bool = False

    def __call__(self, features: Tensor) -> Tensor:
        """Features ``(B, n, n)`` as the network gets them."""
        if self.clamp:
            features = features.clamp(min=1e-7)
        return features.transpose(1, 2) if self.swap_axes else features


#: Name of a mistake -> the mistake.
FAULTS = {
    "axes swapped": Faults(swap_axes=True),
    "values clamped": Faults(clamp=True),
    "both": Faults(swap_axes=True, clamp=True),
}


class FaultyEncoder(Encoder):
    """An encoder whose backbone gets faulty features; it shares the encoder's weights."""

    name = "faulty"

    def __init__(self, encoder: Encoder, faults: Faults) -> None:
        super().__init__()
        self.front_end = encoder.front_end
        self.backbone = _After(faults, encoder.backbone)
        self.dim = encoder.dim
        self._whitening = encoder.whitening

    @property
    def whitening(self) -> Whitening | None:
        return self._whitening

    def settings(self) -> dict[str, object]:
        raise NotImplementedError("a faulty encoder is not to be saved")


class _After(nn.Module):
    def __init__(self, faults: Faults, backbone: nn.Module) -> None:
        super().__init__()
        self._faults = faults
        self._backbone = backbone

    def forward(self, features: Tensor) -> Tensor:
        embedding: Tensor = self._backbone(self._faults(features))
        return embedding

    def raw(self, features: Tensor) -> Tensor:
        embedding: Tensor = self._backbone.raw(self._faults(features))  # type: ignore[operator]
        return embedding
