"""What is played in a mixture: a key, a tempo, chords, and a line of notes for every player.

Music is made from the notes that there are. A player has so many recorded notes, and a line takes those that belong to
the key, and on strong beats to the chord: so nothing is stretched or transposed, and instruments meet in harmony. Where
the pitch of notes is unknown, a line takes any of them.

Everything is drawn from the generator that is passed in; nothing here has heard a sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROLES", "UNKNOWN_PITCH", "Event", "Palette", "Setting", "draw_line", "draw_setting"]

#: Stands for the pitch of a note that nobody has told.
UNKNOWN_PITCH = -1

_TONICS = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
# Degrees of the triads' roots, counted from 0: I, IV, V, vi and ii in major; i, iv, v, VI and VII in minor.
_DEGREES = {"major": (0, 3, 4, 5, 1), "minor": (0, 3, 4, 5, 6)}
_BEATS_A_BAR = 4
_SLOWEST_BPM, _FASTEST_BPM = 66.0, 144.0

# Bars as lengths in beats. Every line keeps two of its role's bars, so that it has a figure and not only notes.
_BARS = {
    "melody": ((1, 1, 1, 1), (1.5, 0.5, 1, 1), (2, 1, 1), (0.5, 0.5, 1, 0.5, 0.5, 1), (1, 0.5, 0.5, 2), (3, 1)),
    "arpeggio": ((0.5,) * 8, (1,) * 4, (0.5, 0.5, 1) * 2),
    "chords": ((4,), (2, 2), (1, 1, 1, 1), (1.5, 1.5, 1)),
    "bass": ((2, 2), (1, 1, 1, 1), (4,), (3, 1), (1.5, 0.5, 2)),
}
#: What a line may do in a mixture.
ROLES = tuple(_BARS)

_REST = 0.12  # how often a note of a melody is left out, and a bar of any line of a long excerpt
_STEP = 3.5  # semitones: a melody moves by more than this the more rarely, the farther


@dataclass(frozen=True)
class Setting:
    """What all lines of an excerpt share.

    Attributes:
        tonic: pitch class, 0 for C.
        mode: major or minor.
        tempo: beats a minute.
        chords: pitch classes of the chord of each bar, root first.
        starts: seconds at which the bars start; the first one before the excerpt does, as music is cut anywhere.
        duration: of the excerpt in seconds.
    """

    tonic: int
    mode: str
    tempo: float
    chords: tuple[tuple[int, ...], ...]
    starts: tuple[float, ...]
    duration: float

    @property
    def key(self) -> str:
        """Name of the key.

        Example:
            >>> Setting(9, "minor", 90.0, ((9, 0, 4),), (0.0,), 2.0).key
            'A minor'
        """
        return f"{_TONICS[self.tonic]} {self.mode}"

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the key."""
        return tuple((self.tonic + step) % 12 for step in _SCALES[self.mode])


@dataclass(frozen=True)
class Palette:
    """The notes that a player has.

    Attributes:
        notes: their numbers in the data set.
        pitches: MIDI numbers of the same notes; `UNKNOWN_PITCH` where nobody has told.
    """

    notes: NDArray[np.int64]
    pitches: NDArray[np.int64]


@dataclass(frozen=True)
class Event:
    """A note of a line.

    Attributes:
        note: its number in the data set.
        start: in seconds from the start of the excerpt; negative where the excerpt starts in the midst of it.
        length: seconds for which it is held.
        gain: factor of its amplitude.
    """

    note: int
    start: float
    length: float
    gain: float


def draw_setting(rng: np.random.Generator, duration: float) -> Setting:
    """Draws key, tempo and chords for an excerpt of so many seconds."""
    tonic, mode = int(rng.integers(12)), ("major", "minor")[int(rng.integers(2))]
    tempo = float(rng.uniform(_SLOWEST_BPM, _FASTEST_BPM))
    bar = _BEATS_A_BAR * 60 / tempo
    first = -float(rng.uniform(0, bar))
    starts = tuple(float(start) for start in np.arange(first, duration, bar))
    scale = [(tonic + step) % 12 for step in _SCALES[mode]]
    degrees = [0, *(_DEGREES[mode][int(k)] for k in rng.integers(len(_DEGREES[mode]), size=len(starts) - 1))]
    chords = tuple(tuple(scale[(degree + third) % 7] for third in (0, 2, 4)) for degree in degrees)
    return Setting(tonic, mode, tempo, chords, starts, duration)


