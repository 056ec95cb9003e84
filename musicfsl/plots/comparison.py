"""Accuracies side by side: methods, classes or settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.plots.arrays import as_finite
from musicfsl.plots.style import CHANCE_LINE, PALETTE, TEXT_COLOR, apply_style, new_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_comparison"]

# What a letter takes of the axis from 0 to 1 in a figure as wide as a page's column.
_WIDTH_OF_A_LETTER = 0.014


def plot_comparison(
    names: Sequence[str],
    means: ArrayLike | Tensor,
    ci95: ArrayLike | Tensor | None = None,
    chance: float | None = None,
    colors: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws accuracies side by side, one bar a method, a class or a setting, the first on top.

    Args:
        names: B names.
        means: ``(B,)`` accuracies in [0, 1].
        ci95: ``(B,)`` half widths of their 95 % intervals, or ``(B, 2)`` their lower and upper ends; None draws none.
        chance: accuracy of guessing, drawn as a dashed line.
        colors: B colours; None gives all the first of the palette.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, or a number is NaN or out of its range.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_comparison(["MFCC", "network"], [0.54, 0.78], [0.01, 0.01], chance=0.2)
        >>> figure.data[0].x.tolist()
        [0.54, 0.78]
    """
    if isinstance(names, str):
        raise InputError(f"names is the string '{names}'; expected a list of names")
    x = as_finite("means", means, len(names))
    whiskers, words = (None, [""] * len(x)) if ci95 is None else _intervals(x, ci95)
    if (x < 0).any() or (x > 1).any():
        raise InputError(f"means reach from {x.min():g} to {x.max():g}; expected accuracies in [0, 1], not per cent")
    if colors is not None and len(colors) != len(x):
        raise InputError(f"colors holds {len(colors)} colours for {len(x)} bars; give one a bar")
    texts = [f"{value:.3f}{interval}" for value, interval in zip(x, words, strict=True)]
    fits = np.array([value >= _WIDTH_OF_A_LETTER * len(text) for value, text in zip(x, texts, strict=True)])
    labels = [str(name) for name in names]
    figure = new_figure().add_bar(
        x=x,
        y=labels,
        orientation="h",
        marker={"color": PALETTE[0] if colors is None else list(colors)},
        error_x=whiskers,
        customdata=words,
        text=texts,
        textposition=["inside" if fit else "none" for fit in fits],
        insidetextanchor="start",
        textfont={"color": "white"},
        showlegend=False,
        hovertemplate="<b>%{y}</b>: %{x:.4f}%{customdata}<extra></extra>",
    )
    if not fits.all():
        ends = x + (0 if whiskers is None else whiskers["array"])
        figure.add_scatter(  # beside short bars
            x=ends[~fits],
            y=[label for label, fit in zip(labels, fits, strict=True) if not fit],
            mode="text",
            text=[f"  {text}" for text, fit in zip(texts, fits, strict=True) if not fit],
            textposition="middle right",
            hoverinfo="skip",
            showlegend=False,
        )
    if chance is not None:
        figure.add_vline(
            x=chance,
            line=CHANCE_LINE,
            annotation={"text": f"chance {chance:.2g}", "yanchor": "bottom", "font": {"color": TEXT_COLOR}},
        )
    figure.update_xaxes(title_text="accuracy", range=[0, 1.02], tickformat=".1f", dtick=0.2)
    figure.update_yaxes(type="category", autorange="reversed", showline=False, ticks="")
    return apply_style(figure, title).update_layout(height=130 + 30 * len(x), bargap=0.25)


def _intervals(x: NDArray[np.float64], ci95: ArrayLike | Tensor) -> tuple[dict[str, Any], list[str]]:
    """Error bars of B bars, and each interval in words; from half widths ``(B,)`` or ends ``(B, 2)``."""
    look = {"type": "data", "color": TEXT_COLOR, "thickness": 1.5}
    if np.ndim(ci95) < 2:
        half = as_finite("ci95", ci95, len(x))
        return {**look, "array": half}, [f" ± {h:.3f}" for h in half]
    low, high = as_finite("ci95", ci95, len(x), 2).T
    if (low > high).any():
        raise InputError("ci95 has a lower end above the upper one; expected rows of (lower, upper)")
    whiskers = {**look, "array": (high - x).clip(min=0), "arrayminus": (x - low).clip(min=0), "symmetric": False}
    return whiskers, [f" [{a:.3f}, {b:.3f}]" for a, b in zip(low, high, strict=True)]
