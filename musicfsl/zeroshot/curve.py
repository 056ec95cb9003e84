"""Calibrated stacking: how much is lost on seen classes for what is won on unseen ones, at every calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError

__all__ = ["Choice", "SeenUnseenCurve", "choices", "harmonic_mean", "seen_unseen_area", "seen_unseen_curve"]


@dataclass(frozen=True)
class Choice:
    """What a model chooses for clips when classes of both kinds compete, before any calibration.

    Attributes:
        gap: float64 ``(N,)``, best score of a seen class less the best score of an unseen one. With the scores of
            unseen classes raised by ``g``, an unseen class is chosen where ``g > gap``.
        seen_right: bool ``(N,)``, the best seen class is the clip's class.
        unseen_right: bool ``(N,)``, the best unseen class is the clip's class; or float, the probability of that.
    """

    gap: NDArray[np.float64]
    seen_right: NDArray[np.bool_]
    unseen_right: NDArray[np.bool_] | NDArray[np.float64]

    def right(self, calibration: float = 0.0) -> NDArray[np.bool_] | NDArray[np.float64]:
        """Whether (or how probably) each clip is recognised among all classes, ``(N,)``."""
        return np.where(calibration > self.gap, self.unseen_right, self.seen_right)


@dataclass(frozen=True)
class SeenUnseenCurve:
    """All pairs of accuracies that some calibration reaches, from all for the seen to all for the unseen classes.

    Attributes:
        calibrations: float64 ``(K,)``, ascending; what is added to the scores of unseen classes. Point *k* holds for
            all values above the one before and up to this one; the last is infinite.
        seen: float64 ``(K,)``, accuracy on clips of seen classes among all classes; falling.
        unseen: float64 ``(K,)``, the same for clips of unseen classes; rising.
        area: under the curve (AUSUC), 0 to 1; where a step is taken at a tie, the average over both orders.
    """

    calibrations: NDArray[np.float64]
    seen: NDArray[np.float64]
    unseen: NDArray[np.float64]
    area: float

    @property
    def harmonic(self) -> NDArray[np.float64]:
        """Harmonic mean of both accuracies, ``(K,)``."""
        return harmonic_mean(self.seen, self.unseen)

    def best_calibration(self) -> float:
        """The calibration of the highest harmonic mean: of the range that reaches it, the middle.

        Where this is asked of clips of *unseen* classes, the answer must not be used to report on them: ask clips of
        seen classes that were set aside (`musicfsl.training.ZeroShotData` does).
        """
        best = int(self.harmonic.argmax())
        high = self.calibrations[best]
        low = self.calibrations[best - 1] if best > 0 else -np.inf
        if np.isfinite(low) and np.isfinite(high):
            return float(low + high) / 2
        if np.isfinite(high):
            return float(high)
        return float(np.nextafter(low, np.inf)) if np.isfinite(low) else 0.0


def choices(scores: NDArray[np.float64], targets: NDArray[np.int64], is_unseen: NDArray[np.bool_]) -> Choice:
    """The best class of either kind for every clip.

    Args:
        scores: float ``(N, C)``, higher is more alike.
        targets: int64 ``(N,)``, columns.
        is_unseen: bool ``(C,)``, some but not all True.

    Example:
        >>> found = choices(np.array([[0.9, 0.2, 0.4]]), np.array([2]), np.array([False, False, True]))
        >>> found.gap, found.unseen_right
        (array([0.5]), array([ True]))
    """
    if is_unseen.all() or not is_unseen.any():
        raise InputError("there are only seen or only unseen classes; expected some of both")
    seen_columns, unseen_columns = np.flatnonzero(~is_unseen), np.flatnonzero(is_unseen)
    seen, unseen = scores[:, seen_columns], scores[:, unseen_columns]
    return Choice(
        gap=(seen.max(axis=1) - unseen.max(axis=1)).astype(np.float64),
        seen_right=seen_columns[seen.argmax(axis=1)] == targets,
        unseen_right=unseen_columns[unseen.argmax(axis=1)] == targets,
    )


def seen_unseen_curve(choice: Choice, weights: ArrayLike) -> SeenUnseenCurve:
    """The curve of calibrated stacking, exactly: a point for every value at which some clip's answer changes.

    Args:
        choice: of all clips, of seen and of unseen classes.
        weights: float ``(N,)``, what a clip counts; those of all clips of seen classes sum to 1, as do those of
            unseen ones. With ``1 / (classes * clips of its class)`` the accuracies are class-balanced.

    Reference:
        W.-L. Chao, S. Changpinyo, B. Gong, F. Sha, An empirical study and analysis of generalized zero-shot learning
        for object recognition in the wild, ECCV 2016, sections 3.2 and 3.3.

    Example:
        >>> choice = Choice(np.array([0.1, 0.3]), np.array([True, False]), np.array([False, True]))
        >>> curve = seen_unseen_curve(choice, [1.0, 1.0])
        >>> curve.seen, curve.unseen, curve.calibrations
        (array([1., 0., 0.]), array([0., 0., 1.]), array([0.1, 0.3, inf]))
    """
    weights = np.asarray(weights, dtype=np.float64)
    calibrations, place = np.unique(choice.gap, return_inverse=True)
    lost = np.bincount(place, weights * choice.seen_right, minlength=len(calibrations))
    won = np.bincount(place, weights * choice.unseen_right, minlength=len(calibrations))
    return SeenUnseenCurve(
        calibrations=np.append(calibrations, np.inf),
        # Summed from the far end, so that the accuracy ends at exactly 0.
        seen=np.append(np.cumsum(lost[::-1])[::-1], 0.0),
        unseen=np.insert(np.cumsum(won), 0, 0.0),
        area=float(seen_unseen_area(choice, weights[None])[0]),
    )


def seen_unseen_area(choice: Choice, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Area under the seen-unseen curve for several weightings of the clips, such as those of a bootstrap.

    The area is a rank statistic: with the gaps :math:`g`, over pairs of a clip :math:`s` whose best seen class is
    right and a clip :math:`u` whose best unseen class is right,
    :math:`\sum_{s,u} w_s w_u \left([g_s > g_u] + \tfrac{1}{2} [g_s = g_u]\right)`.

    Args:
        choice: of ``N`` clips.
        weights: float ``(B, N)``, as for `seen_unseen_curve`.

    Returns:
        float64 ``(B,)``.
    """
    order = np.argsort(choice.gap, kind="stable")
    gaps = choice.gap[order]
    lost = (weights * choice.seen_right)[:, order]
    won = np.cumsum((weights * choice.unseen_right)[:, order], axis=1)
    won = np.concatenate([np.zeros((len(weights), 1)), won], axis=1)  # won[:, i]: by the first i clips
    below = np.searchsorted(gaps, gaps, side="left")
    up_to = np.searchsorted(gaps, gaps, side="right")
    return (lost * (won[:, below] + won[:, up_to]) / 2).sum(axis=1)


def harmonic_mean(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """``2 a b / (a + b)``, and 0 where both are 0.

    Example:
        >>> harmonic_mean([0.6, 0.0], [0.3, 0.0])
        array([0.4, 0. ])
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    total = a + b
    return np.divide(2 * a * b, total, out=np.zeros_like(total), where=total > 0)
