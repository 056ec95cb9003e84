"""What the data sets that mirdata knows have in common: where they lie, how they get there, what is in them.

mirdata (https://github.com/mir-dataset-loaders/mirdata) brings the list of files with checksums, the download
and the annotations; the recordings are read by `musicfsl.audio` like all others.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from musicfsl.datasets._archives import extract, is_archive
from musicfsl.datasets._downloads import fetch
from musicfsl.datasets._files import FileDataset, Problem
from musicfsl.errors import DatasetError, InputError, import_extra

__all__ = ["DATA_VARIABLE", "MirdataDataset", "dataset_root", "move_into"]

#: Environment variable that names the folder with one sub-folder a data set.
DATA_VARIABLE = "MUSICFSL_DATA"

# Folder of the marks that say which archives have been unpacked, while the others are still being fetched.
_DONE = ".done"


def dataset_root(name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Says where a downloaded data set lies.

    Args:
        name: of the data set.
        root: its folder; None takes the sub-folder ``name`` of the folder that the environment variable
            ``MUSICFSL_DATA`` names, and where that is not set, ``datasets/<name>`` in the cache folder.

    Example:
        >>> dataset_root("tinysol", "/data/TinySOL").as_posix()
        '/data/TinySOL'
    """
    if root is not None:
        return Path(root).expanduser().absolute()
    if os.environ.get(DATA_VARIABLE):
        return Path(os.environ[DATA_VARIABLE]).expanduser().absolute() / name
    from musicfsl.caching import cache_root

    return cache_root() / "datasets" / name


