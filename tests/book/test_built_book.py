"""The book that ``make book`` has built, page by page, as files and in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jupytext
import pytest
import site_checks
import yaml
from browser import Browser
from checkouts import serving
from page_checks import address_of_file, defects_of_page, defects_of_search, defects_on_opening
from site_checks import Site

pytestmark = pytest.mark.book

BOOK = Path(__file__).parents[2] / "book"

# Characters of code that the text column of a page shows in a window of 1,300 pixels.
COLUMNS = 88


def _names(entry: dict) -> Iterator[str]:
    if "root" in entry or "file" in entry:
        yield entry.get("root") or entry["file"]
    for key in ("parts", "chapters", "sections"):
        for child in entry.get(key, []):
            yield from _names(child)


PAGES = list(_names(yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))))
CHAPTERS = [name for name in PAGES if not name.startswith("appendices/")]


@pytest.fixture(scope="module")
def site(built_book: Path) -> Site:
    return Site(built_book / "html")


@pytest.fixture(scope="module")
def address(built_book: Path) -> Iterator[str]:
    with serving(built_book / "html") as served:
        yield served


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_built_from_its_source_and_all_its_cells_have_run(name: str, built_book: Path) -> None:
    source = BOOK / f"{name}.md"
    assert (built_book / f"html/{name}.html").exists()
    kept = built_book / f"html/_sources/{name}.md"
    assert kept.read_text(encoding="utf-8") == source.read_text(encoding="utf-8"), (
        "run make book: the page is out of date"
    )
    if "{code-cell}" in source.read_text(encoding="utf-8"):
        executed = site_checks.executed_notebook(source, built_book / ".jupyter_cache")
        assert site_checks.unexecuted_cells(source, executed) == []


@pytest.mark.parametrize("name", PAGES)
def test_code_fits_the_column_of_a_page(name: str) -> None:
    cells = jupytext.read(BOOK / f"{name}.md", fmt="md:myst").cells
    wide = [
        line for cell in cells if cell.cell_type == "code" for line in cell.source.splitlines() if len(line) > COLUMNS
    ]
    assert wide == [], f"format the cells to {COLUMNS} columns, or readers have to scroll sideways"


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_opens_with_its_goals_time_and_data(name: str, site: Site) -> None:
    page = site.pages[site.root / f"{name}.html"]
    (goals,) = page.select(".admonition.chapter-goals")
    assert len(goals.select("li")) >= 1
    measured = goals.select_one(".chapter-measured").get_text()
    assert "Running time: " in measured
    assert "computed on " in measured


@pytest.mark.parametrize(
    "check",
    [
        site_checks.broken_links,
        site_checks.duplicate_ids,
        site_checks.unlabelled_media,
        site_checks.network_references,
        site_checks.oversized_pages,
        site_checks.unwanted_leftovers,
    ],
    ids=lambda check: check.__name__,
)
def test_the_pages_have_no(check, site: Site) -> None:
    assert len(site.pages) >= len(PAGES)
    assert check(site) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads_and_sounds_in_a_browser(name: str, address: str, browser: Browser) -> None:
    assert defects_of_page(browser, f"{address}/{name}.html") == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_from_the_disk(name: str, built_book: Path, browser: Browser) -> None:
    assert defects_on_opening(browser, address_of_file(built_book / f"html/{name}.html")) == []


@pytest.mark.parametrize("where", ["http", "file"])
def test_search_finds_a_word(where: str, address: str, built_book: Path, browser: Browser) -> None:
    where = address if where == "http" else address_of_file(built_book / "html")
    assert defects_of_search(browser, where, "prototype") == []


def test_the_landing_page_is_where_readers_arrive(address: str, browser: Browser) -> None:
    with browser.page(f"{address}/{PAGES[0]}.html") as page:
        page.send("Page.navigate", url=f"{address}/")
        page.wait(f"location.pathname === '/{PAGES[0]}.html'")
