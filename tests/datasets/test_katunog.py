"""A Katunog folder: instruments, records, spellings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from musicfsl._tables import embedded_table, read_mapping
from musicfsl.datasets import Katunog, open_dataset, verify_dataset
from musicfsl.errors import DatasetError, InputError
from musicfsl.instruments import name_key
from musicfsl.taxonomy import Taxonomy


def classes_of(dataset: Katunog) -> dict[str, str]:
    return {dataset.paths[f]: dataset.classes[t] for f, t in zip(dataset.file_of, dataset.targets, strict=True)}


def test_instruments_in_folders_of_classes(katunog_root: Path) -> None:
    dataset = Katunog(katunog_root)
    assert dataset.name == "katunog"
    assert classes_of(dataset) == {
        "idiophones/PIISD02606__kulintang/gong 1.wav": "Kulintang",
        "idiophones/PIISD02606__kulintang/Reference performance.wav": "Kulintang",
        "idiophones/PIISD02611__Kolintang (Maranao)/gong 1.wav": "Kulintang",
        "idiophones/Balingbing/first/a.wav": "Bungkaka",
        "idiophones/Balingbing/first/b.wav": "Bungkaka",
        "idiophones/Balingbing/second/a.wav": "Bungkaka",
        "chordophones/bamboo_zither/a.wav": "Bamboo zither",
    }


def test_instruments_at_the_top(katunog_root: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(katunog_root / "idiophones", tmp_path / "katunog"))
    assert Katunog(root).classes == ["Bungkaka", "Kulintang"]


def test_short_strokes_are_padded(katunog_root: Path) -> None:
    dataset = Katunog(katunog_root)
    stroke = dataset.paths.index("idiophones/PIISD02606__kulintang/gong 1.wav")
    index = dataset.file_of.tolist().index(stroke)
    assert dataset.lengths[index] == 9600 and dataset[index][0].shape == (1, 16000)
    with pytest.raises(DatasetError, match=r"1 of 7 recordings .* shorter than 1 s"):
        Katunog(katunog_root, short="refuse")


def test_groups(katunog_root: Path) -> None:
    dataset = Katunog(katunog_root)
    assert dataset.group_names == dataset.paths
    records = Katunog(katunog_root, group="record")
    assert records.group_names == [
        "PIISD02606",
        "PIISD02611",
        "chordophones/bamboo_zither/a.wav",
        "idiophones/Balingbing/first",
        "idiophones/Balingbing/second",
    ]


def test_every_spelling_means_one_instrument_and_every_class_is_in_the_taxonomy() -> None:
    table = read_mapping(embedded_table("katunog.yaml"))
    spellings = [name_key(spelling) for name, entry in table.items() for spelling in (name, *entry.value)]
    assert len(set(spellings)) == len(spellings)
    assert set(table) <= set(Taxonomy.load("hornbostel-sachs").classes)


def test_mistakes(tmp_path: Path, katunog_root: Path) -> None:
    with pytest.raises(DatasetError, match=rf"katunog is not in {tmp_path / 'nowhere'}; download records from https"):
        open_dataset("katunog", root=tmp_path / "nowhere")
    with pytest.raises(InputError, match="group is 'player'"):
        Katunog(katunog_root, group="player")  # type: ignore[arg-type]
    root = Path(shutil.copytree(katunog_root, tmp_path / "katunog"))
    shutil.copy(root / "chordophones/bamboo_zither/a.wav", root / "chordophones/loose.wav")
    with pytest.raises(DatasetError, match=r"chordophones/loose.wav lies in no folder of an instrument"):
        Katunog(root)
    (root / "chordophones/loose.wav").unlink()
    (root / "chordophones/bamboo_zither").rename(root / "chordophones/PIISD00001")
    with pytest.raises(DatasetError, match="'PIISD00001' names no instrument"):
        Katunog(root)


def test_verify(katunog_root: Path) -> None:
    report = verify_dataset("katunog", katunog_root)
    assert report.ok and report.n_recordings == 7
