"""Excerpts that were made once and lie in a cache: their samples behind one another, and a table of what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl.datasets._cached_samples import CachedSamples, damaged_cache, read_cache, write_cache

__all__ = ["CachedExcerpts", "Excerpt"]

_TABLE = "excerpts"


@dataclass(frozen=True)
class Excerpt:
    """What is known of an excerpt without hearing it.

    Attributes:
        n_samples: its length.
        predominant: number of the predominant class.
        levels: class number -> decibels of its line over the predominant one.
        players: class number -> group of its player in the data set of notes.
        accompaniment: names of instruments outside the vocabulary that sound too.
        key: as ``"A minor"``.
        tempo: beats a minute.
    """

    n_samples: int
    predominant: int
    levels: dict[int, float]
    players: dict[int, int]
    accompaniment: list[str]
    key: str
    tempo: float


class CachedExcerpts(CachedSamples):
    """The part of `Mixtures` that knows files. A concrete class sets ``classes`` and calls `_open`."""

    def _open(
        self,
        folder: Path,
        arguments: dict[str, Any],
        make: Callable[[Path], Iterable[tuple[Excerpt, NDArray[np.int16]]]],
        labels: str,
    ) -> None:
        """Opens the cache folder, which ``make`` fills first where there is none.

        Args:
            folder: the cache folder.
            arguments: all that decides the excerpts.
            make: gives the excerpts; it may put temporary files into the folder that it is called with.
            labels: predominant or all: which instruments of an excerpt its target names.
        """
        self.cache_folder = folder
        self._arguments = arguments
        if not folder.exists():
            write_cache(folder, _TABLE, arguments, lambda temporary: ((asdict(e), x) for e, x in make(temporary)))
        self._samples, excerpts = _read(folder, arguments)

        shape = len(excerpts), len(self.classes)
        self.lengths = np.array([excerpt.n_samples for excerpt in excerpts], dtype=np.int64)
        self.levels = np.full(shape, -np.inf, dtype=np.float32)
        self.players = np.full(shape, -1, dtype=np.int64)
        for i, excerpt in enumerate(excerpts):
            for c, level in excerpt.levels.items():
                self.levels[i, c] = level
                self.players[i, c] = excerpt.players[c]
        self.sounding = np.isfinite(self.levels).astype(np.uint8)
        self.predominant = np.array([excerpt.predominant for excerpt in excerpts], dtype=np.int64)
        one_hot = np.eye(len(self.classes), dtype=np.uint8)[self.predominant]
        self.targets = one_hot if labels == "predominant" else self.sounding.copy()
        self.groups = self.players[np.arange(len(excerpts)), self.predominant]
        self.accompaniment = [excerpt.accompaniment for excerpt in excerpts]
        self.keys = [excerpt.key for excerpt in excerpts]
        self.tempos = np.array([excerpt.tempo for excerpt in excerpts], dtype=np.float64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])

    def _mapped_samples(self) -> NDArray[np.int16]:
        return _read(self.cache_folder, self._arguments)[0]


def _read(folder: Path, arguments: dict[str, Any]) -> tuple[NDArray[np.int16], list[Excerpt]]:
    samples, rows = read_cache(folder, _TABLE, arguments, lambda row: int(row["n_samples"]))
    try:
        return samples, [_excerpt(row) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged_cache(folder, str(error)) from None


def _excerpt(row: dict[str, Any]) -> Excerpt:
    """A row of the table; JSON has no numbers as keys."""
    by_class = {name: {int(c): value for c, value in row[name].items()} for name in ("levels", "players")}
    return Excerpt(**{**row, **by_class})
