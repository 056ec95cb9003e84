"""Which classes are unseen, which serve validation, and which clips of seen classes are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import InputError
from musicfsl.instruments import canonical, name_key
from musicfsl.zeroshot.splits import ClassSplit, split_seen_unseen

__all__ = [
    "Division",
    "HeldOut",
    "Part",
    "choose_split",
    "choose_val_classes",
    "divide_clips",
    "hold_out",
    "refuse_known",
    "same_instrument",
]

#: ``train``: what is trained on; ``val``: what early stopping and calibration look at; ``test``: what is reported.
Part = Literal["train", "val", "test"]

# Below this many seen classes none is set aside by default: too few would be left to learn from.
_FEWEST_FOR_VAL_CLASSES = 6


class HeldOut(NamedTuple):
    """Clips of seen classes that are not trained on.

    Attributes:
        test: bool ``(N,)``, True for clips that only the report looks at.
        val: bool ``(N,)``, True for clips that early stopping and calibration look at.
    """

    test: NDArray[np.bool_]
    val: NDArray[np.bool_]


@dataclass(frozen=True)
class Division:
    """Which classes and clips are for what; ``train``, ``val`` and ``test`` are the parts.

    Attributes:
        split: seen and unseen classes.
        val_classes: seen classes that play unseen ones in validation.
        targets: int64 ``(N,)``, positions in ``split.classes``.
        held_out: clips of seen classes that are held out, among all N.
        refit: training on all that is not held out for the test, with nothing left to choose by validation.
        is_copy: bool ``(N,)``, True for augmented copies, which are for training alone; None where there are none.
    """

    split: ClassSplit
    val_classes: list[str]
    targets: NDArray[np.int64]
    held_out: HeldOut
    refit: bool = False
    is_copy: NDArray[np.bool_] | None = None

    @property
    def pretended(self) -> list[str]:
        """Seen classes that play unseen ones; none in a refit."""
        return [] if self.refit else self.val_classes

    def classes(self, part: Part) -> list[str]:
        """Names of a part's classes, those that play unseen ones or are unseen last."""
        train = [name for name in self.split.seen if name not in self.pretended]
        return {"train": train, "val": [*train, *self.pretended], "test": self.split.classes}[part]

    def clips(self, part: Part) -> NDArray[np.int64]:
        """Positions of a part's clips among all."""
        is_seen = self.targets < len(self.split.seen)  # the seen classes come first
        for_val = self.held_out.val | np.isin(self.targets, [self.split.seen.index(name) for name in self.pretended])
        rest = is_seen & ~self.held_out.test
        chosen = {
            "train": rest if self.refit else rest & ~for_val,
            "val": rest & for_val,
            "test": ~is_seen | self.held_out.test,
        }
        if part == "train" or self.is_copy is None:
            return np.flatnonzero(chosen[part])
        return np.flatnonzero(chosen[part] & ~self.is_copy)


def choose_split(
    classes: Sequence[str],
    split: ClassSplit | None = None,
    unseen: Sequence[str] | None = None,
    n_unseen: int | None = None,
    split_seed: int = 0,
) -> ClassSplit:
    """The split as it was asked for: given, by the names of the unseen classes, or by their number.

    Raises:
        InputError: a seen class is the same instrument as an unseen one under another name, or see `ClassSplit`.
    """
    if split is None and unseen is not None:
        split = ClassSplit("named", tuple(name for name in classes if name not in unseen), tuple(unseen))
    if split is None:
        n = max(2, round(len(classes) / 5)) if n_unseen is None else n_unseen
        split = split_seen_unseen(classes, n, split_seed)
    for name in split.unseen:
        others = [other for other in split.seen if same_instrument(name, other)]
        if others:
            raise InputError(
                f"'{others[0]}' among the seen classes is the same instrument as the unseen '{name}'; a class whose "
                "recordings are trained on is not unseen, so leave one of them out"
            )
    return split


def choose_val_classes(split: ClassSplit, asked: Sequence[str] | int | None, seed: int) -> list[str]:
    """Seen classes that play unseen ones in validation: as named, or so many; None is a fifth where there are six.

    Raises:
        InputError: a name is unseen or unknown, or too few would be left on a side.
    """
    seen = split.seen
    if asked is None:
        asked = max(2, round(len(seen) / 5)) if len(seen) >= _FEWEST_FOR_VAL_CLASSES else 0
    if isinstance(asked, int):
        if not (asked == 0 or 2 <= asked <= len(seen) - 2):
            raise InputError(
                f"val_classes is {asked} of {len(seen)} seen classes; expected 0, or 2 to {max(2, len(seen) - 2)}"
            )
        order = np.random.default_rng(seed).permutation(len(seen))
        return sorted(seen[i] for i in order[:asked])
    for name in asked:
        if name in split.unseen:
            raise InputError(
                f"'{name}' is unseen, so it cannot serve validation: to choose by its recordings would be a leak; "
                "set seen classes aside instead"
            )
        if name not in seen:
            raise InputError(f"the validation class '{name}' is not among the seen classes: {', '.join(seen)}")
    left = tuple(name for name in seen if name not in asked)
    ClassSplit("of validation", left, tuple(asked))  # which needs two or more on either side, and none twice
    return list(asked)


