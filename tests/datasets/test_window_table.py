"""Windows as files: what is written, and what a folder of them tells when it is opened."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from musicfsl.datasets import AudioFolder, MedleyDB, Recording, WindowedRecordings
from musicfsl.datasets._window_table import GROUP_PATTERN, write_windows
from musicfsl.errors import AudioError, DatasetError, InputError


@pytest.fixture
def written(long_folder: Path, tmp_path: Path) -> tuple[WindowedRecordings, Path]:
    dataset = WindowedRecordings.from_folder(long_folder, n_copies=1)
    write_windows(dataset, tmp_path / "windows")
    return dataset, tmp_path / "windows"


def table_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "windows.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_table_and_files_say_the_same_as_the_data_set(written: tuple[WindowedRecordings, Path]) -> None:
    dataset, folder = written
    rows = table_of(folder)
    assert len(rows) == len(dataset) == 28
    assert dataset.groups is not None
    for index, row in enumerate(rows):
        assert row["class"] == row["path"].partition("/")[0] == dataset.classes[dataset.targets[index]]
        assert row["group"] == dataset.group_names[dataset.groups[index]]
        assert row["recording"] == dataset.paths[dataset.file_of[index]]
        assert float(row["start"]) == pytest.approx(dataset.starts[index] / 16000, abs=1e-6)
        assert float(row["seconds"]) == 1.0
        assert row["is_copy"] == str(int(index >= 14))
        assert json.loads(row["parameters"]) == dataset.parameters(index)
        wave, rate = soundfile.read(folder / row["path"], dtype="float32")
        assert rate == 16000
        np.testing.assert_allclose(wave, dataset.read(index)[0].numpy(), atol=1 / 32000)
    assert rows[0]["path"] == "high/high_piece 0/piece 0_00000.000000s.wav"
    assert rows[14]["path"] == "high/high_piece 0/piece 0_00000.000000s_copy1.wav"
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".wav", ".csv"}


@pytest.mark.filterwarnings("error")
def test_the_folder_opens_with_its_groups_and_copies(written: tuple[WindowedRecordings, Path]) -> None:
    dataset, folder = written
    opened = AudioFolder(folder, duration=None)
    assert opened.classes == dataset.classes and len(opened) == len(dataset)
    assert opened.is_copy is not None and opened.is_copy.sum() == 14
    assert opened.groups is not None and dataset.groups is not None
    index_of = {row["path"]: i for i, row in enumerate(table_of(folder))}
    for index, path in enumerate(opened.paths):
        original = index_of[path]
        assert opened.group_names[opened.groups[index]] == dataset.group_names[dataset.groups[original]]
        assert opened.is_copy[index] == (original >= 14)
    originals = opened.originals()
    assert len(originals) == 14 and torch.equal(originals[0][0], opened[0][0])


def test_group_pattern_finds_the_same_groups(written: tuple[WindowedRecordings, Path]) -> None:
    _, folder = written
    by_table, by_pattern = AudioFolder(folder), AudioFolder(folder, group_pattern=GROUP_PATTERN)
    assert by_table.groups is not None and by_pattern.groups is not None
    pairs = set(zip(by_table.groups.tolist(), by_pattern.groups.tolist(), strict=True))
    assert len(pairs) == 4 == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert by_pattern.is_copy is not None and by_pattern.is_copy.sum() == 14


def test_copies_count_for_the_fingerprint(written: tuple[WindowedRecordings, Path]) -> None:
    _, folder = written
    before = AudioFolder(folder).fingerprint()
    table = folder / "windows.csv"
    table.write_text(table.read_text().replace(",1,", ",0,"))
    assert AudioFolder(folder).is_copy is None and AudioFolder(folder).fingerprint() != before


def test_windows_of_a_group_from_several_recordings(medleydb_root: Path, tmp_path: Path) -> None:
    write_windows(MedleyDB(medleydb_root), tmp_path / "windows")
    opened = AudioFolder(tmp_path / "windows", group_pattern=GROUP_PATTERN)
    assert opened.group_names == ["AimeeNorwich_Child", "AimeeNorwich_Flying", "MusicDelta_Vivaldi"]
    assert opened.is_copy is None
    assert (tmp_path / "windows/violin/MusicDelta_Vivaldi/MusicDelta_Vivaldi_STEM_03_00001.000000s.wav").is_file()


def test_recordings_of_one_name(long_folder: Path, tmp_path: Path) -> None:
    """Two of one class and group that are called alike, and a group whose name is no name of a folder."""
    rows = [Recording(long_folder / c / "piece 0.wav", "beast", "a/b: c?") for c in ("high", "low")]
    write_windows(WindowedRecordings(rows), tmp_path / "windows")
    names = sorted(path.name for path in (tmp_path / "windows" / "beast" / "a_b_ c_").iterdir())
    assert names == [f"piece 0{n}_0000{s}00000s.wav" for n in ("-2", "") for s in ("0.0", "1.0", "2.0", "2.3")]


def test_what_is_deleted_is_not_missed_but_what_is_added_is_asked_for(written: tuple[WindowedRecordings, Path]) -> None:
    _, folder = written
    next(folder.rglob("*copy1.wav")).unlink()
    assert len(AudioFolder(folder)) == 27
    soundfile.write(folder / "low" / "new.wav", np.ones(100), 16000)
    with pytest.raises(DatasetError, match=r"windows.csv says nothing of 1 recordings, such as low/new.wav; add"):
        AudioFolder(folder)


@pytest.mark.parametrize("text", ["", "path,group\na,b\n", "path,group,is_copy\nlow/a.wav,g,maybe\n", "\0"])
def test_damaged_table(written: tuple[WindowedRecordings, Path], text: str) -> None:
    _, folder = written
    (folder / "windows.csv").write_text(text)
    with pytest.raises(DatasetError, match=r"windows.csv (is damaged|says nothing of 28)"):
        AudioFolder(folder)


def test_copies_are_not_cut_again(written: tuple[WindowedRecordings, Path]) -> None:
    with pytest.raises(InputError, match="holds windows and augmented copies already"):
        WindowedRecordings.from_folder(written[1])


def test_nothing_is_written_over(written: tuple[WindowedRecordings, Path]) -> None:
    dataset, folder = written
    before = sorted(os.listdir(folder))
    with pytest.raises(InputError, match="windows exists already; name another folder"):
        write_windows(dataset, folder)
    assert sorted(os.listdir(folder)) == before


def test_a_folder_appears_whole_or_not_at_all(
    long_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = WindowedRecordings.from_folder(long_folder)
    read = WindowedRecordings.read

    def failing(self: WindowedRecordings, index: int, *args: int) -> torch.Tensor:
        if index == 9:
            raise AudioError("piece 1.wav is gone")
        return read(self, index, *args)

    monkeypatch.setattr(WindowedRecordings, "read", failing)
    with pytest.raises(AudioError, match="is gone"):
        write_windows(dataset, tmp_path / "windows")
    assert list(tmp_path.iterdir()) == []


def test_place_that_cannot_be_written(long_folder: Path, tmp_path: Path) -> None:
    dataset = WindowedRecordings.from_folder(long_folder)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file/windows cannot be written \(Not a directory\); name another folder"):
        write_windows(dataset, tmp_path / "file" / "windows")


def test_windows_that_start_almost_together(tmp_path: Path) -> None:
    """Of a recording that is a sample longer than a window, there are two."""
    (tmp_path / "long" / "a").mkdir(parents=True)
    soundfile.write(tmp_path / "long" / "a" / "a.wav", np.full(16001, 0.5), 16000)
    write_windows(WindowedRecordings.from_folder(tmp_path / "long"), tmp_path / "windows")
    assert len(AudioFolder(tmp_path / "windows")) == 2


def test_class_that_is_no_folder_name(long_folder: Path, tmp_path: Path) -> None:
    dataset = WindowedRecordings([Recording(long_folder / "low" / "piece 0.wav", "fx/processed")])
    with pytest.raises(InputError, match="the class 'fx/processed' cannot be the name of a folder"):
        write_windows(dataset, tmp_path / "windows")
