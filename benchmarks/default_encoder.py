"""What the recipe of the shipped encoder is worth on classes that it has not heard, beside mean MFCCs.

    python -m benchmarks.default_encoder FOLDER                     # recordings, one sub-folder a class, 4 or more
    python -m benchmarks.default_encoder FOLDER --far OTHER_FOLDER  # and on sounds of another kind

The classes are cut in two halves, sorted by name and in random ways. An encoder is trained on one half and tested on
the other, both ways round, with other first weights and episodes for each seed. Embedded classes that are an instrument
of the tested half are left out. No clip of a tested class is used before the test in any way. The MFCCs are
standardised by the recordings that the encoder was trained on; for the far folder by that folder itself, which is to
their advantage. Where speakers are known (``--far-groups``), none is heard on both sides of an episode.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.names import without_instruments
from benchmarks.real import halves_of
from benchmarks.speakers import accuracies_across_speakers
from musicfsl import (
    AudioFolder,
    ClassConditionalDataset,
    FeatureStore,
    Head,
    MusicfslError,
    PrototypicalHead,
    embed_dataset,
    evaluate_episodes,
)
from musicfsl.baselines import mfcc_embeddings
from musicfsl.datasets.base import hash_of
from musicfsl.metrics import mean_ci95
from musicfsl.zeroshot.intervals import mean_ci95_of_few
from tools.train_default_encoder import Recipe, open_recordings, open_synthetic

__all__ = ["Experiment", "Results", "halved"]

_MFCC, _ENCODER = "mean MFCC, nearest class mean", "encoder, cosine prototypes"


@dataclass(frozen=True)
class Experiment:
    """Trains and tests with every seed on both halves of every split.

    Attributes:
        waves: recordings.
        synthetic: the embedded set.
        far: recordings of another kind, which nothing is trained on; None for none. Groups that say things of several
            classes, as speakers do, are kept apart in all classes at once (`benchmarks.speakers`).
        recipe: how an encoder is trained; its seed is replaced.
        seeds: of first weights, training and test episodes.
        n_splits: ways to halve the classes.
        shots: labelled clips a class of the tests, which are 5-way where there are so many classes.
        n_query: queries a class of the tests.
        n_episodes: episodes of each test.
        kept: a file to which the tests of a training are added as soon as they are done, and which saves doing them
            again; None for none.
        progress: say what is being done.
    """

    waves: ClassConditionalDataset
    synthetic: ClassConditionalDataset
    far: ClassConditionalDataset | None = None
    recipe: Recipe = field(default_factory=Recipe)
    seeds: Sequence[int] = (0, 1, 2)
    n_splits: int = 3
    shots: Sequence[int] = (1, 5, 10)
    n_query: int = 15
    n_episodes: int = 1000
    kept: Path | None = None
    progress: bool = True

    def run(self) -> Results:
        """All tests of all trainings."""
        rows = []
        for seed, split in itertools.product(self.seeds, range(self.n_splits)):
            first, second = halved(self.waves.classes, split)
            rows += self._tests(seed, tested=first, trained=second)
            rows += self._tests(seed, tested=second, trained=first)
        return Results(rows)

    def _tests(self, seed: int, tested: list[str], trained: list[str]) -> list[dict[str, Any]]:
        """The tests of one training: a row a line, number of shots and data set."""
        recipe = replace(self.recipe, seed=seed)
        data = [None if dataset is None else dataset.fingerprint() for dataset in (*self._waves, self.far)]
        key = hash_of([data, recipe.describe(), tested, list(self.shots), self.n_query, self.n_episodes])
        rows = _read(self.kept).get(key)
        if rows is None:
            rows = list(self._measured(recipe, tested, trained))
            if self.kept is not None:
                with self.kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"key": key, "rows": rows}, ensure_ascii=False) + "\n")
        if self.progress:
            for row in rows:
                print("seed {seed}, {data}, {n_support}-shot, {line}: {mean:.3f}".format(**row), file=sys.stderr)
        return rows

    def _measured(self, recipe: Recipe, tested: list[str], trained: list[str]) -> Iterator[dict[str, Any]]:
        waves, synthetic = self._waves
        recordings, made, far = self._features
        kept, _ = without_instruments(synthetic.classes, tested)
        encoder = recipe.train(made.subset(kept), recordings.subset(trained))
        test = waves.subset(tested)
        mfcc = mfcc_embeddings(test, waves.subset(trained), progress=False)
        yield from self._rows(_MFCC, mfcc, test, PrototypicalHead(), recipe.seed)
        z = embed_dataset(encoder, recordings.originals().subset(tested))
        yield from self._rows(_ENCODER, z, test, recipe.head(), recipe.seed)
        if self.far is not None and far is not None:
            mfcc = mfcc_embeddings(self.far, self.far, progress=False)
            yield from self._rows(_MFCC, mfcc, self.far, PrototypicalHead(), recipe.seed)
            yield from self._rows(_ENCODER, embed_dataset(encoder, far), self.far, recipe.head(), recipe.seed)

    def _rows(
        self, line: str, z: Tensor, test: ClassConditionalDataset, head: Head, seed: int
    ) -> Iterator[dict[str, Any]]:
        n_way = min(5, len(test.classes))
        for shots in self.shots:
            shape = (head, n_way, shots, self.n_query, self.n_episodes, seed)
            if test is self.far and test.groups is not None:
                accuracies = accuracies_across_speakers(z, test.targets, test.groups, *shape, test.classes)
            else:
                accuracies = evaluate_episodes(z, test.targets, *shape, test.groups, test.classes).accuracies
            mean, ci95 = mean_ci95(accuracies)
            yield {
                "data": test.name,
                "tested": list(test.classes),
                "line": line,
                "seed": seed,
                "n_support": shots,
                "mean": mean,
                "ci95": ci95,
                "chance": 1 / n_way,
            }

    @property
    def _waves(self) -> tuple[ClassConditionalDataset, ClassConditionalDataset]:
        return self.waves, self.synthetic

    @cached_property
    def _features(self) -> tuple[FeatureStore, FeatureStore, FeatureStore | None]:
        """Of the recordings and the embedded set, with copies, and of the far recordings."""
        far = None
        if self.far is not None:
            far = FeatureStore.build(self.far, self.recipe.front_end(), progress=self.progress)
        return self.recipe.features(self.waves, self.progress), self.recipe.features(self.synthetic, self.progress), far


@dataclass(frozen=True)
class Results:
    """All tests; ``print`` it for a table.

    Attributes:
        rows: one a test: data, tested classes, line, seed, number of shots, mean, interval over episodes, chance.
    """

    rows: list[dict[str, Any]]

    def by_seed(self, data: str, line: str, shots: int) -> list[float]:
        """The accuracy with each seed, averaged over splits and halves."""
        means: dict[int, list[float]] = {}
        for row in self.rows:
            if (row["data"], row["line"], row["n_support"]) == (data, line, shots):
                means.setdefault(row["seed"], []).append(row["mean"])
        return [float(np.mean(values)) for values in means.values()]

    def summary(self) -> list[dict[str, Any]]:
        """A row a data set, number of shots and line: the mean with its interval over seeds (Student's t)."""
        keys = dict.fromkeys((row["data"], row["n_support"], row["line"]) for row in self.rows)
        found = []
        for data, shots, line in sorted(keys, key=lambda key: (key[0] != self.rows[0]["data"], key[0], key[1])):
            of_line = [r for r in self.rows if (r["data"], r["n_support"], r["line"]) == (data, shots, line)]
            mean, over_seeds = mean_ci95_of_few(self.by_seed(data, line, shots))
            found.append(
                {
                    "data": data,
                    "n_support": shots,
                    "line": line,
                    "mean": mean,
                    "over_seeds": over_seeds,
                    "lowest": min(row["mean"] for row in of_line),
                    "highest": max(row["mean"] for row in of_line),
                    "n_tests": len(of_line),
                    "chance": of_line[0]["chance"],
                }
            )
        return found

    def __str__(self) -> str:
        columns = "{data} | {n_support} | {line} | {mean:.3f} ± {over_seeds:.3f} | {lowest:.3f} to {highest:.3f}"
        return "\n".join(
            [
                f"accuracy over {len(self.rows)} tests: mean ± half a 95 % interval over seeds (Student's t); range",
                "",
                "| data | shots | | mean | single tests |",
                "|---|---|---|---|---|",
                *(f"| {columns.format(**row)} |" for row in self.summary()),
            ]
        )


def halved(classes: Sequence[str], split: int) -> tuple[list[str], list[str]]:
    """The classes in two halves: sorted by name for split 0, and in a random way for every other number.

    Example:
        >>> halved(["oboe", "banjo", "flute", "guitar"], 0)
        (['banjo', 'flute'], ['guitar', 'oboe'])
    """
    if split == 0:
        return halves_of(classes)
    shuffled = np.random.default_rng(split).permutation(sorted(classes)).tolist()
    n_first = len(halves_of(classes)[0])
    return sorted(shuffled[:n_first]), sorted(shuffled[n_first:])


def _read(path: Path | None) -> dict[str, list[dict[str, Any]]]:
    """Key -> rows of the trainings that were done before."""
    if path is None or not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["key"]: line["rows"] for line in lines}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.default_encoder", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", help="recordings, one sub-folder a class, 4 classes or more")
    parser.add_argument("--far", metavar="FOLDER", help="recordings of another kind, which are only tested")
    parser.add_argument("--far-groups", metavar="REGEX", help="what names the speaker or player in their paths")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated (default 0,1,2)")
    parser.add_argument("--splits", type=int, default=3, help="ways to halve the classes (default 3)")
    parser.add_argument("--steps", type=int, default=Recipe.n_steps, help="of each training (default %(default)s)")
    parser.add_argument("--kept", type=Path, help="a file that keeps results, so that a run can be continued")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args(arguments)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    try:
        far = None
        if options.far is not None:
            far = AudioFolder(options.far, duration=None, group_pattern=options.far_groups)
        results = Experiment(
            open_recordings([options.folder]),
            open_synthetic(),
            far,
            Recipe(n_steps=options.steps),
            seeds=[int(seed) for seed in options.seeds.split(",")],
            n_splits=options.splits,
            kept=options.kept,
        ).run()
    except MusicfslError as error:
        print(f"benchmarks.default_encoder: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"summary": results.summary(), "rows": results.rows}, indent=1) if options.json else results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
