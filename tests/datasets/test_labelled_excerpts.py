"""Recordings with a label file beside each, and all that can be wrong with them."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl.datasets import LabelledExcerpts
from musicfsl.errors import AudioError, DatasetError, InputError


@pytest.fixture
def folder(excerpts_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(excerpts_folder, tmp_path / "excerpts"))


def open_folder(folder: Path, **settings: object) -> LabelledExcerpts:
    return LabelledExcerpts(folder, **{"empty_labels": "negative", **settings})  # type: ignore[arg-type]


def test_codes_and_names_whatever_their_line_ends(folder: Path) -> None:
    dataset = open_folder(folder)
    labels = {path: set(dataset.labels_of(i)) for i, path in enumerate(dataset.paths)}
    assert labels == {
        "drums only.wav": set(),
        "duo/take-1.wav": {"Cello", "Piano"},
        "duo/take-10.ogg": {"Piano"},
        "duo/take-2.flac": {"Cello", "Piano"},
        "solo (2)-1.wav": {"Voice"},
    }
    assert dataset.item_name(0).endswith("drums only.wav")


def test_excerpts_of_a_recording_are_a_group(folder: Path) -> None:
    dataset = open_folder(folder)
    assert dataset.group_names == ["drums only", "duo/take", "solo (2)"]
    assert [dataset.group_names[g] for g in dataset.groups] == ["drums only", *["duo/take"] * 3, "solo (2)"]
    by_folder = open_folder(folder, group_pattern=r"^(duo|solo|drums)")
    assert by_folder.group_names == ["drums", "duo", "solo"]


def test_vocabularies(folder: Path, tmp_path: Path) -> None:
    chosen = open_folder(folder, vocabulary=["Voice", "Piano", "Violoncello"])
    assert chosen.classes == chosen.codes == ["Voice", "Piano", "Violoncello"]
    assert chosen.targets.tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0]]
    table = tmp_path / "mine.yaml"
    table.write_text("cel: Low String\npia: Piano\nvoi: Singer\ncello: Cello too\n")
    assert open_folder(folder, vocabulary=table).labels_of(3) == ["Piano", "Cello too"]
    assert len(open_folder(folder, vocabulary="openmic").classes) == 20


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("rate", [8000, 12345, 96000])
def test_wav_of_every_kind(tmp_path: Path, write_tone: Callable[..., Path], subtype: str, rate: int) -> None:
    """Depth, rate and channels make no audible difference: 8 bits err by a 256th, the others by far less."""
    seconds = np.arange(round(0.4 * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * seconds)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, 0 * tone], axis=1), rate, subtype=subtype)
    (tmp_path / "a.txt").write_text("flu")
    wave, target = LabelledExcerpts(tmp_path, sample_rate=22050)[0]
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(wave.shape[1]) / 22050)
    middle = slice(1000, 7800)  # the resampler's filter reaches beyond the ends
    np.testing.assert_allclose(wave[0, middle], expected[middle], atol=0.006 if subtype == "PCM_U8" else 2e-3)
    assert target.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_excerpt_shorter_than_a_window(folder: Path) -> None:
    padded = open_folder(folder, duration=1.0)
    short = padded.paths.index("duo/take-2.flac")
    wave = padded[short][0][0]
    assert wave.shape == (22050,) and wave[: padded.lengths[short]].any() and not wave[padded.lengths[short] :].any()
    with pytest.raises(DatasetError, match=r"2 of 5 recordings .* shorter than 1 s: .*take-2.flac \(0.400 s\)"):
        open_folder(folder, duration=1.0, short="refuse")


def test_empty_label_file(folder: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"1 of 5 label files .*: drums only.txt is empty\..*empty_labels='negative'"
    ):
        LabelledExcerpts(folder)


def test_folder_in_which_nothing_plays(folder: Path) -> None:
    for path in folder.rglob("*.txt"):
        path.write_text("")
    assert not open_folder(folder).targets.any()
    with pytest.raises(DatasetError, match="5 of 5 label files .*; and 2 more. Mend them"):
        LabelledExcerpts(folder)


def test_missing_label_file(folder: Path) -> None:
    (folder / "duo" / "take-2.txt").unlink()
    with pytest.raises(DatasetError, match=r"1 of 5 label files .*: duo/take-2.txt is missing"):
        open_folder(folder)


def test_unknown_label(folder: Path) -> None:
    (folder / "duo" / "take-1.txt").write_text("cel\nharp\n")
    with pytest.raises(DatasetError, match=r"duo/take-1.txt, line 2: 'harp' is no label\. .* cel, cla, flu, .* voi"):
        open_folder(folder)
    (folder / "duo" / "take-1.txt").write_bytes(b"cel\npia\xf1o\n")
    with pytest.raises(DatasetError, match=r"take-1.txt is not UTF-8 text \(byte 7\)"):
        open_folder(folder)


def test_label_file_without_recording(folder: Path) -> None:
    (folder / "duo" / "take-1.wav").unlink()
    with pytest.raises(DatasetError, match=r"1 label files .* have no recording: duo/take-1.txt. Add the recordings"):
        open_folder(folder)


def test_other_files_are_named(folder: Path) -> None:
    (folder / "README.txt").write_text("Excerpts of\nseveral recordings\n")
    (folder / ".hidden.txt").write_text("cel")
    with pytest.warns(UserWarning, match="1 files in .* were left out: README.txt$") as caught:
        dataset = open_folder(folder)
    assert len(dataset) == 5 and len(caught) == 1
    (folder / "README.txt").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_folder(folder)


def test_two_recordings_with_one_label_file(folder: Path) -> None:
    shutil.copy(folder / "duo" / "take-1.wav", folder / "duo" / "take-1.flac")
    with pytest.raises(DatasetError, match=r"take-1.flac and .*take-1.wav share the label file duo/take-1.txt"):
        open_folder(folder)


def test_nothing_to_open(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        LabelledExcerpts(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no recordings; expected files that end in .wav"):
        LabelledExcerpts(tmp_path / "empty")
    with pytest.raises(InputError, match="no vocabulary 'irmass', nor such a file. Did you mean 'irmas'"):
        LabelledExcerpts(folder, vocabulary="irmass")


def test_damaged_and_silent_recordings(folder: Path) -> None:
    soundfile.write(folder / "drums only.wav", np.zeros(8000), 16000)
    with pytest.raises(AudioError, match="drums only.wav holds only silence"):
        open_folder(folder)[0]
    (folder / "drums only.wav").write_bytes(b"RIFF")
    with pytest.raises(DatasetError, match="1 of 5 recordings .* cannot be used: .*drums only.wav"):
        open_folder(folder)
