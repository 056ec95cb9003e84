"""Hierarchical partitions: classes split into training, validation and test so that every part has some of each family.

A plain random split may put all bowed strings on one side. Here the classes below each node of a taxonomy are split
on their own: siblings stand on both sides, and what is learned of a family can be used on its new members.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicfsl._tables import read_text, write_text
from musicfsl.errors import InputError, did_you_mean
from musicfsl.taxonomy import Taxonomy

__all__ = ["Partition", "partition_classes"]

# Colours of a terminal (ANSI), a part each.
_ANSI = (34, 32, 31, 35, 33, 36)


@dataclass(frozen=True)
class Partition:
    """Classes in parts, and how they came there.

    Attributes:
        parts: name of a part -> its classes.
        taxonomy: name of the taxonomy.
        depth: of the nodes under which the classes were split.
        seed: of the choice.
        sizes: the share of the classes that was asked for each part.

    Raises:
        InputError: a class stands twice, a part is empty, or there are not as many sizes as parts.

    Example:
        >>> Partition({"train": ("Oboe", "Cello"), "test": ("Viola",)}, "families", 1, 0, (0.7, 0.3)).part("test")
        ['Viola']
    """

    parts: dict[str, tuple[str, ...]]
    taxonomy: str
    depth: int
    seed: int
    sizes: tuple[float, ...]

    def __post_init__(self) -> None:
        part_of: dict[str, str] = {}
        for part, classes in self.parts.items():
            if not classes:
                raise InputError(f"part '{part}' has no classes; give it some, or leave it out")
            for name in classes:
                if name in part_of:
                    places = (
                        f"parts '{part_of[name]}' and '{part}'" if part_of[name] != part else f"part '{part}' twice"
                    )
                    raise InputError(f"class '{name}' stands in {places}; a class belongs to one part, once")
                part_of[name] = part
        if len(self.sizes) != len(self.parts):
            raise InputError(f"there are {len(self.sizes)} sizes for {len(self.parts)} parts; give one a part")

    @property
    def part_of(self) -> dict[str, str]:
        """Class -> its part."""
        return {name: part for part, classes in self.parts.items() for name in classes}

    def part(self, name: str) -> list[str]:
        """The classes of a part.

        Raises:
            InputError: there is no such part.
        """
        if name not in self.parts:
            raise InputError(
                f"there is no part '{name}'.{did_you_mean(name, self.parts)} The partition has: {', '.join(self.parts)}"
            )
        return list(self.parts[name])

    def to_dict(self) -> dict[str, Any]:
        """The partition as JSON can hold it."""
        parts = {part: list(classes) for part, classes in self.parts.items()}
        return {**asdict(self), "parts": parts, "sizes": list(self.sizes)}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the partition as a JSON file, whole or not at all; an existing file is replaced."""
        return write_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Partition:
        """Reads what `save` wrote.

        Raises:
            InputError: the file cannot be read, is no JSON, has other entries than a partition's or some of the wrong
                type, or a class stands in two parts.
        """
        try:
            content = json.loads(read_text(path), object_pairs_hook=_without_repeats)
            return cls(**_checked(content))
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {error.lineno} is not valid JSON ({error.msg}); mend it") from None
        except _BadContentError as error:
            raise InputError(f"{path} is no partition: {error}; write it with `musicfsl partition --output`") from None
        except InputError as error:
            raise InputError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None

    def draw(self, taxonomy: Taxonomy, counts: Mapping[str, int] | None = None, *, color: bool = False) -> str:
        """The partition as a tree, with the part and the number of clips beside each class, and a line a part below.

        Args:
            taxonomy: the tree that the classes stand in.
            counts: class -> number of its clips; None leaves the numbers out.
            color: colours the classes by their parts, for terminals.

        Raises:
            InputError: a class is not in the taxonomy.
        """
        part_of, tree = self.part_of, taxonomy.prune(list(self.part_of))
        lines = list(zip(tree.draw().splitlines(), tree.nodes[1:], strict=True))
        width = max(len(line) for line, node in lines if node in part_of)
        width_of_part = max(map(len, self.parts))
        drawn = []
        for line, node in lines:
            if node in part_of:
                part = part_of[node]
                number = "" if counts is None else f" {counts.get(node, 0):6}"
                branch, text = line[: -len(node)], f"{node:{width - len(line) + len(node)}}  {part:{width_of_part}}"
                line = f"{branch}{self._colored(text, part) if color else text}{number}".rstrip()
            drawn.append(line)
        return "\n".join([*drawn, "", *self._summary(counts, color)])

    def _summary(self, counts: Mapping[str, int] | None, color: bool) -> list[str]:
        total = sum(map(len, self.parts.values()))
        lines = []
        for (part, classes), size in zip(self.parts.items(), self.sizes, strict=True):
            name = f"{part:{max(map(len, self.parts))}}"
            clips = "" if counts is None else f", {sum(counts.get(c, 0) for c in classes)} clips"
            lines.append(
                f"{self._colored(name, part) if color else name}  {len(classes)} of {total} classes "
                f"({len(classes) / total:.0%}; asked {size:.0%}){clips}"
            )
        return lines

    def _colored(self, text: str, part: str) -> str:
        return f"\x1b[{_ANSI[list(self.parts).index(part) % len(_ANSI)]}m{text}\x1b[0m"


