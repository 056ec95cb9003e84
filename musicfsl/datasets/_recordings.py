"""Long recordings, one row each."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from musicfsl.errors import DatasetError

__all__ = ["Recording", "relative_rows"]


class Recording(NamedTuple):
    """A long recording, all of which belongs to one class.

    Attributes:
        path: of the file.
        label: name of its class.
        group: the piece, player or session that it came from; None makes the recording a group of its own.
    """

    path: str | os.PathLike[str]
    label: str
    group: str | None = None


def relative_rows(recordings: Iterable[Recording], root: str | os.PathLike[str] | None) -> tuple[Path, list[Recording]]:
    """The folder of all recordings, and the rows with POSIX paths relative to it, sorted by path.

    Raises:
        DatasetError: there are no rows, or a path stands in two of them.
    """
    rows = [Recording(*row) for row in recordings]
    if not rows:
        raise DatasetError("there are no recordings to cut into windows; give rows of path, class and group")
    base = Path.cwd() if root is None else Path(root).expanduser().absolute()
    paths = [Path(os.path.normpath(base / Path(row.path).expanduser())) for row in rows]
    folder = Path(os.path.commonpath([path.parent for path in paths])) if root is None else base
    relative = [Path(os.path.relpath(path, folder)).as_posix() for path in paths]
    for earlier, path in itertools.pairwise(sorted(relative)):
        if earlier == path:
            raise DatasetError(f"{path} is given twice; a recording has one class and one group")
    return folder, sorted(row._replace(path=path) for row, path in zip(rows, relative, strict=True))
