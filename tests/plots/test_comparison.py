from __future__ import annotations

import numpy as np
import pytest

from musicfsl.errors import InputError
from musicfsl.plots import plot_comparison


def test_comparison_shows_means_and_intervals() -> None:
    figure = plot_comparison(["MFCC", "network"], [0.54, 0.78], [0.01, 0.02], chance=0.2, colors=["#000000", "#111111"])
    bar = figure.data[0]
    assert list(bar.y) == ["MFCC", "network"]
    np.testing.assert_array_equal(bar.x, [0.54, 0.78])
    np.testing.assert_array_equal(bar.error_x.array, [0.01, 0.02])
    assert list(bar.text) == ["0.540 ± 0.010", "0.780 ± 0.020"]
    assert list(bar.marker.color) == ["#000000", "#111111"]
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 0.2
    assert figure.layout.yaxis.autorange == "reversed"


def test_comparison_shows_intervals_that_are_wider_on_one_side() -> None:
    bar = plot_comparison(["a", "b"], [0.5, 0.9], [[0.4, 0.7], [0.85, 0.95]]).data[0]
    np.testing.assert_allclose(bar.error_x.array, [0.2, 0.05])
    np.testing.assert_allclose(bar.error_x.arrayminus, [0.1, 0.05])
    assert bar.text[0] == "0.500 [0.400, 0.700]"


def test_numbers_that_do_not_fit_into_a_bar_stand_beside_it() -> None:
    figure = plot_comparison(["short", "long"], [0.1, 0.9], [[0.05, 0.2], [0.85, 0.95]])
    bar, beside = figure.data
    assert list(bar.textposition) == ["none", "inside"]
    assert [text.strip() for text in beside.text] == ["0.100 [0.050, 0.200]"]
    assert (list(beside.y), list(beside.x)) == (["short"], [pytest.approx(0.2)])
    assert not bar.showlegend
    assert len(plot_comparison(["long"], [0.9]).data) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["a", "b"], "means": [0.5]}, r"means has shape \(1,\); expected \(2,\)"),
        ({"names": ["a"], "means": [54.0]}, "accuracies in \\[0, 1\\], not per cent"),
        ({"names": ["a"], "means": [0.5], "colors": []}, "colors holds 0 colours for 1 bars"),
        ({"names": "a", "means": [0.5]}, "expected a list of names"),
        ({"names": ["a"], "means": [0.5], "ci95": [[0.6, 0.4]]}, "a lower end above the upper one"),
        ({"names": ["a"], "means": [0.5], "ci95": [[0.6]]}, r"ci95 has shape \(1, 1\); expected \(1, 2\)"),
    ],
)
def test_bad_comparison_is_refused(arguments, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_comparison(**arguments)
