"""TIM: transductive information maximisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.heads.transductive import TransductiveHead, check_positive

__all__ = ["TimHead"]


class TimHead(TransductiveHead):
    r"""Moves prototypes so that queries are answered with confidence, and classes equally often.

    With embeddings of length one and :math:`p_{ik} \propto \exp(-\frac{\tau}{2} \lVert w_k - z_i \rVert^2)` it lowers

    .. math:: \lambda \cdot \mathrm{CE}(S) - \hat{H}(Y_Q) + \alpha \hat{H}(Y_Q \mid X_Q)

    from the class means on: cross-entropy of the support set, less the mutual information of queries and answers. The
    alternating updates of TIM-ADM, with an assignment :math:`q_i` for each query, are

    .. math:: q_{ik} \propto \frac{p_{ik}^{1 + \alpha}}{(\sum_i p_{ik}^{1 + \alpha})^{1/2}}, \qquad
        w_k \leftarrow \frac{\frac{\lambda}{1 + \alpha} \sum_{i \in S} (y_{ik} z_i + p_{ik} (w_k - z_i))
        + \frac{|S|}{|Q|} \sum_{i \in Q} (q_{ik} z_i + p_{ik} (w_k - z_i))}
        {\frac{\lambda}{1 + \alpha} \sum_{i \in S} y_{ik} + \frac{|S|}{|Q|} \sum_{i \in Q} q_{ik}} .

    Assumes balanced queries: :math:`\hat{H}(Y_Q)` is largest where every class is answered equally often. Where shares
    differ, queries of frequent classes are given to rare ones.

    Args:
        temperature: :math:`\tau`.
        support_weight: :math:`\lambda`.
        entropy_weight: :math:`\alpha`.
        n_steps: alternating updates.
        centre: whether the mean of all items of the episode is subtracted first; see `TransductiveHead`.

    Shape:
        as `Head`; ``score`` takes all queries of an episode.

    Raises:
        InputError: see `TransductiveHead`; or an argument is out of range.

    Reference:
        M. Boudiaf, Z. I. Masud, J. Rony, J. Dolz, P. Piantanida, I. Ben Ayed, Transductive information maximization for
        few-shot learning, NeurIPS 2020, TIM-ADM; defaults as in their code.

    Example:
        >>> support_z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> query_z = torch.tensor([[0.9, 0.8], [1.0, 0.1], [0.7, 1.0], [0.8, 1.0]])
        >>> TimHead()(support_z, torch.tensor([0, 1]), query_z).argmax(-1)
        tensor([0, 0, 1, 1])
    """

    name = "tim"

    def __init__(
        self,
        temperature: float = 15.0,
        support_weight: float = 0.1,
        entropy_weight: float = 0.1,
        n_steps: int = 150,
        centre: bool = True,
    ) -> None:
        super().__init__(centre)
        check_positive(temperature=temperature, support_weight=support_weight, n_steps=n_steps)
        if not entropy_weight >= 0:
            raise InputError(f"entropy_weight is {entropy_weight}; expected 0 or more")
        self.temperature = temperature
        self.support_weight = support_weight
        self.entropy_weight = entropy_weight
        self.n_steps = n_steps

    def settings(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "support_weight": self.support_weight,
            "entropy_weight": self.entropy_weight,
            "n_steps": self.n_steps,
            "centre": self.centre,
        }

    def infer(self, support_z: Tensor, members: Tensor, query_z: Tensor) -> Tensor:
        n_support, n_query = support_z.shape[-2], query_z.shape[-2]
        z = torch.nn.functional.normalize(torch.cat([support_z, query_z], dim=-2), dim=-1)
        # Every update leaves the prototypes sums of the items, w = mixture @ z, so that inner products of the items are
        # all that is needed: for the usual hundred items of some hundred dimensions that is several times quicker.
        products = z @ z.mT  # (..., n_items, n_items)
        mixture = torch.nn.functional.pad(members / members.sum(dim=1, keepdim=True), (0, n_query))  # (n_way, n_items)
        of_support = members.expand(*z.shape[:-2], *members.shape)
        exponent = 1 + self.entropy_weight
        item_weights = z.new_tensor([self.support_weight / exponent, n_support / n_query]).repeat_interleave(
            torch.tensor([n_support, n_query], device=z.device)
        )
        for _ in range(self.n_steps):
            log_p = self._logits(mixture, products).log_softmax(dim=-2)  # (..., n_way, n_items)
            sharp = exponent * log_p[..., n_support:]
            q = (sharp - sharp.logsumexp(dim=-1, keepdim=True) / 2).softmax(dim=-2)
            wanted = item_weights * torch.cat([of_support, q], dim=-1)
            given = item_weights * log_p.exp()
            mixture = (wanted - given + given.sum(dim=-1, keepdim=True) * mixture) / wanted.sum(dim=-1, keepdim=True)
        return self._logits(mixture, products)[..., n_support:].mT

    def _logits(self, mixture: Tensor, products: Tensor) -> Tensor:
        """Of all items, ``(..., n_way, n_items)``, less what all classes of an item have in common."""
        inner = mixture @ products  # w_k . z_i
        squares = (inner * mixture).sum(dim=-1, keepdim=True)  # w_k . w_k
        return self.temperature * (inner - squares / 2)
