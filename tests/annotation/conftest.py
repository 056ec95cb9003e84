from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def write_recording(tmp_path: Path) -> Callable[..., Path]:
    """Writes noise with a slow swell, so that no two windows are alike."""

    def write(
        seconds: float = 7.3, rate: int = 44100, channels: int = 1, name: str = "recording.wav", seed: int = 0
    ) -> Path:
        rng = np.random.default_rng(seed)
        t = np.arange(round(seconds * rate)) / rate
        swell = 0.2 * (1 + np.sin(2 * np.pi * t / 3))[:, None]
        soundfile.write(tmp_path / name, swell * rng.uniform(-1, 1, (len(t), channels)), rate)
        return tmp_path / name

    return write
