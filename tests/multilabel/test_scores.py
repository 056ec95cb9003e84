from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    label_ranking_average_precision_score,
    precision_recall_fscore_support,
)

from musicfsl.errors import InputError
from musicfsl.multilabel import tag_scores
from musicfsl.multilabel.scores import HEADLINES, Answers

THRESHOLDS = np.array([0.5, 0.6, 0.4, 0.7, 0.3])


def loop_average_precision(scores, truth) -> float:
    """From the definition: sum over falling thresholds of the gain in recall times the precision."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        said = [s >= threshold for s in scores]
        hits = sum(a and bool(t) for a, t in zip(said, truth, strict=True))
        recall = hits / sum(map(bool, truth))
        total += (recall - recall_before) * hits / sum(said)
        recall_before = recall
    return total


def loop_lrap(probabilities, targets) -> float:
    """From the definition, over the excerpts that have a label."""
    of_excerpts = []
    for scores, truth in zip(probabilities.tolist(), targets.tolist(), strict=True):
        labels = [c for c, there in enumerate(truth) if there]
        if labels:
            shares = []
            for c in labels:
                as_high = [d for d in range(len(scores)) if scores[d] >= scores[c]]
                shares.append(len([d for d in as_high if truth[d]]) / len(as_high))
            of_excerpts.append(sum(shares) / len(shares))
    return sum(of_excerpts) / len(of_excerpts)


def test_every_measure_is_that_of_scikit_learn(excerpts) -> None:
    p, y, _ = excerpts
    found = tag_scores(p, y, THRESHOLDS)
    said = p >= THRESHOLDS
    for average in ("micro", "macro"):
        precision, recall, f1, _ = precision_recall_fscore_support(y, said, average=average, zero_division=0)
        names = [f"{average}_{name}" for name in ("precision", "recall", "f1")]
        assert [found[name] for name in names] == pytest.approx([precision, recall, f1], abs=1e-12)
    assert found["map"] == pytest.approx(average_precision_score(y, p, average="macro"), abs=1e-12)
    assert found["micro_map"] == pytest.approx(average_precision_score(y, p, average="micro"), abs=1e-12)
    labelled = y.any(axis=1)
    assert found["lrap"] == pytest.approx(label_ranking_average_precision_score(y[labelled], p[labelled]), abs=1e-12)


def test_every_measure_is_that_of_its_definition(excerpts) -> None:
    p, y, _ = excerpts
    found = tag_scores(p, y, THRESHOLDS)
    tp, fp, fn, right = np.zeros(5), np.zeros(5), np.zeros(5), 0
    for scores, truth in zip(p, y, strict=True):
        for c in range(5):
            said = scores[c] >= THRESHOLDS[c]
            tp[c] += said and truth[c] == 1
            fp[c] += said and truth[c] == 0
            fn[c] += not said and truth[c] == 1
            right += said == truth[c]
    assert found["micro_f1"] == pytest.approx(2 * tp.sum() / (2 * tp.sum() + fp.sum() + fn.sum()))
    assert found["macro_f1"] == pytest.approx((2 * tp / (2 * tp + fp + fn)).mean())
    assert found["sample_accuracy"] == pytest.approx(right / 300)  # correct cells over all cells
    assert found["map"] == pytest.approx(np.mean([loop_average_precision(p[:, c], y[:, c]) for c in range(5)]))
    assert found["micro_map"] == pytest.approx(loop_average_precision(p.ravel(), y.ravel()))
    assert found["lrap"] == pytest.approx(loop_lrap(p, y))


def test_weights_are_repeated_excerpts(excerpts) -> None:
    p, y, _ = excerpts
    weights = np.random.default_rng(0).integers(0, 4, (60, 70)).astype(np.int32)
    weights[:, 1] = 0
    found = Answers.of(p, y, 0.5).scores(weights)
    for b in (0, 5, 69):  # in the first block of weightings, and in another
        rows = np.repeat(np.arange(60), weights[:, b])
        repeated = tag_scores(p[rows], y[rows], 0.5)
        assert [found[name][b] for name in HEADLINES] == pytest.approx(
            [repeated[name] for name in HEADLINES], abs=1e-12
        )
    assert all(np.isnan(found[name][1]) for name in HEADLINES)  # nothing counts, nothing is measured


def test_a_class_without_a_positive_is_left_out_of_macro_measures_but_not_of_micro_ones(excerpts) -> None:
    p, y, _ = excerpts
    with_absent = tag_scores(np.hstack([p, np.full((60, 1), 0.9)]), np.hstack([y, np.zeros((60, 1))]), 0.5)
    without = tag_scores(p, y, 0.5)
    for name in ("macro_f1", "macro_precision", "macro_recall", "map"):
        assert with_absent[name] == pytest.approx(without[name])
    assert with_absent["micro_precision"] < without["micro_precision"]


def test_what_is_never_answered_has_precision_0_in_the_mean() -> None:
    found = tag_scores([[0.9, 0.1], [0.9, 0.1]], [[1, 1], [1, 1]], 0.5)
    assert (found["macro_precision"], found["micro_precision"]) == (0.5, 1.0)


def test_an_excerpt_without_a_label_does_not_count_in_lrap() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1]])
    assert tag_scores(p, [[0, 1], [0, 0]])["lrap"] == 0.5
    assert label_ranking_average_precision_score([[0, 1], [0, 0]], p) == 0.75  # where it counts as a success
    assert tag_scores(p, [[1, 1], [1, 1]])["lrap"] == 1.0


def test_a_probability_equal_to_the_threshold_is_answered() -> None:
    assert tag_scores([[0.6]], [[1]], 0.6)["micro_recall"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": np.zeros(3)}, r"probabilities have shape \(3,\); expected \(N, C\)"),
        ({"probabilities": np.zeros((0, 5))}, r"shape \(0, 5\)"),
        ({"probabilities": [["a"]]}, "expected real numbers"),
        ({"probabilities": [[0.5, 0.5], [0.5, np.nan]]}, "NaN, first in row 1, column 1"),
        ({"probabilities": [[0.5, -2.0], [0.5, 3.0]]}, "from -2 to 3; expected 0 to 1"),
        ({"targets": [[1, 0]]}, r"targets have shape \(1, 2\); expected \(2, 2\)"),
        ({"targets": [[1, 0], [0, 2]]}, "other values than 0 and 1"),
        ({"thresholds": [0.5] * 3}, r"thresholds have shape \(3,\); expected one number, or \(2,\)"),
        ({"thresholds": 1.5}, "a threshold is 1.5; expected a probability"),
        ({"thresholds": [0.5, np.nan]}, "a threshold is nan"),
        ({"thresholds": "best"}, "the threshold is 'best'; expected a number"),
        ({"thresholds": None}, "a threshold is nan|the threshold is None"),
    ],
)
def test_bad_input_is_refused(change, message: str) -> None:
    given = {"probabilities": [[0.5, 0.5], [0.5, 0.1]], "targets": [[1, 0], [0, 1]], "thresholds": 0.5}
    with pytest.raises(InputError, match=message):
        tag_scores(**{**given, **change})
