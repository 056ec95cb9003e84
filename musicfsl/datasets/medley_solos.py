"""Medley-solos-DB: three-second clips of eight solo instruments, with the song that each came from."""

from __future__ import annotations

import os
from typing import Literal

from musicfsl.datasets._files import Short
from musicfsl.datasets._mirdata import MirdataDataset
from musicfsl.errors import DatasetError, InputError

__all__ = ["MedleySolosDB"]

_SUBSETS = ("training", "validation", "test")


class MedleySolosDB(MirdataDataset):
    """21,571 clips of about 3 s, solo recordings of eight instruments (Lostanlen and Cella, 2016).

    Training and validation clips come from MedleyDB, test clips from solosDB. The song is the group:
    clips of one song share player, room and microphone, so keep support and query in different songs
    (``split_groups=True``).

    Args:
        root: folder with ``audio/`` and ``annotation/``; None looks where ``musicfsl data prepare`` puts it.
        subset: the official part to keep; None keeps all three. Parts divide songs, not classes.
        sample_rate: rate that the clips are resampled to, in Hz.
        duration: length of an item in seconds; None gives whole clips.
        short: whether shorter clips are padded with zeros ("pad") or refused ("refuse").
        seed: where crops lie is a pure function of ``(seed, index)``.
        version: of mirdata's index.

    Attributes:
        part: one an item: "training", "validation" or "test".
        song_id: one an item, the number in the published table; ``groups`` numbers them from 0.

    Raises:
        DatasetError: the data set is not in ``root``, or a recording cannot be read.
        InputError: a setting is out of range.
        MissingExtraError: mirdata is not installed.
    """

    mirdata_name = "medley_solos_db"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        subset: Literal["training", "validation", "test"] | None = None,
        sample_rate: int = 16000,
        duration: float | None = 1.0,
        short: Short = "pad",
        seed: int = 0,
        version: str = "default",
    ) -> None:
        if subset is not None and subset not in _SUBSETS:
            raise InputError(f"subset is '{subset}'; expected 'training', 'validation', 'test', or None for all")
        folder = self.root_of(root)
        tracks = self._present_tracks(folder, version)
        part_of = self._annotations(folder, tracks, lambda track: track.subset)
        tracks = [track for track, part in zip(tracks, part_of, strict=True) if subset in (None, part)]
        if not tracks:
            raise DatasetError(f"{folder} holds no recordings of the subset '{subset}'; ask for another")

        self.part: list[str] = self._annotations(folder, tracks, lambda track: track.subset)
        self.song_id: list[int] = self._annotations(folder, tracks, lambda track: track.song_id)
        super().__init__(
            self.mirdata_name,
            folder,
            [os.path.relpath(track.audio_path, folder).replace(os.sep, "/") for track in tracks],
            self._annotations(folder, tracks, lambda track: track.instrument),
            group_labels=[f"song {song}" for song in self.song_id],
            sample_rate=sample_rate,
            duration=duration,
            short=short,
            seed=seed,
        )
