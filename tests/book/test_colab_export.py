"""Notebooks for Colab: a sample book with every construct of the chapters is built, and its notebook read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import pytest
from bs4 import BeautifulSoup, Tag
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
EXTENSIONS = ROOT / "book/_ext"
SAMPLE = Path(__file__).with_name("colab_sample")
SITE = "https://ada.github.io/some-book/"
CONFIGURATION = """
project = "sample"
html_title = "A sample book"
extensions = ["myst_nb", "sphinx_design", "sphinxcontrib.bibtex", "sphinx_togglebutton", {extensions}]
html_theme = "sphinx_book_theme"
html_theme_options = {{"launch_buttons": {{"colab_url": "https://colab.example", "binderhub_url": "https://binder.example"}}}}
nb_execution_mode = "cache"
nb_execution_cache_path = {cache!r}
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
numfig = True
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "substitution"]
myst_substitutions = {{"word": "Substituted"}}
"""


@dataclass(frozen=True)
class Book:
    """A sample book that was built."""

    folder: Path

    @property
    def notebook(self) -> nbformat.NotebookNode:
        return nbformat.read(self.folder / "_build/colab/pages/chapter.ipynb", as_version=4)

    @property
    def text(self) -> str:
        return "\n\n".join(cell.source for cell in self.notebook.cells if cell.cell_type == "markdown")

    def buttons(self, page: str) -> dict[str, str]:
        """Addresses of a page's buttons by label."""
        html = BeautifulSoup((self.folder / f"_build/html/{page}.html").read_text(), "html.parser")
        links = html.select(".article-header-buttons a[href]")
        return {link.get_text(strip=True): str(link["href"]) for link in links}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | None], Book]:
    """Builds the sample book as a workflow of a repository does, or where no repository is known."""
    cache = tmp_path_factory.mktemp("jupyter-cache")

    def build(repository: str | None) -> Book:
        folder = tmp_path_factory.mktemp("book")
        for path in filter(Path.is_file, SAMPLE.rglob("*")):
            copy = folder / path.relative_to(SAMPLE)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
        own = '"book_repository", "book_chapter", "book_plotly", "book_colab"'
        (folder / "conf.py").write_text(CONFIGURATION.format(extensions=own, cache=str(cache)))
        # A folder that is no repository keeps git from telling the remote of this checkout.
        environment = {**os.environ, "PYTHONPATH": str(EXTENSIONS), "GIT_DIR": str(folder)}
        environment |= {"GITHUB_REPOSITORY": repository or "", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ".", "_build/html"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return Book(folder)

    return build


@pytest.fixture(scope="module")
def book(build: Callable[[str | None], Book]) -> Book:
    return build("Ada/some-book")


@pytest.fixture(scope="module")
def homeless_book(build: Callable[[str | None], Book]) -> Book:
    return build(None)


@pytest.fixture(scope="module")
def page(book: Book) -> Iterator[BeautifulSoup]:
    """The notebook's text as a reader of plain Markdown shows it, which knows nothing of MyST."""
    return BeautifulSoup(MarkdownIt("gfm-like", {"linkify": False}).render(book.text), "html.parser")


def box(page: BeautifulSoup, title: str) -> Tag:
    """The block quote with a title."""
    (found,) = [q for q in page.find_all("blockquote") if q.p and q.p.get_text() == title and q.p.strong]
    return found


def test_code_cells_are_those_of_the_source_but_for_the_requirement(book: Book) -> None:
    source = [c.source for c in jupytext.read(SAMPLE / "pages/chapter.md").cells if c.cell_type == "code"]
    exported = [c for c in book.notebook.cells if c.cell_type == "code"]
    assert exported[0].source.splitlines()[-1] == (
        '    %pip install --quiet "musicfsl[plots] @ git+https://github.com/Ada/some-book"'
    )
    source[0] = source[0].replace("musicfsl[plots]", "musicfsl[plots] @ git+https://github.com/Ada/some-book")
    assert [c.source for c in exported] == source
    assert all(c.outputs == [] and c.execution_count is None for c in exported)


def test_without_a_repository_the_package_comes_from_the_index(homeless_book: Book) -> None:
    source = [c.source for c in jupytext.read(SAMPLE / "pages/chapter.md").cells if c.cell_type == "code"]
    assert [c.source for c in homeless_book.notebook.cells if c.cell_type == "code"] == source
    assert '%pip install --quiet "musicfsl[plots]"' in source[0]


def test_hidden_cells_stand_where_they_stood(book: Book) -> None:
    cells = [c.source for c in book.notebook.cells]
    between = cells.index("Between two hidden cells.")
    assert cells[between - 1 : between + 2 : 2] == ["hidden = 1", "hidden += 1"]


def test_code_that_the_page_folds_is_folded(book: Book) -> None:
    folded = [c for c in book.notebook.cells if c.metadata.get("cellView") == "form"]
    assert [c.metadata.tags for c in folded] == [["hide-input"]]
    assert folded[0].metadata.jupyter.source_hidden
    assert 'fill="red"' in folded[0].source


def test_notebook_is_valid_and_its_headings_begin_cells(book: Book) -> None:
    nbformat.validate(book.notebook)
    assert book.notebook.metadata.kernelspec.name == "python3"
    for cell in book.notebook.cells:
        prose = re.sub(r"(?ms)^ *(`{3,})\w*$.*?^ *\1$", "", cell.source)
        if cell.cell_type == "markdown":
            assert not re.search(r"(?m)(?<!\A)^#", prose)


def test_a_second_build_writes_the_same_notebook(book: Book, build: Callable[[str | None], Book]) -> None:
    assert build("Ada/some-book").notebook == book.notebook


@pytest.mark.parametrize(
    "text",
    [
        f"*This notebook is the chapter “[A chapter with a bit of everything]({SITE}pages/chapter.html)” "
        f"of the book “[A sample book]({SITE})”",
        # References
        f"References: [Fig. 1]({SITE}pages/chapter.html#fig-static), [Fig. 2]({SITE}pages/chapter.html#fig-drawn)",
        f"[Picture 2]({SITE}pages/chapter.html#fig-drawn)",
        f"[Words]({SITE}pages/chapter.html#words), [the words]({SITE}pages/chapter.html#words)",
        f"[The other page]({SITE}pages/other.html), [another page]({SITE}pages/other.html)",
        f"[(1)]({SITE}pages/chapter.html#equation-eq-mean)",
        f"[episode]({SITE}pages/other.html#term-episode), [many episodes]({SITE}pages/other.html#term-episode)",
        f"[Table 1]({SITE}pages/chapter.html#table-numbers)",
        f"Links: [the other page]({SITE}pages/other.html)",
        "[outside](https://example.org/a_b), [https://example.org](https://example.org)",
        f"[`sample.Episode`]({SITE}pages/other.html#sample.Episode), [`draw()`]({SITE}pages/other.html#sample.draw), "
        "`unknown.Thing`",
        # Equations
        r"Inline $\mathbf{c}_k = \frac{1}{|S_k|} \sum_i f(x_i)$ and",
        "$$\n" + r"\mathbf{c}_k = \frac{1}{|S_k|} \sum_{x \in S_k} f_\theta(x)" + "\n" + r"\tag{1}" + "\n$$",
        "$$\n\\begin{split}\na &= b \\\\\nc &= d\n\\end{split}\n\\tag{2}\n$$",
        "$$\n\\begin{align}\ne &= f \\\\\ng &= h\n\\tag{3}\n\\end{align}\n$$",
        "> $$ z = 1 $$",
        # Figures
        f"![Two circles]({SITE}_images/figure.svg)\n\n*Fig. 1. Two circles with $r = 1$ and _emphasis_, ",
        f"![inline alt]({SITE}_images/figure.svg)",
        # Characters
        r"`code with * and _`, a costs-5-dollars sign \$5, snake_case and a literal \*star\*",
    ],
)
def test_text(book: Book, text: str) -> None:
    assert text in book.text


def test_citations_read_as_in_the_book_and_lead_to_the_bibliography(book: Book) -> None:
    html = (book.folder / "_build/html/pages/chapter.html").read_text()
    written = [q.get_text() for q in BeautifulSoup(html, "html.parser").select("p > span")]
    assert {"Snell et al. [2017]", "[Snell et al., 2017, Vinyals and Blundell, 2016]"} <= set(written)
    in_text, in_brackets = re.search(r"Citations: (.*) and (\[\[.*?\)\])\. Links", book.text).groups()
    link = rf"{re.escape(SITE)}pages/other\.html#id\d"
    assert re.fullmatch(rf"Snell _et al\._ \[\[2017\]\({link}\)\]", in_text)
    assert re.fullmatch(
        rf"\[\[Snell _et al\._, 2017\]\({link}\), \[Vinyals and Blundell, 2016\]\({link}\)\]", in_brackets
    )


def test_captions_stand_below_the_cells_that_draw(book: Book) -> None:
    cells = [c.source for c in book.notebook.cells]
    red = next(i for i, c in enumerate(cells) if 'fill="red"' in c)
    assert cells[red + 1] == "*Fig. 2. A square, of _area_ $a^2$.*"
    assert 'fill="blue"' in cells[red + 2]
    assert cells[red + 3] == "*Figure: another square*"
    assert "plotly" in cells[red + 4]
    caption, text = cells[red + 5].split("\n\n")
    assert caption == "*Fig. 3. An interactive line.*"
    assert text == f"[Fig. 3]({SITE}pages/chapter.html#fig-interactive) can be moved."


def test_configuration_labels_and_comments_are_dropped(book: Book) -> None:
    everything = json.dumps(book.notebook)
    for word in ("jupytext", "mystnb", "remove-cell]", "a comment, which", "(chapter)=", "list-table", "tab-item"):
        assert word not in everything
    prose = re.sub(r"(?ms)^[> ]*(`{3,})\w*$.*?^[> ]*\1$", "", book.text)
    assert ":::" not in prose
    assert not re.search(r"\{[\w:]+\}`", prose)


def test_admonitions_are_block_quotes_with_what_they_hold(page: BeautifulSoup) -> None:
    goals = box(page, "In this chapter")
    assert [item.get_text() for item in goals.find_all("li")] == ["Say what an episode is.", "Count to $n$."]
    assert not goals.find_all("p", recursive=False)[1:]  # without the book's running time

    note = box(page, "Note")
    assert note.pre.code["class"] == ["language-python"]
    assert note.pre.get_text() == 'x = [1, 2]\n\ny = "```"\n'
    assert note.pre.find_parent("li").p.get_text() == "one"
    assert [item.get_text() for item in note.ol.find_all("li")] == ["first", "second"]

    watch = box(page, "Watch out for $x$")
    assert watch.strong.code.get_text() == "out"
    assert watch.blockquote.get_text(" ", strip=True) == "Tip Nested tip."
    assert watch.pre.get_text() == ":::{not a box}\n:::\n"
    assert box(page, "Exercise 1: count").find_all("p")[1].get_text() == "How many?"


def test_dropdowns_can_be_opened(page: BeautifulSoup) -> None:
    solution, dropdown, _ = page.find_all("details")
    assert solution.summary.get_text() == "Solution"
    assert solution.pre.get_text() == "assert 3 + 4 == 7\n"
    assert [item.p.get_text() for item in solution.ol.find_all("li")] == ["because $3 + 4 = 7$", "because"]
    assert solution.ol.blockquote.get_text(strip=True) == "someone said so"
    assert dropdown.summary.em.get_text() == "title"
    assert dropdown.strong.get_text() == "text"


def test_tables_tabs_and_definitions(page: BeautifulSoup) -> None:
    first, second = page.find_all("table")
    assert [cell.get_text() for cell in first.find_all("th")] == ["name", "value"]
    assert [cell.get_text() for cell in first.tbody.find_all("td")][:2] == ["a|b", r"$\vert x\vert $"]
    assert "right" in first.find_all("th")[1]["style"]
    assert first.em.get_text() == "c"
    assert first.a["href"] == f"{SITE}pages/other.html"
    assert second.find_previous("p").get_text() == "Table 1. Some numbers"
    cells = [cell.get_text("|") for cell in second.tbody.find_all("td")]
    assert cells == ["one", "• a list|• of two", "two paragraphs|in one cell", "5 | 6"]

    linux = page.find("strong", string="Linux").find_parent("p")
    assert linux.find_next_sibling().get_text() == "make book\n"
    assert page.find("strong", string="Windows").find_next("p").get_text() == "Use WSL."
    assert page.find("strong", string="Term two").find_parent("li").find_all("p")[-1].get_text() == "The second."
    assert page.find("sub").get_text() == "2"


def test_headings_keep_their_levels(page: BeautifulSoup) -> None:
    headings = {h.get_text(): h.name for h in page.find_all(re.compile(r"h\d"))}
    assert headings["A chapter with a bit of everything"] == "h1"
    assert headings["Words"] == "h2"
    assert headings["A deeper heading"] == "h3"


def test_without_a_repository_references_are_plain_text(homeless_book: Book) -> None:
    text = homeless_book.text
    assert "References: Fig. 1, Fig. 2, Picture 2, Words, the words,\nThe other page, another page, (1), " in text
    assert "Snell _et al._ [2017] and [Snell _et al._, 2017, Vinyals and Blundell, 2016]" in text
    assert "API: `sample.Episode`, `draw()`" in text
    assert "*This notebook is the chapter “A chapter with a bit of everything” of the book “A sample book”" in text
    links = re.findall(r"\]\((.*?)\)", text)
    assert {link.partition(",")[0] for link in links} == {
        "https://example.org/a_b", "https://example.org", "data:image/svg+xml;base64",
    }  # fmt: skip


def test_executable_pages_have_one_launch_button_and_others_none(book: Book) -> None:
    launching = {label: url for label, url in book.buttons("pages/chapter").items() if label == "Colab"}
    assert launching == {
        "Colab": "https://colab.research.google.com/github/Ada/some-book/blob/notebooks/pages/chapter.ipynb"
    }
    assert (book.folder / "_build/colab/pages/chapter.ipynb").is_file()
    for page in ("pages/other", "index"):
        assert not {"Colab", "Binder"} & book.buttons(page).keys()
    assert [path.name for path in (book.folder / "_build/colab").rglob("*.*")] == ["chapter.ipynb"]
    html = (book.folder / "_build/html/pages/chapter.html").read_text()
    assert "binder.example" not in html and "colab.example" not in html


def test_without_a_repository_there_is_no_launch_button(homeless_book: Book) -> None:
    assert "Colab" not in homeless_book.buttons("pages/chapter")
    assert "colab.research" not in (homeless_book.folder / "_build/html/pages/chapter.html").read_text()


def test_the_notebook_can_be_downloaded_from_its_page(book: Book, homeless_book: Book) -> None:
    for built in (book, homeless_book):
        link = built.buttons("pages/chapter")[".ipynb"]
        copy = (built.folder / "_build/html/pages" / link).resolve()
        assert nbformat.read(copy, as_version=4) == built.notebook


def test_a_fork_opens_its_own_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    import book_colab

    for repository in ("ada/some-book", "grace/her-fork"):
        monkeypatch.setenv("GITHUB_REPOSITORY", repository)
        address = f"https://colab.research.google.com/github/{repository}/blob/notebooks/few_shot/episodes.ipynb"
        assert book_colab.colab_url("few_shot/episodes") == address
