"""Fine-tuning in two phases: first what is new, then everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BaseFinetuning
from torch import nn
from torch.optim import Optimizer

from musicfsl.errors import InputError
from musicfsl.training.tagging.learner import TaggingLearner

__all__ = ["TwoPhases"]


class TwoPhases(BaseFinetuning):
    """Trains the new layers while the pretrained ones are frozen, then all of them at a lower learning rate.

    Phase one trains what is not among the encoder's `pretrained_parts`: the classifier, and layers that fuse branches.
    The frozen parts stay in evaluation mode, so that their batch norms keep the statistics of the pretraining and no
    dropout disturbs them: weights and buffers stay as they were, bit by bit. Phase two trains everything at the
    learner's ``fine_tuning_learning_rate``; what was trained before keeps the optimizer's running averages.

    A run that was interrupted goes on in the phase that it was in.

    Args:
        unfreeze_at_epoch: epoch, counted from 0, with which phase two begins; 0 leaves phase one out.

    Raises:
        InputError: the epoch is below 0, or (when training begins) the learner is no `TaggingLearner`, or there are
            several processes.

    Reference:
        J. Howard, S. Ruder, Universal language model fine-tuning for text classification, ACL 2018 (unfreezing step by
        step, of which this is the shortest form).

    Example:
        >>> trainer = pl.Trainer(max_epochs=10, callbacks=[TwoPhases(unfreeze_at_epoch=5)])  # doctest: +SKIP
    """

    def __init__(self, unfreeze_at_epoch: int = 5) -> None:
        super().__init__()
        if unfreeze_at_epoch < 0:
            raise InputError(f"unfreeze_at_epoch is {unfreeze_at_epoch}; expected 0 or more")
        self.unfreeze_at_epoch = unfreeze_at_epoch

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return  # a test of a trained network freezes nothing
        if not isinstance(pl_module, TaggingLearner):
            raise InputError(f"TwoPhases trains a TaggingLearner, not a {type(pl_module).__name__}")
        if trainer.world_size > 1:
            # DistributedDataParallel averages the gradients of those weights alone that are trained from the start.
            raise InputError(
                f"TwoPhases trains in one process, but there are {trainer.world_size}; set devices=1, or leave it out"
            )
        super().setup(trainer, pl_module, stage)

    def freeze_before_training(self, pl_module: pl.LightningModule) -> None:
        self.freeze(_parts(pl_module), train_bn=False)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.current_epoch < self.unfreeze_at_epoch:
            for part in _parts(pl_module):
                part.eval()
        elif not all(parameter.requires_grad for parameter in _parameters(pl_module)):
            # A run that is resumed within an epoch, or at its very end, hears nothing of the epoch's start.
            self.on_train_epoch_start(trainer, pl_module)

    def finetune_function(self, pl_module: pl.LightningModule, epoch: int, optimizer: Optimizer) -> None:
        assert isinstance(pl_module, TaggingLearner)
        if epoch < self.unfreeze_at_epoch:
            return
        parts = _parts(pl_module)
        self.make_trainable(parts)
        for part in parts:
            part.train()
        # Lightning's own function looks for weights of equal values among those that are trained already, and
        # would take two fresh batch norms for one.
        trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        new = [parameter for parameter in _parameters(pl_module) if id(parameter) not in trained]
        if new:
            for group in optimizer.param_groups:
                group["lr"] = pl_module.fine_tuning_learning_rate
            optimizer.add_param_group({"params": new, "lr": pl_module.fine_tuning_learning_rate})


def _parts(learner: pl.LightningModule) -> list[nn.Module]:
    assert isinstance(learner, TaggingLearner)
    return learner.encoder.pretrained_parts()


def _parameters(learner: pl.LightningModule) -> Iterator[nn.Parameter]:
    for part in _parts(learner):
        yield from part.parameters()
