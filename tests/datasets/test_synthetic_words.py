"""The words said by rule as a data set: speakers and subsets, determinism, cache, difficulty."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from musicfsl.class_splits import class_split_names
from musicfsl.datasets import SpeechCommands, open_dataset, synthetic_words, verify_dataset
from musicfsl.datasets.speech_commands import N_RECORDINGS
from musicfsl.datasets.synthetic_words import SyntheticWords
from musicfsl.errors import CacheError, DatasetError, InputError

RATE = 16000


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def every_word(cache: Path) -> SyntheticWords:
    return SyntheticWords(n_speakers=5, takes=1, cache_dir=cache, progress=False)


def small(cache_dir: Path, **changes: Any) -> SyntheticWords:
    settings: dict[str, Any] = {"n_speakers": 2, "takes": 2, "classes": ["yes", "no"], "sample_rate": 8000}
    return SyntheticWords(**{**settings, "cache_dir": cache_dir, "progress": False, **changes})


def clips(dataset: SyntheticWords) -> dict[tuple[str, int, int], bytes]:
    """(word, speaker, take) -> samples."""
    assert dataset.groups is not None
    return {
        (dataset.classes[dataset.targets[i]], int(dataset.groups[i]), int(dataset.take_numbers[i])): dataset.read(i)
        .numpy()
        .tobytes()
        for i in range(len(dataset))
    }


# ---- The clips


def test_the_words_are_those_of_speech_commands(every_word: SyntheticWords) -> None:
    assert every_word.classes == sorted(N_RECORDINGS)
    assert every_word.is_synthetic and every_word.describe()["is_synthetic"]
    for name in class_split_names("speech_commands"):
        assert SyntheticWords.class_split(name).parts == SpeechCommands.class_split(name).parts


def test_clips_are_a_second_long_and_audible(every_word: SyntheticWords) -> None:
    assert len(every_word) == 35 * 5
    for index in range(len(every_word)):
        wave = every_word.read(index)
        assert wave.shape == (1, RATE) and wave.dtype == torch.float32
        assert torch.isfinite(wave).all() and 0.03 < wave.abs().max() <= 1
        start, end = every_word.phonemes[index][0][1], every_word.phonemes[index][-1][2]
        assert 0 < start < end < 1
        word = wave[0, round(start * RATE) : round(end * RATE)]
        assert word.square().mean() > 2 * wave[0, : round(start * RATE)].square().mean()


def test_a_group_is_a_speaker_who_says_every_word(every_word: SyntheticWords) -> None:
    assert every_word.groups is not None
    assert np.unique(every_word.groups).tolist() == [0, 1, 2, 3, 4]
    for speaker in range(5):
        own = every_word.groups == speaker
        assert np.bincount(every_word.targets[own]).tolist() == [1] * 35
        assert len(set(every_word.voices[own])) == 1
        pitches = every_word.pitches_hz[own]
        assert pitches.std() < 0.25 * pitches.mean()
        assert len({every_word.part[i] for i in np.flatnonzero(own)}) == 1
    assert [every_word.part[35 * speaker] for speaker in range(5)] == [*["training"] * 3, "validation", "testing"]


def test_the_stated_pitch_is_heard(every_word: SyntheticWords) -> None:
    """By autocorrelation of the longest sound, which is a vowel in these words."""
    wrong = []
    for index in np.concatenate([every_word.class_to_indices[word] for word in ("no", "four", "wow")]):
        _, start, end = max(every_word.phonemes[index], key=lambda sound: sound[2] - sound[1])
        middle = round((start + end) / 2 * RATE)
        wave = every_word.read(int(index))[0, middle - 600 : middle + 600].double().numpy()
        correlation = np.correlate(wave, wave, "full")[len(wave) - 1 :] / np.arange(len(wave), 0, -1)
        lags = np.arange(RATE // 450, RATE // 70)
        semitones = 12 * np.log2(RATE / lags[correlation[lags].argmax()] / every_word.pitches_hz[index])
        wrong.append(abs((semitones + 6) % 12 - 6) > 4)  # the octave may be mistaken, and a melody goes up and down
    assert np.mean(wrong) < 0.15


# ---- Subsets


def test_subsets_share_no_speaker_and_are_what_the_whole_holds(tmp_path: Path) -> None:
    whole = small(tmp_path, n_speakers=10, takes=1)
    parts = {
        name: small(tmp_path, n_speakers=10, takes=1, subset=name) for name in ("training", "validation", "testing")
    }
    assert [len(part) for part in parts.values()] == [12, 4, 4]
    together: dict[tuple[str, int, int], bytes] = {}
    for name, part in parts.items():
        assert set(part.part) == {name}
        assert not together.keys() & clips(part).keys()
        together |= clips(part)
    assert together == clips(whole)


# ---- The same seed, the same clips


def test_a_clip_does_not_depend_on_how_many_others_are_made(tmp_path: Path) -> None:
    few = clips(small(tmp_path, classes=["no"], takes=1))
    many = clips(small(tmp_path, classes=["zero", "no", "yes"], n_speakers=3, takes=3))
    assert len(few) == 2 and len(many) == 27
    assert all(many[key] == wave for key, wave in few.items())
    assert len(set(many.values())) == 27


def test_the_seed_decides(tmp_path: Path) -> None:
    one, same, other = small(tmp_path / "a"), small(tmp_path / "b"), small(tmp_path / "b", seed=1)
    assert clips(one) == clips(same)
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert not set(clips(one).values()) & set(clips(other).values())


def test_several_processes_make_the_same_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = small(tmp_path / "alone")
    monkeypatch.setattr(synthetic_words, "_FEWEST_CLIPS_FOR_PROCESSES", 1)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    together = small(tmp_path / "together")
    assert clips(alone) == clips(together)
    assert alone.phonemes == together.phonemes


# ---- The cache


def test_the_cache_is_opened_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small(tmp_path)
    monkeypatch.setattr(synthetic_words, "clips_of_speaker", None)  # cannot be called
    opened = small(tmp_path)
    longer = small(tmp_path, duration=1.295)  # the duration is no reason to make them again
    assert clips(made) == clips(opened)
    assert longer[0][0].shape == (1, 10360) and not longer[0][0][0, 8000:].any()
    assert opened.with_length(4000)[0][0].shape == (1, 4000)
    for name in ("pitches_hz", "voices", "take_numbers", "groups", "lengths", "targets"):
        assert np.array_equal(getattr(made, name), getattr(opened, name)), name
    assert (made.part, made.phonemes) == (opened.part, opened.phonemes)


def test_worker_processes_open_the_cache_instead_of_copying_it(tmp_path: Path) -> None:
    dataset = small(tmp_path)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < dataset.lengths.sum() / 5
    assert torch.equal(pickle.loads(pickled).read(1), dataset.read(1))


def truncate(folder: Path) -> None:
    data = (folder / "samples.npy").read_bytes()
    (folder / "samples.npy").write_bytes(data[: len(data) // 2])


def break_table(folder: Path) -> None:
    (folder / "words.json").write_text('{"words": ')


def empty_table(folder: Path) -> None:
    (folder / "words.json").write_text("[]")


def lose_a_row(folder: Path) -> None:
    table = json.loads((folder / "words.json").read_text())
    table["words"].pop()
    (folder / "words.json").write_text(json.dumps(table))


def lose_a_column(folder: Path) -> None:
    table = json.loads((folder / "words.json").read_text())
    for row in table["words"]:
        del row["phonemes"]
    (folder / "words.json").write_text(json.dumps(table))


@pytest.mark.parametrize("damage", [truncate, break_table, empty_table, lose_a_row, lose_a_column])
def test_a_damaged_cache_is_named(tmp_path: Path, damage: Any) -> None:
    folder = small(tmp_path, takes=1).cache_folder
    damage(folder)
    with pytest.raises(CacheError, match=f"{folder.name} is damaged .*delete that folder"):
        small(tmp_path, takes=1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"classes": ["yess"]}, DatasetError, r"synthetic_words has no class 'yess'. Did you mean 'yes'\?"),
        ({"classes": "yes"}, InputError, "the string 'yes'"),
        ({"classes": []}, DatasetError, "at least one name"),
        ({"classes": ["yes", "yes"]}, DatasetError, "every name once"),
        ({"n_speakers": 0}, InputError, "n_speakers is 0"),
        ({"takes": 1.5}, InputError, "takes is 1.5"),
        ({"sample_rate": 4000}, InputError, "sample_rate is 4000"),
        ({"duration": 0.0}, InputError, "duration is 0.0"),
        ({"subset": "test"}, InputError, "subset is 'test'; expected 'training'"),
        ({"subset": "testing"}, InputError, "n_speakers is 2, of which none is for testing; give 5 or more"),
        ({"seed": -1}, InputError, "seed is -1"),
    ],
)
def test_bad_arguments_are_named(tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        small(tmp_path, **changes)
    assert list(tmp_path.iterdir()) == []


def test_it_is_opened_and_verified_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset("synthetic_words", n_speakers=1, takes=1, classes=["go", "no"], cache_dir=tmp_path)
    assert isinstance(dataset, SyntheticWords)

    class Small(SyntheticWords):
        def __init__(self, **settings: Any) -> None:
            super().__init__(n_speakers=2, takes=1, classes=["yes", "no"], **settings)

    monkeypatch.setattr("musicfsl.datasets.synthetic_words.SyntheticWords", Small)
    report = verify_dataset("synthetic_words", tmp_path)
    assert report.ok and report.n_recordings == 4


# ---- Difficulty


def accuracy(features: np.ndarray, dataset: SyntheticWords, words: list[str], n_episodes: int = 300) -> float:
    """5-way 5-shot 10-query accuracy of the nearest class mean; no speaker is heard on both sides."""
    assert dataset.groups is not None
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    rng = np.random.default_rng(0)
    right = []
    for _ in range(n_episodes):
        speakers = rng.permutation(np.unique(dataset.groups))
        in_support = np.isin(dataset.groups, speakers[: len(speakers) // 2])
        centres, queries = [], []
        for word in rng.choice(words, 5, replace=False):
            items = dataset.class_to_indices[word]
            centres.append(features[rng.choice(items[in_support[items]], 5, replace=False)].mean(axis=0))
            queries.append(features[rng.choice(items[~in_support[items]], 10, replace=False)])
        distances = np.square(np.concatenate(queries)[:, None] - np.stack(centres)).sum(axis=2)
        right.append(np.mean(distances.argmin(axis=1) == np.repeat(np.arange(5), 10)))
    return float(np.mean(right))


def mean_mfccs(dataset: SyntheticWords) -> np.ndarray:
    transforms = pytest.importorskip("torchaudio").transforms
    mels = {"n_fft": 2048, "hop_length": 512, "n_mels": 128, "norm": "slaney", "mel_scale": "slaney"}
    mfcc = transforms.MFCC(dataset.sample_rate, n_mfcc=20, melkwargs=mels)  # librosa's usual settings
    return np.stack([mfcc(dataset[i][0][0]).mean(dim=1).numpy() for i in range(len(dataset))])


def levels_and_lengths(dataset: SyntheticWords) -> tuple[np.ndarray, np.ndarray]:
    levels = np.log([[float(dataset.read(i).square().mean())] for i in range(len(dataset))])
    return levels, np.array([[sounds[-1][2] - sounds[0][1]] for sounds in dataset.phonemes])


def test_words_are_told_apart_by_more_than_level_and_length(cache: Path) -> None:
    words = list(SyntheticWords.class_split("few-shot").parts["test"])
    dataset = SyntheticWords(n_speakers=10, classes=words, cache_dir=cache, progress=False)
    levels, lengths = levels_and_lengths(dataset)
    assert accuracy(levels, dataset, words) < 0.3
    assert accuracy(lengths, dataset, words) < 0.5
    assert 0.45 < accuracy(mean_mfccs(dataset), dataset, words) < 0.85


@pytest.mark.slow
def test_the_whole_set_is_neither_trivial_nor_hopeless(cache: Path) -> None:
    dataset = SyntheticWords(cache_dir=cache, progress=False)
    levels, lengths = levels_and_lengths(dataset)
    assert accuracy(levels, dataset, dataset.classes) < 0.26
    assert accuracy(lengths, dataset, dataset.classes) < 0.45
    assert 0.45 < accuracy(mean_mfccs(dataset), dataset, dataset.classes) < 0.8


@pytest.mark.slow
def test_2100_clips_are_made_in_half_a_minute_on_two_cores(tmp_path: Path) -> None:
    if joblib.cpu_count() < 2:
        pytest.skip("the machine has one core")
    start = time.perf_counter()
    assert len(SyntheticWords(cache_dir=tmp_path, progress=False)) == 2100
    assert time.perf_counter() - start < 30
