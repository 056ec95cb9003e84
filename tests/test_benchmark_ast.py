"""The comparison of clips at their own length with clips that are filled up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import __main__ as bench
from benchmarks import ast
from musicfsl import AstEncoder

pytest.importorskip("transformers")


def test_measure() -> None:
    encoder = AstEncoder.from_config(hidden_size=8, n_layers=1, n_heads=2).eval()
    rows = ast.measure(n_clips=2, repeats=1, encoder=encoder)
    assert [row.target for row in rows] == ["below 1", "at most 0.2"]
    assert all(row.ratio is not None and row.ratio > 0 for row in rows)
    assert "ast" in bench.MEASUREMENTS


def test_training_separates_the_classes(make_tones: Callable[..., Any]) -> None:
    tones = make_tones(n_classes=3, n_clips=8)
    encoder = AstEncoder.from_config(hidden_size=12, n_layers=1, n_heads=3, time_stride=16, frequency_stride=16)
    features = torch.stack([encoder.front_end(tones.read(i)[..., :6000]) for i in range(len(tones))])

    def spread() -> float:
        """Distance between class means by the deviation within classes."""
        with torch.no_grad():
            z = encoder(features).reshape(3, 8, -1)
        return float(z.mean(dim=1).std(dim=0).norm() / z.std(dim=1).norm())

    before = spread()
    ast.train(encoder, features, tones, n_steps=20, seed=0)
    assert spread() > 1.5 * before


def test_compare(make_tones: Callable[..., Any]) -> None:
    tones = make_tones(n_classes=4, n_clips=12, seconds=1.0)
    tones.length = 16000
    result = ast.compare(tones, n_steps=1, n_episodes=20, n_way=2, n_support=1, n_query=2, hidden_size=6, n_layers=1)
    assert len(result.lines) == 9
    for line in result.lines:
        assert 0 <= line.accuracy <= 1
        assert (line.difference == 0) == (line.embedded == "filled up") or line.difference_ci95 > 0
    reference = {line.trained: line.accuracy for line in result.lines if line.embedded == "filled up"}
    for line in result.lines:
        assert line.accuracy - reference[line.trained] == pytest.approx(line.difference)
    assert "20 episodes" in result.about and "tested on tones-2, tones-3" in result.about
    assert str(result).count("\n") == 12


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import soundfile

    rng = np.random.default_rng(0)
    for word in ("one", "two", "three", "four"):
        (tmp_path / word).mkdir()
        for speaker in ("anna", "ben"):
            for take in range(25):
                soundfile.write(tmp_path / word / f"{speaker}_{take}.wav", rng.normal(0, 0.1, 8000), 16000)
    assert ast.main([str(tmp_path), "--steps", "1", "--episodes", "10", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["lines"]) == 9
    assert ast.main([str(tmp_path / "missing")]) == 2
    assert "missing" in capsys.readouterr().err
