"""`musicfsl zeroshot fit`, `evaluate` and `predict`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicfsl.backbones import ConvEncoder, Encoder
from musicfsl.checkpoints import load_encoder, read_card
from musicfsl.commands.shared import CommandParser, Printed, names_of
from musicfsl.datasets import open_dataset
from musicfsl.errors import InputError
from musicfsl.features import FeatureStore
from musicfsl.training.logs import run_loggers
from musicfsl.training.zeroshot.data import ZeroShotData
from musicfsl.training.zeroshot.fit import fit_zeroshot, pretrain_encoder
from musicfsl.training.zeroshot.learner import ZeroShotLearner
from musicfsl.training.zeroshot.parts import refuse_known
from musicfsl.training.zeroshot.use import evaluate_on_other_data, rank_classes
from musicfsl.zeroshot.open import SIDE_KINDS
from musicfsl.zeroshot.projection import ZeroShotModel
from musicfsl.zeroshot.reports import ClassesReport, ZeroShotReport
from musicfsl.zeroshot.splits import SPLITS, ClassSplit
from musicfsl.zeroshot_checkpoints import (
    ZeroShotCard,
    load_zeroshot,
    open_side_of,
    read_zeroshot_card,
    save_zeroshot,
)

__all__ = ["run"]

_USAGE = """\
musicfsl zeroshot fit|evaluate|predict ...

  fit         train on the seen classes of a data set, and test on the unseen ones
  evaluate    the same test of a trained model, also on other data
  predict     rank any classes that the side information knows, for recordings

