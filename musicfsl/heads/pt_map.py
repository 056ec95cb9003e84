"""PT-MAP: power transform, optimal transport, and prototypes that follow it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from musicfsl.errors import InputError
from musicfsl.heads.transductive import TransductiveHead, check_positive

__all__ = ["PtMapHead"]

# Sinkhorn's scalings end where each query's shares sum to 1 within the tolerance.
_TOLERANCE = 1e-4
_SCALINGS_BETWEEN_LOOKS = 5
_MOST_LOOKS = 100


class PtMapHead(TransductiveHead):
    r"""Gives every class the same number of queries, at the least cost.

    1. Power transform: :math:`x \leftarrow (|x| + 10^{-6})^\beta`, with the sign of :math:`x`, then length one.
    2. The support set and the queries are centred, each by its own mean, and brought to length one.
    3. From the class means on, ``n_steps`` times: the assignments :math:`p_{ik}` of the queries are the transport plan
       of least :math:`\sum p_{ik} \lVert x_i - c_k \rVert^2 - H(p) / \lambda` in which each query has weight 1 and each
       class :math:`|Q| / n_{way}` (Sinkhorn); prototypes move by ``rate`` to the mean that it gives each class.

    The logits are the logarithms of the last plan. Embeddings after a ReLU have no signs, as in the paper; for others
    the signed power is this library's extension.

    Assumes balanced queries, strictly: every class is given :math:`|Q| / n_{way}` of them, whatever they look like.
    Where shares differ, some queries must be answered wrongly.

    Args:
        power: :math:`\beta`.
        sharpness: :math:`\lambda`.
        rate: how far prototypes move in a step, above 0 and at most 1.
        n_steps: moves of the prototypes.

    Shape:
        as `Head`; ``score`` takes all queries of an episode.

    Raises:
        InputError: see `TransductiveHead`; or there are fewer queries than classes, which cannot be balanced; or an
            argument is out of range.

    Reference:
        Y. Hu, V. Gripon, S. Pateux, Leveraging the feature distribution in transfer-based few-shot learning, ICANN
        2021, algorithm 1; defaults as in their code.

    Example:
        >>> support_z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> query_z = torch.tensor([[0.9, 0.8], [1.0, 0.1], [0.7, 1.0], [0.8, 1.0]])
        >>> PtMapHead()(support_z, torch.tensor([0, 1]), query_z).argmax(-1)
        tensor([0, 0, 1, 1])
    """

    name = "pt-map"

    def __init__(self, power: float = 0.5, sharpness: float = 10.0, rate: float = 0.2, n_steps: int = 20) -> None:
        super().__init__(centre=False)  # the transform centres by itself
        check_positive(power=power, sharpness=sharpness, rate=rate, n_steps=n_steps)
        if rate > 1:
            raise InputError(f"rate is {rate}; expected at most 1")
        self.power = power
        self.sharpness = sharpness
        self.rate = rate
        self.n_steps = n_steps

    def settings(self) -> dict[str, Any]:
        return {"power": self.power, "sharpness": self.sharpness, "rate": self.rate, "n_steps": self.n_steps}

    def infer(self, support_z: Tensor, members: Tensor, query_z: Tensor) -> Tensor:
        n_way, n_query = len(members), query_z.shape[-2]
        if n_query < n_way:
            raise InputError(
                f"{self.name} gives every class equally many queries, but there are {n_query} for {n_way} classes; "
                "give all queries at once, or take a head that is not transductive"
            )
        z = torch.cat([self._transformed(support_z), self._transformed(query_z)], dim=-2)
        # Prototypes stay means of the items, mixture @ z, so inner products of the items are all that is needed.
        products = z @ z.mT  # (..., n_items, n_items)
        of_support = pad(members, (0, n_query))  # (n_way, n_items)
        counts = members.sum(dim=1, keepdim=True)
        mixture = of_support / counts
        exponents = self._exponents(mixture, products, n_query)
        log_plan = _sinkhorn(exponents)
        for _ in range(self.n_steps):
            plan = log_plan.exp()  # (..., n_way, n_query_total)
            assigned = of_support + pad(plan, (support_z.shape[-2], 0))
            means = assigned / (counts + plan.sum(dim=-1, keepdim=True))
            mixture = mixture + self.rate * (means - mixture)
            before, exponents = exponents, self._exponents(mixture, products, n_query)
            # There is one plan for each cost, and the scaling of the last one is close to that of the next.
            log_plan = _sinkhorn(log_plan + exponents - before)
        return log_plan.mT

    def _transformed(self, z: Tensor) -> Tensor:
        # The small number also keeps the gradient at 0 finite.
        powered = normalize(torch.where(z < 0, -1.0, 1.0) * (z.abs() + 1e-6) ** self.power, dim=-1)
        return normalize(powered - powered.mean(dim=-2, keepdim=True), dim=-1)

    def _exponents(self, mixture: Tensor, products: Tensor, n_query: int) -> Tensor:
        """Less squared distances, ``(..., n_way, n_query_total)``, less what all classes of a query have in common."""
        inner = mixture @ products  # c_k . z_i
        squares = (inner * mixture).sum(dim=-1, keepdim=True)  # c_k . c_k
        return self.sharpness * (2 * inner[..., -n_query:] - squares)


def _sinkhorn(log_plan: Tensor) -> Tensor:
    """Scales columns to sums of 1 and rows to equal sums, in turn.

    The first of some scalings is done on logarithms, which do not underflow; after it every row and every column has
    an entry of some size, and each further one moves the factors by less than the square of the number of queries.

    Args:
        log_plan: ``(..., n_way, n_query_total)``; the long axis last is several times quicker.
    """
    share = log_plan.shape[-1] / log_plan.shape[-2]
    for _ in range(_MOST_LOOKS):
        log_plan = log_plan.log_softmax(dim=-2).log_softmax(dim=-1) + math.log(share)
        plan = log_plan.exp()
        row_factors, column_factors = torch.ones_like(plan[..., :1]), torch.ones_like(plan[..., :1, :])
        for _ in range(_SCALINGS_BETWEEN_LOOKS - 1):
            column_factors = 1 / (row_factors.mT @ plan)  # (..., 1, n_query_total)
            row_factors = share / (plan @ column_factors.mT)  # (..., n_way, 1)
        log_plan = log_plan + row_factors.log() + column_factors.log()
        sums = column_factors * (row_factors.mT @ plan)
        if sums.detach().sub(1).abs().max() < _TOLERANCE:
            break
    return log_plan
