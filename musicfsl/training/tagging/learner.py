"""The Lightning module that trains a tagger."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torchmetrics import MeanMetric

from musicfsl.backbones.base import Encoder
from musicfsl.checkpoints import EncoderCard
from musicfsl.embedding import Window
from musicfsl.errors import CheckpointError, InputError
from musicfsl.multilabel import TagReport, report_tags, tag_scores, tune_thresholds
from musicfsl.multilabel.losses import MultiLabelLoss, balanced_class_weights
from musicfsl.tagging.checkpoints import CARD_KEYS, TaggerCard, tuned_thresholds
from musicfsl.tagging.decisions import WindowVotes, check_decision
from musicfsl.tagging.tagger import DEFAULT_THRESHOLD, Tagger
from musicfsl.training.tagging.augmentation import SpecAugment, mix_up
from musicfsl.training.tagging.batches import TagBatch, multi_hot
from musicfsl.training.tagging.data import TaggingData
from musicfsl.training.tagging.parts import Stage

__all__ = ["TaggingLearner"]

# What validation logs, among the measures of `tag_scores`.
_LOGGED = ("map", "micro_f1", "macro_f1")
_PREFIX = "tagger."  # of the tagger's weights in the module; a checkpoint names them as `save_tagger` does


class TaggingLearner(pl.LightningModule):
    """Trains a tagger to say of every class whether it is heard.

    By itself it trains all weights at ``learning_rate``; with `TwoPhases` among the trainer's callbacks, the pretrained
    parts of the encoder are frozen at first, and all is then trained at ``fine_tuning_learning_rate``. A step is a
    function of the seed and the number of its batch.

    For validation and test, windows of each excerpt are joined to one decision. After each validation thresholds are
    tuned on its excerpts (`musicfsl.multilabel.tune_thresholds`), and stand in the checkpoint beside the one threshold
    that was given.

    Logged: ``train/loss``; ``val/loss`` (over windows); ``val/map``, ``val/micro_f1``, ``val/macro_f1`` at the
    threshold (over excerpts); the latter three also for test.

    Args:
        encoder: the network to train, or a whole `Tagger`.
        classes: names of the classes; None takes those of the data, or of the tagger.
        loss: ``"bce"``, ``"focal"`` or ``"asymmetric"``.
        loss_settings: further arguments of the loss, such as ``{"gamma": 1.0}``.
        learning_rate: of Adam; with `TwoPhases` that of the first phase.
        fine_tuning_learning_rate: of the second phase.
        weight_decay: of AdamW, decoupled from the gradient.
        label_smoothing: 0 to below 1, see `musicfsl.multilabel.smoothed_labels`.
        mixup: the alpha of `mix_up`; 0 mixes nothing.
        spec_augment: masks over the features; None for none.
        class_weights: one number a class; ``"balanced"`` weighs classes inversely to how often training excerpts have
            them; None weighs all alike.
        dropout: before the classifier, 0 to below 1.
        threshold: probability from which on a class counts as heard.
        decision: how windows of an excerpt are joined, one of `musicfsl.tagging.DECISIONS`.
        seed: of the classifier's first weights, the dropout and the augmentation.

    Attributes:
        tagger: is trained in place; there from the start where the classes are known, else once training begins.
        report: of the latest test at the threshold; None before.
        tuned_report: the same at the tuned thresholds; None where none were tuned.
        history: of every validation so far, in order: ``epoch``, ``learning_rate``, ``val/loss``, ``val/map``,
            ``val/micro_f1``, ``val/macro_f1``.

    Raises:
        InputError: a number is out of range, or a name unknown.

    Reference:
        D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015; I. Loshchilov, F. Hutter, Decoupled
        weight decay regularization, ICLR 2019.

    Example:
        >>> from musicfsl.backbones import ConvEncoder
        >>> learner = TaggingLearner(ConvEncoder(sample_rate=22050))
        >>> trainer = pl.Trainer(max_epochs=10)  # doctest: +SKIP
        >>> trainer.fit(learner, datamodule=TaggingData("synthetic_mixtures"))  # doctest: +SKIP
    """

    tagger: Tagger

    def __init__(
        self,
        encoder: Encoder | Tagger,
        classes: Sequence[str] | None = None,
        loss: Literal["bce", "focal", "asymmetric"] = "bce",
        loss_settings: dict[str, Any] | None = None,
        learning_rate: float = 1e-3,
        fine_tuning_learning_rate: float = 1e-4,
        weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        spec_augment: SpecAugment | None = None,
        class_weights: Literal["balanced"] | Sequence[float] | None = None,
        dropout: float = 0.0,
        threshold: float = DEFAULT_THRESHOLD,
        decision: Literal["mean", "max", "both", "normalised"] = "mean",
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, rate in (("learning_rate", learning_rate), ("fine_tuning_learning_rate", fine_tuning_learning_rate)):
            if not rate > 0:
                raise InputError(f"{name} is {rate}; expected a number above 0")
        if weight_decay < 0 or mixup < 0:
            raise InputError(f"weight_decay is {weight_decay} and mixup {mixup}; expected 0 or more")
        if not 0 < threshold < 1:
            raise InputError(f"threshold is {threshold}; expected a probability between 0 and 1")
        if isinstance(class_weights, str) and class_weights != "balanced":
            raise InputError(f"class_weights is '{class_weights}'; expected 'balanced', one number a class, or None")
        check_decision(decision)
        self.loss_name, self.loss_settings, self.label_smoothing = loss, dict(loss_settings or {}), label_smoothing
        self.loss = MultiLabelLoss(loss, label_smoothing, **self.loss_settings)
        self.learning_rate, self.fine_tuning_learning_rate = learning_rate, fine_tuning_learning_rate
        self.weight_decay, self.mixup, self.spec_augment = weight_decay, mixup, spec_augment
        self.class_weights, self.dropout, self.threshold = class_weights, dropout, threshold
        self.decision, self.seed = decision, seed
        # In a tuple, so that the encoder is a part of this module through the tagger alone.
        self._given = (encoder,)
        if isinstance(encoder, Tagger):
            if classes is not None and list(classes) != encoder.classes:
                raise InputError(f"classes are {list(classes)}, but the tagger knows {encoder.classes}; leave them out")
            self._take(encoder)
        elif classes is not None:
            self._take(self._made(encoder, classes))
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self.report: TagReport | None = None
        self.tuned_report: TagReport | None = None
        self.history: list[dict[str, float]] = []

    @property
    def encoder(self) -> Encoder:
        """The network that is trained."""
        given = self._given[0]
        return given.encoder if isinstance(given, Tagger) else given

    def settings(self) -> dict[str, Any]:
        """All that decides the training except the network and the data, as JSON can hold it."""
        names = (
            "loss_name", "loss_settings", "label_smoothing", "learning_rate", "fine_tuning_learning_rate",
            "weight_decay", "mixup", "dropout", "threshold", "decision", "seed",
        )  # fmt: skip
        weights = self.class_weights
        return {
            **{name: getattr(self, name) for name in names},
            "class_weights": weights if weights is None or isinstance(weights, str) else [float(w) for w in weights],
            "spec_augment": None if self.spec_augment is None else self.spec_augment.settings(),
        }

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(B, n_classes)`` of waves or features."""
        logits: Tensor = self.tagger(x)
        return logits

    def setup(self, stage: str) -> None:
        """Makes the tagger for the data's classes, and the loss for their weights."""
        data = self._data()
        classes = data.classes
        given = self._given[0]
        if not hasattr(self, "tagger"):
            assert isinstance(given, Encoder)
            self._take(self._made(given, classes))
        if self.tagger.classes != classes:
            raise InputError(f"the tagger knows {self.tagger.classes}, but the data has {classes}; train a new one")
        self.tagger.duration = data.duration
        weights: Any = self.class_weights
        if stage == "fit" and weights is not None:
            if weights == "balanced":
                weights = balanced_class_weights(torch.from_numpy(multi_hot(data.part("train"))), classes)
            self.loss = MultiLabelLoss(self.loss_name, self.label_smoothing, weights, **self.loss_settings)
            self.loss.to(self.device)

    def on_fit_start(self) -> None:
        self.train()  # an encoder that was loaded comes in evaluation mode

    def training_step(self, batch: TagBatch, batch_idx: int) -> Tensor:
        x, targets = self.encoder.features(batch.x), batch.targets.float()
        rng = np.random.default_rng((self.seed, batch.number))
        if self.spec_augment is not None:
            x = self.spec_augment(x, rng)
        if self.mixup > 0:
            x, targets = mix_up(x, targets, self.mixup, rng)
        loss: Tensor = self.loss(self.tagger(x), targets)
        self.train_loss.update(loss.detach(), weight=len(x))
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._votes = self._no_votes("val")

    def validation_step(self, batch: Window, batch_idx: int) -> None:
        logits = self._vote(batch)
        targets = torch.from_numpy(multi_hot(self._data().part("val"))).to(self.device)[batch.clip]
        self.val_loss.update(self.loss(logits, targets.to(logits)), weight=len(logits))
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True)

    def on_validation_epoch_end(self) -> None:
        probabilities = self._decided()
        if probabilities is None or self.trainer.sanity_checking:
            return  # only some of the excerpts were seen: Lightning's check before training, or limit_val_batches
        targets = multi_hot(self._data().part("val"))
        scores = self._log_scores("val", probabilities, targets)
        with warnings.catch_warnings():  # the data has named the classes without a validation excerpt already
            warnings.simplefilter("ignore", UserWarning)
            tuned = tune_thresholds(probabilities, targets, self.tagger.classes, self.threshold)
        self.tagger.tuned_thresholds = torch.from_numpy(tuned).float().to(self.device)
        if self.trainer.state.fn == TrainerFn.FITTING:
            rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
            loss = {"val/loss": float(self.val_loss.compute())}
            self.history.append({"epoch": self.current_epoch, "learning_rate": rate, **loss, **scores})

    def on_test_epoch_start(self) -> None:
        self._votes = self._no_votes("test")

    def test_step(self, batch: Window, batch_idx: int) -> None:
        self._vote(batch)

    def on_test_epoch_end(self) -> None:
        probabilities = self._decided()
        if probabilities is None:
            return
        part, tuned = self._data().part("test"), self.tagger.tuned_thresholds
        targets = multi_hot(part)
        self._log_scores("test", probabilities, targets)

        def report(thresholds: Tensor) -> TagReport:
            return report_tags(
                probabilities, targets, part.classes, _exact(thresholds), seed=self.seed, is_synthetic=part.is_synthetic
            )

        self.report = report(self.tagger.thresholds)
        self.tuned_report = None if tuned is None else report(tuned)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [parameter for parameter in self.tagger.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(trained, lr=self.learning_rate, weight_decay=self.weight_decay)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes the checkpoint one that `load_tagger` and `musicfsl.load_encoder` open, without the training code."""
        data = self._data().describe()
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        encoder_card = EncoderCard.of(self.encoder, classes=self.tagger.classes, data=data)
        card = TaggerCard.of(self.tagger, data={**data, "history": self.history}, metrics=metrics)
        checkpoint.update(zip(CARD_KEYS, (encoder_card.to_json(), card.to_json()), strict=True))
        checkpoint["state_dict"] = {
            name.removeprefix(_PREFIX): value for name, value in checkpoint["state_dict"].items()
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Undoes the renaming, and takes the tuned thresholds and the history from the card."""
        path = Path(str(self.trainer.ckpt_path or "the checkpoint"))
        if CARD_KEYS[1] not in checkpoint:
            raise CheckpointError(f"{path} is no checkpoint of a tagger; give one that 'musicfsl tag fit' wrote")
        card = TaggerCard.from_json(checkpoint[CARD_KEYS[1]], path)
        self.tagger.tuned_thresholds = tuned_thresholds(card)
        self.history = list(card.data.get("history", []))
        checkpoint["state_dict"] = {_PREFIX + name: value for name, value in checkpoint["state_dict"].items()}

    def _made(self, encoder: Encoder, classes: Sequence[str]) -> Tagger:
        return Tagger(encoder, classes, self.seed, self.dropout)

    def _take(self, tagger: Tagger) -> None:
        self.tagger = tagger
        tagger.thresholds.fill_(self.threshold)

    def _vote(self, batch: Window) -> Tensor:
        """Logits of windows, whose probabilities are added to those of their excerpts."""
        logits: Tensor = self.tagger(batch.x)
        self._votes.add(torch.as_tensor(batch.clip), torch.sigmoid(logits.float()))
        return logits

    def _no_votes(self, stage: Stage) -> WindowVotes:
        return WindowVotes(len(self._data().part(stage)), len(self.tagger.classes), self.device)

    def _decided(self) -> NDArray[np.float32] | None:
        """Probabilities of the excerpts ``(N, C)``; None where some of them were not seen."""
        probabilities = self._votes.decide(self.decision, self.trainer.strategy.reduce)
        return None if bool(torch.isnan(probabilities).any()) else probabilities.cpu().numpy()

    def _log_scores(
        self, stage: Stage, probabilities: NDArray[np.float32], targets: NDArray[np.uint8]
    ) -> dict[str, float]:
        found = tag_scores(probabilities, targets, _exact(self.tagger.thresholds))
        scores = {f"{stage}/{name}": found[name] for name in _LOGGED}
        for name, value in scores.items():
            self.log(name, value, prog_bar=True)
        return scores

    def _data(self) -> TaggingData:
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, TaggingData):
            raise InputError(
                "TaggingLearner needs its data from TaggingData; call trainer.fit(learner, datamodule=...)"
            )
        return data


def _exact(thresholds: Tensor) -> NDArray[np.float64]:
    """Thresholds as they were meant: 0.6, not the nearest number of single precision."""
    return np.round(thresholds.double().cpu().numpy(), 6)
