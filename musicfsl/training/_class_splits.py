"""Which classes are for training, which for validation, and which for the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from musicfsl.class_splits import ClassSplit, class_split, class_split_names
from musicfsl.datasets.base import ClassConditionalDataset, split_classes
from musicfsl.episodes import EpisodeSampler
from musicfsl.errors import EpisodeError, InputError, did_you_mean
from musicfsl.partition import Partition, partition_classes
from musicfsl.taxonomy import Taxonomy

__all__ = [
    "STAGES",
    "Stage",
    "classes_of",
    "clips_of_stages",
    "enough_clips",
    "named_split",
    "refuse_shared_classes",
    "split_by_seed",
]

Stage = Literal["train", "val", "test"]
STAGES: tuple[Stage, ...] = ("train", "val", "test")


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


def named_split(dataset: str | ClassConditionalDataset, partition: str) -> ClassSplit | None:
    """The split of this name that comes with the data set; None where ``partition`` is a file.

    Raises:
        InputError: it is neither.
    """
    name = dataset if isinstance(dataset, str) else dataset.name
    known = class_split_names(name)
    if partition in known:
        return class_split(name, partition)
    if known and not Path(partition).expanduser().exists():
        raise InputError(
            f"partition '{partition}' is neither a file nor a split that comes with {name}."
            f"{did_you_mean(partition, known)} It has: {', '.join(known)}"
        )
    return None


def clips_of_stages(
    source: ClassConditionalDataset, split: ClassSplit
) -> tuple[ClassConditionalDataset, dict[Stage, NDArray[np.int64]]]:
    """The clips that a split uses, and which of them each stage has: of its classes, in its official subset.

    Raises:
        InputError: the data set does not tell the official subset of each clip.
    """
    subset_of = np.array(getattr(source, "part", ()))
    if split.subsets and len(subset_of) != len(source):
        raise InputError(
            f"the split '{split.name}' of {split.dataset} goes by the official subsets, which stored features and "
            "parts of the data set do not tell; give the data set by its name, or all of it as waves"
        )
    stage_of = np.full(len(source), -1)
    for number, stage in enumerate(STAGES):
        wanted = [source.classes.index(label) for label in split.parts[stage] if label in source.classes]
        chosen = np.isin(source.targets, wanted)
        if split.subsets:
            chosen &= subset_of == split.subsets[stage]
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
