from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError, MissingExtraError
from musicfsl.plots import class_colors, plot_joint_space, plot_seen_unseen, project

CLASSES = ["oboe", "flute", "oud", "sitar"]
UNSEEN = ["oud", "sitar"]
RNG = np.random.default_rng(0)
CLASS_VECTORS = RNG.normal(size=(4, 6))
TARGETS = np.array([0, 0, 1, 2, 2, 2, 3])
CLIPS = CLASS_VECTORS[TARGETS] + 0.3 * RNG.normal(size=(7, 6))

CURVES = {"attributes": ([0.8, 0.5, 0.0], [0.0, 0.3, 0.4]), "texts": ([0.6, 0.0], [0.1, 0.2])}


def drawn_points(figure) -> set[tuple[str, str, float, float]]:
    return {
        (trace.name, trace.marker.symbol, round(x, 4), round(y, 4))
        for trace in figure.data
        if trace.x[0] is not None
        for x, y in zip(trace.x, trace.y, strict=True)
    }


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_clips_and_class_vectors_lie_where_their_joint_projection_puts_them(method) -> None:
    plane = project(np.concatenate([CLIPS, CLASS_VECTORS]), method)
    symbols = ["circle"] * 7 + ["diamond", "diamond", "star", "star"]
    owners = [*TARGETS, 0, 1, 2, 3]
    expected = {
        (CLASSES[c], symbol, round(x, 4), round(y, 4))
        for c, symbol, (x, y) in zip(owners, symbols, plane.tolist(), strict=True)
    }
    assert drawn_points(plot_joint_space(CLIPS, TARGETS, CLASS_VECTORS, CLASSES, UNSEEN, method=method)) == expected


def test_unseen_classes_are_named_and_coloured_and_seen_ones_are_grey() -> None:
    figure = plot_joint_space(torch.from_numpy(CLIPS), TARGETS, CLASS_VECTORS, CLASSES, UNSEEN)
    colors = {trace.name: trace.marker.color for trace in figure.data if trace.x[0] is not None}
    assert {name: colors[name] for name in UNSEEN} == class_colors(UNSEEN)
    assert colors["oboe"] == colors["flute"] not in class_colors(UNSEEN).values()
    assert [trace.text[0] for trace in figure.data if trace.text is not None] == UNSEEN


def test_given_colours_replace_the_usual_ones() -> None:
    figure = plot_joint_space(CLIPS, TARGETS, CLASS_VECTORS, CLASSES, UNSEEN, colors={"oboe": "#000001"})
    of_class = {
        name: {t.marker.color for t in figure.data if t.name == name and t.x[0] is not None} for name in CLASSES
    }
    assert of_class["oboe"] == {"#000001"}
    assert of_class["oud"] == {class_colors(UNSEEN)["oud"]}


def test_hovering_tells_which_clip_it_is() -> None:
    figure = plot_joint_space(CLIPS, TARGETS, CLASS_VECTORS, CLASSES, UNSEEN)
    numbers = [n for t in figure.data if t.marker.symbol == "circle" and t.x[0] is not None for n in t.customdata]
    assert sorted(numbers) == list(range(7))


@pytest.mark.parametrize(("unseen", "n_classes"), [([], 0), (CLASSES, 4), (UNSEEN, 2)])
def test_legend_lists_the_unseen_classes_and_the_seen_ones_as_one(unseen: list[str], n_classes: int) -> None:
    figure = plot_joint_space(CLIPS, TARGETS, CLASS_VECTORS, CLASSES, unseen)
    entries = [t.name for t in figure.data if t.showlegend is not False and t.legend is None]
    assert entries == unseen + (["all seen classes"] if len(unseen) < 4 else [])
    assert len(unseen) == n_classes


def test_class_vectors_are_drawn_without_clips() -> None:
    figure = plot_joint_space(np.empty((0, 6)), [], CLASS_VECTORS, CLASSES, UNSEEN)
    assert {symbol for _, symbol, _, _ in drawn_points(figure)} == {"diamond", "star"}
    assert "clip" not in [trace.name for trace in figure.data]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unseen": ["kazoo"]}, "unseen class 'kazoo' is not among the classes"),
        ({"class_vectors": CLASS_VECTORS[:3]}, r"class_vectors has shape \(3, 6\); expected \(4, D\)"),
        ({"clip_vectors": CLIPS[:, :5]}, r"clip_vectors has shape \(7, 5\); expected \(N, 6\)"),
        ({"targets": TARGETS[:3]}, r"targets has shape \(3,\); expected \(7,\)"),
        ({"targets": TARGETS + 1}, "from 1 to 4, but there are 4 classes"),
        ({"clip_vectors": np.full((7, 6), np.nan)}, "clip_vectors holds NaN"),
        ({"classes": ["oboe"] * 4}, "class 'oboe' is given twice"),
    ],
)
def test_bad_points_are_refused(change, message: str) -> None:
    given = {"clip_vectors": CLIPS, "targets": TARGETS, "class_vectors": CLASS_VECTORS}
    given |= {"classes": CLASSES, "unseen": UNSEEN}
    with pytest.raises(InputError, match=message):
        plot_joint_space(**{**given, **change})


def test_curves_points_and_chance_are_drawn_as_given() -> None:
    figure = plot_seen_unseen(CURVES, points={"texts": (0.3, 0.15)}, chance=(0.25, 0.5))
    chance, attributes, texts, point = figure.data
    assert (list(chance.x), list(chance.y)) == ([0.25, 0], [0, 0.5])
    for trace, name in ((attributes, "attributes"), (texts, "texts")):
        assert trace.name == name
        np.testing.assert_array_equal([trace.x, trace.y], CURVES[name])
    assert (point.x[0], point.y[0], point.marker.color) == (0.3, 0.15, texts.line.color)


def test_curves_of_an_evaluation_are_accepted() -> None:
    from musicfsl.zeroshot import evaluate_zeroshot

    targets = np.repeat(np.arange(4), 5)
    report = evaluate_zeroshot(RNG.normal(size=(20, 4)), targets, CLASSES, UNSEEN, calibration=0.5, n_bootstrap=2)
    calibrated = (report.calibrated_seen.value, report.calibrated_unseen.value)
    figure = plot_seen_unseen({"noise": (report.curve.seen, report.curve.unseen)}, points={"noise": calibrated})
    on_curve = np.stack([figure.data[0].x, figure.data[0].y], axis=1)
    assert np.abs(on_curve - calibrated).sum(axis=1).min() < 1e-12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"curves": {}}, "there are no curves"),
        ({"curves": {"a": ([0.1, 0.2], [0.1])}}, r"unseen accuracies of a has shape \(1,\); expected \(2,\)"),
        ({"curves": {"a": ([10.0], [0.1])}}, "seen accuracies of a reach from 10 to 10; expected accuracies"),
        ({"curves": {"a": ([np.nan], [0.1])}}, "NaN"),
        ({"curves": CURVES, "points": {"b": (0.1, 0.1)}}, "a point for 'b', but no such curve"),
        ({"curves": CURVES, "chance": (0.5, -0.1)}, "chance reach from -0.1 to 0.5"),
    ],
)
def test_bad_curves_are_refused(arguments, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_seen_unseen(**arguments)


def test_missing_plotly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    for draw in (
        lambda: plot_seen_unseen(CURVES),
        lambda: plot_joint_space(CLIPS, TARGETS, CLASS_VECTORS, CLASSES, UNSEEN),
    ):
        with pytest.raises(MissingExtraError, match=re.escape("pip install 'musicfsl[plots]'")):
            draw()
