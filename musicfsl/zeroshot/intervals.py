"""Intervals of class-balanced measures: over clips by bootstrap, and over class splits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from musicfsl.metrics import MeanInterval, mean_ci95

__all__ = ["balanced_weights", "bootstrap_weights", "mean_ci95_of_few"]


def balanced_weights(targets: NDArray[np.int64], is_unseen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What each clip counts, so that every class of a side (seen, unseen) counts the same and each side sums to 1.

    Args:
        targets: int64 ``(N,)``.
        is_unseen: bool ``(C,)``; every class has a clip.

    Example:
        >>> balanced_weights(np.array([0, 0, 1, 2]), np.array([False, False, True])).tolist()
        [0.25, 0.25, 0.5, 1.0]
    """
    return _normalized(np.ones((1, len(targets))), targets, is_unseen)[0]


def bootstrap_weights(
    targets: NDArray[np.int64],
    is_unseen: NDArray[np.bool_],
    groups: NDArray[np.int64] | None,
    n: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The same weights after drawing clips with replacement, within each class.

    Clips of one player or song are alike, so where groups are known whole groups are drawn: the interval then says how
    far a measure would move with other players. A class of a single group, of which none can be drawn, falls back on
    its clips.

    Args:
        targets: int64 ``(N,)``.
        is_unseen: bool ``(C,)``; every class has a clip.
        groups: int64 ``(N,)``, or None.
        n: number of samples.
        rng: draws them.

    Returns:
        float64 ``(n, N)``.

    Reference:
        B. Efron, R. J. Tibshirani, An introduction to the bootstrap, Chapman & Hall 1993; whole groups: A. C. Davison,
        D. V. Hinkley, Bootstrap methods and their application, Cambridge 1997, section 3.8.
    """
    counts = np.empty((n, len(targets)))
    for c in range(len(is_unseen)):
        clips = np.flatnonzero(targets == c)
        unit = np.arange(len(clips))
        if groups is not None:
            found, unit_of_group = np.unique(groups[clips], return_inverse=True)
            unit = unit if len(found) == 1 else unit_of_group
        n_units = int(unit.max()) + 1
        drawn = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n)
        counts[:, clips] = drawn[:, unit]
    return _normalized(counts, targets, is_unseen)


def mean_ci95_of_few(values: Sequence[float]) -> MeanInterval:
    """Mean and half the width of its 95 % interval by Student's t, for few values such as one a class split.

    Splits of one set of classes overlap, so their results are not independent, and the interval speaks of these
    classes divided in other ways rather than of other classes.

    Args:
        values: at least two.

    Raises:
        InputError: there are fewer than two values, or one is not finite.

    Reference:
        Student, The probable error of a mean, Biometrika 6(1), 1908.

    Example:
        >>> mean, ci95 = mean_ci95_of_few([0.4, 0.5, 0.6, 0.5, 0.5])
        >>> print(f"{mean:.2f} +- {ci95:.2f}")
        0.50 +- 0.09
    """
    mean, normal = mean_ci95(values)
    from scipy.stats import t

    return MeanInterval(mean, normal / 1.96 * float(t.ppf(0.975, len(values) - 1)))


def _normalized(
    counts: NDArray[np.float64], targets: NDArray[np.int64], is_unseen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Counts ``(n, N)`` over the counts of each clip's class and the number of classes of its side."""
    members = (targets[:, None] == np.arange(len(is_unseen))).astype(np.float64)  # (N, C)
    of_class = counts @ members  # (n, C)
    n_classes = np.where(is_unseen, is_unseen.sum(), (~is_unseen).sum())
    weights: NDArray[np.float64] = counts / (of_class * n_classes)[:, targets]
    return weights
