"""`musicfsl classify`: which class a recording belongs to, from a few examples of each."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicfsl.commands.shared import CommandParser, Printed, quick_imports
from musicfsl.errors import AudioError, InputError

if TYPE_CHECKING:
    from musicfsl.classifier import Classification, FewShotClassifier

__all__ = ["run"]


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    options = _parser().parse_args(arguments)
    saved_as = _check(options)
    with quick_imports():
        import musicfsl.classifier.checkpoints  # noqa: F401 - brings all that is needed below
    with _warnings_in_one_line():
        classifier = _classifier(options)
        saved = None if saved_as is None else str(classifier.save(saved_as))
        files, answers, failed = _answers(classifier, _recordings(options.recordings), options)
    results = [{"recording": file, **_as_json(answer)} for file, answer in zip(files, answers, strict=True)]
    result = {
        "recordings": results,
        "failed": failed,
        "classes": classifier.counts,
        "unknown_threshold": classifier.unknown_threshold,
        "method": classifier.head.name,
        "left_out": [each._asdict() for each in classifier.unusable],
        "saved": saved,
    }
    lines = [line for file, answer in zip(files, answers, strict=True) for line in _lines(file, answer, options)]
    text = "\n".join([*lines, *([] if saved is None else [f"written: {saved}"])])
    return Printed(result, text, options.json, code=2 if failed else 0)


def _parser() -> CommandParser:
    parser = CommandParser(
        "classify",
        "Find out which class recordings belong to, from a few examples of each class.",
        "musicfsl classify what_is_this.wav --support my_sounds/",
    )
    parser.add_argument("recordings", nargs="*", metavar="FILE", help="recordings, or folders of them")
    parser.add_argument("--support", metavar="FOLDER", help="examples: one sub-folder of recordings a class")
    parser.add_argument("--classifier", metavar="FILE", help="one that --save wrote, instead of --support")
    parser.add_argument("--save", metavar="FILE", help="keep the classifier (.safetensors)")
    parser.add_argument(
        "--encoder",
        metavar="NAME|CHECKPOINT",
        help="default, mfcc, cnn14, ast, clap, or a .ckpt or .safetensors (default: the small network that is shipped)",
    )
    parser.add_argument("--method", metavar="NAME", help="what learns from the embeddings (default: ridge)")
    parser.add_argument("--window", type=float, metavar="S", help="seconds heard at a time (default 1)")
    parser.add_argument(
        "--unknown",
        metavar="DISTANCE|never",
        help="distance, 0 to 2, beyond which a sound fits no class (default: fitted to the examples)",
    )
    parser.add_argument(
        "--group-pattern",
        metavar="REGEX",
        help="its parentheses catch the player or session in a path; the threshold for unknown is fitted across these",
    )
    parser.add_argument("--top", type=int, default=3, metavar="N", help="classes that are printed (default 3)")
    parser.add_argument("--explain", type=int, default=0, metavar="N", help="print the N nearest examples too")
    parser.add_argument("--overwrite", action="store_true", help="let --save replace a file that exists")
    parser.add_argument("--strict", action="store_true", help="fail where an example or a recording cannot be used")
    parser.add_argument("--device", help="cpu, cuda, mps (default cpu)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _check(options: argparse.Namespace) -> Path | None:
    """Finds what is wrong with the options before anything that takes longer; returns where to save."""
    if (options.support is None) == (options.classifier is None):
        raise InputError("give either --support, a folder of examples, or --classifier, a file that --save wrote")
    if not options.recordings and options.save is None:
        raise InputError("no recording is given; name one at least, or --save FILE to keep the classifier only")
    if options.classifier is not None:
        for name in ("encoder", "method", "window", "unknown", "group_pattern"):
            if getattr(options, name) is not None:
                option = "--" + name.replace("_", "-")
                raise InputError(f"{option} is given, but {options.classifier} has its own; give it with --support")
    if options.top < 1 or options.explain < 0:
        raise InputError(f"--top is {options.top} and --explain {options.explain}; expected 1 or more, and 0 or more")
    if options.save is None:
        return None
    with quick_imports():
        from musicfsl.annotation.writers import check_new
    return check_new(options.save, options.overwrite)


def _classifier(options: argparse.Namespace) -> FewShotClassifier:
    from musicfsl.classifier import FewShotClassifier

    if options.classifier is not None:
        classifier = FewShotClassifier.load(options.classifier)
        if options.device is not None:
            classifier.encoder.to(options.device)
        return classifier
    given = {name: getattr(options, name) for name in ("encoder", "method", "window", "device")}
    settings = {name: value for name, value in given.items() if value is not None}
    progress = sys.stderr.isatty() and not options.json
    classifier = FewShotClassifier(
        **settings, unknown=_unknown(options.unknown), strict=options.strict, progress=progress
    )
    return classifier.fit(options.support, options.group_pattern)


def _unknown(text: str | None) -> bool | float:
    if text is None or text == "never":
        return text is None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--unknown is '{text}'; expected a distance from 0 to 2, or 'never'") from None


def _recordings(given: Sequence[str]) -> list[str]:
    """The recordings, with those in folders."""
    from musicfsl.classifier.examples import recordings_in

    return [
        str(path)
        for name in given
        for path in ([sound.source for sound in recordings_in(Path(name))] if Path(name).is_dir() else [name])
    ]


def _answers(
    classifier: FewShotClassifier, files: list[str], options: argparse.Namespace
) -> tuple[list[str], list[Classification], list[dict[str, str]]]:
    """What is said of the recordings that can be heard, and why the others cannot."""
    from musicfsl.classifier.sounds import printable

    nearest = max(options.explain, 3 if options.json else 0)
    if classifier.head.is_transductive or options.strict:
        return [printable(file) for file in files], classifier.classify(files, nearest), []
    heard, answers, failed = [], [], []
    for file in files:
        answer = _answer(classifier, file, nearest)
        if isinstance(answer, AudioError):
            failed.append({"recording": printable(file), "reason": str(answer)})
            print(f"musicfsl: {answer}", file=sys.stderr)
        else:
            heard.append(printable(file))
            answers.append(answer)
    return heard, answers, failed


def _answer(classifier: FewShotClassifier, file: str, nearest: int) -> Classification | AudioError:
    try:
        return classifier.classify(file, nearest)
    except AudioError as error:
        return error


def _as_json(answer: Classification) -> dict[str, Any]:
    return {**answer._asdict(), "nearest": [neighbour._asdict() for neighbour in answer.nearest]}


def _lines(file: str, answer: Classification, options: argparse.Namespace) -> list[str]:
    best = list(answer.probabilities.items())[: options.top]
    return [
        f"{file}: {answer.label}",
        *(f"  {probability:.2f}  {name}" for name, probability in best),
        *(f"    like {near.sound} ({near.label}, {near.similarity:.2f})" for near in answer.nearest[: options.explain]),
    ]


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Says warnings as the command says everything else, without the line of code that they come from."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"musicfsl: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
