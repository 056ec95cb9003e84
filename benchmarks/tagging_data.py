"""The data of `benchmarks.tagging`: mixtures of embedded instruments or of recorded notes, and their MFCCs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from musicfsl import AudioFolder, ClassConditionalDataset, FeatureStore, MfccEncoder, Mixtures, SyntheticMixtures
from musicfsl.datasets import split_players
from musicfsl.errors import InputError

__all__ = [
    "RATE",
    "SECONDS",
    "Excerpts",
    "mfcc_statistics",
    "mixtures_of_recordings",
    "pitch_in_name",
    "synthetic_mixtures",
]

#: Sample rate of all waves in Hz, and length of training excerpts and windows in seconds.
RATE, SECONDS = 22050, 3.0

_SIZES = {"n_training": 1320, "n_validation": 330, "n_testing": 330}
_FEWEST = 22

# Of the notes of recordings, for training, validation and test.
_SHARES = (0.6, 0.15, 0.25)

_PITCH = re.compile(r"_([A-G])(s|#)?(\d)_")
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class Excerpts:
    """The three subsets of a data set.

    Attributes:
        training: labelled with the predominant instrument.
        validation: likewise.
        testing: labelled with all instruments.
        split: in words, what no two subsets share.
    """

    training: ClassConditionalDataset
    validation: ClassConditionalDataset
    testing: ClassConditionalDataset
    split: str


def synthetic_mixtures(seed: int, scale: float = 1.0, cache_dir: str | None = None) -> Excerpts:
    """Mixtures of the embedded instruments."""
    sizes = {name: max(_FEWEST, round(scale * n)) for name, n in _SIZES.items()}
    training, validation, testing = (
        SyntheticMixtures(subset, sample_rate=RATE, seed=seed, cache_dir=cache_dir, progress=False, **sizes)
        for subset in ("training", "validation", "testing")
    )
    return Excerpts(training, validation, testing, "no player is in two of the subsets")


def mixtures_of_recordings(folder: str, seed: int, scale: float = 1.0, cache_dir: str | None = None) -> Excerpts:
    """Mixtures of single notes, one sub-folder an instrument, at the levels of `SyntheticMixtures`."""
    notes = AudioFolder(folder, sample_rate=RATE, duration=None)
    if len(notes.classes) < 2:
        raise InputError(
            f"{folder} has {len(notes.classes)} class; mixtures need instruments in two sub-folders or more"
        )
    pitches = np.array([pitch_in_name(notes.item_name(index)) for index in range(len(notes))])
    parts = split_players(notes, _SHARES, seed)
    made = []
    for number, (part, (subset, n_excerpts)) in enumerate(zip(parts, _SIZES.items(), strict=True)):
        testing = subset == "n_testing"
        made.append(
            Mixtures(
                notes.subset(indices=part),
                n_excerpts=max(_FEWEST, round(scale * n_excerpts)),
                labels="all" if testing else "predominant",
                pitches=pitches[part],
                seconds=(5.0, 20.0) if testing else SECONDS,
                levels_db=(-9.0, 0.0) if testing else (-24.0, -9.0),
                seed=3 * seed + number,
                cache_dir=cache_dir,
                progress=False,
            )
        )
    return Excerpts(*made, "no note is in two of the subsets, but players are")


def pitch_in_name(name: str) -> int:
    """MIDI number of a note whose file name holds its pitch between underscores, as in ``banjo_As3_forte.mp3``.

    Example:
        >>> pitch_in_name("banjo_As3_forte.mp3"), pitch_in_name("banjo.mp3")
        (58, -1)
    """
    found = _PITCH.search(name)
    if found is None:
        return -1
    letter, sharp, octave = found.groups()
    return 12 * (int(octave) + 1) + _SEMITONES[letter] + bool(sharp)


def mfcc_statistics(waves: ClassConditionalDataset, cache_dir: str | None = None) -> NDArray[np.float32]:
    """Mean and standard deviation over time of 20 MFCCs of each excerpt, ``(N, 40)``."""
    encoder = MfccEncoder(sample_rate=waves.sample_rate)
    store = FeatureStore.build(waves, encoder.front_end, trim_db=None, cache_dir=cache_dir, progress=False)
    rows = []
    for index in range(len(store)):
        # The encoder averages over frames; a frame at a time gives the coefficients themselves.
        frames = encoder(store.read(index).T.unsqueeze(-1))
        rows.append(torch.cat([frames.mean(dim=0), frames.std(dim=0)]).numpy())
    return np.stack(rows)
