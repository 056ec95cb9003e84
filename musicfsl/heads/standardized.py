"""Embeddings brought to one scale by what the support set tells."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from musicfsl._scaling import SCALE_FLOOR, mean_and_scale
from musicfsl.heads.base import Classes, Head, State

__all__ = ["StandardizedHead"]


class StandardizedHead(Head):
    """A head behind a scaling that every support set gives: mean 0 and deviation 1 over its examples.

    Made for embeddings whose dimensions differ in size, such as MFCCs, where nothing but the support set is known.
    A dimension in which the examples agree is scaled by no less than a tenth of the usual deviation, the median.

    Args:
        head: gets the scaled embeddings.

    Example:
        >>> import torch
        >>> from musicfsl.heads import PrototypicalHead
        >>> head = StandardizedHead(PrototypicalHead())
        >>> support_z = torch.tensor([[0.0, 10.0], [1.0, 30.0]])
        >>> head(support_z, torch.tensor([0, 1]), torch.tensor([[0.0, 21.0]])).argmax(-1)
        tensor([0])
    """

    name = "standardized"

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head
        self.train(head.training)

    def settings(self) -> dict[str, Any]:
        return {"head": {"name": self.head.name, "settings": self.head.settings()}}

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> State:
        mean, scale = mean_and_scale(support_z, SCALE_FLOOR)
        return mean, scale, self.head.adapt((support_z - mean) / scale, support_targets, classes)

    def score(self, state: State, query_z: Tensor) -> Tensor:
        mean, scale, inner = state
        return self.head.score(inner, (query_z - mean) / scale)
