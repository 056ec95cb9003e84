"""From lines of notes to the sound of an excerpt: cut, faded, levelled, added."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from musicfsl.audio import trim_silence
from musicfsl.datasets._scores import Event
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import AudioError

__all__ = ["NoteBank", "mixed", "played"]

_Wave = NDArray[np.float32]

_LONGEST_S = 3.0  # what is kept of a note
_TRIM_DB = 40.0  # silence before and after a note, below its loudest part
_RELEASE_S, _ONSET_S = 0.06, 0.004
_LEAST_LEVEL = 1e-6


class NoteBank:
    """The notes of a data set without the silence around them, read once each."""

    def __init__(self, notes: ClassConditionalDataset) -> None:
        self.sample_rate = notes.sample_rate
        self._notes = notes
        self._waves: dict[int, NDArray[np.int16]] = {}

    def seconds(self, note: int) -> float:
        """How long a note is."""
        return len(self._samples(note)) / self.sample_rate

    def held(self, note: int, length: float) -> _Wave:
        """A note that is let go after ``length`` seconds, in 16-bit units; a shorter one ends by itself."""
        release = round(_RELEASE_S * self.sample_rate)
        wave = self._samples(note)[: round(length * self.sample_rate) + release].astype(np.float32)
        release = min(release, len(wave))
        wave[len(wave) - release :] *= _falling(release)
        return wave

    def _samples(self, note: int) -> NDArray[np.int16]:
        if note not in self._waves:
            wave = trim_silence(self._notes.read(note), self.sample_rate, _TRIM_DB)[0]
            samples = np.round(wave[: round(_LONGEST_S * self.sample_rate)].numpy() * 32767).astype(np.int16)
            if not samples.any():
                raise AudioError(f"{self._notes.item_name(note)} holds only silence; remove it")
            self._waves[note] = samples
        return self._waves[note]


def played(events: Sequence[Event], bank: NoteBank, n_samples: int) -> _Wave:
    """The sound ``(n_samples,)`` of one line, with a root mean square of 1 over the time for which it sounds."""
    line = np.zeros(n_samples, dtype=np.float32)
    sounding = np.zeros(n_samples, dtype=np.bool_)
    for event in events:
        note = bank.held(event.note, event.length)
        note *= np.float32(event.gain)
        start = round(event.start * bank.sample_rate)
        if start < 0:
            note = note[-start:]
            _fade_in(note, round(_ONSET_S * bank.sample_rate))
            start = 0
        note = note[: n_samples - start]
        line[start : start + len(note)] += note
        sounding[start : start + len(note)] = True
    level = float(np.sqrt(np.mean(line[sounding] ** 2))) if sounding.any() else 0.0
    return line / max(level, _LEAST_LEVEL)


def mixed(lines: Sequence[_Wave], levels_db: Sequence[float], peak_db: float) -> NDArray[np.int16]:
    """Adds lines at their levels, and brings the sum's peak to ``peak_db`` below full scale; 16-bit samples."""
    total = np.zeros_like(lines[0])
    for line, level in zip(lines, levels_db, strict=True):
        total += line * np.float32(10 ** (level / 20))
    peak = max(float(np.abs(total).max()), _LEAST_LEVEL)
    return np.round(total * (32767 * 10 ** (peak_db / 20) / peak)).astype(np.int16)


@lru_cache(maxsize=8)
def _falling(n_samples: int) -> _Wave:
    return (0.5 + 0.5 * np.cos(np.linspace(0, np.pi, n_samples))).astype(np.float32)


def _fade_in(wave: _Wave, n_samples: int) -> None:
    n_samples = min(n_samples, len(wave))
    wave[:n_samples] *= np.linspace(0, 1, n_samples, dtype=np.float32)
