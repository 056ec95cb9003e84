"""What sounds when in a recording: bars by label over time, and the probabilities behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError, import_extra
from musicfsl.plots.arrays import as_finite
from musicfsl.plots.style import apply_style, class_colors, colorbar

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_timeline"]

# Opaque from the palest step on, so that the map reads the same on a light and on a dark page.
_BLUES = [[0.0, "#F3F7FB"], [0.25, "#CFE3F0"], [0.5, "#82B8DB"], [1.0, "#00507D"]]
_GREY = "#9B9B9B"

# More columns than a page has pixels show nothing more; windows are averaged down to so many.
_MAX_COLUMNS = 1500

_ROW_HEIGHT = 30
_CELL_HEIGHT = 20

# What the ticks say, by how far (in milliseconds) they lie apart.
_TICKS: list[dict[str, Any]] = [
    {"dtickrange": [None, 999], "value": "%-M:%S.%1f"},
    {"dtickrange": [1000, None], "value": "%-M:%S"},
]
_TICKS_OF_HOURS = [{**stop, "value": f"%-H:{str(stop['value']).replace('-', '')}"} for stop in _TICKS]


def plot_timeline(
    segments: Sequence[tuple[float, float, str, float]],
    probabilities: ArrayLike | Tensor | None = None,
    bounds: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    *,
    labels: Sequence[str] | None = None,
    grey: Sequence[str] = ("silence", "unknown"),
    colors: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws a row of bars for each label, a bar for each of its segments; the paler a bar, the less sure it is.

    Hovering tells start, end, length and confidence. Dragging zooms in, and the ticks follow. With probabilities, a
    map of them lies below, on the same axis.

    Args:
        segments: start and end in seconds, label, and confidence from 0 to 1, such as the segments of
            `musicfsl.annotation.Annotation`.
        probabilities: ``(N, K)``, of windows and names; None draws no map. For long recordings neighbours are averaged.
        bounds: ``(N + 1,)`` ascending, in seconds: window ``i`` is drawn from ``bounds[i]`` to ``bounds[i + 1]``.
        names: K names of the columns of ``probabilities``.
        labels: which labels to draw, from the top; None draws all in the order in which they first come, but those of
            ``grey`` last.
        grey: labels that are no classes, and are drawn without colour.
        colors: label -> colour; labels without an entry have the usual one.
        title: text above the figure.

    Raises:
        InputError: there is no segment, one ends before it starts or has a confidence out of range, a label has no
            segment, or shapes do not agree.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_timeline([(0.0, 2.5, "oboe", 0.9), (2.5, 3.0, "silence", 1.0), (3.0, 7.5, "oboe", 0.6)])
        >>> [(bar.name, list(bar.x)) for bar in figure.data]
        [('oboe', [2500.0, 4500.0]), ('silence', [500.0])]
    """
    times, confidences, found = _checked(segments)
    rows = _rows(found, labels, grey)
    palette = _palette([*rows, *(names or ())], grey) | dict(colors or {})
    with_map = probabilities is not None
    n_names = len(names or ()) if with_map else 0

    heights = [_ROW_HEIGHT * max(2, len(rows)), _CELL_HEIGHT * max(3, n_names)]
    figure: Figure = import_extra("plotly.subplots", extra="plots").make_subplots(
        rows=2 if with_map else 1,
        cols=1,
        shared_xaxes=True,
        row_heights=heights if with_map else None,
        vertical_spacing=26 / sum(heights) if with_map else None,
    )
    for label in rows:
        chosen = [i for i, other in enumerate(found) if other == label]
        _add_bars(figure, label, times[chosen], confidences[chosen], palette[label])
    figure.update_yaxes(
        type="category", autorange="reversed", showgrid=False, showline=False, tickcolor="rgba(0, 0, 0, 0)"
    )
    if with_map:
        _add_map(figure, probabilities, bounds, list(names or ()))
    end = float(times[:, 1].max())
    figure.update_xaxes(
        type="date",
        range=[_moment(float(times[:, 0].min())), _moment(end)],
        tickformatstops=_TICKS if end < 3600 else _TICKS_OF_HOURS,
        hoverformat=f"{'' if end < 3600 else '%-H:'}%M:%S.%2f",
    )
    unit = "minutes:seconds" if end < 3600 else "hours:minutes:seconds"
    figure.update_xaxes(title_text=f"time ({unit})", row=1 + with_map, col=1)
    figure.update_layout(
        height=130 + sum(heights[: 1 + with_map]) + 26 * with_map, barmode="overlay", bargap=0.2, showlegend=False
    )
    return apply_style(figure, title)


