"""What all data sets of recorded files share: headers read once, excerpts read on demand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl._progress import progress_bar
from musicfsl.audio import audio_info, check_recording, is_silent, load_audio
from musicfsl.datasets.base import ClassConditionalDataset, hash_of
from musicfsl.errors import AudioError, DatasetError, InputError

__all__ = ["FileDataset", "Problem", "some", "verify_files"]

Short = Literal["pad", "refuse"]
Long = Literal["crop", "windows"]

# Problems spelled out in one message; the rest is only counted.
_N_SHOWN = 3


@dataclass(frozen=True)
class Problem:
    """A file of a data set that cannot be used.

    Attributes:
        path: relative to the data set's folder.
        reason: one sentence.
    """

    path: str
    reason: str


class FileDataset(ClassConditionalDataset):
    """Recordings with a class each, or with any number of classes. Only headers are read before an item is asked for.

    Attributes:
        root: folder that the paths are relative to.
        paths: one relative POSIX path a recording.
        file_lengths: int64, one a recording: its length in samples at ``sample_rate``.
        file_of: int64 ``(N,)``: index into ``paths`` of the recording that each item is cut from.
        starts: int64 ``(N,)``: first sample of each item in its recording, at ``sample_rate``.
        group_names: what each number in ``groups`` stands for; empty where ``groups`` is None.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        paths: Sequence[str],
        labels: Sequence[str] | NDArray[np.uint8],
        *,
        classes: Sequence[str] | None = None,
        group_labels: Sequence[str] | None = None,
        sample_rate: int = 16000,
        duration: float | None = 1.0,
        short: Short = "pad",
        long: Long = "crop",
        hop: float | None = None,
        seed: int = 0,
    ) -> None:
        """Reads the header of every recording.

        Args:
            name: of the data set.
            root: folder that holds the recordings.
            paths: relative POSIX paths, in the order of the items.
            labels: class name of every recording; the sorted names become ``classes``. In a multi-label data set a
                uint8 array ``(n_recordings, n_classes)`` of 0 and 1, whose columns ``classes`` names.
            classes: names of a multi-label data set's classes; None otherwise.
            group_labels: name of the player, song or source of every recording; None where nothing is known
                (windows of one recording then form a group).
            sample_rate: rate that recordings are resampled to, in Hz.
            duration: length of an item in seconds; None gives whole recordings.
            short: whether recordings shorter than ``duration`` are padded with zeros or refused.
            long: whether recordings longer than ``duration`` give one item, cropped at random, or several windows.
            hop: seconds between the starts of windows; None sets them end to end.
            seed: where crops lie is a pure function of ``(seed, index)``.

        Raises:
            DatasetError: a recording cannot be read, or is shorter than allowed.
            InputError: a setting is out of range.
        """
        _check_settings(sample_rate, duration, short, long, hop)
        self.name = name
        self.root = root
        self.paths = list(paths)
        self.classes = sorted(set(labels)) if classes is None else list(classes)
        self.sample_rate = sample_rate
        self.length = None if duration is None else round(duration * sample_rate)
        self.seed = seed

        file_lengths, self._stamps = self._read_headers()
        self.file_lengths: NDArray[np.int64] = file_lengths
        if short == "refuse" and self.length is not None:
            self._refuse_short(file_lengths, self.length)
        if long == "windows" and self.length is not None:
            step = self.length if hop is None else round(hop * sample_rate)
            starts = [_window_starts(int(n), self.length, step) for n in file_lengths]
        else:
            starts = [[0] for _ in self.paths]
        self.file_of: NDArray[np.int64] = np.repeat(np.arange(len(starts)), [len(s) for s in starts])
        self.starts: NDArray[np.int64] = np.array([s for of_file in starts for s in of_file], dtype=np.int64)
        self.lengths = file_lengths[self.file_of]
        if long == "windows" and self.length is not None:
            self.lengths = np.minimum(self.lengths, self.length)

        if classes is None:
            class_of_name = {name: c for c, name in enumerate(self.classes)}
            labels = np.array([class_of_name[label] for label in labels], dtype=np.int64)
        self.targets = np.asarray(labels)[self.file_of]
        if group_labels is None and long == "windows":
            group_labels = self.paths
        self.group_names: list[str] = sorted(set(group_labels or ()))
        self.groups = None
        if group_labels is not None:
            group_of_name = {name: g for g, name in enumerate(self.group_names)}
            self.groups = np.array([group_of_name[label] for label in group_labels], dtype=np.int64)[self.file_of]

    def path(self, index: int) -> Path:
        """The recording that item ``index`` is cut from."""
        return self.root / self.paths[int(self.file_of[index])]

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        """Decodes item ``index``, or ``length`` samples of it from ``offset`` on.

        Returns:
            float32 ``(1, n)`` in [-1, 1]; fewer samples than asked for at the end of the item.

        Raises:
            AudioError: the recording vanished, changed, is damaged, holds NaN, or nothing but silence.
        """
        available = int(self.lengths[index]) - offset
        n_samples = available if length is None else min(length, available)
        if n_samples <= 0:
            return torch.zeros(1, 0)
        return self._decode(self.path(index), int(self.starts[index]) + offset, n_samples)

    def fingerprint(self) -> str:
        """A hash of the recordings (relative paths, sizes, times of change) and of all that decides on the items.

        Neither the seed nor, except for windows, the duration is part of it: they only choose what ``ds[i]``
        cuts from an item, so features of whole items stay valid when they change.
        """
        return hash_of(
            {
                "files": [self.paths, self._stamps],
                "sample_rate": self.sample_rate,
                "classes": self.classes,
                "targets": self.targets.tolist(),
                "groups": None if self.groups is None else self.groups.tolist(),
                "items": [self.file_of.tolist(), self.starts.tolist(), self.lengths.tolist()],
                **({} if self.is_copy is None else {"is_copy": self.is_copy.tolist()}),
            }
        )

    def item_name(self, index: int) -> str:
        return str(self.path(index))

    def verify(self, show_progress: bool = False) -> list[Problem]:
        """Decodes every recording from end to end, and tells which ones cannot be used."""
        return verify_files(self.root, self.paths, show_progress)

    def _decode(self, path: Path, start: int, n_samples: int) -> Tensor:
        """Reads samples of a recording that must be there."""
        wave = load_audio(path, self.sample_rate, start / self.sample_rate, n_samples / self.sample_rate)
        if wave.shape[1] != n_samples:
            raise AudioError(f"{path} became shorter since the data set was opened; open the data set again")
        # A silent excerpt of a recording that sounds elsewhere is data; a silent recording is a mistake.
        if not wave.any() and is_silent(path):
            raise AudioError(f"{path} holds only silence; remove it or record it again")
        return wave

    def _read_headers(self) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
        """Length of every recording at `sample_rate`, and its size in bytes and time of change in ns."""
        lengths, stamps, problems = [], [], []
        for relative in self.paths:
            path = self.root / relative
            try:
                n_samples = audio_info(path).n_samples(self.sample_rate)
                if n_samples == 0:
                    raise AudioError(f"{path} is shorter than one sample at {self.sample_rate} Hz; remove it")
                lengths.append(n_samples)
                status = os.stat(path)
                stamps.append((status.st_size, status.st_mtime_ns))
            except (AudioError, OSError) as error:
                problems.append(str(error).rpartition("; ")[0] or str(error))
        if problems:
            raise DatasetError(
                f"{len(problems)} of {len(self.paths)} recordings in {self.root} cannot be used: {some(problems)}. "
                f"Mend or remove them; 'musicfsl data verify \"{self.root}\"' lists every bad file"
            )
        return np.array(lengths, dtype=np.int64), stamps

    def _refuse_short(self, file_lengths: NDArray[np.int64], length: int) -> None:
        short = np.flatnonzero(file_lengths < length)
        if len(short):
            named = [f"{self.paths[i]} ({file_lengths[i] / self.sample_rate:.3f} s)" for i in short]
            raise DatasetError(
                f"{len(short)} of {len(self.paths)} recordings in {self.root} are shorter than "
                f"{length / self.sample_rate:g} s: {some(named)}. Ask for shorter items or short='pad'"
            )


