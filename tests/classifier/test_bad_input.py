"""What users' folders are like."""

from __future__ import annotations

import os
import shutil
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from musicfsl.backbones import MfccEncoder
from musicfsl.classifier import FewShotClassifier
from musicfsl.errors import AudioError, DatasetError, InputError, MusicfslError
from musicfsl.features import FeatureStore

Note = Callable[..., NDArray[np.float32]]


def fitted(folder: object, **settings) -> FewShotClassifier:
    return FewShotClassifier("mfcc", **settings).fit(folder)


def quietly(folder: object) -> FewShotClassifier:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return fitted(folder)


def damage(path: Path, kind: str, wave: NDArray[np.float32]) -> None:
    if kind == "nonsense":
        path.write_bytes(b"RIFF1234WAVEnonsense")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        soundfile.write(path, wave, 16000)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "silent":
        soundfile.write(path, np.zeros(16000), 16000)
    elif kind == "hardly sounding":
        soundfile.write(path, np.random.default_rng(0).choice([-1, 0, 1], 16000) / 32768, 16000)
    elif kind == "30 ms":
        soundfile.write(path, wave[:480], 16000)
    elif kind == "a link to itself":
        path.symlink_to(path)
    elif kind == "NaN":
        soundfile.write(path, np.full(16000, np.nan), 16000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nonsense", "cannot be read as audio"),
        ("empty", "is empty"),
        ("truncated", "is truncated or damaged"),
        ("silent", "holds only silence"),
        ("hardly sounding", "holds only silence"),
        ("30 ms", "is 30 ms long; at least 50 ms are needed"),
        ("a link to itself", "does not exist or is not a file"),
        ("NaN", "holds NaN or infinite"),
    ],
)
def test_one_bad_file_among_good_ones(kind: str, reason: str, folder: Path, make_note: Note) -> None:
    good = fitted(folder)
    damage(folder / "harp" / "bad one.wav", kind, make_note("harp"))
    with pytest.warns(UserWarning, match=f"left out of the examples: .*harp/bad one.wav {reason}"):
        classifier = fitted(folder)
    assert classifier.counts == good.counts
    assert [each.sound for each in classifier.unusable] == ["harp/bad one.wav"]
    assert classifier.predict_proba(make_note("harp", seed=3)) == good.predict_proba(make_note("harp", seed=3))
    with pytest.raises(AudioError, match=f"harp/bad one.wav {reason}"):
        fitted(folder, strict=True)
    with pytest.raises(AudioError, match=f"bad one.wav {reason}"):
        classifier.predict(folder / "harp" / "bad one.wav")
    with pytest.raises(DatasetError, match=f"no example of class 'oud' can be used: .*{reason}"):
        classifier.add("oud", folder / "harp" / "bad one.wav")


@pytest.mark.parametrize("milliseconds", [50, 60, 90])
def test_a_very_short_sound_is_heard(milliseconds: int, folder: Path, make_note: Note) -> None:
    wave = make_note("oboe", milliseconds / 1000, 7)
    assert fitted(folder, unknown=False).predict(wave) == "oboe"


def test_a_click_in_silence_is_heard(folder: Path) -> None:
    wave = np.zeros(16000, dtype=np.float32)
    wave[8000:8160] = 0.5
    assert fitted(folder).classify(wave).distance > 0


def test_a_class_without_a_usable_example(folder: Path) -> None:
    for path in (folder / "harp").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="no example of class 'harp' can be used: .*is empty"):
        fitted(folder)
    shutil.rmtree(folder / "harp")
    (folder / "harp").mkdir()
    with pytest.raises(DatasetError, match="the class folder .*harp holds no recordings"):
        fitted(folder)


def test_a_single_class(folder: Path) -> None:
    shutil.rmtree(folder / "harp")
    shutil.rmtree(folder / "oboe")
    with pytest.raises(InputError, match=r"there is one class only \('flute'\)"):
        fitted(folder)


