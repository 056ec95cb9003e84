"""Recognition by a tree in pictures: accuracy from classes up to families, and what backing off costs and wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.plots.arrays import as_finite
from musicfsl.plots.style import CHANCE_LINE, PALETTE, apply_style, new_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_accuracy_by_height", "plot_back_off"]

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "cross", "star")


def plot_accuracy_by_height(
    accuracies: Mapping[str, tuple[ArrayLike | Tensor, ArrayLike | Tensor]],
    n_groups: Sequence[int],
    chance: ArrayLike | None = None,
    title: str | None = None,
) -> Figure:
    """Draws accuracy at every height of a tree: points with their intervals, the classes on the left.

    Args:
        accuracies: name of a method -> its accuracies ``(H,)`` in [0, 1], from height 0 up, and half the widths of
            their 95 % intervals ``(H,)``.
        n_groups: for each of the H heights, the number of nodes there, such as ``report.hierarchy.n_groups``.
        chance: accuracies of guessing ``(H,)``, drawn as dashed lines.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, there is no method, or a number is NaN or out of its range.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_accuracy_by_height({"flat": ([0.6, 0.8], [0.01, 0.01])}, n_groups=[12, 4], chance=[0.08, 0.3])
        >>> figure.data[0].name, figure.layout.xaxis.ticktext
        ('flat', ('12 classes', '4 groups<br>at height 1'))
    """
    if not accuracies:
        raise InputError("there are no accuracies; expected one method or more")
    heights = np.arange(len(n_groups))
    step = min(0.16, 0.7 / len(accuracies))  # so that methods stand side by side, and heights apart
    figure = new_figure()
    for k, (name, (means, ci95)) in enumerate(accuracies.items()):
        y = _shares(f"accuracies of {name}", means, len(heights))
        half = as_finite(f"ci95 of {name}", ci95, len(heights))
        if (half < 0).any():
            raise InputError(f"ci95 of {name} holds {half.min():g}; expected half widths, 0 or more")
        color = PALETTE[k % len(PALETTE)]
        figure.add_scatter(
            x=heights + (k - (len(accuracies) - 1) / 2) * step,
            y=y,
            mode="markers",
            name=name,
            marker={"color": color, "size": 8, "symbol": _SYMBOLS[k % len(_SYMBOLS)]},
            error_y={"type": "data", "array": half, "color": color, "thickness": 1.8, "width": 5},
            customdata=np.stack([heights, half], axis=1),
            hovertemplate=f"<b>{name}</b><br>height %{{customdata[0]:d}}: %{{y:.4f}} ± %{{customdata[1]:.4f}}"
            "<extra></extra>",
        )
    if chance is not None:
        levels = _shares("chance", chance, len(heights))
        for height, level in zip(heights, levels, strict=True):
            figure.add_scatter(
                x=[height - 0.42, height + 0.42],
                y=[level, level],
                mode="lines",
                name="chance",
                legendgroup="chance",
                showlegend=bool(height == 0),
                line=CHANCE_LINE,
                hovertemplate=f"chance at height {height}: %{{y:.4f}}<extra></extra>",
            )
    labels = [f"{n} groups<br>at height {h}" if h else f"{n} classes" for h, n in enumerate(n_groups)]
    figure.update_xaxes(tickvals=heights, ticktext=labels, range=[-0.55, len(heights) - 0.45], ticks="", showgrid=False)
    figure.update_yaxes(title_text="accuracy", tickformat=".1f", range=[0, 1.02], dtick=0.2)
    return apply_style(figure, title).update_layout(height=420, showlegend=len(figure.data) > 1)


def plot_back_off(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    thresholds: ArrayLike | None = None,
    marks: Sequence[float] = (),
    title: str | None = None,
) -> Figure:
    """Draws specificity against precision of answers that back off to families where no class is sure.

    Args:
        curves: name -> specificity ``(K,)`` and precision ``(K,)``, threshold by threshold, such as those of a
            `musicfsl.backoff.BackOffCurve`. On the left every answer is the root, on the right a class.
        thresholds: ``(K,)``, shown when hovering.
        marks: thresholds to mark on the curves, each with its number at the first curve.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, there is no curve, a number is NaN or out of its range, or a mark is none of
            the thresholds.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_back_off({"flat": ([1.0, 0.7, 0.4], [0.6, 0.8, 0.95])}, [0.0, 0.5, 0.9], marks=[0.5])
        >>> [trace.x.tolist() for trace in figure.data]
        [[1.0, 0.7, 0.4], [0.7]]
    """
    if not curves:
        raise InputError("there are no curves; expected one or more")
    steps = None if thresholds is None else _shares("thresholds", thresholds, "K")
    places = _places(marks, steps)
    figure = new_figure()
    for k, (name, (specificities, precisions)) in enumerate(curves.items()):
        x = _shares(f"specificity of {name}", specificities, "K" if steps is None else len(steps))
        y = _shares(f"precision of {name}", precisions, len(x))
        color = PALETTE[k % len(PALETTE)]
        hover = f"<b>{name}</b><br>specificity %{{x:.3f}}, precision %{{y:.3f}}"
        figure.add_scatter(
            x=x,
            y=y,
            customdata=steps,
            mode="lines",
            name=name,
            legendgroup=name,
            line={"color": color, "width": 2.5},
            hovertemplate=hover + ("" if steps is None else "<br>threshold %{customdata:.2f}") + "<extra></extra>",
        )
        if places:
            figure.add_scatter(
                x=x[places],
                y=y[places],
                mode="markers+text" if k == 0 else "markers",
                text=[f"{mark:g}" for mark in marks] if k == 0 else None,
                textposition="bottom left",
                textfont={"color": color},
                cliponaxis=False,
                legendgroup=name,
                showlegend=False,
                marker={"size": 9, "color": color, "line": {"width": 1.5, "color": "white"}},
                hoverinfo="skip",
            )
    axis = {"tickformat": ".1f", "dtick": 0.2}
    figure.update_xaxes(axis, title_text="specificity (0: “some instrument”, 1: a class)", range=[0, 1.04])
    figure.update_yaxes(axis, title_text="precision", range=[0, 1.04])
    return apply_style(figure, title).update_layout(height=440, showlegend=len(curves) > 1)


def _shares(name: str, values: ArrayLike | Tensor, length: int | str) -> NDArray[np.float64]:
    array = as_finite(name, values, length)
    if (array < 0).any() or (array > 1).any():
        raise InputError(f"{name} reach from {array.min():g} to {array.max():g}; expected numbers in [0, 1]")
    return array


def _places(marks: Sequence[float], thresholds: NDArray[np.float64] | None) -> list[int]:
    """Where the marks stand among the thresholds."""
    if len(marks) and thresholds is None:
        raise InputError("marks are thresholds; give the thresholds of the curves as well")
    places = []
    for mark in marks:
        assert thresholds is not None
        nearest = int(np.abs(thresholds - mark).argmin())
        if abs(thresholds[nearest] - mark) > 1e-9:
            raise InputError(f"the mark {mark:g} is none of the thresholds; the nearest is {thresholds[nearest]:g}")
        places.append(nearest)
    return places
