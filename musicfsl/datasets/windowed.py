"""Long recordings, such as stems and whole pieces, as windows: silence left out, augmented copies added if wanted."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.audio import crop_or_pad
from musicfsl.datasets._files import FileDataset, Short, some
from musicfsl.datasets._levels import stored_levels
from musicfsl.datasets._recordings import Recording, relative_rows
from musicfsl.datasets.base import ClassConditionalDataset, hash_of
from musicfsl.datasets.folder import AudioFolder
from musicfsl.effects import RandomEffects, apply_effects, source_length
from musicfsl.errors import DatasetError, InputError

__all__ = ["Recording", "WindowedRecordings"]

# Sets the generators of copies apart from all others that come from the same seed.
_COPIES = 0x636F7079


class WindowedRecordings(FileDataset):
    """Long recordings cut into windows, each an item; the recording (or what it came from) is the group.

    Windows start every ``hop_length`` seconds; where a rest remains at the end, one more window ends with the
    recording. Windows of silence are left out, by this rule: the level of a recording is the root mean square of its
    frames of 20 ms; a frame sounds if its level is less than ``silence_db`` below that of the recording's loudest
    frame; a window is kept if at least ``min_sounding`` of its frames sound (those whose middle lies in it). Each
    recording is read once from end to end for this, in a fixed amount of memory, and its levels are kept in the cache,
    so that opening the data set again is quick, with other settings too.

    A recording of which no window is left is named in one warning, and in `without_windows`, as long as its class has
    others: silent stems are usual in collections, and one should not close the whole. A class that would lose all its
    windows is an error.

    Augmented copies come behind all windows, ``n_copies`` of each, with drawn effects (see
    `musicfsl.effects.RandomEffects`). They have the class and group of their window, and are marked in ``is_copy``: all
    evaluation leaves them out by itself (`originals`). What was done to a copy is told by `parameters`; it is a pure
    function of ``(seed, window, number of the copy)``. A stretched copy takes as much more or less of the recording,
    so that it fills its window.

    Args:
        recordings: rows of path, class and group.
        name: of the data set.
        root: folder that paths are relative to, and named relative to; None takes the folder that holds all.
        example_length: seconds of a window.
        hop_length: seconds between the starts of windows; None sets them end to end.
        silence_db: how far below a recording's loudest frame silence begins, in decibels; None keeps all windows.
        min_sounding: share of a window's frames that must sound, above 0 and up to 1.
        sample_rate: rate that recordings are resampled to, in Hz.
        duration: seconds that ``ds[i]`` gives of a window, cut at a place drawn from the seed; None gives all of it.
        short: whether recordings shorter than a window are refused ("refuse") or are an item each, which ``ds[i]``
            fills with zeros at its end ("pad").
        n_copies: augmented copies of each window.
        effects: what they are drawn from; None takes `RandomEffects` as it is.
        seed: of the copies, and of the cuts to ``duration``.
        cache_dir: folder for the levels; None is the usual place for caches.
        n_workers: threads that measure levels; None is one a processor.
        progress: show a progress bar while levels are measured.

    Attributes:
        without_windows: paths of the recordings of which no window is left.
        silent_windows: int64, one a recording: windows that were left out.
        source_of: int64 ``(N,)``: index of the window that a copy was made of; of windows, their own.
        copy_number: int64 ``(N,)``: 1, 2, ... for the copies of a window, 0 for the window itself.

    Raises:
        DatasetError: a recording cannot be read, is too short or is given twice, or a class has no sounding window.
        InputError: a setting is out of range.
        MissingExtraError: copies are wanted and audiomentations is not installed.

    Example:
        >>> import soundfile, tempfile
        >>> path = tempfile.mkdtemp() + "/flute.wav"
        >>> sound, silence = np.sin(np.arange(3 * 16000)), np.zeros(2 * 16000)
        >>> soundfile.write(path, np.concatenate([sound, silence]), 16000)
        >>> dataset = WindowedRecordings([Recording(path, "flute")], example_length=1.0, progress=False)
        >>> len(dataset), dataset.silent_windows.tolist()
        (3, [2])
    """

    def __init__(
        self,
        recordings: Iterable[Recording],
        *,
        name: str = "recordings",
        root: str | os.PathLike[str] | None = None,
        example_length: float = 1.0,
        hop_length: float | None = None,
        silence_db: float | None = 60.0,
        min_sounding: float = 0.25,
        sample_rate: int = 16000,
        duration: float | None = None,
        short: Short = "refuse",
        n_copies: int = 0,
        effects: RandomEffects | None = None,
        seed: int = 0,
        cache_dir: str | os.PathLike[str] | None = None,
        n_workers: int | None = None,
        progress: bool = True,
    ) -> None:
        _check_settings(sample_rate, example_length, hop_length, silence_db, min_sounding, duration, n_copies, seed)
        folder, rows = relative_rows(recordings, root)
        self.effects = (effects or RandomEffects()) if n_copies else None
        super().__init__(
            name,
            folder,
            [row.path for row in rows],  # type: ignore[misc] # which are texts by now
            [row.label for row in rows],
            group_labels=[str(row.path if row.group is None else row.group) for row in rows],
            sample_rate=sample_rate,
            duration=example_length,
            short=short,
            long="windows",
            hop=hop_length,
            seed=seed,
        )
        self.example_length = example_length
        self.hop_length = example_length if hop_length is None else hop_length
        self.length = round((duration or example_length) * sample_rate)

        shares = np.ones(len(self.targets))
        if silence_db is not None:
            shares = self._sounding_shares(silence_db, cache_dir, n_workers, progress)
        self._keep(shares >= min_sounding, "silence_db" if silence_db is not None else "")
        self.n_copies, self._copy_seed = n_copies, seed
        self._add_copies()

    @classmethod
    def from_folder(
        cls, root: str | os.PathLike[str], group_pattern: str | None = None, **settings: Any
    ) -> WindowedRecordings:
        r"""Windows of the recordings in a folder that has one sub-folder a class, as for `AudioFolder`.

        Args:
            root: the folder.
            group_pattern: regular expression with one capture group, searched in a recording's path, that names its
                group, such as the piece: ``r"/(\w+)_"``; None makes every recording a group.
            settings: as for the class.
        """
        return cls.from_dataset(AudioFolder(root, duration=None, group_pattern=group_pattern), **settings)

    @classmethod
    def from_dataset(cls, dataset: ClassConditionalDataset, **settings: Any) -> WindowedRecordings:
        """Windows of all recordings of a data set of files, such as `MedleySolosDB`, whose groups (songs) are kept.

        Args:
            dataset: its recordings are used whole, however it cuts them.
            settings: as for the class.

        Raises:
            InputError: the data set has no recordings in files, or these are windows and copies already.
        """
        if not isinstance(dataset, FileDataset):
            raise InputError(f"{dataset.name} has no recordings in files that could be cut into windows")
        if dataset.is_copy is not None:
            raise InputError(f"{dataset.name} holds windows and augmented copies already; cut what these are from")
        first_items = np.unique(dataset.file_of, return_index=True)[1]
        rows = [
            Recording(
                dataset.paths[int(dataset.file_of[i])],
                dataset.classes[int(dataset.targets[i])],
                None if dataset.groups is None else dataset.group_names[int(dataset.groups[i])],
            )
            for i in first_items
        ]
        return WindowedRecordings(
            rows, **{"name": dataset.name, "root": dataset.root, "sample_rate": dataset.sample_rate, **settings}
        )

    @property
    def without_windows(self) -> list[str]:
        """Paths of the recordings of which no window is left."""
        counts = np.bincount(self.file_of, minlength=len(self.paths))
        return [path for path, count in zip(self.paths, counts, strict=True) if count == 0]

    def parameters(self, index: int) -> list[dict[str, Any]]:
        """The effects of copy ``index``, as `musicfsl.effects.apply_effects` takes them; none for a window itself."""
        if self.effects is None or self.copy_number[index] == 0:
            return []
        key = (self._copy_seed, int(self.source_of[index]), int(self.copy_number[index]), _COPIES)
        return self.effects.draw(np.random.default_rng(key), self.sample_rate)

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        if self.copy_number[index] == 0:
            return super().read(index, offset, length)
        effects = self.parameters(index)
        n_samples = int(self.lengths[index])
        available = int(self.file_lengths[self.file_of[index]])
        n_source = min(available, source_length(n_samples, effects))
        wave = self._decode(self.path(index), min(int(self.starts[index]), available - n_source), n_source)
        changed = crop_or_pad(apply_effects(wave, self.sample_rate, effects), n_samples)
        return changed[:, offset : None if length is None else offset + length]

    def fingerprint(self) -> str:
        if self.effects is None:
            return super().fingerprint()
        return hash_of({"windows": super().fingerprint(), "seed": self._copy_seed, "effects": self.effects.settings()})

    def item_name(self, index: int) -> str:
        copied = f", augmented copy {self.copy_number[index]}" if self.copy_number[index] else ""
        return f"{self.path(index)} from {self.starts[index] / self.sample_rate:.3f} s on{copied}"

    def _sounding_shares(
        self, silence_db: float, cache_dir: str | os.PathLike[str] | None, n_workers: int | None, progress: bool
    ) -> NDArray[np.float64]:
        """Which share of each window sounds."""
        paths = [self.root / path for path in self.paths]
        bounds = np.searchsorted(self.file_of, np.arange(len(paths) + 1))
        shares = np.empty(len(self.file_of))
        for i, levels in enumerate(stored_levels(paths, self._stamps, cache_dir, n_workers, progress)):
            part = slice(bounds[i], bounds[i + 1])
            shares[part] = levels.sounding_shares(self.starts[part], self.lengths[part], self.sample_rate, silence_db)
        return shares

    def _keep(self, kept: NDArray[np.bool_], setting: str) -> None:
        """Leaves all other windows out, and says which recordings are lost to that."""
        self.silent_windows: NDArray[np.int64] = np.bincount(self.file_of[~kept], minlength=len(self.paths))
        without = np.flatnonzero(np.bincount(self.file_of[kept], minlength=len(self.paths)) == 0)
        named = some([self.paths[i] for i in without])
        missing = sorted(set(range(len(self.classes))) - set(self.targets[kept].tolist()))
        if missing:
            raise DatasetError(
                f"no recording of '{self.classes[missing[0]]}' in {self.root} has a window that sounds (without any: "
                f"{named}); add recordings, leave the class out, or ask less: a lower min_sounding, a higher {setting}"
            )
        if len(without):
            warnings.warn(
                f"{len(without)} of {len(self.paths)} recordings in {self.root} have no window that sounds, and were "
                f"left out: {named}",
                stacklevel=3,
            )
        self._take(np.flatnonzero(kept))

    def _add_copies(self) -> None:
        n_windows = len(self.targets)
        self.source_of: NDArray[np.int64] = np.arange(n_windows)
        self.copy_number: NDArray[np.int64] = np.zeros(n_windows, dtype=np.int64)
        if self.n_copies:
            self.source_of = np.concatenate([self.source_of, np.repeat(self.source_of, self.n_copies)])
            numbers = np.tile(np.arange(1, self.n_copies + 1), n_windows)
            self.copy_number = np.concatenate([self.copy_number, numbers])
            self._take(self.source_of)
            self.is_copy = self.copy_number > 0

    def _take(self, indices: NDArray[np.int64]) -> None:
        """Makes the items those at ``indices``, which may repeat."""
        assert self.groups is not None, "windows always have groups"
        self.file_of, self.starts, self.lengths = self.file_of[indices], self.starts[indices], self.lengths[indices]
        self.targets, self.groups = self.targets[indices], self.groups[indices]


def _check_settings(
    sample_rate: int,
    example_length: float,
    hop_length: float | None,
    silence_db: float | None,
    min_sounding: float,
    duration: float | None,
    n_copies: int,
    seed: int,
) -> None:
    """In the words of this class; what `FileDataset` knows by the same name it checks itself."""
    for setting, value in (("example_length", example_length), ("hop_length", hop_length), ("duration", duration)):
        if value is not None and not (np.isfinite(value) and round(value * sample_rate) > 0):
            raise InputError(f"{setting} is {value}; expected seconds, at least one sample")
    if duration is not None and duration > example_length:
        raise InputError(f"duration is {duration}, but a window has {example_length} s; ask for as much at most")
    if silence_db is not None and not silence_db > 0:
        raise InputError(f"silence_db is {silence_db}; expected decibels below the loudest frame, more than 0, or None")
    if not 0 < min_sounding <= 1:
        raise InputError(f"min_sounding is {min_sounding}; expected a share above 0, up to 1")
    if n_copies < 0 or seed < 0:
        raise InputError(f"n_copies is {n_copies} and seed {seed}; expected 0 or more of both")
