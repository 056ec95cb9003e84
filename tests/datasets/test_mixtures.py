from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.datasets import ClassConditionalDataset, Mixtures, SyntheticInstruments, split_players
from musicfsl.datasets._mixing import NoteBank, mixed, played
from musicfsl.datasets._scores import ROLES, UNKNOWN_PITCH, Event, Palette, draw_line, draw_setting
from musicfsl.errors import AudioError, CacheError, DatasetError, InputError

RATE = 8000


class Tones(ClassConditionalDataset):
    """Sines of one second, a frequency a class: three classes, two players each, all notes of one octave.

    What sounds in a mixture can then be read from its spectrum, whatever pitch the notes claim to have.
    """

    HZ = (500.0, 1000.0, 2000.0)

    def __init__(self, grouped: bool = True, silent: bool = False, offset_s: float = 0.0) -> None:
        self.name = "tones"
        self.classes = ["low", "middle", "high"]
        self.targets = np.repeat(np.arange(3), 24)
        self.groups = np.arange(72) // 12 if grouped else None
        self.pitches = np.tile(np.arange(60, 72), 6)
        self.sample_rate = RATE
        self.lengths = np.full(72, RATE)
        self.silent, self.offset = silent, round(offset_s * RATE)

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        t = torch.arange(RATE) / RATE
        wave = 0.5 * torch.sin(2 * torch.pi * self.HZ[int(self.targets[index])] * t)
        wave[: self.offset] = 0
        return (0 * wave if self.silent else wave).unsqueeze(0)

    def fingerprint(self) -> str:
        return f"tones {self.offset} {self.silent}"


def mixtures(tmp_path: Path, notes: ClassConditionalDataset | None = None, **settings: object) -> Mixtures:
    chosen = {"n_excerpts": 30, "n_instruments": (1, 3), "cache_dir": tmp_path, "progress": False, **settings}
    return Mixtures(Tones() if notes is None else notes, **chosen)  # type: ignore[arg-type]


def levels_of(wave: Tensor) -> NDArray[np.float64]:
    """Level of each tone in decibels, by its power around its frequency."""
    power = np.abs(np.fft.rfft(wave[0].numpy())) ** 2
    hz = np.fft.rfftfreq(wave.shape[1], 1 / RATE)
    return np.array([10 * np.log10(power[np.abs(hz - f) < 100].sum() + 1e-9) for f in Tones.HZ])


def test_what_is_said_to_sound_sounds_and_nothing_else(tmp_path: Path) -> None:
    dataset = mixtures(tmp_path, levels_db=(-12.0, -6.0))
    assert dataset.targets.tolist() == dataset.sounding.tolist()
    assert {1, 2, 3} == set(dataset.sounding.sum(axis=1))
    for index in range(len(dataset)):
        levels = levels_of(dataset.read(index))
        # A tone that does not play leaks from the onsets of the others, far below the quietest that does.
        assert ((levels > levels.max() - 25) == dataset.sounding[index].astype(bool)).all()


