"""The checks of built pages find every kind of defect that they are for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from site_checks import (
    MAX_PAGE_BYTES,
    Site,
    broken_links,
    duplicate_ids,
    network_references,
    oversized_pages,
    unexecuted_cells,
    unlabelled_media,
    unwanted_leftovers,
)

GOOD = """<html><head><link rel="canonical" href="https://example.org/"><style>p {color: red}</style></head><body>
<h1 id="top">A</h1><a href="#top">up</a> <a href="other.html#part">on</a> <a href="https://example.org">out</a>
<img src="a.png" alt="A letter"><audio aria-label="A tone" src="data:audio/ogg;base64,AA"></audio>
<div class="book-plotly" role="img" aria-label="A line"></div></body></html>"""
ALL = (broken_links, duplicate_ids, unlabelled_media, network_references, oversized_pages, unwanted_leftovers)


def site(folder: Path, page: str) -> Site:
    (folder / "page.html").write_text(page)
    (folder / "other.html").write_text('<p id="part">B</p>')
    (folder / "a.png").write_bytes(b"png")
    return Site(folder)


def test_a_good_page_has_no_defect(tmp_path: Path) -> None:
    assert [defect for check in ALL for defect in check(site(tmp_path, GOOD))] == []


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (broken_links, "other.html#part", "missing.html"),
        (broken_links, "other.html#part", "other.html#missing"),
        (broken_links, 'href="#top"', 'href="#bottom"'),
        (broken_links, "a.png", "b.png"),
        (duplicate_ids, "<img", '<p id="top">B</p><img'),
        (unlabelled_media, "A letter", " "),
        (unlabelled_media, 'alt="A letter"', ""),
        (unlabelled_media, "A letter", "_images/0123456789abcdef0123456789abcdef.svg"),
        (unlabelled_media, 'aria-label="A tone"', ""),
        (unlabelled_media, "A line", ""),
        (network_references, "a.png", "https://example.org/a.png"),
        (network_references, "a.png", "//example.org/a.png"),
        (network_references, "canonical", "preconnect"),
        (network_references, "canonical", "stylesheet"),
        (network_references, "color: red", "background: url('https://example.org/a.png')"),
        (network_references, "p {color: red}", '@import "https://example.org/a.css";'),
        (network_references, "<h1", '<script src="https://example.org/a.js"></script><h1'),
        (oversized_pages, "</body>", "x" * MAX_PAGE_BYTES),
        (unwanted_leftovers, "</body>", "https://github.com/executablebooks/jupyter-book"),
        (unwanted_leftovers, "</body>", "THEBE_JS_URL"),
    ],
)
def test_a_defect_is_found(tmp_path: Path, check, old: str, new: str) -> None:
    assert old in GOOD
    found = check(site(tmp_path, GOOD.replace(old, new)))
    assert len(found) == 1
    assert found[0].startswith("page.html")


def test_pictures_count_towards_the_size_of_a_page_and_style_sheets_are_read(tmp_path: Path) -> None:
    pages = site(tmp_path, GOOD)
    (tmp_path / "a.png").write_bytes(bytes(MAX_PAGE_BYTES))
    (tmp_path / "a.css").write_text("@font-face {src: url(https://example.org/a.woff2)}")
    assert len(oversized_pages(pages)) == 1
    assert network_references(pages) == ["a.css fetches https://example.org/a.woff2"]


SOURCE = "# A\n\n```{code-cell} ipython3\n1\n```\n\n````{code-cell} ipython3\n2\n````\n"


def cell(count: int | None, *outputs: dict) -> dict:
    return {"cell_type": "code", "execution_count": count, "outputs": list(outputs)}


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([cell(1), {"cell_type": "markdown"}, cell(2, {"output_type": "stream", "name": "stdout"})], None),
        ([cell(1)], "has 2 code cells, of which 1"),
        ([cell(1), cell(None)], "not every cell has run"),
        ([cell(1), cell(2, {"output_type": "error", "ename": "ValueError"})], "code cell 2: .*ValueError"),
        ([cell(1, {"output_type": "stream", "name": "stderr", "text": "mind"}), cell(2)], "code cell 1: .*mind"),
    ],
)
def test_cells_that_did_not_run_well_are_found(tmp_path: Path, cells: list[dict], words: str | None) -> None:
    (tmp_path / "a.md").write_text(SOURCE)
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    found = unexecuted_cells(tmp_path / "a.md", tmp_path / "a.ipynb")
    assert len(found) == (words is not None)
    assert words is None or re.search(words, found[0])
