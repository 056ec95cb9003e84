"""IRMAS: excerpts of polyphonic music, and which of eleven instruments play in them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from musicfsl.datasets._files import Problem, Short, verify_files
from musicfsl.datasets._label_files import EmptyLabels, read_label_files
from musicfsl.datasets._mirdata import MirdataDataset
from musicfsl.errors import DatasetError, InputError
from musicfsl.vocabularies import open_vocabulary

__all__ = ["GENRES", "IRMAS"]

#: Codes of the genres in the names of the training excerpts.
GENRES = {
    "cla": "classical",
    "cou_fol": "country-folk",
    "jaz_blu": "jazz-blues",
    "lat_sou": "latin-soul",
    "pop_roc": "pop-rock",
}

Part = Literal["training", "validation", "testing"]

_TRAINING_FOLDER = "IRMAS-TrainingData"
# "192__[gel][dru][cou_fol]0675__1.wav": instrument, drums where known, genre, number of the recording, of the excerpt.
_TRAINING_NAME = re.compile(r"^(?:\d+__)?((?:\[\w+\])+)(\d+)__\d+$")
_TESTING_NAME = re.compile(r"^(.*?)(?:-\d+)?$")
_DRUMS = {"dru": True, "nod": False}


class IRMAS(MirdataDataset):
    """6,705 training excerpts with one label and 2,874 test excerpts with one to five (Bosch et al., 2012).

    Training excerpts last 3 s; their one label is the predominant instrument, though others may play too. Test
    excerpts last 5 to 20 s and are labelled with every instrument of the eleven that is prominent. Both give
    ``targets`` uint8 ``(N, 11)``: one-hot in training and validation, multi-hot in testing. The recordings are 44.1 kHz
    stereo, and are mixed to mono when read.

    The group is the recording ("song"). A part of the training excerpts is set aside for validation: whole
    recordings, the same fraction of each class. Recordings that IRMAS holds twice under different numbers (mirdata's
    checksums tell; some even under two labels) are one group, so that none is on both sides.

    mirdata's list lacks 45 training excerpts, whose numbers it takes for those of others. They are opened too, from
    the folders of their classes.

    Args:
        root: folder with ``IRMAS-TrainingData/`` and ``IRMAS-TestingData-Part1/`` to ``-Part3/``; None looks where
            ``musicfsl data prepare`` puts it.
        subset: "training" (what validation leaves of it), "validation", "testing", or None for all excerpts.
        validation_fraction: share of each class's recordings set aside for validation, from 0 to below 1.
        split_seed: which recordings these are.
        sample_rate: rate that the excerpts are resampled to, in Hz.
        duration: length of an item in seconds; None gives whole excerpts, whose lengths differ in testing.
        short: whether shorter excerpts are padded with zeros ("pad") or refused ("refuse").
        empty_labels: whether an empty label file is refused ("refuse"), or says that none of the eleven plays
            ("negative"). The published data set has none.
        seed: where crops lie is a pure function of ``(seed, index)``.
        version: of mirdata's index.

    Attributes:
        codes: the data set's own names of the classes, such as "cel", in the order of ``classes``.
        part: one an item: "training", "validation" or "testing".
        genre: one an item: a value of `GENRES`, or None where it is not given (in testing it never is).
        drums: one an item: whether there are drums, or None where it is not given.

    Raises:
        DatasetError: the data set is not in ``root``, a label file is missing, empty or holds an unknown label, or a
            recording cannot be read.
        InputError: a setting is out of range.
        MissingExtraError: mirdata is not installed.
    """

    mirdata_name = "irmas"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        subset: Part | None = "training",
        validation_fraction: float = 0.2,
        split_seed: int = 0,
        sample_rate: int = 22050,
        duration: float | None = 3.0,
        short: Short = "pad",
        empty_labels: EmptyLabels = "refuse",
        seed: int = 0,
        version: str = "default",
    ) -> None:
        _check_settings(subset, validation_fraction)
        folder = self.root_of(root)
        split = {None: None, "testing": "test"}.get(subset, "train")
        tracks = self._present_tracks(folder, version, lambda track: split in (None, track.split))
        excerpts = _testing_excerpts(folder, [track for track in tracks if track.split == "test"], empty_labels)
        if split != "test":
            listed = [track for track in tracks if track.split == "train"]
            unlisted = self._unlisted(folder, version)
            excerpts += _set_aside(_training_excerpts(folder, listed, unlisted), validation_fraction, split_seed)
        excerpts = sorted((e for e in excerpts if subset in (None, e.part)), key=lambda e: e.path)
        if not excerpts:
            raise DatasetError(f"{folder} holds no recordings of irmas for {subset}; change validation_fraction")

        vocabulary = open_vocabulary("irmas")
        self.codes: list[str] = list(vocabulary.codes)
        self.part: list[str] = [excerpt.part for excerpt in excerpts]
        self.genre: list[str | None] = [excerpt.genre for excerpt in excerpts]
        self.drums: list[bool | None] = [excerpt.drums for excerpt in excerpts]
        super().__init__(
            self.mirdata_name,
            folder,
            [excerpt.path for excerpt in excerpts],
            np.stack([excerpt.target for excerpt in excerpts]),
            classes=vocabulary.names,
            group_labels=[excerpt.recording for excerpt in excerpts],
            sample_rate=sample_rate,
            duration=duration,
            short=short,
            seed=seed,
        )

    @classmethod
    def validate(
        cls, root: str | os.PathLike[str] | None = None, version: str = "default", show_progress: bool = False
    ) -> tuple[int, list[Problem]]:
        n_listed, problems = super().validate(root, version, show_progress)
        folder = cls.root_of(root)
        unlisted = cls._unlisted(folder, version)  # no checksum is known of these
        return n_listed + len(unlisted), problems + verify_files(folder, unlisted, show_progress)

    @classmethod
    def _unlisted(cls, root: Path, version: str) -> list[str]:
        """Training excerpts that mirdata's list lacks: it knows them by a number that is not unique."""
        loader = cls._loader(root, version)
        listed = {_relative(loader.track(track_id).audio_path, root) for track_id in cls._track_ids(loader)}
        files = sorted(_relative(path, root) for path in (root / _TRAINING_FOLDER).glob("*/*.wav"))
        return [path for path in files if path not in listed and not PurePosixPath(path).name.startswith(".")]


