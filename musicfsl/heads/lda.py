"""Linear discriminant analysis with a shrunk covariance."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.heads._linear import LinearHead, LinearState, solve_shrunk
from musicfsl.heads.base import mean_prototypes

__all__ = ["LdaHead", "ledoit_wolf_shrinkage"]

# Below this share of the variance of all examples, the variance within classes is rounding.
_NEGLIGIBLE = 1e-6

# A covariance of full rank may ask for no shrinkage at all; so much keeps the solution stable.
_LEAST_SHRINKAGE = 1e-4


class LdaHead(LinearHead):
    r"""Nearest class mean in the metric of the spread within classes.

    All classes share a covariance, that of the examples about the means of their classes, :math:`S`. With fewer
    examples than dimensions it is singular; it is therefore drawn towards the same variance
    :math:`\mu = \mathrm{tr}(S) / d` in all directions,

    .. math:: \Sigma = (1 - s)\, S + s\, \mu I, \qquad
        \text{logit}_k(z) = z^\top \Sigma^{-1} c_k - \tfrac{1}{2} c_k^\top \Sigma^{-1} c_k ,

    the log-probability of Gaussian classes that are equally probable (up to what all classes share). The inverse is
    computed in the space that the examples span. With one example a class nothing is known of the spread within
    classes; then :math:`\Sigma` is the variance of all examples in every direction, and the nearest mean wins.

    Args:
        shrinkage: :math:`s`, above 0 and up to 1, or ``"ledoit-wolf"``, which estimates for each support set the
            :math:`s` with the least expected squared error.
        normalize: bring embeddings to length 1 first.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; or ``shrinkage`` is out of range.

    Reference:
        R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics, 1936; O. Ledoit,
        M. Wolf, A well-conditioned estimator for large-dimensional covariance matrices, Journal of Multivariate
        Analysis, 2004 (the shrinkage).

    Example:
        >>> head = LdaHead(shrinkage=0.5, normalize=False)
        >>> support_z = torch.tensor([[0.0, -1.0], [0.0, 1.0], [2.0, -1.0], [2.0, 1.0]])
        >>> head(support_z, torch.tensor([0, 0, 1, 1]), torch.tensor([[1.5, 9.0]])).softmax(-1)
        tensor([[0.0180, 0.9820]])
    """

    name = "lda"

    def __init__(self, shrinkage: float | Literal["ledoit-wolf"] = "ledoit-wolf", normalize: bool = True) -> None:
        super().__init__(normalize, balanced=True)
        if shrinkage != "ledoit-wolf" and not (isinstance(shrinkage, (int, float)) and 0 < shrinkage <= 1):
            raise InputError(f"shrinkage is {shrinkage!r}; expected a number above 0 and up to 1, or 'ledoit-wolf'")
        self.shrinkage = shrinkage

    def settings(self) -> dict[str, Any]:
        return {"shrinkage": self.shrinkage, "normalize": self.normalize}

    def fit(self, z: Tensor, members: Tensor) -> LinearState:
        center = mean_prototypes(members, z).mean(dim=-2, keepdim=True)
        z = z - center
        prototypes = mean_prototypes(members, z)  # (..., n_way, dim)
        residuals = z - members.T.to(z.dtype) @ prototypes  # (..., n_support_total, dim)
        within, overall = _mean_square(residuals), _mean_square(z)
        shrinkage = (
            ledoit_wolf_shrinkage(residuals).clamp(min=_LEAST_SHRINKAGE)
            if isinstance(self.shrinkage, str)
            else torch.full_like(within, self.shrinkage)
        )
        known = within > _NEGLIGIBLE * overall
        shrinkage = torch.where(known, shrinkage, 1.0)
        variance = torch.where(known, within, torch.where(overall > 0, overall, 1.0))
        scale = (1 - shrinkage) / residuals.shape[-2]
        weights = solve_shrunk(residuals, scale, shrinkage * variance, prototypes.mT)  # (..., dim, n_way)
        return LinearState(weights, -(prototypes.mT * weights).sum(dim=-2, keepdim=True) / 2, center)


def ledoit_wolf_shrinkage(residuals: Tensor) -> Tensor:
    r"""How far to draw the covariance of centred rows towards the identity, by the formula of Ledoit and Wolf.

    With :math:`S = X^\top X / n`, :math:`\mu = \mathrm{tr}(S) / d`, and norms divided by :math:`d`,

    .. math:: s = \min\!\left( 1, \frac{\frac{1}{n^2} \sum_i \lVert x_i x_i^\top - S \rVert^2}
        {\lVert S - \mu I \rVert^2} \right) ,

    all of which follows from the products of the rows with one another.

    Args:
        residuals: :math:`X`, ``(..., n, dim)``, of mean 0.

    Returns:
        ``(..., 1, 1)``, 0 to 1; 1 where the covariance is a multiple of the identity already.

    Example:
        >>> ledoit_wolf_shrinkage(torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
        tensor([[0.9444]])
    """
    n, dim = residuals.shape[-2:]
    products = residuals @ residuals.mT if n <= dim else residuals.mT @ residuals
    squared_norm = products.square().sum(dim=(-2, -1), keepdim=True) / n**2  # of S
    variance = _mean_square(residuals)
    distance = squared_norm - dim * variance.square()
    fourth_powers = residuals.square().sum(dim=-1, keepdim=True).square().sum(dim=-2, keepdim=True)
    error = (fourth_powers / n - squared_norm) / n
    some = distance > torch.finfo(residuals.dtype).eps * squared_norm
    return torch.where(some, error / torch.where(some, distance, 1.0), 1.0).clamp(0, 1)


def _mean_square(x: Tensor) -> Tensor:
    """Mean square of all entries of each matrix, ``(..., 1, 1)``."""
    return x.square().mean(dim=(-2, -1), keepdim=True)
