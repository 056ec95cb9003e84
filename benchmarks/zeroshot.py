"""Zero-shot accuracy over several class splits: of a trained model, of a closed form, and of shuffled side information.

    python -m benchmarks.zeroshot                       # the embedded set, 37 seen and 10 unseen classes, 5 splits
    python -m benchmarks.zeroshot FOLDER --n-unseen 3   # recordings of your own, one sub-folder a class

For every split all lines share one encoder, trained on episodes of the training classes alone: neither unseen classes
nor those that play them in validation are heard before. Early stopping and calibration look at the latter only.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.names import without_instruments
from musicfsl import AudioFolder, ClassConditionalDataset, ConvEncoder, FeatureStore, MusicfslError
from musicfsl.datasets import SyntheticInstruments
from musicfsl.training import (
    ZeroShotData,
    ZeroShotLearner,
    evaluate_on_other_data,
    fit_zeroshot,
    pretrain_encoder,
)
from musicfsl.zeroshot import (
    ESZSL,
    ClassSplit,
    SideInformation,
    SplitsReport,
    ZeroShotModel,
    ZeroShotReport,
    evaluate_zeroshot,
    open_side_information,
    split_seen_unseen,
)
from musicfsl.zeroshot.curve import choices, seen_unseen_curve
from musicfsl.zeroshot.intervals import balanced_weights
from musicfsl.zeroshot.projection import Standardize
from musicfsl.zeroshot.reports import ClassesReport

__all__ = ["Experiment", "Results", "Shuffled", "across"]


class Shuffled(SideInformation):
    """Side information whose vectors are dealt out to other classes: what remains is chance.

    Args:
        side: to shuffle.
        names: the classes among which its vectors go round.
        seed: of the order.
    """

    def __init__(self, side: SideInformation, names: Sequence[str], seed: int) -> None:
        self.kind, self.dim, self._side = f"shuffled {side.kind}", side.dim, side
        order = np.random.default_rng(seed).permutation(len(names))
        self._other = {name: names[i] for name, i in zip(names, order, strict=True)}

    def vector(self, name: str) -> NDArray[np.float32]:
        return self._side.vector(self._other[name])

    def known_names(self) -> list[str]:
        return list(self._other)

    def provenance(self) -> dict[str, Any]:
        return {"kind": self.kind, "of": self._side.provenance()}


@dataclass(frozen=True)
class Results:
    """All lines over all splits; ``print`` it for a table.

    Attributes:
        data: name of the data set.
        lines: name of a line -> its reports.
        seconds: for all of it.
    """

    data: str
    lines: dict[str, SplitsReport]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            "data": self.data,
            "seconds": self.seconds,
            "lines": {name: report.to_dict() for name, report in self.lines.items()},
        }

    def __str__(self) -> str:
        first = next(iter(self.lines.values())).reports[0]
        kind = "synthetic data" if first.is_synthetic else "recordings"
        text = [
            f"{self.data} ({kind}): {len(first.seen_classes)} seen and {len(first.unseen_classes)} unseen classes, "
            f"{first.n_clips[0]} held-out and {first.n_clips[1]} unseen clips in the first split",
        ]
        for name, report in self.lines.items():
            each = ", ".join(f"{r.zero_shot.value:.3f} [{r.zero_shot.low:.3f}, {r.zero_shot.high:.3f}]"
                             for r in report.reports)  # fmt: skip
            text += ["", name, str(report), f"  unseen classes, split by split, [95 % interval over clips]: {each}"]
        return "\n".join([*text, "", f"{self.seconds:.0f} s in all"])


@dataclass
class Experiment:
    """Measures every line on every split.

    Attributes:
        dataset: waves or features.
        side: side information.
        n_unseen: unseen classes of a split.
        seeds: of the splits, the weights, the held-out clips and the batches.
        n_steps: episodes that the encoder is trained on.
        n_bootstrap: samples for the intervals over clips.
        end_to_end: adds a line whose encoder is trained on with the projections.
        progress: say what is being done.
    """

    dataset: ClassConditionalDataset
    side: SideInformation
    n_unseen: int = 10
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    n_steps: int = 300
    n_bootstrap: int = 1000
    end_to_end: bool = False
    progress: bool = True
    reports: dict[str, list[ZeroShotReport]] = field(default_factory=dict)

    def run(self) -> Results:
        """All lines of all splits."""
        start = time.perf_counter()
        splits = [split_seen_unseen(self.dataset.classes, self.n_unseen, seed) for seed in self.seeds]
        for split, seed in zip(splits, self.seeds, strict=True):
            self._split(split, seed)
        names = [split.name for split in splits]
        lines = {line: SplitsReport(names, reports) for line, reports in self.reports.items()}
        return Results(self.dataset.name, lines, time.perf_counter() - start)

    def _split(self, split: ClassSplit, seed: int) -> None:
        encoder = ConvEncoder(seed=seed)
        data = self._data(split, seed, self.side)
        data.setup_for(encoder)
        self._add("closed form (ESZSL), untrained encoder", closed_form(data, encoder, self.n_bootstrap))

        pretrain_encoder(encoder, data.part("train"), self.n_steps, seed=seed, progress=False)
        data = self._data(split, seed, self.side)
        data.setup_for(encoder)
        self._add("closed form (ESZSL)", closed_form(data, encoder, self.n_bootstrap))
        self._add("triplet loss", self._trained(data, encoder, seed, loss="triplet"))
        self._add("softmax loss", self._trained(data, encoder, seed))
        shuffled = self._data(split, seed, Shuffled(self.side, split.classes, seed))
        self._add("softmax loss, side information shuffled", self._trained(shuffled, encoder, seed))
        if self.end_to_end:
            data = self._data(split, seed, self.side)
            name = "softmax loss, encoder trained on"
            self._add(name, self._trained(data, encoder, seed, train_encoder=True))

    def _data(self, split: ClassSplit, seed: int, side: SideInformation) -> ZeroShotData:
        return ZeroShotData(self.dataset, side, split, seed=seed)

    def _trained(self, data: ZeroShotData, encoder: ConvEncoder, seed: int, **options: Any) -> ZeroShotReport:
        learner = ZeroShotLearner(ZeroShotModel(encoder, data.side.dim, seed=seed), seed=seed, **options)
        fitted = fit_zeroshot(learner, data, progress=False)
        return data.evaluate(fitted.model, fitted.calibration, self.n_bootstrap)

    def _add(self, line: str, report: ZeroShotReport) -> None:
        self.reports.setdefault(line, []).append(report)
        if self.progress:
            print(f"{line}: unseen {report.zero_shot}; harmonic mean {report.harmonic}", file=sys.stderr, flush=True)


def closed_form(data: ZeroShotData, encoder: ConvEncoder, n_bootstrap: int = 1000) -> ZeroShotReport:
    """ESZSL on standardised embeddings and side vectors, calibrated like the trained models."""
    calibration = None
    if data.val_classes:
        scores = _closed_form_scores(data, encoder, "val")
        val = data.part("val")
        is_unseen = np.arange(len(val.classes)) >= len(data.train_classes)
        curve = seen_unseen_curve(choices(scores, val.targets, is_unseen), balanced_weights(val.targets, is_unseen))
        calibration = curve.best_calibration()
    refit, test = data.for_refit(), data.part("test")
    return evaluate_zeroshot(
        _closed_form_scores(refit, encoder, "test"),
        test.targets,
        test.classes,
        data.split.unseen,
        groups=test.groups,
        calibration=calibration,
        n_bootstrap=n_bootstrap,
        is_synthetic=test.is_synthetic,
        side_information=data.side.kind,
    )


def _closed_form_scores(data: ZeroShotData, encoder: ConvEncoder, part: Any) -> NDArray[np.float64]:
    train, z = data.embeddings("train", encoder), data.embeddings(part, encoder)
    assert train is not None, "the data was set up for this encoder"
    assert z is not None
    audio_scale, side_scale = Standardize(encoder.dim), Standardize(data.side.dim)
    seen = data.side_vectors(data.train_classes)
    audio_scale.fit(train)
    side_scale.fit(seen)
    model = ESZSL().fit(audio_scale(train), data.part("train").targets, _unit(side_scale(seen)))
    return model.score(audio_scale(z), _unit(side_scale(data.side_vectors(data.part(part).classes))))


def _unit(vectors: Any) -> Any:
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-8)


def across(
    recordings: ClassConditionalDataset,
    side: SideInformation,
    seed: int = 0,
    n_steps: int = 300,
    n_bootstrap: int = 1000,
) -> ClassesReport | ZeroShotReport:
    """Trains on the embedded set without any instrument of the recordings, and recognises all of these by name."""
    synthetic = SyntheticInstruments(duration=None)
    kept, _ = without_instruments(synthetic.classes, recordings.classes)
    # The data module wants unseen classes of its own; two are set aside and not looked at.
    split = split_seen_unseen(kept, 2, seed)
    encoder = ConvEncoder(seed=seed)
    data = ZeroShotData(synthetic, side, split, seed=seed)
    data.setup_for(encoder, train_encoder=True)
    pretrain_encoder(encoder, data.part("train"), n_steps, seed=seed, progress=False)
    learner = ZeroShotLearner(ZeroShotModel(encoder, side.dim, seed=seed), seed=seed)
    fitted = fit_zeroshot(learner, data, progress=False)
    store = FeatureStore.build(recordings, encoder.front_end, progress=False)
    return evaluate_on_other_data(fitted.model, store, side, split.seen, n_bootstrap=n_bootstrap)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.zeroshot", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", nargs="?", help="one sub-folder of recordings a class (default: the embedded set)")
    parser.add_argument("--side", default="attributes", help="side information (default attributes)")
    parser.add_argument("--n-unseen", type=int, default=10, help="unseen classes of a split (default 10)")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="of the splits (default 0,1,2,3,4)")
    parser.add_argument("--steps", type=int, default=300, help="episodes that the encoder is trained on (default 300)")
    parser.add_argument("--end-to-end", action="store_true", help="add a line whose encoder is trained on (slow)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args(arguments)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers")  # it needs none
    try:
        side = open_side_information(options.side)
        seeds = [int(seed) for seed in options.seeds.split(",")]
        folder = options.folder
        dataset = SyntheticInstruments(duration=None) if folder is None else AudioFolder(folder, duration=None)
        experiment = Experiment(dataset, side, options.n_unseen, seeds, options.steps, end_to_end=options.end_to_end)
        results = experiment.run()
        other = None if folder is None else [across(dataset, side, seed, options.steps) for seed in seeds]
    except MusicfslError as error:
        print(f"benchmarks.zeroshot: {error}", file=sys.stderr)
        return 2
    if options.json:
        across_sets = None if other is None else [report.to_dict() for report in other]
        print(json.dumps({**results.to_dict(), "trained_on_embedded_set": across_sets}, ensure_ascii=False))
        return 0
    print(results)
    if other is not None:
        print("\ntrained on the embedded set without any of these instruments, one line a seed")
        print("\n".join(f"  {str(report).splitlines()[0]}" for report in other))
    return 0


if __name__ == "__main__":
    sys.exit(main())
