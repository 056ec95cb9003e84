"""Trains once: a trained network is kept in the cache under a name that all that decides it goes into."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger

from musicfsl.backbones import Encoder
from musicfsl.caching import cache_root
from musicfsl.checkpoints import load_encoder, load_head, read_card, save_encoder
from musicfsl.datasets.base import hash_of
from musicfsl.heads import Head
from musicfsl.training._features import open_source
from musicfsl.training._trainer import cpu_trainer, lightning_messages
from musicfsl.training._weights import weights_hash
from musicfsl.training.data import EpisodicData
from musicfsl.training.learner import EpisodicLearner

__all__ = ["Trained", "fit_best", "fit_once", "trained_file"]

# What does not decide how a network is trained, and so may change without training it again.
_NO_PART_OF_TRAINING = ("cli.py", "__main__.py", "annotation", "commands", "comparison", "plots")


class Trained(NamedTuple):
    """A network after training.

    Attributes:
        encoder: in evaluation mode on the CPU.
        head: that it was trained with, likewise.
        path: of the file that holds both, with their card (see `musicfsl.read_card`).
    """

    encoder: Encoder
    head: Head
    path: Path


def fit_best(
    learner: EpisodicLearner,
    data: EpisodicData,
    epochs: int,
    folder: str | os.PathLike[str],
    logger: list[Logger] | bool = False,
    progress: bool = True,
) -> Path:
    """Trains on the processor and keeps the epoch of the highest validation accuracy.

    Args:
        learner: is trained in place.
        data: its classes and episodes.
        epochs: number of epochs.
        folder: where ``best.ckpt`` goes.
        logger: as for Lightning's Trainer.
        progress: show progress bars and Lightning's messages.

    Returns:
        the Lightning checkpoint of the best epoch.
    """
    best = ModelCheckpoint(
        Path(folder), filename="best", monitor="val/accuracy", mode="max", enable_version_counter=False
    )
    with lightning_messages(progress):
        cpu_trainer(epochs, progress, callbacks=[best], logger=logger).fit(learner, datamodule=data)
    return Path(best.best_model_path)


def fit_once(
    learner: EpisodicLearner,
    data: EpisodicData,
    epochs: int,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Trained:
    """Trains a learner, or opens the result of an earlier training that was the same in every respect.

    The same means: the same recordings, split of the classes, episodes, first weights, settings, number of epochs,
    version of torch, and code of this package. Anything else trains anew; older results are left alone.

    Args:
        learner: with its first weights; it is trained in place where training is needed, else left as it is.
        data: its classes and episodes; it is set up afterwards, so that ``data.part("test")`` and ``data.evaluate``
            can be used whether or not training was needed.
        epochs: number of epochs; the one with the highest validation accuracy is kept.
        cache_dir: folder for the result; None is the usual place.
        progress: show progress bars while training.

    Returns:
        the trained encoder and head, and their file.

    Raises:
        CheckpointError: the kept file is damaged; delete it.

    Example:
        >>> data = EpisodicData("synthetic")
        >>> trained = fit_once(EpisodicLearner(ConvEncoder()), data, epochs=8)  # doctest: +SKIP
        >>> trained.encoder  # doctest: +SKIP
    """
    path = trained_file(learner, data, epochs, cache_dir)
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            best = fit_best(learner, data, epochs, folder, progress=progress)
            card = read_card(best)
            encoder, head = load_encoder(best), load_head(best)
        save_encoder(encoder, path, head=head, classes=card.classes, data=card.data, metrics=card.metrics)
    data.setup_for(learner.encoder)
    return Trained(load_encoder(path), load_head(path), path)


def trained_file(
    learner: EpisodicLearner, data: EpisodicData, epochs: int, cache_dir: str | os.PathLike[str] | None = None
) -> Path:
    """The file in which `fit_once` keeps a training's result; it need not exist yet.

    Ask for it before training: the first weights are part of its name.
    """
    return kept_file(
        {
            "data": open_source(data.source, learner.encoder).fingerprint(),
            "episodes": data.settings(),
            "encoder": [learner.encoder.name, learner.encoder.settings(), weights_hash(learner.encoder)],
            "head": [learner.head.name, learner.head.settings(), weights_hash(learner.head)],
            "learner": [type(learner).__name__, getattr(learner, "inner", None)],
            "optimizer": [learner.learning_rate, learner.weight_decay, epochs],
        },
        cache_dir,
    )


def kept_file(decisive: Mapping[str, Any], cache_dir: str | os.PathLike[str] | None) -> Path:
    """The file of a training's result, named after what decides it: the code as well as what is given."""
    name = hash_of({**decisive, "code": [torch.__version__, code_hash()]})
    return cache_root(cache_dir) / "trained" / f"{name}.safetensors"


@cache
def code_hash() -> str:
    """A hash of this package's code, as far as it can decide the result."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if relative.parts[0] not in _NO_PART_OF_TRAINING:
            digest.update(relative.as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
