"""Windows of long recordings: which are kept, what is told of the rest, and their augmented copies."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from musicfsl.audio import load_audio
from musicfsl.datasets import AudioFolder, MedleySolosDB, Recording, WindowedRecordings
from musicfsl.datasets._levels import read_levels
from musicfsl.effects import RandomEffects, apply_effects
from musicfsl.errors import AudioError, DatasetError, InputError

RATE = 16000


def write(path: Path, seconds_and_levels: list[tuple[float, float | None]], rate: int = RATE) -> Path:
    """Noise of given levels in decibels, one piece after the other; None is silence."""
    rng = np.random.default_rng(0)
    pieces = [
        np.zeros(round(seconds * rate)) if db is None else 10 ** (db / 20) * rng.uniform(-1, 1, round(seconds * rate))
        for seconds, db in seconds_and_levels
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(pieces), rate, subtype="FLOAT")
    return path


@pytest.fixture
def piece(tmp_path: Path) -> Path:
    """5 s: sound, silence for 2 s, sound 30 dB below, sound 50 dB below."""
    return write(tmp_path / "flute" / "piece.wav", [(1.0, 0.0), (2.0, None), (1.0, -30.0), (1.0, -50.0)])


def starts(path: Path, **settings: Any) -> list[float]:
    dataset = WindowedRecordings([Recording(path, "flute")], progress=False, **settings)
    return (dataset.starts / dataset.sample_rate).tolist()


def test_windows_of_silence_are_left_out(piece: Path) -> None:
    assert starts(piece) == [0.0, 3.0, 4.0]
    assert starts(piece, silence_db=40.0) == [0.0, 3.0]
    assert starts(piece, silence_db=20.0) == [0.0]
    assert starts(piece, silence_db=None) == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_window_is_kept_by_the_share_that_sounds(piece: Path) -> None:
    """Windows every 0.2 s; those from 0.2 to 2.8 s sound for 0.8, 0.6, ... 0, ... 0.8 of their length."""
    every = {"hop_length": 0.2}
    assert starts(piece, min_sounding=0.99, **every) == pytest.approx([0.0, 3.0, 3.2, 3.4, 3.6, 3.8, 4.0])
    kept = starts(piece, min_sounding=0.5, **every)
    assert kept == pytest.approx([0.0, 0.2, 0.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6, 3.8, 4.0])
    assert set(np.round(starts(piece, min_sounding=0.25, **every), 3)) - set(np.round(kept, 3)) == {0.6, 2.4}


@pytest.mark.parametrize(("rate", "sample_rate"), [(44100, 16000), (8000, 16000), (22050, 44100)])
def test_rates(tmp_path: Path, rate: int, sample_rate: int) -> None:
    path = write(tmp_path / "a" / "a.wav", [(2.0, 0.0), (3.0, None), (2.5, 0.0)], rate)
    assert starts(path, sample_rate=sample_rate) == pytest.approx([0.0, 1.0, 5.0, 6.0, 6.5])


def test_kept_windows_are_those_of_a_loop_over_frames(tmp_path: Path) -> None:
    """The rule as it is written in the docstring, one window and one frame at a time."""
    rng = np.random.default_rng(1)
    path = write(
        tmp_path / "a" / "a.wav", [(float(rng.uniform(0.05, 0.9)), float(rng.uniform(-90, 0))) for _ in range(40)]
    )
    dataset = WindowedRecordings(
        [Recording(path, "a")], example_length=0.7, hop_length=0.13, silence_db=35, min_sounding=0.6, progress=False
    )
    wave = load_audio(path, RATE)[0].double().numpy()
    levels = [np.sqrt(np.square(wave[k : k + 320]).mean()) for k in range(0, len(wave), 320)]
    expected = []
    n, hop = round(0.7 * RATE), round(0.13 * RATE)
    all_starts = list(range(0, len(wave) - n + 1, hop))
    for start in all_starts if all_starts[-1] + n == len(wave) else [*all_starts, len(wave) - n]:
        inside = [level for k, level in enumerate(levels) if start <= 320 * k + 160 < start + n]
        sounding = [20 * np.log10(level / max(levels)) > -35 for level in inside]
        if np.mean(sounding) >= 0.6:
            expected.append(start)
    assert 0 < len(expected) < len(all_starts)
    assert dataset.starts.tolist() == expected
    assert dataset.silent_windows.tolist() == [len(all_starts) + (all_starts[-1] + n < len(wave)) - len(expected)]


def test_items_and_groups(long_folder: Path) -> None:
    dataset = WindowedRecordings.from_folder(long_folder)
    assert dataset.name == "long" and dataset.classes == ["high", "low"]
    assert (dataset.starts / RATE).tolist() == pytest.approx([0.0, 1.0, 2.0, 2.3, 0.0, 3.0, 4.0] * 2)
    assert dataset.silent_windows.tolist() == [0, 2, 0, 2]
    assert dataset.groups is not None and dataset.groups.tolist() == [0] * 4 + [1] * 3 + [2] * 4 + [3] * 3
    assert dataset.group_names == [f"{name}/piece {k}.wav" for name in ("high", "low") for k in (0, 1)]
    assert dataset.is_copy is None and dataset.originals() is dataset
    for index in (0, 3, 5, len(dataset) - 1):
        start = dataset.starts[index]
        whole = load_audio(dataset.path(index), RATE)
        torch.testing.assert_close(dataset[index][0], whole[:, start : start + RATE], rtol=0, atol=2e-6)
    assert dataset.item_name(5) == f"{long_folder / 'high' / 'piece 1.wav'} from 3.000 s on"


def test_rows_name_classes_and_groups(long_folder: Path) -> None:
    rows = [
        Recording(long_folder / "high" / "piece 0.wav", "bird", "forest"),
        Recording(long_folder / "low" / "piece 0.wav", "bear", "forest"),
        Recording(long_folder / "low" / "piece 1.wav", "bear"),
    ]
    dataset = WindowedRecordings(rows, name="animals")
    assert dataset.root == long_folder and dataset.paths[0] == "high/piece 0.wav"
    assert dataset.classes == ["bear", "bird"] and dataset.group_names == ["forest", "low/piece 1.wav"]
    assert dataset.groups is not None
    assert [dataset.group_names[g] for g in dataset.groups] == ["forest"] * 8 + ["low/piece 1.wav"] * 3
    relative = WindowedRecordings([("low/piece 0.wav", "bear", None)], root=long_folder)  # type: ignore[list-item]
    assert relative.path(0) == long_folder / "low" / "piece 0.wav"


def test_groups_by_pattern(long_folder: Path) -> None:
    dataset = WindowedRecordings.from_folder(long_folder, group_pattern=r"piece (\d)")
    assert dataset.group_names == ["0", "1"]


def test_medley_solos_db_keeps_its_songs(medley_root: Path) -> None:
    songs = MedleySolosDB(medley_root, version="small", duration=None)
    dataset = WindowedRecordings.from_dataset(songs, hop_length=0.5)
    assert dataset.name == "medley_solos_db" and dataset.classes == songs.classes
    assert len(dataset) == len(songs) * 5  # in 2.97 s: from 0, 0.5, 1, 1.5 s on, and a last one
    assert songs.groups is not None and dataset.groups is not None
    song_of_path = {path: songs.group_names[g] for path, g in zip(songs.paths, songs.groups, strict=True)}
    for index in range(0, len(dataset), 7):
        assert dataset.group_names[dataset.groups[index]] == song_of_path[dataset.paths[dataset.file_of[index]]]


def test_windows_of_a_data_set_take_whole_recordings(mixed_folder: Path) -> None:
    cropped = AudioFolder(mixed_folder, sample_rate=8000, long="windows", duration=0.5, hop=0.1)
    dataset = WindowedRecordings.from_dataset(cropped, short="pad", silence_db=None)
    assert dataset.sample_rate == 8000 and dataset.paths == cropped.paths
    assert np.bincount(dataset.file_of).tolist() == [1, 2, 3, 4] * 3


def test_data_sets_without_files_cannot_be_cut(mixed_folder: Path) -> None:
    with pytest.raises(InputError, match="mixed has no recordings in files"):
        WindowedRecordings.from_dataset(AudioFolder(mixed_folder).subset(classes=["alto"]))


def test_duration_cuts_windows(long_folder: Path) -> None:
    dataset = WindowedRecordings.from_folder(long_folder, duration=0.25)
    assert dataset.length == 4000 and set(dataset.lengths) == {16000}
    assert dataset[0][0].shape == (1, 4000) and dataset.read(0).shape == (1, 16000)


def test_short_recordings(tmp_path: Path) -> None:
    write(tmp_path / "bell" / "stroke.wav", [(0.4, 0.0)])
    write(tmp_path / "bell" / "piece.wav", [(3.0, 0.0)])
    with pytest.raises(DatasetError, match=r"1 of 2 recordings .* shorter than 1 s: bell/stroke.wav \(0.400 s\)"):
        WindowedRecordings.from_folder(tmp_path)
    dataset = WindowedRecordings.from_folder(tmp_path, short="pad", n_copies=3)
    stroke = dataset.paths.index("bell/stroke.wav")
    for index in np.flatnonzero(dataset.file_of == stroke):
        assert dataset.lengths[index] == 6400 and dataset.read(index).shape == (1, 6400)
        assert dataset[index][0].shape == (1, 16000) and not dataset[index][0][:, 6400:].any()


def test_recording_without_a_sounding_window_is_named_where_its_class_has_others(tmp_path: Path) -> None:
    write(tmp_path / "flute" / "a.wav", [(2.0, 0.0)])
    write(tmp_path / "flute" / "click.wav", [(0.1, 0.0), (3.0, None)])
    write(tmp_path / "flute" / "silent.wav", [(2.0, None)])
    with pytest.warns(UserWarning, match=r"2 of 3 recordings .* left out: flute/click.wav; flute/silent.wav") as warned:
        dataset = WindowedRecordings.from_folder(tmp_path)
    assert len(warned) == 1
    assert dataset.without_windows == ["flute/click.wav", "flute/silent.wav"]
    assert dataset.silent_windows.tolist() == [0, 4, 2] and len(dataset) == 2
    assert {dataset.paths[f] for f in dataset.file_of} == {"flute/a.wav"}


def test_class_without_a_sounding_window(tmp_path: Path) -> None:
    write(tmp_path / "flute" / "a.wav", [(2.0, 0.0)])
    write(tmp_path / "oboe" / "b.wav", [(2.0, None)])
    with pytest.raises(DatasetError, match=r"no recording of 'oboe' .* sounds \(without any: oboe/b.wav\)"):
        WindowedRecordings.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"example_length": 0.0}, "example_length is 0.0"),
        ({"hop_length": 0.0}, "hop_length is 0.0"),
        ({"hop_length": -1.0}, "hop_length is -1.0"),
        ({"hop_length": float("nan")}, "hop_length is nan"),
        ({"silence_db": 0.0}, "silence_db is 0.0"),
        ({"min_sounding": 0.0}, "min_sounding is 0.0"),
        ({"min_sounding": 1.1}, "min_sounding is 1.1"),
        ({"duration": 1.5}, "duration is 1.5, but a window has 1.0 s"),
        ({"duration": 0.0}, "duration is 0.0"),
        ({"n_copies": -1}, "n_copies is -1"),
        ({"seed": -1}, "seed -1"),
        ({"short": "drop"}, "short is 'drop'"),
    ],
)
def test_bad_settings(long_folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WindowedRecordings.from_folder(long_folder, **settings)


def test_bad_rows(piece: Path) -> None:
    with pytest.raises(DatasetError, match="there are no recordings"):
        WindowedRecordings([])
    with pytest.raises(DatasetError, match=r"piece.wav is given twice"):
        WindowedRecordings([Recording(piece, "flute"), Recording(piece.parent / "." / "piece.wav", "oboe")])
    with pytest.raises(DatasetError, match=r"gone.wav does not exist"):
        WindowedRecordings([Recording(piece, "flute"), Recording(piece.with_name("gone.wav"), "oboe")])


class TestCopies:
    @pytest.fixture
    def dataset(self, long_folder: Path) -> WindowedRecordings:
        return WindowedRecordings.from_folder(long_folder, n_copies=2, seed=5)

    def test_they_follow_the_windows_and_keep_class_and_group(self, dataset: WindowedRecordings) -> None:
        n = 14
        assert len(dataset) == 3 * n and dataset.is_copy is not None and dataset.groups is not None
        assert dataset.is_copy.tolist() == [False] * n + [True] * (2 * n)
        assert dataset.source_of.tolist() == [*range(n), *np.repeat(range(n), 2)]
        assert dataset.copy_number.tolist() == [0] * n + [1, 2] * n
        for what in (dataset.targets, dataset.groups, dataset.starts, dataset.file_of, dataset.lengths):
            assert what.tolist() == what[dataset.source_of].tolist()
        assert dataset.item_name(n + 1).endswith("from 0.000 s on, augmented copy 2")

    def test_originals_leave_them_out(self, dataset: WindowedRecordings, long_folder: Path) -> None:
        plain, originals = WindowedRecordings.from_folder(long_folder), dataset.originals()
        assert len(originals) == len(plain)
        assert all(torch.equal(originals[i][0], plain[i][0]) for i in (0, 6, 13))
        assert originals.originals() is originals

    def test_a_copy_is_what_its_parameters_say(self, dataset: WindowedRecordings) -> None:
        for index in range(14, 42, 3):
            effects = dataset.parameters(index)
            assert json.loads(json.dumps(effects)) == effects and effects[-1]["effect"] == "limit"
            rate = {effect["effect"]: effect for effect in effects}.get("stretch", {"rate": 1.0})["rate"]
            n_source, n_recording = int(np.ceil(RATE * rate)), load_audio(dataset.path(index), RATE).shape[1]
            start = min(int(dataset.starts[index]), n_recording - n_source)
            source = load_audio(dataset.path(index), RATE, start / RATE, n_source / RATE)
            expected = apply_effects(source, RATE, effects)[:, :RATE]
            x = dataset[index][0]
            assert x.shape == (1, RATE) and x.abs().max() <= 1
            assert torch.equal(x[:, : expected.shape[1]], expected) and not x[:, expected.shape[1] :].any()
            assert not torch.equal(x, dataset[int(dataset.source_of[index])][0])
        assert dataset.parameters(3) == []

    def test_copies_are_a_pure_function_of_seed_and_number(
        self, dataset: WindowedRecordings, long_folder: Path
    ) -> None:
        state = random.getstate()
        again = WindowedRecordings.from_folder(long_folder, n_copies=2, seed=5)
        for index in (41, 14, 20):  # in whatever order
            assert again.parameters(index) == dataset.parameters(index)
            assert torch.equal(again[index][0], dataset[index][0])
        drawn = [json.dumps(dataset.parameters(index)) for index in range(14, 42)]
        assert len(set(drawn)) == len(drawn)
        # More copies leave the first ones as they are.
        more = WindowedRecordings.from_folder(long_folder, n_copies=3, seed=5)
        for source, number in [(0, 1), (13, 2)]:
            index = int(np.flatnonzero((more.source_of == source) & (more.copy_number == number))[0])
            assert more.parameters(index) == dataset.parameters(14 + 2 * source + number - 1)
        other = WindowedRecordings.from_folder(long_folder, n_copies=2, seed=6)
        assert other.parameters(14) != dataset.parameters(14)
        assert dataset.with_length(8000, seed=9).parameters(14) == dataset.parameters(14)
        assert random.getstate() == state

    def test_a_stretched_copy_fills_its_window(self, tmp_path: Path) -> None:
        write(tmp_path / "a" / "a.wav", [(4.0, 0.0)])
        faster = RandomEffects(["stretch"], n_effects=(1, 1), rate=(1.25, 1.25))
        dataset = WindowedRecordings.from_folder(tmp_path, n_copies=1, effects=faster)
        for index in range(4, 8):
            last = dataset[index][0][0, -800:]
            assert last.square().mean() > 0.1 * dataset[index][0].square().mean()

    def test_chosen_effects_only(self, long_folder: Path) -> None:
        effects = RandomEffects(["gain", "eq"], n_effects=(1, 2))
        dataset = WindowedRecordings.from_folder(long_folder, n_copies=3, effects=effects)
        names = {effect["effect"] for index in range(14, len(dataset)) for effect in dataset.parameters(index)}
        assert names == {"gain", "eq", "limit"}

    def test_fingerprint_follows_copies_and_effects(self, long_folder: Path) -> None:
        settings: list[dict[str, Any]] = [
            {},
            {"n_copies": 1},
            {"n_copies": 2},
            {"n_copies": 1, "seed": 1},
            {"n_copies": 1, "effects": RandomEffects(["gain"], n_effects=(1, 1))},
            {"hop_length": 0.5},
            {"silence_db": None},
        ]
        prints = {WindowedRecordings.from_folder(long_folder, **setting).fingerprint() for setting in settings}
        assert len(prints) == len(settings)

    def test_recording_that_became_shorter(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a" / "a.wav", [(3.0, 0.0)])
        dataset = WindowedRecordings.from_folder(tmp_path, n_copies=1)
        write(path, [(1.2, 0.0)])
        with pytest.raises(AudioError, match=r"a.wav"):
            [dataset.read(index) for index in range(len(dataset))]


def test_opening_again_measures_nothing(long_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = WindowedRecordings.from_folder(long_folder, cache_dir=tmp_path)
    monkeypatch.setattr("musicfsl.datasets._levels.read_levels", lambda path: pytest.fail(f"measured {path} again"))
    again = WindowedRecordings.from_folder(long_folder, cache_dir=tmp_path)
    assert again.fingerprint() == first.fingerprint()
    WindowedRecordings.from_folder(long_folder, cache_dir=tmp_path, silence_db=30.0, example_length=0.5)


def test_without_a_silence_level_nothing_is_measured(long_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicfsl.datasets._levels.read_levels", lambda path: pytest.fail(f"measured {path}"))
    assert len(WindowedRecordings.from_folder(long_folder, silence_db=None)) == 18


def test_levels_see_what_load_audio_hears(long_folder: Path) -> None:
    """Level and sound come from two ways of reading a file, which must agree on where it sounds."""
    path = long_folder / "high" / "piece 1.wav"
    levels, wave = read_levels(path), load_audio(path, RATE)[0]
    power = wave[: len(wave) // 320 * 320].reshape(-1, 320).square().mean(dim=1).numpy()
    assert ((levels.powers[: len(power)] > 1e-4) == (power > 1e-4)).mean() > 0.98
