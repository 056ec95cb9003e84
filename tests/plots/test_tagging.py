from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve, precision_score, recall_score

from musicfsl.errors import InputError, MissingExtraError
from musicfsl.multilabel import calibration_curve, cooccurrence_confusion, report_tags
from musicfsl.plots import (
    plot_calibration,
    plot_cooccurrence,
    plot_precision_recall,
    plot_tag_grid,
    plot_tag_report,
    plot_tags,
)

RNG = np.random.default_rng(0)
NAMES = ["Cello", "Flute", "Voice"]
TARGETS = (RNG.random((80, 3)) < [0.5, 0.3, 0.2]).astype(np.uint8)
PROBABILITIES = np.clip(0.3 * TARGETS + RNG.uniform(0, 0.7, TARGETS.shape), 0, 1).round(2)
REPORT = report_tags(PROBABILITIES, TARGETS, NAMES, 0.5, n_resamples=50)


class TestReport:
    def test_markers_intervals_chance_and_support_are_those_of_the_report(self) -> None:
        scores = {name: REPORT.by_class(name) for name in ("f1", "average_precision")}
        chance = {"f1": [row.f1.chance for row in REPORT.classes]}
        figure = plot_tag_report(NAMES, scores, TARGETS.sum(axis=0), chance)
        f1, levels, ap, support = figure.data
        for trace, name in ((f1, "f1"), (ap, "average_precision")):
            value, low, high = scores[name].T
            assert trace.name == name
            np.testing.assert_allclose(trace.x, value)
            np.testing.assert_allclose(trace.x - trace.error_x.arrayminus, low)
            np.testing.assert_allclose(trace.x + trace.error_x.array, high)
            assert [data[0] for data in trace.customdata] == NAMES
        np.testing.assert_allclose(levels.x, chance["f1"])
        assert levels.legendgroup == "f1"  # hidden with its measure
        assert support.x.tolist() == TARGETS.sum(axis=0).tolist()
        assert figure.layout.yaxis.ticktext == tuple(NAMES)
        assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first class is on top
        assert np.abs(np.array(f1.y) - np.array(ap.y)).min() > 0.1  # markers of two measures do not hide one another

    def test_a_class_without_a_score_keeps_its_row_and_draws_no_marker(self) -> None:
        figure = plot_tag_report(NAMES, {"F1": [[0.5, 0.4, 0.6], [np.nan] * 3, [0.1, 0.0, 0.2]]}, [5, 0, 2])
        assert list(figure.data[0].y) == [0, 2]
        assert figure.layout.yaxis.ticktext == tuple(NAMES)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"scores": {}}, "there are no scores"),
            ({"scores": {"F1": [[0.5, 0.4, 0.6]]}}, r"scores of F1 has shape \(1, 3\); expected \(3, 3\)"),
            ({"scores": {"F1": [[0.5, 0.6, 0.7]] * 3}}, "F1 hold a value outside its interval"),
            ({"scores": {"F1": [[50, 40, 60]] * 3}}, "from 40 to 60; expected 0 to 1"),
            ({"support": [1, 2]}, r"support has shape \(2,\)"),
            ({"chance": {"F1": [0.1]}}, r"chance of F1 has shape \(1,\)"),
            ({"names": ["a", "a", "b"]}, "class 'a' is given twice"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, change, message: str) -> None:
        given = {"names": NAMES, "scores": {"F1": [[0.5, 0.4, 0.6]] * 3}, "support": [1, 2, 3]}
        with pytest.raises(InputError, match=message):
            plot_tag_report(**{**given, **change})