@pytest.mark.parametrize("given", ["missing", "file", "empty", "flat"])
def test_folders_that_are_laid_out_otherwise(given: str, tmp_path: Path, make_note: Note) -> None:
    place = tmp_path / given
    if given == "file":
        place.write_text("x")
    elif given != "missing":
        place.mkdir()
    if given == "flat":
        soundfile.write(place / "a.wav", make_note("harp"), 16000)
    with pytest.raises(DatasetError, match="expected one (with a )?sub-folder of recordings a class"):
        fitted(place)


def test_other_files_are_left_out_with_a_warning(folder: Path) -> None:
    (folder / "oboe" / "notes.txt").write_text("x")
    (folder / "stray.wav").write_bytes(b"")
    (folder / ".hidden").mkdir()
    (folder / "harp" / "._0.wav").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"left out of .*: stray.wav; oboe/notes.txt"):
        assert fitted(folder).counts == {"flute": 3, "harp": 4, "oboe": 5}


def test_the_same_recording_in_two_classes_belongs_to_neither(folder: Path, make_note: Note) -> None:
    soundfile.write(folder / "flute" / "same.flac", soundfile.read(folder / "harp" / "0.wav")[0], 16000)
    with pytest.warns(UserWarning, match="flute/same.flac is also an example of another class .harp/0.wav."):
        classifier = fitted(folder)
    assert classifier.counts == {"flute": 3, "harp": 3, "oboe": 5}
    with pytest.raises(DatasetError, match="is also an example of another class"):
        fitted(folder, strict=True)
    clean = fitted({name: [make_note(name, seed=i) for i in range(2)] for name in ("flute", "harp")})
    with pytest.warns(UserWarning, match="sound 0 of 'flute' is also an example of another class"):
        clean.add("flute", make_note("harp", seed=1))  # found when it is added, too
    assert clean.counts == {"flute": 2, "harp": 1}


def test_a_copy_within_a_class_counts_once(folder: Path) -> None:
    shutil.copy(folder / "harp" / "0.wav", folder / "harp" / "again.wav")
    with pytest.warns(UserWarning, match=r"harp/again.wav is a copy of harp/0.wav; remove it"):
        assert fitted(folder).counts["harp"] == 4


def test_links_that_lead_in_circles_or_into_other_classes(folder: Path) -> None:
    (folder / "flute" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "flute" / "far up").symlink_to(folder.parent, target_is_directory=True)
    (folder / "flute" / "beside").symlink_to(folder / "harp", target_is_directory=True)
    (folder / "oboe" / "here").symlink_to(folder / "oboe", target_is_directory=True)
    assert quietly(folder).counts == {"flute": 3, "harp": 4, "oboe": 5}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may read everything")
def test_files_and_folders_without_permission(folder: Path) -> None:
    (folder / "harp" / "0.wav").chmod(0)
    with pytest.warns(UserWarning, match="harp/0.wav cannot be read .Permission denied."):
        assert fitted(folder).counts["harp"] == 3
    (folder / "harp").chmod(0)
    try:
        with pytest.raises(DatasetError, match="harp cannot be listed .Permission denied.; check its permissions"):
            fitted(folder)
    finally:
        (folder / "harp").chmod(0o755)