example: musicfsl zeroshot fit --data synthetic --side attributes --n-unseen 10 --output runs"""


def run(arguments: Sequence[str]) -> Printed:
    """Runs one of the three commands; see `musicfsl.cli`."""
    commands = {"fit": _fit, "evaluate": _evaluate, "predict": _predict}
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        raise SystemExit(0 if arguments else 2)
    if arguments[0] not in commands:
        raise InputError(f"there is no command 'zeroshot {arguments[0]}'; expected one of {', '.join(commands)}")
    return commands[arguments[0]](list(arguments[1:]))


def _fit(arguments: list[str]) -> Printed:
    parser = CommandParser(
        "zeroshot fit",
        "Train a model on the seen classes of a data set, and test it on the unseen ones.",
        "musicfsl zeroshot fit --data tinysol --side words:glove-wiki-gigaword-300 --split tinysol-words --output runs",
    )
    _add_data(parser)
    parser.add_argument(
        "--side", default="attributes", help=f"side information: {'; '.join(SIDE_KINDS.values())} (default attributes)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--split", metavar="NAME", help=f"a published class split: {', '.join(SPLITS)}")
    which.add_argument("--unseen", help="comma-separated names of the unseen classes; all others are seen")
    which.add_argument("--n-unseen", type=int, help="number of unseen classes, chosen at random (default a fifth)")
    parser.add_argument("--split-seed", type=int, default=0, help="of that choice (default 0)")
    parser.add_argument(
        "--val-classes", type=int, help="seen classes that play unseen ones in validation (default a fifth)"
    )
    parser.add_argument("--loss", choices=("softmax", "triplet"), default="softmax", help="default softmax")
    parser.add_argument(
        "--encoder",
        metavar="CHECKPOINT",
        help="an encoder that has heard no unseen class (default: a new one, first trained on episodes)",
    )
    parser.add_argument(
        "--pretrain-steps", type=int, default=300, help="episodes for a new encoder; 0 for none (default 300)"
    )
    parser.add_argument(
        "--freeze",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave the encoder as it is, and train the projections only (default), or train it too",
    )
    parser.add_argument("--epochs", type=int, default=60, help="at most; training stops early (default 60)")
    parser.add_argument(
        "--duration", type=float, default=1.0, help="seconds that the network sees at a time (default 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, clips held out and batches (default 0)")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the model and its log")
    _add_report(parser)
    options = parser.parse_args(arguments)

    progress = sys.stderr.isatty() and not options.json
    data = ZeroShotData(
        options.data,
        options.side,
        options.split,
        names_of(options.unseen),
        options.n_unseen,
        options.split_seed,
        options.val_classes,
        duration=options.duration,
        seed=options.seed,
    )
    encoder: Encoder
    if options.encoder is None:
        encoder = ConvEncoder(seed=options.seed)
        data.setup_for(encoder, train_encoder=True)
        if options.pretrain_steps != 0:
            steps, duration = options.pretrain_steps, options.duration
            pretrain_encoder(encoder, data.part("train"), steps, duration, options.seed, progress)
    else:
        card, encoder = read_card(options.encoder), load_encoder(options.encoder)
        data.setup_for(encoder, train_encoder=True)
        refuse_known(data.split, [*card.classes, *card.data.get("val_classes", ())], options.encoder)
    model = ZeroShotModel(encoder, data.side.dim, seed=options.seed)
    learner = ZeroShotLearner(model, options.loss, train_encoder=not options.freeze, seed=options.seed)
    loggers = run_loggers(options.output)
    fitted = fit_zeroshot(learner, data, options.epochs, logger=loggers, progress=progress)
    report = data.evaluate(fitted.model, fitted.calibration, options.bootstrap)
    path = save_zeroshot(
        fitted.model,
        Path(str(loggers[0].log_dir)) / "zeroshot.safetensors",
        side=data.side,
        side_text=options.side,
        seen=list(data.split.seen),
        unseen=list(data.split.unseen),
        calibration=fitted.calibration,
        data={**data.describe(), "settings": data.settings()},
        metrics={name: measure._asdict() for name, measure in report.measures.items()},
    )
    result = {"checkpoint": str(path), "epochs": fitted.epochs, "loss": options.loss, **report.to_dict()}
    return Printed(result, f"{report}\n{fitted.epochs} epochs; model: {path}", options.json)


def _evaluate(arguments: list[str]) -> Printed:
    parser = CommandParser(
        "zeroshot evaluate",
        "Test a model on held-out clips of its seen classes and on unseen classes. On the data that it was trained on, "
        "these are the clips that were held out; on other data, all clips.",
        "musicfsl zeroshot evaluate zeroshot.safetensors --data my_sounds/ --json",
    )
    _add_model(parser)
    _add_data(parser)
    _add_report(parser)
    options = parser.parse_args(arguments)

    card, model = read_zeroshot_card(options.checkpoint), load_zeroshot(options.checkpoint)
    side = open_side_of(options.checkpoint, options.side)
    encoder = load_encoder(options.checkpoint)
    settings = _cut_of(card)
    dataset = open_dataset(options.data, sample_rate=encoder.sample_rate, duration=None)
    features = FeatureStore.build(dataset, encoder.front_end, trim_db=settings["trim_db"])
    report: ZeroShotReport | ClassesReport
    if features.fingerprint() == card.data.get("fingerprint"):
        split = ClassSplit.from_dict(settings.pop("split"))
        data = ZeroShotData(dataset, side, split, **settings)
        data.setup_for(encoder)
        report = data.evaluate(model, card.calibration, options.bootstrap)
    else:
        print(
            f"musicfsl: {features.name} is not the very data that this model was trained on; all of its clips are "
            "taken for new ones",
            file=sys.stderr,
        )
        report = evaluate_on_other_data(
            model, features, side, card.seen, card.calibration, settings["duration"], options.bootstrap
        )
    return Printed({**report.to_dict(), "data": features.name}, f"{features.name}\n{report}", options.json)


def _cut_of(card: ZeroShotCard) -> dict[str, Any]:
    """How the clips of the training were cut; as usual, where a model was saved without saying so."""
    return {"duration": 1.0, "trim_db": 60.0, **card.data.get("settings", {})}


def _predict(arguments: list[str]) -> Printed:
    parser = CommandParser(
        "zeroshot predict",
        "Rank classes for recordings, by cosine similarity. Any names will do that the side information knows, whether "
        "or not the model has ever heard them.",
        'musicfsl zeroshot predict zeroshot.safetensors a.wav b.mp3 --classes "oud,sitar,theremin"',
    )
    _add_model(parser)
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings")
    parser.add_argument(
        "--classes",
        help="comma-separated class names, or 'all' that the side information knows (default: the seen and unseen "
        "classes of the training)",
    )
    parser.add_argument("--top", type=int, default=5, help="classes to print a recording (default 5)")
    parser.add_argument("--json", action="store_true", help="print all classes as JSON")
    options = parser.parse_args(arguments)
    if options.top < 1:
        raise InputError(f"--top is {options.top}; expected 1 or more")

    card, model = read_zeroshot_card(options.checkpoint), load_zeroshot(options.checkpoint)
    side = open_side_of(options.checkpoint, options.side)
    names = names_of(options.classes)
    if names is None:
        names = [*card.seen, *card.unseen]
    elif names == ["all"]:
        names = side.known_names()
    ranked = rank_classes(model, options.files, names, side, _cut_of(card)["duration"])
    result = [
        {"file": file, "classes": [{"class": name, "similarity": similarity} for name, similarity in classes]}
        for file, classes in ranked.items()
    ]
    lines = []
    for file, classes in ranked.items():
        lines.append(f"{file}:")
        lines += [f"  {similarity:+.3f}  {name}" for name, similarity in classes[: options.top]]
    kind = f"cosine similarity; class vectors from {side.kind}"
    return Printed({"scores": kind, "files": result}, "\n".join([*lines, f"({kind})"]), options.json)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a .safetensors of musicfsl zeroshot fit")
    parser.add_argument("--side", help="where the side information of the training lies now (default: where it lay)")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, metavar="NAME|FOLDER", help="a data set's name, or a folder")


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bootstrap", type=int, default=1000, help="samples for the intervals (default 1000)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
