"""Which classes are for training, which for validation, and which for the test."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from musicfsl.class_splits import NamedSplit, class_split, class_split_names
from musicfsl.datasets.base import ClassConditionalDataset, Subset, split_classes
from musicfsl.episodes import EpisodeSampler
from musicfsl.errors import EpisodeError, InputError, did_you_mean
from musicfsl.partition import Partition, partition_classes
from musicfsl.taxonomy import Taxonomy

__all__ = [
    "STAGES",
    "NamedClasses",
    "Stage",
    "classes_of",
    "clips_of_stages",
    "enough_clips",
    "named_split",
    "refuse_shared_classes",
    "split_by_seed",
    "without_small_classes",
]

Stage = Literal["train", "val", "test"]
STAGES: tuple[Stage, ...] = ("train", "val", "test")


class NamedClasses:
    """The classes of each stage as somebody named them: one by one, in a file, or by a split of the data set's own.

    Args:
        dataset: whose classes.
        train_classes: classes to train on; None leaves the choice to `split_by_seed`.
        val_classes: for validation.
        test_classes: for the test.
        partition: what names them instead, a file or a split that comes with the data set.

    Attributes:
        classes: of each stage; empty where nobody named any.
        split: the split that comes with the data set, where it is the one that names them.

    Raises:
        InputError: the names contradict each other, or the partition is neither a file nor a known split.
    """

    def __init__(
        self,
        dataset: str | ClassConditionalDataset,
        train_classes: Sequence[str] | None,
        val_classes: Sequence[str] | None,
        test_classes: Sequence[str] | None,
        partition: str | None,
    ) -> None:
        self.split: NamedSplit | None = None
        self._clips_of: dict[Stage, NDArray[np.int64]] = {}
        if partition is not None:
            if any(names is not None for names in (train_classes, val_classes, test_classes)):
                raise InputError("partition names the classes of each part; leave the classes or the partition out")
            self.split = named_split(dataset, partition)
            parts_of = classes_of(partition) if self.split is None else [*map(list, self.split.parts.values())]
            train_classes, val_classes, test_classes = parts_of
        if (train_classes is None) != (val_classes is None) or (train_classes is None and test_classes is not None):
            raise InputError("train_classes and val_classes go together; name both, or none for a split by seed")
        parts = (train_classes or (), val_classes or (), test_classes or ())
        self.classes: dict[Stage, list[str]] = {s: list(names) for s, names in zip(STAGES, parts, strict=True) if names}
        if self.split is None:  # one that comes with the data set may share classes, and reports say so
            refuse_shared_classes(self.classes)

    def clips(self, source: ClassConditionalDataset) -> ClassConditionalDataset:
        """The clips that the split uses: all of them, unless it goes by official subsets."""
        if self.split is not None:
            source, self._clips_of = clips_of_stages(source, self.split)
        return source

    def divide(self, items: ClassConditionalDataset, classes: Mapping[Stage, Sequence[str]]) -> dict[Stage, Subset]:
        """What each stage has of the clips that `clips` gave, as features or as embeddings."""
        originals = items.originals()  # augmented copies are for training alone
        return {
            stage: (items if stage == "train" else originals).subset(list(names), self._clips_of.get(stage))
            for stage, names in classes.items()
        }

    def trained_on(self, stage: Stage) -> list[str]:
        """Classes of a stage that the split trains on as well."""
        return [] if self.split is None else self.split.trained_on(stage)

    def describe(self) -> dict[str, str]:
        """The split's name, where there is one."""
        return {} if self.split is None else {"split": self.split.name}


def split_by_seed(
    name: str,
    classes: Sequence[str],
    sizes: Sequence[float],
    seed: int,
    taxonomy: Taxonomy | None = None,
    depth: int | None = None,
) -> dict[Stage, list[str]]:
    """Classes by part; every part needs two at least, since a choice among one is none.

    Args:
        name: of the data set, for messages.
        classes: to split.
        sizes: of two or three parts.
        seed: of the choice.
        taxonomy: needed where there is a depth.
        depth: of the nodes under which the classes are split, each family by itself; None splits all of them together.

    Raises:
        InputError: there are too few classes, or the sizes do not fit.
    """
    n_parts = len(sizes)
    if n_parts not in (2, 3):
        raise InputError(f"sizes are {tuple(sizes)}; expected parts for training, validation and perhaps test")
    if len(classes) < 2 * n_parts:
        raise InputError(
            f"{name} has {len(classes)} classes, but training, validation{' and test' if n_parts == 3 else ''} need "
            f"two each; add classes{', or leave the test out with sizes [0.5, 0.5]' if len(classes) >= 4 else ''}"
        )
    if depth is None:
        names = split_classes(classes, sizes, seed)
    else:
        if taxonomy is None:
            raise InputError(f"split_depth is {depth}, but there is no taxonomy to split by; give one")
        partition = partition_classes(taxonomy, classes, STAGES[:n_parts], sizes, depth, seed)
        names = [partition.part(stage) for stage in STAGES[:n_parts]]
    while min(len(part) for part in names) < 2:  # rounding left a part with one class
        largest, smallest = max(names, key=len), min(names, key=len)
        smallest.append(largest.pop())
    return dict(zip(STAGES, (sorted(part) for part in names), strict=False))


