from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from musicfsl.errors import InputError
from musicfsl.multilabel import tag_scores, tune_thresholds


def test_no_other_threshold_has_a_higher_f1(excerpts) -> None:
    p, y, names = excerpts
    thresholds = tune_thresholds(p, y, names)
    for c in range(5):
        chosen = f1_score(y[:, c], p[:, c] >= thresholds[c])
        best = max(f1_score(y[:, c], p[:, c] >= t, zero_division=0) for t in np.arange(0.05, 1.1, 0.1))
        assert chosen == pytest.approx(best)
    assert tag_scores(p, y, thresholds)["macro_f1"] > tag_scores(p, y, 0.6)["macro_f1"]


def test_of_equally_good_ones_the_nearest_to_the_default() -> None:
    p, y = np.array([[0.9], [0.7], [0.5], [0.3]]), np.array([[1], [0], [0], [1]])
    # at 0.8, F1 is 2/3; at 0.15, it is 4/6 as well
    assert tune_thresholds(p, y, ["a"], default=0.6).tolist() == [0.8]
    assert tune_thresholds(p, y, ["a"], default=0.3).tolist() == [0.15]


def test_a_class_that_validation_lacks_keeps_the_default_and_is_named(excerpts) -> None:
    p, y, names = excerpts
    lacking = y.copy()
    lacking[:, [1, 3]] = 0
    with pytest.warns(UserWarning, match=r"has Piano or Flute; their thresholds stay at 0\.35"):
        thresholds = tune_thresholds(p, lacking, names, default=0.35)
    assert thresholds[[1, 3]].tolist() == [0.35, 0.35]
    np.testing.assert_array_equal(thresholds[[0, 2, 4]], tune_thresholds(p, y, names, default=0.35)[[0, 2, 4]])
    with pytest.warns(UserWarning, match=r"has Voice; its threshold stays at 0\.6"):
        tune_thresholds(p, np.where(np.arange(5) == 0, 0, y), names)


def test_a_class_that_is_always_there_is_always_answered() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (threshold,) = tune_thresholds([[0.2], [0.4]], [[1], [1]], ["Voice"])
    assert 0 <= threshold < 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"default": 2}, "a threshold is 2"),
        ({"classes": ["a"]}, "1 class names for 2 columns"),
        ({"classes": ["a", "a"]}, "class 'a' is given twice"),
        ({"classes": "ab"}, "the class names are the string 'ab'"),
        ({"targets": [[1, 0]]}, "targets have shape"),
    ],
)
def test_bad_input_is_refused(change, message: str) -> None:
    given = {"probabilities": [[0.5, 0.5], [0.5, 0.1]], "targets": [[1, 0], [0, 1]], "classes": ["a", "b"]}
    with pytest.raises(InputError, match=message):
        tune_thresholds(**{**given, **change})
