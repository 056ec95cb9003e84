"""Archives, among them such as would write elsewhere."""

from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from musicfsl.datasets._archives import extract
from musicfsl.errors import DatasetError

OUTSIDE = ["../out.txt", "a/../../out.txt", "/tmp/out.txt", "..\\out.txt", "C:/out.txt", "a/.."]


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes], **attributes: object) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for attribute, value in attributes.items():
                setattr(member, attribute, value)
            packed.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_files_and_folders(tmp_path: Path, pack: object) -> None:
    members = {"a/b/c.txt": b"one", "ä..b.txt": b"two", "empty.txt": b""}
    archive = pack(tmp_path / ("x.zip" if pack is zipped else "x.tar.gz"), members)  # type: ignore[operator]
    for _ in range(2):  # the second time over what is there
        extract(archive, tmp_path / "out")
    files = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.*")}
    assert files == members


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_what_leads_outside_is_refused(tmp_path: Path, pack: object, name: str) -> None:
    folder = tmp_path / "deep" / "out"
    archive = pack(  # type: ignore[operator]
        tmp_path / ("x.zip" if pack is zipped else "x.tar.gz"), {"good.txt": b"good", name: b"bad"}
    )
    with pytest.raises(DatasetError, match="was refused, for it holds the path '.*', which leads outside its folder"):
        extract(archive, folder)
    assert {path.name for path in tmp_path.rglob("*.txt")} <= ({"good.txt"} if pack is tarred else set())


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("shortcut")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(link, "/etc")
    with pytest.raises(DatasetError, match="holds the link 'shortcut'"):
        extract(tmp_path / "x.zip", tmp_path / "out")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        archive = tarred(tmp_path / "x.tar.gz", {"shortcut": b""}, type=kind, linkname="/etc/passwd")
        with pytest.raises(DatasetError, match="'shortcut', which is a link or a device"):
            extract(archive, tmp_path / "out")


def test_links_that_lie_there_are_not_followed_outside(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match="leads outside"):
        extract(zipped(tmp_path / "x.zip", {"a/b.txt": b"bad"}), tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_damaged(tmp_path: Path, suffix: str) -> None:
    pack = zipped if suffix == "zip" else tarred
    whole = pack(tmp_path / f"whole.{suffix}", {"a.txt": bytes(range(256)) * 50}).read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 0xFF
    for content in (b"", b"no archive", whole[: len(whole) // 2], bytes(changed)):
        archive = tmp_path / f"x.{suffix}"
        archive.write_bytes(content)
        with pytest.raises(DatasetError, match=f"x.{suffix} is damaged or no archive .* download it again"):
            extract(archive, tmp_path / "out")
        assert suffix != "zip" or not (tmp_path / "out" / "a.txt").exists()  # a tar tells at its end


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 50, 50))
    with pytest.raises(DatasetError, match=r"needs 0.0 GB, but only 0.0 GB are free .* make space"):
        extract(zipped(tmp_path / "x.zip", {"a.txt": b"?" * 51}), tmp_path / "out")
    extract(zipped(tmp_path / "x.zip", {"a.txt": b"?" * 50}), tmp_path / "out")
