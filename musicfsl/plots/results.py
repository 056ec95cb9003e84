"""Results of an evaluation: confusion matrix, accuracy over shots and ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.plots.arrays import as_finite
from musicfsl.plots.style import CHANCE_LINE, PALETTE, TEXT_COLOR, apply_style, class_colors, colorbar, new_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_accuracy_over_shots", "plot_accuracy_over_ways", "plot_confusion"]

# Opaque from the palest step on, so that the cells read the same on a light and on a dark page. The step behind 0.65
# leaves out the blues on which neither dark nor white numbers can be read.
_BLUES = [[0.0, "#F3F7FB"], [0.25, "#CFE3F0"], [0.5, "#A3CBE5"], [0.65, "#82B8DB"], [0.7, "#2F7FB5"], [1.0, "#00507D"]]
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star")
_MAX_CLASSES_WITH_TEXT = 16


def plot_confusion(
    matrix: ArrayLike | Tensor, classes: Sequence[str], normalize: bool = True, title: str | None = None
) -> Figure:
    """Draws a confusion matrix: a row for every true class, a column for every answer.

    Args:
        matrix: ``(C, C)`` counts; ``matrix[i, j]`` items of class i were taken for class j.
        classes: C class names.
        normalize: colours and numbers are shares of the row (the diagonal is the accuracy of each class,
            and a row without items stays empty); False gives counts. Hovering always shows both.
        title: text above the figure.

    Raises:
        InputError: the matrix is not ``(C, C)``, or holds NaN or negative numbers.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_confusion([[3, 1], [0, 4]], ["flute", "oboe"])
        >>> figure.data[0].z.tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    names = list(class_colors(classes))
    counts = as_finite("matrix", matrix, len(names), len(names))
    if (counts < 0).any():
        raise InputError(f"matrix holds {counts.min():g}; expected counts, 0 or more")
    totals = np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)

    has_text = len(names) <= _MAX_CLASSES_WITH_TEXT
    figure = new_figure()
    figure.add_heatmap(
        z=shares if normalize else counts,
        x=names,
        y=names,
        customdata=np.stack([counts, totals, shares * 100], axis=-1),
        zmin=0,
        zmax=1 if normalize else None,
        xgap=2 if has_text else 1,
        ygap=2 if has_text else 1,
        colorscale=_BLUES,
        texttemplate=("%{z:.2f}" if normalize else "%{z:.0f}") if has_text else None,
        textfont={"size": 13 if len(names) <= 8 else 11},
        hoverongaps=False,
        hovertemplate=(
            "true <b>%{y}</b><br>answered <b>%{x}</b><br>"
            "%{customdata[0]:d} of %{customdata[1]:d} (%{customdata[2]:.1f} %)<extra></extra>"
        ),
        showscale=not has_text,
        colorbar=colorbar("share of the true class" if normalize else "items"),
    )
    axis = {
        "type": "category",
        "showgrid": False,
        "showline": False,
        "tickcolor": "rgba(0, 0, 0, 0)",
        "constrain": "domain",
    }
    figure.update_xaxes(axis, title_text="answer", tickangle=0 if len(names) <= 6 else -45)
    figure.update_yaxes(axis, title_text="true class", autorange="reversed", scaleanchor="x")
    side = int(np.clip(60 * len(names), 320, 720))
    return apply_style(figure, title).update_layout(height=side + 130, width=side + 200)


