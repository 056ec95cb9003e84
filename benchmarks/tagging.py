"""Many instruments at once: two networks trained in two phases, against a logistic regression and against chance.

    python -m benchmarks.tagging                        # mixtures of the embedded instruments, the labels of IRMAS
    python -m benchmarks.tagging --recordings FOLDER    # mixtures of your notes, one sub-folder an instrument

Training and validation excerpts of 3 s are labelled with their predominant instrument alone, though one to four play;
test excerpts of 5 to 20 s are labelled with all. No player (of recordings: no note) is in two of the subsets.

Both networks are pretrained on single notes of embedded instruments of which none is among the labels. This stands in
for AudioSet, whose weights have to be downloaded, and which knows much more; and CNN14 is far narrower than the
published one, which two cores cannot train in minutes. Phase one freezes what was pretrained, phase two trains all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.names import without_instruments
from benchmarks.tagging_data import RATE, SECONDS, Excerpts, mfcc_statistics, mixtures_of_recordings, synthetic_mixtures
from benchmarks.tagging_results import Predictions, Results
from musicfsl import Encoder, MultiBandCNN, MusicfslError, PannsMultiBand, SyntheticInstruments
from musicfsl.datasets._instruments import INSTRUMENTS
from musicfsl.errors import InputError
from musicfsl.tagging import tag_dataset
from musicfsl.training.tagging import TaggingData, TaggingLearner, fit_tagger

__all__ = ["MODELS", "Experiment", "Model"]

# What the networks hear of a note in pretraining.
_NOTE_SECONDS = 1.0
_NOTES_PER_PLAYER = 10


@dataclass(frozen=True)
class Model:
    """A network and how it is trained.

    Attributes:
        encoder: makes it, with first weights of a seed.
        pretraining: epochs on notes of other instruments.
        phase_one: epochs with what was pretrained frozen.
        phase_two: epochs with everything.
        note: what a reader must know of it.
    """

    encoder: Callable[[int], Encoder]
    pretraining: int
    phase_one: int
    phase_two: int
    note: str


def _multi_band(seed: int) -> Encoder:
    return MultiBandCNN(sample_rate=RATE, seed=seed)


def _panns(seed: int) -> Encoder:
    return PannsMultiBand(
        sample_rate=RATE,
        frames_averaged=4,
        widths=(4, 8, 16, 32, 64, 128),
        trunk_dim=128,
        dim=128,
        dropout=0.0,
        embedding_dropout=0.0,
        seed=seed,
    )


#: Name -> model.
MODELS = {
    "MultiBandCNN": Model(_multi_band, 8, 4, 8, "default settings"),
    "PannsMultiBand": Model(
        _panns, 6, 3, 5, "CNN14 with 4 to 128 channels instead of 64 to 2048, frames of 20 ms, no dropout"
    ),
}

# Of the first phase and of pretraining, and of the second phase.
_LEARNING_RATE, _FINE_TUNING_LEARNING_RATE = 1e-3, 3e-4


class Clock:
    """Time since it was made."""

    def __init__(self) -> None:
        self._start, self._processor_start = time.perf_counter(), _processor_time()

    @property
    def seconds(self) -> float:
        """As a clock on the wall has it."""
        return time.perf_counter() - self._start

    @property
    def processor_seconds(self) -> float:
        """Of all cores, processes that were started and have ended included."""
        return _processor_time() - self._processor_start


def _processor_time() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


@dataclass(frozen=True)
class Experiment:
    """Measures every line for every seed.

    Attributes:
        models: names of `MODELS`.
        seeds: of data (where it is made), first weights, batches and bootstrap.
        recordings: folder of notes; None takes the embedded instruments.
        scale: factor of the numbers of excerpts, notes and epochs.
        cache_dir: for mixtures and features; None is the usual place.
        progress: say what is being done.
    """

    models: Sequence[str] = tuple(MODELS)
    seeds: Sequence[int] = (0,)
    recordings: str | None = None
    scale: float = 1.0
    cache_dir: str | None = None
    progress: bool = True

    def run(self) -> Results:
        """All lines of all seeds."""
        start = Clock()
        lines: list[Predictions] = []
        for seed in self.seeds:
            excerpts = self.excerpts(seed)
            self._say(start, f"the excerpts of seed {seed} are made")
            for line in (self.baseline, *(self._trainer(name) for name in self.models)):
                found = line(excerpts, seed)
                lines += found
                self._say(start, *map(str, found))
        data = excerpts.testing
        return Results(
            data=data.name,
            is_synthetic=data.is_synthetic,
            split=excerpts.split,
            sizes=[len(part) for part in (excerpts.training, excerpts.validation, excerpts.testing)],
            lines=lines,
            notes={name: MODELS[name].note for name in self.models},
            seconds=start.seconds,
            processor_seconds=start.processor_seconds,
        )

    def excerpts(self, seed: int) -> Excerpts:
        """The data of a seed."""
        if self.recordings is None:
            return synthetic_mixtures(seed, self.scale, self.cache_dir)
        return mixtures_of_recordings(self.recordings, seed, self.scale, self.cache_dir)

    def baseline(self, excerpts: Excerpts, seed: int) -> list[Predictions]:
        """Logistic regression on the mean and deviation of MFCCs over a whole excerpt, one classifier a label."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        start = Clock()
        training, validation, testing = (
            mfcc_statistics(part, self.cache_dir) for part in (excerpts.training, excerpts.validation, excerpts.testing)
        )
        classifier = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(max_iter=2000)))
        classifier.fit(training, excerpts.training.targets)
        found = classifier.predict_proba(validation), classifier.predict_proba(testing)
        return [_predictions("logistic regression", "", seed, excerpts, *found, start)]

    def trained(self, name: str, excerpts: Excerpts, seed: int) -> list[Predictions]:
        """A network after phase one and after phase two; of each, the epoch of the highest validation mAP."""
        model = MODELS[name]
        start = Clock()
        encoder = self.pretrained(name, excerpts, seed)
        data = TaggingData(
            excerpts.training, excerpts.validation, excerpts.testing, duration=SECONDS, seed=seed,
            cache_dir=self.cache_dir,
        )  # fmt: skip
        one, two = self._epochs(model.phase_one), self._epochs(model.phase_two)
        found = []
        with tempfile.TemporaryDirectory() as folder:
            first, second = Path(folder, "one"), Path(folder, "two")
            for phase, epochs, place, resumed in (
                ("phase one", one, first, None),
                ("phase two", one + two, second, first / "last.ckpt"),
            ):
                learner = TaggingLearner(
                    encoder,
                    learning_rate=_LEARNING_RATE,
                    fine_tuning_learning_rate=_FINE_TUNING_LEARNING_RATE,
                    seed=seed,
                )
                tagger = fit_tagger(learner, data, epochs, one, place, resume_from=resumed, progress=False).tagger
                validation, testing = (tag_dataset(tagger, data.part(stage)) for stage in ("val", "test"))
                found.append(_predictions(name, phase, seed, excerpts, validation, testing, start))
        return found

    def pretrained(self, name: str, excerpts: Excerpts, seed: int) -> Encoder:
        """A network that knows single notes of other instruments."""
        classes, _ = without_instruments(INSTRUMENTS, excerpts.training.classes)
        notes = SyntheticInstruments(
            notes_per_player=max(1, round(self.scale * _NOTES_PER_PLAYER)),
            classes=classes,
            sample_rate=RATE,
            duration=None,
            seed=seed,
            cache_dir=self.cache_dir,
            progress=False,
        )
        model = MODELS[name]
        learner = TaggingLearner(model.encoder(seed), learning_rate=_LEARNING_RATE, seed=seed)
        data = TaggingData(notes, duration=_NOTE_SECONDS, seed=seed, cache_dir=self.cache_dir)
        with tempfile.TemporaryDirectory() as folder:
            epochs = self._epochs(model.pretraining)
            return fit_tagger(learner, data, epochs, folder=folder, progress=False).tagger.encoder

    def _trainer(self, name: str) -> Callable[[Excerpts, int], list[Predictions]]:
        return lambda excerpts, seed: self.trained(name, excerpts, seed)

    def _epochs(self, n: int) -> int:
        return max(1, round(self.scale * n))

    def _say(self, start: Clock, *messages: str) -> None:
        if self.progress:
            for message in messages:
                print(f"{start.seconds:5.0f} s  {message}", file=sys.stderr, flush=True)


