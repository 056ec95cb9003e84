"""Windows as audio files, one folder a class, with a table that says where each came from.

`AudioFolder` reads the table, so that windows keep their groups, and augmented copies stay out of evaluation.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicfsl._progress import progress_bar
from musicfsl.audio import AUDIO_SUFFIXES
from musicfsl.caching import atomic_directory
from musicfsl.errors import CacheError, DatasetError, InputError

if TYPE_CHECKING:
    from musicfsl.datasets.windowed import WindowedRecordings

__all__ = ["GROUP_PATTERN", "TABLE_NAME", "WindowTable", "read_window_table", "refuse_existing", "write_windows"]

#: Name of the table, in the folder above the class folders.
TABLE_NAME = "windows.csv"

#: Finds the group in the path of a window, for programs that do not read the table.
GROUP_PATTERN = r"/([^/]+)/"

_COLUMNS = ("path", "class", "group", "recording", "start", "seconds", "is_copy", "parameters")


class WindowTable(NamedTuple):
    """What the table says of recordings, in the order asked for.

    Attributes:
        groups: name of the group of each.
        is_copy: bool, True for augmented copies.
    """

    groups: list[str]
    is_copy: NDArray[np.bool_]


def write_windows(dataset: WindowedRecordings, output: Path, progress: bool = False) -> None:
    """Writes every window and copy as a 16-bit WAV file, ``class/group/recording_start.wav``, and the table.

    The folder appears under its name when it is complete.

    Args:
        dataset: its windows are written whole.
        output: a folder that does not exist yet.
        progress: show a progress bar.

    Raises:
        InputError: the folder exists, cannot be written, or a class name cannot be the name of a folder.
        AudioError: a recording cannot be read.
    """
    import soundfile

    refuse_existing(output)
    for name in dataset.classes:
        if name.startswith(".") or set(name) & set('/\\:*?"<>|') or name != name.strip():
            raise InputError(f"the class '{name}' cannot be the name of a folder everywhere; rename it")
    names = _file_names(dataset)
    try:
        with atomic_directory(output) as folder, (folder / TABLE_NAME).open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(_COLUMNS)
            for i in progress_bar(range(len(dataset)), desc="windows", unit="window", show=progress):
                path = folder / names[i]
                path.parent.mkdir(parents=True, exist_ok=True)
                wave = dataset.read(i)[0].numpy()
                soundfile.write(path, wave, dataset.sample_rate, subtype="PCM_16")
                table.writerow(_row(dataset, i, names[i]))
    except (CacheError, soundfile.SoundFileError) as error:
        reason = getattr(error.__context__, "strerror", None) or error
        raise InputError(f"{output} cannot be written ({reason}); name another folder") from None


def refuse_existing(output: Path) -> None:
    """Raises an `InputError` where there is something under that name."""
    if output.exists():
        raise InputError(f"{output} exists already; name another folder, or remove it first")


def read_window_table(root: Path, paths: Sequence[str]) -> WindowTable | None:
    """Reads the table of a folder of windows.

    Args:
        root: the folder.
        paths: its recordings, relative to it; windows that were deleted are not missed.

    Returns:
        what it says of these recordings; None where there is no table.

    Raises:
        DatasetError: the table is damaged, or says nothing of a recording.
    """
    file = root / TABLE_NAME
    if not file.is_file():
        return None
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            flags = {"0": False, "1": True}
            rows = {row["path"]: (row["group"], flags[row["is_copy"]]) for row in csv.DictReader(text)}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DatasetError(
            f"{file} is damaged ({type(error).__name__}: {error}); expected the columns {', '.join(_COLUMNS)}, as "
            "'musicfsl data windows' writes them"
        ) from None
    unknown = [path for path in paths if path not in rows]
    if unknown:
        raise DatasetError(
            f"{file} says nothing of {len(unknown)} recordings, such as {unknown[0]}; add them to it (is_copy 1 for "
            "augmented copies, else 0), or take them elsewhere. Without the table, nothing is known of copies"
        )
    return WindowTable([rows[path][0] for path in paths], np.array([rows[path][1] for path in paths]))


def _row(dataset: WindowedRecordings, index: int, path: str) -> list[str | int]:
    assert dataset.groups is not None
    return [
        path,
        dataset.classes[int(dataset.targets[index])],
        dataset.group_names[int(dataset.groups[index])],
        dataset.paths[int(dataset.file_of[index])],
        f"{dataset.starts[index] / dataset.sample_rate:.6f}",
        f"{dataset.lengths[index] / dataset.sample_rate:.6f}",
        int(dataset.copy_number[index] > 0),
        json.dumps(dataset.parameters(index)),
    ]


def _file_names(dataset: WindowedRecordings) -> list[str]:
    """``class/group/recording_start.wav`` of every window; ``_copy1`` and so on behind the start of copies."""
    assert dataset.groups is not None
    folders = _distinct([_without_suffix(name) for name in dataset.group_names])
    # Several recordings of a class and group may have the same name, in different folders.
    together: dict[tuple[int, int], list[int]] = {}
    for file, i in zip(*np.unique(dataset.file_of, return_index=True), strict=True):
        together.setdefault((int(dataset.targets[i]), int(dataset.groups[i])), []).append(int(file))
    recordings: dict[int, str] = {}
    for files in together.values():
        stems = [_without_suffix(Path(dataset.paths[file]).name) for file in files]
        recordings |= dict(zip(files, _distinct(stems), strict=True))
    names = []
    for i in range(len(dataset)):
        start = int(dataset.starts[i]) / dataset.sample_rate  # microseconds tell any two samples apart
        copy = f"_copy{dataset.copy_number[i]}" if dataset.copy_number[i] else ""
        label, group = dataset.classes[int(dataset.targets[i])], folders[int(dataset.groups[i])]
        names.append(f"{label}/{group}/{recordings[int(dataset.file_of[i])]}_{start:012.6f}s{copy}.wav")
    return names


def _without_suffix(name: str) -> str:
    """The name of a recording without ".wav" and the like; other names as they are."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in AUDIO_SUFFIXES else name


def _distinct(names: Sequence[str]) -> list[str]:
    """Names as parts of file names: no two alike, also where upper and lower case are one."""
    taken: set[str] = set()
    distinct = []
    for name in names:
        safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ")[:80] or "_"
        number, chosen = 2, safe
        while chosen.casefold() in taken:
            chosen, number = f"{safe}-{number}", number + 1
        taken.add(chosen.casefold())
        distinct.append(chosen)
    return distinct
