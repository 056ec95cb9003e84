from __future__ import annotations

import itertools
import re
import sys

import pytest

from musicfsl.errors import InputError, MissingExtraError
from musicfsl.plots import PALETTE, plot_taxonomy
from musicfsl.taxonomy import Taxonomy

TREE = Taxonomy({"strings": {"bowed": ["Violin", "Viola"], "plucked": ["Harp"]}, "Voice": None}, "small")
GROUPS = {"Harp": "train", "Violin": "train", "Viola": "test", "Voice": "test"}


def texts(figure) -> dict[str, tuple[float, float]]:
    """Every name and number that is written, and where."""
    return {
        text.strip(): (x, y)
        for trace in figure.data
        if trace.text is not None
        for text, x, y in zip(trace.text, trace.x, trace.y, strict=True)
    }


def segments(figure) -> set[tuple[float, float, float, float]]:
    """The straight lines of the drawing."""
    (lines,) = (trace for trace in figure.data if trace.mode == "lines")
    points = list(zip(lines.x, lines.y, strict=True))
    return {(*a, *b) for a, b in itertools.pairwise(points) if None not in (*a, *b)}


def test_classes_lie_in_rows_in_the_order_of_the_tree() -> None:
    places = texts(plot_taxonomy(TREE, GROUPS))
    assert [places[name][1] for name in TREE.classes] == [0, 1, 2, 3]
    assert len({places[name][0] for name in TREE.classes}) == 1


def test_parents_lie_left_of_their_children_and_between_them() -> None:
    places = texts(plot_taxonomy(TREE, GROUPS))
    for parent in ("strings", "bowed", "plucked"):
        children = [places[child] for child in TREE.children(parent)]
        assert all(places[parent][0] < x for x, _ in children)
        assert min(y for _, y in children) <= places[parent][1] <= max(y for _, y in children)


@pytest.mark.parametrize("tree", [TREE, Taxonomy.load("families"), Taxonomy.load("hornbostel-sachs")])
def test_lines_lead_from_every_node_to_its_parent(tree: Taxonomy) -> None:
    figure = plot_taxonomy(tree)
    places, lines = texts(figure), segments(figure)
    for node in tree.nodes[1:]:
        x, y = places[node]
        (twig,) = (line for line in lines if line[2:] == (x, y) and line[1] == y)  # leads to the node
        fork = twig[0]
        assert any(a == b == fork and top <= y <= bottom for a, top, b, bottom in lines)
        parents = tree.ancestors(node)[:1]
        if parents:
            assert (*places[parents[0]], fork, places[parents[0]][1]) in lines


def test_groups_have_colours_and_symbols_in_their_order() -> None:
    figure = plot_taxonomy(TREE, GROUPS)
    train, test = (trace for trace in figure.data if trace.showlegend)
    assert (train.name, test.name) == ("train", "test")
    assert [train.marker.color, test.marker.color] == list(PALETTE[:2])
    assert train.marker.symbol != test.marker.symbol
    assert [text.strip() for text in train.text] == ["Violin", "Harp"]
    assert [text.strip() for text in test.text] == ["Viola", "Voice"]


def test_only_classes_with_a_group_are_drawn_under_their_given_names() -> None:
    places = texts(plot_taxonomy(TREE, {"fiddle": "train", "harp": "test"}))
    assert set(places) == {"strings", "bowed", "plucked", "fiddle", "harp"}


def test_without_groups_classes_have_the_colours_of_the_topmost_nodes() -> None:
    figure = plot_taxonomy(TREE)
    color_of = {text.strip(): trace.marker.color for trace in figure.data for text in trace.text or ()}
    assert color_of["Violin"] == color_of["Harp"] != color_of["Voice"]
    assert not any(trace.showlegend for trace in figure.data)


def test_counts_stand_beside_their_classes() -> None:
    counts = {"Violin": 1234, "Viola": 5, "Harp": 6}
    figure = plot_taxonomy(TREE, GROUPS, counts)
    places = texts(figure)
    for name, number in (("Violin", "1,234"), ("Viola", "5"), ("Harp", "6"), ("Voice", "0")):
        assert places[number][1] == places[name][1]
        assert places[number][0] > places[name][0]
    (train,) = (trace for trace in figure.data if trace.name == "train")
    assert list(train.customdata) == ["<br>1234 clips", "<br>6 clips"]


def test_hovering_a_node_tells_the_groups_of_its_classes() -> None:
    (inner,) = (trace for trace in plot_taxonomy(TREE, GROUPS).data if "strings" in (trace.text or ()))
    told = dict(zip(inner.text, inner.customdata, strict=True))
    assert told == {
        "strings": "3 classes: train 2, test 1",
        "bowed": "2 classes: train 1, test 1",
        "plucked": "1 classes: train 1",
    }


def test_it_grows_with_its_classes() -> None:
    small, large = plot_taxonomy(TREE), plot_taxonomy(Taxonomy.load("families"))
    n_more = len(Taxonomy.load("families").classes) - 4
    assert large.layout.height - small.layout.height == pytest.approx(18 * n_more)


def test_nodes_written_alike_are_labelled_as_written() -> None:
    tree = Taxonomy({"strings": {"solo": ["Violin"]}, "winds": {"solo": ["Oboe"]}})
    (inner,) = (trace for trace in plot_taxonomy(tree).data if "strings" in (trace.text or ()))
    assert list(inner.text) == ["strings", "solo", "winds", "solo"]


def test_given_colours() -> None:
    figure = plot_taxonomy(TREE, GROUPS, colors={"train": "#000001", "test": "#000002"})
    assert [trace.marker.color for trace in figure.data if trace.showlegend] == ["#000001", "#000002"]
    with pytest.raises(InputError, match="colors has none for the group 'test'"):
        plot_taxonomy(TREE, GROUPS, colors={"train": "#000001"})


def test_unknown_classes_are_refused() -> None:
    with pytest.raises(InputError, match="class 'kazoo' is not in the taxonomy 'small'"):
        plot_taxonomy(TREE, {"kazoo": "train"})


def test_missing_plotly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'musicfsl[plots]'")):
        plot_taxonomy(TREE)
