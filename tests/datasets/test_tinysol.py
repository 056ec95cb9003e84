"""TinySOL through mirdata's own loader, on a small tree with the real file names."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from musicfsl.datasets import TinySOL, split_classes
from musicfsl.datasets.tinysol import FEW_SHOT_TEST_CLASSES, FEW_SHOT_TRAIN_CLASSES
from musicfsl.errors import DatasetError, InputError, MissingExtraError


@pytest.fixture
def copied_root(tinysol_root: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tinysol_root, tmp_path / "tinysol"))


def test_classes_are_the_fourteen_instruments(tinysol_root: Path) -> None:
    dataset = TinySOL(tinysol_root, version="small")
    assert dataset.classes == sorted(FEW_SHOT_TRAIN_CLASSES + FEW_SHOT_TEST_CLASSES)
    assert len(dataset.classes) == 14
    assert np.bincount(dataset.targets).min() >= 2
    assert dataset.groups is None and not dataset.is_synthetic


def test_attributes_agree_with_the_file_names(tinysol_root: Path) -> None:
    dataset = TinySOL(tinysol_root, version="small")
    folder_of = {"Bass Tuba": "Bass_Tuba", "French Horn": "Horn", "Cello": "Violoncello", "Violin": "Violin"}
    for index in range(len(dataset)):
        path = dataset.path(index)
        _, _, pitch, dynamics, _, tuning = path.stem.split("-", 5)
        assert path.exists()
        assert (dataset.pitch[index], dataset.dynamics[index]) == (pitch, dynamics)
        assert dataset.family[index] == path.parts[-4]
        assert dataset.families[dataset.classes[dataset.targets[index]]] == dataset.family[index]
        assert dataset.resampled[index] == ("R" in tuning)
        name = dataset.classes[dataset.targets[index]]
        assert folder_of.get(name, path.parts[-3]) == path.parts[-3]
    assert dataset.resampled.any() and not dataset.resampled.all()


def test_folds(tinysol_root: Path) -> None:
    whole = TinySOL(tinysol_root, version="small")
    train, test = (TinySOL(tinysol_root, version="small", folds=folds) for folds in ([0, 1, 2, 3], [4]))
    assert set(train.fold) == {0, 1, 2, 3} and set(test.fold) == {4}
    assert sorted(train.paths + test.paths) == whole.paths
    assert len(train.pitch) == len(train) and len(test.pitch) == len(test)


@pytest.mark.parametrize("folds", [[5], [], 3, [0, -1]])
def test_bad_folds(tinysol_root: Path, folds: list[int]) -> None:
    with pytest.raises(InputError, match="expected a list of numbers from 0 to 4"):
        TinySOL(tinysol_root, version="small", folds=folds)


def test_usual_split_has_classes_for_validation() -> None:
    train, validation = split_classes(FEW_SHOT_TRAIN_CLASSES, [6, 3], seed=0)
    assert not set(train) & set(validation) and not set(train + validation) & set(FEW_SHOT_TEST_CLASSES)


def test_unknown_version(tinysol_root: Path) -> None:
    with pytest.raises(InputError, match=r"version '7.0' of tinysol is unknown"):
        TinySOL(tinysol_root, version="7.0")


def test_missing_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match=rf"not in {tmp_path}/nowhere; run 'musicfsl data prepare tinysol'"):
        TinySOL(tmp_path / "nowhere", version="small")
    monkeypatch.setenv("MUSICFSL_DATA", str(tmp_path / "data"))
    with pytest.raises(DatasetError, match=rf"not in {tmp_path}/data/tinysol;"):
        TinySOL(version="small")
    monkeypatch.delenv("MUSICFSL_DATA")
    monkeypatch.setenv("MUSICFSL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DatasetError, match=rf"not in {tmp_path}/cache/datasets/tinysol;"):
        TinySOL(version="small")
    with pytest.raises(DatasetError, match="not in"):
        TinySOL.validate(tmp_path / "nowhere", version="small")


def test_part_of_the_data_set_is_opened_with_a_warning(tinysol_root: Path) -> None:
    """The default version lists all 2,913 notes, of which the small tree holds a few."""
    n_there = len(TinySOL(tinysol_root, version="small"))
    with pytest.warns(UserWarning, match=f"only {n_there} of the 2913 recordings .* 'musicfsl data prepare tinysol'"):
        assert len(TinySOL(tinysol_root)) == n_there


def test_table_is_missing(copied_root: Path) -> None:
    shutil.rmtree(copied_root / "annotation")
    with pytest.raises(DatasetError, match="but not its table"):
        TinySOL(copied_root, version="small")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "is damaged"),
        (lambda text: text.replace(",0,Brass", ",zero,Brass"), "is damaged"),
        (lambda text: text[: len(text) // 2], "is damaged|lacks"),
        (lambda text: "".join(text.splitlines(keepends=True)[:-3]), "lacks 3 of"),
    ],
)
def test_table_is_damaged(copied_root: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    table = copied_root / "annotation" / "TinySOL_metadata.csv"
    table.write_text(damage(table.read_text()))
    with pytest.raises(DatasetError, match=message):
        TinySOL(copied_root, version="small")


def test_index_is_missing_or_damaged(tinysol_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mirdata import core
    from mirdata.datasets import tinysol

    monkeypatch.setitem(tinysol.INDEXES, "small", core.Index(filename=str(tmp_path / "index.json")))
    with pytest.raises(DatasetError, match=r"list of the files of tinysol is not there .*data prepare tinysol"):
        TinySOL(tinysol_root, version="small")
    (tmp_path / "index.json").write_text('{"version": ')
    with pytest.raises(DatasetError, match="list of the files of tinysol is damaged"):
        TinySOL(tinysol_root, version="small")


def test_mirdata_is_not_installed(tinysol_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mirdata", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'musicfsl\[datasets\]'"):
        TinySOL(tinysol_root)


def test_validate(copied_root: Path) -> None:
    n_recordings, problems = TinySOL.validate(copied_root, version="small")
    dataset = TinySOL(copied_root, version="small")
    assert n_recordings == len(dataset) and problems == []
    dataset.path(0).write_bytes(dataset.path(1).read_bytes())
    dataset.path(5).unlink()
    (copied_root / "annotation" / "TinySOL_metadata.csv").unlink()
    _, problems = TinySOL.validate(copied_root, version="small")
    found = {problem.path: problem.reason for problem in problems}
    assert found == {
        dataset.paths[0]: "differs from the published file (MD5)",
        dataset.paths[5]: "is missing",
        "annotation/TinySOL_metadata.csv": "is missing",
    }


@pytest.fixture
def published(tinysol_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small tree as archives that mirdata downloads from ``file://``, with their checksums."""
    from mirdata.datasets import tinysol

    shelf = tmp_path / "published"
    shelf.mkdir()
    with tarfile.open(shelf / "TinySOL.tar.gz", "w:gz", compresslevel=1) as archive:
        for folder in sorted((tinysol_root / "audio").iterdir()):
            archive.add(folder, arcname=folder.name)
    shutil.copy(tinysol_root / "annotation" / "TinySOL_metadata.csv", shelf)
    for key, remote in tinysol.REMOTES.items():
        path = shelf / remote.filename
        checksum = hashlib.md5(path.read_bytes()).hexdigest()
        monkeypatch.setattr(tinysol.REMOTES[key], "url", path.as_uri())
        monkeypatch.setattr(tinysol.REMOTES[key], "checksum", checksum)
    return shelf


