"""How a training went: curves over epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError, import_extra
from musicfsl.plots.style import PALETTE, TEXT_COLOR, apply_style

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_training"]


def plot_training(history: Mapping[str, ArrayLike], title: str | None = None) -> Figure:
    """Draws loss and accuracy over epochs, as `EpisodicLearner` logs them.

    Args:
        history: columns of equal length, such as a table read from the CSV log: ``epoch``, ``train/loss``,
            ``train/accuracy``, ``val/accuracy`` and (optionally) ``val/ci95``. NaN stands where a row has no value.
        title: text above the figure.

    Raises:
        InputError: a column is missing or has another length.
        MissingExtraError: plotly is not installed.

    Example:
        >>> history = {"epoch": [0, 1], "train/loss": [1.2, 0.7], "train/accuracy": [0.5, 0.8]}
        >>> [trace.name for trace in plot_training({**history, "val/accuracy": [0.6, 0.7]}).data]
        ['training loss', 'training accuracy', 'validation accuracy']
    """
    subplots = import_extra("plotly.subplots", extra="plots")
    figure: Figure = subplots.make_subplots(cols=2, subplot_titles=["loss of training episodes", "accuracy"])
    epochs = _column(history, "epoch", None)
    curves = [
        ("training loss", "train/loss", None, 1, PALETTE[0]),
        ("training accuracy", "train/accuracy", None, 2, PALETTE[0]),
        ("validation accuracy", "val/accuracy", "val/ci95", 2, PALETTE[1]),
    ]
    for name, column, interval, panel, color in curves:
        y = _column(history, column, len(epochs))
        there = np.isfinite(y)
        error: dict[str, Any] | None = None
        if interval is not None and interval in history:
            error = {"type": "data", "array": _column(history, interval, len(epochs))[there], "thickness": 1.2}
        figure.add_scatter(
            x=epochs[there] + 1,
            y=y[there],
            error_y=error,
            name=name,
            mode="lines+markers",
            line={"color": color, "width": 2.5},
            showlegend=panel == 2,
            hovertemplate=f"{name} after epoch %{{x}}: %{{y:.3f}}<extra></extra>",
            row=1,
            col=panel,
        )
    apply_style(figure, title)
    figure.update_xaxes(title_text="epoch")
    figure.update_yaxes(rangemode="tozero", col=1)
    figure.update_yaxes(range=[0, 1.02], tickformat=".1f", col=2)
    figure.update_annotations(font={"color": TEXT_COLOR, "size": 14})
    legend = {"orientation": "h", "x": 1, "xanchor": "right", "y": -0.25, "yanchor": "top"}
    return figure.update_layout(height=400, margin_t=60, legend=legend)


def _column(history: Mapping[str, ArrayLike], name: str, length: int | None) -> NDArray[np.float64]:
    if name not in history:
        raise InputError(f"the history has no column '{name}'; give the table that EpisodicLearner's training logged")
    values = np.asarray(history[name], dtype=np.float64)
    if values.ndim != 1 or (length is not None and len(values) != length):
        raise InputError(f"column '{name}' has shape {values.shape}; expected as many rows as the other columns")
    return values
