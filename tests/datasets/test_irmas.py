"""IRMAS through mirdata's own loader, on a small tree with the real file names and label files."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from musicfsl.audio import load_audio
from musicfsl.cli import main
from musicfsl.datasets import IRMAS, LabelledExcerpts
from musicfsl.datasets.irmas import GENRES, _set_aside, _training_excerpts
from musicfsl.datasets.synthetic import IRMAS_CODES
from musicfsl.errors import DatasetError, InputError


@pytest.fixture
def copied_root(irmas_root: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(irmas_root, tmp_path / "irmas"))


@pytest.fixture
def small_loader(irmas_root: Path) -> Any:
    import mirdata

    return mirdata.initialize("irmas", data_home=str(irmas_root), version="small")


def open_part(root: Path, **settings: Any) -> IRMAS:
    return IRMAS(root, version="small", **settings)


def test_classes_are_the_eleven_instruments(irmas_root: Path) -> None:
    dataset = open_part(irmas_root)
    assert dict(zip(dataset.codes, dataset.classes, strict=True)) == IRMAS_CODES
    assert dataset.is_multilabel and not dataset.is_synthetic
    assert (dataset.targets.sum(axis=1) == 1).all() and dataset.targets.sum(axis=0).all()


def test_columns_agree_with_mirdata(irmas_root: Path, small_loader: Any) -> None:
    """mirdata reads well-formed names and label files as we do."""
    dataset = open_part(irmas_root, subset=None)
    track_of = {track.audio_path: track for track in small_loader.load_tracks().values()}
    n_compared = 0
    for index in range(len(dataset)):
        track = track_of.get(str(dataset.path(index)))
        if track is None:
            continue
        assert {IRMAS_CODES[code] for code in track.instrument} == set(dataset.labels_of(index))
        assert dataset.genre[index] == (None if track.genre is None else GENRES[track.genre])
        assert dataset.drums[index] is track.drum
        assert (dataset.part[index] == "testing") == (track.split == "test")
        n_compared += 1
    assert n_compared == len(track_of) == len(dataset) - 1


def test_every_published_name_is_understood() -> None:
    """All 6,660 training excerpts that mirdata lists, by their names alone; our reading of them against mirdata's."""
    import mirdata

    tracks = [t for t in mirdata.initialize("irmas", data_home="/nowhere").load_tracks().values() if t.split == "train"]
    excerpts = {excerpt.path: excerpt for excerpt in _training_excerpts(Path("/nowhere"), tracks, [])}
    assert len(excerpts) == len(tracks) == 6660
    for track in tracks:
        excerpt = excerpts[track._track_paths["audio"][0]]
        assert list(IRMAS_CODES)[excerpt.target.argmax()] == track.predominant_instrument
        assert (excerpt.genre, excerpt.drums) == (GENRES[track.genre], track.drum)


def test_no_recording_of_the_published_set_is_in_training_and_validation() -> None:
    """Neither by the number in the name nor by the checksum of any excerpt: some are there twice, under two numbers."""
    import mirdata

    tracks = [t for t in mirdata.initialize("irmas", data_home="/nowhere").load_tracks().values() if t.split == "train"]
    excerpts = _set_aside(_training_excerpts(Path("/nowhere"), tracks, []), fraction=0.2, seed=3)
    checksum_of = {track._track_paths["audio"][0]: track._track_paths["audio"][1] for track in tracks}
    parts_of: dict[str, set[str]] = defaultdict(set)
    numbers_of: dict[str, set[str]] = defaultdict(set)
    in_validation = np.zeros((2, 11))
    for excerpt in excerpts:
        number = Path(excerpt.path).stem.rpartition("]")[2].partition("__")[0]
        for shared in (number, checksum_of[excerpt.path]):
            parts_of[shared].add(excerpt.part)
        numbers_of[checksum_of[excerpt.path]].add(number)
        in_validation[int(excerpt.part == "validation")] += excerpt.target
    assert max(len(numbers) for numbers in numbers_of.values()) == 2  # so the checksums matter
    assert all(len(parts) == 1 for parts in parts_of.values())
    np.testing.assert_allclose(in_validation[1] / in_validation.sum(axis=0), 0.2, atol=0.02)


def test_validation_holds_whole_recordings_of_every_class(irmas_root: Path) -> None:
    training, validation = open_part(irmas_root), open_part(irmas_root, subset="validation")
    recordings = [{dataset.group_names[g] for g in dataset.groups} for dataset in (training, validation)]
    assert not recordings[0] & recordings[1]
    assert validation.targets.sum(axis=0).all()
    assert set(training.part) == {"training"} and set(validation.part) == {"validation"}
    together = open_part(irmas_root, subset=None)
    assert sorted(training.paths + validation.paths + open_part(irmas_root, subset="testing").paths) == together.paths


