"""The `musicfsl` command.

Each command is one function below: its options, then what it does. Heavy modules are imported by the
command that needs them, so that ``musicfsl --help`` answers at once.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from musicfsl._version import __version__
from musicfsl.errors import InputError, MusicfslError, did_you_mean

if TYPE_CHECKING:
    from musicfsl.datasets import ClassConditionalDataset

__all__ = ["main"]

_USAGE = """\
musicfsl COMMAND ...

  fit         train an encoder on a data set or a folder of recordings
  validate    run the validation episodes of a checkpoint
  test        run the test episodes of a checkpoint
  evaluate    few-shot accuracy of a checkpoint on any data, with its interval
  embed       write the embeddings of all clips to a file
  zeroshot    recognise classes that have no recordings: fit, evaluate, predict
  data        list, prepare or verify data sets
  demo        train on the embedded set and compare with the baseline

musicfsl COMMAND --help lists the options of a command.
example: musicfsl fit --data my_sounds/"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: what stands behind ``musicfsl``; None takes ``sys.argv``.

    Returns:
        the exit code, which is 0, or 2 for a mistake of the user's that is told in one line.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"musicfsl {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    try:
        if name not in _COMMANDS:
            raise InputError(f"there is no command '{name}'.{did_you_mean(name, _COMMANDS)} See musicfsl --help")
        return _COMMANDS[name](rest)
    except MusicfslError as error:
        print(f"musicfsl: {error}", file=sys.stderr)
        return 2
    except SystemExit as stop:  # from a parser, which has said why
        return stop.code if isinstance(stop.code, int) else 2
    except BrokenPipeError:  # what reads our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("musicfsl: stopped", file=sys.stderr)
        return 130


def _train(command: str) -> Callable[[list[str]], int]:
    def run(arguments: list[str]) -> int:
        _quieten_lightning()
        from musicfsl.training.command import run_training_command

        results, as_json = run_training_command(command, arguments)
        lines = []
        for name, value in results.items():
            text = value["text"] if isinstance(value, dict) else value
            lines.append(f"{name}: {text}")
        _print(results, "\n".join(lines), as_json)
        return 0

    return run


def _evaluate(arguments: list[str]) -> int:
    parser = _Parser(
        "evaluate",
        "Few-shot accuracy of a checkpoint on a data set or a folder of recordings, one sub-folder a class.",
        "musicfsl evaluate best.ckpt --data my_sounds/ --n-way 5 --n-support 5 --json",
    )
    _add_checkpoint_and_data(parser)
    parser.add_argument("--n-way", type=int, default=5, help="classes an episode (default 5)")
    parser.add_argument("--n-support", type=int, default=5, help="labelled clips a class, the shots (default 5)")
    parser.add_argument("--n-query", type=int, default=15, help="clips to recognise a class (default 15)")
    parser.add_argument("--episodes", type=int, default=1000, help="number of episodes (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the episodes (default 0)")
    parser.add_argument("--mix-groups", action="store_true", help="let support and query share a player or song")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)

    from musicfsl.checkpoints import load_head, read_card
    from musicfsl.evaluation import evaluate_episodes

    card = read_card(options.checkpoint)
    dataset, embeddings = _embedded(options, default_classes=card.data.get("test_classes"))
    report = evaluate_episodes(
        embeddings,
        dataset.targets,
        load_head(options.checkpoint),
        options.n_way,
        options.n_support,
        options.n_query,
        options.episodes,
        options.seed,
        groups=None if options.mix_groups else dataset.groups,
        class_names=dataset.classes,
        is_synthetic=dataset.is_synthetic,
    )
    not_new = sorted(set(dataset.classes) & {*card.classes, *card.data.get("val_classes", ())})
    if not_new:
        print(
            f"musicfsl: not new to this checkpoint, which saw classes of these names: {', '.join(not_new)}",
            file=sys.stderr,
        )
    result = {**report.to_dict(), "data": dataset.name, "classes": dataset.classes, "classes_not_new": not_new}
    _print(result, f"{dataset.name}, {len(dataset.classes)} classes: {report}", options.json)
    return 0


def _embed(arguments: list[str]) -> int:
    parser = _Parser(
        "embed",
        "Write the embedding, class and group of every clip to a NumPy .npz file.",
        "musicfsl embed best.ckpt --data my_sounds/ --output embeddings.npz",
    )
    _add_checkpoint_and_data(parser)
    parser.add_argument("--output", required=True, help="file to write (.npz)")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    options = parser.parse_args(arguments)
    output = Path(options.output)
    if output.suffix != ".npz":
        raise InputError(f"--output is {output}; expected a file name that ends in .npz")

    import numpy as np

    dataset, embeddings = _embedded(options, default_classes=None)
    content = {"embeddings": embeddings.numpy(), "targets": dataset.targets, "classes": np.array(dataset.classes)}
    if dataset.groups is not None:
        content["groups"] = dataset.groups
    temporary = output.with_name(f".{output.name}.tmp.npz")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        np.savez(temporary, **content)
        temporary.replace(output)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another --output") from None
    result = {"output": str(output), "n_clips": len(dataset), "dim": embeddings.shape[1], "classes": dataset.classes}
    _print(result, f"{len(dataset)} embeddings of size {embeddings.shape[1]} in {output}", options.json)
    return 0


