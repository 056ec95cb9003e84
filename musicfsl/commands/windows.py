"""`musicfsl data windows`: long recordings cut into windows, counted and written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicfsl.commands.shared import Printed

if TYPE_CHECKING:
    from musicfsl.datasets import WindowedRecordings

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME|FOLDER", help="a data set, or a folder with a sub-folder a class")
    parser.add_argument("--example-length", type=float, default=1.0, help="seconds of a window (default 1)")
    parser.add_argument("--hop-length", type=float, help="seconds between starts (default: windows end to end)")
    parser.add_argument(
        "--silence-db", type=float, default=60.0, help="silence begins so far below the loudest part (default 60)"
    )
    parser.add_argument(
        "--min-sounding", type=float, default=0.25, help="share of a window that must sound (default 0.25)"
    )
    parser.add_argument("--keep-silence", action="store_true", help="keep all windows")
    parser.add_argument("--short", choices=("refuse", "pad"), help="what to do with recordings shorter than a window")
    parser.add_argument("--group-pattern", help="of a folder: regular expression for the group in a path")
    parser.add_argument("--sample-rate", type=int, default=16000, help="of the windows in Hz (default 16000)")
    parser.add_argument("--copies", type=int, default=0, help="augmented copies of each window (default none)")
    parser.add_argument("--seed", type=int, default=0, help="of the copies (default 0)")
    parser.add_argument("--output", type=Path, help="new folder to write the windows to, for --data of other commands")


def run(options: argparse.Namespace) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    from musicfsl.datasets._window_table import GROUP_PATTERN, refuse_existing, write_windows
    from musicfsl.errors import InputError

    progress = sys.stderr.isatty()
    output = None if options.output is None else options.output.expanduser().absolute()
    if output is not None:
        refuse_existing(output)  # before hours of work
        if Path(options.name).is_dir() and output.is_relative_to(Path(options.name).absolute()):
            raise InputError(f"--output is {output}, within the recordings themselves; name a folder elsewhere")
    dataset = _open(options, progress)
    result = {**_counts(dataset), "output": None, "group_pattern": None}
    lines = _lines(result)
    if output is not None:
        write_windows(dataset, output, progress)
        result |= {"output": str(output), "group_pattern": GROUP_PATTERN}
        lines += [
            f"written to {output}, with the table windows.csv: musicfsl fit --data {options.output}",
            f"(musicfsl takes groups and copies from the table; elsewhere, groups are found by {GROUP_PATTERN})",
        ]
    return Printed(result, "\n".join(lines), options.json)


def _open(options: argparse.Namespace, progress: bool) -> WindowedRecordings:
    from musicfsl.datasets import WindowedRecordings, dataset_names, open_dataset
    from musicfsl.datasets.registry import is_windowed
    from musicfsl.errors import InputError

    settings: dict[str, Any] = {
        "example_length": options.example_length,
        "hop_length": options.hop_length,
        "silence_db": None if options.keep_silence else options.silence_db,
        "min_sounding": options.min_sounding,
        "sample_rate": options.sample_rate,
        "n_copies": options.copies,
        "seed": options.seed,
        "progress": progress,
    }
    if options.short is not None:
        settings["short"] = options.short
    source: dict[str, Any] = {} if options.root is None else {"root": options.root}
    if options.name not in dataset_names():
        if source:
            raise InputError(f"--root names the place of a data set; {options.name} is a folder itself")
        if options.group_pattern is not None:
            source["group_pattern"] = options.group_pattern
        return WindowedRecordings.from_dataset(open_dataset(options.name, duration=None, **source), **settings)
    if options.group_pattern is not None:
        raise InputError(f"--group-pattern is for folders; {options.name} knows its groups")
    if is_windowed(options.name):
        dataset = open_dataset(options.name, **source, **settings)
        assert isinstance(dataset, WindowedRecordings)
        return dataset
    if options.name == "synthetic":
        raise InputError("synthetic has no recordings in files; name another data set, or a folder")
    return WindowedRecordings.from_dataset(open_dataset(options.name, duration=None, **source), **settings)


def _counts(dataset: WindowedRecordings) -> dict[str, Any]:
    """How many windows and seconds there are, and how many are silence, in all and by class."""
    import numpy as np

    is_copy = dataset.copy_number > 0
    seconds = dataset.lengths / dataset.sample_rate
    silent = dataset.silent_windows
    by_class: dict[str, Any] = {
        name: {
            "recordings": len(np.unique(dataset.file_of[mine])),
            "groups": len(np.unique(dataset.groups[mine])),  # type: ignore[index]
            "windows": int((mine & ~is_copy).sum()),
            "copies": int((mine & is_copy).sum()),
            "seconds": round(float(seconds[mine & ~is_copy].sum()), 3),
            "silent_windows": int(silent[np.unique(dataset.file_of[mine])].sum()),
        }
        for c, name in enumerate(dataset.classes)
        for mine in [dataset.targets == c]
    }
    n_windows, n_silent = int((~is_copy).sum()), int(silent.sum())
    return {
        "name": dataset.name,
        "recordings": len(dataset.paths),
        "recorded_seconds": round(float(dataset.file_lengths.sum()) / dataset.sample_rate, 3),
        "example_length": dataset.example_length,
        "hop_length": dataset.hop_length,
        "windows": n_windows,
        "copies": int(is_copy.sum()),
        "seconds": round(float(seconds[~is_copy].sum()), 3),
        "silent_windows": n_silent,
        "silent_share": round(n_silent / (n_silent + n_windows), 4),
        "recordings_without_windows": dataset.without_windows,
        "classes": by_class,
    }


def _lines(result: dict[str, Any]) -> list[str]:
    width = max(len(name) for name in result["classes"])
    lines = [
        f"{name:{width}}  {of['windows']:7} windows ({of['seconds']:.0f} s) of {of['recordings']} recordings, "
        f"{of['silent_windows']} left out as silence"
        for name, of in result["classes"].items()
    ]
    lost = len(result["recordings_without_windows"])
    lines.append(
        f"{result['name']}: {result['windows']} windows of {result['example_length']:g} s every "
        f"{result['hop_length']:g} s ({result['seconds']:.0f} s) from {result['recordings']} recordings "
        f"({result['recorded_seconds']:.0f} s); {result['silent_windows']} windows ({result['silent_share']:.1%}) left "
        f"out as silence" + (f", all of {lost} recordings" if lost else "")
    )
    if result["copies"]:
        lines.append(f"and {result['copies']} augmented copies, which evaluation leaves out")
    return lines
