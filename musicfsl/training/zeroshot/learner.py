"""The Lightning module that trains a zero-shot model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import MeanMetric

from musicfsl.embedding import ClipMeans, Window
from musicfsl.errors import InputError
from musicfsl.training.zeroshot.clips import ClipBatch
from musicfsl.training.zeroshot.data import ZeroShotData
from musicfsl.zeroshot.curve import choices, seen_unseen_curve
from musicfsl.zeroshot.intervals import balanced_weights
from musicfsl.zeroshot.losses import LOSSES, random_negatives, softmax_loss, triplet_loss
from musicfsl.zeroshot.projection import ZeroShotModel

__all__ = ["Validation", "ZeroShotLearner"]


class Validation(NamedTuple):
    """What one validation found, on clips and classes that are not trained on, and not those of the test either.

    Attributes:
        score: what training is judged by: the area under the seen-unseen curve where some seen classes play unseen
            ones, else the accuracy on clips that were set aside.
        seen: accuracy on these clips among the training classes.
        zero_shot: accuracy among the classes that play unseen ones; None where there are none.
        calibration: what to add to the similarities of these classes for the highest harmonic mean; None likewise.
    """

    score: float
    seen: float
    zero_shot: float | None
    calibration: float | None


class ZeroShotLearner(pl.LightningModule):
    """Trains the two branches of a zero-shot model on clips of seen classes.

    A step scores clips against the vectors of all training classes. The learning rate falls when validation no
    longer improves; what validation looks at is `ZeroShotData`'s business, and never the unseen classes of the test.

    Logged: ``train/loss``; ``val/score`` (see `Validation`), ``val/seen``, ``val/zero_shot``.

    Args:
        model: is trained in place.
        loss: ``"softmax"`` (against all other classes) or ``"triplet"`` (against one random class, with a margin).
        margin: of the triplet loss, in cosines.
        train_encoder: whether the encoder is trained too. Frozen, its embeddings are computed once, and an epoch
            takes less than a second. An encoder's whitening layer stays as it was fitted, either way.
        dropout: share of the components of embeddings and side vectors that each step leaves out. The seen classes are
            few examples of the map from side information to sound, and are soon learned by heart.
        learning_rate: of Adam.
        factor: by which the learning rate falls.
        patience: epochs without improvement before it does.
        learning_rates: one an epoch, to go the way that an earlier training went; no validation is then needed.
        seed: of the negatives and of what is left out.

    Reference:
        D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015; N. Srivastava et al., Dropout, JMLR
        15, 2014. The losses: `musicfsl.zeroshot.losses`.

    Example:
        >>> from musicfsl.backbones import ConvEncoder
        >>> learner = ZeroShotLearner(ZeroShotModel(ConvEncoder(), side_dim=43))
        >>> trainer = pl.Trainer(max_epochs=60)  # doctest: +SKIP
        >>> trainer.fit(learner, datamodule=ZeroShotData("synthetic", "attributes"))  # doctest: +SKIP
    """

    def __init__(
        self,
        model: ZeroShotModel,
        loss: Literal["softmax", "triplet"] = "softmax",
        margin: float = 0.5,
        train_encoder: bool = False,
        dropout: float = 0.3,
        learning_rate: float = 1e-3,
        factor: float = 0.2,
        patience: int = 5,
        learning_rates: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise InputError(f"loss is '{loss}'; expected one of {', '.join(LOSSES)}")
        if learning_rate <= 0 or not 0 <= dropout < 1:
            raise InputError(
                f"learning_rate is {learning_rate} and dropout {dropout}; expected above 0, and 0 to below 1"
            )
        self.model = model
        self.loss, self.margin, self.train_encoder, self.dropout = loss, margin, train_encoder, dropout
        self.learning_rate, self.factor, self.patience = learning_rate, factor, patience
        self.learning_rates = None if learning_rates is None else list(learning_rates)
        self.seed = seed
        self.train_loss = MeanMetric()
        #: One a validation, in order.
        self.history: list[Validation] = []
        #: Learning rate of every epoch so far.
        self.rates: list[float] = []

    def forward(self, audio: Tensor, side_vectors: Tensor) -> Tensor:
        """Scores of clips for classes, as the model gives them."""
        scores: Tensor = self.model(audio, side_vectors)
        return scores

    def on_fit_start(self) -> None:
        """Fits the scales to the training classes, and, where the encoder is frozen, to the training clips."""
        self.train()  # an encoder that was loaded comes in evaluation mode
        data = self._data()
        self._side = data.side_vectors(data.train_classes).to(self.device)
        self.model.side_scale.fit(self._side)
        embeddings = None if self.train_encoder else data.embeddings("train", self.model.encoder)
        if embeddings is not None:
            self.model.audio_scale.fit(embeddings.to(self.device))

    def on_train_epoch_start(self) -> None:
        self.rates.append(float(self.trainer.optimizers[0].param_groups[0]["lr"]))

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        # A function of the seed and the step, so that nothing hangs on the global random state.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.global_step)
        drop = _Dropout(self.dropout, generator) if self.dropout > 0 else None
        audio = self.model.embed_audio(self._embedded(batch.x), drop)
        classes = self.model.embed_classes(self._side, drop)
        if self.loss == "triplet":
            negatives = random_negatives(batch.targets, len(classes), generator)
            loss = triplet_loss(self.model.similarity(audio, classes), batch.targets, negatives, self.margin)
        else:
            loss = softmax_loss(self.model.score(audio, classes), batch.targets)
        self.train_loss.update(loss.detach(), weight=len(batch.targets))
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._val = ClipMeans(len(self._data().part("val")), self.model.encoder_dim, self.device)

    def validation_step(self, batch: Window, batch_idx: int) -> None:
        self._val.add(batch, self._embedded(batch.x))

    def on_validation_epoch_end(self) -> None:
        z = self._val.means(self.trainer.strategy.reduce)
        if z is None or self.trainer.sanity_checking:
            return  # only some of the clips were seen: Lightning's check before training, or limit_val_batches
        found = self._validate(z)
        self.history.append(found)
        self.log("val/score", found.score, prog_bar=True)
        self.log("val/seen", found.seen)
        if found.zero_shot is not None:
            self.log("val/zero_shot", found.zero_shot)

    def configure_optimizers(self) -> Any:
        trained = [
            p for name, p in self.model.named_parameters() if self.train_encoder or not name.startswith("encoder.")
        ]
        optimizer = torch.optim.Adam(trained, lr=self.learning_rate)
        rates = self.learning_rates
        if rates is not None:
            again = torch.optim.lr_scheduler.LambdaLR(
                optimizer, lambda epoch: rates[min(epoch, len(rates) - 1)] / self.learning_rate
            )
            return {"optimizer": optimizer, "lr_scheduler": again}
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max", factor=self.factor, patience=self.patience
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val/score"}}

    def _embedded(self, x: Tensor) -> Tensor:
        """Embeddings of clips, or those that come already; whitened in training as they will be afterwards."""
        encoder = self.model.encoder
        whitening = getattr(encoder, "whitening", None)
        if x.dim() == 2 or whitening is None:
            return x if x.dim() == 2 else encoder(x)
        mode = whitening.training
        z: Tensor = whitening.eval()(encoder.raw(x))  # type: ignore[operator]
        whitening.train(mode)
        return z

    def _validate(self, z: Tensor) -> Validation:
        """Measures the embeddings ``(N, dim)`` of the validation clips."""
        data = self._data()
        val = data.part("val")
        n_train = len(data.train_classes)
        class_vectors = self.model.embed_classes(data.side_vectors(val.classes).to(z.device))
        scores = self.model.similarity(self.model.embed_audio(z), class_vectors).double().cpu().numpy()
        is_unseen = torch.arange(len(val.classes)).numpy() >= n_train
        weights = balanced_weights(val.targets, is_unseen)
        if not is_unseen.any():
            accuracy = float(weights @ (scores.argmax(axis=1) == val.targets))
            return Validation(accuracy, accuracy, None, None)
        choice = choices(scores, val.targets, is_unseen)
        curve = seen_unseen_curve(choice, weights)
        seen, zero_shot = float(weights @ choice.seen_right), float(weights @ choice.unseen_right)
        return Validation(curve.area, seen, zero_shot, curve.best_calibration())

    def _data(self) -> ZeroShotData:
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, ZeroShotData):
            raise InputError(
                "ZeroShotLearner needs its data from ZeroShotData; call trainer.fit(learner, datamodule=...)"
            )
        return data


class _Dropout:
    """Dropout whose choice comes from a generator."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        self._share, self._generator = share, generator

    def __call__(self, x: Tensor) -> Tensor:
        kept = torch.rand(x.shape, generator=self._generator) >= self._share
        return x * kept.to(x.device) / (1 - self._share)
