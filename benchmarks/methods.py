"""Every method at 1, 5 and 10 shots, on the same episodes of classes that no network was trained on.

    python -m benchmarks.methods                        # the embedded set: trained on some classes, tested on others
    python -m benchmarks.methods --recordings FOLDER    # trained on the embedded set, tested on your recordings

Methods that need no training share the embeddings of one network, which was trained with cosine prototypes and whitened
on its training classes; methods with weights of their own train theirs together with a network of the same kind, for as
many steps. No checkpoint is chosen: the last state is tested. The first line is the baseline. The methods that easyfsl
has answer the very same episodes in both libraries. `methods.md` says what was found.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.episodes import embeddings
from benchmarks.hierarchy import stored
from benchmarks.methods_peer import beside_easyfsl
from benchmarks.methods_results import PeerRun, Results, Run
from benchmarks.methods_trained import SHARED, TRAINED, trained
from benchmarks.names import without_instruments
from benchmarks.rows import Row, best_of
from musicfsl import (
    AudioFolder,
    ClassConditionalDataset,
    EpisodeDataset,
    FeatureStore,
    Head,
    MusicfslError,
    PrototypicalHead,
    SyntheticInstruments,
    embed_dataset,
    evaluate_episodes,
    load_encoder,
    load_head,
    split_classes,
)
from musicfsl.baselines import mfcc_embeddings
from musicfsl.comparison import untrained_methods
from musicfsl.errors import InputError
from musicfsl.heads import AnilHead
from musicfsl.training import MamlLearner

__all__ = ["Experiment", "measure"]

_SECONDS = 1.0  # what the network hears of a clip at a time
_MOST_TESTED = 12  # classes of the embedded set
_IMBALANCE = 2.0  # concentration of the Dirichlet distribution, as published
_SHOTS = 5  # of the tables with one number of shots
_N_THREADS = 2

# Lines that are not transductive, beside those that are where shares of the classes are unequal.
_CONTROLS = ("prototypical-cosine", "simpleshot")


class Split(NamedTuple):
    """Features of the classes that are trained on, and of those that are tested."""

    trained: ClassConditionalDataset
    tested: ClassConditionalDataset
    seed: int

    @property
    def n_way(self) -> int:
        """Classes an episode."""
        return min(5, len(self.tested.classes))


@dataclass(frozen=True)
class Experiment:
    """Measures every line for every seed.

    Attributes:
        waves: whole clips that are tested on; and, where ``synthetic`` is None, other classes of it are trained on.
        synthetic: the embedded set, to train on instead, without the instruments that are tested.
        seeds: of the class splits, first weights, training and test episodes.
        n_steps: of each training.
        shots: labelled clips a class.
        n_query: queries a class.
        n_episodes: of each test.
        n_maml: of each test of MAML, which adapts its network to every episode.
        n_peer: of those beside easyfsl, for the first seed; 0 for none.
        methods: which of `TRAINED` are trained.
        progress: say what is being done.
    """

    waves: ClassConditionalDataset
    synthetic: ClassConditionalDataset | None = None
    seeds: Sequence[int] = (0, 1, 2)
    n_steps: int = 300
    shots: Sequence[int] = (1, 5, 10)
    n_query: int = 15
    n_episodes: int = 1000
    n_maml: int = 100
    n_peer: int = 200
    methods: Sequence[str] = tuple(TRAINED)
    progress: bool = True

    def run(self) -> Results:
        """All lines of all seeds.

        Raises:
            InputError: there are fewer than four classes to divide.
        """
        start = time.perf_counter()
        runs: list[Run] = []
        peers: list[PeerRun] = []

        def add(found: list[Run]) -> None:
            runs.extend(found)
            if self.progress:
                for run in found:
                    print(f"{time.perf_counter() - start:5.0f} s  {run}", file=sys.stderr, flush=True)

        for split in map(self._split, self.seeds):
            add(self._runs("mean MFCC, nearest class mean", self._mfcc(split), PrototypicalHead(), split))
            z = self._embedded(SHARED, split)
            for name, head in untrained_methods().items():
                add(self._runs(name, z, head, split))
            if self.n_peer and not peers:
                shape = (split.n_way, _SHOTS, self.n_query)
                peers = beside_easyfsl(z, split.tested, shape, self.n_peer, split.seed, _N_THREADS)
            for method in self.methods:
                add(self._maml(split) if method == "maml" else self._runs_of_trained(method, split))
        trained_on = self.waves if self.synthetic is None else self.synthetic
        return Results(
            data=self.waves.name,
            trained_on=trained_on.name,
            n_way=split.n_way,
            n_query=self.n_query,
            n_steps=self.n_steps,
            imbalance=_IMBALANCE,
            shots_of_details=_SHOTS,
            runs=runs,
            peers=peers,
            seconds=time.perf_counter() - start,
        )

    def _split(self, seed: int) -> Split:
        if self.synthetic is not None:
            kept, _ = without_instruments(self.synthetic.classes, self.waves.classes)
            return Split(self._synthetic_features.subset(kept), self._features, seed)
        n_classes = len(self.waves.classes)
        if n_classes < 4:
            raise InputError(f"there are {n_classes} classes; two parts of two or more need at least 4")
        n_tested = min(_MOST_TESTED, n_classes // 2)
        known, new = split_classes(self.waves, [n_classes - n_tested, n_tested], seed)
        return Split(self._features.subset(known), self._features.subset(new), seed)

    def _mfcc(self, split: Split) -> Tensor:
        reference = (self.waves if self.synthetic is None else self.synthetic).subset(split.trained.classes)
        return mfcc_embeddings(
            self.waves.subset(split.tested.classes), reference, duration=_SECONDS, progress=self.progress
        )

    def _embedded(self, method: str, split: Split) -> Tensor:
        path = trained(method, split.trained, split.seed, self.n_steps, _SECONDS)
        return embed_dataset(load_encoder(path), split.tested, _SECONDS)

    def _runs(self, line: str, z: Tensor, head: Head, split: Split) -> list[Run]:
        """A line at all numbers of shots, and with unequal shares of the classes where that is of interest."""
        settings: list[tuple[int, float | None]] = [(shots, None) for shots in self.shots]
        if _SHOTS in self.shots and (head.is_transductive or line in _CONTROLS):
            settings.append((_SHOTS, _IMBALANCE))
        runs = []
        for shots, imbalance in settings:
            start = time.perf_counter()
            report = evaluate_episodes(
                z,
                split.tested.targets,
                head,
                split.n_way,
                shots,
                self.n_query,
                self.n_episodes,
                split.seed,
                groups=split.tested.groups,
                class_names=split.tested.classes,
                query_imbalance=imbalance,
            )
            seconds = time.perf_counter() - start
            runs.append(Run(line, split.seed, shots, report.accuracies, seconds, imbalance, head.is_transductive))
        return runs

    def _runs_of_trained(self, method: str, split: Split) -> list[Run]:
        z = self._embedded(method, split)
        head = load_head(trained(method, split.trained, split.seed, self.n_steps, _SECONDS))
        return self._runs(f"{method}, trained", z, head, split)

    def _maml(self, split: Split) -> list[Run]:
        path = trained("maml", split.trained, split.seed, self.n_steps, _SECONDS)
        head = load_head(path)
        assert isinstance(head, AnilHead)
        learner = MamlLearner(load_encoder(path), head)
        runs = []
        for shots in self.shots:
            start = time.perf_counter()
            report = learner.evaluate(
                EpisodeDataset(split.tested, split.n_way, shots, self.n_query, self.n_maml, seed=split.seed)
            )
            runs.append(Run("maml, trained", split.seed, shots, report.accuracies, time.perf_counter() - start))
        return runs

    @cached_property
    def _features(self) -> FeatureStore:
        return stored(self.waves, self.progress)

    @cached_property
    def _synthetic_features(self) -> FeatureStore:
        assert self.synthetic is not None
        return stored(self.synthetic, self.progress)


def measure(n_episodes: int = 1000, repeats: int = 1) -> list[Row]:
    """Each method without training: 5-way, 5-shot, 15 queries, on 7,000 embeddings of size 512, with two threads."""
    z, targets = embeddings()
    threads = torch.get_num_threads()
    torch.set_num_threads(_N_THREADS)
    rows = []
    try:
        for name, head in untrained_methods().items():

            def run(head: Head = head) -> object:
                return evaluate_episodes(z, targets, head, 5, 5, 15, n_episodes, seed=0)

            seconds = 1000 * best_of(repeats, run) / n_episodes
            rows.append(Row(f"1,000 episodes, {name}", f"{seconds:.2f} s", target="below 10 s", met=seconds < 10))
    finally:
        torch.set_num_threads(threads)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.methods", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--recordings", metavar="FOLDER", help="one sub-folder of recordings a class (default: the embedded set)"
    )
    parser.add_argument("--seeds", default="0,1,2", help="default 0,1,2")
    parser.add_argument("--steps", type=int, default=300, help="of each training (default 300)")
    parser.add_argument("--shots", default="1,5,10", help="default 1,5,10")
    parser.add_argument("--episodes", type=int, default=1000, help="of each test (default 1000)")
    parser.add_argument("--peer-episodes", type=int, default=200, help="beside easyfsl, 0 for none (default 200)")
    parser.add_argument("--maml-episodes", type=int, default=100, help="of each test of MAML (default 100)")
    parser.add_argument(
        "--trained",
        default=",".join(TRAINED),
        help=f"methods with a training of their own (default {','.join(TRAINED)})",
    )
    parser.add_argument("--fast", action="store_true", help="one seed, 10 steps, 40 episodes: to see that it runs")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args(arguments)
    methods = [name for name in options.trained.split(",") if name]
    unknown = [name for name in methods if name not in TRAINED]
    if unknown:
        parser.error(f"'{unknown[0]}' has no training of its own; expected some of {', '.join(TRAINED)}")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(min(_N_THREADS, torch.get_num_threads()))
    try:
        recordings = None if options.recordings is None else AudioFolder(options.recordings, duration=None)
        embedded_set = SyntheticInstruments(duration=None)
        results = Experiment(
            embedded_set if recordings is None else recordings,
            None if recordings is None else embedded_set,
            [0] if options.fast else [int(seed) for seed in options.seeds.split(",")],
            10 if options.fast else options.steps,
            [int(shots) for shots in options.shots.split(",")],
            n_episodes=40 if options.fast else options.episodes,
            n_maml=4 if options.fast else options.maml_episodes,
            n_peer=min(20, options.peer_episodes) if options.fast else options.peer_episodes,
            methods=methods,
        ).run()
    except MusicfslError as error:
        print(f"benchmarks.methods: {error}", file=sys.stderr)
        return 2
    print(json.dumps(results.to_dict(), ensure_ascii=False) if options.json else results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
