from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

RATE = 16000
PARTIALS = {"flute": 1, "harp": 3, "oboe": 9}


def note(name: str, seconds: float = 0.8, seed: int = 0, rate: int = RATE) -> NDArray[np.float32]:
    """A noisy harmonic tone: classes differ in their partials, seeds in pitch and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    partials = np.arange(1, PARTIALS[name] + 1)[:, None]
    tone = np.sin(2 * np.pi * rng.uniform(180, 260) * partials * t).mean(axis=0)
    return (0.3 * tone + 1e-3 * rng.normal(size=len(t))).astype(np.float32)


@pytest.fixture(scope="session")
def make_note() -> Callable[..., NDArray[np.float32]]:
    return note


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three, four and five examples a class, of different lengths, rates and formats; the oboe's lie deeper."""
    root = tmp_path / "my_sounds"
    for n, (name, rate) in enumerate(zip(PARTIALS, (44100, 16000, 22050), strict=True), start=3):
        place = root / name / "session 1" if name == "oboe" else root / name
        place.mkdir(parents=True)
        for i in range(n):
            ending = "flac" if i % 2 else "wav"
            soundfile.write(place / f"{i}.{ending}", note(name, 0.6 + 0.4 * i, 10 * n + i, rate), rate)
    return root
