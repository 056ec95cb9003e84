from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four classes of tones, told apart by their overtones, with 6 to 9 recordings each."""
    rng = np.random.default_rng(0)
    for c, name in enumerate(["flute", "oud", "saz", "zither"]):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for i in range(6 + c):
            t = np.arange(6000) / 16000
            wave = sum(np.sin(2 * np.pi * rng.uniform(200, 300) * k * t) / k for k in range(1, 2 * c + 2))
            soundfile.write(tmp_path / "sounds" / name / f"player{i % 3}_{i}.wav", 0.2 * wave, 16000)
    return tmp_path / "sounds"
