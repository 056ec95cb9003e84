"""Embeddings brought to one scale by what the support set tells."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from musicfsl.heads.base import Classes, Head, State

__all__ = ["StandardizedHead"]

# Least scale of a dimension, as a share of the mean of all: few examples may happen to agree in one.
_FLOOR = 0.1


class StandardizedHead(Head):
    """A head behind a scaling that every support set gives: mean 0 and deviation 1 over its examples.

    Made for embeddings whose dimensions differ in size, such as MFCCs, where nothing but the support set is known.

    Args:
        head: gets the scaled embeddings.

    Example:
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
        mean = support_z.mean(dim=-2, keepdim=True)
        deviation = (support_z - mean).square().mean(dim=-2, keepdim=True).sqrt()
        scale = torch.maximum(deviation, _FLOOR * deviation.mean(dim=-1, keepdim=True)).clamp(min=1e-8)
        return mean, scale, self.head.adapt((support_z - mean) / scale, support_targets, classes)

    def score(self, state: State, query_z: Tensor) -> Tensor:
        mean, scale, inner = state
        return self.head.score(inner, (query_z - mean) / scale)
