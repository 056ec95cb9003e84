"""Matching networks: attention over the examples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from musicfsl.heads._examples import ExampleState, by_class, examples_of
from musicfsl.heads.base import Classes, Head, HeadState
from musicfsl.heads.prototypical import PrototypicalHead

__all__ = ["MatchingHead"]


class MatchingHead(Head):
    r"""The label of a query is a mean of the examples' labels, weighted by how similar they are.

    The attention that a query :math:`z` pays to example :math:`z_i` is a softmax over all examples of
    :math:`\tau \cos(z, z_i)`, and the probability of a class is the attention that its examples receive,

    .. math:: P(k \mid z) = \sum_{i: y_i = k} a(z, z_i), \qquad
        a(z, z_i) = \frac{e^{\tau \cos(z, z_i)}}{\sum_j e^{\tau \cos(z, z_j)}} .

    The logits are its logarithm. In the paper :math:`\tau = 1`, so that probabilities differ little, and all is left to
    the encoder; here it is learned. The head has no other weight, so it works with any encoder and learns through it.
    The paper's full-context embeddings, recurrent networks over the support set, are not part of it.

    Args:
        temperature: :math:`\tau > 0`, where learning starts.
        learn_temperature: whether it is trained.
        balanced: let each class receive the mean of its examples' attention instead of their sum (and bring these to
            sum 1); the same where all classes have as many examples, and without it larger classes are preferred.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; or ``temperature`` is not positive.

    Reference:
        O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra, Matching networks for one shot learning,
        NeurIPS 2016, equation 1 and section 2.1.1.

    Example:
        >>> head = MatchingHead(temperature=1.0)
        >>> support_z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
        >>> head(support_z, torch.tensor([0, 1, 1]), torch.tensor([[3.0, 0.0]])).exp().detach()
        tensor([[0.7311, 0.2689]])
    """

    name = "matching"

    def __init__(self, temperature: float = 10.0, learn_temperature: bool = True, balanced: bool = True) -> None:
        super().__init__()
        self.prototypical = PrototypicalHead("cosine", temperature, learn_temperature)
        self.balanced = balanced

    def settings(self) -> dict[str, Any]:
        return {
            "temperature": float(self.prototypical.log_temperature.detach().exp()),
            "learn_temperature": self.prototypical.log_temperature.requires_grad,
            "balanced": self.balanced,
        }

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> ExampleState:
        return examples_of(support_z, support_targets, classes)

    def score(self, state: ExampleState, query_z: Tensor) -> Tensor:
        similarities = self.prototypical.score(HeadState(state.examples), query_z)  # (..., n_query, n_support)
        attention = by_class(similarities, state.members).logsumexp(-1)  # (..., n_query, n_way)
        if self.balanced:
            attention = attention - state.members.sum(dim=1).to(attention.dtype).log()
        return torch.log_softmax(attention, dim=-1)
