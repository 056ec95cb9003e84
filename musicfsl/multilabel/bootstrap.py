"""Intervals by bootstrap: how often each excerpt is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError

__all__ = ["interval_of", "resample_counts"]


def resample_counts(
    n_excerpts: int, n_resamples: int, seed: int = 0, groups: ArrayLike | None = None
) -> NDArray[np.int32]:
    """How often each excerpt is in each bootstrap resample.

    A resample draws as many excerpts as there are, with replacement. Excerpts of one song are alike; where the songs
    are known, whole songs are drawn, and the interval says how far a measure may move with other songs.

    Args:
        n_excerpts: N, 2 or more.
        n_resamples: B, 1 or more.
        seed: of the drawing.
        groups: int ``(N,)``, the song of each excerpt; None draws excerpts.

    Returns:
        int32 ``(N, B)``; with excerpts drawn, columns sum to N.

    Raises:
        InputError: a number is out of range, or ``groups`` has another shape.

    Reference:
        B. Efron, R. J. Tibshirani, An introduction to the bootstrap, Chapman & Hall 1993; whole groups: A. C. Davison,
        D. V. Hinkley, Bootstrap methods and their application, Cambridge 1997, section 3.8.

    Example:
        >>> resample_counts(4, 3).sum(axis=0).tolist()
        [4, 4, 4]
    """
    if n_resamples < 1:
        raise InputError(f"n_resamples is {n_resamples}; expected 1 or more (1000 are usual)")
    units = np.arange(n_excerpts)
    if groups is not None:
        array = np.asarray(groups)
        if array.shape != (n_excerpts,):
            raise InputError(f"groups have shape {array.shape}; expected ({n_excerpts},), the song of each excerpt")
        units = np.unique(array, return_inverse=True)[1]
    n_units = int(units.max()) + 1 if n_excerpts else 0
    if n_units < 2:
        raise InputError(
            f"there {'is' if n_units == 1 else 'are'} {n_units} {'excerpt' if groups is None else 'song'}"
            f"{'' if n_units == 1 else 's'}; an interval needs 2 or more"
        )
    drawn = np.random.default_rng(seed).integers(n_units, size=(n_resamples, n_units))
    drawn += np.arange(n_resamples)[:, None] * n_units
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_units).reshape(n_resamples, n_units)
    return np.ascontiguousarray(counts.T[units], dtype=np.int32)


def interval_of(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the 95 % percentile interval over the first axis.

    Resamples in which a measure does not exist (NaN), such as the precision of a class that they never answer, are
    left out; where it never exists, both ends are NaN.
    """
    low, high = np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    exists = ~np.isnan(values).all(axis=0)
    if exists.any():
        low[exists], high[exists] = np.nanpercentile(values[:, exists], [2.5, 97.5], axis=0)
    return low, high
