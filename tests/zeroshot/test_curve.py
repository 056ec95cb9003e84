from __future__ import annotations

import numpy as np
import pytest

from musicfsl.errors import InputError
from musicfsl.zeroshot.curve import choices, harmonic_mean, seen_unseen_area, seen_unseen_curve
from musicfsl.zeroshot.intervals import balanced_weights

IS_UNSEEN = np.array([False, True, False, False, True])


def random_case(seed: int, n: int = 60, digits: int = 9):
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(5), rng.integers(5, size=n - 5)])
    scores = rng.normal(size=(n, 5)) + 1.0 * np.eye(5)[targets]
    return np.round(scores, digits), targets


def accuracies_at(scores, targets, calibration: float) -> tuple[float, float]:
    """Class by class, clip by clip, from the definition."""
    recalls: dict[bool, list[float]] = {False: [], True: []}
    for c in range(5):
        right = []
        for row in scores[targets == c]:
            raised = [s + calibration if IS_UNSEEN[k] else s for k, s in enumerate(row)]
            best_seen = max(k for k in range(5) if not IS_UNSEEN[k] and raised[k] == max(raised[j] for j in (0, 2, 3)))
            best_unseen = max((1, 4), key=lambda k: raised[k])
            answer = best_unseen if raised[best_unseen] > raised[best_seen] else best_seen
            right.append(answer == c)
        recalls[bool(IS_UNSEEN[c])].append(float(np.mean(right)))
    return float(np.mean(recalls[False])), float(np.mean(recalls[True]))


@pytest.mark.parametrize("seed", range(3))
def test_every_point_is_what_that_calibration_gives(seed: int) -> None:
    scores, targets = random_case(seed)
    curve = seen_unseen_curve(choices(scores, targets, IS_UNSEEN), balanced_weights(targets, IS_UNSEEN))
    inside = np.concatenate([[curve.calibrations[0] - 1], (curve.calibrations[:-2] + curve.calibrations[1:-1]) / 2])
    inside = np.append(inside, curve.calibrations[-2] + 1)
    assert len(inside) == len(curve.seen) == len(targets) + 1
    for k, calibration in enumerate(inside):
        assert (curve.seen[k], curve.unseen[k]) == pytest.approx(accuracies_at(scores, targets, calibration))


@pytest.mark.parametrize("digits", [9, 1], ids=["no ties", "many ties"])
def test_the_area_is_that_of_a_fine_grid_of_trapezoids(digits: int) -> None:
    scores, targets = random_case(5, digits=digits)
    choice, weights = choices(scores, targets, IS_UNSEEN), balanced_weights(targets, IS_UNSEEN)
    curve = seen_unseen_curve(choice, weights)
    area = 0.0
    for k in range(1, len(curve.seen)):
        area += (curve.unseen[k] - curve.unseen[k - 1]) * (curve.seen[k] + curve.seen[k - 1]) / 2
    assert curve.area == pytest.approx(area)
    pairs = 0.0  # ... and the rank statistic of the docstring
    for s in np.flatnonzero(choice.seen_right):
        for u in np.flatnonzero(choice.unseen_right):
            order = 1.0 if choice.gap[s] > choice.gap[u] else 0.5 if choice.gap[s] == choice.gap[u] else 0.0
            pairs += weights[s] * weights[u] * order
    assert curve.area == pytest.approx(pairs)
    if digits == 1:
        assert len(curve.calibrations) < len(targets)


def test_the_ends_are_the_accuracies_among_one_kind() -> None:
    scores, targets = random_case(7)
    curve = seen_unseen_curve(choices(scores, targets, IS_UNSEEN), balanced_weights(targets, IS_UNSEEN))
    among_seen = np.flatnonzero(~IS_UNSEEN)[scores[:, ~IS_UNSEEN].argmax(1)]
    among_unseen = np.flatnonzero(IS_UNSEEN)[scores[:, IS_UNSEEN].argmax(1)]
    seen = np.mean([np.mean(among_seen[targets == c] == c) for c in (0, 2, 3)])
    unseen = np.mean([np.mean(among_unseen[targets == c] == c) for c in (1, 4)])
    assert (curve.seen[0], curve.unseen[0]) == pytest.approx((seen, 0))
    assert (curve.seen[-1], curve.unseen[-1]) == pytest.approx((0, unseen))
    assert (np.diff(curve.seen) <= 0).all()
    assert (np.diff(curve.unseen) >= 0).all()


def test_perfect_and_hopeless_scores() -> None:
    targets = np.repeat(np.arange(5), 4)
    weights = balanced_weights(targets, IS_UNSEEN)
    perfect = np.eye(5)[targets]
    assert seen_unseen_curve(choices(perfect, targets, IS_UNSEEN), weights).area == pytest.approx(1)
    wrong = np.eye(5)[[2, 4, 0, 0, 1]][targets]
    assert seen_unseen_curve(choices(wrong, targets, IS_UNSEEN), weights).area == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_best_calibration_reaches_the_highest_harmonic_mean(seed: int) -> None:
    scores, targets = random_case(seed + 20)
    curve = seen_unseen_curve(choices(scores, targets, IS_UNSEEN), balanced_weights(targets, IS_UNSEEN))
    at_best = accuracies_at(scores, targets, curve.best_calibration())
    assert harmonic_mean(*at_best) == pytest.approx(curve.harmonic.max())


def test_a_bias_against_unseen_classes_moves_the_calibration_and_nothing_else() -> None:
    scores, targets = random_case(3)
    weights = balanced_weights(targets, IS_UNSEEN)
    plain = seen_unseen_curve(choices(scores, targets, IS_UNSEEN), weights)
    biased = seen_unseen_curve(choices(scores - 2.0 * IS_UNSEEN, targets, IS_UNSEEN), weights)
    np.testing.assert_allclose(biased.calibrations, plain.calibrations + 2)
    assert biased.area == pytest.approx(plain.area)
    assert biased.best_calibration() == pytest.approx(plain.best_calibration() + 2)


def test_areas_of_many_weightings_at_once() -> None:
    scores, targets = random_case(1)
    choice = choices(scores, targets, IS_UNSEEN)
    weights = np.random.default_rng(0).uniform(size=(3, len(targets)))
    areas = seen_unseen_area(choice, weights)
    for row, area in zip(weights, areas, strict=True):
        assert seen_unseen_curve(choice, row).area == pytest.approx(area)


def test_one_kind_of_classes_is_no_contest() -> None:
    with pytest.raises(InputError, match="expected some of both"):
        choices(np.zeros((2, 3)), np.array([0, 1]), np.zeros(3, dtype=bool))
