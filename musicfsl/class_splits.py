"""Class splits that data sets come with, by name: which classes are for training, validation and test.

They stand in ``tables/class_splits.yaml``, to be read and changed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from musicfsl._tables import embedded_table, read_nested
from musicfsl.errors import InputError, did_you_mean

__all__ = ["NamedSplit", "class_split", "class_split_names"]


@dataclass(frozen=True)
class NamedSplit:
    """The classes of each part of a data set.

    Attributes:
        dataset: name of the data set.
        name: of the split.
        parts: "train", "val" and "test" -> classes.
        subsets: part -> the official subset of the data set that its clips are taken from; empty where parts take all
            clips of their classes.

    Raises:
        InputError: parts share a class, but not their clips' subsets, so that they would share clips too.

    Example:
        >>> split = class_split("speech_commands", "few-shot")
        >>> [len(classes) for classes in split.parts.values()], split.trained_on("test")
        ([20, 5, 10], [])
    """

    dataset: str
    name: str
    parts: Mapping[str, tuple[str, ...]]
    subsets: Mapping[str, str]

    def __post_init__(self) -> None:
        taken: dict[tuple[str, str], str] = {}
        for part, classes in self.parts.items():
            for label in classes:
                other = taken.setdefault((label, self.subsets.get(part, "")), part)
                if other != part:
                    raise InputError(
                        f"the split '{self.name}' of {self.dataset} has the same clips of '{label}' in {other} and in "
                        f"{part}; move the class, or give the parts other subsets"
                    )

    def trained_on(self, part: str) -> list[str]:
        """The classes of a part that are trained on too. Where there are any, its accuracy is not a few-shot one."""
        return [label for label in self.parts[part] if part != "train" and label in self.parts["train"]]


def class_split(dataset: str, name: str) -> NamedSplit:
    """A split of a data set by its name.

    Args:
        dataset: name of the data set, such as "speech_commands".
        name: of the split, such as "few-shot".

    Raises:
        InputError: the data set comes without splits, or has none of this name.

    Example:
        >>> class_split("speech_commands", "few-shot").parts["val"]
        ('bed', 'bird', 'left', 'nine', 'up')
    """
    known = class_split_names(dataset)
    if name not in known:
        listed = f"It has: {', '.join(known)}" if known else "It comes without any"
        raise InputError(f"{dataset} has no class split '{name}'.{did_you_mean(name, known)} {listed}")
    return _table()[dataset][name]


def class_split_names(dataset: str) -> list[str]:
    """Names of the splits that a data set comes with.

    Example:
        >>> class_split_names("speech_commands"), class_split_names("tinysol")
        (['few-shot', 'overlapping'], [])
    """
    return list(_table().get(dataset, {}))


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, NamedSplit]]:
    content: dict[str, dict[str, dict[str, Any]]] = read_nested(embedded_table("class_splits.yaml"))
    return {
        dataset: {
            name: NamedSplit(
                dataset,
                name,
                {part: tuple(classes) for part, classes in entry.items() if part != "subsets"},
                entry.get("subsets", {}),
            )
            for name, entry in splits.items()
        }
        for dataset, splits in content.items()
    }
