"""The k nearest examples decide."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError
from musicfsl.heads._examples import ExampleState, by_class, examples_of
from musicfsl.heads.base import Classes, Head, HeadState
from musicfsl.heads.prototypical import Distance, PrototypicalHead

__all__ = ["NearestNeighbourHead"]


class NearestNeighbourHead(Head):
    r"""Queries go to the class that most of the ``k`` nearest examples belong to; ties go to the nearer class.

    With the similarities :math:`s_i = \tau \cos(z, z_i)`, or :math:`-\tau \lVert z - z_i \rVert^2`, of a query to the
    examples, :math:`n_c` of the k nearest in class :math:`c`, and :math:`q_c` the softmax over classes of
    :math:`\max_{i \in c} s_i`, the probability of a class is

    .. math:: p_c = \frac{n_c + q_c}{k + 1}, \qquad \text{for } k = 1: \; p_c = q_c .

    So each neighbour has a vote, and one more is shared by how near the classes come, which decides ties (and gives a
    gradient, which votes lack). Logits are the logarithms, for :math:`k = 1` the similarities of the nearest example of
    each class themselves.

    Args:
        k: how many neighbours; where there are fewer examples, all of them.
        distance: ``"cosine"``, ``"euclidean"`` (squared) or ``"unsquared"``, as for `PrototypicalHead`.
        temperature: :math:`\tau`, as for `PrototypicalHead`.
        learn_temperature: as for `PrototypicalHead`.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; or ``k`` is below 1.

    Reference:
        T. Cover, P. Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory, 1967; one
        neighbour in few-shot learning: Y. Wang et al., SimpleShot, arXiv:1911.04623, 2019.

    Example:
        >>> head = NearestNeighbourHead(distance="euclidean")
        >>> support_z = torch.tensor([[0.0], [2.0], [5.0]])
        >>> support_targets, query_z = torch.tensor([0, 0, 1]), torch.tensor([[4.0]])
        >>> head(support_z, support_targets, query_z)
        tensor([[-4.0000, -1.0000]])
        >>> NearestNeighbourHead(k=3, distance="euclidean")(support_z, support_targets, query_z).exp()
        tensor([[0.5119, 0.4881]])
    """

    name = "nearest-neighbour"

    def __init__(
        self,
        k: int = 1,
        distance: Distance = "cosine",
        temperature: float | None = None,
        learn_temperature: bool | None = None,
    ) -> None:
        super().__init__()
        if k < 1:
            raise InputError(f"k is {k}; expected 1 neighbour or more")
        self.k = k
        self.prototypical = PrototypicalHead(distance, temperature, learn_temperature)

    def settings(self) -> dict[str, Any]:
        temperature = float(self.prototypical.log_temperature.detach().exp())
        return {"k": self.k, **self.prototypical.settings(), "temperature": temperature}

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> ExampleState:
        return examples_of(support_z, support_targets, classes)

    def score(self, state: ExampleState, query_z: Tensor) -> Tensor:
        similarities = self.prototypical.score(HeadState(state.examples), query_z)  # (..., n_query, n_support)
        nearest = by_class(similarities, state.members).amax(-1)  # (..., n_query, n_way)
        k = min(self.k, similarities.shape[-1])
        if k == 1:
            return nearest
        neighbours = similarities.topk(k, dim=-1).indices
        positions = state.members.argmax(dim=0)[neighbours]  # (..., n_query, k), their classes
        votes = nn.functional.one_hot(positions, len(state.members)).sum(dim=-2).to(nearest.dtype)
        return torch.log((votes + nearest.softmax(-1)) / (k + 1))
