"""Uniform numbers to clips: the arithmetic of drawing many episodes at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from musicfsl._group_splits import Pools

__all__ = ["query_counts", "sample_without_replacement", "support_and_query", "uniform_numbers"]


def uniform_numbers(start: int, count: int, numbers: int, key: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) of the episodes from ``start`` on: ``(count, numbers or up to three more)``.

    Each episode owns a stretch of the one Philox stream that the key names.
    """
    # One step of Philox's counter gives four 64-bit numbers, so an episode owns a whole number of steps.
    steps = -(-numbers // 4)
    position = start * steps
    counter = [(position >> (64 * word)) & (2**64 - 1) for word in range(4)]
    bits = np.random.Philox(key=key, counter=np.array(counter, dtype=np.uint64))
    return np.random.Generator(bits).random((count, 4 * steps))


def support_and_query(
    clips: NDArray[np.float64], n_support: int, pools: Pools
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions within each row's clips, by the uniform numbers ``(rows, n_support + n)``.

    Returns:
        ``(rows, n_support)`` and ``(rows, n)``; beyond what a row has for queries they mean nothing.
    """
    if pools.shared:
        picked = sample_without_replacement(clips, pools.sizes)
        return picked[:, :n_support], picked[:, n_support:]
    support = sample_without_replacement(clips[:, :n_support], pools.support_sizes)
    query = sample_without_replacement(clips[:, n_support:], pools.sizes - pools.support_sizes)
    return support, query + pools.support_sizes[:, None]


def sample_without_replacement(uniform: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row, an ordered sample of ``k`` different numbers below ``sizes[row]``.

    Args:
        uniform: ``(rows, k)`` in [0, 1).
        sizes: ``(rows,)``, each at least ``k``.

    Returns:
        int64 ``(rows, k)``.
    """
    rows, k = uniform.shape
    picked = np.empty((k, rows), dtype=np.int64)
    ascending = np.empty((k, rows), dtype=np.int64)  # the picks so far, sorted: contiguous columns make this quick
    columns = np.ascontiguousarray(uniform.T)
    for j in range(k):
        # A rank among the numbers not picked yet becomes a number by stepping over those picked.
        pick = (columns[j] * (sizes - j)).astype(np.int64)
        for t in range(j):
            pick += pick >= ascending[t]
        picked[j] = pick
        for t in range(j):
            lower = np.minimum(ascending[t], pick)
            pick = np.maximum(ascending[t], pick)
            ascending[t] = lower
        ascending[j] = pick
    return picked.T


def query_counts(
    uniform: NDArray[np.float64], available: NDArray[np.int64], total: int, concentration: float
) -> NDArray[np.int64]:
    """Numbers of queries by class whose shares follow a symmetric Dirichlet distribution.

    Shares are gamma variables over their sum; the gamma variables are quantiles of the uniform numbers, so that an
    episode's shares depend on its own numbers only. They are rounded by largest remainders. A class that lacks the
    clips gives all it has, and the others share the rest in their proportions.

    Args:
        uniform: ``(B, n_way)`` in [0, 1).
        available: int64 ``(B, n_way)``, the most queries that a class can have; ``total`` or more an episode in all.
        total: queries an episode.
        concentration: of the Dirichlet distribution, above 0: 1 is uniform over all shares, larger is more balanced.

    Returns:
        int64 ``(B, n_way)``, which sums to ``total`` along the second axis.

    Example:
        >>> query_counts(np.array([[0.9, 0.5, 0.1]]), np.array([[6, 20, 20]]), total=12, concentration=2.0)
        array([[6, 5, 1]])
    """
    from scipy.special import gammaincinv

    shares = np.maximum(gammaincinv(concentration, uniform), 1e-12)
    shares /= shares.sum(axis=1, keepdims=True)
    wanted = shares * total
    for _ in range(uniform.shape[1]):  # what one class lacks may exhaust another
        full = wanted >= available
        rest = total - np.where(full, available, 0).sum(axis=1, keepdims=True)
        open_shares = np.where(full, 0.0, shares)
        sums = open_shares.sum(axis=1, keepdims=True)
        wanted = np.where(full, available, open_shares * rest / np.where(sums > 0, sums, 1.0))
    counts = wanted.astype(np.int64)
    # Full classes have no remainder, so that none of them is given another query.
    rank = np.argsort(np.argsort(counts - wanted, axis=1, kind="stable"), axis=1)
    counts += rank < total - counts.sum(axis=1, keepdims=True)
    return counts
