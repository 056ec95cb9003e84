"""The Lightning module that trains an encoder on episodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import MeanMetric

from musicfsl.backbones.base import Encoder
from musicfsl.checkpoints import EncoderCard
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import ClipMeans, Window
from musicfsl.episodes import Episode
from musicfsl.errors import InputError
from musicfsl.evaluation import EpisodeReport
from musicfsl.heads import Head, PrototypicalHead
from musicfsl.training._weights import is_frozen
from musicfsl.training.data import EpisodicData, Stage

__all__ = ["EpisodicLearner"]


class EpisodicLearner(pl.LightningModule):
    """Trains an encoder so that a head recognises queries from a few supports (episodic training).

    Training steps take one or more episodes. For validation and test every clip is embedded once, and the
    head is run on many episodes drawn from the embeddings, always the same ones. Where the encoder has a
    whitening layer, it is fitted to the training classes before each validation.

    A head with weights of its own (`Head.needs_training`: relation, FEAT, ANIL) has to meet in evaluation the
    embeddings that it was trained on. With it, nothing is fitted: a frozen encoder whitens in training as well, if it
    was fitted before, and the whitening of an encoder that is trained is reset.

    Of an encoder without a weight that requires a gradient (``trainable_blocks=0``, ``requires_grad_(False)``), the
    embeddings are computed once and read from a store (see `EpisodicData`); what is trained is the head alone.

    Logged: ``train/loss``, ``train/accuracy``, ``val/accuracy`` and ``val/ci95`` (the latter two also
    for test), over all processes.

    Args:
        encoder: the network to train.
        head: the few-shot method; None is `PrototypicalHead` with squared Euclidean distance.
        learning_rate: the highest of a one-cycle schedule (a rise over the first fifth, then a fall to nearly 0)
            where the number of steps is known, else constant.
        weight_decay: of AdamW, on weight matrices and filters only.

    Reference:
        J. Snell, K. Swersky, R. Zemel, Prototypical networks for few-shot learning, NeurIPS 2017;
        L. N. Smith, N. Topin, Super-convergence, arXiv:1708.07120 (the schedule);
        I. Loshchilov, F. Hutter, Decoupled weight decay regularization, ICLR 2019.

    Example:
        >>> from musicfsl.backbones import ConvEncoder
        >>> learner = EpisodicLearner(ConvEncoder())
        >>> trainer = pl.Trainer(max_epochs=20)  # doctest: +SKIP
        >>> trainer.fit(learner, datamodule=EpisodicData("synthetic"))  # doctest: +SKIP
    """

    def __init__(
        self,
        encoder: Encoder,
        head: Head | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__()
        if learning_rate <= 0 or weight_decay < 0:
            raise InputError(
                f"learning_rate is {learning_rate} and weight_decay {weight_decay}; expected above 0, and 0 or more"
            )
        self.encoder = encoder
        self.head = PrototypicalHead() if head is None else head
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        # Sums and counts, not means of means: right also where processes see different numbers of episodes.
        self.train_loss, self.train_accuracy = MeanMetric(), MeanMetric()
        # Of the latest validation or test: its result, and the embeddings of all clips that it was measured on.
        self.report: EpisodeReport | None = None
        self.clip_embeddings: Tensor | None = None

    def setup(self, stage: str) -> None:
        """Prepares a training: in training mode, since loaded encoders come in evaluation mode.

        Raises:
            InputError: neither encoder nor head has a weight that is trained.
        """
        if stage != "fit":
            return
        if is_frozen(self):
            raise InputError(
                f"there is nothing to train: the encoder is frozen, and {type(self.head).__name__} has no weight that "
                "is learned; train some of the encoder (trainable_blocks=, requires_grad_), take a head with "
                "learn_temperature=True, or only evaluate with trainer.test"
            )
        self.train()
        whitening = self.encoder.whitening
        if whitening is not None and self.head.needs_training and not is_frozen(self.encoder):
            whitening.reset()

    def on_train_batch_start(self, batch: Episode, batch_idx: int) -> None:
        whitening = self.encoder.whitening
        if whitening is not None and self.head.needs_training and is_frozen(self.encoder):
            # Not before, where Lightning would warn, nor when an epoch starts, of which a resumed run hears nothing.
            whitening.eval()

    @property
    def fits_whitening(self) -> bool:
        """Whether each validation begins by fitting the encoder's whitening to the training classes."""
        return self.encoder.whitening is not None and not self.head.needs_training

    def forward(self, x: Tensor) -> Tensor:
        """Embeds waves or features, as the encoder does."""
        z: Tensor = self.encoder(x)
        return z

    def training_step(self, batch: Episode, batch_idx: int) -> Tensor:
        losses = []
        for (of_episode, logits), targets in zip(self._episode_losses(batch), batch.query_targets, strict=True):
            losses.append(of_episode)
            self.train_accuracy.update(logits.detach().argmax(-1) == targets)
        loss = torch.stack(losses).mean()
        self.train_loss.update(loss.detach(), weight=len(losses))
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._val = self._no_clips(self._data().part("val"))
        self._whitening_clips = self._no_clips(self._data().whitening_part())

    def validation_step(self, batch: Window, batch_idx: int, dataloader_idx: int = 0) -> None:
        (self._val if dataloader_idx == 0 else self._whitening_clips).add(
            batch, self._embedded(batch.x, "val", raw=True)
        )

    def on_validation_epoch_end(self) -> None:
        reduce = self.trainer.strategy.reduce
        z = self._val.means(reduce)
        if z is None:
            return  # only some of the clips were seen: Lightning's check before training, or limit_val_batches
        whitening = self.encoder.whitening
        if whitening is not None:
            known = self._whitening_clips.means(reduce) if self.fits_whitening else None
            if known is not None:
                targets = torch.as_tensor(self._data().whitening_part().targets, device=known.device)
                whitening.fit(known, targets)
            z = whitening(z)  # means over windows may be whitened as well as windows: the layer is linear
        self._report("val", z)

    def on_test_epoch_start(self) -> None:
        self._test = self._no_clips(self._data().part("test"))

    def test_step(self, batch: Window, batch_idx: int) -> None:
        self._test.add(batch, self._embedded(batch.x, "test"))

    def on_test_epoch_end(self) -> None:
        z = self._test.means(self.trainer.strategy.reduce)
        if z is not None:
            self._report("test", z)

    def configure_optimizers(self) -> Any:
        matrices = [p for p in self.parameters() if p.requires_grad and p.dim() > 1]
        others = [p for p in self.parameters() if p.requires_grad and p.dim() <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=self.learning_rate,
        )
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            return optimizer
        total = max(2, int(steps))
        # The rate rises for a fifth of the steps, but for more than one: torch divides by that number less one.
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.learning_rate, total_steps=total, pct_start=max(0.2, 1.5 / total)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the card, so that `musicfsl.load_encoder` opens the checkpoint without any of the training code."""
        data = self._data()
        card = EncoderCard.of(
            self.encoder,
            self.head,
            classes=data.train_classes,
            data=self._describe_data(),
            metrics={name: float(value) for name, value in self.trainer.callback_metrics.items()},
        )
        checkpoint["musicfsl"] = card.to_json()

    def _describe_data(self) -> dict[str, Any]:
        """What the card says of the training besides the network."""
        return self._data().describe()

    def _data(self) -> EpisodicData:
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, EpisodicData):
            raise InputError(
                "EpisodicLearner needs its data from EpisodicData; call trainer.fit(learner, datamodule=...)"
            )
        return data

    def _embedded(self, x: Tensor, stage: Stage, raw: bool = False) -> Tensor:
        """Embeddings ``(B, dim)`` of what a stage's loaders give, stored or computed; ``raw`` ones are not whitened."""
        # A step by hand, as in a notebook, has no trainer; asking for `self.trainer` would raise.
        data = getattr(self._trainer, "datamodule", None)
        if not isinstance(data, EpisodicData) or stage not in data.embedded:
            return self.encoder.raw(x) if raw else self(x)
        if not is_frozen(self.encoder):
            raise InputError(
                "weights of the encoder began to require a gradient during a training on stored embeddings; train in "
                "two runs, one with the frozen encoder and one with the other"
            )
        z, whitening = x.flatten(1), self.encoder.whitening  # (B, dim, 1) as stored
        return z if raw or whitening is None else whitening(z)

    def _episode_losses(self, batch: Episode) -> Iterator[tuple[Tensor, Tensor]]:
        """The loss of every episode in a training step, and the logits of its queries."""
        n_support = batch.support.shape[1]
        items = torch.cat([batch.support, batch.query], dim=1)  # (episodes, n_support + n_query, ...)
        z = self._embedded(items.flatten(0, 1), "train")
        z = z.reshape(*items.shape[:2], -1)  # (episodes, n_support + n_query, dim)
        for i, classes in enumerate(batch.classes):
            yield self.head.episode_loss(
                z[i, :n_support], batch.support_targets[i], z[i, n_support:], batch.query_targets[i], classes
            )

    def _no_clips(self, part: ClassConditionalDataset) -> ClipMeans:
        return ClipMeans(len(part), self.encoder.dim, self.device)

    def _report(self, stage: Stage, z: Tensor) -> None:
        """Runs the episodes of a stage on the embeddings of its clips."""
        self.clip_embeddings = z
        self._log_report(stage, self._data().evaluate(stage, z, self.head))

    def _log_report(self, stage: Stage, report: EpisodeReport) -> None:
        self.report = report
        self.log(f"{stage}/accuracy", report.mean, prog_bar=True)
        self.log(f"{stage}/ci95", report.ci95)
