"""Which excerpts are for training, which for validation, and which for the test."""

from __future__ import annotations

import importlib
import warnings
from typing import get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.datasets.registry import dataset_info, dataset_names
from musicfsl.errors import InputError
from musicfsl.training._class_splits import Stage
from musicfsl.training.tagging.batches import multi_hot

__all__ = [
    "SUBSETS",
    "Stage",
    "check_parts",
    "comes_in_subsets",
    "groups_set_aside",
    "warn_of_missing_classes",
]

#: Stage -> what data sets that come in three parts call it.
SUBSETS: dict[Stage, str] = {"train": "training", "val": "validation", "test": "testing"}


def comes_in_subsets(name: str) -> bool:
    """Whether a data set is known by name, and has the subsets training, validation and testing."""
    if name not in dataset_names():
        return False
    module, _, class_name = dataset_info(name).class_path.partition(":")
    hints = get_type_hints(getattr(importlib.import_module(module), class_name).__init__)
    choices = [get_args(choice) for choice in (hints.get("subset"), *get_args(hints.get("subset")))]
    return any(set(SUBSETS.values()) <= set(found) for found in choices)


def groups_set_aside(
    groups: NDArray[np.int64], labels: NDArray[np.uint8], share: float, seed: int
) -> NDArray[np.bool_]:
    """Items of groups that are set aside, until every class has given up its share.

    Groups come in random order. One is set aside where it helps the class that has most to give up yet, and no class
    loses its last group by it.
    """
    names, number = np.unique(groups, return_inverse=True)
    held = np.zeros((len(names), labels.shape[1]))
    np.add.at(held, number, labels)  # labels of each group
    wanted = share * held.sum(axis=0)
    aside = np.zeros(len(names), dtype=bool)
    for group in np.random.default_rng((seed, 3)).permutation(len(names)):
        after = held[aside].sum(axis=0) + held[group]
        keeps_some = (after < held.sum(axis=0)) | (held.sum(axis=0) == 0)
        helps = np.abs(wanted - after).sum() < np.abs(wanted - after + held[group]).sum()
        aside[group] = bool(keeps_some.all() and helps)
    return aside[number]


def check_parts(parts: dict[Stage, ClassConditionalDataset]) -> None:
    """Raises the error that names what does not fit before anything is trained."""
    train = parts["train"]
    for stage, part in parts.items():
        if list(part.classes) != list(train.classes):
            raise InputError(
                f"the excerpts for '{stage}' have the classes {', '.join(part.classes)}, but those for training "
                f"{', '.join(train.classes)}; give both the same vocabulary"
            )
        if len(part) == 0:
            raise InputError(f"there are no excerpts for '{stage}'; give more recordings")


def warn_of_missing_classes(parts: dict[Stage, ClassConditionalDataset]) -> None:
    """Names the classes that no excerpt of a part has; training goes on without them."""
    train = parts["train"]
    consequence = {
        "train": "it will never be recognised",
        "val": "its threshold cannot be tuned, and validation says nothing of it",
        "test": "the test says nothing of it",
    }
    for stage, part in parts.items():
        counts = multi_hot(part).sum(axis=0)
        for name, count in zip(train.classes, counts, strict=True):
            if count == 0:
                warnings.warn(
                    f"{part.name}: no excerpt for '{stage}' has the class '{name}'; {consequence[stage]}", stacklevel=3
                )
