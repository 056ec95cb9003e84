"""Where caches lie, and how a cache folder comes into being whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from musicfsl.errors import CacheError

__all__ = ["atomic_directory", "atomic_file", "cache_root"]

#: Environment variable that names the folder for caches.
CACHE_VARIABLE = "MUSICFSL_CACHE"

# What the system answers when a folder is full or may not be written.
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def cache_root(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Says which folder holds the library's caches; it need not exist yet.

    Args:
        cache_dir: the folder; None takes the environment variable ``MUSICFSL_CACHE``, and where that is
            not set, the system's usual place for caches (``~/.cache/musicfsl`` on Linux).

    Returns:
        an absolute path.

    Example:
        >>> cache_root("/data/caches").as_posix()
        '/data/caches'
    """
    chosen = cache_dir if cache_dir is not None else os.environ.get(CACHE_VARIABLE)
    if not chosen:
        import pooch

        chosen = pooch.os_cache("musicfsl")
    return Path(chosen).expanduser().absolute()


@contextmanager
def atomic_directory(final: Path) -> Iterator[Path]:
    """Fills a folder under a temporary name, and gives it its final name when it is complete.

    The temporary folder lies beside ``final``, on the same file system, so that renaming is one step: a
    process that is killed at any moment leaves nothing under the final name. Where another process
    finished the same folder first, that one is kept and ours is discarded.

    Args:
        final: the folder to make. Its parents are made where missing.

    Yields:
        the empty temporary folder, to be filled in the ``with`` block.

    Raises:
        CacheError: the place cannot be written, or is full.
        Exception: whatever the ``with`` block raises; the temporary folder is removed first.

    Example:
        >>> import tempfile
        >>> final = Path(tempfile.mkdtemp()) / "squares"
        >>> with atomic_directory(final) as folder:
        ...     _ = (folder / "four.txt").write_text("16")
        >>> [path.name for path in final.iterdir()]
        ['four.txt']
    """
    temporary = final.parent / f".{final.name}.{uuid.uuid4().hex}.tmp"
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(final.parent, error) from None
    try:
        yield temporary
        _rename(temporary, final)
    except OSError as error:
        if _is_about_writing(error, temporary):
            raise _unwritable(final.parent, error) from None
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def atomic_file(final: Path) -> Iterator[Path]:
    """Writes a file under a temporary name beside ``final``, and gives it its final name when it is complete.

    Args:
        final: the file to write, in place of one that is there. Its parents are made where missing.

    Yields:
        the temporary path, to be written in the ``with`` block; it ends like ``final``.

    Raises:
        CacheError: the place cannot be written, or is full.
        Exception: whatever the ``with`` block raises; the temporary file is removed first.

    Example:
        >>> import tempfile
        >>> final = Path(tempfile.mkdtemp()) / "four.txt"
        >>> with atomic_file(final) as path:
        ...     _ = path.write_text("16")
        >>> final.read_text(), len(list(final.parent.iterdir()))
        ('16', 1)
    """
    temporary = final.with_name(f".{uuid.uuid4().hex}.{final.name}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(final)
    except OSError as error:
        if error.filename is None or Path(os.fsdecode(error.filename)) in (temporary, *final.parents):
            raise _unwritable(final.parent, error) from None
        raise
    finally:
        with suppress(OSError):  # nothing was written, or it has its final name
            temporary.unlink()


def _rename(temporary: Path, final: Path) -> None:
    if final.is_dir():
        return  # another process was first
    try:
        temporary.rename(final)
    except OSError as error:
        if not final.is_dir():
            raise _unwritable(final.parent, error) from None


def _is_about_writing(error: OSError, temporary: Path) -> bool:
    """Whether the cache, and not for example an unreadable recording, is at fault."""
    if error.errno not in _UNWRITABLE:
        return False
    return error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(temporary)


def _unwritable(folder: Path, error: OSError) -> CacheError:
    return CacheError(
        f"the cache folder {folder} cannot be written ({error.strerror or error}); make it writable, free some space, "
        f"or name another folder with cache_dir= or the environment variable {CACHE_VARIABLE}"
    )
