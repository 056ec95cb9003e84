"""Checks what a figure is drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError

__all__ = ["as_finite", "as_shares", "as_targets", "as_thresholds"]


def as_finite(name: str, values: ArrayLike | Tensor, *shape: str | int) -> NDArray[np.float64]:
    """Copies numbers into a float64 array of a given shape.

    Args:
        name: what the error calls the array.
        values: numbers, as an array, a list or a tensor on any device.
        shape: one entry an axis: a number for a fixed length, a letter for any length above 0.

    Raises:
        InputError: the shape differs, an axis is empty, or a value is NaN, infinite or no number.

    Example:
        >>> as_finite("wave", [0, 1], "n_samples")
        array([0., 1.])
    """
    array = _to_numpy(name, values)
    expected = f"({', '.join(str(axis) for axis in shape)}{',' if len(shape) == 1 else ''})"
    fits = array.ndim == len(shape) and all(
        length == axis if isinstance(axis, int) else length > 0 for length, axis in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise InputError(f"{name} has shape {array.shape}; expected {expected}")
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} holds values of type {array.dtype}; expected real numbers")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinite values; find out where they come from before plotting")
    return array.astype(np.float64)


def as_shares(name: str, values: ArrayLike | Tensor, *shape: str | int, gaps: bool = False) -> NDArray[np.float64]:
    """Like `as_finite`, for numbers from 0 to 1: shares, scores, probabilities.

    Args:
        name: what the error calls the array.
        values: numbers.
        shape: as for `as_finite`.
        gaps: whether NaN may stand where there is no number.

    Example:
        >>> as_shares("scores", [0.5, np.nan], 2, gaps=True)
        array([0.5, nan])
    """
    array = _to_numpy(name, values)
    missing = np.isnan(array) if gaps and array.dtype.kind == "f" else np.zeros(array.shape, dtype=bool)
    numbers = as_finite(name, np.where(missing, 0.0, array), *shape)
    if (numbers < 0).any() or (numbers > 1).any():
        raise InputError(f"{name} reach from {numbers.min():g} to {numbers.max():g}; expected 0 to 1")
    return np.where(missing, np.nan, numbers)


def as_targets(name: str, targets: ArrayLike | Tensor, n_items: int, n_classes: int) -> NDArray[np.int64]:
    """Checks class numbers: one for every item, each in ``0 ... n_classes - 1``."""
    array = _to_numpy(name, targets)
    if array.shape != (n_items,):
        raise InputError(f"{name} has shape {array.shape}; expected ({n_items},), one class number a point")
    if array.dtype.kind not in "iu":
        raise InputError(f"{name} holds values of type {array.dtype}; expected whole numbers")
    if n_items and not (array.min() >= 0 and array.max() < n_classes):
        raise InputError(
            f"{name} holds class numbers from {array.min()} to {array.max()}, "
            f"but there are {n_classes} classes; expected 0 to {n_classes - 1}"
        )
    return array.astype(np.int64)


def as_thresholds(thresholds: ArrayLike | Tensor, n_classes: int) -> NDArray[np.float64]:
    """A threshold a class, ``(n_classes,)``, from one number for all or from one each."""
    one_each = np.full(n_classes, float(thresholds)) if np.ndim(thresholds) == 0 else thresholds  # type: ignore[arg-type]
    return as_shares("thresholds", one_each, n_classes)


def _to_numpy(name: str, values: ArrayLike | Tensor) -> NDArray[Any]:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float().numpy() if values.is_floating_point() else values.numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"{name} has rows of different lengths; expected a rectangular array of numbers") from None