def test_download(published: Path, tinysol_root: Path, tmp_path: Path) -> None:
    root = TinySOL.download(tmp_path / "new", version="small")
    assert TinySOL.validate(root, version="small")[1] == []
    assert TinySOL(root, version="small").paths == TinySOL(tinysol_root, version="small").paths
    assert sorted(path.name for path in root.iterdir()) == ["annotation", "audio"]


def test_interrupted_download_is_mended(published: Path, tmp_path: Path) -> None:
    root = tmp_path / "new"
    half = root / ".download" / "audio" / "TinySOL.tar.gz"
    half.parent.mkdir(parents=True)
    half.write_bytes((published / "TinySOL.tar.gz").read_bytes()[:5000])
    TinySOL.download(root, version="small")
    assert TinySOL.validate(root, version="small")[1] == []


def test_failed_download_leaves_nothing_in_place(published: Path, tmp_path: Path) -> None:
    (published / "TinySOL.tar.gz").write_bytes(b"not what was published")
    with pytest.raises(DatasetError, match=r"could not be downloaded .*checksum"):
        TinySOL.download(tmp_path / "new", version="small")
    (published / "TinySOL.tar.gz").unlink()
    with pytest.raises(DatasetError, match=r"could not be downloaded .*run 'musicfsl data prepare tinysol' again"):
        TinySOL.download(tmp_path / "new", version="small")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".download"]
