from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from musicfsl.backbones import ConvEncoder, PannsMultiBand
from musicfsl.datasets.base import ClassConditionalDataset, hash_of
from musicfsl.training.tagging import TaggingData, TaggingLearner

PITCHES = (200.0, 700.0, 2000.0)


class Chords(ClassConditionalDataset):
    """Sums of three tones, each of which may be there or not; three excerpts a song."""

    def __init__(
        self, n: int = 36, seed: int = 0, several: bool = False, seconds: float = 0.5, sample_rate: int = 8000
    ) -> None:
        rng = np.random.default_rng(seed)
        self.name = "chords"
        self.classes = ["low", "middle", "high"]
        self.is_synthetic = True
        self.sample_rate = sample_rate
        self.targets = np.eye(3, dtype=np.uint8)[np.arange(n) // 3 % 3]
        if several:
            self.targets |= (rng.random((n, 3)) < 0.3).astype(np.uint8)
        self.groups = np.arange(n) // 3
        self.lengths = np.full(n, round(seconds * sample_rate))
        self._noise = seed

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        index = self._checked_index(index)
        rng = np.random.default_rng((self._noise, index))
        t = np.arange(self.lengths[index]) / self.sample_rate
        wave = 0.02 * rng.standard_normal(len(t))
        for pitch, present in zip(PITCHES, self.targets[index], strict=True):
            wave += 0.2 * present * np.sin(2 * np.pi * pitch * rng.uniform(0.9, 1.1) * t)
        stop = None if length is None else offset + length
        return torch.from_numpy(wave[offset:stop].astype(np.float32)).unsqueeze(0)

    def fingerprint(self) -> str:
        return hash_of({"chords": [self._noise, self.targets.tolist(), self.lengths.tolist(), self.sample_rate]})


@pytest.fixture
def make_chords() -> type[Chords]:
    return Chords


@pytest.fixture
def make_encoder() -> Callable[[], ConvEncoder]:
    return lambda: ConvEncoder(sample_rate=8000, n_mels=32, n_fft=512, widths=(8, 8, 8, 8))


@pytest.fixture
def make_panns() -> Callable[[], PannsMultiBand]:
    """A network with frozen and new parts, batch norms and dropout; very small."""
    return lambda: PannsMultiBand(
        sample_rate=22050, widths=(4, 4, 4, 4, 8, 8), trunk_dim=8, dim=8, hop_length=441, frames_averaged=1
    )


@pytest.fixture
def make_learner(make_encoder) -> Callable[..., TaggingLearner]:
    def make(encoder: Any = None, **arguments: Any) -> TaggingLearner:
        return TaggingLearner(make_encoder() if encoder is None else encoder, **{"learning_rate": 1e-2, **arguments})

    return make


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[..., TaggingData]:
    def make(dataset: Any = None, **arguments: Any) -> TaggingData:
        small = {"batch_size": 5, "duration": 0.4, "cache_dir": str(tmp_path / "cache")}
        return TaggingData(Chords() if dataset is None else dataset, **{**small, **arguments})

    return make


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., pl.Trainer]:
    def make(**arguments: Any) -> pl.Trainer:
        quiet = {
            "max_epochs": 2,
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": any(
                isinstance(c, pl.callbacks.ModelCheckpoint) for c in arguments.get("callbacks", [])
            ),
            "num_sanity_val_steps": 0,
            "default_root_dir": tmp_path,
        }
        return pl.Trainer(**{**quiet, **arguments})

    return make
