"""`musicfsl tag predict`: which instruments sound in recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from musicfsl.commands.figures import FIGURES, checked_figure, write_figure
from musicfsl.commands.shared import CommandParser, Printed
from musicfsl.commands.tag_shared import add_tagging_options, thresholds_of, write_table
from musicfsl.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

    from musicfsl.tagging import Tagger

__all__ = ["run"]


class _Heard(NamedTuple):
    """What was heard in one recording.

    Attributes:
        file: its name, as given.
        bounds: float64 ``(W + 1,)`` in seconds: window ``i`` speaks for ``bounds[i]`` to ``bounds[i + 1]``.
        windows: float32 ``(W, C)``, probabilities of the windows.
        probabilities: float32 ``(C,)``, of the recording.
    """

    file: str
    bounds: NDArray[np.float64]
    windows: NDArray[np.float32]
    probabilities: NDArray[np.float32]


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    options = _parser().parse_args(arguments)
    if options.checkpoint is None:
        raise InputError("--checkpoint is missing; name a .ckpt of 'musicfsl tag fit' or a .safetensors of save_tagger")

    from musicfsl.annotation.writers import check_new
    from musicfsl.audio import audio_info
    from musicfsl.tagging import load_tagger
    from musicfsl.tagging.decisions import check_decision

    # All that can be found wrong in an instant is found before anything that takes longer.
    figure_path = checked_figure(options.figure, options.overwrite)
    csv_path = None if options.csv is None else check_new(options.csv, options.overwrite)
    check_decision(options.decision)
    for file in options.files:
        audio_info(file)
    tagger = load_tagger(options.checkpoint).to(options.device)
    thresholds = thresholds_of(options.threshold, tagger)

    heard = [_listen(tagger, file, options.hop, options.decision) for file in options.files]
    written = (
        [] if csv_path is None else [write_table(_rows(heard, tagger.classes, thresholds, options.windows), csv_path)]
    )
    if figure_path is not None:
        written.append(write_figure(_figure(heard, tagger.classes, thresholds), figure_path, options.overwrite))
    result = {
        "checkpoint": str(options.checkpoint),
        "decision": options.decision,
        "thresholds": dict(zip(tagger.classes, thresholds.round(4).tolist(), strict=True)),
        "recordings": [_as_json(found, tagger.classes, thresholds, options.windows) for found in heard],
        "files": [str(path) for path in written],
    }
    lines = [_sentence(found, tagger.classes, thresholds) for found in heard]
    return Printed(result, "\n".join([*lines, *(f"written: {path}" for path in written)]), options.json)


def _parser() -> CommandParser:
    parser = CommandParser(
        "tag predict",
        "Say which instruments sound in recordings of any length, rate and number of channels.",
        "musicfsl tag predict a.wav b.mp3 --checkpoint best.ckpt --csv tags.csv --figure tags.html",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings: WAV, FLAC, OGG or MP3")
    parser.add_argument("--checkpoint", help="of musicfsl tag fit, or a .safetensors of save_tagger")
    parser.add_argument(
        "--csv", metavar="FILE", help="write a row a recording: file, start, end, what is answered, every probability"
    )
    parser.add_argument(
        "--windows", action="store_true", help="in CSV and JSON, tell of each window as well as each file"
    )
    parser.add_argument(
        "--figure",
        metavar="FILE",
        help=f"draw one recording over time, or several side by side ({', '.join(FIGURES)})",
    )
    add_tagging_options(parser)
    return parser


def _listen(tagger: Tagger, file: str, hop: float | None, decision: str) -> _Heard:
    """Runs one recording through the tagger window by window; one shorter than a window is a single one."""
    import numpy as np
    import torch

    from musicfsl.annotation.windows import RecordingWindows
    from musicfsl.audio import audio_info
    from musicfsl.tagging import WindowVotes, tag_recording

    rate, duration, device = tagger.sample_rate, tagger.duration, tagger.classifier.weight.device
    info = audio_info(file)
    if info.n_samples(rate) < round(duration * rate):
        found = tag_recording(tagger, file, hop=hop, decision=decision)
        return _Heard(file, np.array([0.0, info.duration]), found[None], found)
    recording = RecordingWindows(file, rate, duration, duration / 2 if hop is None else hop)
    with torch.no_grad():
        windows = torch.cat([tagger.probabilities(batch.waves.to(device)).cpu() for batch in recording])
    votes = WindowVotes(1, len(tagger.classes))
    votes.add(torch.zeros(len(windows), dtype=torch.int64), windows)
    joined = votes.decide(decision).clamp(0, 1)[0]  # a mean of float32 values may exceed 1 by rounding
    return _Heard(file, recording.bounds, windows.numpy(), joined.numpy())


def _answered(
    probabilities: NDArray[np.float32], classes: list[str], thresholds: NDArray[np.float64]
) -> list[tuple[str, float]]:
    """The classes that reach their thresholds, the most probable first."""
    found = [(name, float(p)) for name, p, least in zip(classes, probabilities, thresholds, strict=True) if p >= least]
    return sorted(found, key=lambda pair: -pair[1])


def _sentence(heard: _Heard, classes: list[str], thresholds: NDArray[np.float64]) -> str:
    answers = _answered(heard.probabilities, classes, thresholds)
    if answers:
        return f"{heard.file}: {', '.join(f'{name} {p:.2f}' for name, p in answers)}"
    best = int(heard.probabilities.argmax())
    return f"{heard.file}: nothing reaches its threshold; most probable {classes[best]} {heard.probabilities[best]:.2f}"


def _rows(
    heard: list[_Heard], classes: list[str], thresholds: NDArray[np.float64], with_windows: bool
) -> Iterator[list[Any]]:
    """A row a recording, from its start to its end; where asked for, one a window below it."""
    yield ["file", "level", "start", "end", "answered", *classes]
    for found in heard:
        whole = (found.bounds[0], found.bounds[-1], found.probabilities)
        parts = [("window", *part) for part in zip(found.bounds[:-1], found.bounds[1:], found.windows, strict=True)]
        for level, start, end, probabilities in [("recording", *whole), *(parts if with_windows else [])]:
            answers = "; ".join(name for name, _ in _answered(probabilities, classes, thresholds))
            yield [found.file, level, f"{start:.3f}", f"{end:.3f}", answers, *(f"{p:.4f}" for p in probabilities)]


def _as_json(heard: _Heard, classes: list[str], thresholds: NDArray[np.float64], with_windows: bool) -> dict[str, Any]:
    def probabilities(values: NDArray[np.float32]) -> dict[str, float]:
        return {name: round(float(p), 4) for name, p in zip(classes, values, strict=True)}

    result: dict[str, Any] = {
        "file": heard.file,
        "duration": round(float(heard.bounds[-1]), 6),
        "answered": [name for name, _ in _answered(heard.probabilities, classes, thresholds)],
        "probabilities": probabilities(heard.probabilities),
    }
    if with_windows:
        result["windows"] = [
            {"start": round(float(start), 6), "end": round(float(end), 6), "probabilities": probabilities(values)}
            for start, end, values in zip(heard.bounds[:-1], heard.bounds[1:], heard.windows, strict=True)
        ]
    return result


def _figure(heard: list[_Heard], classes: list[str], thresholds: NDArray[np.float64]) -> Figure:
    """One recording with its windows over time, or several as a grid."""
    import numpy as np

    from musicfsl.plots import plot_tag_grid, plot_tags

    if len(heard) == 1:
        found = heard[0]
        name = Path(found.file).name
        return plot_tags(found.probabilities, classes, thresholds, found.windows, found.bounds, title=name)
    return plot_tag_grid(
        np.stack([found.probabilities for found in heard]), [Path(f.file).name for f in heard], classes, thresholds
    )
