"""The encoder that the package ships: what its file is, and that it hears more than MFCCs do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import torch

from musicfsl import (
    PrototypicalHead,
    SyntheticInstruments,
    embed_dataset,
    evaluate_episodes,
    load_encoder,
    load_head,
    read_card,
)
from musicfsl.backbones.named import shipped_file
from musicfsl.baselines import mfcc_embeddings

CLASSES = ["Cello", "Oboe", "Harp", "Banjo", "Trombone", "Marimba", "Organ", "Accordion"]


def test_the_file_is_small_and_in_the_package() -> None:
    path = shipped_file("default")
    assert path.is_relative_to(Path(str(resources.files("musicfsl"))))
    assert path.stat().st_size <= 2_000_000


def test_the_card_says_what_it_was_trained_on_and_what_it_is_worth() -> None:
    card = read_card("default")
    synthetic, recordings = card.data["sources"]
    assert synthetic["is_synthetic"]
    assert not recordings["is_synthetic"]
    assert set(card.classes) == {*synthetic["classes"], *recordings["classes"]}
    assert card.data["recipe"]["n_steps"] > 0
    for shots in (1, 5, 10):
        figures = {
            line: (card.metrics[f"{name}: accuracy"], card.metrics[f"{name}: 95 % interval over seeds, +-"])
            for line in ("mean MFCC, nearest class mean", "encoder, cosine prototypes")
            for name in [f"{recordings['name']}, {shots}-shot, {line}"]
        }
        (mfcc, mfcc_ci95), (ours, ours_ci95) = figures.values()
        assert ours - ours_ci95 > mfcc + mfcc_ci95  # measured, and intervals apart


def test_the_page_beside_it_quotes_the_card() -> None:
    page = shipped_file("default").with_suffix(".md").read_text(encoding="utf-8")
    accuracies = [value for name, value in read_card("default").metrics.items() if name.endswith(": accuracy")]
    assert accuracies
    missing = [value for value in accuracies if not re.search(rf"\b{value:.3f}\b", page)]
    assert not missing


def test_it_hears_more_than_mfccs_do() -> None:
    """Other players than those of the training, of classes that it knows; recordings cannot be had in a test."""
    waves = SyntheticInstruments(
        classes=CLASSES, n_players=3, notes_per_player=5, seed=77, duration=None, progress=False
    )
    encoder, head = load_encoder("default"), load_head("default")

    def accuracy(z: torch.Tensor, head: PrototypicalHead):
        return evaluate_episodes(z, waves.targets, head, n_support=3, n_query=5, n_episodes=300, groups=waves.groups)

    ours = accuracy(embed_dataset(encoder, waves), head)
    mfcc = accuracy(mfcc_embeddings(waves, waves, progress=False), PrototypicalHead())
    assert ours.mean - ours.ci95 > mfcc.mean + mfcc.ci95


def test_level_does_not_matter() -> None:
    encoder = load_encoder("default")
    wave = SyntheticInstruments(classes=["Oboe"], n_players=1, notes_per_player=1, progress=False)[0][0][None]
    with torch.no_grad():
        loud, soft = encoder(wave), encoder(0.25 * wave)
    assert torch.cosine_similarity(loud, soft).item() > 0.9


@pytest.mark.slow
def test_opens_without_lightning_and_at_once() -> None:
    code = """
import time, json, sys
start = time.perf_counter()
import torch
ready = time.perf_counter()
from musicfsl import load_encoder
encoder = load_encoder("default")
seconds = time.perf_counter() - ready
print(json.dumps([seconds, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, modules = json.loads(result.stdout)
    assert not {"pytorch_lightning", "transformers", "sklearn"} & set(modules)
    assert seconds < 3
