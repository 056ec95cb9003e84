"""What heads share whose logits are linear in the embedding."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from musicfsl.heads._examples import balanced_weights
from musicfsl.heads.base import Classes, Head, check_finite, check_queries, class_members

__all__ = ["LinearHead", "LinearState", "positive_root", "solve_positive", "solve_shrunk"]


class LinearState(NamedTuple):
    """A linear classifier: the logits of a query :math:`z` are :math:`(z - m) W + b`.

    Attributes:
        weights: :math:`W`, ``(..., dim, n_way)``.
        intercepts: :math:`b`, ``(..., 1, n_way)``.
        center: :math:`m`, ``(..., 1, dim)``; taking it away first keeps digits far from the origin.
    """

    weights: Tensor
    intercepts: Tensor
    center: Tensor


class LinearHead(Head):
    """A head that fits a linear classifier to the support set; computed in float32 at least, also under autocast.

    Args:
        normalize: bring embeddings to length 1 first, those of queries too. Then the strength of a regularisation means
            the same for every encoder.
        balanced: let each class count the same, however many examples it has.
    """

    def __init__(self, normalize: bool, balanced: bool) -> None:
        super().__init__()
        self.normalize, self.balanced = normalize, balanced

    def settings(self) -> dict[str, Any]:
        return {"normalize": self.normalize, "balanced": self.balanced}

    @abstractmethod
    def fit(self, z: Tensor, members: Tensor) -> LinearState:
        """Fits the classifier.

        Args:
            z: ``(..., n_support_total, dim)``, checked, and normalised where that is wanted.
            members: int64 ``(n_way, n_support_total)``, 1 where an example belongs to a class.
        """

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> LinearState:
        members = class_members(support_z, support_targets, classes)
        check_finite(support_z)
        with torch.autocast(support_z.device.type, enabled=False):
            return self.fit(self._prepared(support_z), members)

    def score(self, state: LinearState, query_z: Tensor) -> Tensor:
        check_queries(query_z, state.weights.shape[-2])
        with torch.autocast(query_z.device.type, enabled=False):
            return (self._prepared(query_z) - state.center) @ state.weights + state.intercepts

    def counts(self, members: Tensor, like: Tensor) -> Tensor:
        """What each example counts in a fit, ``(n_support_total, 1)``: 1, or what balances the classes."""
        weights = balanced_weights(members) if self.balanced else torch.ones(members.shape[1], device=members.device)
        return weights.to(like.dtype).unsqueeze(-1)

    def _prepared(self, z: Tensor) -> Tensor:
        z = z.to(torch.promote_types(z.dtype, torch.float32))
        return nn.functional.normalize(z, dim=-1) if self.normalize else z


def solve_positive(matrix: Tensor, ridge: Tensor, right: Tensor) -> Tensor:
    r"""Solves :math:`(A + \rho I) V = B` for positive semidefinite :math:`A` by Cholesky's decomposition.

    Its backward exists on every device, other than that of the general solver. A very small :math:`\rho` is raised
    (`positive_root`).

    Args:
        matrix: :math:`A`, ``(..., n, n)``.
        ridge: :math:`\rho \ge 0`, ``(..., 1, 1)``.
        right: :math:`B`, ``(..., n, m)``.

    Returns:
        ``(..., n, m)``.

    Example:
        >>> solve_positive(torch.eye(2) * 3, torch.ones(1, 1), torch.tensor([[4.0], [8.0]]))
        tensor([[1.],
                [2.]])
    """
    factor = positive_root(matrix, ridge)
    below = torch.linalg.solve_triangular(factor, right, upper=False)
    return torch.linalg.solve_triangular(factor.mT, below, upper=True)


def positive_root(matrix: Tensor, ridge: Tensor | float = 0.0) -> Tensor:
    r"""The triangular :math:`L` of :math:`L L^\top = A + \rho I` for positive semidefinite :math:`A`.

    Args:
        matrix: :math:`A`, ``(..., n, n)``.
        ridge: :math:`\rho`, ``(..., 1, 1)``; raised to what does not vanish beside :math:`A` in the precision of the
            numbers, where it is smaller.
    """
    trace = matrix.diagonal(dim1=-2, dim2=-1).detach().sum(-1)[..., None, None]
    numbers = torch.finfo(matrix.dtype)
    ridge = torch.maximum(torch.as_tensor(ridge).to(matrix), 4 * numbers.eps * trace + numbers.tiny)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.cholesky(matrix + ridge * identity)


def solve_shrunk(rows: Tensor, scale: Tensor, ridge: Tensor, right: Tensor) -> Tensor:
    r"""Solves :math:`(c X^\top X + \rho I) V = B` on the shorter side of :math:`X`.

    With more columns than rows, by the identity of Woodbury,

    .. math:: V = \frac{1}{\rho} \left[ B - c X^\top (c X X^\top + \rho I)^{-1} X B \right] .

    Args:
        rows: :math:`X`, ``(..., n, dim)``.
        scale: :math:`c \ge 0`, ``(..., 1, 1)``.
        ridge: :math:`\rho > 0`, ``(..., 1, 1)``.
        right: :math:`B`, ``(..., dim, m)``.

    Returns:
        ``(..., dim, m)``.
    """
    n, dim = rows.shape[-2:]
    if dim <= n:
        return solve_positive(scale * (rows.mT @ rows), ridge, right)
    inner = solve_positive(scale * (rows @ rows.mT), ridge, rows @ right)  # (..., n, m)
    return (right - scale * (rows.mT @ inner)) / ridge
