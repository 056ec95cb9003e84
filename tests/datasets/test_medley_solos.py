"""Medley-solos-DB through mirdata's own loader, on a small tree with the real file names."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from musicfsl.datasets import MedleySolosDB
from musicfsl.errors import DatasetError, InputError


@pytest.fixture
def table(medley_root: Path) -> dict[str, dict[str, str]]:
    """The rows of the annotation by the id that ends a file name."""
    with (medley_root / "annotation" / "Medley-solos-DB_metadata.csv").open() as file:
        return {row["uuid4"]: row for row in csv.DictReader(file)}


def test_items_agree_with_the_table(medley_root: Path, table: dict[str, dict[str, str]]) -> None:
    dataset = MedleySolosDB(medley_root, version="small")
    assert len(dataset) == len(table) and len(dataset.classes) == 8
    assert dataset.groups is not None
    for index in range(len(dataset)):
        row = table[dataset.path(index).stem.rpartition("_")[2]]
        assert dataset.classes[dataset.targets[index]] == row["instrument"]
        assert dataset.part[index] == row["subset"]
        assert dataset.song_id[index] == int(row["song_id"])
        assert dataset.group_names[dataset.groups[index]] == f"song {row['song_id']}"


def test_song_is_the_group(medley_root: Path) -> None:
    dataset = MedleySolosDB(medley_root, version="small")
    assert dataset.groups is not None
    assert len(set(zip(dataset.groups, dataset.song_id, strict=True))) == len(set(dataset.song_id)) < len(dataset)


def test_subsets_divide_the_clips(medley_root: Path) -> None:
    whole = MedleySolosDB(medley_root, version="small")
    parts = [MedleySolosDB(medley_root, version="small", subset=name) for name in ("training", "validation", "test")]
    assert [set(part.part) for part in parts] == [{"training"}, {"validation"}, {"test"}]
    assert sorted(path for part in parts for path in part.paths) == whole.paths


def test_clips_are_65536_samples_at_22050_hz(medley_root: Path) -> None:
    dataset = MedleySolosDB(medley_root, version="small", duration=None, sample_rate=22050)
    assert set(dataset.lengths) == {65536} and dataset[0][0].shape == (1, 65536)


def test_bad_subset(medley_root: Path) -> None:
    with pytest.raises(InputError, match="subset is 'train'; expected 'training', 'validation', 'test'"):
        MedleySolosDB(medley_root, version="small", subset="train")  # type: ignore[arg-type]


def test_validate(medley_root: Path, table: dict[str, dict[str, str]]) -> None:
    assert MedleySolosDB.validate(medley_root, version="small") == (len(table), [])


def test_missing_download(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"not in {tmp_path}; run 'musicfsl data prepare medley_solos_db'"):
        MedleySolosDB(tmp_path, version="small")
