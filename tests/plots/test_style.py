from __future__ import annotations

import itertools

import numpy as np
import plotly.graph_objects as go
import plotly.io
import pytest

from musicfsl.errors import InputError
from musicfsl.plots import MATPLOTLIB_STYLE, PALETTE, apply_style, class_colors, family_colors
from musicfsl.plots.style import TEXT_COLOR

# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
COLOR_BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
# Ottosson (2020), https://bottosson.github.io/posts/oklab
TO_LMS = [
    [0.41222147, 0.53633254, 0.05144599],
    [0.2119035, 0.68069955, 0.10739696],
    [0.08830246, 0.28171884, 0.6299787],
]
TO_LAB = [
    [0.21045426, 0.79361778, -0.0040720468],
    [1.9779985, -2.42859221, 0.45059371],
    [0.02590404, 0.78277177, -0.80867577],
]


def linear_rgb(color: str) -> np.ndarray:
    srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """Contrast ratio of WCAG 2."""
    low, high = sorted(float(linear_rgb(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#FFFFFF", "#121212"])
def test_colours_are_readable_on_light_and_dark_pages(page: str) -> None:
    assert contrast(TEXT_COLOR, page) >= 4
    assert min(contrast(color, page) for color in PALETTE) >= 2


@pytest.mark.parametrize("eye", COLOR_BLINDNESS)
def test_any_two_colours_differ_for_colour_blind_readers(eye: str) -> None:
    seen = [np.clip(COLOR_BLINDNESS[eye] @ linear_rgb(color), 0, 1) for color in PALETTE]
    lab = [TO_LAB @ np.cbrt(TO_LMS @ rgb) for rgb in seen]
    # OKLab distances; a just noticeable difference is about 0.02.
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)) > 0.07


def test_class_colours_do_not_depend_on_the_order() -> None:
    names = [f"class {i}" for i in range(14)]
    colors = class_colors(names)
    assert list(colors) == names
    assert class_colors(names[::-1]) == colors
    assert len(set(class_colors(names[:10]).values())) == 10


@pytest.mark.parametrize(("classes", "message"), [(["a", "b", "a"], "'a' is given twice"), ("abc", "list of class")])
def test_bad_class_lists_are_refused(classes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        class_colors(classes)


def test_style_is_given_to_one_figure_and_not_to_plotly() -> None:
    default = plotly.io.templates.default
    registered = set(plotly.io.templates)
    figure = apply_style(go.Figure(layout={"font_size": 20}), title="Notes")
    assert figure.layout.template.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"
    assert (figure.layout.title.text, figure.layout.font.size) == ("Notes", 20)
    assert (plotly.io.templates.default, set(plotly.io.templates)) == (default, registered)


def test_family_colours_are_one_a_family() -> None:
    from musicfsl.datasets._instruments import INSTRUMENTS

    families = {name: instrument.family for name, instrument in INSTRUMENTS.items()}
    colors = family_colors(families)
    for a, b in itertools.combinations(families, 2):
        assert (colors[a] == colors[b]) == (families[a] == families[b])


def test_matplotlib_takes_the_style_and_draws_equal_files() -> None:
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure

    def drawn() -> bytes:
        file = io.BytesIO()
        figure = Figure()
        figure.add_subplot().plot([0, 1], [0, 1], label="a line")
        figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()

    with mpl.rc_context(MATPLOTLIB_STYLE):
        assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == list(PALETTE)
        first, second = drawn(), drawn()
    assert first == second
    assert b"fill: none" in first or b"opacity: 0" in first  # no white page behind the figure