def divide_clips(
    targets: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    folds: NDArray[np.int64] | None,
    split: ClassSplit,
    test_share: float,
    val_share: float,
    seed: int,
) -> HeldOut:
    """Holds clips of seen classes out: the split's folds, or a share, for the test, and of the rest for validation.

    Args:
        targets: int64 ``(N,)``, positions in ``split.seen``.
        groups: int64 ``(N,)``, players or songs that are not divided; None divides clips.
        folds: int64 ``(N,)``, the fold of each clip in the data set; None where it has none.
        split: names the folds.
        test_share: where it names none.
        val_share: of what is left.
        seed: of the choice.

    Raises:
        InputError: the split names folds and there are none, or a class has too few clips or groups.
    """
    rng = np.random.default_rng(seed)
    if split.test_folds:
        if folds is None:
            raise InputError(
                f"split '{split.name}' holds out folds {list(split.test_folds)}, but this data set has no folds; give "
                "the one that the split was made for"
            )
        test = np.isin(folds, split.test_folds)
        for c, name in enumerate(split.seen):
            if len({*test[targets == c]}) < 2:
                raise InputError(f"all or none of the clips of '{name}' lie in folds {list(split.test_folds)}")
    else:
        test = hold_out(targets, groups, test_share, rng, split.seen)
    val = np.zeros(len(targets), dtype=bool)
    rest = ~test
    val[rest] = hold_out(targets[rest], None if groups is None else groups[rest], val_share, rng, split.seen)
    return HeldOut(test, val)


def hold_out(
    targets: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    share: float,
    rng: np.random.Generator,
    class_names: Sequence[str],
) -> NDArray[np.bool_]:
    """Sets a share of every class's clips aside, whole groups where these are known.

    Args:
        targets: int64 ``(N,)``.
        groups: int64 ``(N,)``, none of which is divided; None divides single clips.
        share: between 0 and 1; every class keeps and gives at least one clip or group.
        rng: chooses.
        class_names: for messages.

    Returns:
        bool ``(N,)``, True where a clip is set aside.

    Raises:
        InputError: a class has too few clips or groups, or the share is out of range.

    Example:
        >>> int(hold_out(np.array([0, 0, 0, 0]), np.array([5, 5, 7, 7]), 0.5, np.random.default_rng(0), ["a"]).sum())
        2
    """
    if not 0 < share < 1:
        raise InputError(f"the share of clips to hold out is {share}; expected between 0 and 1")
    unit_of = np.arange(len(targets)) if groups is None else groups
    held: set[int] = set()
    kept: set[int] = set()  # a group may hold clips of several classes: what one has decided binds the others
    for c, name in enumerate(class_names):
        units, clips = np.unique(unit_of[targets == c], return_counts=True)
        n_held = sum(int(n) for unit, n in zip(units, clips, strict=True) if int(unit) in held)
        undecided = [i for i in rng.permutation(len(units)) if int(units[i]) not in held | kept]
        stays = 0 if any(int(unit) in kept for unit in units) else 1
        for i in undecided[: len(undecided) - stays]:
            # As near to the share as whole groups come, but something.
            if n_held > 0 and n_held + clips[i] / 2 > share * clips.sum():
                break
            held.add(int(units[i]))
            n_held += int(clips[i])
        kept.update(int(unit) for unit in units if int(unit) not in held)
        if n_held == 0 or n_held == clips.sum():
            what, remedy = ("clips", "") if groups is None else ("groups", ", or divide clips with split_groups=False")
            raise InputError(
                f"class '{name}' has too few {what} ({len(units)}) to hold some out for the test and for validation; "
                f"add recordings, leave the class out{remedy}"
            )
    return np.isin(unit_of, list(held))


def same_instrument(name: str, other: str) -> bool:
    """Whether two class names mean one instrument.

    Example:
        >>> same_instrument("double bass", "Contrabass"), same_instrument("Oboe", "Flute")
        (True, False)
    """
    instrument = canonical(name)
    return name_key(name) == name_key(other) or (instrument is not None and instrument == canonical(other))


def refuse_known(split: ClassSplit, names: Sequence[str], whose: str) -> None:
    """Raises where an encoder has learned from recordings of a class that is to be unseen.

    Args:
        split: names the unseen classes.
        names: classes that the encoder was trained on or chosen by.
        whose: what the message calls it.

    Raises:
        InputError: one of them is unseen here, under this name or another of the same instrument.
    """
    for name in split.unseen:
        known = [other for other in names if same_instrument(name, other)]
        if known:
            raise InputError(
                f"{whose} was trained with recordings of '{known[0]}', so '{name}' is not unseen; take an encoder that "
                "has not heard it, or make the class a seen one"
            )
