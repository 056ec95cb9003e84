"""The Katunog collection: Philippine instruments, recorded where they are played, as windows."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

from musicfsl._tables import embedded_table, read_mapping
from musicfsl.datasets._collections import WindowedCollection
from musicfsl.datasets._files import Short
from musicfsl.datasets._mirdata import DATA_VARIABLE, dataset_root
from musicfsl.datasets._recordings import Recording
from musicfsl.datasets.folder import list_recordings
from musicfsl.effects import RandomEffects
from musicfsl.errors import DatasetError, InputError
from musicfsl.instruments import name_key

__all__ = ["Katunog"]

# The number of a record: one instrument, seen and recorded on one day.
_RECORD = re.compile(r"PIISD\d+", re.IGNORECASE)

_ADDED = re.compile(r"\([^)]*\)|\[[^]]*\]")

# Classes of Hornbostel and Sachs, which may make a level of folders above the instruments.
_KINDS = {"idiophones", "membranophones", "chordophones", "aerophones", "electrophones"}


class Katunog(WindowedCollection):
    """Windows of Philippine instruments, from a folder of recordings of the Katunog collection.

    The collection (https://katunog.asti.dost.gov.ph, by DOST-ASTI and the University of the Philippines) lists records,
    each an instrument with its recordings, to be downloaded one by one under its terms. Lay them out as one folder an
    instrument, with recordings in it or in folders below; a folder may bear the record's number before the name, as in
    ``PIISD02606__kulintang``, and instruments may stand in folders named after the classes of Hornbostel and Sachs
    (``idiophones/kulintang/``).

    The class is the instrument: the folder's name without number and additions in brackets, in the spelling of the
    table ``musicfsl/tables/katunog.yaml`` (a balingbing is a Bungkaka). A name that the table lacks is a class of its
    own.

    Args:
        root: the folder; None takes the place of data sets (``MUSICFSL_DATA``).
        group: each "recording" is a group, or all that come from one "record" (its number in the path, and where there
            is none the folder within the instrument's): an instrument of one record then cannot be in episodes that
            keep groups apart.
        example_length: as for `WindowedRecordings`, like all that follows.
        hop_length: seconds between the starts of windows.
        silence_db: where silence begins.
        min_sounding: share of a window that must sound.
        sample_rate: in Hz.
        duration: of what ``ds[i]`` gives, in seconds.
        short: what happens to recordings shorter than a window. Many are single strokes, so these are padded.
        n_copies: augmented copies of each window.
        effects: what they are drawn from.
        seed: of copies and cuts.
        cache_dir: folder for the levels.
        n_workers: threads that measure levels.
        progress: show a progress bar.

    Raises:
        DatasetError: there are no recordings in folders, or see `WindowedRecordings`.
        InputError: a setting is out of range.

    Example:
        >>> dataset = Katunog("/data/katunog", example_length=0.5)  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        group: Literal["recording", "record"] = "recording",
        example_length: float = 1.0,
        hop_length: float | None = None,
        silence_db: float | None = 60.0,
        min_sounding: float = 0.25,
        sample_rate: int = 16000,
        duration: float | None = None,
        short: Short = "pad",
        n_copies: int = 0,
        effects: RandomEffects | None = None,
        seed: int = 0,
        cache_dir: str | os.PathLike[str] | None = None,
        n_workers: int | None = None,
        progress: bool = True,
    ) -> None:
        if group not in ("recording", "record"):
            raise InputError(f"group is '{group}'; expected 'recording' or 'record'")
        folder = self.root_of(root)
        rows = self.recordings_in(folder)
        if group == "recording":
            rows = [row._replace(group=None) for row in rows]
        super().__init__(
            rows,
            name="katunog",
            root=folder,
            example_length=example_length,
            hop_length=hop_length,
            silence_db=silence_db,
            min_sounding=min_sounding,
            sample_rate=sample_rate,
            duration=duration,
            short=short,
            n_copies=n_copies,
            effects=effects,
            seed=seed,
            cache_dir=cache_dir,
            n_workers=n_workers,
            progress=progress,
        )

    @classmethod
    def root_of(cls, root: str | os.PathLike[str] | None = None) -> Path:
        return dataset_root("katunog", root)

    @classmethod
    def recordings_in(cls, root: Path) -> list[Recording]:
        """All recordings, with the record as group."""
        if not root.is_dir():
            raise DatasetError(
                f"katunog is not in {root}; download records from https://katunog.asti.dost.gov.ph into one folder an "
                f"instrument, and give the folder above as root, or name the one above katunog/ in ${DATA_VARIABLE}"
            )
        paths = [Path(path) for path in list_recordings(root)]
        level = 1 if {name_key(path.parts[0]) for path in paths} <= _KINDS else 0
        rows = []
        for path in paths:
            folders = path.parts[:-1]
            if len(folders) <= level:
                raise DatasetError(f"{root / path} lies in no folder of an instrument; move it into one")
            number = _RECORD.search(path.as_posix())
            # Without a number: the folder within the instrument's, or the recording itself.
            record = number.group().upper() if number else Path(*path.parts[: level + 2]).as_posix()
            rows.append(Recording(root / path, _class_of(folders[level]), record))
        return rows


def _class_of(folder: str) -> str:
    """The instrument that a folder's name means."""
    name = " ".join(_ADDED.sub(" ", _RECORD.sub(" ", folder)).replace("_", " ").strip(" -.,'/").split())
    if not name:
        raise DatasetError(f"the folder '{folder}' names no instrument; rename it, as in 'PIISD02606__kulintang'")
    return _spellings().get(name_key(name), name_key(name).capitalize())


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    """Key of every spelling -> class."""
    table = read_mapping(embedded_table("katunog.yaml"))
    return {name_key(spelling): name for name, entry in table.items() for spelling in (name, *entry.value)}
