"""Downloads that end early, go on, and are checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musicfsl.datasets._downloads import fetch

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def served(file_server: Any) -> Any:
    (file_server.folder / "a.zip").write_bytes(CONTENT)
    return file_server


def test_fetch(served: Any, tmp_path: Path) -> None:
    fetch(f"{served.url}/a.zip", tmp_path / "a.zip", MD5)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    fetch(f"{served.url}/a.zip", tmp_path / "a.zip", MD5)
    assert served.asked == [("a.zip", None)]  # the second time it was there
    assert not (tmp_path / "a.zip.part").exists()


def test_only_the_rest_is_fetched(served: Any, tmp_path: Path) -> None:
    served.ends_after["a.zip"] = 123_456
    with pytest.raises(OSError, match="ended after 123456 of 300000 bytes"):
        fetch(f"{served.url}/a.zip", tmp_path / "a.zip", MD5)
    assert [path.name for path in tmp_path.glob("a.*")] == ["a.zip.part"]
    served.ends_after.clear()
    fetch(f"{served.url}/a.zip", tmp_path / "a.zip", MD5)
    assert served.asked[-1] == ("a.zip", "bytes=123456-")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"", CONTENT, CONTENT + b"more", b"?" * 1000, CONTENT[:1000]])
@pytest.mark.parametrize("ranges", [True, False])
def test_whatever_was_left_is_mended(served: Any, tmp_path: Path, part: bytes, ranges: bool) -> None:
    """Nothing, all, too much, another file, or a beginning; with and without a server that gives parts."""
    served.ranges = ranges
    (tmp_path / "a.zip.part").write_bytes(part)
    fetch(f"{served.url}/a.zip", tmp_path / "a.zip", MD5)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT and not (tmp_path / "a.zip.part").exists()


def test_wrong_file_is_never_kept(served: Any, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"an older one")
    with pytest.raises(OSError, match="MD5 checksum is not the published one, 0000"):
        fetch(f"{served.url}/a.zip", tmp_path / "a.zip", "0000")
    assert not list(tmp_path.glob("a.*"))


def test_no_such_file_or_server(served: Any, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="b.zip answered 404 Not Found"):
        fetch(f"{served.url}/b.zip", tmp_path / "b.zip", MD5)
    with pytest.raises(OSError, match="refused|unreachable|No such"):
        fetch("http://127.0.0.1:9/b.zip", tmp_path / "b.zip", MD5)


def test_local_files(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(CONTENT)
    (tmp_path / "b.zip.part").write_bytes(CONTENT[:10])
    fetch((tmp_path / "a.zip").as_uri(), tmp_path / "b.zip", MD5)
    assert (tmp_path / "b.zip").read_bytes() == CONTENT
