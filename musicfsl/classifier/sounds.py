"""What users give as a sound: a file, an array or tensor with or without its rate, an item of a data set."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import DatasetError, InputError

__all__ = [
    "Example",
    "Item",
    "Samples",
    "Sound",
    "check_waves",
    "class_name",
    "is_one_sound",
    "printable",
    "sound_of",
    "sounds_of",
]

# Floating-point samples beyond this are no overshoot of a filter, but whole numbers of an integer format.
_LOUDEST = 2.0


class Samples(NamedTuple):
    """A sound in memory.

    Attributes:
        wave: float32 ``(1, n)``, the mean of the channels.
        rate: in Hz; None is the encoder's.
    """

    wave: Tensor
    rate: int | None


class Item(NamedTuple):
    """An item of a data set of waves.

    Attributes:
        dataset: the data set.
        position: number of the item in it.
    """

    dataset: ClassConditionalDataset
    position: int


@dataclass(frozen=True)
class Sound:
    """Something to listen to.

    Attributes:
        name: what messages and explanations call it.
        source: where it is.
    """

    name: str
    source: Path | Samples | Item


class Example(NamedTuple):
    """A sound of a known class.

    Attributes:
        sound: the sound.
        label: name of its class.
        group: the recording or player that it came from, where that is known; None makes it its own.
    """

    sound: Sound
    label: str
    group: str | None = None


def is_one_sound(given: Any) -> bool:
    """Whether something is a single sound, and not a collection of sounds.

    Example:
        >>> is_one_sound("oud.wav"), is_one_sound((np.zeros(8000), 16000)), is_one_sound(["oud.wav"])
        (True, True, False)
    """
    return isinstance(given, str | os.PathLike | np.ndarray | Tensor) or _is_with_rate(given)


def sound_of(given: Any, name: str) -> Sound:
    """A single sound.

    Args:
        given: the path of a recording; an array or tensor ``(n,)`` or ``(channels, n)``; or a pair of such an array and
            its sample rate.
        name: what it is called where it has no path.

    Raises:
        InputError: it is something else, or samples are out of range.

    Example:
        >>> sound_of((np.zeros((2, 8000)), 16000), "a stereo sound").source.wave.shape
        torch.Size([1, 8000])
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given).expanduser()
        return Sound(printable(given), path)
    if _is_with_rate(given):
        rate = given[1]
        if isinstance(rate, bool) or float(rate) != int(rate) or rate <= 0:
            raise InputError(f"{name} has a sample rate of {rate}; expected a whole number of Hz")
        return Sound(name, Samples(_mono(given[0], name), int(rate)))
    if isinstance(given, np.ndarray | Tensor):
        return Sound(name, Samples(_mono(given, name), None))
    raise InputError(
        f"{name} is a {type(given).__name__}; expected the path of a recording, an array or tensor of samples, or a "
        "pair (array, sample rate)"
    )


def sounds_of(given: Any, name: str = "sound") -> list[Sound]:
    """A list of sounds; one alone makes a list of one, and a data set gives all its items.

    Raises:
        InputError: it is something else, or see `sound_of` and `check_waves`.
    """
    if is_one_sound(given):
        return [sound_of(given, name)]
    if isinstance(given, ClassConditionalDataset):
        check_waves(given)
        return [Sound(printable(given.item_name(i)), Item(given, i)) for i in range(len(given))]
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return [sound_of(each, f"{name} {i}") for i, each in enumerate(given)]
    raise InputError(
        f"sounds are given as {type(given).__name__}; expected the path of a recording, an array or tensor, a pair "
        "(array, sample rate), or a list of these"
    )


def check_waves(dataset: ClassConditionalDataset) -> None:
    """Raises an InputError where a data set holds features, or several labels an item."""
    if dataset.front_end_settings is not None:
        raise InputError(f"{dataset.name} holds stored features; give the data set of waves that they were made from")
    if dataset.is_multilabel:
        raise InputError(f"{dataset.name} has several labels an item; a classifier chooses one class for each sound")


def class_name(given: Any) -> str:
    """A class's name, in the one form that Unicode prefers: file systems store accents in more than one.

    Raises:
        InputError: it is no text, or empty.
        DatasetError: it is not encoded as UTF-8.

    Example:
        >>> class_name("bağlama") == class_name("bag\u0306lama")
        True
    """
    if not isinstance(given, str) or not given.strip():
        raise InputError(f"a class is called {given!r}; expected a name")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise DatasetError(f"the folder name '{printable(given)}' is not encoded as UTF-8; rename the folder") from None
    return unicodedata.normalize("NFC", given)


def printable(path: str | os.PathLike[str]) -> str:
    """A path as text that can be written anywhere: bytes that are no UTF-8 become a replacement character."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def _is_with_rate(given: Any) -> bool:
    return (
        isinstance(given, tuple)
        and len(given) == 2
        and isinstance(given[0], np.ndarray | Tensor)
        and isinstance(given[1], int | float | np.integer | np.floating)
    )


def _mono(samples: np.ndarray | Tensor, name: str) -> Tensor:
    """Samples as float32 ``(1, n)`` in [-1, 1]."""
    array = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else samples
    if array.ndim not in (1, 2) or array.size == 0 or (array.ndim == 2 and array.shape[0] > array.shape[1]):
        raise InputError(f"{name} has shape {array.shape}; expected samples (n,) or (channels, n), one at least")
    if array.dtype in (np.int16, np.int32):
        array = array / -float(np.iinfo(array.dtype).min)
    elif array.dtype.kind != "f":
        raise InputError(f"{name} has samples of type {array.dtype}; expected float in [-1, 1], int16 or int32")
    wave = torch.from_numpy(np.array(array, dtype=np.float32)).reshape(-1, array.shape[-1]).mean(dim=0, keepdim=True)
    if not torch.isfinite(wave).all():
        raise InputError(f"{name} holds NaN or infinite samples; check where it comes from")
    if wave.abs().max() > _LOUDEST:
        raise InputError(f"{name} has samples up to {float(wave.abs().max()):g}; expected [-1, 1], divide them")
    return wave.clamp(-1, 1)