def test_split_depends_on_its_seed_alone(irmas_root: Path) -> None:
    one, other = (open_part(irmas_root, subset="validation", split_seed=seed).paths for seed in (0, 1))
    assert one != other
    assert one == open_part(irmas_root, subset="validation", seed=5, sample_rate=16000).paths


def test_all_may_be_trained_on(irmas_root: Path) -> None:
    everything = open_part(irmas_root, validation_fraction=0.0)
    assert set(everything.part) == {"training"}
    assert len(everything) == len(open_part(irmas_root)) + len(open_part(irmas_root, subset="validation"))
    with pytest.raises(DatasetError, match="holds no recordings of irmas for validation; change validation_fraction"):
        open_part(irmas_root, subset="validation", validation_fraction=0.0)


def test_copies_of_a_recording_are_one_group(irmas_root: Path) -> None:
    """0672 and 0757 hold the same sound, once as acoustic and once as electric guitar."""
    dataset = open_part(irmas_root, validation_fraction=0.0)
    of = {n: {dataset.groups[i] for i, path in enumerate(dataset.paths) if f"]{n}__" in path} for n in ("0672", "0757")}
    assert of["0672"] == of["0757"] and len(of["0672"]) == 1
    labels = {label for i in np.flatnonzero(dataset.groups == of["0672"].pop()) for label in dataset.labels_of(int(i))}
    assert {"Acoustic Guitar", "Electric Guitar"} <= labels


def test_excerpts_that_mirdata_does_not_list_are_opened(irmas_root: Path) -> None:
    dataset = open_part(irmas_root, validation_fraction=0.0)
    index = dataset.paths.index("IRMAS-TrainingData/vio/[vio][pop_roc]0672__1.wav")
    assert dataset.labels_of(index) == ["Violin"]
    assert (dataset.genre[index], dataset.drums[index]) == ("pop-rock", None)


def test_stereo_becomes_mono(irmas_root: Path) -> None:
    dataset = open_part(irmas_root, duration=None, sample_rate=44100)
    stereo, rate = soundfile.read(dataset.path(0), dtype="float32")
    assert stereo.shape[1] == 2 and rate == 44100 and not np.array_equal(stereo[:, 0], stereo[:, 1])
    np.testing.assert_allclose(dataset[0][0][0].numpy(), stereo.mean(axis=1), atol=1e-6)


def test_test_excerpts_are_what_a_folder_of_them_is(irmas_root: Path) -> None:
    """The real tests, opened by `LabelledExcerpts`: the same labels, groups and sound."""
    dataset = open_part(irmas_root, subset="testing", duration=None)
    folder = LabelledExcerpts(irmas_root / "IRMAS-TestingData-Part2")
    assert len(folder) > 3 and folder.classes == dataset.classes
    for i, path in enumerate(folder.paths):
        j = dataset.paths.index(f"IRMAS-TestingData-Part2/{path}")
        assert folder.labels_of(i) == dataset.labels_of(j)
        assert folder.group_names[folder.groups[i]].endswith(dataset.group_names[dataset.groups[j]])
        np.testing.assert_array_equal(folder[i][0], load_audio(irmas_root / dataset.paths[j], 22050))
    assert dataset.targets.sum(axis=1).max() == 5


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"1 of 18 label files .* Die-\d+.txt is missing. Mend them, one label a line of: cel, cla, .*, voi"),
        ("\t\n", r"Die-\d+.txt is empty.*empty_labels='negative'"),
        ("gel\t\nguitarrón\n", r"Die-\d+.txt, line 2: 'guitarrón' is no label"),
        ("piano forte\n", "line 1: 'piano forte' is no label"),
        (b"vio\xff\n", "is not UTF-8 text"),
    ],
)
def test_bad_label_files(copied_root: Path, labels: str | bytes | None, message: str) -> None:
    file = sorted((copied_root / "IRMAS-TestingData-Part1" / "Part1").glob("02 - And*.txt"))[0]
    file.unlink()
    if labels is not None:
        file.write_bytes(labels if isinstance(labels, bytes) else labels.encode())
    with pytest.raises(DatasetError, match=message):
        open_part(copied_root, subset="testing")
    open_part(copied_root)  # training needs no label files


def test_empty_label_file_may_mean_that_nothing_plays(copied_root: Path) -> None:
    file = sorted(copied_root.glob("IRMAS-TestingData-Part1/Part1/02 - And*.txt"))[0]
    file.write_text("")
    dataset = open_part(copied_root, subset="testing", empty_labels="negative")
    index = dataset.paths.index(file.with_suffix(".wav").relative_to(copied_root).as_posix())
    assert dataset.labels_of(index) == [] and len(dataset) == 18
    with pytest.raises(InputError, match="empty_labels is 'yes'; expected 'refuse' or 'negative'"):
        open_part(copied_root, subset="testing", empty_labels="yes")


