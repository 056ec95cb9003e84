"""What the tests of the book share: small checkouts with a book of their own, the built book, and a browser.

Tests marked ``book`` look at the book that ``make book`` has built. Where it, or a browser, is missing they are
skipped, unless the environment variable MUSICFSL_REQUIRE_BOOK is 1: then they fail.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# The extensions, and the helpers beside this file, are plain modules without a package.
sys.path[:0] = [str(ROOT / "book" / "_ext"), str(HERE)]

from checkouts import Checkout  # noqa: E402

if TYPE_CHECKING:
    from browser import Browser


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture(scope="module")
def module_checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("checkout"))


def skip_or_fail(reason: str) -> NoReturn:
    """Skips the test, or fails it where the book has to be checked."""
    if os.environ.get("MUSICFSL_REQUIRE_BOOK") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def built_book() -> Path:
    """Folder ``_build`` of this repository's book."""
    if not (ROOT / "book/_build/html/index.html").exists():
        skip_or_fail("the book has not been built; run make book first")
    return ROOT / "book/_build"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from browser import Browser, find_chromium

    if find_chromium() is None:
        skip_or_fail("there is no Chromium or Chrome (Debian: apt-get install chromium)")
    with Browser() as running:
        yield running
