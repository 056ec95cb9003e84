"""The contract that every data set obeys: waves, stored features and stored embeddings alike.

One episode sampler, one trainer and one evaluation serve all of them because each item has a class,
perhaps a group (the recording, player or song it was cut from), and a time axis that comes last.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from musicfsl.audio import crop_or_pad
from musicfsl.errors import DatasetError, InputError, did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ClassConditionalDataset", "Subset", "hash_of", "split_classes"]


class ClassConditionalDataset(Dataset[tuple[Tensor, Any]], ABC):
    """Items with a class each, or with any number of classes, that can be listed by class.

    A concrete data set sets the attributes below and implements `read` and `fingerprint`.
    It never changes after construction.

    Attributes:
        name: short name for reports and file names.
        classes: class names; ``targets`` index this list.
        targets: int64 array ``(N,)``, the class of each item; where items have several labels or none (a multi-label
            data set), uint8 array ``(N, n_classes)`` of 0 and 1.
        groups: int64 array ``(N,)``, the recording, player or song that an item came from, so that
            support and query can be kept apart; None where nothing is known.
        sample_rate: of the waves in Hz (of the waves it was computed from, for stored features).
        lengths: int64 array ``(N,)``: length of every item along its last axis (samples or frames).
        length: length of what ``ds[i]`` gives along the last axis; None gives whole items, whose lengths differ.
        seed: where ``ds[i]`` cuts from a longer item is a pure function of ``(seed, i)``.
        is_synthetic: True where no item is a recording of the world.
        families: class name -> family of instruments; None where nothing is known of them.
        front_end_settings: of the front end that made stored features; None for waves.
        is_copy: bool array ``(N,)``, True for augmented copies of other items; None where there are none.
    """

    name: str
    classes: list[str]
    targets: NDArray[Any]
    groups: NDArray[np.int64] | None
    sample_rate: int
    lengths: NDArray[np.int64]
    length: int | None = None
    seed: int = 0
    is_synthetic: bool = False
    families: dict[str, str] | None = None
    front_end_settings: dict[str, Any] | None = None
    is_copy: NDArray[np.bool_] | None = None

    @abstractmethod
    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        """Reads item ``index``, or ``length`` steps of its last axis from ``offset`` on.

        Returns:
            float32 tensor, ``(1, n)`` for waves (values in [-1, 1]), ``(n_mels, n)`` for log-mel
            features; at the end of an item fewer steps than asked for may come.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash that changes whenever the content of any item (or their order) may have changed."""

    def __len__(self) -> int:
        return len(self.targets)

    def __str__(self) -> str:
        groups = "no groups known" if self.groups is None else f"{len(np.unique(self.groups))} groups"
        kind = "made by rules, not recorded" if self.is_synthetic else "recordings"
        return f"{self.name}: {len(self)} items of {len(self.classes)} classes, {groups}, {self.sample_rate} Hz, {kind}"

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        """Item ``index`` and its target: a class number, or a uint8 tensor ``(n_classes,)`` of 0 and 1."""
        index = self._checked_index(index)
        rng = np.random.default_rng((self.seed, self._origin(index)))
        target = torch.from_numpy(self.targets[index].copy()) if self.is_multilabel else int(self.targets[index])
        return self.draw(index, rng), target

    @property
    def is_multilabel(self) -> bool:
        """Whether items may have several labels, or none."""
        return self.targets.ndim == 2

    def labels_of(self, index: int) -> list[str]:
        """Names of the classes of item ``index``: one, or in a multi-label data set any number of them."""
        if self.is_multilabel:
            return [name for name, present in zip(self.classes, self.targets[index], strict=True) if present]
        return [self.classes[int(self.targets[index])]]

    def draw(self, index: int, rng: np.random.Generator) -> Tensor:
        """Gives item ``index``, cut at a place that ``rng`` chooses where it is longer than ``length``.

        Items shorter than ``length`` are filled to it (see `fill`).
        """
        if self.length is None:
            return self.read(index)
        slack = int(self.lengths[index]) - self.length
        offset = int(rng.integers(slack + 1)) if slack > 0 else 0
        return self.fill(self.read(index, offset, self.length), self.length)

    def fill(self, x: Tensor, length: int) -> Tensor:
        """Lengthens an item shorter than ``length``: waves by zeros, stored features by repeating themselves."""
        return crop_or_pad(x, length)

    @cached_property
    def class_to_indices(self) -> dict[str, NDArray[np.int64]]:
        """Class name -> indices of its items, in order; an item with several labels is listed under each."""
        if self.is_multilabel:
            return {name: np.flatnonzero(self.targets[:, c]) for c, name in enumerate(self.classes)}
        return {name: np.flatnonzero(self.targets == c) for c, name in enumerate(self.classes)}

    def subset(
        self, classes: Sequence[str] | None = None, indices: Sequence[int] | NDArray[np.int64] | None = None
    ) -> Subset:
        """A view of some classes, of some items, or of both.

        A multi-label data set keeps the items that have any of the classes named; without ``classes`` all items,
        those without a label included.

        Args:
            classes: names to keep, in the order that the result lists them; None keeps all.
            indices: items to keep; None keeps all.

        Raises:
            DatasetError: a class name is unknown or given twice.
        """
        return Subset(self, classes=classes, indices=indices)

    def originals(self) -> ClassConditionalDataset:
        """The items that are no augmented copies, which all evaluation takes; the data set itself where all are."""
        if self.is_copy is None or not self.is_copy.any():
            return self
        return self.subset(indices=np.flatnonzero(~self.is_copy))

    @property
    def recorded_classes(self) -> list[str]:
        """The classes that are recordings of the world."""
        return [] if self.is_synthetic else list(self.classes)

    def item_name(self, index: int) -> str:
        """What messages call item ``index``: its file where it has one."""
        return f"item {index} of {self.name} ({' and '.join(self.labels_of(index)) or 'without a label'})"

    def with_length(self, length: int | None, seed: int | None = None) -> Self:
        """The same data set, giving items cut to another length (samples or frames; None for whole items)."""
        if length is not None and length < 1:
            raise InputError(f"length is {length}; expected 1 or more, or None for whole items")
        changed = copy.copy(self)
        changed.length = length
        changed.seed = self.seed if seed is None else seed
        return changed

    def describe(self) -> dict[str, Any]:
        """What a report says of the data: name, classes, size, whether it is synthetic."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "n_items": len(self),
            "is_synthetic": self.is_synthetic,
            "fingerprint": self.fingerprint(),
        }

    def _origin(self, index: int) -> int:
        """The index in the data set that this is a view of, so that a view gives the very same items."""
        return index

    def _checked_index(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {self.name} with {len(self)} items")
        return index % len(self)


class Subset(ClassConditionalDataset):
    """Some classes or items of another data set, with targets numbered anew."""

    def __init__(
        self,
        dataset: ClassConditionalDataset,
        classes: Sequence[str] | None = None,
        indices: Sequence[int] | NDArray[np.int64] | None = None,
    ) -> None:
        if isinstance(classes, str):
            raise InputError(f"classes is the string '{classes}'; expected a list of class names")
        kept = list(dataset.classes) if classes is None else list(classes)
        for name in kept:
            if name not in dataset.classes:
                raise DatasetError(
                    f"{dataset.name} has no class '{name}'.{did_you_mean(name, dataset.classes)} "
                    f"It has: {', '.join(dataset.classes)}"
                )
            if kept.count(name) > 1:
                raise DatasetError(f"class '{name}' is given twice; name every class once")
        chosen = np.arange(len(dataset)) if indices is None else _checked_indices(indices, dataset)
        columns = [dataset.classes.index(name) for name in kept]
        if dataset.is_multilabel:
            if classes is not None:
                chosen = chosen[dataset.targets[chosen][:, columns].any(axis=1)]
            targets = dataset.targets[chosen][:, columns]
        else:
            renumber = np.full(len(dataset.classes), -1, dtype=np.int64)
            renumber[columns] = np.arange(len(kept))
            chosen = chosen[renumber[dataset.targets[chosen]] >= 0]
            targets = renumber[dataset.targets[chosen]]

        self.dataset = dataset
        self.indices: NDArray[np.int64] = chosen
        self.name = dataset.name
        self.classes = kept
        self.targets = targets
        self.groups = None if dataset.groups is None else dataset.groups[chosen]
        self.sample_rate = dataset.sample_rate
        self.lengths = dataset.lengths[chosen]
        self.length = dataset.length
        self.seed = dataset.seed
        self.is_synthetic = dataset.is_synthetic
        self.families = None if dataset.families is None else {name: dataset.families[name] for name in kept}
        self.front_end_settings = dataset.front_end_settings
        self.is_copy = None if dataset.is_copy is None else dataset.is_copy[chosen]

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        return self.dataset.read(int(self.indices[index]), offset, length)

    def fill(self, x: Tensor, length: int) -> Tensor:
        return self.dataset.fill(x, length)

    @property
    def recorded_classes(self) -> list[str]:
        return [name for name in self.classes if name in self.dataset.recorded_classes]

    def item_name(self, index: int) -> str:
        return self.dataset.item_name(int(self.indices[index]))

    def _origin(self, index: int) -> int:
        return self.dataset._origin(int(self.indices[index]))

    def fingerprint(self) -> str:
        return hash_of({"of": self.dataset.fingerprint(), "classes": self.classes, "indices": self.indices.tolist()})


def split_classes(
    dataset: ClassConditionalDataset | Sequence[str], sizes: Sequence[float] | Mapping[str, float], seed: int
) -> list[list[str]]:
    """Divides classes into parts that share none, such as train, validation and test.

    Args:
        dataset: a data set, or its list of class names.
        sizes: one number a part: all whole numbers (of classes) or all fractions. Fractions that sum to
            1 use every class, and every part gets at least one.
        seed: the classes are shuffled by it; the same seed gives the same parts.

    Returns:
        one sorted list of class names a part, in the order of ``sizes``.

    Raises:
        InputError: there are fewer classes than the parts ask for, or a size is not positive.

    Example:
        >>> split_classes(["a", "b", "c", "d", "e"], sizes=[3, 2], seed=0)
        [['c', 'd', 'e'], ['a', 'b']]
    """
    names = sorted(dataset.classes if isinstance(dataset, ClassConditionalDataset) else dataset)
    if len(set(names)) != len(names):
        raise InputError("the class names hold a duplicate; name every class once")
    wanted = list(sizes.values()) if isinstance(sizes, Mapping) else list(sizes)
    counts = _part_sizes(len(names), wanted)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    bounds = np.cumsum([0, *counts])
    return [sorted(shuffled[a:b]) for a, b in itertools.pairwise(bounds)]


def _checked_indices(indices: Sequence[int] | NDArray[np.int64], dataset: ClassConditionalDataset) -> NDArray[np.int64]:
    chosen = np.asarray(indices)
    if chosen.ndim != 1 or (chosen.size > 0 and chosen.dtype.kind not in "iu"):
        raise InputError(
            f"indices are {chosen.dtype} of shape {chosen.shape}; expected a list of whole numbers "
            "(numpy.flatnonzero makes one of a mask)"
        )
    outside = chosen[(chosen < 0) | (chosen >= len(dataset))]
    if len(outside):
        raise InputError(f"index {outside[0]} is out of range for {dataset.name} with {len(dataset)} items")
    return chosen.astype(np.int64)


def _part_sizes(n_classes: int, sizes: list[float]) -> list[int]:
    """Numbers of classes a part; fractions are rounded so that the sum stays right."""
    if not sizes or any(size <= 0 for size in sizes):
        raise InputError(f"sizes are {sizes}; expected one positive number a part")
    if all(float(size).is_integer() for size in sizes):
        counts = [int(size) for size in sizes]
    elif sum(sizes) <= 1 + 1e-9:
        # Every part gets its one class first; the rest goes where the largest share is still owed.
        counts = [1] * len(sizes)
        total = max(len(sizes), round(sum(sizes) * n_classes))
        while sum(counts) < total:
            owed = [size * n_classes - count for size, count in zip(sizes, counts, strict=True)]
            counts[int(np.argmax(owed))] += 1
    else:
        raise InputError(f"sizes are {sizes}; expected whole numbers, or fractions whose sum is at most 1")
    if sum(counts) > n_classes:
        raise InputError(
            f"the parts need {sum(counts)} classes, but there are only {n_classes}; add classes or ask less"
        )
    return counts


def hash_of(value: Any) -> str:
    """A short stable hash of anything that JSON can hold.

    Example:
        >>> hash_of({"a": 1}) == hash_of({"a": 1}) != hash_of({"a": 2})
        True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