def test_folder_of_an_unknown_class(copied_root: Path) -> None:
    (copied_root / "IRMAS-TrainingData" / "hrp").mkdir()
    shutil.copy(copied_root / open_part(copied_root).paths[0], copied_root / "IRMAS-TrainingData" / "hrp" / "a.wav")
    with pytest.raises(DatasetError, match="hrp/a.wav lies in the folder 'hrp', which is no label of irmas"):
        open_part(copied_root)


def test_bad_settings(irmas_root: Path) -> None:
    with pytest.raises(InputError, match="subset is 'test'; expected 'training', 'validation', 'testing'"):
        open_part(irmas_root, subset="test")
    for fraction in (1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="expected a number from 0 to below 1"):
            open_part(irmas_root, validation_fraction=fraction)
    with pytest.raises(DatasetError, match="shorter than 3 s: .*short='pad'"):
        open_part(irmas_root, short="refuse")


def test_missing_parts(copied_root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"irmas is not in .*; run 'musicfsl data prepare irmas'"):
        open_part(tmp_path / "nowhere")
    shutil.rmtree(copied_root / "IRMAS-TestingData-Part3")
    open_part(copied_root)  # without a word
    with pytest.warns(UserWarning, match=r"holds only \d+ of the 18 recordings of irmas"):
        open_part(copied_root, subset="testing")


def test_validate(copied_root: Path) -> None:
    n_recordings, problems = IRMAS.validate(copied_root, version="small")
    dataset = open_part(copied_root, subset=None)
    assert n_recordings == len(dataset) and problems == []
    training = dataset.paths.index("IRMAS-TrainingData/vio/[vio][pop_roc]0672__1.wav")
    dataset.path(training).write_bytes(b"no recording")
    listed = next(i for i, part in enumerate(dataset.part) if part == "training" and i != training)
    dataset.path(listed).unlink()
    _, problems = IRMAS.validate(copied_root, version="small")
    assert [problem.path for problem in problems] == [dataset.paths[listed], dataset.paths[training]]
    assert problems[0].reason == "is missing" and "[vio]" in problems[1].reason


class _MacZipInfo(zipfile.ZipInfo):
    """A member whose name is UTF-8 without a flag that says so, as archives made on a Mac have it."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode(), self.flag_bits


@pytest.fixture
def shelf(irmas_root: Path, file_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The small tree as the four published archives, on a server, with their checksums told to mirdata."""
    from mirdata.datasets import irmas

    monkeypatch.setitem(irmas.INDEXES, "default", "small")
    for remote in irmas.REMOTES.values():
        archive = file_server.folder / remote.filename
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
            for path in sorted((irmas_root / archive.stem).rglob("*")):
                if path.is_file():
                    member = _MacZipInfo(path.relative_to(irmas_root).as_posix())
                    packed.writestr(member, path.read_bytes())
    publish(file_server, monkeypatch)
    return file_server


def publish(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mirdata.datasets import irmas

    for remote in irmas.REMOTES.values():
        content = (server.folder / remote.filename).read_bytes()
        monkeypatch.setattr(remote, "url", f"{server.url}/{remote.filename}")
        monkeypatch.setattr(remote, "checksum", hashlib.md5(content).hexdigest())


def prepare(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["data", "prepare", "irmas", "--root", str(root), "--json"])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_prepare(shelf: Any, irmas_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "new"
    code, printed = prepare(root, capsys)
    assert code == 0 and json.loads(printed)["ok"]
    assert open_part(root, subset=None).paths == open_part(irmas_root, subset=None).paths
    assert sorted(path.name for path in root.iterdir()) == sorted(path.name for path in irmas_root.iterdir())
    asked = len(shelf.asked)
    assert prepare(root, capsys)[0] == 0 and len(shelf.asked) == asked  # all is there


def test_interrupted_preparation_goes_on_where_it_ended(
    shelf: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, third = tmp_path / "new", "IRMAS-TestingData-Part2.zip"
    shelf.ends_after[third] = 10_000
    code, printed = prepare(root, capsys)
    assert code == 2 and "could not be downloaded" in printed and "after 10000 of" in printed
    assert "run 'musicfsl data prepare irmas' again" in printed
    assert [path.name for path in root.iterdir()] == [".download"]  # nothing half-way is in place
    shelf.ends_after.clear()
    shelf.asked.clear()
    assert prepare(root, capsys)[0] == 0
    assert shelf.asked[0] == (third, "bytes=10000-")
    assert [name for name, _ in shelf.asked] == [third, "IRMAS-TestingData-Part3.zip"]  # none that had come


def test_prepare_refuses_what_leads_outside(
    shelf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(shelf.folder / "IRMAS-TrainingData.zip", "a") as packed:
        packed.writestr("IRMAS-TrainingData/../../../escaped.wav", b"gotcha")
    publish(shelf, monkeypatch)
    code, printed = prepare(tmp_path / "new", capsys)
    assert code == 2 and "escaped.wav', which leads outside its folder" in printed
    assert not list(tmp_path.rglob("escaped.wav")) and not list(tmp_path.rglob("*[[]cel[]]*"))
