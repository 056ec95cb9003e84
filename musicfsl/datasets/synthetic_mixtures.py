"""Polyphonic excerpts of the embedded instruments, under the protocol of IRMAS, with no sample and no download."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from musicfsl.caching import cache_root
from musicfsl.datasets._excerpts import CachedExcerpts, Excerpt
from musicfsl.datasets._instruments import INSTRUMENTS
from musicfsl.datasets._mixtures import Labels, Orchestra, Recipe, checked_count, checked_length, mixtures
from musicfsl.datasets._synthesis import SYNTHESIS_VERSION
from musicfsl.datasets.base import hash_of
from musicfsl.datasets.synthetic import SyntheticInstruments
from musicfsl.errors import DatasetError, InputError, did_you_mean
from musicfsl.vocabularies import open_vocabulary, vocabulary_names

__all__ = ["SyntheticMixtures"]

# Labels of OpenMIC-2018 that mean several instruments -> the one of the embedded set that stands for them here.
_STANDS_FOR = {"Bass": "Electric Bass", "Mallet Percussion": "Marimba"}
# What may play along unlabelled: instruments that usually accompany. Where a label means one of them too (the "Bass" of
# OpenMIC-2018 is also a contrabass), it does not.
_ACCOMPANISTS = (
    "Accordion", "Contrabass", "Electric Bass", "French Horn", "Harp", "Harpsichord", "Oboe", "Timpani", "Vibraphone",
    "Viola",
)  # fmt: skip
_ALSO_MEANT = {"Bass": ("Contrabass",), "Mallet Percussion": ("Vibraphone",)}

# Players and notes a player in each subset; no player is in two, as every subset draws its own.
_PLAYERS = {"training": 8, "validation": 3, "testing": 4}
_NOTES_PER_PLAYER = 16
# IRMAS: excerpts of 3 s with one label to learn from, 5 to 20 s with all labels to be tested on.
_SECONDS = {"training": (3.0, 3.0), "validation": (3.0, 3.0), "testing": (5.0, 20.0)}
_LEVELS_DB = {"training": (-24.0, -9.0), "validation": (-24.0, -9.0), "testing": (-9.0, 0.0)}


class SyntheticMixtures(CachedExcerpts):
    """Polyphonic excerpts of the embedded instruments under the protocol of IRMAS, made by the package from nothing.

    Training and validation excerpts last 3 s, have one to four instruments, and are labelled with the predominant one
    alone; test excerpts last 5 to 20 s and are labelled with all that sound. The three subsets share no player: each
    draws its own. How excerpts are made says `Mixtures`, how notes are, `SyntheticInstruments`.

    The first construction makes the notes of a subset, in as many processes as there are cores, mixes the excerpts,
    and writes them to a cache; later ones open it. Excerpts are the same whatever the number of processes.

    Args:
        subset: training, validation or testing.
        vocabulary: "irmas", "openmic" (17 of its 20 instruments; the embedded set has no cymbals, drums or
            synthesizer), or anything else that `musicfsl.vocabularies.open_vocabulary` opens and that names embedded
            instruments only.
        n_training: training excerpts.
        n_validation: validation excerpts.
        n_testing: test excerpts.
        sample_rate: in Hz, 8000 or more.
        duration: seconds of what ``ds[i]`` gives, cut at a random place; None gives whole excerpts.
        accompaniment: share of the excerpts, in all subsets, in which one or two embedded instruments outside the
            vocabulary (basses, harp, horn and others) play along, unlabelled.
        seed: of players, notes and excerpts, and of the places where ``ds[i]`` cuts; 0 or more.
        cache_dir: folder for the cache; see `musicfsl.caching.cache_root`.
        progress: show progress bars while excerpts are made.

    Attributes:
        codes: the vocabulary's short labels, beside ``classes``.
        sounding: uint8 array ``(N, n_classes)``: which instruments really sound, whatever the labels say.

    All other attributes are those of `Mixtures`.

    Raises:
        InputError: an argument is out of range.
        DatasetError: the vocabulary is unknown, or names an instrument that the embedded set has not.
        CacheError: the cache cannot be written, or is damaged.

    Example:
        >>> import tempfile
        >>> ds = SyntheticMixtures(
        ...     "testing", vocabulary=["Flute", "Cello"], n_testing=2, cache_dir=tempfile.mkdtemp(), progress=False
        ... )
        >>> ds.is_multilabel, ds.classes, ds.sample_rate
        (True, ['Flute', 'Cello'], 22050)
    """

    def __init__(
        self,
        subset: Literal["training", "validation", "testing"] = "training",
        *,
        vocabulary: str | os.PathLike[str] | Sequence[str] = "irmas",
        n_training: int = 1320,
        n_validation: int = 330,
        n_testing: int = 330,
        sample_rate: int = 22050,
        duration: float | None = None,
        accompaniment: float = 0.0,
        seed: int = 0,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> None:
        sizes = {"training": n_training, "validation": n_validation, "testing": n_testing}
        if subset not in sizes:
            raise InputError(f"subset is {subset!r}; expected training, validation or testing")
        n_excerpts = checked_count(f"n_{subset}", sizes[subset])
        labels: Labels = "all" if subset == "testing" else "predominant"
        own_seed = _seed_of(subset, seed)
        recipe = Recipe((1, 4), _SECONDS[subset], _LEVELS_DB[subset], accompaniment, sample_rate, own_seed)
        self.codes, self.classes, instruments = _instruments(vocabulary)
        self.name = "synthetic_mixtures"
        self.is_synthetic = True
        self.subset_name = subset
        self.families = {name: INSTRUMENTS[own].family for name, own in zip(self.classes, instruments, strict=True)}
        self.sample_rate = sample_rate
        self.length = checked_length(duration, sample_rate)
        self.seed = seed
        outside = _outside(self.classes, instruments) if accompaniment > 0 else []
        arguments = {
            "instruments": instruments,
            "outside": outside,
            "n_players": _PLAYERS[subset],
            "notes_per_player": _NOTES_PER_PLAYER,
            "n_excerpts": n_excerpts,
            "labels": labels,
            "synthesis_version": SYNTHESIS_VERSION,
            **recipe.settings(),
        }

        def make(temporary: Path) -> Iterator[tuple[Excerpt, NDArray[np.int16]]]:
            # The notes serve only here. They lie in the unfinished cache folder, which is sure to have a place.
            folder = temporary / "notes"
            notes = SyntheticInstruments(
                n_players=_PLAYERS[subset],
                notes_per_player=_NOTES_PER_PLAYER,
                sample_rate=sample_rate,
                duration=None,
                classes=[*instruments, *outside],
                seed=own_seed,
                cache_dir=folder,
                progress=progress,
            )
            orchestra = Orchestra(notes, notes.pitches, instruments)
            yield from mixtures(notes, orchestra, recipe, n_excerpts, progress)
            del notes, orchestra
            shutil.rmtree(folder, ignore_errors=True)

        self._open(cache_root(cache_dir) / self.name / hash_of(arguments), arguments, make, labels)


def _seed_of(subset: str, seed: int) -> int:
    """A seed of its own for every subset, so that each has players and scores that no other has."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed is {seed!r}; expected a whole number, 0 or more")
    number = list(_PLAYERS).index(subset)
    return int(np.random.SeedSequence([int(seed), number]).generate_state(1)[0])


def _outside(classes: Sequence[str], instruments: Sequence[str]) -> list[str]:
    """Accompanists that no label means."""
    meant = {*instruments, *(name for label in classes for name in _ALSO_MEANT.get(label, ()))}
    return [name for name in _ACCOMPANISTS if name not in meant]


def _instruments(vocabulary: str | os.PathLike[str] | Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Short labels, classes, and the embedded instruments that play them.

    Of a published vocabulary, what the embedded set has not is left out; who names instruments must name known ones.
    """
    opened = open_vocabulary(vocabulary)
    published = isinstance(vocabulary, str) and vocabulary in vocabulary_names()
    codes, classes, instruments = [], [], []
    for code, name in zip(opened.codes, opened.names, strict=True):
        instrument = _STANDS_FOR.get(name, name) if published else name
        if instrument in INSTRUMENTS:
            codes.append(code)
            classes.append(name)
            instruments.append(instrument)
        elif not published:
            raise DatasetError(f"the embedded set has no instrument '{name}'.{did_you_mean(name, INSTRUMENTS)}")
    return codes, classes, instruments
