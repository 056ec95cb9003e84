"""Which classes are seen and which are unseen: the splits of the classical experiments, and random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musicfsl.errors import InputError, did_you_mean

__all__ = ["SPLITS", "ClassSplit", "named_split", "split_seen_unseen"]


@dataclass(frozen=True)
class ClassSplit:
    """A division of classes for zero-shot learning.

    Attributes:
        name: for reports.
        seen: classes with recordings to train on; at least two.
        unseen: classes that are recognised without any; at least two, since a choice among one is none.
        test_folds: folds of the data set, where it has such, whose clips of seen classes are held out for the
            test. Empty where a data set has none: a share of the clips (or groups) is then held out.

    Raises:
        InputError: a class stands on both sides or twice, or a side has fewer than two.

    Example:
        >>> ClassSplit("mine", seen=("Flute", "Oboe"), unseen=("Harp", "Oboe"))
        Traceback (most recent call last):
        ...
        musicfsl.errors.InputError: class 'Oboe' is seen and unseen in split 'mine'; a class whose recordings are
        trained on is not unseen, so name it on one side
    """

    name: str
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    test_folds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for side, names in (("seen", self.seen), ("unseen", self.unseen)):
            if len(names) < 2:
                raise InputError(f"split '{self.name}' has {len(names)} {side} classes; expected two or more")
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise InputError(
                    f"class '{twice[0]}' stands twice among the {side} classes of split '{self.name}'; name it once"
                )
        both = [name for name in self.seen if name in self.unseen]
        if both:
            raise InputError(
                f"class '{both[0]}' is seen and unseen in split '{self.name}'; a class whose recordings are trained on "
                "is not unseen, so name it on one side"
            )

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ClassSplit:
        """The split that `to_dict` described."""
        return cls(
            content["name"], tuple(content["seen"]), tuple(content["unseen"]), tuple(content.get("test_folds", ()))
        )

    def to_dict(self) -> dict[str, Any]:
        """The split as JSON can hold it."""
        return {
            "name": self.name,
            "seen": list(self.seen),
            "unseen": list(self.unseen),
            "test_folds": list(self.test_folds),
        }

    @property
    def classes(self) -> list[str]:
        """All classes, the seen ones first."""
        return [*self.seen, *self.unseen]


#: Splits of published experiments by name. ``tinysol-words`` and ``tinysol-images`` divide TinySOL as two tutorials on
#: zero-shot learning do, with its fold 4 held out. (What the tutorials printed cannot be compared with: they took the
#: vectors of unseen classes from the recordings that were evaluated.)
SPLITS: dict[str, ClassSplit] = {
    split.name: split
    for split in (
        ClassSplit(
            "tinysol-words",
            seen=(
                "French Horn",
                "Violin",
                "Flute",
                "Contrabass",
                "Trombone",
                "Cello",
                "Clarinet in Bb",
                "Oboe",
                "Accordion",
            ),
            unseen=("Bassoon", "Viola", "Trumpet in C", "Bass Tuba", "Alto Saxophone"),
            test_folds=(4,),
        ),
        ClassSplit(
            "tinysol-images",
            seen=("Bassoon", "Flute", "Trumpet in C", "Violin"),
            unseen=("Cello", "Clarinet in Bb", "French Horn", "Alto Saxophone"),
            test_folds=(4,),
        ),
    )
}


def named_split(name: str) -> ClassSplit:
    """A split of `SPLITS` by its name.

    Raises:
        InputError: the name is unknown.

    Example:
        >>> named_split("tinysol-images").seen
        ('Bassoon', 'Flute', 'Trumpet in C', 'Violin')
    """
    if name not in SPLITS:
        raise InputError(f"there is no split '{name}'.{did_you_mean(name, SPLITS)} Known: {', '.join(SPLITS)}")
    return SPLITS[name]


def split_seen_unseen(classes: Sequence[str], n_unseen: int, seed: int) -> ClassSplit:
    """Sets a random choice of classes aside as unseen.

    Args:
        classes: all class names, in any order (the order does not change the split).
        n_unseen: how many are unseen, 2 or more.
        seed: of the choice.

    Raises:
        InputError: fewer than two classes would be left on a side, or a name is given twice.

    Example:
        >>> split_seen_unseen(["Flute", "Oboe", "Harp", "Cello", "Horn"], n_unseen=2, seed=0).unseen
        ('Harp', 'Oboe')
    """
    names = sorted(classes)
    if not 2 <= n_unseen <= len(names) - 2:
        raise InputError(
            f"n_unseen is {n_unseen} of {len(names)} classes; expected 2 to {max(2, len(names) - 2)}, so that seen and "
            "unseen have two or more each"
        )
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    return ClassSplit(
        f"{n_unseen} unseen, seed {seed}", tuple(sorted(shuffled[n_unseen:])), tuple(sorted(shuffled[:n_unseen]))
    )
