"""From the description of a drawing (``tables/drawings.yaml``) to lines and areas in a square of 100 x 100.

x runs to the right, y downwards. A part is one of

    line, curve      [[x, y], ...]        a stroke through the points, straight or smooth
    area, blob       [[x, y], ...]        a closed outline through them, straight or smooth
    box              [x0, y0, x1, y1]     a rectangle
    ellipse          [x, y, rx, ry]       centre and radii
    turned, waisted  [[y, half], ...]     as wide to the left of the line x = ``axis`` as to its right; straight, smooth
    pipe             [[x, y, width], ...] a smooth tube along the points
    use              name                 the parts of a piece or of another instrument

with ``fill`` (white, light, mid, dark or black; none for a mere outline), ``pen`` (thickness of the line, 1 is usual,
0 is none), ``to`` and ``n`` (n copies, the first as given, the last as in ``to``, the others evenly between), and for
``use`` a ``scale``, a ``turn`` in degrees (clockwise) about the middle of the square, and a shift ``at`` [dx, dy].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicfsl._tables import embedded_table, read_mapping

__all__ = ["Outline", "drawn_names", "outlines"]

_GREYS = {"white": 255, "light": 215, "mid": 150, "dark": 80, "black": 25}

# Points between two given ones on smooth lines, and on the circumference of an ellipse.
_N_BETWEEN, _N_AROUND = 8, 40

Points = NDArray[np.float64]


class Outline(NamedTuple):
    """A line or an area.

    Attributes:
        points: ``(n, 2)``, x and y.
        closed: whether the last point is joined to the first.
        fill: grey from 0 (black) to 255, or None.
        pen: thickness of the line, relative to the usual one.
    """

    points: Points
    closed: bool
    fill: int | None
    pen: float


def drawn_names() -> list[str]:
    """Canonical names of the instruments that have a drawing, in the order of the table."""
    return list(_table()["instruments"])


@cache
def outlines(name: str) -> tuple[Outline, ...]:
    """What an instrument's drawing (or a shared piece) consists of, from the back to the front."""
    table = _table()
    parts = table["instruments"].get(name) or table["pieces"][name]
    return tuple(outline for part in parts for outline in _of_part(part))


@cache
def _table() -> dict[str, Mapping[str, Sequence[Mapping[str, Any]]]]:
    return {name: entry.value for name, entry in read_mapping(embedded_table("drawings.yaml")).items()}


def _of_part(part: Mapping[str, Any]) -> list[Outline]:
    if "use" in part:
        scale, turn, at = part.get("scale", 1), part.get("turn", 0), part.get("at", (0, 0))
        return [_moved(outline, scale, turn, at) for outline in outlines(part["use"])]
    kind = next(iter(part))  # the kind comes first, its options after it
    first = np.asarray(part[kind], dtype=np.float64)
    last = np.asarray(part.get("to", part[kind]), dtype=np.float64)
    closed = kind not in ("line", "curve")
    fill = _GREYS.get(part.get("fill", "white" if closed else "none"))
    steps = np.linspace(0, 1, part.get("n", 1))
    shapes = (_points(kind, first + step * (last - first), part.get("axis", 50)) for step in steps)
    return [Outline(points, closed, fill, part.get("pen", 1)) for points in shapes]


def _points(kind: str, given: Points, axis: float) -> Points:
    if kind in ("line", "area"):
        return given
    if kind == "curve":
        return _smooth(given)
    if kind == "blob":
        return _smooth(np.concatenate([given[-2:], given, given[:2]]))[2 * _N_BETWEEN : -2 * _N_BETWEEN]
    if kind == "box":
        x0, y0, x1, y1 = given
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    if kind == "ellipse":
        angles = np.linspace(0, 2 * np.pi, _N_AROUND, endpoint=False)
        return given[:2] + given[2:] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if kind in ("turned", "waisted"):
        y, half = (_smooth(given) if kind == "waisted" else given).T
        half = np.maximum(half, 0)
        return np.concatenate([np.stack([axis + half, y], 1), np.stack([axis - half, y], 1)[::-1]])
    if kind == "pipe":
        dense = _smooth(given)
        along = np.gradient(dense[:, :2], axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
        offset = across * dense[:, 2:] / 2
        return np.concatenate([dense[:, :2] + offset, (dense[:, :2] - offset)[::-1]])
    raise ValueError(f"drawings.yaml: there is no part '{kind}'")


def _smooth(points: Points) -> Points:
    """A Catmull-Rom spline through the points; its first and last piece are those of the points themselves."""
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, _N_BETWEEN, endpoint=False)[:, None]
    pieces = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        slope_start, slope_end = (end - before) / 2, (after - start) / 2
        rise = end - start
        pieces.append(
            start + slope_start * t + (3 * rise - 2 * slope_start - slope_end) * t**2
            + (slope_start + slope_end - 2 * rise) * t**3
        )  # fmt: skip
    return np.concatenate([*pieces, points[-1:]])


def _moved(outline: Outline, scale: float | Sequence[float], turn: float, at: Sequence[float]) -> Outline:
    """Scaled and turned about the middle of the square, then shifted."""
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    points = (outline.points - 50) * np.broadcast_to(np.asarray(scale, dtype=np.float64), 2)
    return outline._replace(points=points @ np.array([[cos, sin], [-sin, cos]]) + 50 + np.asarray(at, dtype=np.float64))