def partition_classes(
    taxonomy: Taxonomy,
    classes: Sequence[str] | None = None,
    parts: Sequence[str] = ("train", "val", "test"),
    sizes: Sequence[float] = (0.6, 0.2, 0.2),
    depth: int = 1,
    seed: int = 0,
) -> Partition:
    """Splits classes into parts under each node at a depth of their taxonomy.

    Every node with at least as many classes as there are parts has a class in each of them. Beyond that each part has
    its share of all classes, rounded; only where the first rule asks for more than that (many small nodes) has it more.
    Within these bounds, each node is split as near to the shares as largest remainders go. Classes that are alone under
    their node are split together with other lone ones under the next higher node. What is left to chance is decided by
    the seed; the order of the classes makes no difference.

    Args:
        taxonomy: the tree; it may hold more classes.
        classes: what to split; None takes all of the tree.
        parts: their names, two or more.
        sizes: a share of the classes for each part; positive, with sum 1.
        depth: of the nodes: 1 are the children of the root, 0 is the root itself, which makes a plain random split. A
            class that lies no deeper than that counts as alone.
        seed: of the choice.

    Raises:
        InputError: a number is out of its range, there are fewer classes than parts, or a class is not in the tree.

    Example:
        >>> tree = Taxonomy({"strings": ["Violin", "Viola", "Cello"], "brass": ["Tuba", "Horn", "Trumpet"]})
        >>> partition = partition_classes(tree, parts=("train", "test"), sizes=(0.6, 0.4))
        >>> {part: len(classes) for part, classes in partition.parts.items()}
        {'train': 4, 'test': 2}
        >>> sorted(tree.level(1, partition.part("test")))
        ['brass', 'strings']
    """
    names, shares = _checked_parts(parts, sizes)
    tree = taxonomy if classes is None else taxonomy.prune(classes)
    if len(tree.classes) < len(names):
        raise InputError(f"there are {len(tree.classes)} classes for {len(names)} parts; expected one a part at least")
    if not 0 <= depth < tree.depth:
        raise InputError(
            f"depth is {depth}; expected 0 (the root) to {tree.depth - 1} (right above the deepest of these classes)"
        )
    rng = np.random.default_rng(seed)
    nodes = _nodes_at(tree, depth)
    part_of: dict[str, str] = {}
    for node, numbers in zip(nodes, _numbers(nodes, shares, rng), strict=True):
        part_of.update(zip(node.classes, rng.permutation(np.repeat(names, numbers)).tolist(), strict=True))
    chosen = {part: tuple(name for name in tree.classes if part_of[name] == part) for part in names}
    return Partition(chosen, taxonomy.name, depth, seed, tuple(shares.tolist()))


class _Node(NamedTuple):
    """Classes that are split among themselves; ``is_pool`` where they are the lone ones below a higher node."""

    classes: list[str]
    is_pool: bool