def _zeroshot(arguments: list[str]) -> int:
    _quieten_lightning()
    from musicfsl.training.zeroshot.command import run_zeroshot_command

    printed = run_zeroshot_command(arguments, _Parser)
    _print(printed.result, printed.text, printed.as_json)
    return 0


def _data(arguments: list[str]) -> int:
    parser = _Parser("data", "List, prepare or verify data sets.", "musicfsl data prepare tinysol")
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|prepare|verify", parser_class=_Parser)
    listing = actions.add_parser("list", description="All data sets by name.", epilog="musicfsl data list --json")
    prepare = actions.add_parser(
        "prepare", description="Download (or make) a data set, and check it.", epilog="musicfsl data prepare tinysol"
    )
    prepare.add_argument("name", help="see musicfsl data list")
    verify = actions.add_parser(
        "verify", description="Decode every recording, or compare checksums.", epilog="musicfsl data verify my_sounds/"
    )
    verify.add_argument("name", metavar="NAME|FOLDER")
    for action in (prepare, verify):
        action.add_argument("--root", help="folder of the data set (default: the usual place)")
    for action in (listing, prepare, verify):
        action.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)

    from dataclasses import asdict

    from musicfsl.datasets import dataset_info, dataset_names, prepare_dataset, verify_dataset

    if options.action == "list":
        infos = [dataset_info(name) for name in dataset_names()]
        width = max(len(info.name) for info in infos)
        lines = [f"{info.name:{width}}  {info.description} ({info.size}; {info.licence})" for info in infos]
        _print([asdict(info) for info in infos], "\n".join(lines), options.json)
        return 0
    run = prepare_dataset if options.action == "prepare" else verify_dataset
    report = run(options.name, options.root, show_progress=not options.json)
    lines = [f"{problem.path}: {problem.reason}" for problem in report.problems]
    lines.append(f"{report.name}: {report.n_recordings} recordings, {len(report.problems)} with a problem")
    _print(report.to_dict(), "\n".join(lines), options.json)
    return 0 if report.ok else 2


def _demo(arguments: list[str]) -> int:
    parser = _Parser(
        "demo",
        "Train on some instruments of the embedded synthetic set, and test on others: a few minutes on two cores.",
        "musicfsl demo --json",
    )
    parser.add_argument("--epochs", type=int, default=6, help="epochs of training (default 6)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the class split, the weights and the episodes (default 0)"
    )
    parser.add_argument("--output", default="runs", help="folder for logs and checkpoints (default runs)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)

    _quieten_lightning()
    from musicfsl.training.demo import run_demo

    reports = run_demo(epochs=options.epochs, seed=options.seed, output=options.output)
    width = max(len(name) for name in reports)
    text = "\n".join(f"{name:{width}}  {report}" for name, report in reports.items())
    _print({name: report.to_dict() for name, report in reports.items()}, text, options.json)
    return 0


def _add_checkpoint_and_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a .ckpt of musicfsl fit, or a .safetensors of save_encoder")
    parser.add_argument("--data", required=True, metavar="NAME|FOLDER", help="a data set's name, or a folder")
    parser.add_argument(
        "--classes",
        help="comma-separated class names (default: the test classes, where the data is what the checkpoint was "
        "trained on, else all)",
    )
    parser.add_argument(
        "--duration", type=float, default=1.0, help="seconds that the network sees at a time (default 1)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps (default cpu)")


def _embedded(options: argparse.Namespace, default_classes: list[str] | None) -> tuple[ClassConditionalDataset, Any]:
    """The data set that the options name, some of its classes, and the embeddings of their clips."""
    from musicfsl.checkpoints import load_encoder, read_card
    from musicfsl.datasets import open_dataset
    from musicfsl.embedding import embed_dataset
    from musicfsl.features import FeatureStore

    encoder = load_encoder(options.checkpoint)
    source = open_dataset(options.data, sample_rate=encoder.sample_rate, duration=None)
    store: ClassConditionalDataset = FeatureStore.build(source, encoder.front_end)
    if options.classes:
        store = store.subset(classes=[name.strip() for name in options.classes.split(",")])
    elif default_classes and read_card(options.checkpoint).data.get("name") == store.name:
        store = store.subset(classes=default_classes)
    return store, embed_dataset(
        encoder, store, duration=options.duration, device=options.device, progress=sys.stderr.isatty()
    )


def _quieten_lightning() -> None:
    """Silences what Lightning tells every user and no user of this command can change."""
    # It calls names that newer jsonargparse versions warn of.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    # It advises more workers by the number of processors; reading stored features takes a few milliseconds a step.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # It calls a function that torch has renamed.
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    # It advertises a service in a log message.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()
    )


def _print(result: Any, text: str, as_json: bool) -> None:
    print(json.dumps(result, ensure_ascii=False) if as_json else text, flush=True)


class _Parser(argparse.ArgumentParser):
    """Shows an example in its help, and answers a mistake with one line."""

    def __init__(self, name: str = "", description: str = "", epilog: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("prog", f"musicfsl {name}")
        super().__init__(description=description, epilog=f"example: {epilog}", allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        print(f"musicfsl: {message} (options: {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "fit": _train("fit"),
    "validate": _train("validate"),
    "test": _train("test"),
    "evaluate": _evaluate,
    "embed": _embed,
    "zeroshot": _zeroshot,
    "data": _data,
    "demo": _demo,
}
