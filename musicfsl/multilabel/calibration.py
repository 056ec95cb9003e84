"""Whether a probability means what it says: of all cells with 0.7, are seven in ten there?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError
from musicfsl.multilabel._checks import checked_probabilities, checked_targets

__all__ = ["CalibrationCurve", "calibration_curve"]


class CalibrationCurve(NamedTuple):
    """Probabilities in bins, and how often the label is really there. Empty bins are left out.

    Attributes:
        probability: float64 ``(K,)``, mean probability of each bin.
        frequency: float64 ``(K,)``, share of its cells whose label is there.
        low: float64 ``(K,)``, lower end of the share's 95 % interval (Wilson's, which takes cells as independent).
        high: float64 ``(K,)``, its upper end.
        counts: int64 ``(K,)``, cells.
    """

    probability: NDArray[np.float64]
    frequency: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of probability and frequency over all cells, 0 to 1."""
        return float(np.average(np.abs(self.probability - self.frequency), weights=self.counts))


def calibration_curve(probabilities: ArrayLike, targets: ArrayLike, n_bins: int = 10) -> CalibrationCurve:
    """Compares probabilities with frequencies, over all cells of excerpt and class.

    One class alone: pass its column, ``probabilities[:, [c]]``. Bins are equally wide; most cells of a good recognizer
    lie in the first, so the error says little of the rest: look at the curve.

    Args:
        probabilities: ``(N, C)``, 0 to 1.
        targets: ``(N, C)`` of 0 and 1.
        n_bins: bins from 0 to 1; each holds its lower edge, the last 1 as well.

    Raises:
        InputError: shapes differ, a value is NaN or out of range, or ``n_bins`` is not positive.

    Reference:
        A. Niculescu-Mizil, R. Caruana, Predicting good probabilities with supervised learning, ICML 2005; error: M. P.
        Naeini, G. F. Cooper, M. Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015;
        interval: E. B. Wilson, Probable inference, J. Am. Stat. Assoc. 22, 1927.

    Example:
        >>> curve = calibration_curve([[0.1], [0.2], [0.8], [0.9]], [[0], [0], [1], [0]], n_bins=2)
        >>> curve.probability.round(2).tolist(), curve.frequency.tolist(), round(curve.error, 2)
        ([0.15, 0.85], [0.0, 0.5], 0.25)
    """
    if n_bins < 1:
        raise InputError(f"n_bins is {n_bins}; expected 1 or more")
    scores = checked_probabilities(probabilities)
    present = checked_targets(targets, (len(scores), scores.shape[1])).ravel()
    bins = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], scores.ravel(), side="right")
    counts = np.bincount(bins, minlength=n_bins)
    used = counts > 0
    counts = counts[used]
    probability = np.bincount(bins, scores.ravel(), n_bins)[used] / counts
    frequency = np.bincount(bins, present, n_bins)[used] / counts
    low, high = _wilson(frequency, counts)
    return CalibrationCurve(probability, frequency, low, high, counts)


def _wilson(
    share: NDArray[np.float64], counts: NDArray[np.int64], z: float = 1.96
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of a share of ``counts``."""
    middle = share + z**2 / (2 * counts)
    half = z * np.sqrt(share * (1 - share) / counts + (z / (2 * counts)) ** 2)
    scale = 1 + z**2 / counts
    return np.clip((middle - half) / scale, 0, share), np.clip((middle + half) / scale, share, 1)