@dataclass(frozen=True)
class _Excerpt:
    path: str
    target: NDArray[np.uint8]
    recording: str
    part: str
    genre: str | None = None
    drums: bool | None = None


def _training_excerpts(root: Path, tracks: Sequence[Any], unlisted: Sequence[str]) -> list[_Excerpt]:
    """All that the names of the training excerpts say of them."""
    checksums = {_relative(t.audio_path, root): t._track_paths["audio"][1] for t in tracks}
    vocabulary = open_vocabulary("irmas")
    excerpts = []
    for path in [*checksums, *unlisted]:
        code, stem = PurePosixPath(path).parent.name, PurePosixPath(path).stem
        if code not in vocabulary.codes:
            raise DatasetError(
                f"{root / path} lies in the folder '{code}', which is no label of irmas; it has: "
                f"{', '.join(vocabulary.codes)}; move the folder elsewhere"
            )
        match = _TRAINING_NAME.match(stem)
        tags = re.findall(r"\[(\w+)\]", match[1])[1:] if match else []
        excerpts.append(
            _Excerpt(
                path,
                vocabulary.multi_hot([[code]])[0],
                f"recording {match[2]}" if match else stem,
                "training",
                next((GENRES[tag] for tag in tags if tag in GENRES), None),
                next((_DRUMS[tag] for tag in tags if tag in _DRUMS), None),
            )
        )
    return _join_copies(excerpts, checksums)


def _join_copies(excerpts: list[_Excerpt], checksums: dict[str, str]) -> list[_Excerpt]:
    """Gives recordings that share a file one name: the first of theirs."""
    leader: dict[str, str] = {excerpt.recording: excerpt.recording for excerpt in excerpts}

    def leader_of(recording: str) -> str:
        while leader[recording] != recording:
            recording = leader[recording]
        return recording

    recording_with: dict[str, str] = {}
    for excerpt in excerpts:
        if excerpt.path in checksums:
            one = leader_of(excerpt.recording)
            other = leader_of(recording_with.setdefault(checksums[excerpt.path], excerpt.recording))
            leader[max(one, other)] = min(one, other)
    return [replace(excerpt, recording=leader_of(excerpt.recording)) for excerpt in excerpts]


def _set_aside(excerpts: list[_Excerpt], fraction: float, seed: int) -> list[_Excerpt]:
    """Marks whole recordings for validation: the same fraction of each class's, one at least where it has two."""
    class_of: dict[str, int] = {}
    for excerpt in sorted(excerpts, key=lambda e: e.path):
        class_of.setdefault(excerpt.recording, int(excerpt.target.argmax()))
    chosen: set[str] = set()
    for number in sorted(set(class_of.values())):
        recordings = sorted(recording for recording, of in class_of.items() if of == number)
        n_chosen = min(max(1, round(fraction * len(recordings))), len(recordings) - 1) if fraction > 0 else 0
        order = np.random.default_rng((seed, number)).permutation(len(recordings))
        chosen.update(recordings[i] for i in order[:n_chosen])
    return [replace(e, part="validation") if e.recording in chosen else e for e in excerpts]


def _testing_excerpts(root: Path, tracks: Sequence[Any], empty_labels: EmptyLabels) -> list[_Excerpt]:
    """Test excerpts with the labels in the text files beside them.

    mirdata's own reader fails on a blank line, asserts that labels are known, and cuts them to three letters.
    """
    paths = [_relative(track.audio_path, root) for track in tracks]
    label_files = [_relative(track.annotation_path, root) for track in tracks]
    targets = read_label_files(root, label_files, open_vocabulary("irmas"), empty_labels)
    stems = [PurePosixPath(path).stem for path in paths]
    recordings = [match[1] for match in map(_TESTING_NAME.match, stems) if match is not None]
    return [_Excerpt(*row, "testing") for row in zip(paths, targets, recordings, strict=True)]


def _relative(path: str | os.PathLike[str], root: Path) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _check_settings(subset: str | None, validation_fraction: float) -> None:
    if subset not in ("training", "validation", "testing", None):
        raise InputError(f"subset is '{subset}'; expected 'training', 'validation', 'testing', or None for all")
    if not 0 <= validation_fraction < 1:
        raise InputError(f"validation_fraction is {validation_fraction}; expected a number from 0 to below 1")
