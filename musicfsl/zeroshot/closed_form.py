"""A zero-shot model with a closed form, which every trained one has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError

__all__ = ["ESZSL"]


class ESZSL:
    r"""A bilinear score between audio embeddings and side vectors, fitted by ridge regression on both sides.

    With embeddings :math:`X` ``(N, dim)``, a target matrix :math:`Y` of 1 for a clip's own class and -1 for others,
    and side vectors :math:`S` ``(C, side_dim)`` of the seen classes,

    .. math:: V = (X^T X + \gamma I)^{-1} X^T Y S (S^T S + \lambda I)^{-1}

    and the score of an embedding :math:`x` for any class, seen or not, is :math:`x^T V s`.

    Args:
        gamma: ridge on the audio side, per clip: it is multiplied by ``N`` and by the mean square of ``X``.
        lambda_: ridge on the side of the classes, per class, scaled alike.

    Attributes:
        matrix_: float64 ``(dim, side_dim)`` :math:`V`, once fitted.

    Reference:
        B. Romera-Paredes, P. H. S. Torr, An embarrassingly simple approach to zero-shot learning, ICML 2015,
        equations 3 and 4. Scaling both ridges by the data is ours: one value then suits sets of any size.

    Example:
        >>> model = ESZSL().fit([[1.0, 0.0], [0.0, 1.0]], [0, 1], [[1.0, 0.0], [0.0, 1.0]])
        >>> model.score([[2.0, 0.1]], [[1.0, 0.0], [0.0, 1.0]]).argmax(axis=1)
        array([0])
    """

    def __init__(self, gamma: float = 0.1, lambda_: float = 10.0) -> None:
        if gamma <= 0 or lambda_ <= 0:
            raise InputError(f"gamma is {gamma} and lambda_ {lambda_}; expected positive numbers")
        self.gamma, self.lambda_ = gamma, lambda_

    def fit(self, embeddings: ArrayLike, targets: ArrayLike, side_vectors: ArrayLike) -> ESZSL:
        """Fits the matrix to clips of seen classes.

        Args:
            embeddings: float ``(N, dim)``; centred, they need no intercept.
            targets: int ``(N,)``, rows of ``side_vectors``.
            side_vectors: float ``(C, side_dim)`` of the seen classes.

        Returns:
            the model itself.

        Raises:
            InputError: shapes do not fit.
        """
        x, s = np.asarray(embeddings, dtype=np.float64), np.asarray(side_vectors, dtype=np.float64)
        y = np.asarray(targets)
        if x.ndim != 2 or s.ndim != 2 or y.shape != (len(x),) or not (0 <= y.min() <= y.max() < len(s)):
            raise InputError(
                f"embeddings have shape {x.shape}, targets {y.shape} and side vectors {s.shape}; expected (N, dim), "
                "(N,) with rows of the side vectors, and (C, side_dim)"
            )
        signs = np.where(y[:, None] == np.arange(len(s)), 1.0, -1.0)  # (N, C)
        by_audio = np.linalg.solve(_ridged(x, self.gamma), x.T @ signs @ s)  # (dim, side_dim)
        self.matrix_: NDArray[np.float64] = np.linalg.solve(_ridged(s, self.lambda_), by_audio.T).T
        return self

    def score(self, embeddings: ArrayLike, side_vectors: ArrayLike) -> NDArray[np.float64]:
        """Scores ``(N, C)`` of clips for any classes.

        Raises:
            InputError: the model is not fitted, or shapes do not fit it.
        """
        if not hasattr(self, "matrix_"):
            raise InputError("the model is not fitted; call fit first")
        x, s = np.asarray(embeddings, dtype=np.float64), np.asarray(side_vectors, dtype=np.float64)
        if x.ndim != 2 or s.ndim != 2 or (x.shape[1], s.shape[1]) != self.matrix_.shape:
            raise InputError(
                f"embeddings have shape {x.shape} and side vectors {s.shape}; expected (N, {self.matrix_.shape[0]}) "
                f"and (C, {self.matrix_.shape[1]})"
            )
        return x @ self.matrix_ @ s.T


def _ridged(rows: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """``rows^T rows`` with its diagonal raised by ``ridge`` times the squared length of all rows over the columns."""
    product = rows.T @ rows
    return product + ridge * max(float(product.trace()) / len(product), 1e-12) * np.eye(len(product))
