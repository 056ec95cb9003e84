"""The Lightning data module of multi-label recognition: labelled excerpts for training, validation and test."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from torch import Generator
from torch.utils.data import DataLoader

from musicfsl.backbones.base import Encoder
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import Window, window_length
from musicfsl.errors import InputError
from musicfsl.tagging.windows import TagWindows
from musicfsl.training._features import stored_features
from musicfsl.training.loading import ResumableData, ResumableLoader, Share
from musicfsl.training.tagging.batches import TagBatches, multi_hot
from musicfsl.training.tagging.parts import (
    SUBSETS,
    Stage,
    check_parts,
    comes_in_subsets,
    groups_set_aside,
    warn_of_missing_classes,
)

__all__ = ["TaggingData"]

# Arguments that decide nothing but where data comes from (the data sets' fingerprints speak of it) and how quickly.
_NO_SETTINGS = {"dataset", "validation", "testing", "dataset_settings", "eval_batch_size", "num_workers", "cache_dir"}


class TaggingData(ResumableData):
    """Excerpts with any number of labels: training ones in batches, the others as windows that cover them.

    Features are computed once and stored (see `FeatureStore`), with the front end of the encoder that is trained.
    Silence at the ends of an excerpt stays: it is part of the music.

    Args:
        dataset: a name whose data comes in the subsets training, validation and testing (``"synthetic_mixtures"``,
            ``"irmas"``); or another name, a folder, or a data set, for training.
        validation: excerpts for validation; None takes the subset, or sets a share of the training excerpts aside.
        testing: excerpts for the test; None takes the subset, or leaves the test out.
        dataset_settings: further arguments of the named data set, such as ``{"n_training": 400}``.
        validation_share: of the training excerpts, where nothing else is there for validation: whole groups (songs),
            where groups are known, so that excerpts of a song are never on both sides.
        batch_size: excerpts a step and process, at most.
        eval_batch_size: windows at a time in validation and test.
        duration: seconds that the network sees at a time.
        hop: seconds between the starts of windows in validation and test; None is half a window.
        seed: of the order of excerpts, of the places where longer ones are cut, and of the share set aside.
        num_workers: processes that prepare batches.
        cache_dir: folder for stored features; None is the usual place.

    Raises:
        InputError: the parts have different classes, one of them is empty, or a number is out of range.

    Example:
        >>> data = TaggingData("synthetic_mixtures", batch_size=16)
        >>> trainer.fit(learner, datamodule=data)  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: str | ClassConditionalDataset = "synthetic_mixtures",
        validation: str | ClassConditionalDataset | None = None,
        testing: str | ClassConditionalDataset | None = None,
        dataset_settings: dict[str, Any] | None = None,
        validation_share: float = 0.2,
        batch_size: int = 16,
        eval_batch_size: int = 32,
        duration: float = 3.0,
        hop: float | None = None,
        seed: int = 0,
        num_workers: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or eval_batch_size < 1:
            raise InputError(f"batch_size is {batch_size} and eval_batch_size {eval_batch_size}; expected 1 or more")
        if not duration > 0 or (hop is not None and not 0 < hop <= duration):
            raise InputError(
                f"duration is {duration} and hop {hop}; expected a positive number of seconds, and a hop of at most as "
                "many"
            )
        if not 0 < validation_share < 1:
            raise InputError(f"validation_share is {validation_share}; expected a share between 0 and 1")
        self.sources: dict[Stage, str | ClassConditionalDataset | None] = {
            "train": dataset,
            "val": validation,
            "test": testing,
        }
        self.dataset_settings = dict(dataset_settings or {})
        self.validation_share = validation_share
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.duration, self.hop = duration, hop
        self.seed, self.num_workers, self.cache_dir = seed, num_workers, cache_dir
        self._opened: dict[Stage, ClassConditionalDataset] = {}
        self._parts: dict[Stage, ClassConditionalDataset] = {}

    @property
    def classes(self) -> list[str]:
        """Names of the classes, once the data is set up."""
        return list(self.part("train").classes)

    @property
    def parts(self) -> list[Stage]:
        """The stages that have excerpts, once the data is set up."""
        return list(self._parts)

    def part(self, stage: Stage) -> ClassConditionalDataset:
        """The features of a stage's excerpts; those of training cut to the duration, others whole.

        Raises:
            InputError: the data is not set up, or the stage has no excerpts.
        """
        if stage not in self._parts:
            raise InputError(
                f"there are no excerpts for '{stage}'; "
                + ("give a data set for it" if self._parts else "fit a learner to the data, or call setup_for(encoder)")
            )
        return self._parts[stage]

    def settings(self) -> dict[str, Any]:
        """All that decides batches and windows except the data sets themselves, as JSON can hold it."""
        names = inspect.signature(TaggingData).parameters.keys() - _NO_SETTINGS
        return {name: getattr(self, name) for name in sorted(names)}

    def describe(self) -> dict[str, Any]:
        """What a checkpoint's card says of the data."""
        train = self.part("train")
        return {
            "name": train.name,
            "is_synthetic": train.is_synthetic,
            "fingerprints": {stage: part.fingerprint() for stage, part in self._parts.items()},
            "n_excerpts": {stage: len(part) for stage, part in self._parts.items()},
            **self.settings(),
        }

    def prepare_data(self) -> None:
        """Computes and stores the features (Lightning calls this in one process only)."""
        self._features()

    def setup(self, stage: str | None = None) -> None:
        """Opens the stored features, sets validation excerpts aside where needed, and checks that the parts fit."""
        if self._parts and self._parts["train"].front_end_settings == self._settings_of_front_end():
            return
        features = self._features()
        if "val" not in features:
            features["train"], features["val"] = self._divided(features["train"])
        check_parts(features)
        # Windows of validation and test cut for themselves.
        self._parts = {stage: part if stage == "train" else part.with_length(None) for stage, part in features.items()}
        warn_of_missing_classes(self._parts)

    def setup_for(self, encoder: Encoder) -> None:
        """Does what `setup` does where no trainer runs: the parts are then there for this encoder."""
        self.trainer = None  # a training that went before no longer says which encoder it is
        self._standalone = encoder
        self.setup()

    def train_dataloader(self) -> ResumableLoader:
        batches = TagBatches(self.part("train"), self.batch_size, self.seed)
        processes = self._process()
        share = Share(max(processes[0], batches.batches_per_epoch), *processes, fresh=True)
        return self._resuming(ResumableLoader(batches, share, num_workers=self.num_workers))

    def val_dataloader(self) -> DataLoader[Window]:
        return self._windows("val")

    def test_dataloader(self) -> DataLoader[Window]:
        return self._windows("test")

    def fingerprints(self, encoder: Encoder) -> dict[str, str]:
        """What the data sets are, before any feature is computed."""
        return {stage: source.fingerprint() for stage, source in self._sources(encoder).items()}

    def _windows(self, stage: Stage) -> DataLoader[Window]:
        part, encoder = self.part(stage), self._encoder()
        hop = None if self.hop is None else max(1, round(self.hop * encoder.sample_rate / encoder.front_end.hop_length))
        length = window_length(encoder, part, self.duration)
        windows = TagWindows(part, length, None if hop is None else min(hop, length))
        return DataLoader(
            windows,
            batch_size=self.eval_batch_size,
            sampler=Share(len(windows), *self._process()),
            num_workers=self.num_workers,
            generator=Generator(),  # else it would take a number from the global random state
        )

    def _features(self) -> dict[Stage, ClassConditionalDataset]:
        encoder = self._encoder()
        return {
            stage: stored_features(source, encoder, self.duration, None, self.seed, self.cache_dir)
            for stage, source in self._sources(encoder).items()
        }

    def _sources(self, encoder: Encoder) -> dict[Stage, ClassConditionalDataset]:
        """The data sets of each stage that has one of its own."""
        if self._opened.get("train") is None or self._opened["train"].sample_rate != encoder.sample_rate:
            given = self.sources
            named = given["train"]
            opened: dict[Stage, ClassConditionalDataset] = {}
            for stage, source in given.items():
                if isinstance(source, ClassConditionalDataset):
                    opened[stage] = source
                elif isinstance(named, str) and source in (None, named) and comes_in_subsets(named):
                    opened[stage] = self._open(named, encoder, subset=SUBSETS[stage])
                elif source is not None:
                    opened[stage] = self._open(source, encoder)
            self._opened = opened
        return self._opened

    def _open(self, name: str, encoder: Encoder, **settings: Any) -> ClassConditionalDataset:
        from musicfsl.datasets import open_dataset

        return open_dataset(name, sample_rate=encoder.sample_rate, duration=None, **self.dataset_settings, **settings)

    def _divided(self, clips: ClassConditionalDataset) -> tuple[ClassConditionalDataset, ClassConditionalDataset]:
        """Training and validation excerpts of one data set, by group where groups are known."""
        groups = np.arange(len(clips)) if clips.groups is None else clips.groups
        held_out = groups_set_aside(groups, multi_hot(clips), self.validation_share, self.seed)
        if held_out.all() or not held_out.any():
            raise InputError(
                f"the excerpts of {clips.name} cannot be divided by song for training and validation; give more songs, "
                "or a data set for validation"
            )
        return clips.subset(indices=np.flatnonzero(~held_out)), clips.subset(indices=np.flatnonzero(held_out))

    def _settings_of_front_end(self) -> dict[str, Any]:
        return self._encoder().front_end.settings()
