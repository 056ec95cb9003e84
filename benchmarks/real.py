"""Few-shot accuracy on your own recordings: what training on sounds made by rules, on recordings, and on both is worth.

    python -m benchmarks.real FOLDER

The folder has one sub-folder a class. Its classes, sorted by name, are cut in two halves; each half is the test
once, and no clip or label of it is used before: not in training, not in whitening, not to choose among checkpoints
(the number of steps is fixed beforehand). All lines of a half are measured on the very same episodes.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks.names import without_instruments
from benchmarks.real_report import Half, Line, Results
from musicfsl import (
    AudioFolder,
    ClassConditionalDataset,
    ConvEncoder,
    Encoder,
    Episode,
    EpisodeDataset,
    EpisodicLearner,
    FeatureStore,
    Head,
    MusicfslError,
    PrototypicalHead,
    SyntheticInstruments,
    embed_dataset,
    evaluate_episodes,
)
from musicfsl.augment import VirtualInstruments
from musicfsl.baselines import mfcc_embeddings
from musicfsl.embedding import fit_whitening
from musicfsl.errors import InputError
from musicfsl.training.loading import EpisodeLoader, Share

__all__ = ["Experiment", "fit", "fit_learner", "halves_of", "train"]

_SECONDS = 1.0  # what the network sees of a clip at a time


@dataclass(frozen=True)
class Experiment:
    """Measures every line on both halves of a folder.

    Attributes:
        waves: the recordings.
        synthetic: the embedded set.
        n_steps: training steps, each an episode of 20 ways, 3 shots and 3 queries with virtual instruments.
        n_support: shots of the test.
        n_query: queries a class of the test.
        n_episodes: episodes of the test.
        seed: of the first weights, of the training episodes and of the test episodes.
        progress: show what is being done.
    """

    waves: ClassConditionalDataset
    synthetic: ClassConditionalDataset
    n_steps: int = 300
    n_support: int = 5
    n_query: int = 15
    n_episodes: int = 1000
    seed: int = 0
    progress: bool = True

    def run(self) -> Results:
        """All lines of both halves.

        Raises:
            InputError: a half has fewer than two classes.
        """
        first, second = halves_of(self.waves.classes)
        start = time.perf_counter()
        halves = [self._half(tested=first, trained=second), self._half(tested=second, trained=first)]
        seconds = time.perf_counter() - start
        return Results(self.waves.name, len(self.waves), self.n_steps, halves, seconds)

    def _half(self, tested: list[str], trained: list[str]) -> Half:
        recordings, synthetic = self._stores
        kept, left_out = without_instruments(synthetic.classes, tested)
        test, known, made = recordings.subset(tested), recordings.subset(trained), synthetic.subset(kept)
        cosine = PrototypicalHead("cosine")

        def mfcc() -> Tensor:
            waves = self.waves
            return mfcc_embeddings(
                waves.subset(tested), waves.subset(trained), duration=_SECONDS, progress=self.progress
            )

        def untrained() -> Tensor:
            return embed_dataset(ConvEncoder(seed=self.seed), test, _SECONDS)

        def trained_on(*sources: ClassConditionalDataset) -> Callable[[], Tensor]:
            return lambda: embed_dataset(train(sources, self.n_steps, self.seed), test, _SECONDS)

        lines = [
            self._line("mean MFCC, nearest class mean", "nothing", mfcc, PrototypicalHead(), test),
            self._line("untrained network", "nothing", untrained, cosine, test),
            self._line("trained on the embedded set", "synthetic", trained_on(made), cosine, test),
            self._line("trained on the other half", "recordings", trained_on(known), cosine, test),
            self._line("trained on both", "synthetic and recordings", trained_on(made, known), cosine, test),
        ]
        return Half(tested, trained, left_out, lines)

    def _line(
        self, name: str, trained_on: str, embed: Callable[[], Tensor], head: Head, test: ClassConditionalDataset
    ) -> Line:
        start = time.perf_counter()
        report = evaluate_episodes(
            embed(),
            test.targets,
            head,
            min(5, len(test.classes)),
            self.n_support,
            self.n_query,
            self.n_episodes,
            self.seed,
            groups=test.groups,
            class_names=test.classes,
            is_synthetic=test.is_synthetic,
        )
        if self.progress:
            print(f"{name}: {report}", file=sys.stderr)
        return Line(name, trained_on, report, time.perf_counter() - start)

    @cached_property
    def _stores(self) -> tuple[FeatureStore, FeatureStore]:
        front_end = ConvEncoder().front_end
        n_frames = front_end.n_frames(round(_SECONDS * front_end.sample_rate))

        def store(waves: ClassConditionalDataset) -> FeatureStore:
            return FeatureStore.build(waves, front_end, n_frames=n_frames, seed=self.seed, progress=self.progress)

        return store(self.waves), store(self.synthetic)


def halves_of(classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """The classes sorted by name, cut in two; the first half has one more where their number is odd.

    Example:
        >>> halves_of(["oboe", "banjo", "flute", "guitar"])
        (['banjo', 'flute'], ['guitar', 'oboe'])
    """
    names = sorted(classes)
    middle = -(-len(names) // 2)
    if len(names) - middle < 2:
        raise InputError(f"there are {len(names)} classes; two halves of two or more need at least 4")
    return names[:middle], names[middle:]


def train(
    sources: Sequence[ClassConditionalDataset],
    n_steps: int,
    seed: int,
    head: Head | None = None,
    learning_rate: float = 1e-3,
) -> ConvEncoder:
    """Trains a network on episodes of several sources by turns, then whitens on the last of them.

    The head is the plain one with cosine similarity where none is given.
    """
    encoder = ConvEncoder(seed=seed)
    episodes = [
        EpisodeDataset(source, 20, 3, 3, n_episodes=n_steps, seed=seed, class_augment=VirtualInstruments())
        for source in sources
    ]
    fit(encoder, _ByTurns(episodes), n_steps, PrototypicalHead("cosine") if head is None else head, learning_rate)
    fit_whitening(encoder, sources[-1], _SECONDS)
    return encoder.eval()


def fit(
    encoder: Encoder,
    episodes: Dataset[Episode],
    n_steps: int,
    head: Head,
    learning_rate: float = 1e-3,
    clip_gradients: float | None = None,
) -> None:
    """Trains an encoder on the first ``n_steps`` episodes, on the processor, and keeps no log."""
    fit_learner(EpisodicLearner(encoder, head, learning_rate), episodes, n_steps, clip_gradients)


def fit_learner(
    learner: EpisodicLearner, episodes: Dataset[Episode], n_steps: int, clip_gradients: float | None = None
) -> None:
    """Trains a learner as `fit` does."""
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        gradient_clip_val=clip_gradients,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = EpisodeLoader(episodes, Share(n_steps))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers")  # it needs none
        warnings.filterwarnings("ignore", "GPU available but not used")
        warnings.filterwarnings("ignore", "You defined a `validation_step`")  # nothing is chosen by validation
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated")  # Lightning's own use of torch
        trainer.fit(learner, loader)


class _ByTurns(Dataset[Episode]):
    """Episode ``i`` comes from one of several sources, in turn.

    No episode asks whether a sound was recorded or made by rules, which is easy to tell and of no use.
    """

    def __init__(self, sources: Sequence[EpisodeDataset]) -> None:
        self._sources = sources

    def __len__(self) -> int:
        return min(len(source) for source in self._sources)

    def __getitem__(self, index: int) -> Episode:
        return self._sources[index % len(self._sources)][index]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", help="one sub-folder of recordings a class, 4 classes or more")
    parser.add_argument("--seed", type=int, default=0, help="of weights, training and test episodes (default 0)")
    parser.add_argument("--episodes", type=int, default=1000, help="of the test (default 1000)")
    parser.add_argument("--steps", type=int, default=300, help="of each training (default 300)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args(arguments)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    try:
        results = Experiment(
            AudioFolder(options.folder, duration=None),
            SyntheticInstruments(duration=None),
            n_steps=options.steps,
            n_episodes=options.episodes,
            seed=options.seed,
        ).run()
    except MusicfslError as error:
        print(f"benchmarks.real: {error}", file=sys.stderr)
        return 2
    print(json.dumps(results.to_dict(), ensure_ascii=False) if options.json else results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
