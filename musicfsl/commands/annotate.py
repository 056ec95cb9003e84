"""`musicfsl annotate`: what sounds when in a long recording, from a few examples of each class."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicfsl.commands.figures import FIGURES, checked_figure, write_figure
from musicfsl.commands.shared import CommandParser, Printed
from musicfsl.errors import InputError, MissingExtraError, import_extra

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from musicfsl.annotation import Annotation

__all__ = ["run"]

# Kind of file -> how its name ends in a folder of --output.
_ENDINGS = {"csv": ".csv", "json_file": ".jams", "audacity": ".txt", "figure": ".html"}


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    options = _parser().parse_args(arguments)

    from musicfsl.annotation import Recognizer, annotate_recording, embed_support, open_encoder, open_support
    from musicfsl.audio import audio_info
    from musicfsl.taxonomy import Taxonomy

    # All that can be found wrong in an instant is found before anything that takes longer.
    files = _files(options)
    audio_info(options.recording)
    taxonomy = None if options.taxonomy is None else Taxonomy.load(options.taxonomy)
    opened = open_encoder(options.encoder)
    if not opened.is_trained:
        print(
            f"musicfsl: without --encoder, sounds are compared by {opened.name}, a baseline; a trained encoder "
            "recognises more ('musicfsl fit --data synthetic' trains one)",
            file=sys.stderr,
        )
    encoder = opened.encoder.to(options.device)
    progress = sys.stderr.isatty() and not options.json
    examples = open_support(options.support, encoder, progress=progress)
    if taxonomy is not None:
        taxonomy = taxonomy.prune(examples.classes)
    support = embed_support(encoder, examples, options.window, progress=progress)
    recognizer = Recognizer(encoder, opened.head, support, options.temperature)
    annotation = annotate_recording(
        options.recording,
        recognizer,
        options.hop,
        silence_db=options.silence or None,
        penalty=options.penalty,
        min_duration=options.min_duration,
        taxonomy=taxonomy,
        threshold=options.threshold,
        progress=progress,
    )
    settings = {
        "encoder": opened.name,
        "support": str(options.support),
        "classes": support.classes,
        "taxonomy": options.taxonomy,
        "threshold": options.threshold,
        "window": options.window,
        "hop": options.hop,
        "silence_db": options.silence or None,
        "penalty": options.penalty,
        "min_duration": options.min_duration,
        "temperature": recognizer.temperature,
    }
    written = _write(annotation, files, options.overwrite, settings)
    names = {kind: str(path) for kind, path in written.items()}
    result = {**annotation.to_dict(), "settings": settings, "files": names}
    return Printed(result, _text(annotation, list(written.values())), options.json)


def _parser() -> CommandParser:
    parser = CommandParser(
        "annotate",
        "Find out what sounds when in a recording of any length, from a few examples of each class.",
        "musicfsl annotate concert.flac --support my_sounds/ --encoder best.ckpt --output annotations/",
    )
    parser.add_argument("recording", help="a WAV, FLAC, OGG or MP3 file")
    parser.add_argument(
        "--support", required=True, metavar="FOLDER", help="examples: one sub-folder of recordings a class"
    )
    parser.add_argument(
        "--encoder", metavar="CHECKPOINT", help="of musicfsl fit or save_encoder (default: a baseline, mean MFCCs)"
    )
    parser.add_argument(
        "--taxonomy",
        metavar="NAME|FILE",
        help="name unsure segments after a family: a shipped taxonomy (hornbostel-sachs, families) or a YAML file",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="least probability of a label, 0 to 1; without a taxonomy, what does not reach it is 'unknown' "
        "(default 0.5 with a taxonomy, 0 without)",
    )
    parser.add_argument("--window", type=float, default=1.0, metavar="S", help="seconds heard at a time (default 1)")
    parser.add_argument("--hop", type=float, default=0.5, metavar="S", help="seconds between windows (default 0.5)")
    parser.add_argument(
        "--silence",
        type=float,
        default=50.0,
        metavar="DB",
        help="what is so far below the loudest part is silence; 0 for none (default 50)",
    )
    parser.add_argument(
        "--penalty", type=float, default=3.0, help="against changes of label; 0 does not smooth (default 3)"
    )
    parser.add_argument(
        "--min-duration", type=float, default=0.0, metavar="S", help="shortest segment in seconds (default 0)"
    )
    parser.add_argument("--temperature", type=float, help="of the probabilities (default: fitted to the examples)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps (default cpu)")
    parser.add_argument("--output", metavar="DIR", help="write all four files below, named like the recording")
    parser.add_argument("--csv", metavar="FILE", help="write start, end, label, confidence")
    parser.add_argument("--json-file", metavar="FILE", help="write a JAMS file (JSON)")
    parser.add_argument("--audacity", metavar="FILE", help="write a label track for Audacity")
    parser.add_argument("--figure", metavar="FILE", help=f"draw a timeline ({', '.join(FIGURES)})")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _files(options: argparse.Namespace) -> dict[str, Path]:
    """Kind of file -> where it goes, once nothing stands in its way."""
    from musicfsl.annotation.writers import check_new

    named = {kind: getattr(options, kind) for kind in _ENDINGS}
    files = {kind: Path(name) for kind, name in named.items() if name is not None}
    if "figure" in files:
        checked_figure(named["figure"], options.overwrite)
    if options.output is not None:
        for kind, ending in _ENDINGS.items():
            files.setdefault(kind, Path(options.output) / f"{Path(options.recording).stem}{ending}")
        if named["figure"] is None and not _can_draw():
            del files["figure"]
    for path in files.values():
        check_new(path, options.overwrite)
        if path.resolve() == Path(options.recording).resolve():
            raise InputError(f"{path} is the recording itself; name another file")
    return files


def _can_draw() -> bool:
    try:
        import_extra("plotly", extra="plots")
    except MissingExtraError as error:
        print(f"musicfsl: no figure is drawn: {error}", file=sys.stderr)
        return False
    return True


def _write(
    annotation: Annotation, files: dict[str, Path], overwrite: bool, settings: dict[str, Any]
) -> dict[str, Path]:
    from musicfsl.annotation import write_audacity, write_csv, write_jams

    written = {}
    if "csv" in files:
        written["csv"] = write_csv(annotation, files["csv"], overwrite)
    if "json_file" in files:
        written["json_file"] = write_jams(annotation, files["json_file"], overwrite, settings)
    if "audacity" in files:
        written["audacity"] = write_audacity(annotation, files["audacity"], overwrite)
    if "figure" in files:
        written["figure"] = write_figure(_timeline(annotation), files["figure"], overwrite)
    return written


def _timeline(annotation: Annotation) -> Figure:
    from musicfsl.plots import plot_timeline

    return plot_timeline(
        annotation.segments,
        annotation.probabilities,
        annotation.bounds,
        annotation.names,
        title=Path(annotation.recording).name,
    )


def _text(annotation: Annotation, written: list[Path]) -> str:
    lines = [
        f"{segment.start:9.2f} {segment.end:9.2f}  {segment.confidence:.2f}  {segment.label}"
        for segment in ([] if written else annotation.segments)
    ]
    lines.append(
        f"{len(annotation.segments)} segments of {len(annotation.labels)} labels in {annotation.duration:.1f} s"
    )
    return "\n".join([*lines, *(f"written: {path}" for path in written)])
