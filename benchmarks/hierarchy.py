"""Does it help to know families? Flat against hierarchical training, and against trees whose leaves were shuffled.

    python -m benchmarks.hierarchy                                 # the embedded set
    python -m benchmarks.hierarchy --data FOLDER                   # recordings of your own, one sub-folder a class
    python -m benchmarks.hierarchy --data FOLDER --train synthetic # trained on the embedded set, tested on recordings

For every seed the classes are split by a hierarchical partition, so that siblings stand on both sides. All lines of a
seed share the split, the first weights, the training clips of every step and the test episodes; only the loss differs.
No class that is tested is used before, in any way: each network trains for a fixed number of steps, and its last state
is tested, with the same plain head for all.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.hierarchy_results import Results, Run
from benchmarks.names import without_instruments
from benchmarks.real import train
from musicfsl import (
    AudioFolder,
    ClassConditionalDataset,
    ConvEncoder,
    Encoder,
    EpisodeReport,
    FeatureStore,
    Head,
    HierarchicalPrototypicalHead,
    MusicfslError,
    PrototypicalHead,
    SyntheticInstruments,
    embed_dataset,
    evaluate_episodes,
    load_encoder,
    save_encoder,
)
from musicfsl.errors import InputError
from musicfsl.heads.prototypical import Distance
from musicfsl.partition import partition_classes
from musicfsl.taxonomy import Taxonomy
from musicfsl.training.reuse import kept_file

__all__ = ["Experiment", "Split", "splits_of"]

_SECONDS = 1.0  # what the network sees of a clip at a time

# Far from any seed of a training, so that no tree is shuffled by the numbers that something else is drawn by.
_SHUFFLE_SEED = 1000


@dataclass(frozen=True)
class Split:
    """Which classes a network learns from and which it is tested on.

    Attributes:
        train: features of the former.
        test: features of the latter.
    """

    train: ClassConditionalDataset
    test: ClassConditionalDataset


@dataclass(frozen=True)
class Experiment:
    """Measures every line for every seed.

    Attributes:
        data: features that are tested on, and trained on where ``synthetic`` is None.
        synthetic: features of the embedded set, to train on instead, without the instruments that are tested.
        taxonomies: names of the trees to learn from; the first one also judges the mistakes of all lines.
        height: of the loss, see `HierarchicalPrototypicalHead`.
        alpha: likewise.
        distance: of all heads.
        seeds: of the partitions, first weights, training and test episodes.
        n_steps: training steps, each an episode of 20 ways, 3 shots and 3 queries with virtual instruments.
        shots: labelled clips a class of the tests.
        n_query: queries a class of the tests.
        n_episodes: episodes of each test.
        halves: test on either half of the classes in turn, where these are few; else on a quarter of them.
        progress: say what is being done.
    """

    data: ClassConditionalDataset
    synthetic: ClassConditionalDataset | None = None
    taxonomies: Sequence[str] = ("families",)
    height: int = 2
    alpha: float = 0.75
    distance: Distance = "cosine"
    seeds: Sequence[int] = (0, 1, 2)
    n_steps: int = 300
    shots: Sequence[int] = (1, 4, 8)
    n_query: int = 15
    n_episodes: int = 1000
    halves: bool = False
    progress: bool = True

    def run(self) -> Results:
        """All lines of all seeds."""
        start = time.perf_counter()
        runs = []
        for seed in self.seeds:
            for split in splits_of(self.data, self.synthetic, self._tree(self.taxonomies[0]), seed, self.halves):
                for line, head in self.heads(seed).items():
                    run = Run(line, seed, tuple(split.test.classes), self._reports(split, head, seed))
                    runs.append(run)
                    if self.progress:
                        print(f"{time.perf_counter() - start:5.0f} s  {run}", file=sys.stderr, flush=True)
        trained_on = self.data if self.synthetic is None else self.synthetic
        return Results(self.data.name, trained_on.name, self.n_steps, runs, time.perf_counter() - start)

    def heads(self, seed: int) -> dict[str, Head]:
        """Name of a line -> the head that it is trained with."""
        heads: dict[str, Head] = {"flat": PrototypicalHead(self.distance)}
        for name in self.taxonomies:
            for line, tree in (
                (f"hierarchical ({name})", self._tree(name)),
                (f"leaves shuffled ({name})", self._tree(name).shuffled(_SHUFFLE_SEED + seed)),
            ):
                heads[line] = HierarchicalPrototypicalHead(tree, self.height, self.alpha, distance=self.distance)
        return heads

    def _tree(self, name: str) -> Taxonomy:
        """The tree of all classes of the experiment: a shuffled one then has no others among its leaves."""
        names = list(self.data.classes)
        if self.synthetic is not None:
            names += without_instruments(self.synthetic.classes, names)[0]
        return Taxonomy.load(name).prune(names)

    def _reports(self, split: Split, head: Head, seed: int) -> dict[int, EpisodeReport]:
        encoder = trained(split.train, self.n_steps, seed, head)
        test = split.test
        embeddings = embed_dataset(encoder, test, _SECONDS)
        return {
            shots: evaluate_episodes(
                embeddings,
                test.targets,
                PrototypicalHead(self.distance),
                len(test.classes),
                shots,
                self.n_query,
                self.n_episodes,
                seed,
                groups=test.groups,
                class_names=test.classes,
                is_synthetic=test.is_synthetic,
                taxonomy=self._tree(self.taxonomies[0]),
            )
            for shots in self.shots
        }


def splits_of(
    data: ClassConditionalDataset,
    synthetic: ClassConditionalDataset | None,
    taxonomy: Taxonomy,
    seed: int,
    halves: bool,
) -> list[Split]:
    """Class splits of one seed; siblings stand on both sides.

    Raises:
        InputError: there are fewer than four classes.
    """
    if synthetic is not None:
        kept, _ = without_instruments(synthetic.classes, data.classes)
        return [Split(synthetic.subset(kept), data)]
    if len(data.classes) < 4:
        raise InputError(f"{data.name} has {len(data.classes)} classes; two parts of two or more need at least 4")
    sizes = (0.5, 0.5) if halves else (0.75, 0.25)
    partition = partition_classes(taxonomy, data.classes, ("train", "test"), sizes, seed=seed)
    sides = partition.part("train"), partition.part("test")
    splits = [Split(data.subset(sides[0]), data.subset(sides[1]))]
    return [*splits, Split(splits[0].test, splits[0].train)] if halves else splits


def trained(clips: ClassConditionalDataset, n_steps: int, seed: int, head: Head) -> Encoder:
    """A trained network, kept in the cache: a run that was interrupted goes on where it was."""
    decisive = {"clips": clips.fingerprint(), "head": [head.name, head.settings()], "steps": n_steps, "seed": seed}
    path = kept_file({"benchmark": "hierarchy", **decisive}, None)
    if not path.exists():
        save_encoder(train([clips], n_steps, seed, head), path)
    return load_encoder(path)


def stored(waves: ClassConditionalDataset, progress: bool = True) -> FeatureStore:
    """Features of whole clips, which give stretches of the length that the network sees."""
    front_end = ConvEncoder().front_end
    n_frames = front_end.n_frames(round(_SECONDS * front_end.sample_rate))
    return FeatureStore.build(waves, front_end, n_frames=n_frames, progress=progress)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hierarchy", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--data", metavar="FOLDER", help="one sub-folder of recordings a class (default: the embedded set)"
    )
    parser.add_argument(
        "--train", choices=("synthetic",), help="train on the embedded set, and test on all classes of the folder"
    )
    parser.add_argument(
        "--taxonomies", default="families", help="comma-separated, the first judges mistakes (default families)"
    )
    parser.add_argument("--height", type=int, default=2, help="ranks of families in the loss (default 2)")
    parser.add_argument("--alpha", type=float, default=0.75, help="how weights fall with height (default 0.75)")
    parser.add_argument("--distance", choices=("euclidean", "cosine", "unsquared"), default="cosine")
    parser.add_argument("--seeds", default="0,1,2", help="default 0,1,2")
    parser.add_argument("--steps", type=int, default=300, help="of each training (default 300)")
    parser.add_argument("--shots", default="1,4,8", help="default 1,4,8")
    parser.add_argument("--episodes", type=int, default=1000, help="of each test (default 1000)")
    parser.add_argument("--fast", action="store_true", help="two seeds, 20 steps, 100 episodes: to see that it runs")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args(arguments)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    try:
        if options.train is not None and options.data is None:
            raise InputError("--train synthetic needs recordings to test on; give --data FOLDER")
        synthetic = None
        if options.data is None or options.train is not None:
            synthetic = stored(SyntheticInstruments(duration=None))
        data = synthetic if options.data is None else stored(AudioFolder(options.data, duration=None))
        assert data is not None
        results = Experiment(
            data,
            None if options.train is None else synthetic,
            options.taxonomies.split(","),
            options.height,
            options.alpha,
            options.distance,
            [0, 1] if options.fast else [int(seed) for seed in options.seeds.split(",")],
            20 if options.fast else options.steps,
            [int(shots) for shots in options.shots.split(",")],
            n_episodes=100 if options.fast else options.episodes,
            halves=len(data.classes) < 20,
        ).run()
    except MusicfslError as error:
        print(f"benchmarks.hierarchy: {error}", file=sys.stderr)
        return 2
    print(json.dumps(results.to_dict(), ensure_ascii=False) if options.json else results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
