"""Trains a tagger in one call, or opens the result of an earlier training that was the same in every respect."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger

from musicfsl.backbones.base import Encoder
from musicfsl.tagging.checkpoints import load_tagger, read_tagger_card, save_tagger
from musicfsl.tagging.tagger import Tagger
from musicfsl.training._trainer import cpu_trainer, lightning_messages
from musicfsl.training._weights import weights_hash
from musicfsl.training.reuse import kept_file
from musicfsl.training.tagging.data import TaggingData
from musicfsl.training.tagging.learner import TaggingLearner
from musicfsl.training.tagging.phases import TwoPhases

__all__ = ["TrainedTagger", "fit_tagger", "fit_tagger_once"]


class TrainedTagger(NamedTuple):
    """A tagger after training.

    Attributes:
        tagger: of the best epoch, in evaluation mode on the CPU, with thresholds tuned on the validation excerpts.
        path: of the file that holds it, for `musicfsl.tagging.load_tagger`.
        history: the validation of every epoch, as `TaggingLearner` keeps it.
    """

    tagger: Tagger
    path: Path
    history: list[dict[str, float]]


def fit_tagger(
    encoder: Encoder | TaggingLearner,
    data: TaggingData,
    epochs: int = 8,
    unfreeze_at_epoch: int | None = None,
    folder: str | os.PathLike[str] = "runs",
    *,
    resume_from: str | os.PathLike[str] | None = None,
    logger: list[Logger] | bool = False,
    progress: bool = True,
) -> TrainedTagger:
    """Trains on the processor and keeps the epoch of the highest validation mAP.

    Args:
        encoder: to be trained with the defaults of `TaggingLearner`, or a learner with settings of its own.
        data: excerpts for training and validation.
        epochs: number of epochs, both phases together.
        unfreeze_at_epoch: epoch with which the second phase begins (see `TwoPhases`); None trains all from the start.
        folder: where ``best.ckpt`` and ``last.ckpt`` go.
        resume_from: a ``last.ckpt`` of an earlier run with which to go on.
        logger: as for Lightning's Trainer.
        progress: show progress bars and Lightning's messages.

    Returns:
        the tagger of the best epoch, its file, and the history.

    Raises:
        InputError: the data does not fit.
        CheckpointError: the checkpoint to go on with is missing or damaged.

    Example:
        >>> found = fit_tagger(encoder, TaggingData("synthetic_mixtures"), epochs=8)  # doctest: +SKIP
    """
    learner = encoder if isinstance(encoder, TaggingLearner) else TaggingLearner(encoder)
    keep: dict[str, Any] = {"dirpath": Path(folder), "enable_version_counter": False}
    callbacks: list[Callback] = [
        ModelCheckpoint(filename="best", monitor="val/map", mode="max", **keep),
        ModelCheckpoint(filename="last", **keep),
        *([] if unfreeze_at_epoch is None else [TwoPhases(unfreeze_at_epoch)]),
    ]
    if resume_from is not None:
        read_tagger_card(resume_from)  # a missing or damaged file is named before anything else is done
    with lightning_messages(progress):
        trainer = cpu_trainer(epochs, progress, callbacks=callbacks, logger=logger)
        trainer.fit(learner, datamodule=data, ckpt_path=None if resume_from is None else Path(resume_from))
    best = callbacks[0]
    assert isinstance(best, ModelCheckpoint)
    path = Path(best.best_model_path)
    return TrainedTagger(load_tagger(path), path, learner.history)


def fit_tagger_once(
    learner: TaggingLearner,
    data: TaggingData,
    epochs: int = 8,
    unfreeze_at_epoch: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> TrainedTagger:
    """Trains a learner, or opens the result of an earlier training that was the same in every respect.

    The same means: the same excerpts, batches, first weights, settings, number of epochs, version of torch, and code
    of this package.

    Args:
        learner: with its first weights; it is trained in place where training is needed, else left as it is.
        data: excerpts for training and validation; it is set up afterwards.
        epochs: as for `fit_tagger`.
        unfreeze_at_epoch: as for `fit_tagger`.
        cache_dir: folder for the result; None is the usual place.
        progress: show progress bars while training.

    Returns:
        as `fit_tagger`.

    Raises:
        CheckpointError: the kept file is damaged; delete it.

    Example:
        >>> found = fit_tagger_once(learner, TaggingData("synthetic_mixtures"), epochs=8)  # doctest: +SKIP
    """
    path = kept_file(
        {
            "data": [data.fingerprints(learner.encoder), data.settings()],
            "encoder": [learner.encoder.name, learner.encoder.settings(), weights_hash(learner.encoder)],
            "learner": [learner.settings(), weights_hash(learner)],
            "epochs": [epochs, unfreeze_at_epoch],
        },
        cache_dir,
    )
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            found = fit_tagger(learner, data, epochs, unfreeze_at_epoch, folder, progress=progress)
            card = read_tagger_card(found.path)
        # The card of the best epoch knows nothing of later ones.
        save_tagger(found.tagger, path, data={**card.data, "history": found.history}, metrics=card.metrics)
    tagger = load_tagger(path)
    data.setup_for(tagger.encoder)
    return TrainedTagger(tagger, path, list(read_tagger_card(path).data["history"]))
