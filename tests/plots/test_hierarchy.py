from __future__ import annotations

import numpy as np
import pytest

from musicfsl.errors import InputError
from musicfsl.plots import plot_accuracy_by_height, plot_back_off

FLAT, TREE = ([0.5, 0.6, 0.8], [0.01, 0.02, 0.03]), ([0.55, 0.7, 0.9], [0.01, 0.01, 0.01])


def test_accuracy_by_height_shows_means_intervals_and_chance() -> None:
    figure = plot_accuracy_by_height({"flat": FLAT, "tree": TREE}, [12, 6, 3], [0.1, 0.2, 0.4], title="By height")
    flat, tree, *chance = figure.data
    assert (flat.name, tree.name) == ("flat", "tree")
    np.testing.assert_array_equal(flat.y, FLAT[0])
    np.testing.assert_array_equal(tree.error_y.array, TREE[1])
    # Side by side around each height.
    np.testing.assert_allclose((np.array(flat.x) + np.array(tree.x)) / 2, [0, 1, 2], atol=1e-12)
    assert (np.array(tree.x) - np.array(flat.x) > 0.1).all()
    assert [line.y[0] for line in chance] == [0.1, 0.2, 0.4]
    assert [line.showlegend for line in chance] == [True, False, False]
    assert figure.layout.xaxis.ticktext[2] == "3 groups<br>at height 2"
    assert figure.layout.title.text == "By height"


def test_one_method_needs_no_legend() -> None:
    assert not plot_accuracy_by_height({"flat": FLAT}, [12, 6, 3]).layout.showlegend


def test_back_off_shows_curves_and_marks() -> None:
    thresholds = [0.0, 0.5, 0.9]
    curves = {"flat": ([1.0, 0.7, 0.4], [0.6, 0.8, 0.95]), "tree": ([1.0, 0.8, 0.5], [0.7, 0.85, 0.97])}
    first, marks_of_first, second, marks_of_second = plot_back_off(curves, thresholds, marks=[0.9, 0.5]).data
    np.testing.assert_array_equal(first.x, curves["flat"][0])
    np.testing.assert_array_equal(second.y, curves["tree"][1])
    np.testing.assert_array_equal(first.customdata, thresholds)
    assert (list(marks_of_first.x), list(marks_of_first.text)) == ([0.4, 0.7], ["0.9", "0.5"])
    assert list(marks_of_second.y) == [0.97, 0.85]
    assert marks_of_second.text is None
    assert len(plot_back_off(curves).data) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_accuracy_by_height({}, [12]), "no accuracies"),
        (lambda: plot_accuracy_by_height({"flat": FLAT}, [12, 6]), r"accuracies of flat has shape \(3,\)"),
        (lambda: plot_accuracy_by_height({"flat": ([50.0], [1.0])}, [12]), "expected numbers in"),
        (lambda: plot_accuracy_by_height({"flat": ([0.5], [-1.0])}, [12]), "half widths, 0 or more"),
        (lambda: plot_accuracy_by_height({"flat": FLAT}, [12, 6, 3], [0.1]), r"chance has shape \(1,\)"),
        (lambda: plot_back_off({}), "no curves"),
        (lambda: plot_back_off({"a": ([0.1, 0.2], [0.3])}), r"precision of a has shape \(1,\); expected \(2,\)"),
        (lambda: plot_back_off({"a": ([1.1], [0.3])}), "specificity of a reach"),
        (lambda: plot_back_off({"a": ([0.1], [0.3])}, [0.5], marks=[0.4]), "0.4 is none of .*the nearest is 0.5"),
        (lambda: plot_back_off({"a": ([0.1], [0.3])}, marks=[0.4]), "give the thresholds"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
