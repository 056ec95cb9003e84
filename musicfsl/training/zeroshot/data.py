"""The Lightning data module of zero-shot learning: clips of seen classes, divided three ways, and unseen classes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from musicfsl.backbones.base import Encoder
from musicfsl.datasets.base import ClassConditionalDataset, Subset
from musicfsl.embedding import ClipWindows, Window, check_fits, embed_dataset
from musicfsl.errors import InputError
from musicfsl.training._features import open_source, stored_features
from musicfsl.training._weights import weights_hash
from musicfsl.training.loading import Share
from musicfsl.training.zeroshot.clips import ClipBatch, ClipBatches, EmbeddedClips
from musicfsl.training.zeroshot.parts import Division, HeldOut, Part, choose_split, choose_val_classes, divide_clips
from musicfsl.training.zeroshot.use import similarities
from musicfsl.zeroshot.evaluation import evaluate_zeroshot
from musicfsl.zeroshot.open import open_side_information
from musicfsl.zeroshot.projection import ZeroShotModel
from musicfsl.zeroshot.reports import ZeroShotReport
from musicfsl.zeroshot.side_information import SideInformation
from musicfsl.zeroshot.splits import ClassSplit, named_split

__all__ = ["ZeroShotData"]

_CLIPS_PER_BATCH = 64

_NO_SETTINGS = {"dataset", "side", "split", "unseen", "n_unseen", "split_seed", "val_classes", "num_workers",
                "cache_dir"}  # fmt: skip


class ZeroShotData(pl.LightningDataModule):
    """Clips of seen classes for training, clips and whole classes for validation, and unseen classes for the test.

    Clips of seen classes are divided three ways, by group where groups are known: for the test, for validation, for
    training. Of the seen classes, some are set aside for validation as well (``val_classes``): they play the unseen
    ones, so that early stopping and calibration see what recognising new classes needs, and no clip of a class that is
    unseen in the test is looked at before it. Once the number of epochs is found, `for_refit` gives the data to train
    on all seen classes.

    Args:
        dataset: a name (``musicfsl data list``), a folder with one sub-folder a class, or a data set of waves or of
            stored features.
        side: side information, or a text for `open_side_information`.
        split: a `ClassSplit`, or the name of one (``"tinysol-words"``); None takes ``unseen`` or ``n_unseen``.
        unseen: names of the unseen classes, all others being seen.
        n_unseen: how many are unseen, chosen by ``split_seed``; None is a fifth.
        split_seed: of that choice.
        val_classes: seen classes that play unseen ones in validation, by name or number (0 for none); None is a fifth,
            and none where there are fewer than 6 seen classes.
        test_share: of the clips of seen classes, where the split names no folds.
        val_share: of the remaining clips of seen classes.
        batch_size: clips a step and process; every class comes equally often.
        duration: seconds that the network sees of a clip at a time.
        max_windows: windows of a clip whose embeddings are averaged.
        split_groups: keep players and songs apart between training, validation and test.
        trim_db: silence at both ends of a clip is cut, below so many decibels under its loudest part; None keeps it.
        seed: of the division of clips and of the batches.
        num_workers: processes that prepare batches.
        cache_dir: folder for stored features; None is the usual place.

    Raises:
        InputError: a class is seen and unseen (also under another name), an unseen class is to serve validation, a
            class has too few clips, or a number is out of range.

    Example:
        >>> data = ZeroShotData("synthetic", side="attributes", n_unseen=10, split_seed=0)
        >>> trainer.fit(learner, datamodule=data)  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: str | ClassConditionalDataset = "synthetic",
        side: str | SideInformation = "attributes",
        split: str | ClassSplit | None = None,
        unseen: Sequence[str] | None = None,
        n_unseen: int | None = None,
        split_seed: int = 0,
        val_classes: Sequence[str] | int | None = None,
        test_share: float = 0.2,
        val_share: float = 0.2,
        batch_size: int = 64,
        duration: float = 1.0,
        max_windows: int = 5,
        split_groups: bool = True,
        trim_db: float | None = 60.0,
        seed: int = 0,
        num_workers: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__()
        if sum(choice is not None for choice in (split, unseen, n_unseen)) > 1:
            raise InputError("split, unseen and n_unseen each choose the unseen classes; give one of them")
        if duration <= 0:
            raise InputError(f"duration is {duration}; expected a positive number of seconds")
        if isinstance(unseen, str) or isinstance(val_classes, str):
            raise InputError("unseen and val_classes are lists of class names; expected no single text")
        self.source = dataset
        self.side = open_side_information(side) if isinstance(side, str) else side
        self.test_share, self.val_share, self.batch_size = test_share, val_share, batch_size
        self.duration, self.max_windows = duration, max_windows
        self.split_groups, self.trim_db = split_groups, trim_db
        self.seed, self.num_workers, self.cache_dir = seed, num_workers, cache_dir
        self._asked_split = named_split(split) if isinstance(split, str) else split
        self._asked_unseen, self._n_unseen, self._split_seed = unseen, n_unseen, split_seed
        self._asked_val_classes = val_classes
        self._clips: Subset | None = None
        self._division: Division | None = None
        self._embeddings: Tensor | None = None
        self._embedded_by = ""
        self._standalone: tuple[Encoder, bool] | None = None

    @property
    def split(self) -> ClassSplit:
        """Seen and unseen classes, once the data is set up."""
        return self._divided().split

    @property
    def val_classes(self) -> list[str]:
        """Seen classes that play unseen ones in validation; none in a refit."""
        return self._divided().pretended

    @property
    def train_classes(self) -> list[str]:
        """Classes whose clips are trained on: the seen ones but those set aside for validation."""
        return self._divided().classes("train")

    def part(self, part: Part) -> Subset:
        """The clips of a part.

        ``train`` has the training classes; ``val`` these and the classes set aside; ``test`` the held-out clips of all
        seen classes and all clips of the unseen ones.
        """
        division = self._divided()
        return self._all().subset(classes=division.classes(part), indices=division.clips(part))

    def side_vectors(self, classes: Sequence[str]) -> Tensor:
        """Side vectors ``(C, side_dim)`` of classes, from the side information alone."""
        return torch.from_numpy(self.side(list(classes)))

    def for_refit(self) -> ZeroShotData:
        """The same data with nothing set aside but the test: training on all seen classes."""
        again = copy.copy(self)
        again.trainer = None
        again._division = replace(self._divided(), refit=True)
        return again

    def settings(self) -> dict[str, Any]:
        """All that decides the parts except the data set and the side information, as JSON can hold it."""
        names = inspect.signature(ZeroShotData).parameters.keys() - _NO_SETTINGS
        return {
            **{name: getattr(self, name) for name in sorted(names)},
            "split": self.split.to_dict(),
            "val_classes": self._divided().val_classes,
        }

    def describe(self) -> dict[str, Any]:
        """What a checkpoint's card says of the data."""
        clips = self._all()
        return {
            "name": clips.name,
            "is_synthetic": clips.is_synthetic,
            "n_clips": len(clips),
            "fingerprint": clips.dataset.fingerprint(),
        }

    def prepare_data(self) -> None:
        """Computes and stores the features (Lightning calls this in one process only)."""
        self._features()

    def setup(self, stage: str | None = None) -> None:
        """Opens the stored features, divides classes and clips, and embeds the clips where the encoder is frozen."""
        encoder, trains = self._encoder()
        if self._clips is None:
            self._divide(*self._features())
        check_fits(encoder, self._all())  # where the data was set up for another encoder before
        if not trains and self._embedded_by != (weights := weights_hash(encoder)):
            self._embeddings, self._embedded_by = self.embed(encoder, self._all()), weights

    def setup_for(self, encoder: Encoder, train_encoder: bool = False) -> None:
        """Does what `setup` does where no trainer runs: the parts and `evaluate` then work for this encoder."""
        self.trainer = None  # a training that went before no longer says which encoder it is
        self._standalone = (encoder, train_encoder)
        self.setup()

    def train_dataloader(self) -> DataLoader[ClipBatch]:
        clips = self.part("train")
        batches = ClipBatches(clips, self._stored("train"), self.batch_size, self.seed)
        processes = self._process()
        n = max(processes[0], -(-len(clips) // self.batch_size))
        return self._loader(batches, Share(n, *processes, fresh=True), batch_size=None)

    def val_dataloader(self) -> DataLoader[Window] | list[DataLoader[Window]]:
        """Validation clips; none in a refit, which has nothing left to choose."""
        if self._divided().refit:
            return []
        windows = self._windows("val")
        return self._loader(windows, Share(len(windows), *self._process()), _CLIPS_PER_BATCH)  # type: ignore[arg-type]

    def embeddings(self, part: Part, encoder: nn.Module) -> Tensor | None:
        """Embeddings ``(N, dim)`` of a part's clips, where this encoder, as it is now, has computed them before."""
        if self._embeddings is None or self._embedded_by != weights_hash(encoder):
            return None
        return self._embeddings[self._divided().clips(part)]

    def embed(self, encoder: Encoder, clips: ClassConditionalDataset) -> Tensor:
        """Embeddings ``(N, dim)`` of clips, with this module's windows."""
        return embed_dataset(encoder, clips, self.duration, self.max_windows)

    def scores(self, model: ZeroShotModel, part: Part, side: SideInformation | None = None) -> NDArray[np.float64]:
        """Cosines ``(N, C)`` of a part's clips and the vectors of all its classes, which come from side information.

        Args:
            model: is used in evaluation mode on the CPU.
            part: whose clips and classes.
            side: side information to use instead of the data's own.
        """
        model.eval().cpu()
        z = self.embeddings(part, model.encoder)
        if z is None:
            z = self.embed(model.encoder, self.part(part))  # type: ignore[arg-type]
        return similarities(model, z, self._divided().classes(part), self.side if side is None else side)

    def evaluate(
        self,
        model: ZeroShotModel,
        calibration: float | None = None,
        n_bootstrap: int = 1000,
        side: SideInformation | None = None,
    ) -> ZeroShotReport:
        """Measures a model on the test part (see `musicfsl.zeroshot.evaluate_zeroshot`).

        Args:
            model: trained on this data's training part, or none of its clips.
            calibration: as found on the validation part.
            n_bootstrap: samples for the intervals.
            side: side information to use instead of the data's own.
        """
        test = self.part("test")
        used = self.side if side is None else side
        return evaluate_zeroshot(
            self.scores(model, "test", side),
            test.targets,
            test.classes,
            self.split.unseen,
            groups=test.groups if self.split_groups else None,
            calibration=calibration,
            n_bootstrap=n_bootstrap,
            is_synthetic=test.is_synthetic,
            side_information=used.kind,
        )

    def _divide(self, features: ClassConditionalDataset, folds: NDArray[np.int64] | None) -> None:
        """Decides which classes and clips are for what."""
        if self._asked_unseen is not None:
            features.subset(classes=self._asked_unseen)  # tells of a name that is unknown or given twice
        split = choose_split(features.classes, self._asked_split, self._asked_unseen, self._n_unseen, self._split_seed)
        val_classes = choose_val_classes(split, self._asked_val_classes, self.seed)
        clips = features.subset(classes=split.classes)
        self.side(split.classes)  # an unknown name is told before anything is computed
        n_seen = len(split.seen)
        seen = np.flatnonzero(clips.targets < n_seen)  # the seen classes come first
        held_out = divide_clips(
            clips.targets[seen],
            clips.groups[seen] if clips.groups is not None and self.split_groups else None,
            None if folds is None else folds[clips.indices][seen],
            split,
            self.test_share,
            self.val_share,
            self.seed,
        )
        among_all = HeldOut(np.zeros(len(clips), dtype=bool), np.zeros(len(clips), dtype=bool))
        among_all.test[seen], among_all.val[seen] = held_out.test, held_out.val
        self._clips = clips
        self._division = Division(split, val_classes, clips.targets, among_all, is_copy=clips.is_copy)

    def _stored(self, part: Part) -> Tensor | None:
        """Embeddings of a part's clips where the encoder is frozen."""
        encoder, trains = self._encoder()
        return None if trains else self.embeddings(part, encoder)

    def _windows(self, part: Part) -> Dataset[Window]:
        z = self._stored(part)
        if z is not None:
            return EmbeddedClips(z)
        clips = self.part(part)
        return ClipWindows(clips, int(clips.length or 0), self.max_windows)

    def _loader(self, items: Dataset[Any], share: Share, batch_size: int | None) -> DataLoader[Any]:
        return DataLoader(
            items,
            batch_size=batch_size,
            sampler=share,
            num_workers=self.num_workers,
            generator=torch.Generator(),  # else it would take a number from the global random state
        )

    def _features(self) -> tuple[ClassConditionalDataset, NDArray[np.int64] | None]:
        """Features of all clips, and the fold of every clip where the data set has folds."""
        encoder, _ = self._encoder()
        source = open_source(self.source, encoder)
        features = stored_features(source, encoder, self.duration, self.trim_db, self.seed, self.cache_dir)
        return features, getattr(source, "fold", None)

    def _encoder(self) -> tuple[Encoder, bool]:
        """The encoder, and whether it is trained."""
        module = None if self.trainer is None else self.trainer.lightning_module
        model = getattr(module, "model", None)
        found = self._standalone
        if isinstance(model, ZeroShotModel) and isinstance(model.encoder, Encoder):
            found = (model.encoder, bool(getattr(module, "train_encoder", True)))
        if found is None:
            raise InputError(
                "ZeroShotData takes its front end from the learner's encoder, one of musicfsl.backbones; call "
                "trainer.fit(learner, datamodule=...), or setup_for(encoder) where nothing is trained"
            )
        return found

    def _all(self) -> Subset:
        self._divided()
        assert self._clips is not None
        return self._clips

    def _divided(self) -> Division:
        if self._division is None:
            raise InputError("the data is not set up; fit a learner to it, or call setup_for(encoder)")
        return self._division

    def _process(self) -> tuple[int, int]:
        """Number of processes, and which one this is."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer is not None else (1, 0)