class TestPrecisionRecall:
    def test_curves_are_those_of_scikit_learn(self) -> None:
        figure = plot_precision_recall(PROBABILITIES, TARGETS, NAMES)
        curves = {trace.name: trace for trace in figure.data}
        for name, truth, scores in (
            ("all classes", TARGETS.ravel(), PROBABILITIES.ravel()),
            ("Flute", TARGETS[:, 1], PROBABILITIES[:, 1]),
        ):
            precision, recall, thresholds = precision_recall_curve(truth, scores)
            np.testing.assert_allclose(curves[name].x, recall[-2::-1])
            np.testing.assert_allclose(curves[name].y, precision[-2::-1])
            np.testing.assert_allclose([data[0] for data in curves[name].customdata], thresholds[::-1])
            middle = len(thresholds) // 2
            said = scores >= curves[name].customdata[middle][0]
            assert curves[name].customdata[middle][1] == pytest.approx(f1_score(truth, said))

    def test_marks_stand_where_the_thresholds_are(self) -> None:
        figure = plot_precision_recall(PROBABILITIES, TARGETS, NAMES, thresholds=[0.4, 0.5, 0.6])
        marks = {trace.legendgroup: trace for trace in figure.data if trace.mode == "markers"}
        assert set(marks) == set(NAMES)
        said = PROBABILITIES[:, 1] >= 0.5
        found = (marks["Flute"].x[0], marks["Flute"].y[0])
        assert found == pytest.approx((recall_score(TARGETS[:, 1], said), precision_score(TARGETS[:, 1], said)))
        same = plot_precision_recall(PROBABILITIES, TARGETS, NAMES, thresholds=0.5)
        assert "all classes" in {trace.legendgroup for trace in same.data if trace.mode == "markers"}

    def test_many_classes_wait_in_the_legend_and_absent_ones_have_no_curve(self) -> None:
        names = [f"class {c}" for c in range(12)]
        targets = RNG.random((50, 12)) < 0.5
        targets[:, 4] = False
        figure = plot_precision_recall(RNG.random((50, 12)), targets, names, shown=["class 7"])
        seen = {trace.name: trace.visible for trace in figure.data}
        assert "class 4" not in seen
        assert {name for name, visible in seen.items() if visible is True} == {"all classes", "class 7"}

    def test_long_curves_stay_small(self) -> None:
        targets = RNG.random((4000, 2)) < 0.5
        figure = plot_precision_recall(RNG.random((4000, 2)), targets, ["a", "b"])
        assert all(len(trace.x) <= 300 for trace in figure.data)
        assert figure.data[0].x[-1] == 1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"probabilities": PROBABILITIES * 100}, "probabilities reach from"),
            ({"targets": TARGETS[:5]}, r"targets has shape \(5, 3\); expected \(80, 3\)"),
            ({"targets": TARGETS * 2}, "other values than 0 and 1"),
            ({"thresholds": [0.5]}, r"thresholds has shape \(1,\); expected \(3,\)"),
            ({"thresholds": 2}, "thresholds reach from 2 to 2"),
            ({"shown": ["Oboe"]}, "'Oboe' is to be shown, but is not among the classes"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, change, message: str) -> None:
        given = {"probabilities": PROBABILITIES, "targets": TARGETS, "names": NAMES}
        with pytest.raises(InputError, match=message):
            plot_precision_recall(**{**given, **change})


def test_calibration_curves_are_drawn_with_their_intervals() -> None:
    curve = calibration_curve(PROBABILITIES, TARGETS, n_bins=5)
    honest, drawn = plot_calibration({"tagger": curve}).data
    assert (list(honest.x), list(honest.y)) == ([0, 1], [0, 1])
    np.testing.assert_allclose(drawn.x, curve.probability)
    np.testing.assert_allclose(drawn.y, curve.frequency)
    np.testing.assert_allclose(drawn.y - drawn.error_y.arrayminus, curve.low)
    np.testing.assert_allclose(drawn.customdata[:, 2], curve.counts)
    with pytest.raises(InputError, match="there are no curves"):
        plot_calibration({})
    with pytest.raises(InputError, match="the curve of a has 2 parts"):
        plot_calibration({"a": ([0.1], [0.1])})
    with pytest.raises(InputError, match=r"frequencies of a has shape \(2,\); expected \(1,\)"):
        plot_calibration({"a": ([0.1], [0.1, 0.2], [0.1], [0.1], [1])})


