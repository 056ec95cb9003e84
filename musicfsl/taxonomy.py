"""Trees over class names: which classes are relatives, how close, and what their families are called.

A `Taxonomy` is a tree whose leaves are classes. Two are shipped, both written from the literature: by how the sound is
made (Hornbostel and Sachs) and by the families of the orchestra. Heights are counted from the leaves up in the
evened-out tree, in which all classes lie equally deep: 0 is the class itself, 1 its parents, `Taxonomy.depth` the root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from musicfsl._nested import Lineage, evened, filler, lineages_of, nested_of, public_names, renamed
from musicfsl._tables import read_nested, write_text
from musicfsl.errors import InputError, did_you_mean
from musicfsl.instruments import canonical, name_key

__all__ = ["Taxonomy", "taxonomy_names"]


def taxonomy_names() -> list[str]:
    """Names of the taxonomies that come with the package.

    Example:
        >>> taxonomy_names()
        ['families', 'hornbostel-sachs']
    """
    return sorted(path.stem.replace("_", "-") for path in _folder().glob("*.yaml"))


class Taxonomy:
    """A tree over class names; it never changes, every change gives a new one.

    The root is called ``""``. A leaf is called as it is written. An inner node is called as it is written too, unless
    several are written alike: these are qualified by all their parents (``"strings / bowed"``).

    Where a method takes classes, these may be written in another way than in the tree: case and signs make no
    difference, and names that `musicfsl.instruments.canonical` knows to mean the same instrument find each other.

    Args:
        nested: an inner node is a mapping from the names of its children, or, where all of them are classes, a list of
            these; a class in a mapping has the value None.
        name: for reports and drawings.

    Raises:
        InputError: a class stands twice or bears the name of an inner node, a node is empty, the tree leads back into
            itself, or something else than mappings, lists and names stands in it.

    Example:
        >>> tree = Taxonomy({"strings": {"bowed": ["Violin", "Viola"], "plucked": ["Harp"]}, "Voice": None})
        >>> tree.classes, tree.depth
        (['Violin', 'Viola', 'Harp', 'Voice'], 3)
        >>> tree.ancestors("Harp")
        ['plucked', 'strings']
        >>> tree.lca_height("Violin", "Viola"), tree.lca_height("Violin", "harp"), tree.lca_height("Violin", "Voice")
        (1, 2, 3)
        >>> print(tree.draw())
        ├─ strings
        │  ├─ bowed
        │  │  ├─ Violin
        │  │  └─ Viola
        │  └─ plucked
        │     └─ Harp
        └─ Voice
    """

    def __init__(self, nested: Mapping[str, Any], name: str = "") -> None:
        self.name = name
        self._lineages: dict[str, Lineage] = lineages_of(nested)
        self._paths = public_names(self._lineages)
        self._names = {path: name for name, path in self._paths.items()}
        self._leaf_of_key = _leaves_by_key(self._lineages)

    @classmethod
    def load(cls, source: str | os.PathLike[str] | Mapping[str, Any] | Taxonomy) -> Taxonomy:
        """A taxonomy by its name, from a YAML file, or from what `to_dict` gave.

        Args:
            source: one of `taxonomy_names`; or the path of a YAML file, nested as the constructor takes it; or such a
                mapping; or a taxonomy, which is returned as it is.

        Raises:
            InputError: there is no such taxonomy or file, it is no YAML, a name stands twice under one node (which YAML
                itself would pass over), or the tree is wrong.

        Example:
            >>> Taxonomy.load("hornbostel-sachs").common_ancestor("violin", "guitar")
            '321.322 necked box lutes'
        """
        if isinstance(source, Taxonomy):
            return source
        if isinstance(source, Mapping):
            return cls(source)
        name = os.fspath(source)
        if name in taxonomy_names():
            path = _folder() / f"{name.replace('-', '_')}.yaml"
        else:
            path = Path(name).expanduser()
            if not path.is_file():
                raise InputError(
                    f"there is no taxonomy '{name}', and no such file.{did_you_mean(name, taxonomy_names())} "
                    f"Known: {', '.join(taxonomy_names())}; or give a YAML file"
                )
            name = path.stem
        nested = read_nested(path)
        try:
            return cls(nested, name)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @property
    def classes(self) -> list[str]:
        """The leaves, in the order of the tree."""
        return list(self._lineages)

    @property
    def nodes(self) -> list[str]:
        """All nodes, each before its children; the first is the root, ``""``."""
        return list(self._paths)

    @property
    def depth(self) -> int:
        """Edges from the root to the deepest class."""
        return 1 + max(map(len, self._lineages.values()))

    def leaf(self, name: str) -> str:
        """The class that a name means, as the tree calls it.

        Raises:
            InputError: the tree has no such class.

        Example:
            >>> Taxonomy.load("families").leaf("double bass")
            'Contrabass'
        """
        if name in self._lineages:
            return name
        instrument = canonical(str(name))
        for key in (name_key(str(name)), *([] if instrument is None else [name_key(instrument)])):
            if key in self._leaf_of_key:
                return self._leaf_of_key[key]
        raise InputError(
            f"class '{name}' is not in {self._title}.{did_you_mean(str(name), self._lineages)} Add it in a "
            "tree of your own, a YAML file that Taxonomy.load opens, or leave it out of the classes"
        )

    def children(self, node: str) -> list[str]:
        """Names of the nodes right below a node; none for a class."""
        path = self._path(node)
        return [name for name, other in self._paths.items() if other and other[:-1] == path]

    def leaves(self, node: str) -> list[str]:
        """The classes below a node; for a class, the class alone."""
        path = self._path(node)
        return [leaf for leaf, lineage in self._lineages.items() if (*lineage, leaf)[: len(path)] == path]

    def ancestors(self, node: str) -> list[str]:
        """The nodes above a class or inner node, from its parent up; the root is left out."""
        path = self._path(node)
        return [self._names[path[:length]] for length in range(len(path) - 1, 0, -1)]

    def height(self, node: str) -> int:
        """Edges from a node down to the deepest class below it; 0 for a class."""
        path = self._path(node)
        return max(len(self._lineages[leaf]) + 1 for leaf in self.leaves(node)) - len(path)

    def level(self, h: int, classes: Sequence[str] | None = None) -> list[str]:
        """For each class, the name of its ancestor at a height of the evened-out tree; siblings have the same.

        Args:
            h: 0 (the classes themselves) to `depth` (the root, ``""``, for all).
            classes: which classes, in any order; None takes all.

        Returns:
            one name a class; the name that `even` gives to a node where the class lies less deep.

        Raises:
            InputError: h is out of range, or a class is not in the tree.

        Example:
            >>> tree = Taxonomy({"strings": {"bowed": ["Violin", "Viola"], "plucked": ["Harp"]}, "Voice": None})
            >>> tree.level(2, ["Harp", "Viola", "Voice"])
            ['strings', 'strings', 'Voice (2)']
        """
        if not 0 <= h <= self.depth:
            raise InputError(f"height {h} is not in {self._title}; expected 0 (the classes) to {self.depth} (the root)")
        given = self.classes if classes is None else _checked_list(classes)
        leaves, length = [self.leaf(name) for name in given], self.depth - h
        if h == 0:
            return given
        return [
            self._names[self._lineages[leaf][:length]] if length <= len(self._lineages[leaf]) else filler(leaf, h)
            for leaf in leaves
        ]

    def common_ancestor(self, a: str, b: str) -> str:
        """The lowest node above two classes, or the class where both are the same; ``""`` is the root."""
        first, second = ((*self._lineages[leaf], leaf) for leaf in (self.leaf(a), self.leaf(b)))
        shared = sum(1 for n in range(1, 1 + min(len(first), len(second))) if first[:n] == second[:n])
        return self._names[first[:shared]]

    def lca_height(self, a: str, b: str) -> int:
        """Height of the lowest common ancestor of two classes in the evened-out tree.

        Returns:
            0 where both are the same class, 1 for siblings in the lowest rank, `depth` where only the root is common.
        """
        return int(self.lca_heights([a, b])[0, 1])

    def lca_heights(self, classes: Sequence[str] | None = None) -> NDArray[np.int64]:
        """`lca_height` for all pairs of classes: how bad it is to take one for another.

        Args:
            classes: C classes in any order; None takes all.

        Returns:
            ``(C, C)``, symmetric, zero on the diagonal.

        Example:
            >>> Taxonomy({"strings": ["Violin", "Harp"], "Voice": None}).lca_heights().tolist()
            [[0, 1, 2], [1, 0, 2], [2, 2, 0]]
        """
        leaves = [self.leaf(name) for name in (self.classes if classes is None else _checked_list(classes))]
        number: dict[Lineage, int] = {}
        # Numbers of the nodes above each class and of the class itself, which fills the row: (C, depth), from the top.
        above = np.empty((len(leaves), self.depth), dtype=np.int64)
        for row, leaf in enumerate(leaves):
            path = (*self._lineages[leaf], leaf)
            for column in range(above.shape[1]):
                above[row, column] = number.setdefault(path[: column + 1], len(number))
        return above.shape[1] - (above[:, None] == above[None]).sum(axis=-1, dtype=np.int64)  # (C, C)

    def prune(self, classes: Sequence[str]) -> Taxonomy:
        """The tree of some of the classes, which are then called as they are given here.

        Inner nodes without classes fall away; the order of the tree stays.

        Raises:
            InputError: a class is not in the tree (the nearest is named), or two mean the same one.

        Example:
            >>> Taxonomy.load("families").prune(["double bass", "cello", "oboe"]).classes
            ['cello', 'double bass', 'oboe']
        """
        given: dict[str, str] = {}
        for name in _checked_list(classes):
            leaf = self.leaf(name)
            if leaf in given:
                raise InputError(
                    f"'{given[leaf]}' and '{name}' both mean '{leaf}' in {self._title}; merge the two classes, or "
                    "leave one of them out"
                )
            given[leaf] = name
        kept = {given[leaf]: leaf for leaf in self._lineages if leaf in given}
        return Taxonomy(nested_of(renamed(self._lineages, kept)), self.name)

    def even(self, depth: int | None = None) -> Taxonomy:
        """The tree with all classes at one depth.

        A class that lies less deep gets a chain of nodes of its own, called by its name and their height: ``Voice (2)``
        above ``Voice (1)`` above ``Voice``. Of a class that lies deeper, the lowest inner nodes are left out.

        Args:
            depth: of all classes, 1 (no inner nodes) or more; None takes that of the deepest.

        Raises:
            InputError: depth is less than 1.

        Example:
            >>> tree = Taxonomy({"strings": {"bowed": ["Violin", "Viola"], "plucked": ["Harp"]}, "Voice": None})
            >>> tree.even().to_dict()["Voice (2)"]
            {'Voice (1)': ['Voice']}
            >>> tree.even(depth=2).to_dict()
            {'strings': ['Violin', 'Viola', 'Harp'], 'Voice (1)': ['Voice']}
        """
        depth = self.depth if depth is None else depth
        if depth < 1:
            raise InputError(f"depth is {depth}; expected 1 or more")
        return Taxonomy(nested_of(evened(self._lineages, depth)), self.name)

    def shuffled(self, seed: int) -> Taxonomy:
        """A tree of the same shape in which the classes have changed places at random.

        Who gains from a taxonomy should lose that gain with this one.

        Example:
            >>> tree = Taxonomy({"strings": ["Violin", "Harp"], "winds": ["Oboe", "Flute"]})
            >>> tree.shuffled(seed=0).to_dict()
            {'strings': ['Oboe', 'Violin'], 'winds': ['Harp', 'Flute']}
        """
        classes = np.random.default_rng(seed).permutation(self.classes).tolist()
        places = dict(zip(classes, self._lineages, strict=True))
        return Taxonomy(nested_of(renamed(self._lineages, places)), f"{self.name} shuffled by seed {seed}".strip())

    def to_dict(self) -> dict[str, Any]:
        """The tree as nested mappings and lists, which JSON and YAML can hold; ``Taxonomy(t.to_dict()) == t``."""
        return nested_of(self._lineages)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the tree as a YAML file, whole or not at all; an existing file is replaced.

        Returns:
            its path.
        """
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120)
        return write_text(path, text)

    def draw(self, label: Callable[[str], str] | None = None) -> str:
        """The tree as text, a line a node, without the root.

        Args:
            label: from the name of a node to what is written; None writes the name without its parents.
        """
        return "\n".join(self._lines("", "", label or (lambda node: self._paths[node][-1])))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Taxonomy):
            return NotImplemented
        return list(self._lineages.items()) == list(other._lineages.items())

    def __hash__(self) -> int:
        return hash(tuple(self._lineages.items()))

    def __repr__(self) -> str:
        return f"Taxonomy({self.name!r}, {len(self._lineages)} classes, depth {self.depth})"

    @property
    def _title(self) -> str:
        return f"the taxonomy '{self.name}'" if self.name else "the taxonomy"

    def _path(self, node: str) -> Lineage:
        """The labels from the top down to a node, its own the last."""
        if node in self._paths:
            return self._paths[node]
        try:
            return self._paths[self.leaf(node)]
        except InputError:
            raise InputError(
                f"there is no node '{node}' in {self._title}.{did_you_mean(str(node), self._paths)}"
            ) from None

    def _lines(self, node: str, indent: str, label: Callable[[str], str]) -> Iterable[str]:
        children = self.children(node)
        for child in children:
            last = child == children[-1]
            yield f"{indent}{'└─' if last else '├─'} {label(child)}"
            yield from self._lines(child, indent + ("   " if last else "│  "), label)


def _folder() -> Path:
    return Path(str(resources.files("musicfsl") / "taxonomies"))


def _checked_list(classes: Sequence[str]) -> list[str]:
    if isinstance(classes, str):
        raise InputError(f"classes is the string '{classes}'; expected a list of class names")
    return list(classes)


def _leaves_by_key(leaves: Iterable[str]) -> dict[str, str]:
    """Leaves by what their spellings have in common, and by their instruments where these have no leaf of their own."""
    names = list(leaves)
    by_key: dict[str, str] = {}
    for leaf in names:
        by_key.setdefault(name_key(leaf), leaf)
    for leaf in names:
        instrument = canonical(leaf)
        if instrument is not None:
            by_key.setdefault(name_key(instrument), leaf)
    return by_key
