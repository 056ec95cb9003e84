from __future__ import annotations

import re
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from musicfsl.errors import InputError
from musicfsl.plots import AudioPlayer, SpectrogramWithSound, save, save_figure

CHROMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
needs_chrome = pytest.mark.skipif(
    not any(shutil.which(name) for name in CHROMES),
    reason="pictures are drawn by Chrome or Chromium; none is installed",
)


@pytest.fixture
def figure() -> go.Figure:
    return go.Figure(go.Scatter(x=[1, 2], y=[3, 4]), layout={"width": 320, "height": 200})


@pytest.fixture(autouse=True)
def not_yet_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save, "_already_warned", False)


@needs_chrome
@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG\r\n\x1a\n"), ("a.svg", b"<svg"), ("a.pdf", b"%PDF")])
def test_pictures_are_written(figure: go.Figure, tmp_path: Path, name: str, magic: bytes) -> None:
    written = save_figure(figure, tmp_path / name, scale=2)
    assert written == tmp_path / name
    content = written.read_bytes()
    assert content.startswith(magic)
    if name.endswith("png"):
        width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
        assert (width, height) == (640, 400)


def test_html_works_without_a_network_and_keeps_the_sound(figure: go.Figure, tmp_path: Path) -> None:
    shown = SpectrogramWithSound(figure, AudioPlayer(np.zeros(800), 16000, caption="Silence"))
    for number, item in enumerate((figure, shown)):
        page = save_figure(item, tmp_path / "new" / f"{number}.html").read_text(encoding="utf-8")
        assert not re.search(r'<script[^>]*src="http', page)
        assert len(page) > 1_000_000  # the script is inside
        assert ("<audio" in page) == (item is shown)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["0.html", "1.html"]


@pytest.mark.parametrize("missing", ["chrome", "kaleido"])
def test_without_a_renderer_html_is_written_and_said_once(
    figure: go.Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "chrome":
        import kaleido
        from kaleido.errors import ChromeNotFoundError

        def no_chrome(*_: object, **__: object) -> bytes:
            raise ChromeNotFoundError

        monkeypatch.setattr(kaleido, "calc_fig_sync", no_chrome)
    else:
        import plotly.io._kaleido as plotly_kaleido

        monkeypatch.setattr(plotly_kaleido, "kaleido_available", lambda: False)
        monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.warns(UserWarning, match=f"(?i)needs {missing}.*interactive"):
        written = save_figure(figure, tmp_path / "a.png")
    assert written == tmp_path / "a.html"
    assert written.exists()
    assert not (tmp_path / "a.png").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert save_figure(figure, tmp_path / "b.pdf") == tmp_path / "b.html"


def test_other_errors_of_the_renderer_are_not_hidden(
    figure: go.Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: go.Figure, **_: object) -> bytes:
        raise ValueError("bad figure")

    monkeypatch.setattr(go.Figure, "to_image", broken)
    with pytest.raises(ValueError, match="bad figure"):
        save_figure(figure, tmp_path / "a.png")


def test_a_failed_write_leaves_the_old_file(figure: go.Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.html"
    path.write_text("old")

    def full_disk(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(save.os, "replace", full_disk)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a", "a.jpg", "a.htm"])
def test_other_endings_are_refused(figure: go.Figure, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"expected \.html, \.png, \.svg or \.pdf"):
        save_figure(figure, tmp_path / name)
