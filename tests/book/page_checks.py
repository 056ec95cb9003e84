"""Defects of a page that only a browser shows; every function returns them as sentences, none if none."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from browser import Browser, Page

PHONE_WIDTH = 390

_FIGURES = """[...document.querySelectorAll('.book-plotly')].map((element) => {
  const box = element.querySelector('.js-plotly-plot');
  const picture = element.querySelector('.main-svg');
  return {
    label: element.getAttribute('aria-label'),
    drawn: element.dataset.drawn === 'true' && !!box && box._fullData.length > 0 && !!picture,
    inside: !picture || picture.getBoundingClientRect().right <= element.getBoundingClientRect().right + 1,
    visible: element.clientWidth > 0,
  };
})"""

# Contrast (WCAG 2) between a figure's text and the page behind it.
_CONTRASTS = """(() => {
  const channels = (color) => {
    const pen = document.createElement('canvas').getContext('2d');
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (color) => channels(color)
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const page = luminance(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll('.book-plotly .js-plotly-plot')].map((box) => {
    const text = luminance(box._fullLayout.font.color);
    return (Math.max(text, page) + 0.05) / (Math.min(text, page) + 0.05);
  });
})()"""

_SOUNDS = """Promise.all([...document.querySelectorAll('audio')].map((audio) => new Promise((done) => {
  const label = audio.getAttribute('aria-label');
  audio.onloadedmetadata = () => done({ label, duration: Number.isFinite(audio.duration) ? audio.duration : 0 });
  audio.onerror = () => done({ label, duration: 0 });
  audio.preload = 'auto';
  audio.load();
})))"""

_WIDEST = """[...document.body.querySelectorAll('*')]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .map((element) => `${element.tagName}.${element.className}`).slice(0, 5)"""


def defects_of_page(browser: Browser, url: str) -> list[str]:
    """Everything that is wrong with a page as a reader opens it, scrolls, listens, and turns the light off."""
    with browser.page(url) as page:
        found = _figures_not_drawn(page) + _silent_players(page) + _formulas_not_set(page) + _pale_figures(page)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        found += [f"dark page: {defect}" for defect in _pale_figures(page)]
        page.evaluate("document.documentElement.dataset.theme = 'light'")
        page.resize(PHONE_WIDTH)
        found += [f"phone: {defect}" for defect in _figures_not_drawn(page) + _overflow(page)]
        return found + _disturbances(page)


def defects_on_opening(browser: Browser, url: str) -> list[str]:
    """What is wrong with a page that is opened and read to its end."""
    with browser.page(url) as page:
        return _figures_not_drawn(page) + _formulas_not_set(page) + _disturbances(page)


def defects_of_search(browser: Browser, site: str, word: str) -> list[str]:
    """Whether the search page of a site finds a word, and shows where."""
    with browser.page(f"{site}/search.html?q={word}") as page:
        try:
            page.wait("document.querySelectorAll('#search-results li a').length > 0")
            page.wait("/found|finished|matching/.test(document.querySelector('#search-results').textContent)")
        except TimeoutError as error:
            return [f"the search for '{word}' finds nothing: {error}", *_disturbances(page)]
        return _disturbances(page)


def address_of_file(path: Path) -> str:
    """The address of a file that is opened from the disk."""
    return path.resolve().as_uri()


def _figures_not_drawn(page: Page) -> list[str]:
    page.scroll_through()
    with suppress(TimeoutError):  # told figure by figure
        page.wait("[...document.querySelectorAll('.book-plotly')].every((e) => !e.clientWidth || e.dataset.drawn)")
    figures = page.evaluate(_FIGURES)
    found = [f"not drawn: {figure['label']}" for figure in figures if figure["visible"] and not figure["drawn"]]
    return found + [f"too wide: {figure['label']}" for figure in figures if not figure["inside"]]


def _silent_players(page: Page) -> list[str]:
    return [f"no sound: {sound['label']}" for sound in page.evaluate(_SOUNDS) if sound["duration"] <= 0]


def _formulas_not_set(page: Page) -> list[str]:
    unset = page.evaluate(
        "[...document.querySelectorAll('.math')].filter((e) => !e.querySelector('mjx-container svg'))"
        ".map((e) => e.textContent.slice(0, 60))"
    )
    wrong = page.evaluate("[...document.querySelectorAll('mjx-merror')].map((e) => e.textContent.slice(0, 60))")
    return [f"formula not set: {text}" for text in unset] + [f"formula with an error: {text}" for text in wrong]


def _pale_figures(page: Page) -> list[str]:
    if page.evaluate("document.querySelector('.book-plotly .js-plotly-plot') === null"):
        return []
    try:
        page.wait(f"{_CONTRASTS}.every((contrast) => contrast >= 4.5)", timeout=5)
    except TimeoutError:
        return [f"contrasts of the figures' text with the page: {page.evaluate(_CONTRASTS)}"]
    return []


def _overflow(page: Page) -> list[str]:
    excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"{excess} pixels too wide: {page.evaluate(_WIDEST)}"] if excess > 0 else []


def _disturbances(page: Page) -> list[str]:
    return (
        [f"external request: {url}" for url in page.external_requests]
        + [f"failed request: {failure}" for failure in page.failures]
        + [f"exception: {exception}" for exception in page.exceptions]
    )