def classes_of(path: str) -> tuple[list[str], list[str], list[str] | None]:
    """Classes for training, validation and the test, from a file that keeps a partition."""
    partition = Partition.load(path)
    if list(partition.parts) not in ([*STAGES], [*STAGES[:2]]):
        raise InputError(
            f"{path} has the parts {', '.join(partition.parts)}; expected train, val and perhaps test, in this order"
        )
    return partition.part("train"), partition.part("val"), partition.part("test") if len(partition.parts) > 2 else None


def named_split(dataset: str | ClassConditionalDataset, partition: str) -> NamedSplit | None:
    """The split of this name that comes with the data set; None where ``partition`` is a file.

    Raises:
        InputError: it is neither.
    """
    name = dataset if isinstance(dataset, str) else dataset.name
    known = class_split_names(name)
    if partition in known:
        return class_split(name, partition)
    if not Path(partition).expanduser().exists():
        has = f"It has: {', '.join(known)}" if known else "It has none; give a data set that has some by its name"
        raise InputError(
            f"partition '{partition}' is neither a file nor a split that comes with {name}."
            f"{did_you_mean(partition, known)} {has}"
        )
    return None


def clips_of_stages(
    source: ClassConditionalDataset, split: NamedSplit
) -> tuple[ClassConditionalDataset, dict[Stage, NDArray[np.int64]]]:
    """The clips that a split uses, and which of them each stage has: of its classes, in its official subset.

    Raises:
        InputError: the data set does not tell the official subset of each clip, or lacks a class of a stage.
    """
    subset_of = np.array(getattr(source, "part", ()))
    if split.subsets and len(subset_of) != len(source):
        raise InputError(
            f"the split '{split.name}' of {split.dataset} goes by the official subsets, which stored features and "
            "parts of the data set do not tell; give the data set by its name, or all of it as waves"
        )
    label_of = np.array(source.classes)[source.targets]
    stage_of = np.full(len(source), -1)
    for number, stage in enumerate(STAGES):
        chosen = np.isin(label_of, split.parts[stage])
        if split.subsets:
            chosen &= subset_of == split.subsets[stage]
        lacking = sorted(set(split.parts[stage]) - set(label_of[chosen].tolist()))
        if lacking:
            subset = f" in the official subset '{split.subsets[stage]}'" if split.subsets else ""
            raise InputError(
                f"{source.name} has no clips of {', '.join(lacking)}{subset}, which the split '{split.name}' needs for "
                f"'{stage}'; get all of the data set, or name train_classes, val_classes and test_classes instead"
            )
        stage_of[chosen] = number
    used = np.flatnonzero(stage_of >= 0)
    stages = {stage: np.flatnonzero(stage_of[used] == number) for number, stage in enumerate(STAGES)}
    return source.subset(indices=used), stages


def refuse_shared_classes(parts: Mapping[Stage, Sequence[str]]) -> None:
    """Parts that share a class would measure memory, not learning."""
    for stage, names in parts.items():
        for other in STAGES[: STAGES.index(stage)]:
            shared = sorted(set(names) & set(parts.get(other, ())))
            if shared:
                raise InputError(
                    f"class '{shared[0]}' stands in {other}_classes and in {stage}_classes; a class that was trained "
                    "on or chosen by is not new any more, so name it in one of them"
                )


def enough_clips(
    clips: ClassConditionalDataset, n_support: int, n_query: int, split_groups: bool
) -> tuple[list[str], list[str]]:
    """The classes that have enough clips for an episode, in enough recordings, and those that have not."""
    kept, small = [], []
    for name, indices in clips.class_to_indices.items():
        groups = clips.groups[indices] if split_groups and clips.groups is not None else None
        try:
            # With classes drawn with replacement one class is enough for a sampler.
            EpisodeSampler(np.zeros(len(indices), np.int64), 2, n_support, n_query, 0, groups, repeat_classes=True)
            kept.append(name)
        except EpisodeError:
            small.append(name)
    return kept, small


def without_small_classes(
    clips: ClassConditionalDataset, n_support: int, n_query: int, split_groups: bool
) -> tuple[list[str], list[str]]:
    """What `enough_clips` tells of the originals, with a warning that names the classes left out."""
    kept, small = enough_clips(clips.originals(), n_support, n_query, split_groups)
    if small:
        warnings.warn(
            f"{clips.name}: left out, for want of clips (or of recordings to tell apart), were {len(small)} of "
            f"{len(clips.classes)} classes: {', '.join(small)}",
            stacklevel=3,
        )
    return kept, small
