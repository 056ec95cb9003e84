from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import skew

from musicfsl.errors import InputError
from musicfsl.zeroshot import hubness, k_occurrences


@pytest.mark.parametrize("k", [1, 3])
def test_counts_and_skewness_by_loop(k: int) -> None:
    scores = np.random.default_rng(0).normal(size=(40, 6)) + np.array([1.5, 0, 0, 0, 0, 0])
    counts = [0] * 6
    for row in scores:
        for c in sorted(range(6), key=lambda c: -row[c])[:k]:
            counts[c] += 1
    assert k_occurrences(scores, k).tolist() == counts
    assert hubness(scores, k) == pytest.approx(skew(counts))
    assert hubness(scores, k) > 0.5


def test_high_dimensions_make_hubs() -> None:
    """Radovanovic et al., figure 1: the skewness of random points' k-occurrences grows with the dimension."""
    rng = np.random.default_rng(0)

    def skewness(dim: int) -> float:
        x = rng.normal(size=(400, dim))
        distances = ((x[:, None] - x) ** 2).sum(-1) + np.where(np.eye(400), np.inf, 0.0)
        return hubness(-distances, k=5)

    assert skewness(50) > skewness(3) + 0.5


def test_bad_input() -> None:
    with pytest.raises(InputError, match="k is 4; expected 1 to 3"):
        hubness(np.zeros((2, 3)), k=4)
    with pytest.raises(InputError, match="expected"):
        hubness(np.zeros(3))
