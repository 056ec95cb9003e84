"""Drawings: every instrument has one, inside its square, unlike the others; geometry by known answers; HOG vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from musicfsl.datasets._instruments import INSTRUMENTS, IRMAS_CODES
from musicfsl.errors import InputError
from musicfsl.instruments import canonical, canonical_names
from musicfsl.zeroshot import _drawing_parts as parts
from musicfsl.zeroshot.drawings import DrawingVectors, draw, drawn_names, write_drawings
from musicfsl.zeroshot.images import ImageVectors
from musicfsl.zeroshot.side_information import UnknownNameError

pytest.importorskip("PIL.Image", reason="Pillow comes with the extra zeroshot")

TINYSOL = [
    "Accordion", "Contrabass", "Viola", "Cello", "Violin", "French Horn", "Bassoon", "Clarinet in Bb", "Flute",
    "Trombone", "Bass Tuba", "Oboe", "Alto Saxophone", "Trumpet in C",
]  # fmt: skip
PPMI = [
    "bassoon", "cello", "clarinet", "erhu", "flute", "french horn", "guitar", "harp", "recorder", "saxophone",
    "trumpet", "violin",
]  # fmt: skip
ORCHESTRA = [
    "banjo", "bass clarinet", "contrabassoon", "cor anglais", "double bass", "flute", "guitar", "mandolin", "oboe",
    "trombone",
]  # fmt: skip


@pytest.fixture(scope="module")
def vectors() -> DrawingVectors:
    pytest.importorskip("skimage", reason="scikit-image comes with the extra zeroshot")
    return DrawingVectors(n_variants=4)


@pytest.mark.parametrize("names", [[*INSTRUMENTS], TINYSOL, [*IRMAS_CODES], PPMI, ORCHESTRA])
def test_every_instrument_of_the_data_sets_is_drawn(names: list[str]) -> None:
    assert {canonical(name) for name in names} <= set(drawn_names())
    assert set(drawn_names()) <= set(canonical_names())


@pytest.mark.parametrize("name", drawn_names())
def test_drawings_lie_in_their_square_and_hold_something(name: str) -> None:
    for variant in range(12):
        picture = draw(name, variant, size=64)
        assert picture.shape == (64, 64) and picture.dtype == np.uint8
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (border == 255).all(), f"variant {variant} is cut off"
        assert 0.01 < (picture < 128).mean() < 0.6


def test_a_drawing_depends_on_seed_and_variant_alone() -> None:
    first = draw("Oboe", 3, seed=7)
    draw("Harp", 1)
    np.testing.assert_array_equal(draw("oboe", 3, seed=7), first)
    assert (draw("Oboe", 4, seed=7) != first).any() and (draw("Oboe", 3, seed=8) != first).any()
    # A larger picture shows the same drawing.
    larger = draw("Oboe", 3, seed=7, size=256).reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert np.abs(larger - first).mean() < 3


def test_a_variant_resembles_the_others_of_its_class_most(vectors: DrawingVectors) -> None:
    """Recognisable at least to the embedding: the last variant among the means of the others."""
    each = np.stack([vectors.image_vectors(name) for name in drawn_names()])  # (C, n_variants, dim)
    distances = np.linalg.norm(each[:, None, -1] - each[None, :, :-1].mean(axis=2), axis=-1)
    assert np.mean(distances.argmin(axis=1) == np.arange(len(each))) > 0.9


def test_vectors_are_means_and_tell_families_apart(vectors: DrawingVectors) -> None:
    names = list(INSTRUMENTS)
    z = vectors(names)
    assert z.shape == (47, vectors.dim) and z.dtype == np.float32
    np.testing.assert_allclose(z[0], vectors.image_vectors(names[0]).mean(axis=0), rtol=1e-6)
    family = np.array([INSTRUMENTS[name].family for name in names])
    distances = np.linalg.norm(z[:, None] - z[None], axis=-1) + np.diag(np.full(len(z), np.inf))
    same = family[distances.argmin(axis=1)] == family
    chance = np.mean([(np.sum(family == f) - 1) / (len(z) - 1) for f in family])
    assert same.mean() > 2 * chance


def test_names_provenance_and_settings(vectors: DrawingVectors) -> None:
    assert vectors.knows("french_horn") and not vectors.knows("kazoo") and not vectors.knows("Tambourine")
    json.dumps(vectors.provenance())
    assert vectors.fingerprint(["Harp"]) == DrawingVectors(n_variants=4).fingerprint(["Harp"])
    assert vectors.fingerprint(["Harp"]) != DrawingVectors(n_variants=4, seed=1).fingerprint(["Harp"])
    vectors.vector("Harp")[:] = 0
    assert vectors.vector("Harp").any()
    with pytest.raises(UnknownNameError, match=r"no drawing of 'Violine X'; .* nearest known names are: Violin"):
        vectors(["Harp", "Violine X"])
    with pytest.raises(InputError, match="n_variants is 0"):
        DrawingVectors(n_variants=0)
    with pytest.raises(InputError, match="variant is -1 and size 8"):
        draw("Harp", -1, size=8)


def test_written_drawings_are_a_folder_of_images(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="torchvision comes with the extra zeroshot")
    Image = pytest.importorskip("PIL.Image")
    folder = write_drawings(tmp_path / "drawings", ["flute", "double bass"], n_variants=3, size=96, seed=5)
    images = ImageVectors(folder, model="resnet18", cache_dir=tmp_path)
    assert {name: len(paths) for name, paths in images.files.items()} == {"Contrabass": 3, "Flute": 3}
    with Image.open(folder / "Flute" / "2.png") as image:
        np.testing.assert_array_equal(np.asarray(image), draw("Flute", 2, seed=5, size=96))
    with pytest.raises(InputError, match="drawings exists already"):
        write_drawings(folder)
    with pytest.raises(UnknownNameError, match="no drawing of 'kazoo'"):
        write_drawings(tmp_path / "other", ["flute", "kazoo"])
    with pytest.raises(InputError, match="size 8; expected"):
        write_drawings(tmp_path / "other", ["flute"], size=8)
    assert [path.name for path in tmp_path.iterdir()] == ["drawings"]


# ---- Geometry, by known answers


def test_straight_parts() -> None:
    (box,) = parts._of_part({"box": [10, 20, 30, 50], "fill": "black"})
    assert box.points.tolist() == [[10, 20], [30, 20], [30, 50], [10, 50]] and box.closed and box.fill == 25
    (line,) = parts._of_part({"line": [[0, 0], [5, 5]], "pen": 2})
    assert line.points.tolist() == [[0, 0], [5, 5]] and not line.closed and line.fill is None and line.pen == 2
    (turned,) = parts._of_part({"turned": [[10, 2], [20, 3]], "axis": 40})
    assert turned.points.tolist() == [[42, 10], [43, 20], [37, 20], [38, 10]]


def test_an_ellipse_and_a_straight_pipe() -> None:
    (ellipse,) = parts._of_part({"ellipse": [50, 40, 10, 5]})
    np.testing.assert_allclose((((ellipse.points - [50, 40]) / [10, 5]) ** 2).sum(axis=1), 1)
    (pipe,) = parts._of_part({"pipe": [[0, 0, 4], [10, 0, 4], [20, 0, 4]]})
    assert set(np.round(pipe.points[:, 1], 9)) == {-2, 2}


@pytest.mark.parametrize("kind", ["curve", "blob"])
def test_smooth_lines_go_through_their_points(kind: str) -> None:
    given = [[0, 0], [10, 3], [14, 20], [2, 17]]
    (smooth,) = parts._of_part({kind: given})
    for point in given:
        assert np.linalg.norm(smooth.points - point, axis=1).min() < 1e-9


def test_copies_lie_evenly_and_used_parts_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = parts._of_part({"box": [0, 0, 2, 2], "to": [8, 4, 10, 6], "n": 3})
    assert [copy.points[0].tolist() for copy in copies] == [[0, 0], [4, 2], [8, 4]]
    monkeypatch.setattr(parts, "outlines", lambda name: parts._of_part({"line": [[50, 30], [60, 50]]}))
    (moved,) = parts._of_part({"use": "that", "scale": [2, 0.5], "turn": 90, "at": [1, 0]})
    # Scaled: (50, 40) and (70, 50). A quarter clockwise: what was above lies to the right, what was right below.
    np.testing.assert_allclose(moved.points, [[61, 50], [51, 70]], atol=1e-9)
