from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest

from musicfsl.annotation import viterbi, with_silence
from musicfsl.annotation.smoothing import log_probabilities
from musicfsl.errors import InputError


def worth(labels: tuple[int, ...], scores: np.ndarray, penalty: float) -> float:
    return scores[np.arange(len(labels)), labels].sum() - penalty * (np.diff(labels) != 0).sum()


def allowed(labels: tuple[int, ...], min_windows: int) -> bool:
    return all(len(list(run)) >= min(min_windows, len(labels)) for _, run in groupby(labels))


@pytest.mark.parametrize("min_windows", [1, 2, 3, 5])
@pytest.mark.parametrize("penalty", [0.0, 0.7, 3.0])
@pytest.mark.parametrize(("n", "n_classes"), [(1, 3), (4, 2), (7, 3), (9, 2)])
def test_finds_the_best_of_all_sequences(n: int, n_classes: int, penalty: float, min_windows: int) -> None:
    for seed in range(5):
        scores = np.random.default_rng(seed).normal(size=(n, n_classes)) * 2
        sequences = [s for s in product(range(n_classes), repeat=n) if allowed(s, min_windows)]
        best = max(sequences, key=lambda s: worth(s, scores, penalty))
        assert viterbi(scores, penalty, min_windows).tolist() == list(best)


def test_without_a_penalty_each_window_decides_for_itself() -> None:
    scores = np.random.default_rng(0).normal(size=(500, 6))
    np.testing.assert_array_equal(viterbi(scores, 0.0), scores.argmax(axis=1))


def test_an_endless_penalty_leaves_one_label() -> None:
    scores = np.random.default_rng(0).normal(size=(300, 4))
    assert set(viterbi(scores, 1e9)) == {int(scores.sum(axis=0).argmax())}


def test_adding_to_a_windows_scores_changes_nothing_nor_does_the_order_of_classes() -> None:
    rng = np.random.default_rng(1)
    scores, order = rng.normal(size=(200, 5)), rng.permutation(5)
    labels = viterbi(scores, 1.3, 3)
    np.testing.assert_array_equal(viterbi(scores + rng.normal(size=(200, 1)) * 50, 1.3, 3), labels)
    np.testing.assert_array_equal(order[viterbi(scores[:, order], 1.3, 3)], labels)


def test_time_runs_either_way() -> None:
    scores = np.random.default_rng(2).normal(size=(300, 4))
    np.testing.assert_array_equal(viterbi(scores[::-1], 1.0, 4)[::-1], viterbi(scores, 1.0, 4))


def test_no_segment_is_shorter_than_allowed() -> None:
    labels = viterbi(np.random.default_rng(3).normal(size=(2000, 5)), 0.2, 7)
    lengths = [len(list(run)) for _, run in groupby(labels.tolist())]
    assert min(lengths) == 7
    assert len(lengths) > 50


def test_a_recording_shorter_than_the_least_duration_gets_one_label() -> None:
    scores = np.log([[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]])
    assert viterbi(scores, 0.0, 10).tolist() == [1, 1, 1]


def test_one_class() -> None:
    assert viterbi(np.zeros((4, 1)), 0.0, 2).tolist() == [0] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3), 1.0), r"scores have shape \(3,\)"),
        ((np.zeros((0, 3)), 1.0), r"scores have shape \(0, 3\)"),
        ((np.full((2, 2), -np.inf), 1.0), "expected finite numbers"),
        ((np.zeros((2, 2)), -1.0), "penalty is -1.0"),
        ((np.zeros((2, 2)), float("nan")), "penalty is nan"),
        ((np.zeros((2, 2)), 1.0, 0), "min_windows 0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message: str) -> None:
    with pytest.raises(InputError, match=message):
        viterbi(*arguments)


def test_silence_is_what_lies_far_below_the_loudest() -> None:
    probabilities = np.array([[0.2, 0.8], [1.0, 0.0], [0.5, 0.5]], dtype=np.float32)
    levels = np.array([-12.0, -61.9, -62.1])
    full = with_silence(probabilities, levels, 50)
    np.testing.assert_allclose(full.sum(axis=1), 1, rtol=1e-6)
    assert (full[:, 2] > 0.5).tolist() == [False, False, True]
    np.testing.assert_allclose(full[:, :2] / full[:, :2].sum(axis=1, keepdims=True), probabilities, atol=1e-5)
    louder = with_silence(probabilities, levels + 30, 50)  # the level of the whole does not matter
    np.testing.assert_array_equal(louder, full)
    with pytest.raises(InputError, match="silence_db is 0"):
        with_silence(probabilities, levels, 0)


def test_logarithms_stay_finite() -> None:
    assert np.isfinite(log_probabilities(np.array([[0.0, 1.0]], dtype=np.float32))).all()
    assert log_probabilities(np.array([[0.25]], dtype=np.float32))[0, 0] == pytest.approx(np.log(0.25))
