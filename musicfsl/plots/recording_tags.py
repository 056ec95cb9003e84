"""What is heard in recordings: a bar a class, the windows behind it, or many recordings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError, import_extra
from musicfsl.plots.arrays import as_finite, as_shares, as_thresholds
from musicfsl.plots.style import PALETTE, TEXT_COLOR, apply_style, class_colors, colorbar, new_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_tag_grid", "plot_tags"]

# Opaque from the palest step on, so that the map reads the same on a light and on a dark page.
_BLUES = [[0.0, "#F3F7FB"], [0.25, "#CFE3F0"], [0.5, "#82B8DB"], [1.0, "#00507D"]]
_PALE = "rgba(128, 128, 128, 0.45)"

# More columns than a page has pixels show nothing more; windows are averaged down to so many.
_MAX_COLUMNS = 1500


def plot_tags(
    probabilities: ArrayLike | Tensor,
    names: Sequence[str],
    thresholds: ArrayLike | Tensor = 0.6,
    windows: ArrayLike | Tensor | None = None,
    bounds: ArrayLike | None = None,
    title: str | None = None,
) -> Figure:
    """Draws what is heard in one recording: a bar a class, the most probable on top, and its windows over time beside.

    Bars that reach their class's threshold, a short upright line, are coloured; the others are grey.

    Args:
        probabilities: ``(C,)``, of the recording.
        names: C class names.
        thresholds: ``(C,)``, or one number.
        windows: ``(W, C)``, probabilities of its windows; None draws bars alone. Where there are very many, neighbours
            are averaged.
        bounds: ``(W + 1,)`` ascending, in seconds: window ``i`` is drawn from ``bounds[i]`` to ``bounds[i + 1]``.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, or a number is NaN or out of its range.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_tags([0.2, 0.9], ["Flute", "Cello"], thresholds=0.5)
        >>> figure.data[0].y.tolist(), figure.data[0].x.tolist()
        (['Cello', 'Flute'], [0.9, 0.2])
    """
    classes = list(class_colors(names))
    values = as_shares("probabilities", probabilities, len(classes))
    limits = as_thresholds(thresholds, len(classes))
    order = np.argsort(-values, kind="stable")
    rows = [classes[c] for c in order]
    has_map = windows is not None
    figure: Figure = import_extra("plotly.subplots", extra="plots").make_subplots(
        rows=1,
        cols=1 + has_map,
        shared_yaxes=True,
        column_widths=[0.4, 0.6] if has_map else None,
        horizontal_spacing=0.05 if has_map else None,
    )
    figure.add_bar(
        x=values[order],
        y=np.array(rows, dtype=object),
        orientation="h",
        marker={"color": [PALETTE[0] if values[c] >= limits[c] else _PALE for c in order]},
        customdata=[[f"{limits[c]:.2f}", "" if values[c] >= limits[c] else "not "] for c in order],
        hovertemplate=(
            "<b>%{y}</b>: probability %{x:.3f}<br>%{customdata[1]}answered (threshold %{customdata[0]})<extra></extra>"
        ),
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=limits[order],
        y=rows,
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 16, "color": TEXT_COLOR, "line": {"width": 2}},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.update_xaxes(title_text="probability", range=[0, 1.02], dtick=0.5, tickformat=".1f", row=1, col=1)
    if has_map:
        _add_windows(figure, windows, bounds, order, rows)
    figure.update_yaxes(type="category", autorange="reversed", showline=False, showgrid=False, ticks="")
    return apply_style(figure, title).update_layout(height=140 + 26 * len(classes), bargap=0.25, showlegend=False)


def plot_tag_grid(
    probabilities: ArrayLike | Tensor,
    recordings: Sequence[str],
    names: Sequence[str],
    thresholds: ArrayLike | Tensor = 0.6,
    title: str | None = None,
) -> Figure:
    """Draws what is heard in many recordings: a row a recording, a column a class, a dot in what is answered.

    Args:
        probabilities: ``(R, C)``.
        recordings: R names; equal ones stay apart.
        names: C class names.
        thresholds: ``(C,)``, or one number.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, or a number is NaN or out of its range.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_tag_grid([[0.2, 0.9], [0.7, 0.1]], ["a.wav", "b.wav"], ["Cello", "Flute"])
        >>> figure.data[0].z.tolist()
        [[0.2, 0.9], [0.7, 0.1]]
    """
    classes = list(class_colors(names))
    if isinstance(recordings, str):
        raise InputError(f"recordings is the string '{recordings}'; expected a list of names")
    values = as_shares("probabilities", probabilities, len(recordings), len(classes))
    limits = as_thresholds(thresholds, len(classes))
    row, column = np.nonzero(values >= limits)
    figure = new_figure()
    figure.add_heatmap(
        z=values,
        x=classes,
        y=np.arange(len(values)),
        zmin=0,
        zmax=1,
        xgap=1,
        ygap=1,
        colorscale=_BLUES,
        colorbar=colorbar("probability"),
        customdata=np.broadcast_to(np.array(recordings, dtype=object)[:, None], values.shape),
        hovertemplate="<b>%{customdata}</b><br>%{x}: probability %{z:.3f}<extra></extra>",
    )
    figure.add_scatter(
        x=[classes[c] for c in column],
        y=row,
        mode="markers",
        name="answered",
        marker={"size": 7, "color": "white", "line": {"width": 1.5, "color": "#333333"}},
        hoverinfo="skip",
    )
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=classes,
        tickangle=-45,
        showgrid=False,
        showline=False,
        ticks="",
    )
    figure.update_yaxes(
        tickvals=np.arange(len(values)),
        ticktext=[str(name) for name in recordings],
        autorange="reversed",
        showgrid=False,
        showline=False,
        ticks="",
    )
    return apply_style(figure, title).update_layout(height=170 + 24 * len(values), showlegend=False)


def _add_windows(
    figure: Figure,
    windows: ArrayLike | Tensor | None,
    bounds: ArrayLike | None,
    order: NDArray[np.int64],
    rows: list[str],
) -> None:
    """A map of the windows' probabilities over time."""
    if bounds is None:
        raise InputError("windows need bounds, the start of each and the end of the last; give both")
    values = as_shares("windows", windows, "W", len(rows))  # type: ignore[arg-type]
    edges = as_finite("bounds", bounds, len(values) + 1)
    if (np.diff(edges) <= 0).any():
        raise InputError("bounds do not ascend; expected the start of every window and the end of the last, in order")
    every = -(-len(values) // _MAX_COLUMNS)
    firsts = np.arange(0, len(values), every)
    means = np.add.reduceat(values, firsts, axis=0) / np.diff(np.append(firsts, len(values)))[:, None]
    figure.add_heatmap(
        z=means[:, order].T.round(3),
        x=np.append(edges[:-1][firsts], edges[-1]),
        y=rows,
        zmin=0,
        zmax=1,
        colorscale=_BLUES,
        colorbar=colorbar("probability"),
        hovertemplate="<b>%{y}</b> at %{x:.1f} s<br>probability %{z:.2f}<extra></extra>",
        row=1,
        col=2,
    )
    figure.update_xaxes(title_text="time (s)", range=[edges[0], edges[-1]], row=1, col=2)
