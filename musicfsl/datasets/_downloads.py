"""Large files fetched so that an interrupted download goes on where it ended, and nothing unchecked is used."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from musicfsl._progress import progress_bar

__all__ = ["fetch"]

_CHUNK = 1 << 20
_TIMEOUT = 60.0
_SHA256_DIGITS = 64


def fetch(url: str, path: Path, checksum: str, show_progress: bool = False) -> None:
    """Downloads a file, unless it is there already.

    What has come so far lies in ``<path>.part``. The next call asks the server for the rest; where the server cannot
    give it, or the whole turns out to be another file, it begins anew.

    Args:
        url: where the file lies (``https:``, ``file:``, ...).
        path: what it is called here; its folder exists. It appears under this name only when its checksum is right.
        checksum: as published, in hexadecimal digits: MD5, or SHA-256 where there are 64 of them.
        show_progress: draws a progress bar.

    Raises:
        OSError: the connection failed or ended early (what came is kept), there is no space, or the file is not the
            one that was published (it is deleted).
    """
    algorithm = "SHA-256" if len(checksum) == _SHA256_DIGITS else "MD5"

    def is_published(file: Path) -> bool:
        return _digest(file, algorithm) == checksum

    if path.exists():
        if is_published(path):
            return
        path.unlink()
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists() and part.stat().st_size > 0
    if not (resumed and is_published(part)):
        resumed = _receive(url, part, show_progress)
    if not is_published(part) and resumed:  # the beginning was of another file
        part.unlink()
        _receive(url, part, show_progress)
    if not is_published(part):
        part.unlink()
        raise OSError(f"{url} gave a file whose {algorithm} checksum is not the published one, {checksum}")
    os.replace(part, path)


def _receive(url: str, part: Path, show_progress: bool) -> bool:
    """Appends to ``part`` what is missing of it.

    Returns:
        whether the server gave the rest only, instead of all anew.
    """
    n_before = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={n_before}-"} if n_before else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            resumed = n_before > 0 and _begins_at(response, n_before)
            n_missing = _content_length(response)
            with part.open("ab" if resumed else "wb") as file:
                n_received = _copy(response, file, n_missing, part.stem, show_progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise OSError(f"{url} answered {error.code} {error.reason}") from None
        part.unlink()  # longer than the file that the server has
        return _receive(url, part, show_progress)
    except http.client.HTTPException as error:
        raise OSError(f"the connection to {url} ended early ({error!r})") from None
    if n_missing is not None and n_received < n_missing:
        raise OSError(f"the connection to {url} ended after {n_received} of {n_missing} bytes")
    return resumed


def _copy(response: Any, file: Any, n_expected: int | None, name: str, show_progress: bool) -> int:
    n_received = 0
    bar = progress_bar(total=n_expected, desc=name, unit="B", unit_scale=True, show=show_progress)
    with bar:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            n_received += len(chunk)
            bar.update(len(chunk))
    return n_received


def _begins_at(response: Any, n_before: int) -> bool:
    """Whether the server answers with the rest of the file from the byte that was asked for."""
    content_range = response.headers.get("Content-Range", "")
    return getattr(response, "status", None) == http.HTTPStatus.PARTIAL_CONTENT and content_range.startswith(
        f"bytes {n_before}-"
    )


def _content_length(response: Any) -> int | None:
    length = response.headers.get("Content-Length")
    return int(length) if length is not None and length.isdigit() else None


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.sha256() if algorithm == "SHA-256" else hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
