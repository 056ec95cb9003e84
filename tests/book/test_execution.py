"""book_execution: chapters run in order, in the right kernel, and again when what they depend on has changed."""

from __future__ import annotations

import doctest
import json
import os
import shutil
import sys
from pathlib import Path

import book_chapter
import book_execution
import pytest
from checkouts import HEADER, Checkout

PACKAGE = '_MODULE_OF = {"EpisodeDataset": "episodes"}\nEpisodeDataset = None\n'

INTRO = """# Landing

```{code-cell} ipython3
import sys

print("interpreter", sys.executable)
```
"""

EPISODES = """# Episodes

```{chapter-goals}
- Say what an *episode* is.
```

```{code-cell} ipython3
import sys

if "google.colab" in sys.modules:
    %pip install musicfsl

from musicfsl import EpisodeDataset
```
"""

ERRORS = """# Errors

```{code-cell} ipython3
import os

from musicfsl.errors import MusicfslError

print("data set", os.environ["MUSICFSL_DATASET"])
print("cache", os.environ.get("MUSICFSL_CACHE"))
```
"""


@pytest.fixture(scope="module")
def book(module_checkout: Checkout) -> Checkout:
    module_checkout.write(
        "musicfsl/__init__.py", '_MODULE_OF = {"EpisodeDataset": "episodes"}\nEpisodeDataset = None\n'
    )
    module_checkout.write("musicfsl/episodes.py", "class EpisodeDataset: ...\n")
    module_checkout.write("musicfsl/errors.py", "class MusicfslError(Exception): ...\n")
    module_checkout.write("musicfsl/cli.py", "from musicfsl import episodes\n")
    # Neither the order of names nor that of the files on the disk is the order of the book.
    module_checkout.write_pages({"intro": INTRO, "z_episodes": EPISODES, "a_errors": ERRORS})
    # A kernel of the user's that bears the name of the right one.
    kernel = {"argv": ["/no/such/python", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    module_checkout.write("home/.local/share/jupyter/kernels/python3/kernel.json", json.dumps(kernel))
    return module_checkout


def build(book: Checkout, *flags: str, **environment: str) -> list[str]:
    """Builds strictly, and says which pages ran."""
    built = book.build("-W", "--keep-going", *flags, HOME=str(book.root / "home"), **environment)
    assert built.succeeded, built.log
    return built.executed


@pytest.mark.slow
def test_a_page_is_executed_when_what_it_depends_on_has_changed_and_only_then(book: Checkout) -> None:
    in_order = ["z_episodes", "a_errors", "intro"]
    assert build(book, JUPYTER_PREFER_ENV_PATH="0", MUSICFSL_CACHE="not/yet/there") == in_order
    page = (book.root / "book/_build/html/a_errors.html").read_text()
    assert "data set synthetic" in page
    assert f"cache {book.root}/not/yet/there" in page
    page = (book.root / "book/_build/html/intro.html").read_text()
    assert f"interpreter {sys.executable}" in page
    goals = (book.root / "book/_build/html/z_episodes.html").read_text()
    cores = f"{os.cpu_count()} core" + "s" * (os.cpu_count() > 1)
    assert f" s on {cores}. Figures: computed on the embedded synthetic set." in goals

    assert build(book) == []
    book.write("musicfsl/cli.py", "changed = True\n")
    assert build(book) == []
    book.write("musicfsl/episodes.py", "class EpisodeDataset: changed = True\n")
    assert build(book) == ["z_episodes"]
    book.write(
        "musicfsl/__init__.py", 'changed = True\n_MODULE_OF = {"EpisodeDataset": "episodes"}\nEpisodeDataset = 1\n'
    )
    assert build(book) == ["z_episodes", "a_errors"]
    book.write("book/_ext/book_tidy.py", (book.root / "book/_ext/book_tidy.py").read_text() + "\n")
    assert build(book) == []

    book.write("notes/a.wav", "a")
    assert build(book, MUSICFSL_DATASET="./notes") == in_order  # a folder, relative to where the build was started
    page = (book.root / "book/_build/html/a_errors.html").read_text()
    assert f"data set {book.root / 'notes'}" in page
    page = (book.root / "book/_build/html/z_episodes.html").read_text()
    assert "computed on notes." in page
    assert str(book.root) not in page
    assert build(book, MUSICFSL_DATASET="./notes") == []
    book.write("notes/b.wav", "b")
    assert build(book, MUSICFSL_DATASET="./notes") == in_order
    assert build(book) == []  # what was executed on the embedded set is still there


@pytest.mark.slow
def test_a_failing_cell_fails_the_build(checkout: Checkout) -> None:
    checkout.write_pages({"intro": "# A\n\n```{code-cell} ipython3\nraise ValueError('on purpose')\n```\n"})
    built = checkout.build()
    assert not built.succeeded
    assert "on purpose" in built.log
    assert "intro" in built.log


@pytest.mark.slow
def test_remarks_of_libraries_stay_out_of_the_page_and_warnings_fail_a_strict_build(checkout: Checkout) -> None:
    bar = "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass\nprint('done')"
    checkout.write_pages({"intro": f"# A\n\n```{{code-cell}} ipython3\n{bar}\n```\n"})
    built = checkout.build("-W", "--keep-going")
    assert built.succeeded, built.log
    assert "done" in built.page("intro")
    assert "IProgress" not in built.page("intro")
    warning = "import warnings\nwarnings.warn('mind this')\nprint('done')"
    checkout.write_pages({"intro": f"# A\n\n```{{code-cell}} ipython3\n{warning}\n```\n"})
    for executed in (["intro"], []):  # a remark that was kept with the page's outputs counts as well
        built = checkout.build("-W", "--keep-going", "--all")
        assert not built.succeeded
        assert built.executed == executed
        assert "a cell wrote to the error stream: " in built.log
        assert "UserWarning: mind this" in built.log
        assert "done" in built.page("intro")
        assert "UserWarning" not in built.page("intro")


def test_code_cells_are_read_as_the_book_reads_them() -> None:
    assert book_execution.code_cells(HEADER + ERRORS + EPISODES) == [
        ERRORS.split("```")[1].split("\n", 1)[1].strip(),
        EPISODES.split("```")[3].split("\n", 1)[1].strip(),
    ]
    assert book_execution.code_cells("# No notebook\n\n```python\n1\n```\n") == []
    assert book_execution.fingerprint_of("# No notebook") is None


def test_the_fingerprint_follows_modules_data_and_versions(
    book: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint(page: str = EPISODES) -> str | None:
        for remembered in (book_execution._package, book_execution._state_of, book_execution._environment):
            remembered.cache_clear()
        return book_execution.fingerprint_of(HEADER + page)

    shutil.copytree(book.root / "musicfsl", tmp_path / "musicfsl")
    (tmp_path / "requirements.txt").write_text("pytest==1.0\nno-such-package==1\n")
    monkeypatch.setattr(book_execution, "ROOT", tmp_path)
    monkeypatch.delenv("MUSICFSL_DATASET", raising=False)
    seen = [fingerprint()]
    (tmp_path / "musicfsl/cli.py").write_text("changed = True")
    assert fingerprint() == seen[0]
    (tmp_path / "musicfsl/episodes.py").write_text("changed = True")
    seen.append(fingerprint())
    monkeypatch.setenv("MUSICFSL_DATASET", "tinysol")
    seen.append(fingerprint())
    (tmp_path / "notes").mkdir()
    monkeypatch.setenv("MUSICFSL_DATASET", str(tmp_path / "notes"))
    seen.append(fingerprint())
    (tmp_path / "notes/a.wav").write_text("a")
    seen.append(fingerprint())
    os.utime(tmp_path / "notes/a.wav", (1, 1))
    seen.append(fingerprint())
    monkeypatch.setattr(book_execution, "version", lambda name: "2")
    seen.append(fingerprint())
    assert len(set(seen)) == len(seen)
    assert fingerprint(ERRORS) != fingerprint()
    monkeypatch.undo()
    fingerprint()


@pytest.mark.parametrize(("named", "is_folder"), [("synthetic", False), ("tinysol", False), ("mine", True)])
def test_a_data_set_keeps_its_name_even_where_a_folder_bears_it(
    named: str, is_folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / named).mkdir()
    monkeypatch.setenv("MUSICFSL_DATASET", named)
    assert book_execution.dataset_in_use() == (str(tmp_path / named) if is_folder else named)
    monkeypatch.setenv("MUSICFSL_DATASET", f"./{named}")
    assert book_execution.dataset_in_use() == str(tmp_path / named)
    monkeypatch.delenv("MUSICFSL_DATASET")
    assert book_execution.dataset_in_use() == "synthetic"


@pytest.mark.parametrize("variable", ["MUSICFSL_AST", "MUSICFSL_CNN14", "MUSICFSL_SOUNDS"])
def test_what_a_reader_brings_is_looked_at_by_the_pages_that_ask_for_it(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, asking = (HEADER + page for page in (ERRORS, ERRORS.replace("import os", f"import os  # {variable}")))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cnn14.pth").write_text("weights")
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "a.wav").write_text("sound")
    seen = []
    for named in ("", "Cnn14_mAP=0.431", "cnn14.pth", "sounds"):
        monkeypatch.setenv(variable, named)
        seen.append((book_execution.fingerprint_of(asking), book_execution.fingerprint_of(other)))
    assert len({a for a, _ in seen}) == 4 and len({b for _, b in seen}) == 1
    assert book_execution._brought(variable) == str(tmp_path / "sounds")  # kernels run in another folder
    book_execution._state_of.cache_clear()
    (tmp_path / "sounds" / "b.wav").write_text("another")
    assert book_execution.fingerprint_of(asking) != seen[-1][0]


def test_the_examples_of_the_extensions_are_right() -> None:
    result = doctest.testmod(book_chapter)
    assert result.attempted > 0
    assert result.failed == 0