def verify_files(root: Path, paths: Sequence[str], show_progress: bool = False) -> list[Problem]:
    """Decodes files from end to end.

    Args:
        root: folder that the paths are relative to.
        paths: relative POSIX paths.
        show_progress: draws a progress bar.

    Returns:
        one problem a file that is missing, damaged, silent or holds NaN, in the order of ``paths``.
    """

    def problem_of(relative: str) -> Problem | None:
        try:
            check_recording(root / relative)
        except AudioError as error:
            return Problem(relative, str(error))
        return None

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:  # decoding releases the interpreter
        checked = progress_bar(pool.map(problem_of, paths), total=len(paths), desc="verifying", show=show_progress)
        return [problem for problem in checked if problem is not None]


def _check_settings(sample_rate: int, duration: float | None, short: str, long: str, hop: float | None) -> None:
    if sample_rate <= 0:
        raise InputError(f"sample_rate is {sample_rate}; expected a positive number of Hz")
    if duration is not None and not (np.isfinite(duration) and round(duration * sample_rate) > 0):
        raise InputError(f"duration is {duration}; expected seconds, at least one sample, or None for whole recordings")
    if short not in ("pad", "refuse"):
        raise InputError(f"short is '{short}'; expected 'pad' or 'refuse'")
    if long not in ("crop", "windows"):
        raise InputError(f"long is '{long}'; expected 'crop' or 'windows'")
    if long == "windows" and duration is None:
        raise InputError("long is 'windows', but duration is None; say how long a window is")
    if hop is not None and long != "windows":
        raise InputError(f"hop is {hop}, but long is '{long}'; a hop needs long='windows'")
    if hop is not None and not (np.isfinite(hop) and round(hop * sample_rate) > 0):
        raise InputError(f"hop is {hop}; expected seconds, at least one sample, or None for windows end to end")


def _window_starts(n_samples: int, length: int, step: int) -> list[int]:
    """Starts of the windows; where a rest remains, one more window ends with the recording, so nothing is lost."""
    last = max(0, n_samples - length)
    starts = list(range(0, last + 1, step))
    if starts[-1] + length < n_samples:
        starts.append(last)
    return starts


def some(items: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(items) - _N_SHOWN
    return "; ".join(items[:_N_SHOWN]) + (f"; and {more} more" if more > 0 else "")
