"""Nested mappings and lists as trees: checked, flattened to one line of ancestors a leaf, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from musicfsl.errors import InputError

__all__ = ["Lineage", "evened", "filler", "lineages_of", "nested_of", "public_names", "renamed"]

#: Labels of inner nodes from the top down.
Lineage: TypeAlias = tuple[str, ...]

# Stands between the labels of a qualified name, and so in no label.
_SEPARATOR = " / "

# Deeper than any classification goes, and well below what Python's recursion can do.
_DEEPEST = 100


def lineages_of(nested: Mapping[str, Any]) -> dict[str, Lineage]:
    """The inner nodes above each leaf, leaves in the order of the tree.

    Raises:
        InputError: see `musicfsl.taxonomy.Taxonomy`.

    Example:
        >>> lineages_of({"strings": {"bowed": ["Violin"]}, "Voice": None})
        {'Violin': ('strings', 'bowed'), 'Voice': ()}
    """
    if not isinstance(nested, Mapping):
        raise InputError(
            f"a taxonomy is made from {type(nested).__name__}; expected a mapping such as {{'winds': ['Oboe']}}"
        )
    lineages: dict[str, Lineage] = {}
    for leaf, lineage in _walk(nested, (), ()):
        if leaf in lineages:
            places = " and ".join(
                f"under '{_SEPARATOR.join(place) or 'the root'}'" for place in (lineages[leaf], lineage)
            )
            raise InputError(f"class '{leaf}' stands twice, {places}; a class has one place in a taxonomy")
        lineages[leaf] = lineage
    inner = {label for lineage in lineages.values() for label in lineage}
    for leaf in lineages:
        if leaf in inner:
            raise InputError(
                f"'{leaf}' is a class and an inner node with classes below it; call one of the two otherwise"
            )
    return lineages


def nested_of(lineages: Mapping[str, Lineage]) -> dict[str, Any]:
    """What `lineages_of` took: mappings, and lists where all children are leaves.

    Example:
        >>> nested_of({"Violin": ("strings", "bowed"), "Voice": ()})
        {'strings': {'bowed': ['Violin']}, 'Voice': None}
    """
    root: dict[str, Any] = {}
    for leaf, lineage in lineages.items():
        node = root
        for label in lineage:
            node = node.setdefault(label, {})
        node[leaf] = None
    return {label: _with_lists(value) for label, value in root.items()}


def public_names(lineages: Mapping[str, Lineage]) -> dict[str, Lineage]:
    """From the unique name of each node to its path, every node before its children; the root is ``""``.

    Example:
        >>> list(public_names({"Violin": ("strings", "solo"), "Oboe": ("solo",)}))
        ['', 'strings', 'strings / solo', 'Violin', 'solo', 'Oboe']
    """
    paths: dict[Lineage, None] = {(): None}
    for leaf, lineage in lineages.items():
        path = (*lineage, leaf)
        paths.update(dict.fromkeys(path[:length] for length in range(1, len(path) + 1)))
    written = Counter(path[-1] for path in paths if path)
    return {(_SEPARATOR.join(path) if not path or written[path[-1]] > 1 else path[-1]): path for path in paths}


def filler(leaf: str, height: int) -> str:
    """Label of a node that only fills the way up from a class that lies less deep than others."""
    return f"{leaf} ({height})"


def evened(lineages: Mapping[str, Lineage], depth: int) -> dict[str, Lineage]:
    """The tree with all leaves at one depth: the lowest labels are left out, or fillers put below them.

    Example:
        >>> evened({"Violin": ("strings", "bowed"), "Voice": ()}, 2)
        {'Violin': ('strings',), 'Voice': ('Voice (1)',)}
    """
    result = {}
    for leaf, lineage in lineages.items():
        own = tuple(label for label in lineage if not _is_filler(label, leaf))[: depth - 1]
        result[leaf] = (*own, *(filler(leaf, height) for height in range(depth - 1 - len(own), 0, -1)))
    return result


def renamed(lineages: Mapping[str, Lineage], old_of_new: Mapping[str, str]) -> dict[str, Lineage]:
    """The tree in which new leaves stand where the old ones stood, fillers included; those not named are gone.

    Example:
        >>> renamed({"Violin": ("strings",), "Voice": ("Voice (1)",)}, {"singer": "Voice"})
        {'singer': ('singer (1)',)}
    """
    return {
        new: tuple(new + label[len(old) :] if _is_filler(label, old) else label for label in lineages[old])
        for new, old in old_of_new.items()
    }


def _is_filler(label: str, leaf: str) -> bool:
    return label.startswith(f"{leaf} (") and label.endswith(")") and label[len(leaf) + 2 : -1].isdigit()


def _walk(node: object, lineage: Lineage, open_nodes: tuple[int, ...]) -> Iterator[tuple[str, Lineage]]:
    """Every leaf below a node with the labels above it, depth first."""
    where = f"'{_SEPARATOR.join(lineage)}'" if lineage else "the root"
    if id(node) in open_nodes:
        raise InputError(f"{where} contains itself (a cycle); a taxonomy is a tree, so leave the alias out")
    if len(lineage) > _DEEPEST:
        raise InputError(f"'{lineage[0]}' is nested more than {_DEEPEST} deep; expected a tree of a few levels")
    open_nodes = (*open_nodes, id(node))
    children: list[tuple[Any, Any]]
    if isinstance(node, Mapping):
        children = list(node.items())
    elif isinstance(node, Sequence) and not isinstance(node, (str, bytes)):
        children = [(child, None) for child in node]
    else:
        raise InputError(f"{where} holds {node!r}; expected a list of classes, or a mapping for further nodes")
    if not children:
        raise InputError(f"{where} is empty; give it classes, or leave it out")
    for label, child in children:
        _check_label(label, where)
        if child is None:
            yield label, lineage
        else:
            yield from _walk(child, (*lineage, label), open_nodes)


def _check_label(label: object, where: str) -> None:
    if isinstance(label, (Mapping, Sequence)) and not isinstance(label, (str, bytes)):
        raise InputError(
            f"the list in {where} holds a {type(label).__name__}; expected names of classes, or a mapping for the list"
        )
    if not isinstance(label, str):
        raise InputError(f"{label!r} in {where} is no text; put the name into quotes")
    if not label.strip() or _SEPARATOR in label:
        raise InputError(f"'{label}' in {where} is no usable name; expected text without '{_SEPARATOR}'")


def _with_lists(node: dict[str, Any] | None) -> Any:
    if node is None:
        return None
    if all(child is None for child in node.values()):
        return list(node)
    return {label: _with_lists(child) for label, child in node.items()}
