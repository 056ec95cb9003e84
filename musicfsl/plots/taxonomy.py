"""A taxonomy as a tree, its classes coloured by the parts of a partition or by their families."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from musicfsl.errors import InputError
from musicfsl.plots.style import LINE_COLOR, PALETTE, TEXT_COLOR, apply_style, new_figure
from musicfsl.taxonomy import Taxonomy

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_taxonomy"]

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")

# Pixels: between classes, of a letter in the names of nodes and of classes, from a branching to the next nodes, around
# names, and around the tree.
_ROW, _LETTER, _LETTER_OF_CLASS, _TWIG, _GAP, _MARGIN = 18, 5.6, 6.8, 12, 8, 12


class _Place(NamedTuple):
    """Where a node is drawn: pixels from the left, rows from the top."""

    x: float
    y: float


def plot_taxonomy(
    taxonomy: Taxonomy,
    groups: Mapping[str, str] | None = None,
    counts: Mapping[str, int] | None = None,
    *,
    colors: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws a tree from its root at the left to its classes at the right.

    Hovering a node tells how many of its classes are in which group. The figure is as high as it has classes.

    Args:
        taxonomy: the tree.
        groups: class -> group, such as `musicfsl.partition.Partition.part_of`; only these classes are drawn, with the
            colour and the symbol of their group. None draws all, coloured by the topmost nodes.
        counts: class -> number of its clips, written beside it; 0 for classes without an entry.
        colors: group -> colour; None takes those of the palette in the order of the groups.
        title: text above the figure.

    Raises:
        InputError: a class is not in the taxonomy, or a group has no colour.
        MissingExtraError: plotly is not installed.

    Example:
        >>> tree = Taxonomy({"strings": ["Violin", "Harp"], "Voice": None})
        >>> figure = plot_taxonomy(tree, {"Violin": "train", "Harp": "test", "Voice": "train"})
        >>> [trace.name for trace in figure.data if trace.showlegend]
        ['train', 'test']
    """
    tree = taxonomy if groups is None else taxonomy.prune(list(groups))
    group_of = _topmost(tree) if groups is None else dict(groups)
    names = list(dict.fromkeys(group_of.values()))
    color_of = dict(zip(names, PALETTE * len(names), strict=False)) if colors is None else dict(colors)
    missing = [name for name in names if name not in color_of]
    if missing:
        raise InputError(f"colors has none for the group '{missing[0]}'; give every group one")
    places, width = _layout(tree)
    figure = new_figure()
    _add_branches(figure, tree, places)
    inner = [node for node in tree.nodes[1:] if node not in group_of]
    figure.add_scatter(
        x=[places[node].x for node in inner],
        y=[places[node].y for node in inner],
        mode="markers+text",
        marker={"color": LINE_COLOR, "size": 5},
        text=[_label(node) for node in inner],
        textposition="top right",
        textfont={"size": 11, "color": TEXT_COLOR},
        customdata=[_members(tree, node, {} if groups is None else group_of) for node in inner],
        hovertemplate="<b>%{text}</b><br>%{customdata}<extra></extra>",
        showlegend=False,
    )
    for number, name in enumerate(names):
        members = [leaf for leaf in tree.classes if group_of[leaf] == name]
        figure.add_scatter(
            x=[places[leaf].x for leaf in members],
            y=[places[leaf].y for leaf in members],
            mode="markers+text",
            name=name,
            marker={"color": color_of[name], "size": 9, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
            text=[f" {leaf}" for leaf in members],
            textposition="middle right",
            textfont={"size": 12, "color": TEXT_COLOR},
            customdata=["" if counts is None else f"<br>{counts.get(leaf, 0)} clips" for leaf in members],
            hovertemplate=f"<b>%{{text}}</b><br>{name}%{{customdata}}<extra></extra>",
            showlegend=groups is not None,
        )
    if counts is not None:
        numbers = [f"{counts.get(leaf, 0):,}" for leaf in tree.classes]
        width += _GAP + _LETTER_OF_CLASS * max(map(len, numbers))
        figure.add_scatter(
            x=[width] * len(numbers),
            y=[places[leaf].y for leaf in tree.classes],
            mode="text",
            text=numbers,
            textposition="middle left",
            textfont={"size": 11, "color": TEXT_COLOR},
            hoverinfo="skip",
            showlegend=False,
        )
    rows = len(tree.classes)
    figure.update_xaxes(visible=False, range=[-_GAP, width + _GAP])
    figure.update_yaxes(visible=False, range=[rows - 0.3, -1])
    above = 16 + (34 if title else 0) + (28 if groups is not None else 0)
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"})
    return apply_style(figure, title).update_layout(
        width=width + 2 * (_GAP + _MARGIN),
        height=_ROW * (rows + 0.7) + above + _MARGIN,
        margin={"l": _MARGIN, "r": _MARGIN, "t": above, "b": _MARGIN},
    )


def _layout(tree: Taxonomy) -> tuple[dict[str, _Place], float]:
    """The place of every node, and how many pixels the tree and the names of its classes are wide."""
    classes, inner = set(tree.classes), [node for node in tree.nodes[1:] if tree.children(node)]
    columns, x = [0.0], 0.0  # by depth
    for depth in range(1, tree.depth):
        x += _TWIG
        columns.append(x)
        x += 2 * _GAP + _LETTER * max(len(_label(node)) for node in inner if len(tree.ancestors(node)) == depth - 1)
    x += _TWIG
    rows = {leaf: float(row) for row, leaf in enumerate(tree.classes)}
    places = {leaf: _Place(x, row) for leaf, row in rows.items()}
    for node in reversed(["", *inner]):  # children stand behind their parents
        children = [places[child].y for child in tree.children(node)]
        depth = len(tree.ancestors(node)) + 1 if node else 0
        places[node] = _Place(columns[depth], (children[0] + children[-1]) / 2)
    return places, x + 2 * _GAP + _LETTER_OF_CLASS * max(map(len, classes))


def _add_branches(figure: Figure, tree: Taxonomy, places: Mapping[str, _Place]) -> None:
    """Draws from every inner node a stem, a line across, and a twig to each child."""
    x: list[float | None] = []
    y: list[float | None] = []
    for node in tree.nodes:
        children = [places[child] for child in tree.children(node)]
        if children:
            below = [
                place.x for child, place in zip(tree.children(node), children, strict=True) if tree.children(child)
            ]
            fork = (min(below) if below else children[0].x) - _TWIG
            x += [places[node].x, fork, None, fork, fork, None] if node else [fork, fork, None]
            y += [places[node].y, places[node].y, None] if node else []
            y += [children[0].y, children[-1].y, None]
            for child in children:
                x += [fork, child.x, None]
                y += [child.y, child.y, None]
    figure.add_scatter(
        x=x, y=y, mode="lines", line={"color": LINE_COLOR, "width": 1}, hoverinfo="skip", showlegend=False
    )


def _topmost(tree: Taxonomy) -> dict[str, str]:
    return {leaf: (tree.ancestors(leaf) or [leaf])[-1] for leaf in tree.classes}


def _label(node: str) -> str:
    """The name of a node without its parents, which the drawing shows."""
    return node.rpartition(" / ")[-1]


def _members(tree: Taxonomy, node: str, group_of: Mapping[str, str]) -> str:
    leaves = tree.leaves(node)
    by_group = Counter(group_of[leaf] for leaf in leaves if leaf in group_of)
    groups = ", ".join(f"{name} {number}" for name, number in by_group.items())
    return f"{len(leaves)} classes{': ' if groups else ''}{groups}"