def _nodes_at(tree: Taxonomy, depth: int) -> list[_Node]:
    """The nodes at a depth, and what is alone there in pools; the order of the classes makes no difference."""
    nodes: list[_Node] = []
    lone = sorted(tree.classes)
    for d in range(depth, -1, -1):
        members: dict[str, list[str]] = {}
        for name, node in zip(lone, tree.level(tree.depth - d, lone), strict=True):
            members.setdefault(node, []).append(name)
        nodes += [_Node(members[node], d < depth) for node in sorted(members) if len(members[node]) > 1 or d == 0]
        lone = sorted(classes[0] for classes in members.values() if len(classes) == 1)
    return nodes


def _numbers(nodes: Sequence[_Node], shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """How many classes each of P parts takes from each of G nodes: ``(G, P)``; the generator decides between equals."""
    totals = np.array([len(node.classes) for node in nodes])
    numbers = np.zeros((len(nodes), len(shares)), dtype=np.int64)
    numbers[[len(node.classes) >= len(shares) and not node.is_pool for node in nodes]] = 1
    room = _part_totals(int(totals.sum()), shares, max(1, int(numbers[:, 0].sum()))) - numbers.sum(axis=0)
    order = rng.permutation(numbers.size).reshape(numbers.shape)
    # One class at a time goes where the share is missed by most. There is no dead end: any node with classes left may
    # give them to any part with room.
    for _ in range(int(room.sum())):
        missing = np.round(totals[:, None] * shares - numbers, 9)
        missing[numbers.sum(axis=1) == totals] = -np.inf
        missing[:, room == 0] = -np.inf
        node, part = np.unravel_index(np.lexsort((order.ravel(), missing.ravel()))[-1], numbers.shape)
        numbers[node, part] += 1
        room[part] -= 1
    return numbers


def _part_totals(n_classes: int, shares: NDArray[np.float64], least: int) -> NDArray[np.int64]:
    """Classes of each part: their shares by largest remainders, but at least so many."""
    totals = np.full(len(shares), least)
    free = np.ones(len(shares), dtype=bool)
    while True:
        left = n_classes - totals[~free].sum()
        exact = left * shares / shares[free].sum()
        short = free & (exact < least)
        if not short.any():
            break
        free &= ~short
    totals[free] = np.floor(exact[free] + 1e-9).astype(np.int64)
    remainders = np.where(free, np.round(exact - totals, 9), -np.inf)
    totals[np.argsort(-remainders, kind="stable")[: n_classes - totals.sum()]] += 1
    return totals


def _checked_parts(parts: Sequence[str], sizes: Sequence[float]) -> tuple[list[str], NDArray[np.float64]]:
    if isinstance(parts, str):
        raise InputError(f"parts is the string '{parts}'; expected a list of names")
    names, shares = [str(part) for part in parts], np.asarray(sizes, dtype=np.float64)
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"parts are {names}; expected two or more different names")
    if shares.shape != (len(names),):
        raise InputError(f"there are {shares.size} sizes for {len(names)} parts; give one a part")
    if not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise InputError(f"sizes are {shares.tolist()}; expected positive numbers with the sum 1")
    return names, shares


class _BadContentError(Exception):
    """A JSON file holds something else than a partition."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise _BadContentError(f"'{next(name for name in names if names.count(name) > 1)}' stands in it twice")
    return content


def _checked(content: object) -> dict[str, Any]:
    """The arguments of a Partition, if the content of a file is exactly that."""
    expected = set(Partition.__dataclass_fields__)
    if not isinstance(content, dict) or set(content) != expected:
        found = sorted(set(content) ^ expected) if isinstance(content, dict) else []
        raise _BadContentError(
            f"expected the entries {', '.join(sorted(expected))}; too many or missing: {', '.join(found)}"
        )
    parts, sizes = content["parts"], content["sizes"]
    if not isinstance(parts, dict) or not all(_is_list_of(classes, str) for classes in parts.values()):
        raise _BadContentError("'parts' should hold a list of class names for each part")
    if not _is_list_of(sizes, (int, float)):
        raise _BadContentError("'sizes' should be a list of numbers")
    if not isinstance(content["taxonomy"], str) or not all(type(content[name]) is int for name in ("depth", "seed")):
        raise _BadContentError("'taxonomy' should be a name, 'depth' and 'seed' whole numbers")
    return {**content, "parts": {part: tuple(names) for part, names in parts.items()}, "sizes": tuple(sizes)}


def _is_list_of(value: object, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) and not isinstance(item, bool) for item in value)
