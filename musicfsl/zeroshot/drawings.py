"""Drawings of instruments made by code, and an embedding of them that needs no network and no download."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl.caching import atomic_directory
from musicfsl.errors import InputError, import_extra
from musicfsl.instruments import canonical
from musicfsl.zeroshot._drawing_parts import Outline, drawn_names, outlines
from musicfsl.zeroshot.side_information import SideInformation, UnknownNameError, nearest_names

__all__ = ["DrawingVectors", "draw", "drawn_names", "write_drawings"]

# How variants differ: ranges of the turn in degrees, of the scale (which leaves room at the edges for the turn), and of
# the shift and the thickness of lines in hundredths of the width.
_TURN, _SCALE, _SHIFT, _PEN = (-6, 6), (0.8, 0.9), (-1.5, 1.5), (0.6, 1.1)

# Lines are drawn this many times larger and scaled down, which smooths their edges.
_OVERSAMPLING = 4

_HOG = {"orientations": 9, "pixels_per_cell": (16, 16), "cells_per_block": (2, 2), "block_norm": "L2-Hys"}
_HOG_SIZE = 128


class DrawingVectors(SideInformation):
    """What instruments look like: histograms of oriented gradients of drawings (Dalal and Triggs, 2005).

    The drawings are schematic side views that come with the package as a table of parts (``tables/drawings.yaml``):
    nothing is downloaded, and no trained network is needed. A class's vector is the mean over variants of its
    drawing. Variant *i* has the same turn, scale and pen for every instrument, so classes differ by shapes alone.

    Args:
        n_variants: drawings of each class.
        seed: of their turns, scales and pens.

    Raises:
        InputError: ``n_variants`` is out of range.
        MissingExtraError: scikit-image or Pillow is not installed.

    Reference:
        N. Dalal, B. Triggs, Histograms of oriented gradients for human detection, CVPR 2005.

    Example:
        >>> drawings = DrawingVectors(n_variants=2)
        >>> drawings(["Violin", "double bass", "Flute"]).shape
        (3, 1764)
    """

    kind = "drawings"

    def __init__(self, n_variants: int = 8, seed: int = 0) -> None:
        if n_variants < 1:
            raise InputError(f"n_variants is {n_variants}; expected 1 or more")
        self.n_variants = n_variants
        self.seed = seed
        self.dim = len(_hog(draw(drawn_names()[0], size=_HOG_SIZE)))
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def image_vectors(self, name: str) -> NDArray[np.float32]:
        """The vectors of the variants of one drawing, float32 ``(n_variants, dim)``.

        Raises:
            UnknownNameError: there is no drawing of the instrument.
        """
        variants = range(self.n_variants)
        return np.stack([_hog(draw(name, variant, seed=self.seed, size=_HOG_SIZE)) for variant in variants])

    def vector(self, name: str) -> NDArray[np.float32]:
        known = _drawn(name)
        if known not in self._vectors:
            self._vectors[known] = self.image_vectors(known).mean(axis=0)
        return self._vectors[known].copy()

    def known_names(self) -> list[str]:
        return drawn_names()

    def knows(self, name: str) -> bool:
        return canonical(name) in drawn_names()

    def provenance(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "drawings": "drawings.yaml of musicfsl",
            "n_variants": self.n_variants,
            "seed": self.seed,
            "embedding": "histogram of oriented gradients",
            "size": _HOG_SIZE,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in _HOG.items()},
            "scikit-image": importlib.metadata.version("scikit-image"),
        }


def draw(name: str, variant: int = 0, *, seed: int = 0, size: int = 128) -> NDArray[np.uint8]:
    """A drawing of an instrument: dark lines and grey areas on white.

    Args:
        name: of the instrument.
        variant: number of the drawing; the turn, scale, shift and pen depend on ``(seed, variant)`` alone.
        seed: of these.
        size: width and height in pixels, 16 to 4096.

    Returns:
        uint8 ``(size, size)``, 0 black to 255 white.

    Raises:
        InputError: ``variant`` is negative or ``size`` out of range.
        MissingExtraError: Pillow is not installed.
        UnknownNameError: there is no drawing of the instrument.

    Example:
        >>> picture = draw("Violin", size=64)
        >>> picture.shape, bool(picture.min() < 100), int(picture[0, 0])
        ((64, 64), True, 255)
    """
    if variant < 0 or not 16 <= size <= 4096:
        raise InputError(f"variant is {variant} and size {size}; expected 0 or more, and 16 to 4096 pixels")
    images = import_extra("PIL.Image", extra="zeroshot")
    pencils = import_extra("PIL.ImageDraw", extra="zeroshot")
    rng = np.random.default_rng([seed, variant])
    turn, scale, pen = np.radians(rng.uniform(*_TURN)), rng.uniform(*_SCALE), rng.uniform(*_PEN)
    middle = 50 + rng.uniform(*_SHIFT, size=2)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])

    pixels = size * _OVERSAMPLING / 100  # a pixel of the large picture a hundredth of the square
    canvas = images.new("L", (size * _OVERSAMPLING,) * 2, "white")
    pencil = pencils.Draw(canvas)
    for outline in outlines(_drawn(name)):
        points = (scale * (outline.points - 50) @ rotation + middle) * pixels
        _put(pencil, outline, points, round(outline.pen * pen * pixels))
    return np.asarray(canvas.resize((size, size), images.Resampling.BOX))


def write_drawings(
    folder: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    *,
    n_variants: int = 8,
    seed: int = 0,
    size: int = 256,
) -> Path:
    """Writes drawings as PNG files, one sub-folder a class, as `ImageVectors` reads them.

    Args:
        folder: to make; it appears when all its files are written.
        names: of the instruments; None takes all that have a drawing.
        n_variants: drawings a class.
        seed: of the variants, as for `draw`.
        size: width and height in pixels.

    Returns:
        the folder's absolute path.

    Raises:
        CacheError: the folder cannot be written.
        InputError: the folder exists, or a number is out of range.
        UnknownNameError: there is no drawing of an instrument.

    Example:
        >>> import tempfile
        >>> folder = write_drawings(Path(tempfile.mkdtemp()) / "drawings", ["Flute", "Oboe"], n_variants=2, size=64)
        >>> sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
        ['Flute/0.png', 'Flute/1.png', 'Oboe/0.png', 'Oboe/1.png']
    """
    images = import_extra("PIL.Image", extra="zeroshot")
    target = Path(folder).expanduser().absolute()
    if target.exists():
        raise InputError(f"{target} exists already; name a new folder")
    if n_variants < 1:
        raise InputError(f"n_variants is {n_variants}; expected 1 or more")
    chosen = [_drawn(name) for name in (drawn_names() if names is None else names)]
    with atomic_directory(target) as temporary:
        for name in chosen:
            (temporary / name).mkdir()
            for variant in range(n_variants):
                picture = draw(name, variant, seed=seed, size=size)
                images.fromarray(picture).save(temporary / name / f"{variant}.png")
    return target


def _drawn(name: str) -> str:
    known = canonical(name)
    if known is None or known not in drawn_names():
        raise UnknownNameError(
            f"there is no drawing of '{name}'; use images of it with ImageVectors.{nearest_names(name, drawn_names())}"
        )
    return known


def _put(pencil: Any, outline: Outline, points: NDArray[np.float64], width: int) -> None:
    corners = [(float(x), float(y)) for x, y in points]
    if outline.fill is not None:
        pencil.polygon(corners, fill=outline.fill)
    if width > 0:
        pencil.line([*corners, *corners[:1]] if outline.closed else corners, fill=0, width=width, joint="curve")


def _hog(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    features = import_extra("skimage.feature", extra="zeroshot")
    vector: NDArray[np.float32] = features.hog(picture, **_HOG).astype(np.float32)
    return vector