class MirdataDataset(FileDataset):
    """A data set that mirdata downloads, checks and annotates.

    A subclass names its loader and builds itself from the tracks that `_present_tracks` gives.
    """

    mirdata_name: ClassVar[str]

    @classmethod
    def root_of(cls, root: str | os.PathLike[str] | None = None) -> Path:
        """The folder of the data set: ``root``, or the default place; see `dataset_root`."""
        return dataset_root(cls.mirdata_name, root)

    @classmethod
    def download(
        cls, root: str | os.PathLike[str] | None = None, version: str = "default", show_progress: bool = False
    ) -> Path:
        """Downloads and unpacks the data set; archives are checked against mirdata's checksums before.

        Everything is fetched into a hidden folder within ``root`` and moved to its place when it is
        complete. An interrupted download goes on where it ended. mirdata says what to fetch; the fetching and
        unpacking is ours, since its own begins anew and would write wherever an archive says.

        Returns:
            the folder that now holds the data set.

        Raises:
            DatasetError: the download failed, or an archive is damaged or would write outside the folder; the
                message says why.
            MissingExtraError: mirdata is not installed.
        """
        folder = cls.root_of(root)
        staging = folder / ".download"
        loader = cls._loader(staging, version)
        try:
            (staging / _DONE).mkdir(parents=True, exist_ok=True)
            for remote in _remotes(loader):
                _fetch_and_unpack(remote, staging, show_progress)
            move_into(staging, folder)
        except OSError as error:
            raise DatasetError(
                f"{cls.mirdata_name} could not be downloaded to {folder} ({error}); check the connection and the space "
                f"left, then run 'musicfsl data prepare {cls.mirdata_name}' again"
            ) from None
        return folder

    @classmethod
    def validate(
        cls, root: str | os.PathLike[str] | None = None, version: str = "default", show_progress: bool = False
    ) -> tuple[int, list[Problem]]:
        """Compares every file with mirdata's checksums.

        Returns:
            the number of recordings that the data set has, and a problem for each file that is missing or differs.

        Raises:
            DatasetError: mirdata lacks its index of the data set, or nothing of the data set is in the folder.
            MissingExtraError: mirdata is not installed.
        """
        folder = cls.root_of(root)
        loader = cls._loader(folder, version)
        n_recordings = len(cls._track_ids(loader))
        if not folder.is_dir():
            raise cls._nothing_there(folder)
        missing, differing = loader.validate(verbose=show_progress)
        problems = {
            Problem(Path(path).relative_to(folder).as_posix(), reason)
            for found, reason in ((missing, "is missing"), (differing, "differs from the published file (MD5)"))
            for of_kind in found.values()
            for paths in of_kind.values()
            for path in paths
        }
        return n_recordings, sorted(problems, key=lambda problem: problem.path)

    @classmethod
    def _present_tracks(
        cls, root: Path, version: str, is_wanted: Callable[[Any], bool] = lambda track: True
    ) -> list[Any]:
        """Mirdata's tracks, of those wanted, whose recording is there, sorted by path, each with its annotation."""
        loader = cls._loader(root, version)
        tracks = [track for track in map(loader.track, cls._track_ids(loader)) if is_wanted(track)]
        present = sorted(
            (t for t in tracks if os.path.exists(t.audio_path)), key=lambda t: Path(t.audio_path).as_posix()
        )
        if not present:
            raise cls._nothing_there(root)
        if len(present) < len(tracks):
            warnings.warn(
                f"{root} holds only {len(present)} of the {len(tracks)} recordings of {cls.mirdata_name}; "
                f"'musicfsl data prepare {cls.mirdata_name}' downloads the rest",
                stacklevel=4,
            )
        return present

    @classmethod
    def _annotations(cls, root: Path, tracks: list[Any], get: Callable[[Any], Any]) -> list[Any]:
        """One value of every track's annotation; mirdata gives None for a track that its table lacks."""
        try:
            values = [get(track) for track in tracks]
        except FileNotFoundError:
            raise DatasetError(
                f"{root} holds recordings of {cls.mirdata_name}, but not its table (in the folder 'annotation'); "
                f"run 'musicfsl data prepare {cls.mirdata_name}'"
            ) from None
        except (AttributeError, IndexError, KeyError, StopIteration, ValueError) as error:
            raise DatasetError(
                f"{root / 'annotation'} is damaged ({type(error).__name__}: {error}); delete it and "
                f"run 'musicfsl data prepare {cls.mirdata_name}'"
            ) from None
        unknown = [track.track_id for track, value in zip(tracks, values, strict=True) if value is None]
        if unknown:
            raise DatasetError(
                f"the table in {root / 'annotation'} lacks {len(unknown)} of {len(tracks)} recordings, such as "
                f"'{unknown[0]}'; delete it and run 'musicfsl data prepare {cls.mirdata_name}'"
            )
        return values

    @classmethod
    def _loader(cls, root: Path, version: str) -> Any:
        mirdata = import_extra("mirdata", "datasets")
        try:
            return mirdata.initialize(cls.mirdata_name, data_home=str(root), version=version)
        except ValueError as error:
            raise InputError(f"version '{version}' of {cls.mirdata_name} is unknown to mirdata ({error})") from None

    @classmethod
    def _track_ids(cls, loader: Any) -> list[str]:
        try:
            return list(loader.track_ids)
        except (FileNotFoundError, ValueError) as error:
            state = "is not there" if isinstance(error, FileNotFoundError) else "is damaged"
            raise DatasetError(
                f"mirdata's list of the files of {cls.mirdata_name} {state} ({loader.index_path}); "
                f"'musicfsl data prepare {cls.mirdata_name}' downloads it"
            ) from None

    @classmethod
    def _nothing_there(cls, root: Path) -> DatasetError:
        return DatasetError(
            f"{cls.mirdata_name} is not in {root}; run 'musicfsl data prepare {cls.mirdata_name}' to download it, "
            f"or give its folder as root, or name the folder above it in ${DATA_VARIABLE}"
        )


def _remotes(loader: Any) -> list[Any]:
    """What there is to download: mirdata's list of files where that is not part of its wheel, then the archives."""
    index = loader._index_data
    names = index.partial_download or [name for name in loader.remotes if name != "index"]
    if index.remote is not None and not os.path.exists(loader.index_path):
        loader.download(partial_download=["index"])
    return [loader.remotes[name] for name in names]


def _fetch_and_unpack(remote: Any, staging: Path, show_progress: bool) -> None:
    """Fetches one file; an archive's content takes its place. A mark says that this need not be done again."""
    mark = staging / _DONE / remote.filename
    if mark.exists() and mark.read_text() == remote.checksum:
        return
    folder = staging / (remote.destination_dir or "")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / remote.filename
    fetch(remote.url, path, remote.checksum, show_progress)
    if is_archive(path.name):
        extract(path, folder, show_progress)
        for name in remote.unpack_directories or ():
            move_into(folder / name, folder)
    mark.write_text(remote.checksum)
    if is_archive(path.name):
        path.unlink()


def move_into(source: Path, folder: Path) -> None:
    """Moves every file to the same place within ``folder``, each in one step, and removes ``source``."""
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and relative.parts[0] != _DONE:
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    shutil.rmtree(source)
