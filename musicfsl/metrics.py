"""Accuracies over episodes, with the interval that makes them comparable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError

__all__ = ["MeanInterval", "confusion_matrix", "macro_f1", "mean_ci95"]


class MeanInterval(NamedTuple):
    """A mean and half the width of its 95 % confidence interval."""

    mean: float
    ci95: float


def mean_ci95(values: ArrayLike) -> MeanInterval:
    """Mean over episodes with the normal 95 % interval, 1.96 standard errors to either side.

    It tells how far the mean over *these classes and clips* may move when other episodes are drawn
    from them; it does not speak of other classes.

    Args:
        values: one number an episode, at least two.

    Returns:
        the mean and half the interval's width.

    Raises:
        InputError: there are fewer than two values, or one is not finite.

    Example:
        >>> mean, ci95 = mean_ci95([0.5, 0.7, 0.6, 0.6])
        >>> print(f"{mean:.2f} +- {ci95:.2f}")
        0.60 +- 0.08
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise InputError(f"an interval needs a list of at least 2 values, but got shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError("the values hold NaN or infinity; an interval of them would mean nothing")
    return MeanInterval(float(array.mean()), 1.96 * float(array.std(ddof=1)) / math.sqrt(len(array)))


def confusion_matrix(
    targets: NDArray[np.int64], predictions: NDArray[np.int64], classes: Sequence[str] | int
) -> NDArray[np.int64]:
    """Counts of predictions by true class (rows) and predicted class (columns).

    Args:
        targets: int64 ``(N,)``.
        predictions: int64 ``(N,)``.
        classes: the class names, or how many there are.

    Returns:
        int64 ``(n_classes, n_classes)``.

    Example:
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    n = classes if isinstance(classes, int) else len(classes)
    counts = np.bincount(targets.reshape(-1) * n + predictions.reshape(-1), minlength=n * n)
    return counts.reshape(n, n)


def macro_f1(confusion: ArrayLike) -> NDArray[np.float64]:
    r"""Mean over classes of :math:`F_1 = 2 \, tp / (2 \, tp + fp + fn)`, which punishes a class that is said too often.

    A class that was neither asked for nor answered is left out of the mean.

    Args:
        confusion: ``(..., C, C)`` counts, true class by predicted class.

    Returns:
        float64 ``(...)``; NaN where there are no counts at all.

    Example:
        >>> float(macro_f1([[3, 1], [0, 4]]).round(3))
        0.873
    """
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise InputError(f"the confusion matrix has shape {counts.shape}; expected (..., C, C)")
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    said_or_asked = counts.sum(axis=-2) + counts.sum(axis=-1)
    occurs = said_or_asked > 0
    f1 = np.divide(2 * right, said_or_asked, out=np.zeros_like(said_or_asked), where=occurs)
    n_classes = occurs.sum(axis=-1)
    return np.divide(f1.sum(axis=-1), n_classes, out=np.full(n_classes.shape, np.nan), where=n_classes > 0)
