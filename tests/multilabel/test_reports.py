from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from musicfsl.errors import InputError
from musicfsl.multilabel import chance_levels, report_tags, tag_scores


def test_values_and_chance_levels_stand_in_their_places(excerpts) -> None:
    p, y, names = excerpts
    report = report_tags(p, y, names, 0.5, n_resamples=50)
    assert {name: measure.value for name, measure in report.measures.items()} == tag_scores(p, y, 0.5)
    assert {name: measure.chance for name, measure in report.measures.items()} == chance_levels(y)
    assert all(m.low <= m.value <= m.high for m in report.measures.values())
    precision, recall, f1, support = precision_recall_fscore_support(y, p >= 0.5, zero_division=0)
    for c, row in enumerate(report.classes):
        assert (row.name, row.support, row.n_answered) == (names[c], support[c], (p[:, c] >= 0.5).sum())
        found = [row.precision.value, row.recall.value, row.f1.value, row.average_precision.value]
        expected = [precision[c], recall[c], f1[c], average_precision_score(y[:, c], p[:, c])]
        assert found == pytest.approx(expected)


def test_sample_accuracy_stands_beside_that_of_saying_nothing(excerpts) -> None:
    p, y, names = excerpts
    report = report_tags(np.zeros_like(p), y, names, n_resamples=20)
    assert report.sample_accuracy.value == report.silent_accuracy == pytest.approx(1 - y.mean())
    assert f"where never answering any label has {1 - y.mean():.3f}" in str(report)
    assert "Nothing is answered at this threshold" in str(report)
    assert (report.micro_f1.value, report.micro_precision.value) == (0, 0)
    assert all(row.precision is None and row.f1.value == 0 for row in report.classes)


def test_absent_and_never_answered_classes_are_named(excerpts) -> None:
    p, y, names = excerpts
    y, p = y.copy(), p.copy()
    y[:, 3], p[:, 2] = 0, 0
    report = report_tags(p, y, names, n_resamples=50)
    assert report.absent == ["Flute"]
    text = str(report)
    assert "No excerpt has Flute" in text and "Never answered: Violin;" in text
    flute, violin = report.classes[3], report.classes[2]
    assert (flute.recall, flute.f1, flute.average_precision, violin.precision) == (None,) * 4
    assert np.isnan(report.by_class("f1")[3]).all()
    rows = {line.split()[0]: line for line in report.table().splitlines() if line.strip()}
    assert "nan" not in report.table() and " - " in rows["Flute"]


def test_the_text_says_what_it_stands_for(excerpts) -> None:
    p, y, names = excerpts
    text = str(report_tags(p, y, names, n_resamples=30, seed=9, is_synthetic=True))
    for part in ("60 excerpts, 5 classes, synthetic data, threshold 0.6", "30 bootstrap samples of excerpts, seed 9"):
        assert part in text
    n_unlabelled = (y.sum(axis=1) == 0).sum()
    assert f"{n_unlabelled} excerpts have no label; LRAP leaves them out" in text
    assert "\n" not in text
    tuned = report_tags(p, y, names, [0.1, 0.2, 0.3, 0.4, 0.5], n_resamples=30, is_synthetic=False)
    assert "recordings, a threshold a class, 0.10 to 0.50" in str(tuned)
    assert "unknown origin" in str(report_tags(p, y, names, n_resamples=30))
    assert all(name in tuned.table() for name in names)


def test_json_holds_all_of_it_and_no_nan(excerpts) -> None:
    p, y, names = excerpts
    y = np.where(np.arange(5) == 3, 0, y)
    report = report_tags(p, y, names, n_resamples=30)
    read = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert read["measures"]["map"]["value"] == report.map.value
    assert read["classes"][0]["f1"]["low"] == report.classes[0].f1.low
    assert read["classes"][3]["f1"] is None and read["absent"] == ["Flute"]


def test_a_perfect_answer(excerpts) -> None:
    _, y, names = excerpts
    report = report_tags(y.astype(float), y, names, n_resamples=30)
    assert all(m[:3] == (1, 1, 1) for m in report.measures.values())


def test_intervals_hold_the_true_value_about_as_often_as_they_say() -> None:
    """Of many small samples of one world, some 95 % of the intervals hold the accuracy of the world."""
    rng = np.random.default_rng(0)
    held = 0
    for i in range(100):
        y = rng.random((80, 3)) < 0.4
        p = np.where(rng.random(y.shape) < 0.75, y, ~y) * 0.8 + 0.1  # a cell is right three times in four
        m = report_tags(p, y, list("abc"), 0.5, n_resamples=200, seed=i).sample_accuracy
        held += m.low <= 0.75 <= m.high
    assert held >= 95 - 4 * math.sqrt(100 * 0.95 * 0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": np.zeros((2, 2))}, "no excerpt has any label"),
        ({"class_names": ["a"]}, "1 class names for 2 columns"),
        ({"thresholds": -0.1}, "a threshold is -0.1"),
        ({"n_resamples": 0}, "n_resamples is 0"),
        ({"probabilities": [[0.5, 0.5]], "targets": [[1, 0]]}, "there is 1 excerpt"),
    ],
)
def test_bad_input_is_refused(change, message: str) -> None:
    given = {"probabilities": [[0.5, 0.5], [0.5, 0.1]], "targets": [[1, 0], [0, 1]], "class_names": ["a", "b"]}
    with pytest.raises(InputError, match=message):
        report_tags(**{**given, **change})
