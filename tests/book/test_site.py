"""book_plotly, book_mathjax, book_tidy and book_chapter, on a small book as readers get it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from browser import Browser
from bs4 import BeautifulSoup
from checkouts import Build, Checkout, serving
from page_checks import address_of_file, defects_of_page, defects_of_search, defects_on_opening
from site_checks import (
    Site,
    broken_links,
    duplicate_ids,
    network_references,
    oversized_pages,
    unexecuted_cells,
    unlabelled_media,
    unwanted_leftovers,
)

INTRO = """# Landing

A page without anything, in which the word glockenspiel occurs.
"""

FIGURES = """# Figures

```{chapter-goals}
- See {numref}`fig-plane`, {numref}`fig-tone` and {numref}`fig-curve`.
```

```{code-cell} ipython3
---
mystnb:
  image:
    alt: A line that "rises" <and> falls
  figure:
    name: fig-plane
    caption: A line with $x^2$ in its caption.
---
import numpy as np
import plotly.graph_objects as go

x = np.linspace(0, 1, 20)
figure = go.Figure([go.Scatter(x=x, y=x * (1 - x), name="</script>"), go.Scatter(x=x, y=x)])
figure.add_annotation(x=0.5, y=0.5, text="in grey", font_color="#222222")
figure.add_annotation(x=0.6, y=0.5, text="in red", font_color="red")
figure
```

```{code-cell} ipython3
---
mystnb:
  image:
    alt: Points in space
---
go.Figure(go.Scatter3d(x=x, y=x, z=x, marker={"color": x, "showscale": True}), layout={"width": 900, "height": 500})
```

A formula, $\\mathbf{c}_k$, by itself.

```{code-cell} ipython3
---
mystnb:
  image:
    alt: Spectrum of a tone
  figure:
    name: fig-tone
    caption: A tone, heard and seen.
---
import base64
import io

import soundfile
from IPython.display import HTML, display

buffer = io.BytesIO()
soundfile.write(buffer, np.sin(np.arange(8000) * 0.3) * 0.3, 16000, format="OGG", subtype="VORBIS")
data = base64.b64encode(buffer.getvalue()).decode()
display(HTML(f'<audio controls preload="none" aria-label="A tone" src="data:audio/ogg;base64,{data}"></audio>'))
names = [f"c{i}" for i in range(16)]
display(go.Figure(go.Heatmap(z=np.eye(16), x=names, y=names, texttemplate="%{z:.2f}")))
```

```{code-cell} ipython3
---
mystnb:
  image:
    alt: A curve
  figure:
    name: fig-curve
    caption: A curve.
---
from IPython.display import SVG

SVG('<svg xmlns="http://www.w3.org/2000/svg" width="90" height="50"><path d="M0 0 90 50" stroke="grey"/></svg>')
```
"""

PROSE = """# Prose

