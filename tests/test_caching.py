"""Cache folders appear whole under their final name, or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from musicfsl.caching import atomic_directory, atomic_file, cache_root
from musicfsl.errors import CacheError


def test_root_is_the_argument_then_the_variable_then_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSICFSL_CACHE", str(tmp_path / "variable"))
    assert cache_root(tmp_path / "argument") == tmp_path / "argument"
    assert cache_root() == tmp_path / "variable"
    monkeypatch.delenv("MUSICFSL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "system"))
    assert cache_root().name == "musicfsl"
    monkeypatch.setenv("MUSICFSL_CACHE", "")
    assert cache_root().name == "musicfsl"


def test_root_is_absolute_and_knows_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_root("relative").is_absolute()
    assert cache_root("~/caches") == Path.home() / "caches"


def test_a_finished_folder_appears_whole(tmp_path: Path) -> None:
    final = tmp_path / "missing" / "parents" / "final"
    with atomic_directory(final) as folder:
        assert folder.is_dir()
        assert folder.parent == final.parent
        (folder / "a").write_text("1")
        assert not final.exists()
    assert (final / "a").read_text() == "1"
    assert list(final.parent.iterdir()) == [final]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"), atomic_directory(tmp_path / "final") as folder:
        (folder / "a").write_text("1")
        raise KeyError("mine")
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_processes_wins(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with atomic_directory(final) as ours:
        (ours / "a").write_text("ours")
        with atomic_directory(final) as theirs:
            (theirs / "a").write_text("theirs")
    assert (final / "a").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_process_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from musicfsl.caching import atomic_directory\n"
        "with atomic_directory(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "final")], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "final").exists()
    assert len(list(tmp_path.iterdir())) == 1  # it did get as far as the temporary folder


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CacheError, match=r"file.* cannot be written .*MUSICFSL_CACHE"),
        atomic_directory(tmp_path / "file" / "final"),
    ):
        pytest.fail("the block must not run")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(CacheError, match="cannot be written"), atomic_directory(tmp_path / "final"):
            pytest.fail("the block must not run")
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(CacheError, match="No space left on device.*free some space"),
        atomic_directory(tmp_path / "final"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "final").write_text("precious")
    with pytest.raises(CacheError, match="cannot be written"), atomic_directory(tmp_path / "final"):
        pass
    assert (tmp_path / "final").read_text() == "precious"


def test_an_unreadable_recording_is_not_blamed_on_the_cache(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match=r"song\.wav"), atomic_directory(tmp_path / "final"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "song.wav"))


class TestFile:
    def test_appears_whole_in_place_of_another(self, tmp_path: Path) -> None:
        final = tmp_path / "missing" / "final.txt"
        for text in ("first", "second"):
            with atomic_file(final) as path:
                path.write_text(text)
                assert path.parent == final.parent and path.suffix == ".txt"
                assert final.exists() == (text == "second")
            assert final.read_text() == text
        assert list(final.parent.iterdir()) == [final]

    def test_a_failure_leaves_what_was_there(self, tmp_path: Path) -> None:
        final = tmp_path / "final.txt"
        final.write_text("before")
        with pytest.raises(KeyError), atomic_file(final) as path:
            path.write_text("half")
            raise KeyError
        assert final.read_text() == "before" and list(tmp_path.iterdir()) == [final]

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(CacheError, match="cannot be written"), atomic_file(tmp_path / "file" / "final.txt"):
            pass

    def test_a_full_disk(self, tmp_path: Path) -> None:
        with pytest.raises(CacheError, match="No space left"), atomic_file(tmp_path / "final.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")
        assert list(tmp_path.iterdir()) == []

    def test_errors_of_other_files_are_not_the_caches(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "final.txt"):
            (tmp_path / "elsewhere" / "missing.wav").read_bytes()
