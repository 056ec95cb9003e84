"""What else was sounding where a class was wrongly answered, or missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.plots.arrays import as_finite, as_shares
from musicfsl.plots.style import apply_style, class_colors, new_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_cooccurrence"]

# Opaque from the palest step on, as in a confusion matrix: dark and white numbers can be read on them.
_BLUES = [[0.0, "#F3F7FB"], [0.25, "#CFE3F0"], [0.5, "#A3CBE5"], [0.65, "#82B8DB"], [0.7, "#2F7FB5"], [1.0, "#00507D"]]
_CATEGORY: dict[str, Any] = {"type": "category", "showgrid": False, "showline": False, "tickcolor": "rgba(0, 0, 0, 0)"}


def plot_cooccurrence(
    counts: ArrayLike | Tensor,
    totals: ArrayLike | Tensor,
    names: Sequence[str],
    usual: ArrayLike | None = None,
    kind: str = "wrongly answered",
    title: str | None = None,
) -> Figure:
    """Draws which classes were there when another was wrongly answered, or missed.

    A row is a class that was mistaken, a column a class that was there; numbers and colours are shares of the row's
    mistakes. Rows do not sum to 1, and a row without mistakes stays empty.

    Args:
        counts: ``(C, C)``, such as ``false_positives`` of `musicfsl.multilabel.cooccurrence_confusion`.
        totals: ``(C,)``, the mistakes of each row, such as ``n_false_positives``.
        names: C class names.
        usual: ``(C, C)``, how often the column is there without a mistake to look at, such as
            ``usual_beside_false_positives``: told when hovering. NaN is left out.
        kind: what the mistake of the rows is.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, or a count is negative or above its row's total.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_cooccurrence([[0, 3], [0, 0]], [4, 0], ["Cello", "Violin"])
        >>> figure.data[0].z[0].tolist()
        [0.0, 0.75]
    """
    classes = list(class_colors(names))
    n = len(classes)
    found, mistakes = as_finite("counts", counts, n, n), as_finite("totals", totals, n)
    if (found < 0).any() or (found > mistakes[:, None]).any():
        raise InputError("counts hold a number below 0 or above the total of its row; expected shares of the mistakes")
    wide = np.broadcast_to(mistakes[:, None], found.shape)
    shares = np.divide(found, wide, out=np.full_like(found, np.nan), where=wide > 0)
    expected = np.full((n, n), np.nan) if usual is None else as_shares("usual", usual, n, n, gaps=True)
    words = [["" if np.isnan(share) else f"<br>usually {share:.1%}" for share in row] for row in expected]
    has_text = n <= 16
    figure = new_figure()
    figure.add_heatmap(
        z=shares,
        x=classes,
        y=[f"{name} ({total:.0f})" for name, total in zip(classes, mistakes, strict=True)],
        customdata=np.stack([found.astype(object), wide.astype(object), np.array(words, dtype=object)], axis=-1),
        zmin=0,
        zmax=1,
        xgap=2 if has_text else 1,
        ygap=2 if has_text else 1,
        colorscale=_BLUES,
        texttemplate="%{z:.2f}" if has_text else None,
        textfont={"size": 13 if n <= 8 else 11},
        hoverongaps=False,
        hovertemplate=(
            f"<b>%{{y}}</b> {kind}<br><b>%{{x}}</b> was there in %{{customdata[0]:d}} of %{{customdata[1]:d}} "
            "(%{z:.1%})%{customdata[2]}<extra></extra>"
        ),
        showscale=not has_text,
    )
    figure.update_xaxes(_CATEGORY, title_text="was there", tickangle=0 if n <= 6 else -45, constrain="domain")
    figure.update_yaxes(
        _CATEGORY, title_text=f"{kind} (times)", autorange="reversed", scaleanchor="x", constrain="domain"
    )
    side = int(np.clip(60 * n, 320, 720))
    return apply_style(figure, title).update_layout(height=side + 130, width=side + 220)
