"""Several data sets as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from musicfsl.datasets.base import ClassConditionalDataset, hash_of
from musicfsl.errors import DatasetError

__all__ = ["Merged"]


class Merged(ClassConditionalDataset):
    """The classes of several data sets behind one another, such as synthetic and recorded ones to train on.

    Args:
        datasets: all of waves or all of features of the same front end, with the same length. No two may have
            a class of the same name: whether two classes are one is for the user to say.
        name: of the result; None joins the names.

    Raises:
        DatasetError: the data sets do not go together.

    Example:
        >>> both = Merged([synthetic_store, folder_store])  # doctest: +SKIP
    """

    def __init__(self, datasets: Sequence[ClassConditionalDataset], name: str | None = None) -> None:
        if not datasets:
            raise DatasetError("there is nothing to merge; give at least one data set")
        first = datasets[0]
        self.classes = []
        for dataset in datasets:
            for what in ("sample_rate", "front_end_settings", "length"):
                if getattr(dataset, what) != getattr(first, what):
                    raise DatasetError(
                        f"{first.name} and {dataset.name} differ in {what} ({getattr(first, what)} and "
                        f"{getattr(dataset, what)}); open both with the same"
                    )
            shared = sorted(set(self.classes) & set(dataset.classes))
            if shared:
                raise DatasetError(
                    f"two of the data sets have a class '{shared[0]}'; leave it out of one with subset()"
                )
            self.classes += dataset.classes
        self.datasets = list(datasets)
        self.name = name or "+".join(dataset.name for dataset in datasets)
        self.sample_rate, self.length, self.seed = first.sample_rate, first.length, first.seed
        self.front_end_settings = first.front_end_settings
        self.is_synthetic = all(dataset.is_synthetic for dataset in datasets)
        self.lengths = np.concatenate([dataset.lengths for dataset in datasets])
        class_starts = np.cumsum([0] + [len(dataset.classes) for dataset in datasets])
        self.targets = np.concatenate([d.targets + start for d, start in zip(datasets, class_starts, strict=False)])
        self.groups = _disjoint_groups(datasets)
        if any(dataset.is_copy is not None for dataset in datasets):
            copies = [np.zeros(len(d), dtype=bool) if d.is_copy is None else d.is_copy for d in datasets]
            self.is_copy = np.concatenate(copies)
        self._starts = np.cumsum([0] + [len(dataset) for dataset in datasets])

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        dataset, inner = self._place(index)
        return dataset.read(inner, offset, length)

    def fill(self, x: Tensor, length: int) -> Tensor:
        return self.datasets[0].fill(x, length)

    @property
    def recorded_classes(self) -> list[str]:
        return [name for dataset in self.datasets for name in dataset.recorded_classes]

    def item_name(self, index: int) -> str:
        dataset, inner = self._place(index)
        return dataset.item_name(inner)

    def fingerprint(self) -> str:
        return hash_of({"merged": [dataset.fingerprint() for dataset in self.datasets]})

    def _place(self, index: int) -> tuple[ClassConditionalDataset, int]:
        which = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.datasets[which], index - int(self._starts[which])


def _disjoint_groups(datasets: Sequence[ClassConditionalDataset]) -> np.ndarray | None:
    """Groups numbered anew so that those of two data sets differ; items without a group are each their own."""
    if all(dataset.groups is None for dataset in datasets):
        return None
    parts, start = [], 0
    for dataset in datasets:
        groups = np.arange(len(dataset)) if dataset.groups is None else dataset.groups
        parts.append(groups + start)
        start += int(groups.max()) + 1
    return np.concatenate(parts).astype(np.int64)
