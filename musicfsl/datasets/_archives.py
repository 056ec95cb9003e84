"""Archives unpacked so that nothing is written outside the folder they are meant for."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from musicfsl._progress import progress_bar
from musicfsl.errors import DatasetError

__all__ = ["extract", "is_archive"]

_UTF8_NAME = 0x800  # flag of a zip's member: its name is UTF-8
_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# What damaged archives raise; zipfile raises RuntimeError for an encrypted member.
_DAMAGED = (
    EOFError,
    NotImplementedError,
    RuntimeError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def is_archive(name: str) -> bool:
    """Whether a file's name says that `extract` unpacks it.

    Example:
        >>> is_archive("IRMAS-TrainingData.zip"), is_archive("TinySOL.tar.gz"), is_archive("table.csv")
        (True, True, False)
    """
    return name.lower().endswith((".zip", *_TAR_SUFFIXES))


def extract(archive: Path, folder: Path, show_progress: bool = False) -> None:
    """Unpacks a zip or tar archive.

    Only files and folders are unpacked. A member whose path leads outside ``folder``, and one that is a link or a
    device, makes the archive refused: a zip before anything of it is written.

    Args:
        archive: the file.
        folder: where its content goes; made where missing. Files of the same names are overwritten.
        show_progress: draws a progress bar.

    Raises:
        DatasetError: the archive is damaged, encrypted, would write outside the folder or holds links, or there is not
            enough space for it.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if archive.name.lower().endswith(".zip"):
            _extract_zip(archive, folder, show_progress)
        else:
            _extract_tar(archive, folder, show_progress)
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise DatasetError(
            f"{archive} is damaged or no archive that can be read ({reason}); delete it and download it again"
        ) from None


def _extract_zip(archive: Path, folder: Path, show_progress: bool) -> None:
    with zipfile.ZipFile(archive) as packed:
        members = [(member, _zip_name(member)) for member in packed.infolist()]
        for member, name in members:
            _target(archive, folder, name)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise _refused(archive, f"the link '{name}'")
        _refuse_lack_of_space(archive, folder, sum(member.file_size for member, _ in members))
        for member, name in progress_bar(members, desc=f"unpacking {archive.name}", show=show_progress):
            target = _target(archive, folder, name)
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                with packed.open(member) as content:
                    _write(content, target)


def _extract_tar(archive: Path, folder: Path, show_progress: bool) -> None:
    with tarfile.open(archive) as packed:
        for member in progress_bar(packed, desc=f"unpacking {archive.name}", show=show_progress):
            target = _target(archive, folder, member.name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                content = packed.extractfile(member)
                assert content is not None  # which it is for links and devices only
                with content:
                    _write(content, target)
            else:
                raise _refused(archive, f"'{member.name}', which is a link or a device")
        while packed.fileobj is not None and packed.fileobj.read(1 << 20):
            pass  # the checksum of what was compressed stands at its end


def _zip_name(member: zipfile.ZipInfo) -> str:
    """A member's name; archives made on a Mac hold UTF-8 without saying so, which reads as another code page."""
    if member.flag_bits & _UTF8_NAME:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return member.filename


def _target(archive: Path, folder: Path, name: str) -> Path:
    """Where a member goes, which must lie within the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    target = folder / path
    is_inside = target.resolve().is_relative_to(folder.resolve())
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0] or not is_inside:
        raise _refused(archive, f"the path '{name}', which leads outside its folder")
    return target


def _refused(archive: Path, what: str) -> DatasetError:
    return DatasetError(f"{archive} was refused, for it holds {what}; delete it, and do not trust where it came from")


def _refuse_lack_of_space(archive: Path, folder: Path, n_bytes: int) -> None:
    n_free = shutil.disk_usage(folder).free
    if n_bytes > n_free:
        raise DatasetError(
            f"unpacking {archive} needs {n_bytes / 1e9:.1f} GB, but only {n_free / 1e9:.1f} GB are free in {folder}; "
            "make space, then run the command again"
        )


def _write(content: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    with temporary.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
    os.replace(temporary, target)