def draw_line(rng: np.random.Generator, setting: Setting, palette: Palette, role: str) -> list[Event]:
    """Draws what one player plays; at least one note, which sounds at some time within the excerpt.

    Args:
        rng: generator.
        setting: of the excerpt.
        palette: what the player has to choose from.
        role: one of `ROLES`.
    """
    bars = [_BARS[role][int(k)] for k in rng.integers(len(_BARS[role]), size=2)]
    beat = 60 / setting.tempo
    events: list[Event] = []
    last: int | None = None  # pitch
    for number, (start, chord) in enumerate(zip(setting.starts, setting.chords, strict=True)):
        if len(setting.starts) > 3 and events and rng.uniform() < _REST:
            continue  # the line is silent for a bar
        at = 0.0
        for length in bars[int(rng.integers(2))]:
            begins, at = start + at * beat, at + length
            ends = begins + length * beat
            # What would barely be heard before the excerpt's beginning, or at its end, is not played.
            if ends < 0.1 or begins > setting.duration - 0.1:
                continue
            if role in ("melody", "arpeggio") and events and rng.uniform() < _REST:
                continue
            strong = number == 0 or float(at - length).is_integer()
            chosen = _choose(rng, setting, palette, role, chord, strong, last)
            held = (ends - begins) * float(rng.uniform(0.75, 1.05))
            gain = 10 ** (float(rng.normal(0, 1.5)) / 20)
            events += [Event(int(palette.notes[k]), begins, held, gain) for k in chosen]
            last = int(palette.pitches[chosen[0]])
    return events


def _choose(
    rng: np.random.Generator,
    setting: Setting,
    palette: Palette,
    role: str,
    chord: Sequence[int],
    strong: bool,
    last: int | None,
) -> list[int]:
    """Positions in the palette of the note, or of the notes of the chord, that come next."""
    wanted = (chord[:1], chord, setting.scale) if role == "bass" else (chord, setting.scale)
    candidates = _of_classes(palette, wanted if strong or role != "melody" else (setting.scale,))
    pitches = palette.pitches[candidates]
    if role == "chords":
        return _chord(rng, candidates, pitches)
    if role == "bass":
        # The lower half of what there is.
        low = candidates[pitches <= np.median(pitches)]
        return [int(rng.choice(low))]
    if last is None or last == UNKNOWN_PITCH:
        return [int(rng.choice(candidates))]
    weights = np.exp(-np.abs(pitches - last) / _STEP) * np.where(pitches == last, 0.3, 1.0) + 1e-9
    return [int(rng.choice(candidates, p=weights / weights.sum()))]


def _of_classes(palette: Palette, wanted: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Notes of the first of the sets of pitch classes that the player has any of; all notes where there is none."""
    known = palette.pitches != UNKNOWN_PITCH
    for classes in wanted:
        belongs = np.zeros(12, dtype=np.bool_)
        belongs[list(classes)] = True
        found = np.flatnonzero(known & belongs[palette.pitches % 12])
        if len(found):
            return found
    return np.arange(len(palette.notes))


def _chord(rng: np.random.Generator, candidates: NDArray[np.int64], pitches: NDArray[np.int64]) -> list[int]:
    """Two to four notes of different pitch, or as many as there are, that lie next to one another."""
    known = pitches != UNKNOWN_PITCH
    if not known.all():
        size = min(len(candidates), int(rng.integers(2, 4)))
        return [int(k) for k in rng.choice(candidates, size=size, replace=False)]
    _, first = np.unique(pitches, return_index=True)  # one note a pitch, in order of pitch
    size = min(len(first), int(rng.integers(2, 5)))
    lowest = int(rng.integers(len(first) - size + 1))
    return [int(k) for k in candidates[first[lowest : lowest + size]]]
