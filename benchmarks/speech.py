"""Few-shot words: a small transformer and the conv network before and after training, and what three mistakes cost.

    python -m benchmarks.speech --recordings FOLDER     # one sub-folder a word; files like seven/jackson_12.wav

For every seed the words are cut in two halves at random; each half is tested in turn, by networks that were trained on
the other half from random weights. Supports and queries are of different speakers (`benchmarks.speakers`). All lines of
a half share the tested clips and episodes, the training clips and the steps. No checkpoint is chosen: the last state is
tested, behind whitening that was fitted to the training words, and with the same plain head for all.

The mistakes are those of a notebook project that this package grew out of, and are made one at a time:

- axes swapped: the spectrogram is turned before the transformer, so that patches are told apart by the wrong positions.
  Clips have as many frames as bands here, so that the shape stays the same;
- values clamped: normalised values below 1e-7 become 1e-7, which is all that is below the mean;
- overlapping words: the tested words (other recordings of them, by the same speakers) are trained on too.

The first two are made on networks that were trained without them ("fed"), as when published weights are used wrongly,
and while a network is trained ("trained so").
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from benchmarks.real import fit
from benchmarks.speakers import accuracies_across_speakers
from benchmarks.speech_faults import FAULTS, Faults, FaultyEncoder
from benchmarks.speech_results import Results, Run
from benchmarks.speech_words import Split, VirtualWords, splits_of
from musicfsl import (
    AudioFolder,
    ClassConditionalDataset,
    ConvEncoder,
    Encoder,
    EpisodeDataset,
    FeatureStore,
    MusicfslError,
    PrototypicalHead,
    embed_dataset,
    load_encoder,
    save_encoder,
)
from musicfsl.backbones import AstEncoder
from musicfsl.baselines import mfcc_embeddings
from musicfsl.embedding import fit_whitening
from musicfsl.errors import InputError
from musicfsl.training.reuse import kept_file

__all__ = ["SPEAKER_PATTERN", "Experiment"]

_N_FRAMES = 128  # as many as there are bands
_SECONDS = (400 + (_N_FRAMES - 1) * 160) / 16000  # 1.295 s: windows of 25 ms every 10 ms

#: What stands in a recording's path for its speaker: "jackson" in "seven/jackson_12.wav".
SPEAKER_PATTERN = r"([^/_]+)_[^/_]*$"


_OVERLAPPING = "AST, overlapping words"
_NOTES = {_OVERLAPPING: "the tested words were trained on, so this is no few-shot accuracy"}


@dataclass(frozen=True)
class Experiment:
    """Measures every line for every seed.

    Attributes:
        waves: whole recordings, with their speakers as groups.
        seeds: of the splits, first weights, training and test episodes.
        n_steps: of each training: episodes of 20 virtual words, 3 shots and 3 queries.
        n_support: shots of the tests.
        n_query: queries a class of the tests.
        n_episodes: episodes of each test.
        learning_rate: the highest of each training.
        progress: say what is being done.
    """

    waves: ClassConditionalDataset
    seeds: Sequence[int] = (0, 1, 2)
    n_steps: int = 300
    n_support: int = 5
    n_query: int = 15
    n_episodes: int = 1002
    learning_rate: float = 1e-3
    progress: bool = True

    def run(self) -> Results:
        """All lines of all seeds.

        Raises:
            InputError: there are fewer than four words, speakers are not known, or there is only one.
        """
        groups = self.waves.groups
        if groups is None:
            raise InputError(f"{self.waves.name} does not tell its speakers; say how paths name them")
        start = time.perf_counter()
        runs = []
        for seed in self.seeds:
            for split in splits_of(self.waves, seed):
                for line, embed in self._lines(split):
                    run = Run(line, seed, tuple(split.tested.classes), self._accuracies(split, embed()))
                    runs.append(run)
                    if self.progress:
                        print(f"{time.perf_counter() - start:5.0f} s  {run}", file=sys.stderr, flush=True)
        n_way = min(5, *(len(run.tested) for run in runs))
        return Results(
            self.waves.name, n_way, self.n_support, self.n_query, self.n_steps, len(np.unique(groups)), _NOTES, runs,
            time.perf_counter() - start,
        )  # fmt: skip

    def _lines(self, split: Split) -> list[tuple[str, Callable[[], Tensor]]]:
        """Name of a line -> what embeds the tested clips."""

        def mfcc() -> Tensor:
            return mfcc_embeddings(split.tested, split.trained, duration=_SECONDS, progress=False)

        def network(make: _Make, faults: Faults | None = None, overlapping: bool = False) -> Callable[[], Tensor]:
            clips = split.overlapping if overlapping else split.trained
            return lambda: self._embed(self._trained(make, clips, split.seed, faults), split.tested, faults)

        def untrained(make: _Make, whitened: bool = False) -> Callable[[], Tensor]:
            def embed() -> Tensor:
                encoder = make(split.seed)
                if whitened:
                    fit_whitening(encoder, self._features(encoder, split.trained), _SECONDS)
                return self._embed(encoder, split.tested)

            return embed

        def fed(faults: Faults) -> Callable[[], Tensor]:
            return lambda: self._embed(self._trained(_ast, split.trained, split.seed), split.tested, faults)

        return [
            ("mean MFCC, nearest class mean", mfcc),
            ("conv network, untrained", untrained(_conv)),
            ("conv network, untrained, whitened", untrained(_conv, whitened=True)),
            ("conv network, trained", network(_conv)),
            ("AST, untrained", untrained(_ast)),
            ("AST, untrained, whitened", untrained(_ast, whitened=True)),
            ("AST, trained", network(_ast)),
            *((f"AST, trained, then fed: {name}", fed(faults)) for name, faults in FAULTS.items()),
            *((f"AST, trained so: {name}", network(_ast, faults)) for name, faults in FAULTS.items()),
            (_OVERLAPPING, network(_ast, overlapping=True)),
        ]

    def _accuracies(self, split: Split, embeddings: Tensor) -> np.ndarray:
        tested = split.tested
        assert tested.groups is not None
        is_baseline = embeddings.shape[1] == 20  # MFCCs are standardised, for which the distance is meant
        return accuracies_across_speakers(
            embeddings,
            tested.targets,
            tested.groups,
            PrototypicalHead("euclidean" if is_baseline else "cosine"),
            min(5, len(tested.classes)),
            self.n_support,
            self.n_query,
            self.n_episodes,
            split.seed,
            tested.classes,
        )

    def _embed(self, encoder: Encoder, waves: ClassConditionalDataset, faults: Faults | None = None) -> Tensor:
        if faults is not None:
            encoder = FaultyEncoder(encoder, faults)
        return embed_dataset(encoder.eval(), self._features(encoder, waves), _SECONDS)

    def _features(self, encoder: Encoder, waves: ClassConditionalDataset) -> ClassConditionalDataset:
        """Stored features of some of the recordings."""
        name = type(encoder.front_end).__name__
        if name not in self._stores:
            self._stores[name] = FeatureStore.build(self.waves, encoder.front_end, progress=False)
        n_frames = encoder.front_end.n_frames(round(_SECONDS * encoder.sample_rate))
        return self._stores[name].subset(waves.classes, _indices(waves)).with_length(n_frames)

    @cached_property
    def _stores(self) -> dict[str, FeatureStore]:
        return {}

    def _trained(self, make: _Make, clips: ClassConditionalDataset, seed: int, faults: Faults | None = None) -> Encoder:
        """A trained network, kept in the cache: a run that was interrupted goes on where it was."""
        encoder = make(seed)
        path = kept_file(
            {
                "benchmark": "speech",
                "encoder": [encoder.name, encoder.settings()],
                "clips": clips.fingerprint(),
                "training": [self.n_steps, self.learning_rate, seed],
                "faults": None if faults is None else vars(faults),
            },
            None,
        )
        if not path.exists():
            features = self._features(encoder, clips)
            words = VirtualWords(getattr(encoder.front_end, "decibel", 1.0))  # a log-mel is in decibels
            episodes = EpisodeDataset(features, 20, 3, 3, self.n_steps, seed=seed, class_augment=words)
            learner = encoder if faults is None else FaultyEncoder(encoder, faults)
            fit(learner, episodes, self.n_steps, PrototypicalHead("cosine"), self.learning_rate, clip_gradients=1.0)
            fit_whitening(learner, features, _SECONDS)
            save_encoder(encoder, path)
        return load_encoder(path)


_Make = Callable[[int], Encoder]


def _conv(seed: int) -> Encoder:
    return ConvEncoder(seed=seed)


def _ast(seed: int) -> Encoder:
    return AstEncoder.from_config(
        n_layers=2, frequency_stride=16, time_stride=16, max_frames=_N_FRAMES, pooling="mean", whitening=True, seed=seed
    )


def _indices(part: ClassConditionalDataset) -> np.ndarray:
    """Items of all recordings that a part of them has."""
    indices: np.ndarray = part.indices  # type: ignore[attr-defined]
    return indices


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recordings", metavar="FOLDER", required=True, help="one sub-folder of recordings a word")
    parser.add_argument(
        "--speakers", metavar="PATTERN", default=SPEAKER_PATTERN,
        help="regular expression whose parentheses catch the speaker in a path (default: what is before the last _)",
    )  # fmt: skip
    parser.add_argument("--seeds", default="0,1,2", help="default 0,1,2")
    parser.add_argument("--steps", type=int, default=300, help="of each training (default 300)")
    parser.add_argument("--episodes", type=int, default=1002, help="of each test (default 1002)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="the highest of a training (default 1e-3)")
    parser.add_argument("--fast", action="store_true", help="two seeds, 20 steps, 60 episodes: to see that it runs")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args(arguments)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(min(2, torch.get_num_threads()))
    try:
        results = Experiment(
            AudioFolder(options.recordings, duration=None, group_pattern=options.speakers),
            [0, 1] if options.fast else [int(seed) for seed in options.seeds.split(",")],
            20 if options.fast else options.steps,
            n_episodes=60 if options.fast else options.episodes,
            learning_rate=options.learning_rate,
        ).run()
    except MusicfslError as error:
        print(f"benchmarks.speech: {error}", file=sys.stderr)
        return 2
    print(json.dumps(results.to_dict(), ensure_ascii=False) if options.json else results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
