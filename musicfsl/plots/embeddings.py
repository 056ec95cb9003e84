"""Embeddings in the plane: projections, and one episode with its prototypes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError, did_you_mean, import_extra
from musicfsl.plots.arrays import as_finite, as_targets
from musicfsl.plots.style import LEGEND, TEXT_COLOR, apply_style, class_colors, new_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_episode", "project"]

ProjectionMethod = Literal["pca", "tsne", "umap"]

_AXIS_NAMES = {"pca": "principal component", "tsne": "t-SNE dimension", "umap": "UMAP dimension"}
_MARKERS = {
    "support": {"symbol": "circle", "size": 10, "opacity": 0.95},
    "query": {"symbol": "x", "size": 7, "opacity": 0.8},
    "prototype": {"symbol": "star", "size": 19, "opacity": 1.0},
}


def project(embeddings: ArrayLike | Tensor, method: ProjectionMethod = "pca", seed: int = 0) -> NDArray[np.float64]:
    """Maps embeddings to the plane.

    PCA keeps the two directions of largest variance and shows distances faithfully along them. t-SNE
    (van der Maaten and Hinton, 2008) and UMAP (McInnes et al., 2018) keep neighbours together and
    distort everything else: sizes of clusters and distances between them mean little. Both start from
    PCA's answer; their neighbourhoods (perplexity 30, 15 neighbours) shrink where there are fewer points.
    Up to three points always lie in a plane, so PCA's exact answer is returned for every method.

    Args:
        embeddings: ``(N, D)`` with N and D at least 1.
        method: ``"pca"``, ``"tsne"`` or ``"umap"``.
        seed: of t-SNE's and UMAP's own random state; PCA needs none.

    Returns:
        float64 array ``(N, 2)``.

    Raises:
        InputError: ``embeddings`` is not such an array or holds NaN, or the method is unknown.
        MissingExtraError: umap-learn is not installed.

    Example:
        >>> project([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 2.0, 0.0], [4.0, 2.0, 0.0]]).round().tolist()
        [[-2.0, -1.0], [2.0, -1.0], [-2.0, 1.0], [2.0, 1.0]]
    """
    if method not in _AXIS_NAMES:
        raise InputError(
            f"method is '{method}'; expected one of {', '.join(_AXIS_NAMES)}.{did_you_mean(str(method), _AXIS_NAMES)}"
        )
    z = as_finite("embeddings", embeddings, "N", "D")
    plane = _pca(z)
    if method == "pca" or len(z) <= 3:
        return plane
    # Both optimisers expect a start of a known size, in which no two points coincide.
    start = plane / (plane[:, 0].std() or 1.0) + np.random.default_rng(seed).normal(scale=1e-3, size=plane.shape)
    return _tsne(z, start, seed) if method == "tsne" else _umap(z, start, seed)


def plot_episode(
    support_z: ArrayLike | Tensor,
    support_targets: ArrayLike | Tensor,
    query_z: ArrayLike | Tensor,
    query_targets: ArrayLike | Tensor,
    classes: Sequence[str],
    prototypes: ArrayLike | Tensor | None = None,
    *,
    method: ProjectionMethod = "pca",
    seed: int = 0,
    colors: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws one episode's embeddings: a colour a class; dots are support, crosses query, stars prototypes.

    Support, query and prototypes are projected together. Thin lines lead from each support point to its
    class's prototype. A click on a class in the legend hides it.

    Args:
        support_z: ``(S, D)``.
        support_targets: ``(S,)`` class numbers, which index ``classes``.
        query_z: ``(Q, D)``.
        query_targets: ``(Q,)``.
        classes: class names, in the order of the class numbers.
        prototypes: ``(len(classes), D)``, in the same order; None draws none.
        method: how to project, see `project`.
        seed: see `project`.
        colors: class name -> colour; None asks `class_colors`.
        title: text above the figure.

    Raises:
        InputError: shapes or lengths do not agree, a class number has no class, or a value is NaN.
        MissingExtraError: plotly or umap-learn is not installed.

    Example:
        >>> figure = plot_episode([[0.0, 0.0], [1.0, 1.0]], [0, 1], [[0.1, 0.0]], [0], ["flute", "oboe"])
        >>> [trace.name for trace in figure.data if trace.x[0] is not None]
        ['flute', 'oboe', 'flute']
    """
    palette = dict(class_colors(classes) if colors is None else colors)
    names = [str(name) for name in classes]
    for name in names:
        if name not in palette:
            raise InputError(f"colors has no entry for class '{name}'; give every class a colour")
    support = as_finite("support_z", support_z, "S", "D")
    dim = support.shape[1]
    points = {"support": support, "query": as_finite("query_z", query_z, "Q", dim)}
    targets = {
        "support": as_targets("support_targets", support_targets, len(points["support"]), len(names)),
        "query": as_targets("query_targets", query_targets, len(points["query"]), len(names)),
    }
    if prototypes is not None:
        points["prototype"] = as_finite("prototypes", prototypes, len(names), dim)
        targets["prototype"] = np.arange(len(names))
    together = project(np.concatenate(list(points.values())), method=method, seed=seed)
    bounds = np.cumsum([len(p) for p in points.values()])[:-1]
    plane = dict(zip(points, np.split(together, bounds), strict=True))

    figure = new_figure()
    if "prototype" in plane:
        _add_spokes(figure, plane, targets["support"], names, palette)
    for kind, xy in plane.items():
        for c, name in enumerate(names):
            chosen = np.flatnonzero(targets[kind] == c)
            if len(chosen):
                _add_points(figure, kind, name, palette[name], xy[chosen], chosen)
    _add_legends(
        figure,
        list(plane),
        [n for c, n in enumerate(names) if (targets["support"] == c).any() or (targets["query"] == c).any()],
        palette,
    )
    return apply_style(name_axes(figure, method), title).update_layout(height=520)


