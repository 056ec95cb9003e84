"""Whether probabilities of several labels are of use: precision against recall, and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.plots.arrays import as_finite, as_shares, as_thresholds
from musicfsl.plots.style import CHANCE_LINE, PALETTE, TEXT_COLOR, apply_style, class_colors, new_figure, whiskers

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_calibration", "plot_precision_recall"]

# More points of a curve than this show nothing more.
_MAX_POINTS = 300


def plot_precision_recall(
    probabilities: ArrayLike | Tensor,
    targets: ArrayLike | Tensor,
    names: Sequence[str],
    thresholds: ArrayLike | Tensor | None = None,
    shown: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws precision against recall while the threshold falls, for all cells together and for each class.

    Hovering tells the threshold and F1 of every point; a click in the legend brings or hides a curve. A class without
    a positive has none.

    Args:
        probabilities: ``(N, C)``, 0 to 1.
        targets: ``(N, C)`` of 0 and 1.
        names: C class names.
        thresholds: ``(C,)`` or one number; where each curve's threshold lies is marked. The curve of all cells is
            marked only where one threshold serves all classes.
        shown: names of the classes to show at first; None shows all where there are five or fewer, else none.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, or a number is NaN or out of its range.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_precision_recall([[0.9], [0.6], [0.2]], [[1], [0], [1]], ["Cello"], thresholds=0.5)
        >>> figure.data[-1].name, figure.data[-1].x.tolist(), figure.data[-1].y.round(2).tolist()
        ('Cello', [0.5, 0.5, 1.0], [1.0, 0.5, 0.67])
    """
    colors = class_colors(names)
    scores = as_shares("probabilities", probabilities, "N", len(colors))
    truth = as_finite("targets", targets, len(scores), len(colors))
    if not np.isin(truth, (0, 1)).all():
        raise InputError("targets hold other values than 0 and 1; expected 1 where a class is there, else 0")
    for name in shown or ():
        if name not in colors:
            raise InputError(
                f"'{name}' is to be shown, but is not among the classes; expected one of {', '.join(colors)}"
            )
    first = set(colors if shown is None and len(colors) <= 5 else shown or ())
    marks = None if thresholds is None else as_thresholds(thresholds, len(colors))
    figure = new_figure()
    if len(colors) > 1:
        one = marks[0] if marks is not None and (marks == marks[0]).all() else None
        _add_curve(figure, "all classes", scores.ravel(), truth.ravel(), one, {"color": TEXT_COLOR, "width": 3}, True)
    for c, (name, color) in enumerate(colors.items()):
        line = {"color": color, "width": 2, "dash": ("solid", "dash", "dot")[c // len(PALETTE) % 3]}
        mark = None if marks is None else marks[c]
        _add_curve(figure, name, scores[:, c], truth[:, c], mark, line, name in first)
    axis = {"range": [-0.02, 1.03], "dtick": 0.2, "tickformat": ".1f"}
    figure.update_xaxes(axis, title_text="recall")
    figure.update_yaxes(axis, title_text="precision")
    return apply_style(figure, title).update_layout(height=460, showlegend=True)


def plot_calibration(curves: Mapping[str, Sequence[ArrayLike]], title: str | None = None) -> Figure:
    """Draws how often a label is there against the probability it was given; honest probabilities lie on the diagonal.

    Args:
        curves: name -> a curve of `musicfsl.multilabel.calibration_curve`: probability, frequency, its lower and upper
            end, and number of cells, each ``(K,)``.
        title: text above the figure.

    Raises:
        InputError: there is no curve, shapes do not agree, or a number is NaN or out of its range.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_calibration({"tagger": ([0.1, 0.8], [0.05, 0.6], [0.0, 0.5], [0.1, 0.7], [900, 100])})
        >>> [trace.name for trace in figure.data]
        ['honest', 'tagger']
    """
    if not curves:
        raise InputError("there are no curves; expected one or more")
    figure = new_figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="honest", line=CHANCE_LINE, hoverinfo="skip")
    for k, (name, curve) in enumerate(curves.items()):
        if len(curve) != 5:
            raise InputError(f"the curve of {name} has {len(curve)} parts; expected the five of calibration_curve")
        x = as_shares(f"probabilities of {name}", curve[0], "K")
        y, low, high = (as_shares(f"frequencies of {name}", part, len(x)) for part in curve[1:4])
        counts = as_finite(f"counts of {name}", curve[4], len(x))
        color = PALETTE[k % len(PALETTE)]
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            name=name,
            line={"color": color, "width": 2.5},
            marker={"size": 8},
            error_y=whiskers(y, low, high, color),
            customdata=np.stack([low, high, counts], axis=1),
            hovertemplate=(
                f"<b>{name}</b><br>probability %{{x:.3f}}, there %{{y:.3f}} [%{{customdata[0]:.3f}}, "
                "%{customdata[1]:.3f}]<br>%{customdata[2]:d} cells<extra></extra>"
            ),
        )
    axis = {"range": [-0.02, 1.02], "dtick": 0.2, "tickformat": ".1f"}
    figure.update_xaxes(axis, title_text="probability")
    figure.update_yaxes(axis, title_text="share that is there")
    return apply_style(figure, title).update_layout(height=440, showlegend=True)


def _add_curve(
    figure: Figure,
    name: str,
    scores: NDArray[np.float64],
    truth: NDArray[np.float64],
    threshold: float | None,
    line: dict[str, Any],
    shown: bool,
) -> None:
    """A curve of precision against recall, and where it stands at the threshold."""
    if not truth.any():
        return
    falling, level = np.unique(-scores, return_inverse=True)  # equal scores are one point
    ends, hits = np.cumsum(np.bincount(level)), np.cumsum(np.bincount(level, truth))
    recall, precision = hits / truth.sum(), hits / ends
    f1 = 2 * hits / (ends + truth.sum())
    kept = np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _MAX_POINTS)).round().astype(int))
    look = {"legendgroup": name, "visible": True if shown else "legendonly"}
    if threshold is not None and (said := int((scores >= threshold).sum())):
        found = truth[scores >= threshold].sum()
        figure.add_scatter(
            x=[found / truth.sum()],
            y=[found / said],
            mode="markers",
            name=f"{name} at the threshold",
            marker={"size": 11, "color": line["color"], "line": {"width": 1.5, "color": "white"}},
            hovertemplate=(
                f"<b>{name}</b>, threshold {threshold:.2f}<br>recall %{{x:.3f}}, precision %{{y:.3f}}<extra></extra>"
            ),
            showlegend=False,
            **look,
        )
    figure.add_scatter(
        x=recall[kept],
        y=precision[kept],
        mode="lines",
        name=name,
        line=line,
        customdata=np.stack([-falling[kept], f1[kept]], axis=1),
        hovertemplate=(
            f"<b>{name}</b>, threshold %{{customdata[0]:.3f}}<br>recall %{{x:.3f}}, precision %{{y:.3f}}, "
            "F1 %{customdata[1]:.3f}<extra></extra>"
        ),
        **look,
    )
