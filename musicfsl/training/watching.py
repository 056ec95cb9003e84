"""What TensorBoard shows of a training besides its curves: who is taken for whom, and where the sounds lie."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import InputError, MissingExtraError, import_extra
from musicfsl.evaluation import EpisodeReport
from musicfsl.training._features import open_source
from musicfsl.training.data import EpisodicData
from musicfsl.training.learner import EpisodicLearner

__all__ = ["WatchValidation"]

_THUMBNAIL = 32  # pixels a side
_MAX_CLASSES_WITH_TEXT = 16
_DECIMALS = 4  # of the coordinates, which are written as text


class WatchValidation(pl.Callback):
    """Adds the confusion matrix and the embeddings of the validation clips to a run's TensorBoard log.

    The curves of loss and accuracy are logged by `EpisodicLearner` itself. After a validation this adds, from what the
    validation has computed anyway:

    - under "Images" the confusion matrix over all episodes (``val/confusion``), or, where matplotlib is not installed
      (it comes with ``musicfsl[plots]``), the same as a table under "Text";
    - under "Projector" the embeddings of clips, each with its class, its group (player, song or recording), the name of
      its recording, and a picture of its spectrogram.

    Without a logger for TensorBoard it does nothing.

    Args:
        every_n_epochs: of the training; 1 is after every epoch. ``trainer.validate`` is always watched.
        confusion: draw the confusion matrix.
        n_clips: clips whose embeddings are written, at most, spread evenly over the classes; 0 for none. A hundred take
            about 0.4 MB each time.
        pictures: draw the spectrograms.

    Raises:
        InputError: a number is out of range, or another module than an `EpisodicLearner` is trained.

    Example:
        >>> from pytorch_lightning.loggers import TensorBoardLogger
        >>> watch = WatchValidation(every_n_epochs=2, n_clips=200)
        >>> trainer = pl.Trainer(logger=TensorBoardLogger("runs"), callbacks=[watch])  # doctest: +SKIP
    """

    def __init__(
        self, every_n_epochs: int = 1, confusion: bool = True, n_clips: int = 300, pictures: bool = True
    ) -> None:
        if every_n_epochs < 1 or n_clips < 0:
            raise InputError(
                f"every_n_epochs is {every_n_epochs} and n_clips {n_clips}; expected 1 or more, and 0 or more"
            )
        self.every_n_epochs = every_n_epochs
        self.confusion = confusion
        self.n_clips = n_clips
        self.pictures = pictures
        self._written: Tensor | None = None
        self._labels: list[list[str]] | None = None
        self._pictures: Tensor | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if not isinstance(pl_module, EpisodicLearner):
            raise InputError(
                f"WatchValidation looks at the validation of an EpisodicLearner, but {type(pl_module).__name__} is "
                "trained; take it out of the callbacks"
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes; Lightning calls this once the learner has validated."""
        assert isinstance(pl_module, EpisodicLearner)
        is_due = trainer.state.fn != "fit" or (trainer.current_epoch + 1) % self.every_n_epochs == 0
        report, z = pl_module.report, pl_module.clip_embeddings
        # Where only some clips were seen, as in Lightning's check before training, there is no result, or an old one.
        if trainer.sanity_checking or not is_due or report is None or z is None or z is self._written:
            return
        self._written = z
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                if self.confusion:
                    _write_confusion(logger.experiment, report, trainer.global_step)
                if self.n_clips:
                    self._write_embeddings(logger.experiment, z, trainer, pl_module)

    def _write_embeddings(self, writer: Any, z: Tensor, trainer: pl.Trainer, learner: EpisodicLearner) -> None:
        data: EpisodicData = trainer.datamodule  # type: ignore[attr-defined]
        part = data.part("val")
        chosen = _spread_over_classes(part.targets, self.n_clips)
        if self._labels is None:  # neither these nor the pictures change while the network does
            self._labels = _labels(part, open_source(data.source, learner.encoder), chosen)
            if self.pictures and importlib.util.find_spec("PIL") is not None:
                self._pictures = torch.stack([_thumbnail(part, int(i)) for i in chosen])
        writer.add_embedding(
            z[torch.from_numpy(chosen)].double().cpu().numpy().round(_DECIMALS),
            metadata=self._labels,
            metadata_header=["class", "group", "clip"],
            label_img=self._pictures,
            global_step=trainer.global_step,
            tag="val",
        )


def _write_confusion(writer: Any, report: EpisodeReport, step: int) -> None:
    counts = report.confusion.astype(np.float64)
    asked = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, asked, out=np.zeros_like(counts), where=asked > 0)
    try:
        writer.add_image("val/confusion", _picture(shares, report.class_names), step, dataformats="HWC")
    except MissingExtraError:
        writer.add_text("val/confusion", _table(shares, report.class_names), step)


def _picture(shares: NDArray[np.float64], classes: list[str]) -> NDArray[np.uint8]:
    """A confusion matrix as an image ``(height, width, 3)``, drawn without a window and without global state."""
    figure_type = import_extra("matplotlib.figure", extra="plots").Figure
    canvas_type = import_extra("matplotlib.backends.backend_agg", extra="plots").FigureCanvasAgg
    side = float(np.clip(0.5 * len(classes), 3, 10))
    figure = figure_type(figsize=(side + 1.5, side + 1), dpi=100, layout="constrained")
    canvas = canvas_type(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("answer")
    axes.set_ylabel("true class")
    if len(classes) <= _MAX_CLASSES_WITH_TEXT:
        for (row, column), share in np.ndenumerate(shares):
            color = "white" if share > 0.6 else "black"
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", fontsize=8, color=color)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _table(shares: NDArray[np.float64], classes: list[str]) -> str:
    """The same in Markdown."""
    names = [name.replace("|", "/") for name in classes]
    lines = ["| true class \\ answer | " + " | ".join(names) + " |", "|" + " --- |" * (len(names) + 1)]
    lines += [
        f"| {name} | " + " | ".join(f"{share:.2f}" for share in row) + " |"
        for name, row in zip(names, shares, strict=True)
    ]
    return "\n".join(lines)


def _spread_over_classes(targets: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """At most ``n`` indices, spread evenly, so that every class has its share."""
    order = np.argsort(targets, kind="stable")
    return order if len(order) <= n else order[np.linspace(0, len(order) - 1, n).round().astype(np.int64)]


def _labels(
    part: ClassConditionalDataset, source: ClassConditionalDataset, chosen: NDArray[np.int64]
) -> list[list[str]]:
    """Class, group and name of clips, as one line each of a table can hold them."""
    rows = []
    for i in chosen.tolist():
        group = "" if part.groups is None else str(part.groups[i])
        name = source.item_name(part._origin(i))  # features remember no files, what they were made of does
        rows.append([" ".join(text.split()) for text in (part.classes[part.targets[i]], group, name)])
    return rows


def _thumbnail(part: ClassConditionalDataset, index: int) -> Tensor:
    """A clip's spectrogram in grey, low notes at the bottom, ``(3, side, side)`` in [0, 1]."""
    features = part.read(index, 0, part.length).float()
    small = torch.nn.functional.interpolate(features[None, None], size=(_THUMBNAIL, _THUMBNAIL), mode="area")[0]
    low, high = small.min(), small.max()
    return ((small - low) / (high - low).clamp(min=1e-6)).flip(1).expand(3, -1, -1)
