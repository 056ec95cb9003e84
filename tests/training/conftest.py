from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from musicfsl.backbones import ConvEncoder
from musicfsl.heads import PrototypicalHead
from musicfsl.training import EpisodicData, EpisodicLearner


@pytest.fixture(autouse=True)
def untouched_global_random_state(restored_global_random_state: None) -> None:
    """Lightning seeds and draws as it pleases: the state is put back, instead of checked as elsewhere."""


@pytest.fixture
def make_learner() -> Callable[..., EpisodicLearner]:
    def make(**arguments: Any) -> EpisodicLearner:
        encoder = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
        return EpisodicLearner(encoder, PrototypicalHead("cosine"), **{"learning_rate": 3e-3, **arguments})

    return make


@pytest.fixture
def make_data(make_tones, tmp_path: Path) -> Callable[..., EpisodicData]:
    def make(dataset: Any = None, **arguments: Any) -> EpisodicData:
        small = {
            "sizes": (3, 2, 2),
            "n_way": 3,
            "n_support": 2,
            "n_query": 2,
            "episodes_per_epoch": 6,
            "eval_n_support": 2,
            "eval_n_query": 4,
            "eval_episodes": 50,
            "duration": 0.2,
            "max_windows": 2,
            "augment": False,
            "cache_dir": str(tmp_path / "cache"),
        }
        return EpisodicData(make_tones(n_classes=7) if dataset is None else dataset, **{**small, **arguments})

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
            "num_sanity_val_steps": 0,
            "default_root_dir": tmp_path,
            "callbacks": [
                ModelCheckpoint(tmp_path / "checkpoints", "best", "val/accuracy", mode="max"),
                ModelCheckpoint(tmp_path / "checkpoints", "last"),
            ],
        }
        return pl.Trainer(**{**quiet, **arguments})

    return make
