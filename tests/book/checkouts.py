"""Small checkouts like this repository, each with a book that the tests write and build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"

HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
    jupytext_version: 1.19.6
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""

CONFIG = """
title: A small book
author: Somebody
copyright: "2026"
only_build_toc_files: true
execute:
  execute_notebooks: cache
  raise_on_error: true
  run_in_temp: true
parse:
  myst_enable_extensions: [colon_fence, dollarmath]
launch_buttons:
  colab_url: https://colab.research.google.com
sphinx:
  local_extensions:
    book_repository: _ext
    book_execution: _ext
    book_chapter: _ext
    book_plotly: _ext
    book_mathjax: _ext
    book_tidy: _ext
  config:
    numfig: true
    html_context: {default_mode: auto}
"""


class Build:
    """What became of one ``jupyter-book build``."""

    def __init__(self, process: subprocess.CompletedProcess[str], html: Path) -> None:
        self.succeeded = process.returncode == 0
        self.log = re.sub(r"\x1b\[[0-9;]*m", "", process.stdout)
        self.html = html

    @property
    def executed(self) -> list[str]:
        """Pages whose code ran, in this order."""
        return re.findall(r"/book/(\S+)\.md: Executing notebook", self.log)

    def page(self, name: str) -> str:
        return (self.html / f"{name}.html").read_text(encoding="utf-8")


class Checkout:
    """A folder like this repository's: ``book/`` with the real extensions, and a ``musicfsl`` package to be written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(EXTENSIONS, root / "book" / "_ext", ignore=shutil.ignore_patterns("__pycache__"))
        self.write("book/_config.yml", CONFIG)
        self.write("musicfsl/__init__.py", "")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def write_pages(self, pages: dict[str, str]) -> None:
        """Writes chapters, the landing page first, and their table of contents."""
        for name, text in pages.items():
            self.write(f"book/{name}.md", HEADER + text)
        root, *chapters = pages
        contents = "chapters:\n" + "\n".join(f"- file: {name}" for name in chapters) if chapters else ""
        self.write("book/_toc.yml", f"format: jb-book\nroot: {root}\n{contents}")

    def build(self, *flags: str, **environment: str) -> Build:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MUSICFSL_"))}
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", *flags, "book"]
        process = subprocess.run(
            command, cwd=self.root, env={**inherited, **environment}, text=True, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Build(process, self.root / "book" / "_build" / "html")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serves a folder over HTTP; gives its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
