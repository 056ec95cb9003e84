"""Speech Commands: 35 English words, said by 2,618 people into their own phones and computers."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from musicfsl._tables import read_text
from musicfsl.class_splits import NamedSplit, class_split
from musicfsl.datasets._archives import extract
from musicfsl.datasets._downloads import fetch
from musicfsl.datasets._files import FileDataset, Problem, Short, some, verify_files
from musicfsl.datasets._mirdata import DATA_VARIABLE, dataset_root, move_into
from musicfsl.errors import DatasetError, InputError

__all__ = ["N_RECORDINGS", "SILENCE", "SpeechCommands"]

Part = Literal["training", "validation", "testing"]

#: Class of the pieces of background noise.
SILENCE = "_silence_"

#: Word -> recordings of it in version 0.02 (Warden, 2018): 105,829 in all.
N_RECORDINGS = {
    "backward": 1664, "bed": 2014, "bird": 2064, "cat": 2031, "dog": 2128, "down": 3917, "eight": 3787, "five": 4052,
    "follow": 1579, "forward": 1557, "four": 3728, "go": 3880, "happy": 2054, "house": 2113, "learn": 1575,
    "left": 3801, "marvin": 2100, "nine": 3934, "no": 3941, "off": 3745, "on": 3845, "one": 3890, "right": 3778,
    "seven": 3998, "sheila": 2022, "six": 3860, "stop": 3872, "three": 3727, "tree": 1759, "two": 3880, "up": 3723,
    "visual": 1592, "wow": 2123, "yes": 4044, "zero": 4052,
}  # fmt: skip

_NAME = "speech_commands"
_URL = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
# SHA-256, as torchaudio 2.11 and TensorFlow Datasets (url_checksums/speech_commands.txt) have it.
_CHECKSUM = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"

_LISTS: dict[Part, str] = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
_NOISE_FOLDER = "_background_noise_"
_NOISE_SECONDS = 1.0  # the length of the words' recordings
# "0a7c2a8d_nohash_0.wav": speaker, number of the recording of this word by this speaker.
_FILE_NAME = re.compile(r"^([0-9a-f]+)_nohash_\d+\.wav$")


class SpeechCommands(FileDataset):
    """105,829 recordings of 35 words, 1 s or less each, 16 kHz mono, version 0.02 (Warden, 2018).

    The group is the speaker, whose number stands in the name of the file; keep support and query in different groups
    (``split_groups=True``). The official lists put every speaker into one of the subsets training, validation and
    testing. They divide speakers, not words; splits of the words come with the data set (`class_split`).

    Args:
        root: folder with a folder a word, ``validation_list.txt`` and ``testing_list.txt``; None looks where ``musicfsl
            data prepare`` puts it.
        subset: the official subset to keep; None keeps all three.
        silence: add the class `SILENCE`: pieces of 1 s of the recordings of background noise, set end to end. Of each
            recording the first 80 % belong to training, the next 10 % to validation, the rest to testing; the
            official lists say nothing of them. The group is the recording.
        sample_rate: rate that the recordings are resampled to, in Hz.
        duration: length of an item in seconds; None gives whole recordings, whose lengths differ.
        short: whether shorter recordings are padded with zeros ("pad") or refused ("refuse").
        seed: where crops lie is a pure function of ``(seed, index)``.

    Attributes:
        part: one an item: "training", "validation" or "testing".

    Raises:
        DatasetError: the data set is not in ``root``, a list is missing or damaged, a file or folder is named in
            another way, or a recording cannot be read.
        InputError: a setting is out of range.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        subset: Part | None = None,
        silence: bool = False,
        sample_rate: int = 16000,
        duration: float | None = 1.0,
        short: Short = "pad",
        seed: int = 0,
    ) -> None:
        if subset not in ("training", "validation", "testing", None):
            raise InputError(f"subset is '{subset}'; expected 'training', 'validation', 'testing', or None for all")
        folder = self.root_of(root)
        clips, missing_parts = _find_clips(folder)
        missing = [path for path, part in missing_parts.items() if subset in (None, part)]
        if missing:
            warnings.warn(
                f"{folder} lacks {len(missing)} recordings of {_NAME} that its lists name, such as {missing[0]}; "
                f"'musicfsl data prepare {_NAME}' downloads them",
                stacklevel=2,
            )
        clips = [clip for clip in clips if subset in (None, clip.part)]
        if not clips:
            raise DatasetError(f"{folder} holds no recordings of the subset '{subset}'; ask for another")
        noises = _find_noises(folder) if silence else []
        self.part: list[str] = [clip.part for clip in clips]
        super().__init__(
            _NAME,
            folder,
            [*(clip.path for clip in clips), *noises],
            [*(clip.word for clip in clips), *(SILENCE for _ in noises)],
            group_labels=[*(clip.speaker for clip in clips), *noises],
            sample_rate=sample_rate,
            duration=duration,
            short=short,
            seed=seed,
        )
        if noises:
            self._cut_noises(len(clips), subset)

    @classmethod
    def class_split(cls, name: str) -> NamedSplit:
        """A split of the words that comes with the data set.

        "few-shot": 20 words for training, 5 for validation, 10 for the test, by other speakers each; "overlapping": all
        words in all parts, so that its test words were trained on (reports say so). The reasons stand in
        ``musicfsl/tables/class_splits.yaml``.

        Raises:
            InputError: there is no such split.

        Example:
            >>> SpeechCommands.class_split("few-shot").parts["val"]
            ('bed', 'bird', 'left', 'nine', 'up')
        """
        return class_split(_NAME, name)

    @classmethod
    def root_of(cls, root: str | os.PathLike[str] | None = None) -> Path:
        """The folder of the data set: ``root``, or the default place (`MUSICFSL_DATA`)."""
        return dataset_root(_NAME, root)

    @classmethod
    def download(cls, root: str | os.PathLike[str] | None = None, show_progress: bool = False) -> Path:
        """Downloads 2.4 GB and unpacks them; the archive is checked against its published SHA-256 checksum before.

        Everything is fetched into a hidden folder within ``root`` and moved to its place when it is complete. An
        interrupted download goes on where it ended. Returns the folder of the data set.

        Raises:
            DatasetError: the download failed, or the archive is damaged or would write outside the folder; the message
                says why.
        """
        folder = cls.root_of(root)
        staging = folder / ".download"
        archive, unpacked = staging / _URL.rpartition("/")[2], staging / "unpacked"
        try:
            staging.mkdir(parents=True, exist_ok=True)
            fetch(_URL, archive, _CHECKSUM, show_progress)
            extract(archive, unpacked, show_progress)
            move_into(unpacked, folder)
            shutil.rmtree(staging)
        except OSError as error:
            raise DatasetError(
                f"{_NAME} could not be downloaded to {folder} ({error}); check the connection and the space left, then "
                f"run 'musicfsl data prepare {_NAME}' again, or unpack {_URL} in this folder by hand"
            ) from None
        return folder

    @classmethod
    def validate(
        cls, root: str | os.PathLike[str] | None = None, show_progress: bool = False
    ) -> tuple[int, list[Problem]]:
        """Decodes every recording, since checksums are published of the archive alone, and counts them word by word.

        Returns:
            the number of recordings of words that were published, and a problem for each that is damaged, silent or
            missing from where the lists have it, and for each word of which there are fewer than published.

        Raises:
            DatasetError: nothing of the data set is in the folder, or it is laid out in another way.
        """
        folder = cls.root_of(root)
        clips, missing = _find_clips(folder)
        found = Counter(clip.word for clip in clips)
        problems = [Problem(path, "is missing") for path in missing]
        problems += [
            Problem(word, f"{found[word]} of {published} recordings are there")
            for word, published in N_RECORDINGS.items()
            if found[word] < published
        ]
        recordings = [*(clip.path for clip in clips), *_find_noises(folder)]
        return sum(N_RECORDINGS.values()), problems + verify_files(folder, recordings, show_progress)

    def _cut_noises(self, n_clips: int, subset: Part | None) -> None:
        """Puts pieces of noise in the place of the recordings of it, which come after the words'."""
        size = round(_NOISE_SECONDS * self.sample_rate)
        pieces = [
            (file, number * size, part)
            for file in range(n_clips, len(self.paths))
            for number, part in enumerate(_parts_of_pieces(int(self.file_lengths[file]) // size))
            if subset in (None, part)
        ]
        if not pieces:
            raise DatasetError(
                f"the recordings in {self.root / _NOISE_FOLDER} are too short for pieces of {_NOISE_SECONDS:g} s for "
                f"{subset or 'any subset'}; ask for silence=False"
            )
        files, starts, parts = zip(*pieces, strict=True)
        self.file_of = np.concatenate([np.arange(n_clips), files])
        self.starts = np.concatenate([np.zeros(n_clips, dtype=np.int64), starts])
        self.lengths = np.concatenate([self.file_lengths[:n_clips], np.full(len(pieces), size)])
        self.targets = self.targets[self.file_of]
        assert self.groups is not None
        self.groups = self.groups[self.file_of]
        self.part += parts


class _Clip(NamedTuple):
    path: str
    word: str
    speaker: str
    part: Part


def _find_clips(root: Path) -> tuple[list[_Clip], dict[str, Part]]:
    """All recordings of words, sorted by path, and what the official lists name but is not there, with its subset."""
    folders = [] if not root.is_dir() else sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    words = [name for name in folders if not name.startswith(".") and name != _NOISE_FOLDER]
    if not words:
        raise DatasetError(
            f"{_NAME} is not in {root}; run 'musicfsl data prepare {_NAME}' to download it, or give its folder as "
            f"root, or name the folder above it in ${DATA_VARIABLE}"
        )
    unknown = [name for name in words if name not in N_RECORDINGS]
    if unknown:
        raise DatasetError(f"{root} holds folders that are no words of {_NAME}: {some(unknown)}; move them elsewhere")
    part_of = _read_lists(root)
    clips = []
    for word in words:
        for name in sorted(os.listdir(root / word)):
            match = _FILE_NAME.match(name)
            if match:
                path = f"{word}/{name}"
                clips.append(_Clip(path, word, match[1], part_of.pop(path, "training")))
            elif not name.startswith("."):
                raise DatasetError(
                    f"{root / word / name} is not named like the recordings of {_NAME}, such as "
                    "'0a7c2a8d_nohash_0.wav', so its speaker is unknown; move it elsewhere"
                )
    return clips, part_of


def _read_lists(root: Path) -> dict[str, Part]:
    """Path of a recording -> the subset whose list names it; all others are for training."""
    part_of: dict[str, Part] = {}
    for part, name in _LISTS.items():
        try:
            lines = read_text(root / name).splitlines()
        except InputError as error:
            raise DatasetError(
                f"without {name} nobody knows the subsets of {_NAME} ({error}); 'musicfsl data prepare {_NAME}' "
                "downloads it"
            ) from None
        for number, line in enumerate(lines, start=1):
            path = line.strip()
            word, _, file_name = path.partition("/")
            if path and not (word in N_RECORDINGS and _FILE_NAME.match(file_name)):
                raise DatasetError(
                    f"{root / name}, line {number}: '{path[:60]}' is no recording of {_NAME}; delete the file and run "
                    f"'musicfsl data prepare {_NAME}'"
                )
            if path and part_of.setdefault(path, part) != part:
                raise DatasetError(
                    f"{path} stands in both lists in {root}; delete them and run 'musicfsl data prepare {_NAME}'"
                )
    return part_of


def _find_noises(root: Path) -> list[str]:
    """Recordings of background noise, sorted."""
    noises = sorted(path.name for path in (root / _NOISE_FOLDER).glob("*.wav") if not path.name.startswith("."))
    if not noises:
        raise DatasetError(
            f"{root} holds no recordings of background noise in {_NOISE_FOLDER}; 'musicfsl data prepare {_NAME}' "
            "downloads them"
        )
    return [f"{_NOISE_FOLDER}/{name}" for name in noises]


def _parts_of_pieces(n_pieces: int) -> Sequence[Part]:
    """The subset of each piece of a recording of noise, in order: 80, 10 and 10 % of them.

    Example:
        >>> Counter(_parts_of_pieces(60))
        Counter({'training': 48, 'validation': 6, 'testing': 6})
    """
    first, second = round(0.8 * n_pieces), round(0.9 * n_pieces)
    return ["training" if n < first else "validation" if n < second else "testing" for n in range(n_pieces)]
