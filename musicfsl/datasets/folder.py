"""A folder of recordings, one sub-folder a class."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from musicfsl.audio import AUDIO_SUFFIXES
from musicfsl.datasets._files import FileDataset, Long, Problem, Short, verify_files
from musicfsl.datasets._window_table import TABLE_NAME, read_window_table
from musicfsl.errors import DatasetError, InputError

__all__ = ["AudioFolder", "captured_groups", "list_recordings", "verify_folder", "walk_files"]


class AudioFolder(FileDataset):
    r"""Your own recordings: every sub-folder of ``root`` is a class, named like the folder.

    Recordings may lie in folders within a class folder, and may mix formats (WAV, FLAC, OGG, MP3, AIFF),
    sample rates and numbers of channels; they are mixed to mono and resampled when read. Names that begin
    with a dot are ignored. Other files (by their suffix) and files beside the class folders are left out
    with one warning that names them. In a folder that ``musicfsl data windows`` has written, its table
    ``windows.csv`` tells the groups, unless ``group_pattern`` does, and which recordings are augmented copies.

    Args:
        root: the folder.
        sample_rate: rate that recordings are resampled to, in Hz.
        duration: length of an item in seconds; None gives whole recordings, whose lengths differ.
        short: what happens to recordings shorter than ``duration``: "pad" fills them with zeros at the end,
            "refuse" raises.
        long: what happens to longer ones: "crop" makes one item of each, cut at a place drawn from the seed;
            "windows" cuts each into windows of ``duration`` that are an item each, and whose group is the
            recording. Where a rest remains at the end, one more window ends with the recording.
        hop: seconds between the starts of windows; None sets them end to end.
        group_pattern: regular expression with one capture group, searched in a recording's path relative to
            ``root`` (with "/"); what it captures names the group, such as the player or song:
            ``r"player(\d+)"``. The same name in two classes is the same group.
        seed: where crops lie is a pure function of ``(seed, index)``.

    Raises:
        DatasetError: ``root`` is no folder, has no class folders, a class folder holds no recordings, a
            recording cannot be read or is too short, or ``group_pattern`` does not fit its path.
        InputError: a setting is out of range.

    Example:
        >>> import tempfile, numpy as np, soundfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name, hz in [("low", 220), ("high", 880)]:
        ...     (root / name).mkdir()
        ...     soundfile.write(root / name / "a.wav", np.sin(np.arange(44100) * hz * 2 * np.pi / 44100), 44100)
        >>> dataset = AudioFolder(root, duration=0.5)
        >>> dataset.classes, dataset[0][0].shape
        (['high', 'low'], torch.Size([1, 8000]))
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        sample_rate: int = 16000,
        duration: float | None = 1.0,
        short: Short = "pad",
        long: Long = "crop",
        hop: float | None = None,
        group_pattern: str | None = None,
        seed: int = 0,
    ) -> None:
        folder = Path(root).expanduser().absolute()
        paths = list_recordings(folder)
        table = read_window_table(folder, paths)
        groups = None if table is None else table.groups
        if group_pattern is not None:
            groups = captured_groups(group_pattern, paths)
        super().__init__(
            folder.name,
            folder,
            paths,
            [path.partition("/")[0] for path in paths],
            group_labels=groups,
            sample_rate=sample_rate,
            duration=duration,
            short=short,
            long=long,
            hop=hop,
            seed=seed,
        )
        if table is not None and table.is_copy.any():
            self.is_copy = table.is_copy[self.file_of]


def verify_folder(root: str | os.PathLike[str], show_progress: bool = False) -> tuple[int, list[Problem]]:
    """Decodes every recording of a class-per-folder tree, also where bad files keep `AudioFolder` from opening it.

    Returns:
        the number of recordings, and a problem for each that cannot be used.

    Raises:
        DatasetError: ``root`` is not laid out as one sub-folder a class.
    """
    folder = Path(root).expanduser().absolute()
    paths = list_recordings(folder)
    return len(paths), verify_files(folder, paths, show_progress)


def list_recordings(root: Path) -> list[str]:
    """Relative POSIX paths of all recordings, sorted; the first part is the class."""
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; expected one with a sub-folder of recordings a class")
    files = sorted(walk_files(root))
    is_recording = [path for path in files if Path(path).suffix.lower() in AUDIO_SUFFIXES]
    recordings = [path for path in is_recording if "/" in path]
    classes = {path.partition("/")[0] for path in recordings}
    if not classes:
        raise DatasetError(
            f"{root} holds no recordings in sub-folders; expected one sub-folder a class, with files that end in "
            f"{', '.join(AUDIO_SUFFIXES)}"
        )
    folders = {entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    empty = sorted(folders - classes)
    if empty:
        raise DatasetError(
            f"{root} has folders without recordings: {', '.join(empty)}; every sub-folder is a class, "
            "so add recordings or move them elsewhere"
        )
    _warn_of(root, sorted(set(files) - {*recordings, TABLE_NAME}))
    return recordings


def walk_files(root: Path, visited: Iterable[Path] = ()) -> Iterator[str]:
    """Relative POSIX paths of all files that are not hidden; links to folders are followed, but not in circles.

    Args:
        root: the folder.
        visited: folders that links shall not lead to either.
    """

    def fail(error: OSError) -> None:
        raise DatasetError(f"{error.filename} cannot be listed ({error.strerror}); check its permissions") from None

    seen = {os.path.realpath(folder) for folder in visited}
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=fail):
        real = os.path.realpath(folder)
        subfolders[:] = [] if real in seen else sorted(name for name in subfolders if not name.startswith("."))
        if real in seen:
            continue
        seen.add(real)
        for name in names:
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(root).as_posix()


def _warn_of(root: Path, left_out: list[str]) -> None:
    if left_out:
        kinds = Counter(Path(path).suffix.lower() or "no suffix" for path in left_out)
        counts = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
        warnings.warn(
            f"{len(left_out)} files in {root} are no recordings in a class folder and were left out: {counts}; "
            f"such as {left_out[0]}",
            stacklevel=4,
        )


def captured_groups(group_pattern: str, paths: list[str]) -> list[str]:
    """What the pattern's capture group holds in every path."""
    try:
        pattern = re.compile(group_pattern)
    except re.error as error:
        raise InputError(f"group_pattern '{group_pattern}' is no regular expression ({error})") from None
    if pattern.groups != 1:
        raise InputError(f"group_pattern '{group_pattern}' has {pattern.groups} capture groups; expected exactly one")
    captured = []
    for path in paths:
        match = pattern.search(path)
        if match is None or match.group(1) is None:
            raise DatasetError(
                f"group_pattern '{group_pattern}' does not match '{path}'; every recording needs a group"
            )
        captured.append(match.group(1))
    return captured
