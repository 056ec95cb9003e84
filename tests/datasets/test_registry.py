"""Data sets by name: opening, preparing, verifying."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import musicfsl.datasets
from musicfsl.datasets import (
    AudioFolder,
    SyntheticInstruments,
    TinySOL,
    dataset_info,
    dataset_names,
    open_dataset,
    prepare_dataset,
    verify_dataset,
)
from musicfsl.errors import DatasetError, InputError

SMALL = {"n_players": 1, "notes_per_player": 1, "classes": ["Flute", "Violin"], "progress": False}


def test_every_name_can_be_described_and_imported() -> None:
    recorded = ["tinysol", "medley_solos_db", "irmas", "medleydb", "katunog", "speech_commands"]
    assert dataset_names() == ["synthetic", "synthetic_mixtures", "synthetic_words", *recorded]
    for name in dataset_names():
        info = dataset_info(name)
        module, _, class_name = info.class_path.partition(":")
        assert getattr(musicfsl.datasets, class_name).__module__ == module
        assert all([info.name == name, info.description, info.size, info.licence, info.citation, info.source])


def test_every_public_name_is_there() -> None:
    for name in musicfsl.datasets.__all__:
        assert getattr(musicfsl.datasets, name) is not None
    assert set(musicfsl.datasets.__all__) <= set(dir(musicfsl.datasets))
    with pytest.raises(AttributeError, match="no attribute 'TinySoul'"):
        musicfsl.datasets.TinySoul  # noqa: B018


def test_importing_costs_nothing() -> None:
    """Not even the registry imports what only some data sets need."""
    heavy = ["mirdata", "librosa", "soundfile", "soxr", "sklearn", "pandas", "lightning", "pytorch_lightning"]
    code = f"import sys, musicfsl.datasets.registry; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_open_by_name(tinysol_root: Path, tmp_path: Path) -> None:
    synthetic = open_dataset("synthetic", cache_dir=tmp_path, **SMALL)
    assert isinstance(synthetic, SyntheticInstruments) and synthetic.is_synthetic
    tinysol = open_dataset("tinysol", root=tinysol_root, version="small", folds=[0], duration=0.5)
    assert isinstance(tinysol, TinySOL) and tinysol.length == 8000


def test_the_environment_names_what_is_opened_by_default(
    mixed_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_dataset(**SMALL, cache_dir=tmp_path).name == "synthetic"
    monkeypatch.setenv("MUSICFSL_DATASET", str(mixed_folder))
    assert open_dataset().fingerprint() == AudioFolder(mixed_folder).fingerprint()
    assert open_dataset("synthetic", **SMALL, cache_dir=tmp_path).name == "synthetic"
    monkeypatch.setenv("MUSICFSL_DATASET", "tinysoul")
    with pytest.raises(DatasetError, match="'tinysoul' is no folder, and there is no data set .* Did you mean"):
        open_dataset()


def test_open_folder(mixed_folder: Path) -> None:
    dataset = open_dataset(str(mixed_folder), long="windows", duration=0.5)
    assert isinstance(dataset, AudioFolder) and dataset.groups is not None


def test_a_name_is_meant_where_a_folder_has_it_too(
    tmp_path: Path, mixed_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tinysol").symlink_to(mixed_folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSICFSL_DATA", str(tmp_path / "nowhere"))
    assert isinstance(open_dataset("./tinysol"), AudioFolder)
    with pytest.raises(DatasetError, match="data prepare tinysol"):
        open_dataset("tinysol")


@pytest.mark.parametrize("name", ["tinysool", "TinySOL", "no/such/tinysol"])
def test_unknown_name(name: str) -> None:
    for use in (open_dataset, verify_dataset):
        with pytest.raises(DatasetError, match=r"Did you mean 'tinysol'.*Known: synthetic, .*tinysol, medley_solos_db"):
            use(name)
    with pytest.raises(DatasetError, match="Known: synthetic"):
        prepare_dataset(name)


def test_unknown_setting(mixed_folder: Path) -> None:
    with pytest.raises(InputError, match=r"synthetic has no setting 'duratoin'. Did you mean 'duration'.* sample_rate"):
        open_dataset("synthetic", duratoin=1.0)
    with pytest.raises(InputError, match="has no setting 'root'"):
        open_dataset(mixed_folder, root="elsewhere")


def test_verify_folder(mixed_folder: Path, tmp_path: Path) -> None:
    report = verify_dataset(mixed_folder)
    assert report.ok and report.n_recordings == 12 and report.root == str(mixed_folder)
    (tmp_path / "sounds" / "low").mkdir(parents=True)
    soundfile.write(tmp_path / "sounds" / "low" / "a.wav", np.zeros(100), 16000)
    report = verify_dataset(tmp_path / "sounds")
    assert not report.ok
    assert json.loads(json.dumps(report.to_dict())) == {
        "name": "sounds",
        "root": str(tmp_path / "sounds"),
        "n_recordings": 1,
        "problems": [{"path": "low/a.wav", "reason": report.problems[0].reason}],
        "ok": False,
    }


def test_verify_named(tinysol_root: Path) -> None:
    """Against the full index, all but the notes of the small tree are missing, and those are not the real ones."""
    report = verify_dataset("tinysol", tinysol_root)
    reasons = [problem.reason for problem in report.problems]
    n_there = len(TinySOL(tinysol_root, version="small"))
    assert report.n_recordings == 2913
    assert reasons.count("is missing") == 2913 - n_there
    assert reasons.count("differs from the published file (MD5)") == n_there + 1  # and the table


def test_prepare_leaves_a_complete_data_set_alone(tinysol_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mirdata.datasets import tinysol

    monkeypatch.setitem(tinysol.INDEXES, "default", "small")
    monkeypatch.setattr(TinySOL, "download", lambda *_: pytest.fail("downloaded what is there"))
    assert prepare_dataset("tinysol", tinysol_root).ok


def test_prepare_downloads_what_is_missing(tinysol_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mirdata.datasets import tinysol

    def download(root: Path, *, show_progress: bool) -> None:
        shutil.copytree(tinysol_root, root)

    monkeypatch.setitem(tinysol.INDEXES, "default", "small")
    monkeypatch.setattr(TinySOL, "download", download)
    report = prepare_dataset("tinysol", tmp_path / "new")
    assert report.ok and report.n_recordings == len(TinySOL(tmp_path / "new"))


def test_prepare_and_verify_synthetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Small(SyntheticInstruments):
        def __init__(self, **settings: object) -> None:
            made.append(settings)
            super().__init__(**{**SMALL, **settings})  # type: ignore[arg-type]

    monkeypatch.setattr("musicfsl.datasets.synthetic.SyntheticInstruments", Small)
    report = prepare_dataset("synthetic", tmp_path)
    assert report.ok and report.n_recordings == 2
    assert made == [{"cache_dir": tmp_path, "progress": False}]
