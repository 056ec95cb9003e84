from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from benchmarks import tagging, tagging_data
from benchmarks.tagging_results import COLUMNS, DECISIONS, Predictions, Results, difference, joined
from musicfsl import MfccEncoder, MultiBandCNN, SyntheticInstruments
from musicfsl.datasets import Mixtures
from musicfsl.multilabel import tag_scores, tune_thresholds
from musicfsl.tagging.decisions import WindowVotes

CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notes of four instruments, eight a piece, named as recordings are."""
    root = tmp_path_factory.mktemp("notes")
    names = ("C4", "D4", "E4", "Fs4", "G4", "A4", "As4", "B4")
    for k, instrument in enumerate(("flute", "cello", "harp", "kazoo")):
        (root / instrument).mkdir()
        for n, name in enumerate(names):
            t = np.arange(8000) / 8000
            wave = 0.3 * np.sin(2 * np.pi * 300 * (k + 1) * 2 ** (n / 12) * t) * np.exp(-t)
            soundfile.write(root / instrument / f"{instrument}_{name}_long_forte.wav", wave, 8000)
    return root


def tiny(seed: int) -> MultiBandCNN:
    return MultiBandCNN(sample_rate=tagging_data.RATE, widths=(8, 8, 8, 8), dim=8, hop_length=128, seed=seed)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "MODELS", {"tiny": tagging.Model(tiny, 1, 1, 1, "a note")})
    few = {name: tagging.INSTRUMENTS[name] for name in ("Koto", "Flute", "Voice")}
    monkeypatch.setattr(tagging, "INSTRUMENTS", few)
    monkeypatch.setattr(tagging_data, "_SIZES", {"n_training": 12, "n_validation": 8, "n_testing": 8})
    monkeypatch.setattr(tagging_data, "_FEWEST", 8)


def test_recordings_are_mixed_from_notes_that_no_other_subset_has(folder: Path, tmp_path: Path, small: None) -> None:
    excerpts = tagging_data.mixtures_of_recordings(str(folder), seed=0, cache_dir=str(tmp_path))
    parts = excerpts.training, excerpts.validation, excerpts.testing
    assert [len(part) for part in parts] == [12, 8, 8]
    assert all(part.classes == ["cello", "flute", "harp", "kazoo"] for part in parts)
    assert not any(part.is_synthetic for part in parts)
    assert (excerpts.training.targets.sum(axis=1) == 1).all() and (excerpts.validation.targets.sum(axis=1) == 1).all()
    testing = excerpts.testing
    assert isinstance(testing, Mixtures) and (testing.targets == testing.sounding).all()
    assert testing.targets.sum() > 8 and (testing.lengths >= 5 * 22050).all()


def test_pitches_are_read_from_names() -> None:
    for name, pitch in (
        ("flute_A4_15_forte.mp3", 69),
        ("banjo_As3_very-long_forte.mp3", 58),
        ("tuba_C#1_forte.wav", 25),
        ("harp.wav", -1),
        ("A4.wav", -1),
    ):
        assert tagging_data.pitch_in_name(f"/some/folder_of_A/{name}") == pitch


def test_mfcc_statistics_are_those_of_the_coefficients_over_time(tmp_path: Path) -> None:
    notes = SyntheticInstruments(
        n_players=1, notes_per_player=2, classes=["Flute"], sample_rate=8000, duration=None, cache_dir=tmp_path,
        progress=False,
    )  # fmt: skip
    found = tagging_data.mfcc_statistics(notes, str(tmp_path))
    encoder = MfccEncoder(sample_rate=8000)
    decibels = encoder.front_end(notes.read(1))
    n = np.arange(20)[:, None]
    basis = np.cos(np.pi * n * (np.arange(128) + 0.5) / 128) * np.sqrt(2 / 128)
    basis[0] /= np.sqrt(2)
    coefficients = basis @ decibels.double().numpy()
    expected = np.concatenate([coefficients.mean(axis=1), coefficients.std(axis=1, ddof=1)])
    np.testing.assert_allclose(found[1], expected, rtol=1e-3, atol=1e-3)


def test_both_phases_and_the_baseline_are_measured_on_the_same_excerpts(
    folder: Path, tmp_path: Path, small: None, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = tagging.Experiment(["tiny"], (0,), str(folder), 0.02, str(tmp_path))
    results = experiment.run()
    assert [line.line for line in results.lines] == ["logistic regression", "tiny, phase one", "tiny, phase two"]
    first = results.lines[0]
    for line in results.lines:
        assert line.testing.shape == (8, 4) and np.isfinite(line.testing).all()
        assert (line.testing_targets == first.testing_targets).all()
    assert not np.array_equal(results.lines[1].testing, results.lines[2].testing)
    text = str(results)
    assert "8 training, 8 validation and 8 test excerpts; no note is in two" in text
    assert "| tiny, phase two less phase one |" in text and "tiny: a note." in text and "| chance |" in text
    content = json.loads(json.dumps(results.to_dict()))
    assert len(content["lines"]) == 3 * 2 * 2 and len(content["differences"]) == 2 * 2 * 5
    assert "tiny, phase two (mean / normalised): mAP" in capsys.readouterr().err


def test_pretraining_hears_no_instrument_that_is_tested(
    folder: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    made = tagging.SyntheticInstruments
    monkeypatch.setattr(tagging, "SyntheticInstruments", lambda **s: heard.extend(s["classes"]) or made(**s))
    excerpts = tagging_data.mixtures_of_recordings(str(folder), 0, 0.02, str(tmp_path))
    encoder = tagging.Experiment(["tiny"], scale=0.02, cache_dir=str(tmp_path)).pretrained("tiny", excerpts, 0)
    assert heard == ["Koto", "Voice"]  # the folder has a flute
    assert not torch.equal(encoder.backbone.branches[0][0].weight, tiny(0).backbone.branches[0][0].weight)


def line(name: str, phase: str, noise: float) -> Predictions:
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 3)) < 0.4).astype(np.uint8)
    targets[:, 0] |= (targets.sum(axis=1) == 0).astype(np.uint8)
    scores = np.clip(0.3 + 0.4 * targets + noise * rng.normal(size=(60, 3)), 0, 1).astype(np.float32)
    return Predictions(name, phase, 0, scores[:30], targets[:30], scores[30:], targets[30:], CLASSES, True, 1.0, 2.0)


def test_differences_are_taken_on_the_same_resamples() -> None:
    good, bad = line("net", "phase two", 0.1), line("net", "phase one", 0.4)
    for decision in DECISIONS:
        for column in COLUMNS:
            found = difference(good, bad, decision, column)
            values = []
            for one in (good, bad):
                thresholds: Any = 0.6
                if column.tuned:
                    thresholds = tune_thresholds(joined(one.validation, decision), one.validation_targets, CLASSES)
                scores = tag_scores(joined(one.testing, decision), one.testing_targets, thresholds)
                values.append(scores[column.measure])
            assert found.value == pytest.approx(values[0] - values[1])
            assert found.low < found.value < found.high
            same = difference(good, good, decision, column)
            assert (same.value, same.low, same.high) == (0, 0, 0)


def test_decisions_are_those_of_the_library() -> None:
    rng = np.random.default_rng(0)
    windows = torch.from_numpy(rng.random((3, 5, 4), dtype=np.float32))
    votes = WindowVotes(3, 4)
    for clip in range(3):
        votes.add(torch.full((5,), clip), windows[clip])
    for decision in DECISIONS:
        np.testing.assert_allclose(joined(votes.decide("mean").numpy(), decision), votes.decide(decision), rtol=1e-6)


def test_tables_name_every_line() -> None:
    lines = [line("logistic regression", "", 0.5), line("net", "phase one", 0.3), line("net", "phase two", 0.1)]
    results = Results("data", True, "nothing is shared", (1, 2, 3), lines, {"net": "small"}, 7.0, 9.0)
    text = str(results)
    for one in lines:
        for decision in DECISIONS:
            assert f"| {one.line} | {one.report(decision, False).map.value:.3f} [" in text
    assert "made by rules" in text and "| net, phase two less logistic regression |" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recordings", "{folder}/nowhere"], "nowhere is not a folder"),
        (["--models", "ResNet"], "no model 'ResNet'; known: MultiBandCNN"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert tagging.main([argument.format(folder=tmp_path) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
