"""Polyphonic excerpts with known instruments, mixed from single notes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musicfsl.caching import cache_root
from musicfsl.datasets._excerpts import CachedExcerpts, Excerpt
from musicfsl.datasets._mixtures import Labels, Orchestra, Recipe, checked_count, checked_length, mixtures
from musicfsl.datasets._scores import UNKNOWN_PITCH
from musicfsl.datasets.base import ClassConditionalDataset, hash_of
from musicfsl.errors import DatasetError, InputError, did_you_mean

__all__ = ["Mixtures", "split_players"]


class Mixtures(CachedExcerpts):
    """Polyphonic excerpts mixed from the notes of any single-label data set.

    Every excerpt has a key, a tempo and a chord a bar. One to four instruments play in it, a line each: a melody,
    broken chords, chords or a bass, made of notes of one player that belong to the key and, on strong beats, to the
    chord. Notes are neither stretched nor transposed. Instruments overlap in time and, where pitches are known, in
    harmony, which is what makes them hard to tell apart. One instrument is predominant, and the classes take turns in
    being so.

    Excerpts are made on first use and kept in a cache. Each is a function of the notes, the settings, the seed and its
    own number alone.

    Args:
        notes: a data set of notes with a class each. Its groups are the players; where it knows none, all notes of a
            class are one player's. Take `split_players` for excerpts that share no player.
        n_excerpts: how many to make.
        labels: "all" labels all instruments of the vocabulary that sound; "predominant" only the predominant one,
            though others sound too, as in the training excerpts of IRMAS.
        vocabulary: names of the classes that are labels, in that order; the others only accompany. None takes all.
        pitches: MIDI number of every note, -1 where it is unknown; None takes ``notes.pitches``, and where there are
            none, any note may follow any.
        n_instruments: least and greatest number of instruments of the vocabulary in an excerpt.
        seconds: length of the excerpts; a pair draws each between the two, evenly over the logarithm.
        levels_db: lowest and highest level of the other lines over the predominant one; root mean square, while they
            sound.
        accompaniment: share of the excerpts in which one or two instruments outside the vocabulary play along,
            unlabelled.
        duration: seconds of what ``ds[i]`` gives, see the base class; None gives whole excerpts.
        seed: of all that is drawn, and of the places where ``ds[i]`` cuts; 0 or more.
        name: of the data set; None derives it from that of the notes.
        cache_dir: folder for the cache; see `musicfsl.caching.cache_root`.
        progress: show a progress bar while excerpts are made.

    Attributes:
        sounding: uint8 array ``(N, n_classes)``: which instruments really sound, whatever the labels say.
        levels: float32 array ``(N, n_classes)``: decibels over the predominant line; -inf: silent.
        predominant: int64 array ``(N,)``: number of the predominant class.
        players: int64 array ``(N, n_classes)``: group of the notes' player, -1 where an instrument is silent;
            ``groups`` is the predominant instrument's.
        accompaniment: for each excerpt, names of the instruments outside the vocabulary that sound.
        keys: for each excerpt, its key, such as ``"A minor"``.
        tempos: float64 array ``(N,)``: beats a minute.
        cache_folder: where the excerpts lie.

    Raises:
        InputError: an argument is out of range.
        DatasetError: the notes have several labels an item, or lack a class of the vocabulary.
        CacheError: the cache cannot be written, or is damaged.

    Example:
        >>> import tempfile
        >>> from musicfsl.datasets import SyntheticInstruments
        >>> cache = tempfile.mkdtemp()
        >>> notes = SyntheticInstruments(
        ...     n_players=1, classes=["Flute", "Cello", "Koto"], duration=None, cache_dir=cache, progress=False
        ... )
        >>> ds = Mixtures(
        ...     notes, n_excerpts=4, vocabulary=["Flute", "Cello"], n_instruments=(2, 2), cache_dir=cache,
        ...     progress=False,
        ... )
        >>> wave, target = ds[0]
        >>> wave.shape, target, ds.labels_of(0)
        (torch.Size([1, 48000]), tensor([1, 1], dtype=torch.uint8), ['Flute', 'Cello'])
    """

    def __init__(
        self,
        notes: ClassConditionalDataset,
        *,
        n_excerpts: int,
        labels: Labels = "all",
        vocabulary: Sequence[str] | None = None,
        pitches: Sequence[int] | NDArray[np.int64] | None = None,
        n_instruments: tuple[int, int] = (1, 4),
        seconds: float | tuple[float, float] = 3.0,
        levels_db: tuple[float, float] = (-12.0, 0.0),
        accompaniment: float = 0.0,
        duration: float | None = None,
        seed: int = 0,
        name: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> None:
        if notes.is_multilabel:
            raise DatasetError(f"the items of {notes.name} have several labels each; expected single notes")
        if labels not in ("all", "predominant"):
            raise InputError(f"labels is {labels!r}; expected 'all' or 'predominant'")
        if len(notes) == 0:
            raise DatasetError(f"{notes.name} holds no notes; expected at least one of every class")
        known = _checked_pitches(notes, pitches)
        both = (seconds, seconds) if isinstance(seconds, (int, float)) else seconds
        recipe = Recipe(n_instruments, both, levels_db, accompaniment, notes.sample_rate, seed)
        self.name = f"mixtures_of_{notes.name}" if name is None else name
        self.is_synthetic = notes.is_synthetic
        self.classes = _checked_vocabulary(vocabulary, notes)
        self.families = None if notes.families is None else {c: notes.families[c] for c in self.classes}
        self.sample_rate = notes.sample_rate
        self.length = checked_length(duration, notes.sample_rate)
        self.seed = recipe.seed
        arguments = {
            "notes": notes.fingerprint(),
            "pitches": hash_of(known.tolist()),
            "vocabulary": self.classes,
            "n_excerpts": checked_count("n_excerpts", n_excerpts),
            "labels": labels,
            **recipe.settings(),
        }
        orchestra = Orchestra(notes, known, self.classes)

        def make(_: Path) -> Iterator[tuple[Excerpt, NDArray[np.int16]]]:
            return mixtures(notes, orchestra, recipe, n_excerpts, progress)

        self._open(cache_root(cache_dir) / "mixtures" / hash_of(arguments), arguments, make, labels)


def split_players(notes: ClassConditionalDataset, sizes: Sequence[float], seed: int = 0) -> list[NDArray[np.int64]]:
    """Divides notes into parts that share no player, each with notes of every class.

    Args:
        notes: a data set of notes with a class each. Its groups are the players. Of a class with fewer groups than
            parts, and where no groups are known, single notes are divided instead: then a part shares no note with
            another, but perhaps a player.
        sizes: share of each part, 0 to 1, in all 1.
        seed: of the shuffling.

    Returns:
        indices of the notes of each part, in order.

    Raises:
        InputError: the sizes are no shares, or a class has fewer notes than there are parts.

    Example:
        >>> import tempfile
        >>> from musicfsl.datasets import SyntheticInstruments
        >>> notes = SyntheticInstruments(
        ...     n_players=4, notes_per_player=1, classes=["Flute"], cache_dir=tempfile.mkdtemp(), progress=False
        ... )
        >>> [part.tolist() for part in split_players(notes, [0.5, 0.25, 0.25])]
        [[0, 2], [1], [3]]
    """
    if not sizes or any(not size > 0 for size in sizes) or abs(sum(sizes) - 1) > 1e-6:
        raise InputError(f"sizes are {list(sizes)}; expected one positive share a part that sum to 1")
    rng = np.random.default_rng(seed)
    parts: list[list[int]] = [[] for _ in sizes]
    for name, indices in notes.class_to_indices.items():
        players = np.arange(len(indices)) if notes.groups is None else notes.groups[indices]
        if len(np.unique(players)) < len(sizes):
            players = np.arange(len(indices))
        found = rng.permutation(np.unique(players))
        if len(found) < len(sizes):
            raise InputError(f"{name} has {len(found)} notes; {len(sizes)} parts need at least one each")
        for part, own in zip(parts, _shares(found, sizes), strict=True):
            part.extend(int(i) for i in indices[np.isin(players, own)])
    return [np.array(sorted(part), dtype=np.int64) for part in parts]


def _shares(items: NDArray[np.int64], sizes: Sequence[float]) -> list[NDArray[np.int64]]:
    """Cuts a list into parts of about these shares, none of them empty."""
    n = len(items)
    bounds = [0]
    for k, end in enumerate(np.cumsum(sizes)):
        left = len(sizes) - k - 1
        bounds.append(min(max(round(float(end) * n), bounds[-1] + 1), n - left))
    return [items[a:b] for a, b in itertools.pairwise(bounds)]


def _checked_vocabulary(vocabulary: Sequence[str] | None, notes: ClassConditionalDataset) -> list[str]:
    if vocabulary is None:
        return list(notes.classes)
    if isinstance(vocabulary, str):
        raise InputError(f"vocabulary is the string '{vocabulary}'; expected a list of class names")
    for name in vocabulary:
        if name not in notes.classes:
            raise DatasetError(f"{notes.name} has no class '{name}'.{did_you_mean(name, notes.classes)}")
    if not vocabulary or len(set(vocabulary)) != len(vocabulary):
        raise DatasetError(f"vocabulary is {list(vocabulary)}; expected at least one name, every name once")
    return list(vocabulary)


def _checked_pitches(
    notes: ClassConditionalDataset, pitches: Sequence[int] | NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """One MIDI number a note: those given, those of the data set, or unknown ones."""
    given = getattr(notes, "pitches", None) if pitches is None else pitches
    if given is None:
        return np.full(len(notes), UNKNOWN_PITCH, dtype=np.int64)
    known = np.asarray(given)
    if known.shape != (len(notes),) or known.dtype.kind not in "iu" or known.min() < UNKNOWN_PITCH:
        raise InputError(
            f"pitches are {known.dtype} of shape {known.shape}; expected a MIDI number, or -1, for each of the "
            f"{len(notes)} notes"
        )
    return known.astype(np.int64)
