"""Prototypical networks."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError
from musicfsl.heads.base import Classes, Head, HeadState, check_queries, class_means

__all__ = ["Distance", "PrototypicalHead", "squared_distances"]

#: How far a query is from a prototype: squared Euclidean distance, cosine similarity, or Euclidean distance itself.
Distance: TypeAlias = Literal["euclidean", "cosine", "unsquared"]


class PrototypicalHead(Head):
    r"""Each class is the mean of its support embeddings; queries go to the nearest.

    With prototypes :math:`c_k = \frac{1}{|S_k|} \sum_{i \in S_k} z_i` the logits of a query :math:`z` are
    :math:`-\lVert z - c_k \rVert^2` (``"euclidean"``), or :math:`\tau \cos(z, c_k)` with a learned
    :math:`\tau > 0` (``"cosine"``), or :math:`-\lVert z - c_k \rVert` (``"unsquared"``).

    Args:
        distance: ``"euclidean"`` (squared), ``"cosine"`` or ``"unsquared"``.
        temperature: factor of the logits; for cosine it is where learning starts.
        learn_temperature: whether the factor is trained; None trains it for cosine only.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; or ``distance`` is unknown.

    Reference:
        J. Snell, K. Swersky, R. Zemel, Prototypical networks for few-shot learning, NeurIPS 2017, equations 1 and 2;
        cosine with a learned scale: S. Gidaris, N. Komodakis, Dynamic few-shot visual learning without
        forgetting, CVPR 2018.

    Example:
        >>> head = PrototypicalHead()
        >>> support_z = torch.tensor([[0.0, 0.0], [0.0, 2.0], [4.0, 1.0]])
        >>> head(support_z, torch.tensor([0, 0, 1]), torch.tensor([[1.0, 1.0]]), ["low", "high"])
        tensor([[-1., -9.]])
    """

    name = "prototypical"

    def __init__(
        self,
        distance: Distance = "euclidean",
        temperature: float | None = None,
        learn_temperature: bool | None = None,
    ) -> None:
        super().__init__()
        if distance not in ("euclidean", "cosine", "unsquared"):
            raise InputError(f"distance is '{distance}'; expected 'euclidean', 'cosine' or 'unsquared'")
        if temperature is None:
            temperature = 10.0 if distance == "cosine" else 1.0
        if temperature <= 0:
            raise InputError(f"temperature is {temperature}; expected a positive number")
        self.distance = distance
        # Learned as a logarithm, the factor stays positive.
        self.log_temperature = nn.Parameter(
            torch.tensor(math.log(temperature)),
            requires_grad=distance == "cosine" if learn_temperature is None else learn_temperature,
        )

    def settings(self) -> dict[str, Any]:
        return {"distance": self.distance, "learn_temperature": self.log_temperature.requires_grad}

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> HeadState:
        return HeadState(class_means(support_z, support_targets, classes))

    def score(self, state: HeadState, query_z: Tensor) -> Tensor:
        check_queries(query_z, state.prototypes.shape[-1])
        if self.distance == "cosine":
            prototypes = nn.functional.normalize(state.prototypes, dim=-1)
            similarity = (prototypes @ nn.functional.normalize(query_z, dim=-1).mT).mT
        elif self.distance == "unsquared":
            similarity = -_root(squared_distances(query_z, state.prototypes))
        else:
            similarity = -squared_distances(query_z, state.prototypes)
        return similarity * self.log_temperature.exp()


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    r"""Squared Euclidean distances by a matrix product, whose backward exists on every device.

    With the mean :math:`m` of the rows of ``b`` and :math:`b' = b - m`,

    .. math:: \lVert a - b \rVert^2 = \lVert a - m \rVert^2 - 2\,(a - m) \cdot b' + \lVert b' \rVert^2 .

    Far from the origin this keeps the digits that tell one ``b`` from another, which the same formula without
    :math:`m` loses. It is computed in float32 at least, also under autocast.

    Args:
        a: ``(..., n, dim)``.
        b: ``(..., m, dim)``.

    Returns:
        ``(..., n, m)``, 0 or more.

    Example:
        >>> squared_distances(torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0, 0.0], [4.0, 0.0]]))
        tensor([[ 9., 25.]])
    """
    dtype = torch.promote_types(a.dtype, torch.float32)
    with torch.autocast(device_type=a.device.type, enabled=False):
        a, b = a.to(dtype), b.to(dtype)
        mean = b.mean(dim=-2, keepdim=True)  # (..., 1, dim)
        offsets = b - mean
        # The few rows of b on the left make the product about twice as fast as the other way round.
        products = torch.cat([offsets, mean], dim=-2) @ a.mT  # (..., m + 1, n)
        to_mean = torch.linalg.vector_norm(a, dim=-1).square() - 2 * products[..., -1, :] + mean.square().sum(-1)
        cross = products[..., :-1, :] - (offsets @ mean.mT)  # (a - mean) . offsets
        squared = to_mean.unsqueeze(-2) - 2 * cross + offsets.square().sum(-1, keepdim=True)
        return squared.clamp(min=0).mT


def _root(squared: Tensor) -> Tensor:
    """Square root of 0 or more, with gradient 0 at 0, where the root itself has none."""
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
