"""The embedded data set is neither trivial nor hopeless, and is made fast."""

from __future__ import annotations

import time
from pathlib import Path

import joblib
import numpy as np
import pytest

from musicfsl.datasets._instruments import INSTRUMENTS
from musicfsl.datasets.synthetic import SyntheticInstruments

_CLASSES = ["Accordion", "Bassoon", "Cello", "Flute", "Oboe", "Trombone", "Violin"]


def mfcc_accuracy(dataset: SyntheticInstruments, n_episodes: int, classes: np.ndarray | None = None) -> float:
    """5-way 5-shot 15-query accuracy of the nearest mean of standardised MFCCs, players of the support held out."""
    transforms = pytest.importorskip("torchaudio").transforms
    mels = {"n_fft": 2048, "hop_length": 512, "n_mels": 128, "norm": "slaney", "mel_scale": "slaney"}
    mfcc = transforms.MFCC(dataset.sample_rate, n_mfcc=20, melkwargs=mels)  # librosa's usual settings
    assert dataset.groups is not None
    features = np.stack([mfcc(dataset[i][0][0]).mean(dim=1).numpy() for i in range(len(dataset))])
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    rng = np.random.default_rng(0)
    right = []
    for _ in range(n_episodes):
        centres, queries = [], []
        for target in rng.choice(len(dataset.classes) if classes is None else classes, 5, replace=False):
            items = np.flatnonzero(dataset.targets == target)
            players = rng.permutation(np.unique(dataset.groups[items]))
            in_support = np.isin(dataset.groups[items], players[: len(players) // 2])
            centres.append(features[rng.choice(items[in_support], 5, replace=False)].mean(axis=0))
            queries.append(features[rng.choice(items[~in_support], 15, replace=False)])
        distances = np.square(np.concatenate(queries)[:, None] - np.stack(centres)).sum(axis=2)
        right.append(np.mean(distances.argmin(axis=1) == np.repeat(np.arange(5), 15)))
    return float(np.mean(right))


def test_mean_mfccs_neither_solve_nor_miss_a_few_classes(tmp_path: Path) -> None:
    dataset = SyntheticInstruments(
        n_players=2, notes_per_player=15, classes=_CLASSES, cache_dir=tmp_path, progress=False
    )
    assert 0.4 < mfcc_accuracy(dataset, n_episodes=300) < 0.9


@pytest.mark.slow
def test_mean_mfccs_land_in_the_band_whatever_the_classes(tmp_path: Path) -> None:
    dataset = SyntheticInstruments(cache_dir=tmp_path, progress=False)
    for seed in range(4):
        held_out = np.random.default_rng(seed).permutation(len(dataset.classes))[: len(dataset.classes) // 3]
        assert 0.45 < mfcc_accuracy(dataset, n_episodes=300, classes=held_out) < 0.85


@pytest.mark.slow
def test_1680_notes_are_made_in_half_a_minute_on_two_cores(tmp_path: Path) -> None:
    if joblib.cpu_count() < 2:
        pytest.skip("the machine has one core")
    start = time.perf_counter()
    dataset = SyntheticInstruments(classes=list(INSTRUMENTS)[:28], cache_dir=tmp_path, progress=False)
    assert len(dataset) == 1680
    assert time.perf_counter() - start < 30
