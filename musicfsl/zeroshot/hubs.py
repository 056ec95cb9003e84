"""Hubs: class vectors that are the nearest of far too many clips."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError

__all__ = ["hubness", "k_occurrences"]


def k_occurrences(scores: ArrayLike, k: int = 1) -> NDArray[np.int64]:
    """How often each class is among the ``k`` nearest of a clip.

    Args:
        scores: float ``(N, C)``, higher is more alike.
        k: 1 to ``C``.

    Returns:
        int64 ``(C,)``, which sums to ``N k``.

    Raises:
        InputError: the shape does not fit, or ``k`` is out of range.

    Example:
        >>> k_occurrences([[0.9, 0.1, 0.2], [0.8, 0.7, 0.1]]).tolist()
        [2, 0, 0]
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or len(scores) == 0:
        raise InputError(f"scores have shape {scores.shape}; expected (N, C) with a clip or more")
    if not 1 <= k <= scores.shape[1]:
        raise InputError(f"k is {k}; expected 1 to {scores.shape[1]}, the number of classes")
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.bincount(nearest.reshape(-1), minlength=scores.shape[1])


def hubness(scores: ArrayLike, k: int = 1) -> float:
    r"""Skewness of the k-occurrences: near 0 where all classes are near equally often, large where there are hubs.

    With the k-occurrence :math:`N_k` of the classes, their mean :math:`\mu` and standard deviation :math:`\sigma`,
    it is :math:`\mathbb{E} (N_k - \mu)^3 / \sigma^3`, and 0 where all are equal.

    Args:
        scores: float ``(N, C)``, higher is more alike. Take equally many clips a class, or a class of many clips is
            taken for a hub.
        k: neighbours of a clip that count.

    Raises:
        InputError: as `k_occurrences`.

    Reference:
        M. Radovanovic, A. Nanopoulos, M. Ivanovic, Hubs in space: popular nearest neighbors in high-dimensional data,
        JMLR 11, 2010, section 3; in zero-shot learning: G. Dinu, A. Lazaridou, M. Baroni, Improving zero-shot learning
        by mitigating the hubness problem, ICLR 2015 workshop.

    Example:
        >>> hubness(np.eye(5))
        0.0
        >>> round(hubness([[1, 0, 0, 0]] * 9 + [[0, 1, 0, 0]]), 2)
        1.12
    """
    counts = k_occurrences(scores, k).astype(np.float64)
    deviations = counts - counts.mean()
    sigma = float(np.sqrt((deviations**2).mean()))
    return 0.0 if sigma == 0 else float((deviations**3).mean() / sigma**3)
