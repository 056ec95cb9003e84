"""Ridge regression onto the labels, in closed form."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError
from musicfsl.heads._linear import LinearHead, LinearState, solve_positive

__all__ = ["RidgeHead"]


class RidgeHead(LinearHead):
    r"""Regresses one-hot labels on embeddings; the class of the largest answer wins.

    With the examples as rows of :math:`X` and their one-hot labels as rows of :math:`Y`,

    .. math:: W = X^\top (X X^\top + \lambda I)^{-1} Y = (X^\top X + \lambda I)^{-1} X^\top Y ,

    of which the first form, with a matrix of the size of the support set, is solved where there are fewer examples than
    dimensions. The logits are :math:`\alpha\, z W`; both scales can be learned, together with the encoder, through the
    closed form. (The paper's bias :math:`\beta` is the same for all classes, and changes neither answer nor loss.)

    Args:
        regularization: :math:`\lambda > 0`; scikit-learn's ``alpha``.
        scale: :math:`\alpha > 0`, factor of the logits.
        learn_scales: whether :math:`\lambda` and :math:`\alpha` are trained.
        intercept: fit a constant as well, which is not regularised: embeddings and labels are centred first. The paper
            has none.
        normalize: bring embeddings to length 1 first, so that one :math:`\lambda` suits every encoder; the paper
            does not.
        balanced: weigh examples so that each class counts the same.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; or a setting is out of range.

    Reference:
        L. Bertinetto, J. F. Henriques, P. H. S. Torr, A. Vedaldi, Meta-learning with differentiable closed-form
        solvers, ICLR 2019, equations 4 to 6 (R2-D2).

    Example:
        >>> head = RidgeHead(regularization=1.0, scale=1.0, intercept=False, normalize=False)
        >>> head(torch.eye(2), torch.tensor([0, 1]), torch.tensor([[4.0, 0.0]]))
        tensor([[2.0000, 0.0000]])
    """

    name = "ridge"

    def __init__(
        self,
        regularization: float = 1.0,
        scale: float = 10.0,
        learn_scales: bool = False,
        intercept: bool = True,
        normalize: bool = True,
        balanced: bool = True,
    ) -> None:
        super().__init__(normalize, balanced)
        for name, value in (("regularization", regularization), ("scale", scale)):
            if not 0 < value < math.inf:
                raise InputError(f"{name} is {value}; expected a positive number")
        self.intercept = intercept
        # Learned as logarithms, both stay positive.
        self.log_regularization = nn.Parameter(torch.tensor(math.log(regularization)), requires_grad=learn_scales)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=learn_scales)

    def settings(self) -> dict[str, Any]:
        return {
            "regularization": float(self.log_regularization.detach().exp()),
            "scale": float(self.log_scale.detach().exp()),
            "learn_scales": self.log_scale.requires_grad,
            "intercept": self.intercept,
            **super().settings(),
        }

    def fit(self, z: Tensor, members: Tensor) -> LinearState:
        labels = members.T.to(z.dtype)  # (n_support_total, n_way)
        counts = self.counts(members, z)
        center, mean_label = torch.zeros_like(z[..., :1, :]), torch.zeros_like(labels[:1])
        if self.intercept:
            shares = counts.T / counts.sum()  # (1, n_support_total)
            center, mean_label = shares @ z, shares @ labels
        x, y = counts.sqrt() * (z - center), counts.sqrt() * (labels - mean_label)
        penalty = self.log_regularization.exp().to(z.dtype).reshape(1, 1)
        if x.shape[-2] <= x.shape[-1]:
            weights = x.mT @ solve_positive(x @ x.mT, penalty, y.expand(*x.shape[:-1], -1))
        else:
            weights = solve_positive(x.mT @ x, penalty, x.mT @ y)
        scale = self.log_scale.exp()
        return LinearState(scale * weights, scale * mean_label, center)
