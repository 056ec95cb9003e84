"""The one visual style of all figures: colours, type, grid and background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import InputError, import_extra

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = [
    "MATPLOTLIB_STYLE",
    "PALETTE",
    "TEMPLATE",
    "apply_style",
    "class_colors",
    "colorbar",
    "family_colors",
    "new_figure",
    "whiskers",
]

#: Ten colours: six of Okabe and Ito's ("Color Universal Design", 2008; their yellow and black vanish on a
#: white or a dark page) and four more, chosen so that any two differ as much as the six do under the three
#: kinds of colour blindness.
PALETTE = (
    "#0072B2",  # blue
    "#D55E00",  # vermilion
    "#009E73",  # green
    "#CC79A7",  # pink
    "#E69F00",  # orange
    "#56B4E9",  # sky
    "#882233",  # wine
    "#9966FF",  # violet
    "#AA4433",  # rust
    "#334488",  # indigo
)

#: Grey with a contrast of at least 4 to 1 on white and on near-black pages alike.
TEXT_COLOR = "#767676"
GRID_COLOR = "rgba(128, 128, 128, 0.22)"
LINE_COLOR = "rgba(128, 128, 128, 0.55)"

#: Look of every line of guessing.
CHANCE_LINE: dict[str, Any] = {"dash": "dash", "color": TEXT_COLOR, "width": 1.5}

_FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"
_AXIS = {
    "gridcolor": GRID_COLOR,
    "linecolor": LINE_COLOR,
    "zeroline": False,
    "showline": True,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": LINE_COLOR,
    "automargin": True,
    "title": {"font": {"size": 14}, "standoff": 10},
}

#: Look of every legend; plotly's template reaches the first legend only, so a second one is given it as well.
LEGEND: dict[str, Any] = {"bgcolor": "rgba(0, 0, 0, 0)", "tracegroupgap": 0, "title": {"font": {"size": 13}}}

#: The style as a plotly template. `apply_style` gives it to one figure; plotly's global default stays as it is.
TEMPLATE: dict[str, Any] = {
    "layout": {
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "colorway": list(PALETTE),
        "font": {"family": _FONT, "size": 13, "color": TEXT_COLOR},
        "title": {"font": {"size": 17}, "x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 12}},
        "margin": {"l": 64, "r": 24, "t": 56, "b": 56},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": LEGEND,
        "hoverlabel": {"font": {"family": _FONT, "size": 13}, "align": "left"},
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": LINE_COLOR, "activecolor": TEXT_COLOR},
    }
}

#: The style for matplotlib: ``matplotlib.pyplot.style.use(MATPLOTLIB_STYLE)``. Figures are transparent, and their
#: grey text reads on light and on dark pages.
MATPLOTLIB_STYLE: dict[str, Any] = {
    "figure.facecolor": "none",
    "figure.figsize": (7.2, 3.6),
    "figure.dpi": 96,
    "savefig.facecolor": "none",
    "savefig.transparent": True,
    "axes.facecolor": "none",
    # The text of matplotlib's own cycler syntax, which spares this module the import.
    "axes.prop_cycle": "cycler('color', [" + ", ".join(f"'{color.lstrip('#')}'" for color in PALETTE) + "])",
    "axes.edgecolor": "#9B9B9B",
    "axes.labelcolor": TEXT_COLOR,
    "axes.titlecolor": TEXT_COLOR,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#808080",
    "grid.alpha": 0.22,
    "text.color": TEXT_COLOR,
    "xtick.color": TEXT_COLOR,
    "ytick.color": TEXT_COLOR,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "font.family": "sans-serif",
    "font.size": 11,
    "lines.linewidth": 2.0,
    "image.cmap": "magma",
    "svg.fonttype": "path",  # looks the same where the reader lacks the font
    "svg.hashsalt": "musicfsl",  # equal figures are equal files
}


def apply_style(figure: Figure, title: str | None = None) -> Figure:
    """Gives a plotly figure the house style and returns the same figure.

    Args:
        figure: any plotly figure; its own settings win over the style's.
        title: text above the figure; None leaves the title as it is.

    Example:
        >>> import plotly.graph_objects as go
        >>> apply_style(go.Figure(), title="Notes").layout.template.layout.font.size
        13
    """
    figure.update_layout(template=TEMPLATE)
    if title is not None:
        figure.update_layout(title_text=title)
    elif figure.layout.title.text is None:
        figure.update_layout(margin_t=24)
    return figure


def class_colors(classes: Sequence[str]) -> dict[str, str]:
    """Assigns each class a colour that does not depend on the order of the classes.

    To keep a class's colour over several figures, call this once with all classes and pass the result on.
    Beyond ten classes colours repeat, which is why the figures name each class in words as well.

    Args:
        classes: class names, each once.

    Returns:
        class name -> hexadecimal colour, in the order given.

    Raises:
        InputError: a name is given twice, or a single string is passed.

    Example:
        >>> class_colors(["oboe", "flute"])
        {'oboe': '#D55E00', 'flute': '#0072B2'}
    """
    if isinstance(classes, str):
        raise InputError(f"classes is the string '{classes}'; expected a list of class names")
    names = [str(name) for name in classes]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"class '{twice}' is given twice; name every class once")
    by_name = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(sorted(names))}
    return {name: by_name[name] for name in names}


def family_colors(families: Mapping[str, str]) -> dict[str, str]:
    """Assigns each class the colour of its family, for figures that show families rather than single classes.

    Args:
        families: class name -> family, such as a data set's ``families``.

    Returns:
        class name -> hexadecimal colour. Beyond eleven families colours repeat.

    Example:
        >>> colors = family_colors({"Violin": "bowed strings", "Oboe": "double reeds", "Cello": "bowed strings"})
        >>> colors["Violin"] == colors["Cello"] != colors["Oboe"]
        True
    """
    palette = (*PALETTE, TEXT_COLOR)
    by_family = {family: palette[i % len(palette)] for i, family in enumerate(sorted(set(families.values())))}
    return {name: by_family[family] for name, family in families.items()}


def colorbar(title: str) -> dict[str, Any]:
    """Look of every colour bar."""
    return {
        "title": {"text": title, "side": "right", "font": {"size": 13}},
        "thickness": 12,
        "outlinewidth": 0,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": LINE_COLOR,
    }


def whiskers(
    values: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], color: str
) -> dict[str, Any]:
    """Error bars from values to both ends of their intervals."""
    return {
        "type": "data",
        "symmetric": False,
        "array": (high - values).clip(min=0),
        "arrayminus": (values - low).clip(min=0),
        "thickness": 1.3,
        "width": 3,
        "color": color,
    }


def new_figure() -> Figure:
    """An empty plotly figure, or a clear error where the extra is not installed."""
    figure: Figure = import_extra("plotly.graph_objects", extra="plots").Figure()
    return figure