def _add_bars(
    figure: Figure, label: str, times: NDArray[np.float64], confidences: NDArray[np.float64], color: str
) -> None:
    starts, ends = times.T
    figure.add_bar(
        base=[_moment(start) for start in starts],
        x=((ends - starts) * 1000).round(3).tolist(),
        y=[label] * len(starts),
        orientation="h",
        name=label,
        marker={
            "color": color,
            "opacity": (0.25 + 0.75 * confidences).round(3).tolist(),
            "line": {"width": 1, "color": color},  # so that a second of an hour can be seen
        },
        customdata=[
            [_clock(start), _clock(end), f"{end - start:.2f}", f"{confidence:.2f}"]
            for start, end, confidence in zip(starts, ends, confidences, strict=True)
        ],
        hovertemplate=(
            "<b>%{y}</b><br>%{customdata[0]} to %{customdata[1]} (%{customdata[2]} s)<br>"
            "confidence %{customdata[3]}<extra></extra>"
        ),
        row=1,
        col=1,
    )


def _add_map(
    figure: Figure, probabilities: ArrayLike | Tensor | None, bounds: ArrayLike | None, names: list[str]
) -> None:
    if bounds is None or not names:
        raise InputError("probabilities need the bounds of their windows and the names of their columns; give both")
    values = as_finite("probabilities", probabilities, "N", len(names))  # type: ignore[arg-type]
    edges = as_finite("bounds", bounds, len(values) + 1)
    if (values < 0).any() or (values > 1).any():
        raise InputError(f"probabilities reach from {values.min():g} to {values.max():g}; expected 0 to 1")
    if (np.diff(edges) <= 0).any():
        raise InputError("bounds do not ascend; expected the start of every window and the end of the last, in order")
    every = -(-len(values) // _MAX_COLUMNS)
    firsts = np.arange(0, len(values), every)
    sizes = np.diff(np.append(firsts, len(values)))
    values = np.add.reduceat(values, firsts, axis=0) / sizes[:, None]
    edges = np.append(edges[:-1][firsts], edges[-1])
    figure.add_heatmap(
        z=values.T.round(3),
        x=[_moment(edge) for edge in edges],
        y=names,
        zmin=0,
        zmax=1,
        colorscale=_BLUES,
        colorbar={**colorbar("probability"), "len": 0.5, "y": 0, "yanchor": "bottom"},
        hovertemplate="<b>%{y}</b><br>%{x}<br>probability %{z:.2f}<extra></extra>",
        row=2,
        col=1,
    )


def _checked(
    segments: Sequence[tuple[float, float, str, float]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Times ``(S, 2)``, confidences ``(S,)`` and labels."""
    if not segments:
        raise InputError("there are no segments; expected one or more")
    times = as_finite("times of the segments", [(start, end) for start, end, _, _ in segments], "S", 2)
    confidences = as_finite("confidences of the segments", [c for _, _, _, c in segments], len(segments))
    for (start, end), confidence in zip(times, confidences, strict=True):
        if not 0 <= start < end:
            raise InputError(f"a segment reaches from {start:g} to {end:g} s; expected 0 <= start < end")
        if not 0 <= confidence <= 1:
            raise InputError(f"a segment has a confidence of {confidence:g}; expected 0 to 1")
    return times, confidences, [str(label) for _, _, label, _ in segments]


def _rows(found: list[str], labels: Sequence[str] | None, grey: Sequence[str]) -> list[str]:
    if labels is not None:
        for label in labels:
            if label not in found:
                raise InputError(f"no segment bears the label '{label}'; there are {', '.join(dict.fromkeys(found))}")
        return list(class_colors(labels))
    return sorted(dict.fromkeys(found), key=lambda label: label in grey)


def _palette(labels: Sequence[str], grey: Sequence[str]) -> dict[str, str]:
    classes = [label for label in dict.fromkeys(labels) if label not in grey]
    return class_colors(classes) | dict.fromkeys(grey, _GREY)


def _moment(seconds: float) -> str:
    """A time of the recording as a date, counted from the epoch: plotly's ticks then read as minutes and seconds."""
    return str(np.datetime64(round(seconds * 1e6), "us"))


def _clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"
