from __future__ import annotations

import re
import sys
from itertools import pairwise

import numpy as np
import pytest

from musicfsl.errors import InputError, MissingExtraError
from musicfsl.plots import class_colors, plot_timeline

SEGMENTS = [
    (0.0, 2.5, "oboe", 0.9), (2.5, 3.0, "silence", 1.0), (3.0, 7.5, "oboe", 0.6), (7.5, 9.0, "flute", 0.4),
    (9.0, 9.25, "unknown", 1.0),
]  # fmt: skip
NAMES = ["flute", "harp", "oboe"]


def seconds(moment: object) -> float:
    return (np.datetime64(str(moment), "us") - np.datetime64(0, "us")) / np.timedelta64(1, "s")


def drawn(figure) -> list[tuple[float, float, str]]:
    """Start, end and row of every bar."""
    return sorted(
        (seconds(base), round(seconds(base) + length / 1000, 6), row)
        for bar in figure.data
        if bar.type == "bar"
        for base, length, row in zip(bar.base, bar.x, bar.y, strict=True)
    )


def test_every_segment_is_a_bar_from_start_to_end() -> None:
    assert drawn(plot_timeline(SEGMENTS)) == [(start, end, label) for start, end, label, _ in SEGMENTS]


def test_the_paler_the_less_sure() -> None:
    bars = {bar.name: bar for bar in plot_timeline(SEGMENTS).data}
    sure, unsure = bars["oboe"].marker.opacity
    assert 0.2 < bars["flute"].marker.opacity[0] < unsure < sure < bars["silence"].marker.opacity[0] == 1


def test_classes_have_colours_what_is_no_class_is_grey_and_last() -> None:
    bars = plot_timeline(SEGMENTS).data
    assert [bar.name for bar in bars] == ["oboe", "flute", "silence", "unknown"]
    colors = {bar.name: bar.marker.color for bar in bars}
    assert {name: colors[name] for name in ("oboe", "flute")} == class_colors(["oboe", "flute"])
    assert colors["silence"] == colors["unknown"] not in class_colors(NAMES).values()


def test_rows_and_colours_can_be_chosen() -> None:
    figure = plot_timeline(SEGMENTS, labels=["flute", "oboe"], colors={"oboe": "#000001"})
    assert [(bar.name, bar.marker.color) for bar in figure.data][1] == ("oboe", "#000001")
    assert [bar.name for bar in figure.data] == ["flute", "oboe"]


def test_hovering_tells_times_and_confidence() -> None:
    figure = plot_timeline([(3725.5, 3799.999, "oboe", 0.876), (59.999, 61.0, "oboe", 1.0)])
    assert list(figure.data[0].customdata[0]) == ["1:02:05.50", "1:03:20.00", "74.50", "0.88"]
    assert list(figure.data[0].customdata[1])[:2] == ["1:00.00", "1:01.00"]


def test_the_map_shows_each_windows_probabilities_on_the_same_axis() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 18)
    bounds = np.linspace(0, 9.25, 19)
    figure = plot_timeline(SEGMENTS, probabilities, bounds, NAMES)
    (heat,) = [trace for trace in figure.data if trace.type == "heatmap"]
    np.testing.assert_allclose(heat.z, probabilities.T, atol=5e-4)
    assert list(heat.y) == NAMES
    assert [seconds(x) for x in heat.x] == pytest.approx(bounds.tolist(), abs=1e-6)
    assert figure.layout.xaxis.matches == "x2" or figure.layout.xaxis2.matches == "x"
    assert figure.layout.xaxis2.title.text == "time (minutes:seconds)"
    assert figure.layout.xaxis.title.text is None
    assert drawn(figure) == drawn(plot_timeline(SEGMENTS))


def test_an_hour_stays_small_and_keeps_its_means() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 7199)
    bounds = np.concatenate([[0], np.arange(7198) * 0.5 + 0.75, [3600]])
    cuts = np.sort(rng.uniform(0, 3600, 299))
    edges = [0.0, *cuts.tolist(), 3600.0]
    segments = [(a, b, NAMES[i % 3], 0.5) for i, (a, b) in enumerate(pairwise(edges))]
    figure = plot_timeline(segments, probabilities, bounds, NAMES)
    heat = figure.data[-1]
    assert 1000 <= heat.z.shape[1] <= 1500
    assert seconds(heat.x[0]) == 0
    assert seconds(heat.x[-1]) == 3600
    np.testing.assert_allclose(heat.z[:, 0], probabilities[:5].mean(axis=0), atol=5e-4)
    np.testing.assert_allclose(heat.z[:, -1], probabilities[7195:].mean(axis=0), atol=5e-4)
    assert len(drawn(figure)) == 300
    assert all(bar.marker.line.width == 1 for bar in figure.data if bar.type == "bar")  # the shortest can be seen
    assert figure.layout.xaxis2.title.text == "time (hours:minutes:seconds)"
    assert len(figure.to_json()) < 1e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segments": []}, "there are no segments"),
        ({"segments": [(2.0, 1.0, "a", 0.5)]}, "from 2 to 1 s; expected 0 <= start < end"),
        ({"segments": [(-1.0, 1.0, "a", 0.5)]}, "from -1 to 1 s"),
        ({"segments": [(0.0, 1.0, "a", 1.5)]}, "confidence of 1.5; expected 0 to 1"),
        ({"segments": [(0.0, float("nan"), "a", 0.5)]}, "NaN"),
        ({"labels": ["oboe", "harp"]}, "no segment bears the label 'harp'; there are oboe, silence, flute, unknown"),
        ({"probabilities": np.ones((4, 3))}, "probabilities need the bounds"),
        ({"probabilities": np.ones((4, 3)), "bounds": np.arange(5), "names": ["a", "b"]}, r"expected \(N, 2\)"),
        ({"probabilities": np.ones((4, 3)), "bounds": np.arange(4), "names": NAMES}, r"bounds has shape \(4,\)"),
        ({"probabilities": np.ones((4, 3)), "bounds": np.zeros(5), "names": NAMES}, "bounds do not ascend"),
        ({"probabilities": np.full((4, 3), 2), "bounds": np.arange(5), "names": NAMES}, "from 2 to 2; expected 0 to 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_timeline(**{"segments": SEGMENTS, **change})


def test_missing_plotly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("plotly", "plotly.subplots"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'musicfsl[plots]'")):
        plot_timeline(SEGMENTS)