def _predictions(
    name: str,
    phase: str,
    seed: int,
    excerpts: Excerpts,
    validation: NDArray[np.floating],
    testing: NDArray[np.floating],
    start: Clock,
) -> Predictions:
    return Predictions(
        name=name,
        phase=phase,
        seed=seed,
        validation=validation,
        validation_targets=excerpts.validation.targets,
        testing=testing,
        testing_targets=excerpts.testing.targets,
        classes=tuple(excerpts.testing.classes),
        is_synthetic=excerpts.testing.is_synthetic,
        seconds=start.seconds,
        processor_seconds=start.processor_seconds,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tagging", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--recordings", metavar="FOLDER", help="one sub-folder of single notes an instrument")
    parser.add_argument("--models", default=",".join(MODELS), help=f"default {','.join(MODELS)}")
    parser.add_argument("--seeds", default="0", help="default 0")
    parser.add_argument("--fast", action="store_true", help="a fiftieth of everything: to see that it runs")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args(arguments)
    try:
        models = options.models.split(",")
        for name in models:
            if name not in MODELS:
                raise InputError(f"there is no model '{name}'; known: {', '.join(MODELS)}")
        seeds = [int(seed) for seed in options.seeds.split(",")]
        results = Experiment(models, seeds, options.recordings, scale=0.02 if options.fast else 1.0).run()
    except MusicfslError as error:
        print(f"benchmarks.tagging: {error}", file=sys.stderr)
        return 2
    print(json.dumps(results.to_dict(), ensure_ascii=False) if options.json else results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
