"""A cache of the examples beside a classifier that is there already (Tip-Adapter)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError
from musicfsl.heads._examples import balanced_weights
from musicfsl.heads.base import Classes, Head, HeadState, class_members, mean_prototypes
from musicfsl.heads.prototypical import PrototypicalHead

__all__ = ["CacheAdapterHead", "CacheState"]


class CacheState(NamedTuple):
    """What `CacheAdapterHead` learned.

    Attributes:
        keys: ``(..., n_support_total, dim)``, the examples.
        values: ``(n_support_total, n_way)``, their one-hot labels, weighted where classes are balanced.
        prototypes: ``(..., n_way, dim)``, of the prior.
    """

    keys: Tensor
    values: Tensor
    prototypes: Tensor


class CacheAdapterHead(Head):
    r"""Adds what the single examples say to what the class means say.

    The examples are the keys of a cache and their one-hot labels :math:`L` its values. Near a key a query takes its
    value, the sharper the larger :math:`\beta`, and this is added to the logits of a prior:

    .. math:: s(z) = \tau \cos(z, c) + \alpha \sum_i e^{-\beta (1 - \cos(z, z_i))} L_i .

    In the paper (Tip-Adapter) the prior is CLIP's zero-shot classifier, whose :math:`c_k` embed the names of the
    classes. Embeddings of sound alone have no names; here :math:`c_k` are the means of the examples (cosine
    prototypes), and `score_with` takes another prior's logits, such as a zero-shot model's.

    Args:
        alpha: :math:`\alpha \ge 0`, what the cache counts beside the prior.
        beta: :math:`\beta > 0`, how quickly a key's influence falls.
        temperature: :math:`\tau > 0` of the prior.
        learn_scales: whether :math:`\alpha`, :math:`\beta` and :math:`\tau` are trained (:math:`\alpha` above 0).
        balanced: weigh examples so that each class counts the same; without it larger classes are preferred.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; or a setting is out of range.

    Reference:
        R. Zhang, W. Zhang, R. Fang, P. Gao, K. Li, J. Dai, Y. Qiao, H. Li, Tip-Adapter: training-free adaption of CLIP
        for few-shot classification, ECCV 2022, section 3.

    Example:
        >>> head = CacheAdapterHead(alpha=1.0, beta=5.5, temperature=10.0)
        >>> support_z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> head(support_z, torch.tensor([0, 1]), torch.tensor([[2.0, 0.0]]))
        tensor([[1.1000e+01, 4.0868e-03]])
    """

    name = "cache-adapter"

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 5.5,
        temperature: float = 10.0,
        learn_scales: bool = False,
        balanced: bool = True,
    ) -> None:
        super().__init__()
        lowest = "above 0, since its logarithm is learned" if learn_scales else "0 or more"
        if not (alpha > 0 if learn_scales else alpha >= 0) or not math.isfinite(alpha):
            raise InputError(f"alpha is {alpha}; expected {lowest}")
        if not 0 < beta < math.inf:
            raise InputError(f"beta is {beta}; expected a positive number")
        self.prototypical = PrototypicalHead("cosine", temperature, learn_scales)
        self.cosine = PrototypicalHead("cosine", 1.0, learn_temperature=False)
        self.balanced = balanced
        self.log_alpha = nn.Parameter(torch.tensor(float(alpha)).log(), requires_grad=learn_scales)
        self.log_beta = nn.Parameter(torch.tensor(math.log(beta)), requires_grad=learn_scales)

    def settings(self) -> dict[str, Any]:
        return {
            "alpha": float(self.log_alpha.detach().exp()),
            "beta": float(self.log_beta.detach().exp()),
            "temperature": float(self.prototypical.log_temperature.detach().exp()),
            "learn_scales": self.log_beta.requires_grad,
            "balanced": self.balanced,
        }

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> CacheState:
        members = class_members(support_z, support_targets, classes)
        prototypes = mean_prototypes(members, support_z)
        values = members.T.to(prototypes.dtype)
        if self.balanced:
            values = values * balanced_weights(members).to(values.dtype).unsqueeze(-1)
        return CacheState(support_z, values, prototypes)

    def score(self, state: CacheState, query_z: Tensor) -> Tensor:
        return self.score_with(self.prototypical.score(HeadState(state.prototypes), query_z), state, query_z)

    def score_with(self, prior: Tensor, state: CacheState, query_z: Tensor) -> Tensor:
        """Logits ``(..., n_query_total, n_way)`` with the prior of another classifier, added to the cache's.

        Args:
            prior: logits ``(..., n_query_total, n_way)`` of the other classifier.
            state: from `Head.adapt`.
            query_z: ``(..., n_query_total, dim)``.
        """
        cosines = self.cosine.score(HeadState(state.keys), query_z)  # (..., n_query_total, n_support_total)
        affinities = torch.exp(self.log_beta.exp() * (cosines - 1))
        return prior + self.log_alpha.exp() * (affinities.to(state.values.dtype) @ state.values)
