from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.plots import plot_accuracy_over_shots, plot_accuracy_over_ways, plot_confusion

COUNTS = [[6, 2, 0], [1, 8, 1], [0, 0, 0]]
NAMES = ["flute", "oboe", "harp"]


def test_confusion_rows_are_shares_of_the_true_class() -> None:
    heatmap = plot_confusion(torch.tensor(COUNTS), NAMES).data[0]
    np.testing.assert_allclose(heatmap.z, [[0.75, 0.25, 0], [0.1, 0.8, 0.1], [np.nan] * 3])
    assert list(heatmap.x) == list(heatmap.y) == NAMES
    np.testing.assert_array_equal(heatmap.customdata[..., 0], COUNTS)
    np.testing.assert_array_equal(heatmap.customdata[..., 1], [[8] * 3, [10] * 3, [0] * 3])


def test_confusion_counts_stay_counts_where_asked() -> None:
    figure = plot_confusion(COUNTS, NAMES, normalize=False)
    np.testing.assert_array_equal(figure.data[0].z, COUNTS)
    assert figure.layout.yaxis.autorange == "reversed"  # the first class is on top, so the diagonal falls


def test_cells_of_many_classes_carry_no_numbers_but_a_scale() -> None:
    many = plot_confusion(np.eye(30), [f"class {i}" for i in range(30)]).data[0]
    few = plot_confusion(COUNTS, NAMES).data[0]
    assert (many.texttemplate, many.showscale) == (None, True)
    assert (few.texttemplate, few.showscale) == ("%{z:.2f}", False)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(2), r"matrix has shape \(2, 2\); expected \(3, 3\)"),
        (np.full((3, 3), np.nan), "NaN"),
        (-np.eye(3), "expected counts"),
    ],
)
def test_bad_confusion_is_refused(matrix, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_confusion(matrix, NAMES)


def test_accuracy_curves_and_bands_hold_what_was_passed_sorted_by_shots() -> None:
    figure = plot_accuracy_over_shots(
        [5, 1], [[0.7, 0.5], [0.6, 0.4]], [[0.01, 0.02], [0.03, 0.04]], chance=0.2, labels=["network", "MFCC"]
    )
    bands, curves = figure.data[:2], figure.data[2:]
    assert [curve.name for curve in curves] == ["network", "MFCC"]
    np.testing.assert_array_equal(curves[0].x, [1, 5])
    np.testing.assert_array_equal(curves[1].y, [0.4, 0.6])
    np.testing.assert_array_equal(curves[1].customdata, [0.04, 0.03])
    np.testing.assert_array_equal(bands[0].x, [1, 5, 5, 1])
    np.testing.assert_allclose(bands[0].y, [0.52, 0.71, 0.69, 0.48])
    assert [band.fillcolor for band in bands] == [curve.line.color for curve in curves]
    assert figure.layout.shapes[0].y0 == figure.layout.shapes[0].y1 == 0.2
    assert figure.layout.annotations[0].text == "chance 0.2"


def test_one_curve_needs_no_label_and_no_legend() -> None:
    figure = plot_accuracy_over_shots([1, 5, 10], [0.4, 0.5, 0.6], [0.1, 0.1, 0.1])
    assert figure.layout.showlegend is False
    assert not figure.layout.shapes


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"means": [0.4]}, r"means has shape \(1,\); expected \(2,\)"),
        ({"ci95": [0.1]}, r"ci95 has shape \(1,\); expected \(2,\)"),
        ({"means": [40, 50]}, "not per cent"),
        ({"means": [np.nan, 0.5]}, "means holds NaN"),
        ({"means": 0.5}, r"means has shape \(\); expected \(2,\)"),
        ({"ci95": [0.1, -0.1]}, "half widths"),
        ({"shots": [5, 5]}, "different positive"),
        ({"shots": [0, 5]}, "different positive"),
        ({"chance": 20}, "chance is 20"),
        ({"labels": ["a", "b"]}, "2 names for 1 curve"),
        ({"means": [[0.1, 0.2]] * 2, "ci95": [[0.1, 0.2]] * 2}, "0 names for 2 curves"),
    ],
)
def test_bad_accuracies_are_refused(changed: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_accuracy_over_shots(**{"shots": [1, 5], "means": [0.4, 0.5], "ci95": [0.1, 0.1], **changed})


def test_chance_falls_with_the_number_of_ways() -> None:
    figure = plot_accuracy_over_ways([10, 2, 5], [0.5, 0.9, 0.7], [0.01, 0.01, 0.01])
    band, curve, chance = figure.data
    np.testing.assert_array_equal(curve.x, [2, 5, 10])
    np.testing.assert_array_equal(curve.y, [0.9, 0.7, 0.5])
    np.testing.assert_allclose(band.y[:3], [0.91, 0.71, 0.51])
    np.testing.assert_allclose(chance.y, [1 / 2, 1 / 5, 1 / 10])


def test_one_way_is_no_choice() -> None:
    with pytest.raises(InputError, match="expected 2 classes or more"):
        plot_accuracy_over_ways([1, 2], [1.0, 0.9], [0.0, 0.0])
