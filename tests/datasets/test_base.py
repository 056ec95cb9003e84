"""Subsets, and class splits that never overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from musicfsl.datasets import AudioFolder, ClassConditionalDataset, SyntheticInstruments, split_classes
from musicfsl.errors import DatasetError, InputError

NAMES = [f"class {number:02d}" for number in range(14)]


@pytest.mark.parametrize("sizes", [[9, 5], [6, 3, 5], [0.6, 0.2, 0.2], [0.5, 0.5], [0.98, 0.01, 0.01], [1, 1]])
@pytest.mark.parametrize("seed", range(5))
def test_split_classes_never_overlaps(sizes: list[float], seed: int) -> None:
    parts = split_classes(NAMES, sizes, seed)
    together = [name for part in parts for name in part]
    assert len(set(together)) == len(together) and set(together) <= set(NAMES)
    assert all(part == sorted(part) and part for part in parts)
    if all(size >= 1 for size in sizes):
        assert [len(part) for part in parts] == sizes
    else:
        assert len(together) == len(NAMES)
        exact = [size * len(NAMES) for size in sizes]
        assert all(abs(len(part) - share) < 2 for part, share in zip(parts, exact, strict=True))


def test_split_classes_depends_on_the_seed_alone() -> None:
    assert split_classes(NAMES, [9, 5], seed=3) == split_classes(NAMES[::-1], {"train": 9, "test": 5}, seed=3)
    splits = {tuple(split_classes(NAMES, [9, 5], seed=seed)[1]) for seed in range(20)}
    assert len(splits) > 15


def test_split_classes_chooses_every_class_equally_often() -> None:
    counts = dict.fromkeys(NAMES, 0)
    for seed in range(700):
        for name in split_classes(NAMES, [5, 9], seed)[0]:
            counts[name] += 1
    # 700 draws with probability 5/14: mean 250, standard deviation 12.7; 5 of them leave no chance to a fair shuffle.
    assert all(abs(count - 250) < 5 * 12.7 for count in counts.values())


def test_split_classes_of_a_dataset(mixed_folder: Path) -> None:
    train, test = split_classes(AudioFolder(mixed_folder), [2, 1], seed=0)
    assert sorted(train + test) == ["alto", "bass", "tenor"]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([10, 5], "need 15 classes, but there are only 14"),
        ([0.6, 0.6], "whole numbers, or fractions"),
        ([9, -1], "one positive number a part"),
        ([0, 5], "one positive number a part"),
        ([], "one positive number a part"),
    ],
)
def test_split_classes_refuses(sizes: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_classes(NAMES, sizes, seed=0)


def test_split_classes_refuses_more_parts_than_classes_and_duplicates() -> None:
    with pytest.raises(InputError, match="need 3 classes, but there are only 2"):
        split_classes(["a", "b"], [0.5, 0.3, 0.2], seed=0)
    with pytest.raises(InputError, match="duplicate"):
        split_classes(["a", "b", "a"], [1, 1], seed=0)


def test_subset_keeps_the_order_asked_for(mixed_folder: Path) -> None:
    dataset = AudioFolder(mixed_folder)
    assert not dataset.is_multilabel and dataset.labels_of(0) == ["alto"]
    part = dataset.subset(classes=["tenor", "alto"], indices=[11, 5, 0, 8])
    assert part.indices.tolist() == [11, 0, 8]  # item 5 is of another class
    assert part.targets.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"classes": "alto"}, InputError, "the string 'alto'; expected a list"),
        ({"classes": ["altos"]}, DatasetError, "no class 'altos'. Did you mean 'alto'"),
        ({"classes": ["alto", "alto"]}, DatasetError, "'alto' is given twice"),
        ({"indices": [0, 12]}, InputError, "index 12 is out of range for mixed with 12 items"),
        ({"indices": [-1]}, InputError, "index -1 is out of range"),
        ({"indices": np.ones(12, dtype=bool)}, InputError, "flatnonzero makes one of a mask"),
        ({"indices": [0.5]}, InputError, "expected a list of whole numbers"),
    ],
)
def test_subset_refuses(mixed_folder: Path, settings: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AudioFolder(mixed_folder).subset(**settings)  # type: ignore[arg-type]


def test_empty_subset(mixed_folder: Path) -> None:
    assert len(AudioFolder(mixed_folder).subset(indices=[])) == 0


def test_a_data_set_says_in_one_line_what_it_is(mixed_folder: Path, tmp_path: Path) -> None:
    recorded = AudioFolder(mixed_folder)
    assert str(recorded) == (
        f"{mixed_folder.name}: {len(recorded)} items of {len(recorded.classes)} classes, no groups known, 16000 Hz, "
        "recordings"
    )
    made = SyntheticInstruments(
        n_players=2, notes_per_player=1, classes=["Flute", "Harp"], cache_dir=tmp_path, progress=False
    )
    assert str(made) == "synthetic: 4 items of 2 classes, 4 groups, 16000 Hz, made by rules, not recorded"


def test_a_subset_keeps_the_families_of_its_classes(tmp_path: Path, mixed_folder: Path) -> None:
    names = ["Flute", "Harp", "Koto"]
    made = SyntheticInstruments(n_players=1, notes_per_player=1, classes=names, cache_dir=tmp_path, progress=False)
    assert made.subset(classes=["Koto", "Flute"]).families == {"Koto": "plucked strings", "Flute": "flutes"}
    assert AudioFolder(mixed_folder).subset().families is None


class Labelled(ClassConditionalDataset):
    """Four constant items with two, no, one and three labels."""

    def __init__(self) -> None:
        self.name = "labelled"
        self.classes = ["cello", "flute", "voice"]
        self.targets = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 1, 1]], dtype=np.uint8)
        self.groups = np.arange(4)
        self.sample_rate = 8000
        self.lengths = np.full(4, 80)

    def read(self, index: int, offset: int = 0, length: int | None = None) -> torch.Tensor:
        return torch.full((1, 80), index / 4)

    def fingerprint(self) -> str:
        return "labelled"


def test_items_may_have_several_labels() -> None:
    dataset = Labelled()
    assert dataset.is_multilabel
    assert [dataset[i][1].tolist() for i in range(4)] == dataset.targets.tolist()
    assert dataset[0][1].dtype == torch.uint8
    dataset[0][1].zero_()  # a copy: what a caller does to a target changes no data set
    assert dataset.targets[0].tolist() == [1, 1, 0]
    assert dataset.labels_of(3) == ["cello", "flute", "voice"] and dataset.labels_of(1) == []
    assert {name: indices.tolist() for name, indices in dataset.class_to_indices.items()} == {
        "cello": [0, 3],
        "flute": [0, 3],
        "voice": [2, 3],
    }
    assert dataset.item_name(0) == "item 0 of labelled (cello and flute)"
    assert dataset.item_name(1) == "item 1 of labelled (without a label)"


def test_subset_of_several_labels_keeps_the_columns_and_the_items_that_have_one() -> None:
    dataset = Labelled()
    part = dataset.subset(classes=["voice", "cello"])
    assert part.indices.tolist() == [0, 2, 3] and part.classes == ["voice", "cello"]
    assert part.targets.tolist() == [[0, 1], [1, 0], [1, 1]] and part.targets.dtype == np.uint8
    assert part.labels_of(0) == ["cello"] and torch.equal(part[1][0], dataset[2][0])
    # Without classes nothing is left out, items without a label included.
    assert dataset.subset().targets.tolist() == dataset.targets.tolist()
    assert dataset.subset(indices=[1, 3]).targets.tolist() == [[0, 0, 0], [1, 1, 1]]
