"""The embedded data set: instruments made by physical and spectral rules, with no sample and no download."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl._progress import progress_bar
from musicfsl.caching import atomic_directory, cache_root
from musicfsl.datasets._arguments import checked_classes, checked_length, checked_whole_number
from musicfsl.datasets._cached_samples import CachedSamples, damaged_cache, made_in_order
from musicfsl.datasets._instruments import INSTRUMENTS, IRMAS_CODES
from musicfsl.datasets._synthesis import SYNTHESIS_VERSION, NoteRecord, notes_of_player, records_of

__all__ = ["IRMAS_CODES", "SyntheticInstruments"]

_SAMPLES, _NOTES = "samples.npy", "notes.json"
_LOWEST_RATE = 8000
# As many notes take as long in one process as it takes to start several.
_FEWEST_NOTES_FOR_PROCESSES = 400


class SyntheticInstruments(CachedSamples):
    """Notes of 47 instruments in eleven families, each played by several players.

    Among the classes are the 14 instruments of TinySOL under their names there, and one for each of the
    11 labels of IRMAS (`IRMAS_CODES`). A note has a pitch in the instrument's range, dynamics (brightness
    follows loudness) and an articulation. A player, which is a group, brings an instrument's own response,
    habits of attack and vibrato, a tuning, a room, a microphone, a noise floor and a level. The rules of
    the sound and their sources stand in ``_instruments``, ``_driven`` and ``_decaying``; they are textbook
    acoustics, not fits to recordings. As no table can list all modes of a body, every kind of instrument
    also has a random colour, the same for all its players.

    The first construction makes all notes, in as many processes as there are cores, and writes them to a
    cache; later ones open it. A note is a function of the seed, its instrument, the numbers of its player and
    of itself, and the sample rate: it does not depend on how many others are made.

    Args:
        n_players: players an instrument.
        notes_per_player: notes a player.
        sample_rate: in Hz, 8000 or more.
        duration: seconds of what ``ds[i]`` gives: longer notes are cut at a random place, shorter ones filled
            with zeros. None gives whole notes, 0.6 to 2 s long.
        classes: names of the instruments to make, in the order wanted; None makes all.
        seed: of the notes, and of the places where ``ds[i]`` cuts; 0 or more.
        cache_dir: folder for the cache; see `musicfsl.caching.cache_root`.
        progress: whether to show a progress bar while notes are made.

    Attributes:
        families: class name -> family.
        pitches: int64 array ``(N,)``, MIDI note numbers. Players are a few cents off.
        dynamics: float64 array ``(N,)``, 0 (pianissimo) to 1 (fortissimo).
        articulations: array of names ``(N,)``: sustained, short, accented, swelling, tremolo, ringing.
        players: int64 array ``(N,)``, numbered within a class; ``groups`` is unique over all classes.
        cache_folder: where the notes lie.

    Raises:
        InputError: an argument is out of range.
        DatasetError: a class is unknown, or named twice.
        CacheError: the cache cannot be written, or is damaged.

    Example:
        >>> import tempfile
        >>> cache = tempfile.mkdtemp()
        >>> ds = SyntheticInstruments(
        ...     n_players=2, notes_per_player=1, classes=["Flute", "Piano"], cache_dir=cache, progress=False
        ... )
        >>> wave, target = ds[0]
        >>> wave.shape, ds.classes[target], ds.families["Piano"]
        (torch.Size([1, 16000]), 'Flute', 'struck strings')
        >>> ds.groups.tolist()
        [0, 1, 2, 3]
    """

    def __init__(
        self,
        *,
        n_players: int = 6,
        notes_per_player: int = 10,
        sample_rate: int = 16000,
        duration: float | None = 1.0,
        classes: Sequence[str] | None = None,
        seed: int = 0,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> None:
        self.name = "synthetic"
        self.is_synthetic = True
        self.classes = checked_classes(self.name, classes, INSTRUMENTS)
        self.sample_rate = checked_whole_number("sample_rate", sample_rate, least=_LOWEST_RATE)
        self.length = checked_length(duration, sample_rate, "notes")
        self.seed = checked_whole_number("seed", seed, least=0)
        # All that decides the notes, and so the name of the cache. The duration does not: notes are kept whole.
        self._arguments: dict[str, Any] = {
            "n_players": checked_whole_number("n_players", n_players, least=1),
            "notes_per_player": checked_whole_number("notes_per_player", notes_per_player, least=1),
            "sample_rate": sample_rate,
            "classes": self.classes,
            "seed": seed,
            "synthesis_version": SYNTHESIS_VERSION,
        }
        self.cache_folder = cache_root(cache_dir) / self.name / self.fingerprint()
        if not self.cache_folder.exists():
            _make_cache(self.cache_folder, self._arguments, progress)
        self._samples, columns = _open_cache(self.cache_folder, self._arguments)

        self.families = {name: INSTRUMENTS[name].family for name in self.classes}
        self.targets = np.repeat(np.arange(len(self.classes), dtype=np.int64), n_players * notes_per_player)
        self.lengths = np.array(columns["n_samples"], dtype=np.int64)
        self.pitches = np.array(columns["pitch"], dtype=np.int64)
        self.dynamics = np.array(columns["dynamics"], dtype=np.float64)
        self.articulations = np.array(columns["articulation"], dtype=np.str_)
        self.players = np.array(columns["player"], dtype=np.int64)
        self.groups = self.targets * n_players + self.players
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])

    def _mapped_samples(self) -> NDArray[np.int16]:
        return _open_cache(self.cache_folder, self._arguments)[0]


def _make_cache(folder: Path, arguments: dict[str, Any], progress: bool) -> None:
    """Makes all notes and writes them, in the order of the classes, to one file."""
    sample_rate, seed, n_notes = arguments["sample_rate"], arguments["seed"], arguments["notes_per_player"]
    players = [(name, player) for name in arguments["classes"] for player in range(arguments["n_players"])]
    records = [r for name, p in players for r in records_of(INSTRUMENTS[name], p, n_notes, sample_rate, seed)]
    total = sum(record.n_samples for record in records)
    with (
        atomic_directory(folder) as temporary,
        open(temporary / _SAMPLES, "wb") as file,
        progress_bar(total=len(records), desc="synthesising notes", unit="note", show=progress) as bar,
    ):
        header = {"descr": "<i2", "fortran_order": False, "shape": (total,)}
        np.lib.format.write_array_header_1_0(file, header)
        tasks = [(name, player, n_notes, sample_rate, seed) for name, player in players]
        for waves in made_in_order(notes_of_player, tasks, len(records) >= _FEWEST_NOTES_FOR_PROCESSES):
            file.writelines(wave.astype("<i2").tobytes() for wave in waves)
            bar.update(len(waves))
        columns = {field: [getattr(r, field) for r in records] for field in NoteRecord.__dataclass_fields__}
        (temporary / _NOTES).write_text(json.dumps({"arguments": arguments, "notes": columns}), encoding="utf-8")


def _open_cache(folder: Path, arguments: dict[str, Any]) -> tuple[NDArray[np.int16], dict[str, list[Any]]]:
    """Maps the samples and reads the notes' table, and makes sure that they belong together."""
    try:
        table = json.loads((folder / _NOTES).read_text(encoding="utf-8"))
        columns = {name: list(table["notes"][name]) for name in NoteRecord.__dataclass_fields__}
        samples: NDArray[np.int16] = np.load(folder / _SAMPLES, mmap_mode="r")
        whole = samples.dtype == np.int16 and samples.shape == (sum(columns["n_samples"]),)
        whole = whole and table["arguments"] == arguments and len({len(column) for column in columns.values()}) == 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged_cache(folder, str(error)) from None
    if not whole:
        raise damaged_cache(folder, "its files do not belong together")
    return samples, columns
