"""One excerpt after the other: who plays, what, how loud. See `musicfsl.datasets.mixtures`.

An excerpt is a function of the recipe, the notes, the seed and its own number, so that it does not depend on how many
others are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from musicfsl._progress import progress_bar
from musicfsl.datasets._excerpts import Excerpt
from musicfsl.datasets._mixing import NoteBank, mixed, played
from musicfsl.datasets._scores import ROLES, Event, Palette, Setting, draw_line, draw_setting
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import InputError

__all__ = ["MIXING_VERSION", "Labels", "Orchestra", "Recipe", "checked_count", "checked_length", "mix", "mixtures"]

Labels = Literal["predominant", "all"]

#: Raised whenever the sound of any excerpt changes; caches of another version are not used.
MIXING_VERSION = 1

_ROLE_SHARES = {"melody": 0.45, "arpeggio": 0.2, "chords": 0.2, "bass": 0.15}
_PEAK_DB = (-12.0, -1.0)
_MOST_ACCOMPANISTS = 2
_SHORTEST_S = 0.5
# A line is drawn again, at most so often, where it sounds for less than this share of its excerpt.
_LEAST_SHARE, _MOST_DRAWS = 0.3, 8


@dataclass(frozen=True)
class Recipe:
    """What mixtures have in common; makes sure that it makes sense.

    Attributes:
        n_instruments: least and greatest number of instruments of the vocabulary.
        seconds: least and greatest length; lengths between them are equally likely on a logarithmic scale.
        levels_db: lowest and highest level of the lines beside the predominant one, relative to it.
        accompaniment: share of excerpts in which one or two instruments outside the vocabulary play too.
        sample_rate: in Hz.
        seed: of all that is drawn.
    """

    n_instruments: tuple[int, int]
    seconds: tuple[float, float]
    levels_db: tuple[float, float]
    accompaniment: float
    sample_rate: int
    seed: int

    def __post_init__(self) -> None:
        least, most = self.n_instruments
        if not 1 <= least <= most:
            raise InputError(f"n_instruments is {self.n_instruments}; expected (least, greatest), 1 or more")
        shortest, longest = self.seconds
        if not _SHORTEST_S <= shortest <= longest < math.inf:
            raise InputError(f"seconds is {self.seconds}; expected (shortest, longest), {_SHORTEST_S} or more")
        lowest, highest = self.levels_db
        if not -math.inf < lowest <= highest <= 0:
            raise InputError(f"levels_db is {self.levels_db}; expected (lowest, highest), 0 at most")
        if not 0 <= self.accompaniment <= 1:
            raise InputError(f"accompaniment is {self.accompaniment}; expected a share, 0 to 1")
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)) or self.seed < 0:
            raise InputError(f"seed is {self.seed!r}; expected a whole number, 0 or more")

    def settings(self) -> dict[str, Any]:
        """All that decides the sound, as JSON can hold it."""
        return {**asdict(self), "mixing_version": MIXING_VERSION}


class Orchestra:
    """Who can play: the players of every class of a data set of notes.

    A player is a group of the data set; where it knows no groups, each class is one player.

    Args:
        notes: single-label data set.
        pitches: MIDI number of every note.
        vocabulary: names of the classes that are labels, in the order of the labels; the others accompany.
    """

    def __init__(self, notes: ClassConditionalDataset, pitches: NDArray[np.int64], vocabulary: Sequence[str]) -> None:
        groups = notes.targets if notes.groups is None else notes.groups
        self._players: dict[str, dict[int, Palette]] = {}
        for name, indices in notes.class_to_indices.items():
            of_class = {int(group): indices[groups[indices] == group] for group in np.unique(groups[indices])}
            self._players[name] = {group: Palette(own, pitches[own]) for group, own in of_class.items()}
        self.vocabulary = list(vocabulary)
        self.others = [name for name in notes.classes if name not in self.vocabulary]

    def player(self, name: str, rng: np.random.Generator) -> tuple[int, Palette]:
        """Draws one of the players of an instrument: its group and its notes."""
        groups = list(self._players[name])
        group = groups[int(rng.integers(len(groups)))]
        return group, self._players[name][group]


def mixtures(
    notes: ClassConditionalDataset, orchestra: Orchestra, recipe: Recipe, n_excerpts: int, progress: bool
) -> Iterator[tuple[Excerpt, NDArray[np.int16]]]:
    """Makes excerpts one after the other. Every note is read once."""
    bank = NoteBank(notes)
    for number in progress_bar(range(n_excerpts), desc="mixing excerpts", unit="excerpt", show=progress):
        yield mix(orchestra, bank, recipe, number)


def mix(orchestra: Orchestra, bank: NoteBank, recipe: Recipe, number: int) -> tuple[Excerpt, NDArray[np.int16]]:
    """Makes excerpt ``number``: what it holds, and its samples. The classes take turns in being predominant."""
    rng = np.random.default_rng([recipe.seed, number])
    n_classes = len(orchestra.vocabulary)
    low, high = np.log(recipe.seconds)
    n_samples = round(float(np.exp(rng.uniform(low, high))) * recipe.sample_rate)
    predominant = number % n_classes
    least, most = (min(n, n_classes) for n in recipe.n_instruments)
    n_beside = int(rng.integers(least, most + 1)) - 1
    beside = rng.permutation([c for c in range(n_classes) if c != predominant])[:n_beside]
    labelled = [predominant, *(int(c) for c in beside)]
    outside = _accompanists(orchestra, recipe, rng)
    names = [*(orchestra.vocabulary[c] for c in labelled), *outside]
    levels = [0.0, *(round(float(rng.uniform(*recipe.levels_db)), 2) for _ in names[1:])]

    setting = draw_setting(rng, n_samples / recipe.sample_rate)
    lines, players = [], []
    for name in names:
        group, palette = orchestra.player(name, rng)
        role = str(rng.choice(ROLES, p=[_ROLE_SHARES[role] for role in ROLES]))
        lines.append(played(_audible_line(rng, setting, palette, role, bank), bank, n_samples))
        players.append(group)
    samples = mixed(lines, levels, float(rng.uniform(*_PEAK_DB)))
    excerpt = Excerpt(
        n_samples=n_samples,
        predominant=predominant,
        levels=dict(zip(labelled, levels, strict=False)),
        players=dict(zip(labelled, players, strict=False)),
        accompaniment=outside,
        key=setting.key,
        tempo=round(setting.tempo, 2),
    )
    return excerpt, samples


def _accompanists(orchestra: Orchestra, recipe: Recipe, rng: np.random.Generator) -> list[str]:
    if rng.uniform() >= recipe.accompaniment or not orchestra.others:
        return []
    size = min(len(orchestra.others), int(rng.integers(1, _MOST_ACCOMPANISTS + 1)))
    return [str(name) for name in rng.choice(orchestra.others, size=size, replace=False)]


def _audible_line(
    rng: np.random.Generator, setting: Setting, palette: Palette, role: str, bank: NoteBank
) -> list[Event]:
    """A line that sounds for some share of the excerpt, for short notes may leave it nearly empty."""
    best: list[Event] = []
    longest = -1.0
    for _ in range(_MOST_DRAWS):
        events = draw_line(rng, setting, palette, role)
        seconds = _seconds(events, setting, bank)
        if seconds > longest:
            best, longest = events, seconds
        if seconds >= _LEAST_SHARE * setting.duration:
            break
    return best


def _seconds(events: Sequence[Event], setting: Setting, bank: NoteBank) -> float:
    """For how long at most the notes of a line sound within the excerpt."""
    total = 0.0
    for event in events:
        ends = event.start + min(event.length, bank.seconds(event.note))
        total += max(0.0, min(ends, setting.duration) - max(event.start, 0.0))
    return total


def checked_count(name: str, value: int) -> int:
    """A number of excerpts."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name} is {value!r}; expected a whole number, 1 or more")
    return int(value)


def checked_length(duration: float | None, sample_rate: int) -> int | None:
    """Samples of what ``ds[i]`` gives; None for whole excerpts."""
    if duration is None:
        return None
    if not (math.isfinite(duration) and duration * sample_rate >= 1):
        raise InputError(f"duration is {duration}; expected a positive number of seconds, or None for whole excerpts")
    return round(duration * sample_rate)