class TestCooccurrence:
    CONFUSION = cooccurrence_confusion(PROBABILITIES, TARGETS, NAMES, 0.5)

    def test_cells_are_shares_of_the_mistakes(self) -> None:
        found = self.CONFUSION
        usual = found.usual_beside_false_positives
        figure = plot_cooccurrence(found.false_positives, found.n_false_positives, NAMES, usual)
        (heat,) = figure.data
        np.testing.assert_allclose(heat.z, found.beside_false_positives)
        assert heat.customdata[0, 1].tolist() == [
            found.false_positives[0, 1],
            found.n_false_positives[0],
            f"<br>usually {usual[0, 1]:.1%}",
        ]
        assert list(heat.y) == [f"{name} ({n})" for name, n in zip(NAMES, found.n_false_positives, strict=True)]
        assert figure.layout.yaxis.autorange == "reversed"

    def test_a_row_without_mistakes_stays_empty(self) -> None:
        (heat,) = plot_cooccurrence([[0, 0], [2, 0]], [0, 2], ["a", "b"]).data
        assert np.isnan(heat.z[0]).all() and heat.z[1].tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("counts", "totals", "message"),
        [
            ([[0, 3], [0, 0]], [2, 0], "above the total of its row"),
            ([[0, -1], [0, 0]], [2, 0], "below 0"),
            ([[0]], [2, 0], r"counts has shape \(1, 1\); expected \(2, 2\)"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, counts, totals, message: str) -> None:
        with pytest.raises(InputError, match=message):
            plot_cooccurrence(counts, totals, ["a", "b"])


class TestRecordings:
    WINDOWS = RNG.random((7, 3))
    BOUNDS = np.array([0, 1.5, 3, 4.5, 6, 7.5, 9, 11])

    def test_bars_fall_and_what_reaches_its_threshold_is_coloured(self) -> None:
        bars, limits = plot_tags([0.2, 0.9, 0.5], NAMES, [0.1, 0.5, 0.6]).data
        assert list(bars.y) == list(limits.y) == ["Flute", "Voice", "Cello"]
        assert list(bars.x) == [0.9, 0.5, 0.2] and list(limits.x) == [0.5, 0.6, 0.1]
        assert bars.marker.color[0] == bars.marker.color[2] != bars.marker.color[1]
        assert [data[1] for data in bars.customdata] == ["", "not ", ""]

    def test_windows_lie_beside_their_bars(self) -> None:
        probabilities = self.WINDOWS.mean(axis=0)
        figure = plot_tags(probabilities, NAMES, 0.5, self.WINDOWS, self.BOUNDS)
        bars, _, heat = figure.data
        assert list(heat.y) == list(bars.y)
        np.testing.assert_allclose(heat.z, self.WINDOWS[:, np.argsort(-probabilities)].T, atol=5e-4)
        np.testing.assert_allclose(heat.x, self.BOUNDS)
        assert figure.layout.yaxis2.matches == "y"

    def test_an_hour_stays_small_and_keeps_its_means(self) -> None:
        windows = RNG.random((7199, 3))
        heat = plot_tags([0.9, 0.5, 0.1], NAMES, 0.5, windows, np.arange(7200) / 2).data[2]
        assert heat.z.shape[1] == 1440 and heat.x[-1] == 3599.5
        np.testing.assert_allclose(heat.z[:, 0], windows[:5].mean(axis=0), atol=5e-4)

    def test_a_grid_marks_what_is_answered_and_keeps_recordings_of_one_name_apart(self) -> None:
        values = np.array([[0.9, 0.1, 0.6], [0.2, 0.7, 0.3]])
        heat, dots = plot_tag_grid(values, ["a.wav", "a.wav"], NAMES, 0.6).data
        np.testing.assert_array_equal(heat.z, values)
        assert list(zip(dots.y, dots.x, strict=True)) == [(0, "Cello"), (0, "Voice"), (1, "Flute")]
        assert list(heat.y) == [0, 1]

    @pytest.mark.parametrize(
        ("draw", "message"),
        [
            (lambda: plot_tags([0.5, 0.5], NAMES), r"probabilities has shape \(2,\); expected \(3,\)"),
            (lambda: plot_tags([0.5, np.nan, 0.1], NAMES), "NaN"),
            (lambda: plot_tags([0.5, 0.5, 0.5], NAMES, 1.5), "thresholds reach from 1.5"),
            (lambda: plot_tags([0.5] * 3, NAMES, 0.5, [[0.5] * 3]), "windows need bounds"),
            (lambda: plot_tags([0.5] * 3, NAMES, 0.5, [[0.5] * 3], [1, 1]), "bounds do not ascend"),
            (lambda: plot_tags([0.5] * 3, NAMES, 0.5, [[0.5] * 3], [1]), r"bounds has shape \(1,\); expected \(2,\)"),
            (lambda: plot_tag_grid([[0.5] * 3], "a.wav", NAMES), "recordings is the string"),
            (lambda: plot_tag_grid([[0.5] * 3], ["a", "b"], NAMES), r"has shape \(1, 3\); expected \(2, 3\)"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, draw, message: str) -> None:
        with pytest.raises(InputError, match=message):
            draw()


def test_missing_plotly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("plotly", "plotly.graph_objects", "plotly.subplots"):
        monkeypatch.setitem(sys.modules, module, None)
    for draw in (
        lambda: plot_tag_report(NAMES, {"F1": [[0.5, 0.4, 0.6]] * 3}, [1, 2, 3]),
        lambda: plot_precision_recall(PROBABILITIES, TARGETS, NAMES),
        lambda: plot_calibration({"a": ([0.1], [0.1], [0.1], [0.1], [1])}),
        lambda: plot_cooccurrence([[0]], [0], ["a"]),
        lambda: plot_tags([0.5] * 3, NAMES),
        lambda: plot_tag_grid([[0.5] * 3], ["a.wav"], NAMES),
    ):
        with pytest.raises(MissingExtraError, match=re.escape("pip install 'musicfsl[plots]'")):
            draw()
