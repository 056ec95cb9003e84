"""What every measure asks of its input: probabilities of labels, which labels are there, thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError

__all__ = ["checked_names", "checked_probabilities", "checked_targets", "checked_thresholds"]

# So far may means of float32 values leave the range of their terms.
_ROUNDING = 1e-6


def checked_probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Probabilities as float64 ``(N, C)``, each in [0, 1].

    Raises:
        InputError: they are something else.
    """
    array = np.asarray(probabilities)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"probabilities have shape {array.shape}; expected (N, C), a row an excerpt, a column a label")
    if array.dtype.kind not in "fiub":
        raise InputError(f"probabilities hold values of type {array.dtype}; expected real numbers")
    if np.isnan(array).any():
        row, column = np.argwhere(np.isnan(array))[0]
        raise InputError(f"probabilities hold NaN, first in row {row}, column {column}; find out where it comes from")
    if array.min() < -_ROUNDING or array.max() > 1 + _ROUNDING:
        raise InputError(
            f"probabilities reach from {array.min():g} to {array.max():g}; expected 0 to 1 (a sigmoid makes them so)"
        )
    return np.clip(array.astype(np.float64), 0, 1)


def checked_targets(targets: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Targets as bool ``(N, C)``: which label is there.

    Raises:
        InputError: the shape is another one, or a value is neither 0 nor 1.
    """
    array = np.asarray(targets)
    if array.shape != shape:
        raise InputError(f"targets have shape {array.shape}; expected {shape}, like the probabilities")
    if array.dtype.kind not in "fiub" or not np.isin(array, (0, 1)).all():
        raise InputError("targets hold other values than 0 and 1; expected 1 where a label is there, else 0")
    return array.astype(bool)


def checked_names(names: Sequence[str], n_classes: int) -> list[str]:
    """Names of the labels, one a column.

    Raises:
        InputError: their number is another one, or one is given twice.
    """
    if isinstance(names, str):
        raise InputError(f"the class names are the string '{names}'; expected a list of names")
    found = [str(name) for name in names]
    if len(found) != n_classes:
        raise InputError(f"there are {len(found)} class names for {n_classes} columns; give one a column")
    for name in found:
        if found.count(name) > 1:
            raise InputError(f"class '{name}' is given twice; name every class once")
    return found


def checked_thresholds(thresholds: ArrayLike, n_classes: int) -> NDArray[np.float64]:
    """A threshold a label, float64 ``(C,)``, from one for all or one each.

    Raises:
        InputError: they are no numbers from 0 to 1, or neither one nor C.
    """
    try:
        array = np.asarray(thresholds, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"the threshold is {thresholds!r}; expected a number from 0 to 1, or one a class") from None
    if array.shape not in {(), (n_classes,)}:
        raise InputError(
            f"the thresholds have shape {array.shape}; expected one number, or ({n_classes},), one a class"
        )
    bad = ~((array >= 0) & (array <= 1))
    if bad.any():
        raise InputError(f"a threshold is {array[bad].flat[0]:g}; expected a probability, 0 to 1")
    return np.broadcast_to(array, (n_classes,)).copy()
