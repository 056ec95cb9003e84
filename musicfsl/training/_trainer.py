"""Lightning's trainer as the library's own trainings use it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl

__all__ = ["cpu_trainer", "lightning_messages"]


def cpu_trainer(epochs: int, progress: bool, **options: Any) -> pl.Trainer:
    """A trainer on the processor.

    Args:
        epochs: number of epochs.
        progress: show a progress bar.
        options: of Lightning's Trainer.
    """
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        num_sanity_val_steps=0,  # a few clips say nothing: validation needs the embeddings of all
        log_every_n_steps=1,
        enable_progress_bar=progress,
        enable_model_summary=False,
        **options,
    )


@contextmanager
def lightning_messages(shown: bool) -> Iterator[None]:
    """Keeps Lightning's messages about devices and the end of the training to itself unless ``shown``.

    Warnings come either way.
    """
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    if not shown:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
