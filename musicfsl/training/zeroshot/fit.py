"""Fits a zero-shot model: how long to train is found on seen classes, then all of them are trained on."""

from __future__ import annotations

import copy
import tempfile
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from musicfsl.augment import VirtualInstruments
from musicfsl.backbones.base import Encoder
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import fit_whitening
from musicfsl.episodes import Episode, EpisodeDataset
from musicfsl.errors import InputError
from musicfsl.heads import PrototypicalHead
from musicfsl.training._trainer import cpu_trainer, lightning_messages
from musicfsl.training.learner import EpisodicLearner
from musicfsl.training.loading import EpisodeLoader, Share
from musicfsl.training.zeroshot.data import ZeroShotData
from musicfsl.training.zeroshot.learner import Validation, ZeroShotLearner
from musicfsl.zeroshot.projection import ZeroShotModel

__all__ = ["FittedZeroShot", "fit_zeroshot", "pretrain_encoder"]


class FittedZeroShot(NamedTuple):
    """A zero-shot model after training.

    Attributes:
        model: in evaluation mode on the CPU.
        epochs: that it was trained for.
        validation: at the end of these epochs, before the refit.
    """

    model: ZeroShotModel
    epochs: int
    validation: Validation

    @property
    def calibration(self) -> float | None:
        """What to add to the similarities of unseen classes, as validation found it."""
        return self.validation.calibration


def fit_zeroshot(
    learner: ZeroShotLearner,
    data: ZeroShotData,
    epochs: int = 60,
    stop_after: int = 10,
    refit: bool = True,
    logger: list[Logger] | bool = False,
    progress: bool = True,
) -> FittedZeroShot:
    """Trains on the processor, and stops early by validation.

    The first training finds the epoch of the highest ``val/score``, with some seen classes set aside (see
    `ZeroShotData`). A second one starts from the same weights and trains on all seen classes, for as many epochs and
    with the same learning rates. The calibration is that of the first.

    Args:
        learner: its model is trained in place.
        data: its classes and clips.
        epochs: at most.
        stop_after: epochs without improvement, after which the first training ends.
        refit: False keeps the first training's best epoch, and leaves the classes set aside untrained.
        logger: as for Lightning's Trainer.
        progress: show progress bars and Lightning's messages.

    Reference:
        Y. Xian et al., IEEE TPAMI 41(9), 2019, section 5.1: settings are found with validation classes, and
        the model is then trained on these too.
    """
    if epochs < 1:
        raise InputError(f"epochs is {epochs}; expected 1 or more")
    model = learner.model
    first_weights = copy.deepcopy(model.state_dict())
    with tempfile.TemporaryDirectory() as folder, lightning_messages(progress):
        best = ModelCheckpoint(folder, "best", "val/score", mode="max", enable_version_counter=False)
        stop = EarlyStopping("val/score", mode="max", patience=stop_after)
        cpu_trainer(epochs, progress, callbacks=[best, stop], logger=logger).fit(learner, datamodule=data)
        scores = [validation.score for validation in learner.history]
        n_epochs = scores.index(max(scores)) + 1
        if refit:
            model.load_state_dict(first_weights)
            again = _again(learner, learner.rates[:n_epochs])
            _unwatched(n_epochs, progress).fit(again, datamodule=data.for_refit())
        else:
            weights = torch.load(best.best_model_path, weights_only=True)["state_dict"]
            model.load_state_dict({name.removeprefix("model."): value for name, value in weights.items()})
    return FittedZeroShot(model.eval().cpu(), n_epochs, learner.history[n_epochs - 1])


def pretrain_encoder(
    encoder: Encoder,
    clips: ClassConditionalDataset,
    n_steps: int = 300,
    duration: float = 1.0,
    seed: int = 0,
    progress: bool = True,
) -> None:
    """Trains an encoder on episodes of virtual instruments, for a number of steps, and fits its whitening.

    It then knows how instruments differ, which a projection alone cannot learn from few classes.

    Args:
        encoder: is trained in place, and left in evaluation mode.
        clips: of classes that may be known, cut to the length that the network sees: the training part, in which
            neither unseen classes nor those of validation are.
        n_steps: episodes of 20 ways, 3 shots and 3 queries.
        duration: seconds of a window, for the whitening.
        seed: of the episodes.
        progress: show a progress bar and Lightning's messages.

    Raises:
        EpisodeError: a class has fewer than 6 clips.
    """
    if n_steps < 1:
        raise InputError(f"n_steps is {n_steps}; expected 1 or more")
    virtual = VirtualInstruments.for_front_end(encoder.front_end)
    episodes = EpisodeDataset(clips, 20, 3, 3, n_episodes=n_steps, seed=seed, class_augment=virtual)
    loader: DataLoader[Episode] = EpisodeLoader(episodes, Share(n_steps))
    with lightning_messages(progress):
        _unwatched(1, progress).fit(EpisodicLearner(encoder, PrototypicalHead("cosine")), loader, [])
    if encoder.whitening is not None:
        fit_whitening(encoder, clips, duration)
    encoder.eval()


def _again(learner: ZeroShotLearner, learning_rates: list[float]) -> ZeroShotLearner:
    """A learner of the same model and settings that goes the same way."""
    return ZeroShotLearner(
        learner.model,
        learner.loss,
        learner.margin,
        learner.train_encoder,
        learner.dropout,
        learner.learning_rate,
        learning_rates=learning_rates,
        seed=learner.seed,
    )


def _unwatched(epochs: int, progress: bool) -> pl.Trainer:
    """A trainer that validates, logs and keeps nothing."""
    return cpu_trainer(epochs, progress, logger=False, enable_checkpointing=False, limit_val_batches=0)