def test_levels_are_those_of_lines_that_sound_all_the_time(tmp_path: Path) -> None:
    """Notes that are longer than any bar leave no gap, so the levels of lines are the levels in the spectrum."""
    bank = NoteBank(Tones())
    waves = [played([Event(n, 0.0, 1.0, g) for g in (0.3, 0.7)], bank, RATE // 2) for n in (0, 24)]
    for wave in waves:
        assert np.sqrt(np.mean(wave**2)) == pytest.approx(1.0, abs=1e-4)
    mix = mixed(waves, [0.0, -9.0], peak_db=-3.0)
    levels = levels_of(torch.from_numpy(mix.astype(np.float32)).unsqueeze(0))
    assert levels[0] - levels[1] == pytest.approx(9.0, abs=0.2)
    assert np.abs(mix).max() == pytest.approx(32767 * 10 ** (-3 / 20), abs=1)


def test_predominant_is_the_only_label_where_asked_and_takes_turns(tmp_path: Path) -> None:
    dataset = mixtures(tmp_path, labels="predominant", levels_db=(-20.0, -10.0))
    assert (dataset.targets.sum(axis=1) == 1).all()
    assert dataset.targets.argmax(axis=1).tolist() == dataset.predominant.tolist() == [i % 3 for i in range(30)]
    assert dataset.sounding.sum() > len(dataset)
    rows = np.arange(len(dataset))
    assert (dataset.levels[rows, dataset.predominant] == 0).all()
    others = dataset.levels[np.isfinite(dataset.levels) & (dataset.targets == 0)]
    assert -20 <= others.min() < others.max() <= -10
    same = mixtures(tmp_path, labels="all", levels_db=(-20.0, -10.0))  # only the labels differ
    assert torch.equal(same.read(7), dataset.read(7)) and same.targets[7].tolist() == dataset.sounding[7].tolist()


def test_players_are_groups_of_the_notes(tmp_path: Path) -> None:
    dataset = mixtures(tmp_path)
    assert ((dataset.players >= 0) == dataset.sounding.astype(bool)).all()
    for c in range(3):
        assert set(dataset.players[:, c]) - {-1} == {2 * c, 2 * c + 1}
    assert dataset.groups.tolist() == dataset.players[np.arange(30), dataset.predominant].tolist()


def test_other_classes_accompany_without_a_label(tmp_path: Path) -> None:
    dataset = mixtures(tmp_path, vocabulary=["high", "low"], accompaniment=0.5, n_instruments=(1, 2))
    assert dataset.classes == ["high", "low"]
    accompanied = [names != [] for names in dataset.accompaniment]
    assert 5 < sum(accompanied) < 25 and {name for names in dataset.accompaniment for name in names} == {"middle"}
    for index, there in enumerate(accompanied):
        levels = levels_of(dataset.read(index))
        assert (levels[1] > levels.max() - 25) == there
    assert mixtures(tmp_path, vocabulary=["high", "low"]).accompaniment == [[]] * 30


def test_an_excerpt_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    few, many = mixtures(tmp_path, n_excerpts=3, seconds=(1.0, 4.0)), mixtures(tmp_path, seconds=(1.0, 4.0))
    for index in range(3):
        assert torch.equal(few.read(index), many.read(index))
        assert few.keys[index] == many.keys[index]
    other = mixtures(tmp_path, n_excerpts=3, seconds=(1.0, 4.0), seed=1)
    assert other.fingerprint() != few.fingerprint()
    assert not torch.equal(other.read(0)[:, :RATE], few.read(0)[:, :RATE])
    seconds = many.lengths / RATE
    assert seconds.min() >= 1 and seconds.max() <= 4 and np.median(seconds) == pytest.approx(2.0, abs=0.5)


def test_lines_belong_to_the_key_and_strong_beats_to_the_chord() -> None:
    palette = Palette(np.arange(100, 136), np.arange(48, 84))  # all notes of three octaves
    for seed in range(20):
        rng = np.random.default_rng(seed)
        setting = draw_setting(rng, duration=8.0)
        assert setting.starts[0] <= 0 and setting.starts[-1] < 8.0
        third = 3 if setting.mode == "minor" else 4
        assert setting.chords[0] == tuple((setting.tonic + k) % 12 for k in (0, third, 7))
        assert all(set(chord) <= set(setting.scale) and len(chord) == 3 for chord in setting.chords)
        for role in ROLES:
            events = draw_line(rng, setting, palette, role)
            pitches = np.array([event.note - 52 for event in events])
            assert set(pitches % 12) <= set(setting.scale)
            for event, pitch in zip(events, pitches, strict=True):
                bar = max(k for k, start in enumerate(setting.starts) if start <= event.start + 1e-9)
                beat = (event.start - setting.starts[bar]) * setting.tempo / 60
                if role in ("chords", "arpeggio") or (role == "melody" and abs(beat - round(beat)) < 1e-6):
                    assert pitch % 12 in setting.chords[bar]
                if role == "bass":
                    assert pitch % 12 == setting.chords[bar][0]
            starts = [event.start for event in events]
            at_once = max(starts.count(start) for start in starts)
            assert (2 <= at_once <= 4) if role == "chords" else at_once == 1


def test_notes_of_unknown_pitch_make_lines_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    palette = Palette(np.arange(5), np.full(5, UNKNOWN_PITCH))
    for role in ROLES:
        assert {event.note for event in draw_line(rng, draw_setting(rng, 3.0), palette, role)} <= set(range(5))
    unknown = mixtures(tmp_path, pitches=[-1] * 72)
    assert unknown.fingerprint() != mixtures(tmp_path).fingerprint()
    one_note = Palette(np.array([3]), np.array([61]))
    assert {event.note for event in draw_line(rng, draw_setting(rng, 3.0), one_note, "chords")} == {3}


def test_every_instrument_is_heard_for_a_while(tmp_path: Path) -> None:
    class Short(Tones):
        def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
            return super().read(index)[:, : RATE // 5]

    dataset = mixtures(tmp_path, Short(), n_instruments=(1, 1), n_excerpts=60)
    for index in range(60):
        frames = dataset.read(index)[0].reshape(-1, RATE // 50).square().mean(dim=1)
        assert (frames > frames.max() / 100).float().mean() > 0.1  # a single note would be 0.067


def test_silence_before_a_note_is_cut_off() -> None:
    early, late = NoteBank(Tones()), NoteBank(Tones(offset_s=0.4))
    assert early.seconds(0) == 1.0 and late.seconds(0) == pytest.approx(0.6, abs=0.021)


def test_held_notes_end_in_a_fade() -> None:
    note = NoteBank(Tones()).held(24, 0.3)
    assert len(note) == round(0.36 * RATE)
    level = np.sqrt((note[: len(note) // 8 * 8].reshape(-1, 8) ** 2).mean(axis=1))  # 1 ms is a period
    assert level[:298] / level[0] == pytest.approx(1.0, rel=0.01)
    assert (np.diff(level[300:]) < 0).all() and level[-1] < 0.01 * level[0]


def test_it_works_with_the_embedded_notes_and_keeps_their_families(tmp_path: Path) -> None:
    notes = SyntheticInstruments(
        n_players=2, notes_per_player=4, classes=["Flute", "Koto"], sample_rate=RATE, duration=None, cache_dir=tmp_path,
        progress=False,
    )  # fmt: skip
    dataset = mixtures(tmp_path, notes, n_excerpts=4, duration=1.0)
    assert dataset.families == {"Flute": "flutes", "Koto": "plucked strings"}
    assert dataset.is_synthetic and dataset[0][0].shape == (1, RATE) and dataset.name == "mixtures_of_synthetic"
    assert not mixtures(tmp_path).is_synthetic
    with pytest.raises(DatasetError, match="have several labels each"):
        mixtures(tmp_path, dataset)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_excerpts": 0}, "n_excerpts is 0"),
        ({"labels": "loudest"}, "expected 'all' or 'predominant'"),
        ({"n_instruments": (0, 2)}, r"n_instruments is \(0, 2\)"),
        ({"n_instruments": (3, 2)}, "expected .least, greatest."),
        ({"seconds": 0.1}, "0.5 or more"),
        ({"seconds": (3.0, float("nan"))}, "expected .shortest, longest."),
        ({"levels_db": (-3.0, 1.0)}, "0 at most"),
        ({"accompaniment": 1.5}, "expected a share"),
        ({"duration": float("inf")}, "duration is inf"),
        ({"seed": -1}, "seed is -1"),
        ({"pitches": [60]}, r"shape \(1,\); expected a MIDI number"),
        ({"vocabulary": ["lov"]}, "no class 'lov'. Did you mean 'low'"),
        ({"vocabulary": ["low", "low"]}, "every name once"),
        ({"vocabulary": "low"}, "is the string 'low'"),
    ],
)
def test_bad_arguments(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises((InputError, DatasetError), match=message):
        mixtures(tmp_path, **settings)
    assert not any(tmp_path.iterdir())


def test_silent_notes_are_named_and_leave_no_cache(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="item .* of tones.* holds only silence"):
        mixtures(tmp_path, Tones(silent=True))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("damage", ["samples.npy", "excerpts.json", "arguments"])
def test_a_damaged_cache_is_named(tmp_path: Path, damage: str) -> None:
    folder = mixtures(tmp_path).cache_folder
    if damage == "samples.npy":
        (folder / damage).write_bytes((folder / damage).read_bytes()[:-100])
    elif damage == "excerpts.json":
        (folder / damage).write_text("{")
    else:
        table = json.loads((folder / "excerpts.json").read_text())
        table["arguments"]["seed"] = 5
        (folder / "excerpts.json").write_text(json.dumps(table))
    with pytest.raises(CacheError, match=f"{folder.name} is damaged .*; delete that folder"):
        mixtures(tmp_path)


def test_parts_share_no_player_and_have_all_classes() -> None:
    notes = SplitNotes([4, 9, 3])
    parts = split_players(notes, [0.5, 0.25, 0.25], seed=3)
    assert sorted(np.concatenate(parts)) == list(range(len(notes)))
    assert all(set(notes.targets[part]) == {0, 1, 2} for part in parts)
    players = [set(notes.groups[part]) for part in parts]
    assert not (players[0] & players[1] or players[0] & players[2] or players[1] & players[2])
    assert sum(1 for player in players[0] if player // 100 == 1) in (4, 5)  # half of nine
    again = split_players(notes, [0.5, 0.25, 0.25], seed=3)
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))


def test_a_class_with_too_few_players_is_divided_by_note() -> None:
    notes = SplitNotes([4, 2, 3])
    parts = split_players(notes, [0.4, 0.3, 0.3])
    assert sorted(np.concatenate(parts)) == list(range(len(notes)))
    assert all(set(notes.targets[part]) == {0, 1, 2} for part in parts)
    ungrouped = Tones(grouped=False)
    parts = split_players(ungrouped, [0.5, 0.5])
    assert sorted(np.concatenate(parts)) == list(range(72)) and {len(part) for part in parts} == {36}


def test_impossible_divisions() -> None:
    with pytest.raises(InputError, match="class 1 has 2 notes; 3 parts need"):
        split_players(SplitNotes([3, 1], notes_per_player=2), [0.5, 0.3, 0.2])
    with pytest.raises(InputError, match="sum to 1"):
        split_players(Tones(), [0.5, 0.3])


class SplitNotes(ClassConditionalDataset):
    """Classes with so many players each; there is no sound."""

    def __init__(self, players: list[int], notes_per_player: int = 3) -> None:
        self.name = "notes"
        self.classes = [f"class {c}" for c in range(len(players))]
        self.groups = np.repeat([100 * c + p for c, n in enumerate(players) for p in range(n)], notes_per_player)
        self.targets = self.groups // 100

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        raise NotImplementedError

    def fingerprint(self) -> str:
        return "notes"
