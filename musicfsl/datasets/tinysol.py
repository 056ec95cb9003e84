"""TinySOL: isolated notes of 14 orchestral instruments."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from musicfsl.datasets._files import Short
from musicfsl.datasets._mirdata import MirdataDataset
from musicfsl.errors import DatasetError, InputError

__all__ = ["FEW_SHOT_TEST_CLASSES", "FEW_SHOT_TRAIN_CLASSES", "TinySOL"]

#: The class split that few-shot tutorials on TinySOL use. It leaves no class for validation: choosing a
#: checkpoint by its accuracy on the test classes is a leak. Set some training classes aside instead, with
#: ``split_classes(FEW_SHOT_TRAIN_CLASSES, [6, 3], seed=0)``.
FEW_SHOT_TRAIN_CLASSES = (
    "French Horn",
    "Violin",
    "Flute",
    "Contrabass",
    "Trombone",
    "Cello",
    "Clarinet in Bb",
    "Oboe",
    "Accordion",
)
FEW_SHOT_TEST_CLASSES = ("Bassoon", "Viola", "Trumpet in C", "Bass Tuba", "Alto Saxophone")

_FOLDS = range(5)


class TinySOL(MirdataDataset):
    """2,913 single notes of 14 instruments, recorded at Ircam, 44.1 kHz mono (Cella et al., 2020).

    Classes are the instruments' full names. ``groups`` is None: the table names neither players nor
    sessions (its "Instance ID" counts alternative takes of the same note), and notes of one instrument
    sound alike in player, room and microphone, so accuracies are higher than on recordings of many
    players. A few notes were made from a neighbouring note by shifting its pitch; ``resampled`` marks them.

    Args:
        root: folder with ``audio/`` and ``annotation/``; None looks where ``musicfsl data prepare`` puts it.
        sample_rate: rate that the notes are resampled to, in Hz.
        duration: length of an item in seconds; None gives whole notes, whose lengths differ.
        short: whether shorter notes are padded with zeros ("pad") or refused ("refuse").
        folds: parts of the official five-fold split to keep, such as ``[0, 1, 2, 3]``; None keeps all.
            Every fold holds all classes, so folds divide notes, not classes.
        seed: where crops lie is a pure function of ``(seed, index)``.
        version: of mirdata's index.

    Attributes:
        pitch: one note name an item, such as "A#4".
        dynamics: one an item: "pp", "p", "mf", "f" or "ff".
        family: one an item: "Brass", "Keyboards", "Strings" or "Winds".
        families: class name -> its family.
        fold: int64 ``(N,)``, 0 to 4.
        resampled: bool ``(N,)``, True where the note was shifted in pitch from a neighbour.

    Raises:
        DatasetError: the data set is not in ``root``, or a recording cannot be read.
        InputError: a setting is out of range.
        MissingExtraError: mirdata is not installed.
    """

    mirdata_name = "tinysol"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        sample_rate: int = 16000,
        duration: float | None = 1.0,
        short: Short = "pad",
        folds: Sequence[int] | None = None,
        seed: int = 0,
        version: str = "default",
    ) -> None:
        kept = _checked_folds(folds)
        folder = self.root_of(root)
        tracks = self._present_tracks(folder, version)
        fold_of = self._annotations(folder, tracks, lambda track: track.split)
        tracks = [track for track, fold in zip(tracks, fold_of, strict=True) if fold in kept]
        if not tracks:
            raise DatasetError(f"{folder} holds no recordings of folds {sorted(kept)}; ask for other folds")

        self.pitch: list[str] = self._annotations(folder, tracks, lambda track: track.pitch)
        self.dynamics: list[str] = self._annotations(folder, tracks, lambda track: track.dynamics)
        self.family: list[str] = self._annotations(folder, tracks, lambda track: track.family)
        self.fold = np.array(self._annotations(folder, tracks, lambda track: track.split), dtype=np.int64)
        self.resampled = np.array(self._annotations(folder, tracks, lambda track: track.is_resampled), dtype=bool)
        super().__init__(
            self.mirdata_name,
            folder,
            [os.path.relpath(track.audio_path, folder).replace(os.sep, "/") for track in tracks],
            self._annotations(folder, tracks, lambda track: track.instrument_full),
            sample_rate=sample_rate,
            duration=duration,
            short=short,
            seed=seed,
        )
        family_of = {self.classes[target]: family for target, family in zip(self.targets, self.family, strict=True)}
        self.families = {name: family_of[name] for name in self.classes}


def _checked_folds(folds: Sequence[int] | None) -> set[int]:
    if folds is None:
        return set(_FOLDS)
    if isinstance(folds, int) or len(folds) == 0 or any(fold not in _FOLDS for fold in folds):
        raise InputError(f"folds is {folds}; expected a list of numbers from 0 to 4, or None for all")
    return {int(fold) for fold in folds}
