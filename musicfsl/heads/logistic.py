"""Logistic regression on the support set, to the optimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.heads._linear import LinearHead, LinearState, positive_root

__all__ = ["LogisticHead"]

# A fit ends where the gradient has fallen to this share of what it was at the start, and at the latest after so many
# steps of Newton's method; the equation of each is solved to a hundredth by at most so many conjugate gradients.
_TOLERANCE = 1e-6
_NEWTON_STEPS = 40
_CONJUGATE_GRADIENTS = 200


class LogisticHead(LinearHead):
    r"""Multinomial logistic regression, regularised, and fitted anew to each support set.

    The classifier is the one and only minimum of

    .. math:: \sum_i w_i \left[ -\log \mathrm{softmax}(x_i W + b)_{y_i} \right] + \frac{\lambda}{2} \lVert W \rVert^2 ,

    the linear probe of representation learning. It is found by Newton's method for all stacked episodes at once: each
    step is solved by conjugate gradients, so that no Hessian is written down, and halved until the objective falls.
    Gradients with respect to the embeddings are those of the minimum itself (by the implicit function theorem), not of
    the steps that led there; they can be taken once, not differentiated again.

    Args:
        regularization: :math:`\lambda > 0`, one over scikit-learn's ``C``.
        normalize: bring embeddings to length 1 first, so that one :math:`\lambda` suits every encoder.
        balanced: weigh examples so that each class counts the same.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; or ``regularization`` is not positive.

    Reference:
        Y. Tian, Y. Wang, D. Krishnan, J. B. Tenenbaum, P. Isola, Rethinking few-shot image classification: a good
        embedding is all you need?, ECCV 2020 (logistic regression on normalised embeddings); gradients through the
        optimum: K. Lee, S. Maji, A. Ravichandran, S. Soatto, Meta-learning with differentiable convex optimization,
        CVPR 2019, section 3.2.

    Example:
        >>> head = LogisticHead(regularization=0.1)
        >>> support_z = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
        >>> head(support_z, torch.tensor([0, 0, 1]), torch.tensor([[3.0, 1.0]])).softmax(-1)
        tensor([[0.8368, 0.1632]])
    """

    name = "logistic"

    def __init__(self, regularization: float = 0.1, normalize: bool = True, balanced: bool = True) -> None:
        super().__init__(normalize, balanced)
        if not 0 < regularization < math.inf:
            raise InputError(f"regularization is {regularization}; expected a positive number")
        self.regularization = regularization

    def settings(self) -> dict[str, Any]:
        return {"regularization": self.regularization, **super().settings()}

    def fit(self, z: Tensor, members: Tensor) -> LinearState:
        counts = self.counts(members, z)  # (n_support_total, 1)
        center = (counts / counts.sum()).T @ z  # (..., 1, dim); moving the embeddings moves only the intercept
        centered = z - center
        # The intercept is the weight of one more column, as large as the others' norm and without a penalty.
        size = centered.detach().square().sum(-1).mean(-1)[..., None, None].sqrt()
        size = torch.where(size > 0, size, 1.0)
        objective = _Objective(centered, size, members.T.to(z.dtype), counts, self.regularization)
        weights = objective.minimum()
        return LinearState(weights[..., :-1, :], size * weights[..., -1:, :], center)


class _Objective:
    """What is minimised, for one or more stacked episodes.

    Args:
        rows: embeddings ``(..., n, dim)``.
        size: ``(..., 1, 1)``, the last column of all rows, whose weight has no penalty.
        labels: one-hot ``(n, n_way)``.
        counts: ``(n, 1)``, what each example counts.
        penalty: of the squared weights.
    """

    def __init__(self, rows: Tensor, size: Tensor, labels: Tensor, counts: Tensor, penalty: float) -> None:
        self.rows, self.size, self.labels, self.counts, self.penalty = rows, size, labels, counts, penalty
        self.x = torch.cat([rows, size.expand(*rows.shape[:-1], 1)], dim=-1)  # (..., n, dim + 1)
        self.penalties = torch.full_like(self.x[..., :1, :].mT, penalty, requires_grad=False)
        self.penalties[..., -1, :] = 0

    def minimum(self) -> Tensor:
        """The best weights ``(..., dim + 1, n_way)``, with the gradient that the minimum has for the rows."""
        with torch.no_grad():
            best = self._newton(self._start(), _TOLERANCE)
        if not (torch.is_grad_enabled() and self.x.requires_grad):
            return best
        # At the minimum the gradient g vanishes whatever x is, so dW = -H^-1 dg: W is followed by -g, whose value is
        # taken away, and what comes back through it is divided by the Hessian H.
        hessian = self._hessian(torch.softmax(self.x.detach() @ best, dim=-1))
        gradient = self._gradient(torch.softmax(self.x @ best, dim=-1), best)
        gradient.register_hook(lambda incoming: _conjugate_gradients(hessian, incoming, _TOLERANCE))  # type: ignore[no-untyped-call]
        return _centered(best - (gradient - gradient.detach()))

    def _start(self) -> Tensor:
        """Weights near the best: 0, or those that shorter rows with nearly the same products lead to.

        Nothing but the products of the rows with one another decides what is answered to them, and at the minimum the
        weights follow from the answers: their gradient is 0. So most of the work is done on rows as short as there are
        examples.
        """
        n, dim = self.rows.shape[-2:]
        if n >= dim:
            return torch.zeros_like(self.x.mT[..., :1]).expand(*self.x.mT.shape[:-1], self.labels.shape[-1])
        short = _Objective(positive_root(self.rows @ self.rows.mT), self.size, self.labels, self.counts, self.penalty)
        found = short._newton(short._start(), tolerance=1e-4)
        missing = self.counts * (self.labels - (short.x @ found).softmax(-1))
        return torch.cat([self.rows.mT @ missing / self.penalty, found[..., -1:, :]], dim=-2)

    def _newton(self, weights: Tensor, tolerance: float) -> Tensor:
        """Newton's method from some weights on, until the gradient is so small a share of that of weights 0."""
        at_zero = self._gradient(torch.full_like(self.labels, 1 / self.labels.shape[-1]), torch.zeros_like(weights))
        rounding = 4 * torch.finfo(self.x.dtype).eps * _dot(self.x, self.x).sqrt()
        goal = torch.maximum(tolerance * _dot(at_zero, at_zero).sqrt(), rounding)
        for _ in range(_NEWTON_STEPS):
            logits = self.x @ weights
            probabilities = logits.softmax(-1)
            gradient = self._gradient(probabilities, weights)
            far = _dot(gradient, gradient).sqrt() > goal
            if not far.any():
                break
            step = -_conjugate_gradients(self._hessian(probabilities), gradient * far, tolerance=0.01)
            length = self._step_length(weights, logits, step, _dot(gradient, step))
            if not (far & (length > 0)).any():
                break  # as near as the precision of the numbers allows
            weights = weights + length * step
        return weights

    def _step_length(self, weights: Tensor, logits: Tensor, step: Tensor, slope: Tensor) -> Tensor:
        """The first of 1, 1/2, 1/4 ... at which the objective has fallen enough (Armijo's rule), else 0."""
        along = self.x @ step
        now = self._value(weights, logits)
        rounding = 4 * torch.finfo(now.dtype).eps * now.abs()
        length, accepted = torch.ones_like(now), torch.zeros_like(now, dtype=torch.bool)
        for _ in range(20):
            value = self._value(weights + length * step, logits + length * along)
            accepted = accepted | (value <= now + 1e-4 * length * slope + rounding)
            if accepted.all():
                break
            length = torch.where(accepted, length, length / 2)
        return torch.where(accepted, length, 0.0)

    def _value(self, weights: Tensor, logits: Tensor) -> Tensor:
        cross_entropies = -(logits.log_softmax(-1) * self.labels).sum(-1, keepdim=True)
        penalty = (self.penalties * weights.square()).sum(dim=(-2, -1), keepdim=True) / 2
        return (self.counts * cross_entropies).sum(-2, keepdim=True) + penalty

    def _gradient(self, probabilities: Tensor, weights: Tensor) -> Tensor:
        return _centered(self.x.mT @ (self.counts * (probabilities - self.labels)) + self.penalties * weights)

    def _hessian(self, probabilities: Tensor) -> Callable[[Tensor], Tensor]:
        """The product of the Hessian with a direction ``(..., dim, n_way)``."""
        x = self.x.detach()

        def product(direction: Tensor) -> Tensor:
            change = x @ direction
            change = change - (probabilities * change).sum(-1, keepdim=True)
            return _centered(x.mT @ (self.counts * probabilities * change) + self.penalties * direction)

        return product