Only words, and `a.very.long.name.of.something.that.goes.on.and.on.and.on.until.no.phone.can.hold.it()`.
"""


@pytest.fixture(scope="module")
def built(module_checkout: Checkout) -> Build:
    module_checkout.write_pages({"intro": INTRO, "part/figures": FIGURES, "part/prose": PROSE})
    static = Path(__file__).parents[2] / "book" / "_static"
    shutil.copytree(static, module_checkout.root / "book" / "_static")
    built = module_checkout.build("-W", "--keep-going")
    assert built.succeeded, built.log
    return built


def figures(built: Build) -> BeautifulSoup:
    return BeautifulSoup(built.page("part/figures"), "html.parser")


def test_a_plotly_figure_is_data_in_the_page_with_its_description(built: Build) -> None:
    boxes = figures(built).select(".book-plotly")
    assert [box["aria-label"] for box in boxes] == [
        'A line that "rises" <and> falls',
        "Points in space",
        "Spectrum of a tone",
    ]
    assert [box["style"] for box in boxes] == ["min-height: 450px", "min-height: 500px", "min-height: 450px"]
    figure = json.loads(boxes[0].script.string)
    assert figure["data"][0]["name"] == "</script>"
    assert set(figure["data"][0]["x"]) == {"dtype", "bdata"}  # base64, four times smaller than digits
    assert "plotly_mimetype" not in built.page("part/figures")


def test_plotly_figures_have_numbers_and_captions_like_all_others(built: Build) -> None:
    page = figures(built)
    assert [" ".join(text.get_text().split()) for text in page.select("figcaption .caption-number")] == [
        "Fig. 1",
        "Fig. 2",
        "Fig. 3",
    ]
    assert [link.get_text() for link in page.select(".chapter-goals a.reference")] == ["Fig. 1", "Fig. 2", "Fig. 3"]
    assert page.select_one("figure#fig-plane .book-plotly") is not None
    tone = page.select_one("figure#fig-tone")
    assert tone.select_one(".book-plotly") is not None
    assert tone.select_one("audio") is None  # a cell's figure is its last output


def test_pages_load_only_the_scripts_that_they_need(built: Build) -> None:
    def scripts(page: str) -> set[str]:
        return {Path(name).name for name in re.findall(r'<script[^>]* src="([^"?]+)', built.page(page))}

    heavy = {"plotly.min.js", "book_plotly.js", "tex-svg-full.js"}
    assert scripts("part/figures") >= heavy
    assert not scripts("part/prose") & heavy
    assert not scripts("intro") & heavy
    static = built.html / "_static"
    assert [path.relative_to(static).as_posix() for path in static.rglob("tex-*.js")] == ["mathjax/tex-svg-full.js"]
    assert len(list(static.rglob("plotly*.js"))) == 1


def test_the_built_pages_have_no_defect_that_their_files_show(built: Build) -> None:
    site = Site(built.html)
    assert len(site.pages) >= 3
    for check in (broken_links, duplicate_ids, unlabelled_media, network_references, oversized_pages):
        assert check(site) == [], check.__name__
    assert unwanted_leftovers(site) == []
    book = built.html.parents[1]
    for name in ("intro", "part/figures"):
        assert unexecuted_cells(book / f"{name}.md", book / "_build/jupyter_execute" / f"{name}.ipynb") == []


def test_no_launch_button_and_no_link_to_a_repository_where_none_is_known(built: Build) -> None:
    page = built.page("part/figures")
    for word in ("colab", "github", "fa-rocket", "launch-buttons"):
        assert word not in page.lower(), word
    assert "_config.yml" not in page
    assert "Somebody" in page  # the author, in the footer


@pytest.mark.slow
def test_a_figure_without_description_fails_a_strict_build(checkout: Checkout) -> None:
    code = "import plotly.graph_objects as go\ngo.Figure(go.Bar(y=[1]))"
    checkout.write_pages({"intro": f"# A\n\n```{{code-cell}} ipython3\n{code}\n```\n"})
    built = checkout.build("-W", "--keep-going")
    assert not built.succeeded
    assert "no alternative text" in built.log


@pytest.mark.slow
@pytest.mark.parametrize("where", ["http", "file"])
def test_readers_get_whole_pages_without_a_network(built: Build, browser: Browser, where: str) -> None:
    with serving(built.html) as address:
        site = address if where == "http" else address_of_file(built.html)
        assert defects_of_page(browser, f"{site}/part/figures.html") == []
        assert defects_on_opening(browser, f"{site}/genindex.html") == []
        assert defects_of_page(browser, f"{site}/part/prose.html") == []
        assert defects_of_search(browser, site, "glockenspiel") == []


@pytest.mark.slow
def test_figures_take_the_pages_colours(built: Build, browser: Browser) -> None:
    texts = "document.querySelector('.js-plotly-plot')._fullLayout.annotations.map((a) => a.font.color)"
    scene = "document.querySelectorAll('.js-plotly-plot')[1]._fullLayout.scene.xaxis.gridcolor"
    colors = {}
    for dark in (False, True):
        with browser.page(address_of_file(built.html / "part/figures.html"), dark=dark) as page:
            page.scroll_through()
            page.wait("document.querySelectorAll('[data-drawn]').length === 3")
            colors[dark] = [*page.evaluate(texts), page.evaluate(scene)]
    grey, red, grid = zip(colors[False], colors[True], strict=True)
    assert grey[0] != grey[1]
    assert red == ("red", "red")
    assert grid[0] != grid[1]
    with browser.page(address_of_file(built.html / "part/figures.html")) as page:
        page.scroll_through()
        page.wait("document.querySelectorAll('[data-drawn]').length === 3")
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.wait(
            f"JSON.stringify([...{texts}, {scene}]) === {json.dumps(json.dumps(colors[True], separators=(',', ':')))}"
        )


@pytest.mark.slow
def test_figures_fit_the_window_and_keep_their_proportions(built: Build, browser: Browser) -> None:
    size = "(({width, height}) => [width, height])(document.querySelectorAll('.js-plotly-plot')[1]._fullLayout)"
    with browser.page(address_of_file(built.html / "part/figures.html"), width=1600) as page:
        page.scroll_through()
        page.wait("document.querySelectorAll('[data-drawn]').length === 3")
        assert page.evaluate(size)[0] <= 900
        page.resize(390)
        page.wait(f"{size}[0] < 390")
        _, height = page.evaluate(size)
        assert height == 500 * 0.6  # not lower, or nothing could be seen
        legend = "document.querySelector('.js-plotly-plot .legend').getBoundingClientRect().top"
        axis = "document.querySelector('.js-plotly-plot .xaxislayer-above').getBoundingClientRect().bottom"
        page.wait(f"{legend} > {axis}")
        page.resize(1600)
        page.wait(f"{size}[0] > 600 && {legend} < {axis}")


@pytest.mark.slow
def test_numbers_on_cells_go_where_they_would_overlap(built: Build, browser: Browser) -> None:
    numbers = "document.querySelectorAll('.heatmap-label').length"
    with browser.page(address_of_file(built.html / "part/figures.html"), width=1600) as page:
        page.scroll_through()
        page.wait(f"{numbers} === 16 * 16")
        page.resize(390)
        page.wait(f"{numbers} === 0")
        page.resize(1600)
        page.wait(f"{numbers} === 16 * 16")
