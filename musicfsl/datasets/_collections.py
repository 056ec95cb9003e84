"""What published collections of long recordings have in common."""

from __future__ import annotations

import os
from pathlib import Path

from musicfsl.datasets._files import Problem, verify_files
from musicfsl.datasets.windowed import Recording, WindowedRecordings

__all__ = ["WindowedCollection"]


class WindowedCollection(WindowedRecordings):
    """A published collection of long recordings that users have on their disk, as windows.

    A subclass says where it lies and which recordings it has; that is enough to open it by name and to verify it.
    """

    @classmethod
    def root_of(cls, root: str | os.PathLike[str] | None = None) -> Path:
        """The folder of the collection: ``root``, or the default place."""
        raise NotImplementedError

    @classmethod
    def recordings_in(cls, root: Path) -> list[Recording]:
        """All recordings that would be used by default.

        Raises:
            DatasetError: the collection is not there, or laid out in another way.
        """
        raise NotImplementedError

    @classmethod
    def validate(
        cls, root: str | os.PathLike[str] | None = None, show_progress: bool = False
    ) -> tuple[int, list[Problem]]:
        """Decodes every recording from end to end.

        Returns:
            the number of recordings, and a problem for each that is damaged, silent or holds NaN.

        Raises:
            DatasetError: the collection is not there.
        """
        folder = cls.root_of(root)
        paths = [Path(row.path).relative_to(folder).as_posix() for row in cls.recordings_in(folder)]
        return len(paths), verify_files(folder, paths, show_progress)
