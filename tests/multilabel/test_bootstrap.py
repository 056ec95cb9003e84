from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from musicfsl.errors import InputError
from musicfsl.multilabel import report_tags, resample_counts


def test_intervals_are_those_of_a_plain_loop_over_resampled_rows(excerpts) -> None:
    p, y, names = excerpts
    report = report_tags(p, y, names, 0.5, n_resamples=80, seed=4)
    counts = resample_counts(60, 80, seed=4)
    values: dict[str, list[float]] = {name: [] for name in ("macro_f1", "map", "sample_accuracy", "violin", "voice")}
    for b in range(80):
        rows = np.repeat(np.arange(60), counts[:, b])
        truth, scores, said = y[rows], p[rows], p[rows] >= 0.5
        there = np.flatnonzero(truth.any(axis=0))
        values["macro_f1"].append(f1_score(truth[:, there], said[:, there], average="macro", zero_division=0))
        values["map"].append(average_precision_score(truth[:, there], scores[:, there], average="macro"))
        values["sample_accuracy"].append((truth == said).mean())
        values["violin"].append(average_precision_score(truth[:, 2], scores[:, 2]))
        values["voice"].append(f1_score(truth[:, 0], said[:, 0]))
    for name in ("macro_f1", "map", "sample_accuracy"):
        measure = report.measures[name]
        assert (measure.low, measure.high) == pytest.approx(np.percentile(values[name], [2.5, 97.5]), abs=1e-12)
    assert report.by_class("average_precision")[2, 1:] == pytest.approx(np.percentile(values["violin"], [2.5, 97.5]))
    assert report.by_class("f1")[0, 1:] == pytest.approx(np.percentile(values["voice"], [2.5, 97.5]))


def test_a_resample_draws_excerpts_with_replacement() -> None:
    counts = resample_counts(50, 4000, seed=1)
    assert (counts.shape, counts.dtype) == ((50, 4000), np.int32)
    assert (counts.sum(axis=0) == 50).all()
    assert counts.mean(axis=1) == pytest.approx(np.ones(50), abs=0.08)  # five standard errors
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)
    np.testing.assert_array_equal(counts, resample_counts(50, 4000, seed=1))
    assert (counts != resample_counts(50, 4000, seed=2)).any()


def test_whole_songs_are_drawn_where_they_are_known() -> None:
    songs = np.array([7, 7, 7, -1, 30, 30])
    counts = resample_counts(6, 500, groups=songs)
    assert (counts[0] == counts[1]).all() and (counts[1] == counts[2]).all() and (counts[4] == counts[5]).all()
    assert (counts[[0, 3, 4]].sum(axis=0) == 3).all()


def test_songs_widen_the_interval_of_excerpts_that_are_alike() -> None:
    rng = np.random.default_rng(0)
    y, p = (rng.random((40, 3)) < 0.4).astype(int), rng.random((40, 3))
    y, p, songs = (np.repeat(a, 10, axis=0) for a in (y, p, np.arange(40)))
    by_excerpt = report_tags(p, y, list("abc"), 0.5, n_resamples=300)
    by_song = report_tags(p, y, list("abc"), 0.5, n_resamples=300, groups=songs)
    excerpt_width, song_width = (report.map.high - report.map.low for report in (by_excerpt, by_song))
    assert song_width > 2 * excerpt_width  # sqrt(10) of the other
    assert "bootstrap samples of songs" in str(by_song) and "bootstrap samples of excerpts" in str(by_excerpt)


def test_a_thousand_resamples_of_a_test_set_like_irmas_take_seconds() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((2874, 11)) < 0.2).astype(np.uint8)
    p = rng.random((2874, 11)).astype(np.float32)
    start = time.process_time()
    report_tags(p, y, [str(c) for c in range(11)])
    assert time.process_time() - start < 10  # about one on a quiet machine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_excerpts": 1}, "there is 1 excerpt; an interval needs 2 or more"),
        ({"n_resamples": 0}, "n_resamples is 0"),
        ({"groups": [0, 1]}, r"groups have shape \(2,\); expected \(5,\)"),
        ({"groups": [3] * 5}, "there is 1 song; an interval needs 2 or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resample_counts(**{"n_excerpts": 5, "n_resamples": 10, **arguments})
