"""The Lightning data module: class-disjoint parts of a data set, as episodes and as clips."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor
from torch.utils.data import DataLoader

from musicfsl.augment import VirtualInstruments
from musicfsl.backbones.base import Encoder
from musicfsl.datasets.base import ClassConditionalDataset, Subset
from musicfsl.embedding import Window
from musicfsl.episodes import Episode, EpisodeDataset
from musicfsl.errors import InputError
from musicfsl.evaluation import EpisodeReport
from musicfsl.heads import Head
from musicfsl.taxonomy import Taxonomy
from musicfsl.training._class_splits import STAGES, NamedClasses, Stage, split_by_seed, without_small_classes
from musicfsl.training._evaluation import Evaluation, clip_loader, episode_loader, whitening_clips
from musicfsl.training._features import open_source, stored_features
from musicfsl.training._weights import is_frozen
from musicfsl.training.embeddings import one_process_first, stored_embeddings
from musicfsl.training.loading import EpisodeLoader, ResumableData, ResumableLoader, Share

__all__ = ["EpisodicData", "Stage"]

# Every epoch sees new episodes, so the training stream has no end that anyone reaches.
_ENDLESS = 2**62

# Arguments that decide neither the classes (these are looked at by name) nor the episodes.
_NO_SETTINGS = {"dataset", "partition", "taxonomy", "num_workers", "cache_dir"} | {f"{name}_classes" for name in STAGES}


class EpisodicData(ResumableData):
    """Episodes of training classes; clips of validation and of test classes, which are others.

    The features of all clips are computed once and stored (see `FeatureStore`), with the front end of the
    encoder that is trained. Where no weight of the encoder is trained, so are the embeddings
    (`musicfsl.training.embeddings`), and all loaders give these; of a clip longer than ``duration`` one of at most
    ``max_windows`` windows then takes part in an episode. Virtual instruments (``augment``) change what the encoder
    hears, so that training episodes with them are embedded each time all the same.

    Args:
        dataset: a name (``musicfsl data list``), a folder with one sub-folder a class, or a data set of waves or of
            stored features.
        train_classes: classes to train on; None splits all classes by ``sizes`` and ``split_seed``.
        val_classes: classes for validation, named together with ``train_classes``.
        test_classes: classes for the test; None or empty for none.
        partition: what names them instead: a split that comes with the data set, such as "few-shot" of Speech Commands
            (`musicfsl.class_splits`), or a file of ``musicfsl partition`` with parts ``train``, ``val``, and perhaps
            ``test``. Where a split that comes with the data set tests classes that it trains on, reports say so.
        sizes: parts of the classes for training, validation and (optionally) test, where none are named.
        split_seed: of that split.
        split_depth: split the classes under each node of ``taxonomy`` at this depth by themselves (1 are the nodes
            below the root), so that siblings stand on both sides (`musicfsl.partition`); None splits all together.
        leave_out_small: before that split, leave out the classes that have too few clips for the episodes, with a
            warning that names them, instead of refusing the data set.
        n_way: ways of a training episode. With ``augment`` there may be more than training classes.
        n_support: shots of a training episode.
        n_query: queries a class of a training episode.
        episodes_per_epoch: training episodes an epoch, over all processes.
        episodes_per_step: training episodes a step and process.
        eval_n_way: ways for validation and test; None is 5, or all classes of a part that has fewer.
        eval_n_support: shots for validation and test.
        eval_n_query: queries a class for validation and test.
        eval_episodes: episodes for validation and test, at least 2.
        duration: seconds that the network sees of a clip at a time.
        max_windows: windows of a clip whose embeddings are averaged for validation and test.
        augment: make virtual instruments of the training classes (`musicfsl.augment.VirtualInstruments`).
        split_groups: keep recordings (players, songs) apart between support and query.
        groups_apart: where they are kept apart: in each ``"class"``, or in the whole ``"episode"``, which matters where
            classes share groups, as words share speakers (see `EpisodeSampler`).
        trim_db: silence at both ends of a clip is cut, below so many decibels under its loudest part; None keeps it.
        seed: of the episodes.
        taxonomy: a tree over the class names, by which reports say how bad mistakes are: a `Taxonomy`, the name of a
            shipped one, a YAML file, or nested mappings; None for none. It decides nothing else but, with
            ``split_depth``, the split.
        num_workers: processes that prepare episodes.
        cache_dir: folder for stored features; None is the usual place.

    Raises:
        InputError: the parts share a class or have too few, or a number is out of range.

    Example:
        >>> data = EpisodicData("synthetic", n_way=5, n_support=5, n_query=10, augment=False)
        >>> trainer.fit(learner, datamodule=data)  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: str | ClassConditionalDataset = "synthetic",
        train_classes: Sequence[str] | None = None,
        val_classes: Sequence[str] | None = None,
        test_classes: Sequence[str] | None = None,
        partition: str | None = None,
        sizes: Sequence[float] = (0.6, 0.2, 0.2),
        split_seed: int = 0,
        split_depth: int | None = None,
        leave_out_small: bool = False,
        n_way: int = 20,
        n_support: int = 3,
        n_query: int = 3,
        episodes_per_epoch: int = 50,
        episodes_per_step: int = 1,
        eval_n_way: int | None = None,
        eval_n_support: int = 5,
        eval_n_query: int = 15,
        eval_episodes: int = 1000,
        duration: float = 1.0,
        max_windows: int = 5,
        augment: bool = True,
        split_groups: bool = True,
        groups_apart: Literal["class", "episode"] = "class",
        trim_db: float | None = 60.0,
        seed: int = 0,
        taxonomy: Taxonomy | str | dict[str, Any] | None = None,
        num_workers: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("episodes_per_epoch", episodes_per_epoch), ("episodes_per_step", episodes_per_step)):
            if value < 1:
                raise InputError(f"{name} is {value}; expected 1 or more")
        if duration <= 0:
            raise InputError(f"duration is {duration}; expected a positive number of seconds")
        self._chosen = NamedClasses(dataset, train_classes, val_classes, test_classes, partition)
        self.source = dataset
        self.sizes, self.split_seed, self.split_depth = tuple(sizes), split_seed, split_depth
        self.leave_out_small, self.left_out = leave_out_small, list[str]()
        self.n_way, self.n_support, self.n_query = n_way, n_support, n_query
        self.episodes_per_epoch, self.episodes_per_step = episodes_per_epoch, episodes_per_step
        self.eval_n_way, self.eval_n_support, self.eval_n_query = eval_n_way, eval_n_support, eval_n_query
        self.eval_episodes = eval_episodes
        self.duration, self.max_windows = duration, max_windows
        self.augment, self.trim_db = augment, trim_db
        self.split_groups, self.groups_apart = split_groups, groups_apart
        self.taxonomy = None if taxonomy is None else Taxonomy.load(taxonomy)
        self.seed, self.num_workers, self.cache_dir = seed, num_workers, cache_dir
        self._parts: dict[Stage, Subset] = {}
        self._all: ClassConditionalDataset | None = None
        #: The stages whose loaders give stored embeddings ``(dim, 1)`` instead of features.
        self.embedded: set[Stage] = set()

    @property
    def train_classes(self) -> list[str]:
        """Names of the training classes, once the data is set up."""
        return self.part("train").classes

    def part(self, stage: Stage) -> Subset:
        """The features of a stage's classes.

        Raises:
            InputError: the data is not set up, or the stage has no classes.
        """
        if stage not in self._parts:
            raise InputError(f"there are no classes for '{stage}'; name {stage}_classes, or give it a part in sizes")
        return self._parts[stage]

    @property
    def parts(self) -> list[Stage]:
        """The stages that have classes, once the data is set up."""
        return list(self._parts)

    def settings(self) -> dict[str, Any]:
        """All that decides the classes and the episodes except the data set itself, as JSON can hold it."""
        names = inspect.signature(EpisodicData).parameters.keys() - _NO_SETTINGS
        tree = self.taxonomy if self.split_depth is not None else None
        return {
            "classes": self._chosen.classes,
            "split_taxonomy": None if tree is None else tree.to_dict(),
            **self._chosen.describe(),
            **{name: getattr(self, name) for name in sorted(names)},
        }

    def prepare_data(self) -> None:
        """Computes and stores the features (Lightning calls this in one process only)."""
        self._features()

    def setup(self, stage: str | None = None) -> None:
        """Opens the stored features, divides the classes, and checks that the episodes are possible."""
        if self._parts:
            return
        features = self._features()
        self._classes_of = self._chosen.classes or self._split(features)
        self._all, self._parts = features, self._chosen.divide(features, self._classes_of)
        self._episodes(self.part("train"))
        for part in STAGES[1:]:
            if part in self._parts:
                self._evaluation().check(self.part(part))

    def setup_for(self, encoder: Encoder) -> None:
        """Does what `setup` does where no trainer runs: `part` and `evaluate` then work for this encoder."""
        self._standalone = encoder
        self.setup()

    def train_dataloader(self) -> ResumableLoader:
        share = Share(self.episodes_per_epoch, *self._process(), fresh=True)
        episodes = self._episodes(self._given("train"))
        return self._resuming(EpisodeLoader(episodes, share, self.episodes_per_step, self.num_workers))

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Clips of the validation classes and, where whitening is fitted, clips to fit it to; or episodes."""
        if self._on_episodes():
            return [self._evaluation_loader("val")]
        loaders = [self._clips(self._given("val"))]
        if getattr(self._learner(), "fits_whitening", self._encoder().whitening is not None):
            loaders.append(self._clips(whitening_clips(self._given("train", "val"))))
        return loaders

    def test_dataloader(self) -> DataLoader[Any]:
        return self._evaluation_loader("test") if self._on_episodes() else self._clips(self._given("test"))

    def whitening_part(self) -> ClassConditionalDataset:
        """Training clips that say how clips of one class differ: recordings, where there are any, and no copies.

        A few hundred, spread over all classes, are enough, and are embedded before each validation.
        """
        return whitening_clips(self.part("train"))

    def evaluate(self, stage: Stage, embeddings: Tensor, head: Head) -> EpisodeReport:
        """Runs the episodes of a stage on the embeddings of its clips ``(N, dim)``."""
        report = self._evaluation().run(self.part(stage), embeddings, head, self._evaluation_seed(stage))
        return replace(report, trained_on=self.trained_on(stage))

    def evaluation_episodes(self, stage: Stage) -> EpisodeDataset:
        """The same episodes as `evaluate` takes, of clips instead of embeddings; of each clip one window."""
        return self._evaluation().episodes(self.part(stage), self._evaluation_seed(stage))

    def trained_on(self, stage: Stage) -> list[str]:
        """The classes of a stage that training has seen, where a split that comes with the data set has such."""
        return self._chosen.trained_on(stage)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint's card says of the data."""
        parts = {f"{stage}_classes": part.classes for stage, part in self._parts.items()}
        train = self.part("train")
        left_out = {"left_out_classes": self.left_out} if self.left_out else {}
        about = {"name": train.name, "is_synthetic": train.is_synthetic, "n_clips": len(train)}
        return {**about, **self._chosen.describe(), **parts, **left_out}

    def _on_episodes(self) -> bool:
        """Whether what is trained adapts to the sounds of each episode, so that embeddings will not do."""
        return bool(getattr(self._learner(), "evaluates_on_episodes", False))

    def _features(self) -> ClassConditionalDataset:
        """All features, cut to the duration that the network sees."""
        encoder = self._encoder()
        source = self._chosen.clips(open_source(self.source, encoder))
        return stored_features(source, encoder, self.duration, self.trim_db, self.seed, self.cache_dir)

    def _given(self, part: Stage, stage: Stage | None = None) -> Subset:
        """The clips of a part as a stage's loaders give them (its own by default): features or embeddings."""
        features, encoder, stage = self.part(part), self._encoder(), stage or part
        self.embedded.discard(stage)
        if self._all is None or not is_frozen(encoder) or (stage == "train" and self.augment):
            return features
        self.embedded.add(stage)
        with one_process_first(self.trainer):
            embeddings = stored_embeddings(self._all, encoder, self.max_windows, self.cache_dir)
        return self._chosen.divide(embeddings, self._classes_of)[part]

    def _split(self, features: ClassConditionalDataset) -> dict[Stage, list[str]]:
        classes = features.classes
        if self.leave_out_small:
            n_support, n_query = max(self.n_support, self.eval_n_support), max(self.n_query, self.eval_n_query)
            classes, self.left_out = without_small_classes(features, n_support, n_query, self.split_groups)
        return split_by_seed(features.name, classes, self.sizes, self.split_seed, self.taxonomy, self.split_depth)

    def _episodes(self, train: Subset) -> EpisodeDataset:
        return EpisodeDataset(
            train,
            self.n_way,
            self.n_support,
            self.n_query,
            n_episodes=_ENDLESS,
            seed=self.seed,
            split_groups=self.split_groups,
            class_augment=VirtualInstruments.for_front_end(self._encoder().front_end) if self.augment else None,
            groups_apart=self.groups_apart,
        )

    def _clips(self, part: ClassConditionalDataset) -> DataLoader[Window]:
        return clip_loader(part, self.max_windows, self._process(), self.num_workers)

    def _evaluation(self) -> Evaluation:
        numbers = (self.eval_n_way, self.eval_n_support, self.eval_n_query, self.eval_episodes)
        return Evaluation(*numbers, self.split_groups, self.taxonomy, self.groups_apart)

    def _evaluation_seed(self, stage: Stage) -> int:
        """Another stream of episodes than the training's, the same in every epoch."""
        return self.seed + STAGES.index(stage)

    def _evaluation_loader(self, stage: Stage) -> DataLoader[Episode]:
        return episode_loader(self.evaluation_episodes(stage), self._process(), self.num_workers)
