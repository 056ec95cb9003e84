"""Zero-shot learning in pictures: clips and class vectors in one plane, and the seen-unseen curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.plots.arrays import as_finite, as_targets
from musicfsl.plots.embeddings import ProjectionMethod, name_axes, project
from musicfsl.plots.style import CHANCE_LINE, LEGEND, PALETTE, TEXT_COLOR, apply_style, class_colors, new_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_joint_space", "plot_seen_unseen"]

_GREY = "#9B9B9B"
_MARKERS: dict[tuple[str, bool], dict[str, Any]] = {  # kind and whether its class is unseen
    ("clip", False): {"symbol": "circle", "size": 5, "opacity": 0.35},
    ("clip", True): {"symbol": "circle", "size": 7, "opacity": 0.7},
    ("class vector", False): {"symbol": "diamond", "size": 10, "opacity": 0.9},
    ("class vector", True): {"symbol": "star", "size": 18, "opacity": 1.0},
}


def plot_joint_space(
    clip_vectors: ArrayLike | Tensor,
    targets: ArrayLike | Tensor,
    class_vectors: ArrayLike | Tensor,
    classes: Sequence[str],
    unseen: Sequence[str],
    *,
    method: ProjectionMethod = "pca",
    seed: int = 0,
    colors: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws clips and class vectors in one plane: unseen classes in colour, seen ones in grey.

    Dots are clips; a star is the vector of an unseen class, a diamond that of a seen one. All are projected together.
    Hovering names the class; a click on a class in the legend hides it.

    Args:
        clip_vectors: ``(N, D)``, as `musicfsl.zeroshot.ZeroShotModel.embed_audio` gives them; N may be 0.
        targets: ``(N,)`` class numbers, which index ``classes``.
        class_vectors: ``(C, D)``, as ``embed_classes`` gives them.
        classes: C class names.
        unseen: those of them that are unseen.
        method: how to project, see `project`.
        seed: see `project`.
        colors: class name -> colour; classes without an entry have the usual one.
        title: text above the figure.

    Raises:
        InputError: shapes or lengths do not agree, an unseen class is not among the classes, or a value is NaN.
        MissingExtraError: plotly or umap-learn is not installed.

    Example:
        >>> figure = plot_joint_space([[0.0, 1.0]], [1], [[1.0, 0.0], [0.0, 1.0]], ["oboe", "oud"], unseen=["oud"])
        >>> [(trace.name, trace.marker.symbol) for trace in figure.data if trace.x[0] is not None]
        [('oud', 'circle'), ('oboe', 'diamond'), ('oud', 'star')]
    """
    names = list(class_colors(classes))
    for name in unseen:
        if name not in names:
            raise InputError(f"the unseen class '{name}' is not among the classes; expected some of {', '.join(names)}")
    vectors = as_finite("class_vectors", class_vectors, len(names), "D")
    if np.shape(clip_vectors)[:1] == (0,):
        clips, of_clips = np.empty((0, vectors.shape[1])), np.empty(0, dtype=np.int64)
    else:
        clips = as_finite("clip_vectors", clip_vectors, "N", vectors.shape[1])
        of_clips = as_targets("targets", targets, len(clips), len(names))
    usual = dict.fromkeys(names, _GREY) | class_colors(list(unseen))
    palette = usual | dict(colors or {})

    plane = project(np.concatenate([clips, vectors]), method=method, seed=seed)
    points = {"clip": (plane[: len(clips)], of_clips), "class vector": (plane[len(clips) :], np.arange(len(names)))}
    figure = new_figure()
    for kind, is_unseen in _MARKERS:  # the last ones lie on top
        xy, numbers = points[kind]
        for c, name in enumerate(names):
            chosen = np.flatnonzero(numbers == c)
            if (name in unseen) == is_unseen and len(chosen):
                _add_points(figure, kind, is_unseen, name, palette[name], xy[chosen], chosen)
    _add_legends(figure, [name for name in names if name in unseen], len(unseen) < len(names), palette, len(clips) > 0)
    return apply_style(name_axes(figure, method), title).update_layout(height=560)


