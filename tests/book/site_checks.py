"""Defects of a built book that can be read from its files; every function returns them as sentences, none if none."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jupytext
import nbformat
from bs4 import BeautifulSoup, Tag

# 1.5 MB without scripts and style sheets, which pages share.
MAX_PAGE_BYTES = 1_500_000

# What a browser fetches by itself; a plain link (``a``) is followed by the reader.
_FETCHED = {"img": "src", "script": "src", "source": "src", "audio": "src", "video": "src", "iframe": "src"}
_FETCHED |= {"embed": "src", "object": "data"}
_IDLE_LINKS = {"canonical", "index", "search", "next", "prev", "author", "copyright", "license"}


class Site:
    """A folder of HTML pages."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def pages(self) -> dict[Path, BeautifulSoup]:
        paths = sorted(path for path in self.root.rglob("*.html") if "_static" not in path.parts)
        return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in paths}

    @cached_property
    def anchors(self) -> dict[Path, list[str]]:
        return {
            path: [str(tag["id"]) for tag in page.find_all(id=True)]
            + [str(tag["name"]) for tag in page.find_all("a", attrs={"name": True})]
            for path, page in self.pages.items()
        }

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def broken_links(site: Site) -> list[str]:
    """Links, pictures and scripts whose file is not there, and links to an anchor that the page does not have."""
    found = []
    for path, page in site.pages.items():
        for tag in page.find_all(["a", "link", *_FETCHED]):
            address = urlsplit(_address(tag))
            if address.scheme or address.netloc or not (address.path or address.fragment):
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            if not target.exists():
                found.append(f"{site.name(path)} links to {_address(tag)}, which does not exist")
            elif address.fragment and unquote(address.fragment) not in site.anchors.get(target, [address.fragment]):
                found.append(f"{site.name(path)} links to {_address(tag)}, an anchor that does not exist")
    return found


def duplicate_ids(site: Site) -> list[str]:
    """Identifiers that one page gives twice."""
    return [
        f"{site.name(path)} has {number} elements with the id {name}"
        for path, anchors in site.anchors.items()
        for name, number in Counter(anchors).items()
        if number > 1
    ]


def unlabelled_media(site: Site) -> list[str]:
    """Pictures, figures and sound players that say nothing to someone who cannot see them."""
    found = []
    for path, page in site.pages.items():
        for tag in page.find_all("img"):
            label = str(tag.get("alt") or "")
            if not label.strip() or re.search(r"[0-9a-f]{32}|\.(png|svg|jpe?g)$", label):
                found.append(f"{site.name(path)}: {str(tag.get('src'))[:60]} has the alternative text '{label}'")
        for tag in page.select(".book-plotly:not([aria-label*=' ']), audio:not([aria-label])"):
            found.append(f"{site.name(path)}: a {tag.name} without a description: {str(tag)[:80]}")  # noqa: PERF401
    return found


def network_references(site: Site) -> list[str]:
    """What pages and style sheets would fetch from elsewhere."""
    found = []
    for path, page in site.pages.items():
        for tag in page.find_all(["link", *_FETCHED]):
            relations = tag.get("rel") or []
            if _is_elsewhere(_address(tag)) and not (tag.name == "link" and _IDLE_LINKS.intersection(relations)):
                found.append(f"{site.name(path)} fetches {_address(tag)}")
        styles = [tag.get_text() for tag in page.find_all("style")]
        styles += [str(tag["style"]) for tag in page.find_all(style=True)]
        found += [f"{site.name(path)} fetches {address}" for address in _in_styles(styles)]
    for path in sorted(site.root.rglob("*.css")):
        found += [f"{site.name(path)} fetches {address}" for address in _in_styles([path.read_text(encoding="utf-8")])]
    return found


def oversized_pages(site: Site) -> list[str]:
    """Pages that, with their pictures, are larger than a page may be."""
    found = []
    for path, page in site.pages.items():
        pictures = {
            (path.parent / unquote(urlsplit(str(tag["src"])).path)).resolve() for tag in page.select("img[src]")
        }
        size = path.stat().st_size + sum(picture.stat().st_size for picture in pictures if picture.is_file())
        if size > MAX_PAGE_BYTES:
            found.append(f"{site.name(path)} has {size:,} bytes, more than {MAX_PAGE_BYTES:,}")
    return found


def unwanted_leftovers(site: Site) -> list[str]:
    """What Jupyter Book puts into books that set nothing else."""
    patterns = ("executablebooks", "thebe", "The Jupyter Book community", "jupyterbook.org")
    return [
        f"{site.name(path)} has the leftover '{found[0]}'"
        for path in site.pages
        if (found := re.search("|".join(patterns), path.read_text(encoding="utf-8"), flags=re.IGNORECASE))
    ]


def executed_notebook(source: Path, cache: Path) -> Path:
    """The latest run of a page in jupyter-cache (the notebooks that MyST-NB writes lack outputs from the cache)."""
    wanted = [cell.source for cell in jupytext.read(source).cells if cell.cell_type == "code"]
    runs = sorted(cache.glob("executed/*/base.ipynb"), key=lambda path: path.stat().st_mtime, reverse=True)
    for run in runs:
        cells = nbformat.read(run, as_version=4).cells
        if [cell.source for cell in cells if cell.cell_type == "code"] == wanted:
            return run
    raise AssertionError(f"{source.name} has not been executed as it is now; run make book")


def unexecuted_cells(source: Path, executed: Path) -> list[str]:
    """Code cells of a chapter's source that have not run, or have run into an error or warning."""
    fences = re.findall(r"^(?:`{3,}|:{3,})\s*\{code-cell\}", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if not fences:
        return []
    cells = [cell for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    found = []
    if len(cells) != len(fences):
        found.append(f"{source.name} has {len(fences)} code cells, of which {len(cells)} became cells")
    if [cell["execution_count"] for cell in cells] != list(range(1, len(cells) + 1)):
        found.append(f"{source.name}: not every cell has run, in order")
    for number, cell in enumerate(cells, start=1):
        wrong = (output for output in cell["outputs"] if "ename" in output or output.get("name") == "stderr")
        found += [f"{source.name}, code cell {number}: {str(output)[:200]}" for output in wrong]
    return found


def _address(tag: Tag) -> str:
    return str(tag.get(_FETCHED.get(tag.name, "href")) or "")


def _is_elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def _in_styles(styles: Iterable[str]) -> list[str]:
    addresses = (
        address
        for style in styles
        for found in re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", style)
        for address in found
    )
    return [address for address in addresses if _is_elsewhere(address)]
