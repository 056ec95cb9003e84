"""A folder of recordings: layout, settings, and every kind of bad file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from musicfsl.audio import load_audio
from musicfsl.datasets import AudioFolder
from musicfsl.datasets.folder import verify_folder
from musicfsl.errors import AudioError, DatasetError, InputError

WriteTone = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, write_tone: WriteTone) -> Path:
    """Two classes of two clips of 1 s each, that a test may damage."""
    root = tmp_path / "sounds"
    for name, hz in [("high", 880.0), ("low", 110.0)]:
        for take in "ab":
            write_tone(root / name / f"{take}.wav", hz)
    return root


def test_layout(mixed_folder: Path) -> None:
    dataset = AudioFolder(mixed_folder)
    assert dataset.name == "mixed"
    assert dataset.classes == ["alto", "bass", "tenor"]
    assert dataset.targets.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert dataset.groups is None
    assert dataset.path(0) == mixed_folder / "alto" / "player0" / "take 0.wav"
    # 0.6 s of WAV, 1.4 s of OGG, 2.35 s of FLAC, 3.1 s of MP3, at 16 kHz whatever the file's own rate.
    assert dataset.lengths[:4].tolist() == [9600, 22400, 37600, 49600]


def test_item_is_an_excerpt_of_its_own_recording(mixed_folder: Path) -> None:
    dataset = AudioFolder(mixed_folder)
    for index in range(len(dataset)):
        x, target = dataset[index]
        assert dataset.path(index).parts[-3] == dataset.classes[target]
        whole = load_audio(dataset.path(index))[0].numpy()
        sound = x[0, : min(16000, len(whole))].numpy()
        # The place with the highest correlation is the excerpt itself.
        place = int(np.argmax(np.correlate(whole, sound, mode="valid")))
        np.testing.assert_allclose(sound, whole[place : place + len(sound)], atol=2e-6)
        assert not x[0, len(whole) :].any()


def test_crops_follow_the_seed(mixed_folder: Path) -> None:
    long_item = 3
    crops = [AudioFolder(mixed_folder, seed=seed)[long_item][0] for seed in (0, 0, 1)]
    assert torch.equal(crops[0], crops[1]) and not torch.equal(crops[0], crops[2])


def test_short_recordings_refused(mixed_folder: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"3 of 12 recordings .* shorter than 1 s: alto/player0/take 0.wav \(0.600 s\)"
    ):
        AudioFolder(mixed_folder, short="refuse")
    assert len(AudioFolder(mixed_folder, duration=0.5, short="refuse")) == 12


@pytest.mark.parametrize(
    ("seconds", "hop", "expected"),
    [
        (3.0, None, [0.0, 1.0, 2.0]),
        (2.4, None, [0.0, 1.0, 1.4]),  # the last window ends with the recording
        (1.0, None, [0.0]),
        (0.7, None, [0.0]),
        (2.0, 0.5, [0.0, 0.5, 1.0]),
        (3.5, 2.0, [0.0, 2.0, 2.5]),
    ],
)
def test_windows(
    tmp_path: Path, write_tone: WriteTone, seconds: float, hop: float | None, expected: list[float]
) -> None:
    path = write_tone(tmp_path / "sounds" / "one" / "a.wav", seconds=seconds)
    dataset = AudioFolder(path.parents[1], duration=1.0, long="windows", hop=hop)
    assert (dataset.starts / 16000).tolist() == pytest.approx(expected)
    whole = load_audio(path)
    for index, start in enumerate(dataset.starts):
        window, sound = dataset[index][0], whole[:, start : start + 16000]
        assert torch.equal(window[:, : sound.shape[1]], sound)
    assert dataset.groups is not None and dataset.groups.tolist() == [0] * len(expected)


def test_windows_of_one_recording_are_a_group(mixed_folder: Path) -> None:
    dataset = AudioFolder(mixed_folder, long="windows")
    assert dataset.groups is not None
    assert dataset.groups.tolist() == dataset.file_of.tolist()
    assert np.bincount(dataset.groups).tolist() == [1, 2, 3, 4] * 3
    assert dataset.group_names == dataset.paths


def test_group_pattern(mixed_folder: Path) -> None:
    dataset = AudioFolder(mixed_folder, long="windows", group_pattern=r"/(player\d)/")
    assert dataset.group_names == ["player0", "player1"]
    assert dataset.groups is not None
    for index, group in enumerate(dataset.groups):
        assert dataset.path(index).parts[-2] == dataset.group_names[group]


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        (r"player(0)", DatasetError, "does not match 'alto/player1/take 1.flac'"),
        (r"player\d", InputError, "has 0 capture groups; expected exactly one"),
        (r"(player)(\d)", InputError, "has 2 capture groups"),
        (r"player(\d", InputError, "is no regular expression"),
    ],
)
def test_bad_group_pattern(mixed_folder: Path, pattern: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AudioFolder(mixed_folder, group_pattern=pattern)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"duration": 0.0}, "duration is 0.0"),
        ({"duration": float("nan")}, "duration is nan"),
        ({"short": "drop"}, "short is 'drop'; expected 'pad' or 'refuse'"),
        ({"long": "cut"}, "long is 'cut'; expected 'crop' or 'windows'"),
        ({"long": "windows", "duration": None}, "say how long a window is"),
        ({"hop": 0.5}, "a hop needs long='windows'"),
        ({"hop": -1.0, "long": "windows"}, "hop is -1.0"),
    ],
)
def test_bad_settings(folder: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AudioFolder(folder, **settings)  # type: ignore[arg-type]


def test_not_a_class_folder_tree(tmp_path: Path, write_tone: WriteTone) -> None:
    with pytest.raises(DatasetError, match="missing is not a folder"):
        AudioFolder(tmp_path / "missing")
    write_tone(tmp_path / "flat" / "a.wav")
    with pytest.raises(DatasetError, match="flat holds no recordings in sub-folders"):
        AudioFolder(tmp_path / "flat")


def test_folder_without_recordings(folder: Path) -> None:
    (folder / "middle").mkdir()
    with pytest.raises(DatasetError, match="folders without recordings: middle"):
        AudioFolder(folder)


def test_other_files_are_named_once(folder: Path) -> None:
    (folder / "low" / "notes.txt").write_text("a cello")
    (folder / "low" / "video.mp4").write_bytes(b"x")
    shutil.copy(folder / "low" / "a.wav", folder / "loose.wav")
    with pytest.warns(UserWarning, match=r"3 files .* left out: .mp4 \(1\), .txt \(1\), .wav \(1\)") as warned:
        dataset = AudioFolder(folder)
    assert len(warned) == 1 and warned[0].filename == __file__
    assert len(dataset) == 4


@pytest.mark.filterwarnings("error")
def test_hidden_files_are_ignored_and_suffixes_may_be_upper_case(folder: Path) -> None:
    (folder / "low" / "._a.wav").write_bytes(b"made by a Mac")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    shutil.copy(folder / "low" / "a.wav", folder / "low" / "C.WAV")
    assert AudioFolder(folder).paths == ["high/a.wav", "high/b.wav", "low/C.WAV", "low/a.wav", "low/b.wav"]


def test_links_are_followed_but_not_in_circles(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "low", tmp_path / "elsewhere")
    (folder / "low").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(folder / "low")
    assert AudioFolder(folder).paths == ["high/a.wav", "high/b.wav", "low/a.wav", "low/b.wav"]


def test_bad_files_are_named_together(folder: Path) -> None:
    (folder / "low" / "empty.wav").write_bytes(b"")
    (folder / "low" / "text.mp3").write_text("not a sound " * 100)
    soundfile.write(folder / "low" / "nothing.wav", np.zeros(0), 16000)
    whole = (folder / "low" / "a.wav").read_bytes()
    (folder / "high" / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="4 of 8 recordings") as caught:
        AudioFolder(folder)
    message = str(caught.value)
    assert "truncated.wav is truncated" in message and "empty.wav is empty" in message
    assert "and 1 more" in message and f'musicfsl data verify "{folder}"' in message


def test_recording_of_one_sample(folder: Path) -> None:
    soundfile.write(folder / "low" / "click.wav", np.ones(1), 44100)
    with pytest.raises(DatasetError, match=r"click.wav is shorter than one sample at 16000 Hz"):
        AudioFolder(folder)


def test_verify_finds_what_headers_do_not_show(folder: Path) -> None:
    sound = np.full(16000, 0.1, dtype=np.float32)
    soundfile.write(folder / "low" / "silent.wav", np.zeros(16000), 16000)
    sound[9000] = np.nan
    soundfile.write(folder / "low" / "nan.wav", sound, 16000, subtype="FLOAT")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000)
    soundfile.write(folder / "high" / "damaged.flac", noise, 16000)
    damaged = bytearray((folder / "high" / "damaged.flac").read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 500] = bytes(500)
    (folder / "high" / "damaged.flac").write_bytes(damaged)
    (folder / "low" / "empty.ogg").write_bytes(b"")
    n_recordings, problems = verify_folder(folder)
    assert n_recordings == 8
    assert [problem.path for problem in problems] == [
        "high/damaged.flac",
        "low/empty.ogg",
        "low/nan.wav",
        "low/silent.wav",
    ]
    reasons = " ".join(problem.reason for problem in problems)
    for part in ("cannot be decoded", "is empty", "holds NaN", "only silence"):
        assert part in reasons
    (folder / "low" / "empty.ogg").unlink()
    assert AudioFolder(folder).verify() == [problems[0], *problems[2:]]


def test_silent_recording_is_named_when_read(folder: Path) -> None:
    soundfile.write(folder / "low" / "a.wav", np.zeros(32000), 16000)
    with pytest.raises(AudioError, match=r"low/a.wav holds only silence"):
        AudioFolder(folder)[2]


def test_silent_excerpt_of_a_recording_that_sounds_is_data(folder: Path) -> None:
    sound = np.zeros(32000)
    sound[31000:] = 0.5
    soundfile.write(folder / "low" / "a.wav", sound, 16000)
    dataset = AudioFolder(folder, long="windows")
    assert not dataset[2][0].any() and dataset[3][0].any()


def test_nan_is_named_when_read(folder: Path) -> None:
    soundfile.write(folder / "low" / "a.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"low/a.wav holds NaN"):
        AudioFolder(folder)[2]


def test_recording_that_vanishes_or_shrinks(folder: Path, write_tone: WriteTone) -> None:
    dataset = AudioFolder(folder)
    (folder / "low" / "a.wav").unlink()
    with pytest.raises(AudioError, match=r"low/a.wav does not exist"):
        dataset[2]
    write_tone(folder / "low" / "b.wav", seconds=0.5)
    with pytest.raises(AudioError, match=r"low/b.wav became shorter"):
        dataset[3]


def test_fingerprint_follows_content_not_place(folder: Path, tmp_path: Path) -> None:
    before = AudioFolder(folder).fingerprint()
    moved = folder.rename(tmp_path / "moved")
    assert AudioFolder(moved).fingerprint() == before
    path = moved / "low" / "a.wav"
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    assert AudioFolder(moved).fingerprint() != before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert AudioFolder(moved).fingerprint() == before
    path.rename(moved / "low" / "c.wav")
    assert AudioFolder(moved).fingerprint() != before


def test_fingerprint_follows_what_decides_on_the_items(folder: Path) -> None:
    def fingerprints(settings: list[dict[str, object]]) -> set[str]:
        return {AudioFolder(folder, **setting).fingerprint() for setting in settings}  # type: ignore[arg-type]

    settings: list[dict[str, object]] = [
        {},
        {"sample_rate": 8000},
        {"long": "windows"},
        {"long": "windows", "duration": 0.5},
        {"long": "windows", "duration": 0.5, "hop": 0.25},
        {"group_pattern": r"/(\w)\."},
    ]
    assert len(fingerprints(settings)) == len(settings)
    # What only chooses an excerpt of an item leaves the items, and features stored of them, as they are.
    assert len(fingerprints([{}, {"seed": 1}, {"duration": 0.5}, {"duration": None}, {"short": "refuse"}])) == 1


def test_item_is_named_by_its_file(folder: Path) -> None:
    assert AudioFolder(folder).subset(classes=["low"]).item_name(0) == str(folder / "low" / "a.wav")