def plot_accuracy_over_shots(
    shots: ArrayLike,
    means: ArrayLike | Tensor,
    ci95: ArrayLike | Tensor,
    chance: float | None = None,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws accuracy against the number of support items a class, with 95 % intervals as bands.

    Args:
        shots: S different positive numbers; the axis is logarithmic.
        means: ``(S,)`` accuracies in [0, 1] for one curve, or ``(K, S)`` for K curves.
        ci95: half widths of the intervals, shaped like ``means``.
        chance: accuracy of guessing, drawn as a dashed line.
        labels: K names of curves; may be left out where there is one.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, or a number is NaN or out of its range.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_accuracy_over_shots([1, 5], [0.52, 0.7], [0.01, 0.008], chance=0.2)
        >>> figure.data[-1].y.tolist()
        [0.52, 0.7]
    """
    figure, _ = _accuracy_curves("shots", shots, means, ci95, labels)
    if chance is not None:
        if not 0 <= chance <= 1:
            raise InputError(f"chance is {chance}; expected an accuracy in [0, 1]")
        figure.add_hline(
            y=chance,
            line=CHANCE_LINE,
            annotation={"text": f"chance {chance:.2g}", "xanchor": "right", "font": {"color": TEXT_COLOR}},
        )
    figure.update_xaxes(type="log", title_text="support items a class (shots)")
    return apply_style(figure, title)


def plot_accuracy_over_ways(
    ways: ArrayLike,
    means: ArrayLike | Tensor,
    ci95: ArrayLike | Tensor,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws accuracy against the number of classes in an episode, with chance, which falls with it.

    Args:
        ways: W different numbers, 2 or more.
        means: ``(W,)`` accuracies in [0, 1] for one curve, or ``(K, W)`` for K curves.
        ci95: half widths of the 95 % intervals, shaped like ``means``.
        labels: K names of curves; may be left out where there is one.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, or a number is NaN or out of its range.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_accuracy_over_ways([2, 5], [0.9, 0.7], [0.01, 0.01])
        >>> figure.data[-1].name, figure.data[-1].y.tolist()
        ('chance', [0.5, 0.2])
    """
    figure, x = _accuracy_curves("ways", ways, means, ci95, labels)
    if x.min() < 2:
        raise InputError(f"ways are {x.tolist()}; expected 2 classes or more")
    figure.add_scatter(
        x=x,
        y=1 / x,
        mode="lines",
        name="chance",
        line=CHANCE_LINE,
        hovertemplate="chance at %{x} ways: %{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(title_text="classes in an episode (ways)")
    return apply_style(figure, title).update_layout(showlegend=True)


def _accuracy_curves(
    name: str,
    settings: ArrayLike,
    means: ArrayLike | Tensor,
    ci95: ArrayLike | Tensor,
    labels: Sequence[str] | None,
) -> tuple[Figure, NDArray[np.float64]]:
    """Curves with their intervals as bands, over settings such as shots; and the settings in ascending order."""
    x = as_finite(name, settings, "S")
    curves = len(means) if np.ndim(means) == 2 else 1  # type: ignore[arg-type]
    shape = (curves, len(x)) if np.ndim(means) == 2 else (len(x),)
    y = as_finite("means", means, *shape).reshape(curves, len(x))
    half = as_finite("ci95", ci95, *shape).reshape(curves, len(x))
    if (x <= 0).any() or len(np.unique(x)) < len(x):
        raise InputError(f"{name} are {x.tolist()}; expected different positive numbers")
    if (y < 0).any() or (y > 1).any():
        raise InputError(f"means reach from {y.min():g} to {y.max():g}; expected accuracies in [0, 1], not per cent")
    if (half < 0).any():
        raise InputError(f"ci95 holds {half.min():g}; expected half widths, 0 or more")
    names = ["accuracy"] if labels is None and curves == 1 else [str(label) for label in labels or ()]
    if len(names) != curves:
        raise InputError(f"labels holds {len(names)} names for {curves} curves; name every curve")

    order = np.argsort(x)
    x, y, half = x[order], y[:, order], half[:, order]
    figure = new_figure()
    for k, label in enumerate(names):
        color = PALETTE[k % len(PALETTE)]
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([y[k] + half[k], (y[k] - half[k])[::-1]]),
            fill="toself",
            fillcolor=color,
            opacity=0.22,
            line={"width": 0},
            mode="lines",
            name=f"{label}, 95 % interval",
            legendgroup=label,
            showlegend=False,
            hoverinfo="skip",
        )
    for k, label in enumerate(names):
        figure.add_scatter(
            x=x,
            y=y[k],
            customdata=half[k],
            mode="lines+markers",
            name=label,
            legendgroup=label,
            line={"color": PALETTE[k % len(PALETTE)], "width": 2.5},
            marker={"size": 9, "symbol": _SYMBOLS[k % len(_SYMBOLS)], "line": {"width": 1, "color": "white"}},
            hovertemplate=f"<b>{label}</b><br>%{{x}} {name}: %{{y:.4f}} ± %{{customdata:.4f}}<extra></extra>",
        )
    figure.update_xaxes(tickvals=x.tolist(), ticktext=[f"{setting:g}" for setting in x])
    figure.update_yaxes(title_text="accuracy", tickformat=".1f", range=[0, 1.02], dtick=0.2)
    return figure.update_layout(height=420, showlegend=curves > 1), x
