"""From which probability on a label is answered, chosen for each label on validation data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.multilabel._checks import checked_names, checked_probabilities, checked_targets, checked_thresholds

__all__ = ["tune_thresholds"]


def tune_thresholds(
    probabilities: ArrayLike, targets: ArrayLike, classes: Sequence[str], default: float = 0.6
) -> NDArray[np.float64]:
    """Chooses the threshold with the highest F1 for each class, on validation data.

    Never tune on what is then reported: thresholds that fit the noise of the test data flatter it. F1 changes only at
    the probabilities that occur; the threshold is the middle between the lowest that is answered and the next below it
    (0 below the last). Of equally good middles the one nearest to ``default`` is taken. A class without a positive
    keeps ``default``, and a warning names it.

    Args:
        probabilities: ``(N, C)``, 0 to 1, of the validation data.
        targets: ``(N, C)`` of 0 and 1.
        classes: C names.
        default: the threshold of classes that cannot be tuned.

    Returns:
        float64 ``(C,)``.

    Raises:
        InputError: shapes differ, or a value is NaN or out of range.

    Reference:
        Z. C. Lipton, C. Elkan, B. Naryanaswamy, Optimal thresholding of classifiers to maximize F1 measure, ECML PKDD
        2014.

    Example:
        >>> tune_thresholds([[0.9], [0.5], [0.3], [0.1]], [[1], [1], [0], [0]], ["Cello"]).tolist()
        [0.4]
    """
    scores = checked_probabilities(probabilities)
    present = checked_targets(targets, (len(scores), scores.shape[1]))
    names = checked_names(classes, scores.shape[1])
    thresholds = checked_thresholds(default, len(names))
    support = present.sum(axis=0)
    absent = [name for name, n in zip(names, support.tolist(), strict=True) if n == 0]
    for c in np.flatnonzero(support):
        thresholds[c] = _best_threshold(scores[:, c], present[:, c], float(thresholds[c]))
    if absent:
        whose = "its threshold stays" if len(absent) == 1 else "their thresholds stay"
        warnings.warn(
            f"no excerpt of the validation data has {' or '.join(absent)}; {whose} at {float(default):g}", stacklevel=2
        )
    return thresholds


def _best_threshold(scores: NDArray[np.float64], present: NDArray[np.bool_], default: float) -> float:
    levels, level_of = np.unique(-scores, return_inverse=True)  # ascending, so the highest score comes first
    said = np.cumsum(np.bincount(level_of))
    hits = np.cumsum(np.bincount(level_of, weights=present))
    f1 = 2 * hits / (said + present.sum())
    middles = (-levels + np.append(-levels[1:], 0)) / 2
    best = middles[f1 >= f1.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - default))])
