"""Checks of arguments that data sets share which the package makes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from musicfsl.errors import DatasetError, InputError, did_you_mean

__all__ = ["checked_classes", "checked_length", "checked_whole_number"]


def checked_whole_number(name: str, value: int, least: int) -> int:
    """A whole number from ``least`` on."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} is {value!r}; expected a whole number, {least} or more")
    return int(value)


def checked_length(duration: float | None, sample_rate: int, items: str) -> int | None:
    """Samples of what ``ds[i]`` gives; None for whole ``items``."""
    if duration is None:
        return None
    if not duration * sample_rate >= 1 or duration == float("inf"):
        raise InputError(f"duration is {duration}; expected a positive number of seconds, or None for whole {items}")
    return round(duration * sample_rate)


def checked_classes(dataset: str, classes: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """The classes asked for, each known and named once; all of them for None."""
    known = list(known)
    if classes is None:
        return known
    if isinstance(classes, str):
        raise InputError(f"classes is the string '{classes}'; expected a list of class names")
    for name in classes:
        if name not in known:
            raise DatasetError(
                f"{dataset} has no class '{name}'.{did_you_mean(name, known)} It has: {', '.join(known)}"
            )
    if not classes or len(set(classes)) != len(classes):
        raise DatasetError(f"classes is {list(classes)}; expected at least one name, every name once")
    return list(classes)
