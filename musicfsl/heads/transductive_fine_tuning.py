"""Transductive fine-tuning: a classifier that is also confident of the queries."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from musicfsl.errors import InputError
from musicfsl.heads.transductive import TransductiveHead, check_positive

__all__ = ["TransductiveFineTuningHead"]

_BETA_1, _BETA_2 = 0.9, 0.999  # of Adam


class TransductiveFineTuningHead(TransductiveHead):
    r"""Trains a cosine classifier on the support set's cross-entropy and the entropy of the answers to the queries.

    From the class means of length one, the "support-based initialisation", Adam minimises over the weights

    .. math:: \frac{1}{|S|} \sum_{i \in S} -\log p(y_i \mid z_i)
        + \frac{\omega}{|Q|} \sum_{i \in Q} \mathrm{H}(p(\cdot \mid z_i)), \qquad
        p(k \mid z) \propto \exp(\tau\, w_k^\top z / \lVert z \rVert) .

    The paper fine-tunes the network as well; here the embeddings are given, and the classifier alone is trained, with
    a larger step for that reason.

    The loss assumes nothing of the shares of the classes among the queries, but ``centre`` assumes that they are
    balanced; and low entropy may also be had by giving doubtful queries to one class, which shows after many steps.

    Args:
        temperature: :math:`\tau`.
        entropy_weight: :math:`\omega`, 1 in the paper.
        n_steps: steps of Adam.
        learning_rate: their size.
        centre: whether the mean of all items of the episode is subtracted first; see `TransductiveHead`.

    Shape:
        as `Head`; ``score`` takes all queries of an episode.

    Raises:
        InputError: see `TransductiveHead`; or an argument is out of range.

    Reference:
        G. S. Dhillon, P. Chaudhari, A. Ravichandran, S. Soatto, A baseline for few-shot image classification, ICLR
        2020, sections 3.1 (initialisation) and 3.2 (transductive fine-tuning).

    Example:
        >>> support_z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> query_z = torch.tensor([[0.9, 0.8], [1.0, 0.1], [0.7, 1.0], [0.8, 1.0]])
        >>> TransductiveFineTuningHead()(support_z, torch.tensor([0, 1]), query_z).argmax(-1)
        tensor([0, 0, 1, 1])
    """

    name = "transductive-fine-tuning"

    def __init__(
        self,
        temperature: float = 10.0,
        entropy_weight: float = 1.0,
        n_steps: int = 25,
        learning_rate: float = 0.001,
        centre: bool = True,
    ) -> None:
        super().__init__(centre)
        check_positive(temperature=temperature, n_steps=n_steps, learning_rate=learning_rate)
        if not entropy_weight >= 0:
            raise InputError(f"entropy_weight is {entropy_weight}; expected 0 or more")
        self.temperature = temperature
        self.entropy_weight = entropy_weight
        self.n_steps = n_steps
        self.learning_rate = learning_rate

    def settings(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "entropy_weight": self.entropy_weight,
            "n_steps": self.n_steps,
            "learning_rate": self.learning_rate,
            "centre": self.centre,
        }

    def infer(self, support_z: Tensor, members: Tensor, query_z: Tensor) -> Tensor:
        support, queries = normalize(support_z, dim=-1), normalize(query_z, dim=-1)
        weights = normalize(members @ support, dim=-1)
        first, second = torch.zeros_like(weights), torch.zeros_like(weights)  # Adam's moments
        for step in range(1, self.n_steps + 1):
            gradient = self._gradient(weights, support, members, queries)
            first = _BETA_1 * first + (1 - _BETA_1) * gradient
            second = _BETA_2 * second + (1 - _BETA_2) * gradient.square()
            # The small number stands under the root, whose gradient would be infinite where an embedding is always 0.
            root = (second / (1 - _BETA_2**step) + 1e-16).sqrt()
            weights = weights - self.learning_rate * first / (1 - _BETA_1**step) / root
        return self.temperature * queries @ weights.mT

    def _gradient(self, weights: Tensor, support: Tensor, members: Tensor, queries: Tensor) -> Tensor:
        """Of the loss by the weights, ``(..., n_way, dim)``; by hand, so that it needs no graph where none is kept."""
        errors = (self.temperature * support @ weights.mT).softmax(dim=-1) - members.T
        log_p = (self.temperature * queries @ weights.mT).log_softmax(dim=-1)
        p = log_p.exp()
        entropy = -(p * log_p).sum(dim=-1, keepdim=True)
        of_entropy = -p * (log_p + entropy)
        return self.temperature * (
            errors.mT @ support / support.shape[-2] + self.entropy_weight * of_entropy.mT @ queries / queries.shape[-2]
        )
