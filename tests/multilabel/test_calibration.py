from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve as reference

from musicfsl.errors import InputError
from musicfsl.multilabel import calibration_curve


def test_bins_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((400, 3)) ** 3
    y = rng.random((400, 3)) < p
    curve = calibration_curve(p, y, n_bins=8)
    frequency, probability = reference(y.ravel(), p.ravel(), n_bins=8)
    np.testing.assert_allclose(curve.frequency, frequency)
    np.testing.assert_allclose(curve.probability, probability)
    assert curve.counts.sum() == 1200


def test_honest_probabilities_lie_in_their_intervals_and_have_a_small_error() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((5000, 4))
    honest, boastful = calibration_curve(p, rng.random(p.shape) < p), calibration_curve(p, rng.random(p.shape) < p**3)
    inside = (honest.low <= honest.probability) & (honest.probability <= honest.high)
    assert inside.sum() >= 9
    assert honest.error < 0.02 < 0.2 < boastful.error


def test_error_is_the_mean_distance_over_cells() -> None:
    curve = calibration_curve([[0.1], [0.2], [0.9]], [[0], [1], [1]], n_bins=2)
    assert curve.error == pytest.approx((2 * abs(0.15 - 0.5) + abs(0.9 - 1)) / 3)


def test_the_interval_is_wilsons() -> None:
    curve = calibration_curve(np.full((10, 1), 0.5), [[1]] * 3 + [[0]] * 7, n_bins=1)
    # its ends are where a share p lies 1.96 of its own standard errors from what was found
    for end in (curve.low[0], curve.high[0]):
        assert abs(0.3 - end) == pytest.approx(1.96 * np.sqrt(end * (1 - end) / 10))
    sure = calibration_curve(np.full((10, 1), 1.0), np.ones((10, 1)))
    assert sure.high[0] == 1 and sure.low[0] < 0.8


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="n_bins is 0"):
        calibration_curve([[0.5]], [[1]], n_bins=0)
    with pytest.raises(InputError, match="from 0 to 7; expected 0 to 1"):
        calibration_curve([[0.0], [7.0]], [[1], [0]])
