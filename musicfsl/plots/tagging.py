"""Multi-label recognition in one picture: a row a class, with intervals, chance and support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError, import_extra
from musicfsl.plots.arrays import as_finite, as_shares
from musicfsl.plots.style import PALETTE, TEXT_COLOR, apply_style, class_colors, whiskers

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_tag_report"]

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "cross", "star")


def plot_tag_report(
    names: Sequence[str],
    scores: Mapping[str, ArrayLike | Tensor],
    support: ArrayLike,
    chance: Mapping[str, ArrayLike] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws how well each class is found: a row a class, a marker a measure with its interval, and the support beside.

    A click on a measure in the legend hides it. Rows stand in the order given, the first on top.

    Args:
        names: C class names.
        scores: name of a measure -> ``(C, 3)``: value, lower and upper end of its interval, such as
            ``report.by_class("f1")``; NaN where a class has none, which draws no marker.
        support: ``(C,)``, number of excerpts that have the class.
        chance: name of a measure -> ``(C,)``, drawn as a short grey line in each row; NaN draws none.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, there is no measure, or a number is out of its range.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_tag_report(["Cello", "Flute"], {"F1": [[0.6, 0.5, 0.7], [0.4, 0.2, 0.5]]}, support=[40, 12])
        >>> [trace.name for trace in figure.data]
        ['F1', 'support']
    """
    classes = list(class_colors(names))
    if not scores:
        raise InputError("there are no scores; expected one measure or more")
    counts = as_finite("support", support, len(classes))
    figure: Figure = import_extra("plotly.subplots", extra="plots").make_subplots(
        rows=1, cols=2, shared_yaxes=True, column_widths=[0.76, 0.24], horizontal_spacing=0.03
    )
    rows = np.arange(len(classes), dtype=np.float64)
    step = min(0.2, 0.7 / len(scores))  # so that measures lie below one another, and rows apart
    for k, (measure, values) in enumerate(scores.items()):
        y = rows + float((k - (len(scores) - 1) / 2) * step)
        _add_measure(figure, measure, _intervals(measure, values, len(classes)), y, classes, k)
        if chance is not None and measure in chance:
            levels = as_shares(f"chance of {measure}", chance[measure], len(classes), gaps=True)
            _add_ticks(figure, f"chance of {measure}", measure, levels, y, step)
    figure.add_bar(
        x=counts,
        y=rows,
        orientation="h",
        name="support",
        marker={"color": "rgba(128, 128, 128, 0.45)"},
        width=0.6,
        text=[f"{count:.0f}" for count in counts],
        textposition="auto",
        textangle=0,
        customdata=classes,
        hovertemplate="<b>%{customdata}</b>: %{x:d} excerpts<extra></extra>",
        showlegend=False,
        row=1,
        col=2,
    )
    figure.update_xaxes(title_text="score", range=[-0.02, 1.02], dtick=0.2, tickformat=".1f", row=1, col=1)
    figure.update_xaxes(title_text="excerpts", nticks=3, rangemode="tozero", row=1, col=2)
    figure.update_yaxes(
        tickvals=rows, ticktext=classes, range=[len(classes) - 0.4, -0.6], showgrid=False, showline=False, ticklen=0
    )
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0}
    apply_style(figure, title)
    return figure.update_layout(height=150 + max(26, 15 * len(scores)) * len(classes), legend=legend, showlegend=True)


def _add_measure(
    figure: Figure, measure: str, values: NDArray[np.float64], y: NDArray[np.float64], classes: list[str], k: int
) -> None:
    color = PALETTE[k % len(PALETTE)]
    there = ~np.isnan(values[:, 0])
    x, low, high = values[there].T
    figure.add_scatter(
        x=x,
        y=y[there],
        mode="markers",
        name=measure,
        legendgroup=measure,
        marker={"symbol": _SYMBOLS[k % len(_SYMBOLS)], "size": 9, "color": color},
        error_x=whiskers(x, low, high, color),
        customdata=[
            [name, f"{a:.3f}", f"{b:.3f}"] for name, a, b in zip(np.array(classes)[there], low, high, strict=True)
        ],
        hovertemplate=(
            f"<b>%{{customdata[0]}}</b><br>{measure} %{{x:.3f}} [%{{customdata[1]}}, %{{customdata[2]}}]<extra></extra>"
        ),
        row=1,
        col=1,
    )


def _add_ticks(
    figure: Figure, name: str, group: str, levels: NDArray[np.float64], y: NDArray[np.float64], step: float
) -> None:
    """A short upright line in each row."""
    there = ~np.isnan(levels)
    figure.add_scatter(
        x=levels[there],
        y=y[there],
        mode="markers",
        name=name,
        legendgroup=group,
        showlegend=False,
        marker={"symbol": "line-ns-open", "size": max(8, round(26 * step)), "color": TEXT_COLOR, "line": {"width": 2}},
        hovertemplate=f"{name} %{{x:.3f}}<extra></extra>",
        row=1,
        col=1,
    )


def _intervals(measure: str, values: ArrayLike | Tensor, n: int) -> NDArray[np.float64]:
    """Value and ends ``(n, 3)``, rows of NaN where a class has none."""
    array = as_shares(f"scores of {measure}", values, n, 3, gaps=True)
    there = array[~np.isnan(array).any(axis=1)]
    if ((there[:, 1] > there[:, 0]) | (there[:, 0] > there[:, 2])).any():
        raise InputError(f"scores of {measure} hold a value outside its interval; expected rows of value, lower, upper")
    return array
