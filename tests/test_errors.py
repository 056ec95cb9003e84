"""Errors: what they derive from, and the two helpers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from musicfsl import errors
from musicfsl.errors import MissingExtraError, MusicfslError, did_you_mean, import_extra


def test_every_error_is_one_that_the_command_line_catches() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(classes) > 5
    assert all(issubclass(error, MusicfslError) for error in classes)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InputError, ValueError),
        (errors.AudioError, ValueError),
        (errors.DatasetError, ValueError),
        (errors.CacheError, OSError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_errors_are_also_what_python_programmers_expect(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)


def test_import_extra_imports() -> None:
    assert import_extra("os.path", "plots") is __import__("os").path


def test_missing_package_is_named_with_the_command() -> None:
    with pytest.raises(MissingExtraError, match=r"no_such_package is not installed.*pip install 'musicfsl\[plots\]'"):
        import_extra("no_such_package.inside", "plots")


def test_broken_package_is_not_taken_for_a_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("import its_own_dependency_is_missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="its_own_dependency_is_missing") as caught:
        import_extra("broken_package", "plots")
    assert not isinstance(caught.value, MissingExtraError)
    assert "broken_package" not in sys.modules


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tinysool", " Did you mean 'TinySOL'?"),
        ("TINYSOL", " Did you mean 'TinySOL'?"),
        ("completely different", ""),
    ],
)
def test_did_you_mean(name: str, expected: str) -> None:
    assert did_you_mean(name, ["TinySOL", "synthetic"]) == expected
    assert did_you_mean(name, []) == ""
