"""From the probabilities of single windows to one label for each: few changes, and none too quick."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import InputError

__all__ = ["viterbi", "with_silence"]

# How sure the level is of its answer, and the least probability whose logarithm is taken.
_SURE = 0.999
_LEAST = 1e-6


def with_silence(
    probabilities: NDArray[np.float32], levels: NDArray[np.float64], silence_db: float
) -> NDArray[np.float32]:
    """Adds a last column, the probability of silence, which the level alone decides.

    Args:
        probabilities: ``(N, C)`` of the classes.
        levels: ``(N,)`` in decibels.
        silence_db: what is further than this below the loudest level is silence.

    Returns:
        ``(N, C + 1)``; rows sum to 1.

    Example:
        >>> with_silence(np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([-20.0, -90.0]), silence_db=50).round(4).tolist()
        [[0.4995, 0.4995, 0.001], [0.0009, 0.0001, 0.999]]
    """
    if not silence_db > 0:
        raise InputError(f"silence_db is {silence_db}; expected a positive number of decibels, or None for no silence")
    silence = np.where(levels < levels.max() - silence_db, _SURE, 1 - _SURE)[:, None]
    return np.concatenate([probabilities * (1 - silence), silence], axis=1).astype(probabilities.dtype)


def viterbi(scores: NDArray[np.floating], penalty: float, min_windows: int = 1) -> NDArray[np.int64]:
    r"""Finds the labels that fit the windows best, when every change of label costs something.

    Of all sequences :math:`y_1 \dots y_N` in which each label holds for ``min_windows`` windows or more, it is the one
    with the highest :math:`\sum_t s_{t, y_t} - \lambda \cdot \#\{t: y_t \ne y_{t-1}\}`. With the logarithms of
    probabilities as scores :math:`s`, this is the most probable path of a hidden Markov model whose classes are equally
    probable and change with odds of :math:`e^{-\lambda}` for each other class.

    The best path that ends at ``t`` in class ``c`` either stays in ``c``, or entered it ``min_windows`` windows ago,
    from the best path that ended there in another class. One backward pointer a window and class says which. Time
    and memory are proportional to ``N C``.

    Args:
        scores: ``(N, C)``, finite.
        penalty: the cost :math:`\lambda` of a change, 0 or more.
        min_windows: least windows between two changes, and before the first and after the last. Fewer than so
            many windows get one label.

    Returns:
        ``(N,)`` column numbers.

    Raises:
        InputError: the scores are not finite or no matrix, or a number is out of range.

    Reference:
        L. Rabiner, A tutorial on hidden Markov models and selected applications in speech recognition, Proceedings of
        the IEEE 77(2), 1989; durations: S. Levinson, Continuously variable duration hidden Markov models for automatic
        speech recognition, Computer Speech and Language 1, 1986.

    Example:
        >>> scores = np.log([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
        >>> viterbi(scores, penalty=0).tolist(), viterbi(scores, penalty=1).tolist()
        ([0, 1, 0, 1, 1], [0, 0, 0, 1, 1])
    """
    if scores.ndim != 2 or 0 in scores.shape or not np.isfinite(scores).all():
        raise InputError(f"scores have shape {scores.shape}; expected finite numbers (N, C), one row a window at least")
    if not penalty >= 0 or min_windows < 1:
        raise InputError(f"penalty is {penalty} and min_windows {min_windows}; expected 0 or more, and 1 or more")
    n, n_classes = scores.shape
    least = min(min_windows, n)
    columns = np.arange(n_classes)
    sums = np.concatenate([np.zeros((1, n_classes)), np.cumsum(scores, axis=0, dtype=np.float64)])  # (N + 1, C)
    best = np.full((least, n_classes), -np.inf)  # of the latest windows, round and round
    came_from = np.full((n, n_classes), -1, dtype=np.int16 if n_classes < 2**15 else np.int64)  # -1: stayed
    for t in range(least - 1, n):
        if t == least - 1:
            best[t % least] = sums[t + 1]
            continue
        stay = best[(t - 1) % least] + scores[t]
        before = best[t % least]  # of window t - least
        first, second = _two_best(before)
        other = np.where(columns == first, second, first)
        enter = before[other] - penalty + sums[t + 1] - sums[t + 1 - least]
        enters = enter > stay
        came_from[t, enters] = other[enters]
        best[t % least] = np.where(enters, enter, stay)

    labels = np.empty(n, dtype=np.int64)
    t, label = n - 1, int(best[(n - 1) % least].argmax())
    while t >= 0:
        previous = int(came_from[t, label])
        start = t if previous < 0 else t + 1 - least
        labels[max(0, start) : t + 1] = label
        t, label = start - 1, label if previous < 0 else previous
    return labels


def log_probabilities(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logarithms that stay finite: nothing is taken for impossible."""
    return np.log(np.maximum(probabilities, _LEAST, dtype=np.float64))


def _two_best(values: NDArray[np.float64]) -> tuple[int, int]:
    """Places of the greatest value and of the next; one place twice where there is one value only."""
    first = int(values.argmax())
    rest = values.copy()
    rest[first] = -np.inf
    return first, int(rest.argmax()) if len(values) > 1 else first