def _conjugate_gradients(operator: Callable[[Tensor], Tensor], right: Tensor, tolerance: float) -> Tensor:
    """Solves ``operator(v) = right`` for each stacked matrix, until the residual is so small a share of ``right``."""
    with torch.no_grad():
        solution, residual = torch.zeros_like(right), right
        direction, size = residual, _dot(residual, residual)
        goal = tolerance**2 * size
        for _ in range(_CONJUGATE_GRADIENTS):
            if (size <= goal).all():
                break
            product = operator(direction)
            curvature = _dot(direction, product)
            going = (size > goal) & (curvature > 0)  # others stay where they are
            length = torch.where(going, size / torch.where(going, curvature, 1.0), 0.0)
            solution = solution + length * direction
            residual = residual - length * product
            before, size = size, _dot(residual, residual)
            direction = residual + torch.where(going, size / torch.where(going, before, 1.0), 0.0) * direction
        return solution


def _centered(weights: Tensor) -> Tensor:
    """Weights without what all classes share, which is 0 at the minimum.

    The objective is flat along the direction that moves all intercepts alike. Neither rounding nor the gradient of a
    loss may go there, for the Hessian cannot bring it back.
    """
    return weights - weights.mean(dim=-1, keepdim=True)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum of products of all entries of each matrix, ``(..., 1, 1)``."""
    return (a * b).sum(dim=(-2, -1), keepdim=True)
