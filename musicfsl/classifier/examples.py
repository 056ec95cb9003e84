"""The examples of every class, from a folder, a mapping or a data set."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from musicfsl.audio import AUDIO_SUFFIXES
from musicfsl.classifier.sounds import (
    Example,
    Item,
    Sound,
    check_waves,
    class_name,
    is_one_sound,
    printable,
    sound_of,
    sounds_of,
)
from musicfsl.datasets import ClassConditionalDataset
from musicfsl.datasets._window_table import TABLE_NAME, read_window_table
from musicfsl.datasets.folder import captured_groups, walk_files
from musicfsl.errors import DatasetError, InputError

__all__ = ["examples_of", "recordings_in", "sounds_of_class"]

# Files that one warning names; the rest is only counted.
_NAMED = 10


def examples_of(given: Any, group_pattern: str | None = None) -> list[Example]:
    """The examples in a folder (one sub-folder a class), a mapping of class names to sounds, or a data set.

    Args:
        given: one of these.
        group_pattern: finds the group in a path below the folder (`captured_groups`).

    Raises:
        DatasetError: a folder is not laid out like this, or cannot be listed; or the pattern does not fit a path.
        InputError: something else was given; or a pattern, where there is no folder.
    """
    if isinstance(given, str | os.PathLike):
        return _of_folder(Path(given).expanduser(), group_pattern)
    if group_pattern is not None:
        raise InputError("group_pattern finds groups in the paths of a folder; a data set knows its own, a dict none")
    if isinstance(given, Mapping):
        return [Example(sound, class_name(name)) for name, of in given.items() for sound in sounds_of_class(of, name)]
    if isinstance(given, ClassConditionalDataset):
        return _of_dataset(given)
    raise InputError(
        f"the examples are a {type(given).__name__}; expected a folder with a sub-folder a class, a dict of class "
        "names to lists of sounds, or a data set"
    )


def sounds_of_class(given: Any, name: str) -> list[Sound]:
    """The sounds of one class: one or a list of them, where a folder stands for all recordings in it.

    Raises:
        DatasetError: a folder holds no recordings, or cannot be listed.
        InputError: it is something else, or empty.
    """
    several = [given] if is_one_sound(given) else given
    if isinstance(several, Sequence) and not isinstance(several, bytes):
        found = []
        for i, each in enumerate(several):
            if isinstance(each, str | os.PathLike) and Path(each).expanduser().is_dir():
                found += recordings_in(Path(each).expanduser())
            else:
                found.append(sound_of(each, f"sound {i} of '{name}'"))
    else:
        found = sounds_of(several, f"sound of '{name}'")
    if not found:
        raise InputError(f"class '{name}' has no example; give at least one, or leave it out")
    return found


def recordings_in(folder: Path) -> list[Sound]:
    """All recordings in a folder and the folders within it.

    Raises:
        DatasetError: there are none, or a folder cannot be listed.
    """
    paths = [path for path in sorted(walk_files(folder)) if _is_recording(path)]
    if not paths:
        raise DatasetError(f"{printable(folder)} holds no recordings; expected files that end in {_ENDINGS}")
    return [Sound(printable(folder / path), folder / path) for path in paths]


def _of_folder(root: Path, group_pattern: str | None) -> list[Example]:
    if not root.is_dir():
        raise DatasetError(f"{printable(root)} is not a folder; expected one with a sub-folder of recordings a class")
    entries = _visible(root)
    folders = [entry for entry in entries if entry.is_dir()]
    # A link within a class may lead up again, or into another class, whose sounds are not this one's.
    above = [root.resolve(), *root.resolve().parents]
    paths: list[str] = []
    left_out = [entry.name for entry in entries if not entry.is_dir() and entry.name != TABLE_NAME]
    for folder in folders:
        others = [other for other in folders if other.resolve() != folder.resolve()]
        files = [f"{folder.name}/{file}" for file in sorted(walk_files(folder, visited=[*above, *others]))]
        recordings = [file for file in files if _is_recording(file)]
        if not recordings:
            raise DatasetError(
                f"the class folder {printable(folder)} holds no recordings; every sub-folder is a class, so add files "
                f"that end in {_ENDINGS}, or move it elsewhere"
            )
        paths += recordings
        left_out += sorted(set(files) - set(recordings))
    if not paths:
        raise DatasetError(
            f"{printable(root)} has no sub-folders; expected one sub-folder of recordings a class, named like the class"
        )
    if left_out:
        warnings.warn(
            f"what is no recording in a class folder was left out of {printable(root)}: {named(left_out)}",
            stacklevel=4,
        )
    table = read_window_table(root, paths)
    groups = None if table is None else table.groups
    if group_pattern is not None:
        groups = captured_groups(group_pattern, paths)
    return [
        Example(
            Sound(printable(path), root / path),
            class_name(path.partition("/")[0]),
            None if groups is None else groups[i],
        )
        for i, path in enumerate(paths)
        if table is None or not table.is_copy[i]
    ]


def _of_dataset(dataset: ClassConditionalDataset) -> list[Example]:
    check_waves(dataset)
    dataset = dataset.originals()
    return [
        Example(
            Sound(printable(dataset.item_name(i)), Item(dataset, i)),
            class_name(dataset.classes[int(target)]),
            None if dataset.groups is None else str(dataset.groups[i]),
        )
        for i, target in enumerate(dataset.targets)
    ]


def _visible(root: Path) -> list[Path]:
    try:
        return sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{printable(root)} cannot be listed ({error.strerror}); check its permissions") from None


def _is_recording(path: str) -> bool:
    return Path(path).suffix.lower() in AUDIO_SUFFIXES


def named(names: Sequence[str]) -> str:
    """The names in a list, as far as a reader can take them in."""
    more = len(names) - _NAMED
    return "; ".join(map(printable, names[:_NAMED])) + (f"; and {more} more" if more > 0 else "")


_ENDINGS = ", ".join(AUDIO_SUFFIXES)