def name_axes(figure: Figure, method: ProjectionMethod) -> Figure:
    """Names a plane's axes after the projection, and makes equal distances look equal; returns the same figure."""
    for axis, number in (("xaxis", 1), ("yaxis", 2)):
        figure.update_layout({axis: {"title": {"text": f"{_AXIS_NAMES[method]} {number}"}, "nticks": 7}})
        if method != "pca":  # their units mean nothing
            figure.update_layout({axis: {"showticklabels": False, "ticks": ""}})
    figure.update_yaxes(scaleanchor="x", scaleratio=1)  # equal distances look equal
    return figure


def _pca(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """The two leading principal components, zeros where there are fewer."""
    centered = z - z.mean(axis=0)
    _, _, components = np.linalg.svd(centered, full_matrices=False)
    components = components[:2]
    # A component's sign is arbitrary; its largest entry is made positive, so that equal input gives an equal picture.
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(len(components)), largest])[:, None]
    plane = np.zeros((len(z), 2))
    plane[:, : len(components)] = centered @ components.T
    return plane


def _tsne(z: NDArray[np.float64], start: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(z) - 1) / 3)  # three times as many neighbours enter, and a point has N - 1
    model = TSNE(n_components=2, perplexity=perplexity, init=(1e-4 * start).astype(np.float32), random_state=seed)
    plane: NDArray[np.float64] = model.fit_transform(z).astype(np.float64)
    return plane


def _umap(z: NDArray[np.float64], start: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        umap = import_extra("umap", extra="plots")
    model = umap.UMAP(n_components=2, n_neighbors=min(15, len(z) - 1), init=start, random_state=seed, n_jobs=1)
    plane: NDArray[np.float64] = model.fit_transform(z).astype(np.float64)
    return plane


def _add_points(
    figure: Figure, kind: str, name: str, color: str, xy: NDArray[np.float64], numbers: NDArray[np.int64]
) -> None:
    labelled = kind == "prototype"
    figure.add_scatter(
        x=xy[:, 0],
        y=xy[:, 1],
        customdata=numbers,
        name=name,
        mode="markers+text" if labelled else "markers",
        text=[name] * len(xy) if labelled else None,
        textposition="top center",
        textfont={"color": color, "size": 13, "weight": 600},
        cliponaxis=False,
        marker={**_MARKERS[kind], "color": color, "line": {"width": 1.2 if kind != "query" else 0, "color": "white"}},
        hovertemplate=f"<b>{name}</b><br>{kind}" + ("" if labelled else " %{customdata}") + "<extra></extra>",
        legendgroup=name,
        showlegend=False,
    )


def _add_spokes(
    figure: Figure,
    plane: Mapping[str, NDArray[np.float64]],
    support_targets: NDArray[np.int64],
    names: Sequence[str],
    palette: Mapping[str, str],
) -> None:
    """Lines from support points to their prototypes, under everything else; None breaks a line."""
    for c, name in enumerate(names):
        ends = [[*xy, None] for xy in plane["support"][support_targets == c].tolist()]
        x: list[float | None] = []
        y: list[float | None] = []
        hub = plane["prototype"][c]
        for end in ends:
            x += [end[0], hub[0], None]
            y += [end[1], hub[1], None]
        if ends:
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines",
                line={"color": palette[name], "width": 1},
                opacity=0.5,
                name=name,
                legendgroup=name,
                showlegend=False,
                hoverinfo="skip",
            )


def _add_legends(figure: Figure, kinds: Sequence[str], names: Sequence[str], palette: Mapping[str, str]) -> None:
    """Two legends of empty traces: one explains the colours, one the markers."""
    for name in names:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=name,
            legendgroup=name,
            marker={"symbol": "square", "size": 11, "color": palette[name]},
        )
    for kind in kinds:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=kind,
            legend="legend2",
            marker={**_MARKERS[kind], "size": 11, "color": TEXT_COLOR},
        )
    figure.update_layout(
        legend={"title_text": "class", "y": 1, "yanchor": "top"},
        legend2={**LEGEND, "y": 0, "yanchor": "bottom", "itemclick": False, "itemdoubleclick": False},
        legend2_title_text="point",
    )