def plot_seen_unseen(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    points: Mapping[str, tuple[float, float]] | None = None,
    chance: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws seen-unseen curves: what is lost on seen classes for what is won on unseen ones by calibration.

    Args:
        curves: name -> accuracies on clips of seen classes (K,) and of unseen classes (K,) among all classes, point by
            point, such as ``curve.seen`` and ``curve.unseen`` of a `musicfsl.zeroshot.SeenUnseenCurve`.
        points: name of a curve -> the pair of accuracies to mark on it, such as those with a calibration that was
            chosen beforehand.
        chance: accuracy of guessing among the seen classes only, and among the unseen classes only; the line between
            is what guessing reaches.
        title: text above the figure.

    Raises:
        InputError: shapes do not agree, there is no curve, a number is NaN or out of its range, or a point has no
            curve.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_seen_unseen({"attributes": ([0.8, 0.5, 0.0], [0.0, 0.3, 0.4])}, chance=(0.1, 0.2))
        >>> [trace.name for trace in figure.data]
        ['chance', 'attributes']
    """
    if not curves:
        raise InputError("there are no curves; expected one or more")
    for name in points or {}:
        if name not in curves:
            raise InputError(f"there is a point for '{name}', but no such curve; expected one of {', '.join(curves)}")
    figure = new_figure()
    if chance is not None:
        seen, unseen = _accuracies("chance", chance, 2)
        figure.add_scatter(
            x=[seen, 0],
            y=[0, unseen],
            mode="lines",
            name="chance",
            line=CHANCE_LINE,
            hoverinfo="skip",
        )
    for k, (name, (seen_values, unseen_values)) in enumerate(curves.items()):
        seen_accuracies = _accuracies(f"seen accuracies of {name}", seen_values, "K")
        unseen_accuracies = _accuracies(f"unseen accuracies of {name}", unseen_values, len(seen_accuracies))
        color = PALETTE[k % len(PALETTE)]
        figure.add_scatter(
            x=seen_accuracies,
            y=unseen_accuracies,
            mode="lines",
            name=name,
            legendgroup=name,
            line={"color": color, "width": 2.5},
            hovertemplate=f"<b>{name}</b><br>seen %{{x:.3f}}, unseen %{{y:.3f}}<extra></extra>",
        )
        if points is not None and name in points:
            x, y = _accuracies(f"the point of {name}", points[name], 2)
            figure.add_scatter(
                x=[x],
                y=[y],
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=False,
                marker={"symbol": "circle", "size": 11, "color": color, "line": {"width": 1.5, "color": "white"}},
                hovertemplate=f"<b>{name}</b>, calibrated<br>seen %{{x:.3f}}, unseen %{{y:.3f}}<extra></extra>",
            )
    axis = {"rangemode": "tozero", "tickformat": ".2~f", "nticks": 7}
    figure.update_xaxes(axis, title_text="accuracy on seen classes")
    figure.update_yaxes(axis, title_text="accuracy on unseen classes")
    return apply_style(figure, title).update_layout(height=440, showlegend=True)


def _accuracies(name: str, values: ArrayLike, length: int | str) -> NDArray[np.float64]:
    array = as_finite(name, values, length)
    if (array < 0).any() or (array > 1).any():
        raise InputError(f"{name} reach from {array.min():g} to {array.max():g}; expected accuracies in [0, 1]")
    return array


def _add_points(
    figure: Figure,
    kind: str,
    is_unseen: bool,
    name: str,
    color: str,
    xy: NDArray[np.float64],
    numbers: NDArray[np.int64],
) -> None:
    labelled = kind == "class vector" and is_unseen
    side = "unseen" if is_unseen else "seen"
    figure.add_scatter(
        x=xy[:, 0].round(4),
        y=xy[:, 1].round(4),
        customdata=numbers,
        name=name,
        mode="markers+text" if labelled else "markers",
        text=[name] if labelled else None,
        textposition="top center",
        textfont={"color": color, "size": 13, "weight": 600},
        cliponaxis=False,
        marker={
            **_MARKERS[kind, is_unseen],
            "color": color,
            "line": {"width": 1.2 if kind == "class vector" else 0, "color": "white"},
        },
        hovertemplate=f"<b>{name}</b> ({side})<br>{kind}"
        + (" %{customdata}" if kind == "clip" else "")
        + "<extra></extra>",
        legendgroup=name if is_unseen else "seen",
        showlegend=False,
    )


def _add_legends(
    figure: Figure, unseen: Sequence[str], has_seen: bool, palette: Mapping[str, str], has_clips: bool
) -> None:
    """Two legends of empty traces: one explains the colours, one the markers."""
    entries = [(name, name, palette[name]) for name in unseen]
    entries += [("all seen classes", "seen", _GREY)] if has_seen else []
    for label, group, color in entries:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=label,
            legendgroup=group,
            marker={"symbol": "square", "size": 11, "color": color},
        )
    shown = [("clip", True, "clip")] if has_clips else []
    shown += [("class vector", True, "vector of an unseen class")] if unseen else []
    shown += [("class vector", False, "vector of a seen class")] if has_seen else []
    for kind, is_unseen, label in shown:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=label,
            legend="legend2",
            marker={**_MARKERS[kind, is_unseen], "size": 11, "color": TEXT_COLOR},
        )
    figure.update_layout(
        legend={"title_text": "unseen class" if unseen else "class", "y": 1, "yanchor": "top"},
        legend2={**LEGEND, "y": 0, "yanchor": "bottom", "itemclick": False, "itemdoubleclick": False},
        legend2_title_text="point",
    )