def test_a_file_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the administrator, whom no permission stops."""
    real = Path.open

    def refusing(self: Path, *arguments, **options):
        if self.name == "0.wav" and self.parent.name == "harp":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refusing)
    with pytest.warns(UserWarning, match="harp/0.wav cannot be read .Permission denied.; check the file and its perm"):
        assert fitted(folder).counts["harp"] == 3


def test_clipped_sounds_are_used_and_named(folder: Path, make_note: Note) -> None:
    soundfile.write(folder / "harp" / "loud.wav", np.clip(20 * make_note("harp", seed=9), -1, 1), 16000)
    with pytest.warns(UserWarning, match="1 of 13 sounds are clipped: harp/loud.wav"):
        classifier = fitted(folder)
    assert classifier.counts["harp"] == 5
    t = np.arange(16000) / 16000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.predict(np.sin(2 * np.pi * 220 * t))  # loud, but whole


def test_many_channels_at_a_high_rate(folder: Path, make_note: Note) -> None:
    wave = make_note("oboe", 1.0, 33, 96000)
    soundfile.write(folder / "oboe" / "eight.wav", np.tile(wave[:, None], (1, 8)), 96000)
    classifier = quietly(folder)
    nearest = classifier.explain((wave, 96000))[0]
    assert (nearest.sound, nearest.similarity) == ("oboe/eight.wav", pytest.approx(1, abs=1e-3))


def test_names_in_any_script(folder: Path, make_note: Note, tmp_path: Path) -> None:
    for name, new in {"flute": "笛子 🎶", "harp": "עוד", "oboe": unicodedata.normalize("NFD", "Hautböe")}.items():
        (folder / name).rename(folder / new)
    classifier = quietly(folder)
    assert classifier.classes == sorted(["笛子 🎶", "עוד", "Hautböe"])  # as they are typed, not as a disk stores them
    assert FewShotClassifier.load(classifier.save(tmp_path / "ü.safetensors")).classes == classifier.classes
    assert classifier.add("Hautböe", make_note("oboe", seed=5)).counts["Hautböe"] == 6


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname == "Darwin", reason="names are Unicode there")
def test_names_in_another_encoding(folder: Path, make_note: Note) -> None:
    path = os.fsencode(folder) + b"/harp/\xe9t\xe9.wav"
    (folder / "harp" / "0.wav").rename(os.fsdecode(path))
    classifier = quietly(folder)
    assert classifier.explain(Path(os.fsdecode(path)))[0].sound == "harp/�t�.wav"
    os.rename(os.fsencode(folder) + b"/flute", os.fsencode(folder) + b"/fl\xfbte")
    with pytest.raises(DatasetError, match="the folder name 'fl�te' is not encoded as UTF-8; rename the folder"):
        fitted(folder)


def test_a_class_that_is_called_unknown(folder: Path) -> None:
    (folder / "flute").rename(folder / "unknown")
    with pytest.raises(InputError, match="a class is called 'unknown'"):
        fitted(folder)
    assert "unknown" in fitted(folder, unknown=False).classes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "sounds are given as int"),
        ([0.1, 0.2], "sound 0 is a float"),
        (np.zeros((2, 3, 4)), r"has shape \(2, 3, 4\)"),
        (np.zeros((16000, 2)), r"has shape \(16000, 2\); expected samples \(n,\) or \(channels, n\)"),
        (np.zeros(0), r"has shape \(0,\)"),
        (np.zeros(16000), "holds only silence"),
        (np.full(16000, np.nan), "holds NaN or infinite samples"),
        (np.full(16000, 12000.0), "samples up to 12000"),
        (np.zeros(16000, dtype=np.uint8), "samples of type uint8"),
        ((np.ones(16000), 0), "sample rate of 0"),
        ((np.ones(16000), 44100.5), "sample rate of 44100.5"),
        ("no such file.wav", "no such file.wav does not exist"),
    ],
)
def test_what_is_no_sound(given: object, message: str, folder: Path) -> None:
    with pytest.raises(MusicfslError, match=message):
        fitted(folder).predict(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "the examples are a int; expected a folder"),
        ({}, "knows no classes yet"),
        ({"oud": [], "ney": []}, "class 'oud' has no example"),
        ({"": np.ones(16000)}, "a class is called ''"),
        ({1: np.ones(16000)}, "a class is called 1"),
    ],
)
def test_what_are_no_examples(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fitted(given)


def test_groups_that_cannot_be_found(folder: Path, make_note: Note) -> None:
    with pytest.raises(DatasetError, match="does not match 'flute/0.wav'; every recording needs a group"):
        FewShotClassifier("mfcc").fit(folder, group_pattern=r"session (\d)")
    with pytest.raises(InputError, match="a data set knows its own, a dict none"):
        FewShotClassifier("mfcc").fit({"flute": make_note("flute")}, group_pattern=r"(\d)")


def test_stored_features_are_no_sounds(tones) -> None:
    store = FeatureStore.build(tones, MfccEncoder().front_end, progress=False)
    with pytest.raises(InputError, match="holds stored features; give the data set of waves"):
        fitted(store)
