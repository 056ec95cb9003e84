"""MedleyDB's stems: single instruments of 196 multitrack pieces, as windows."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from musicfsl._tables import embedded_table, read_mapping, read_text
from musicfsl.datasets._collections import WindowedCollection
from musicfsl.datasets._files import Short, some
from musicfsl.datasets._mirdata import DATA_VARIABLE, dataset_root
from musicfsl.datasets._recordings import Recording
from musicfsl.effects import RandomEffects
from musicfsl.errors import DatasetError, InputError

__all__ = ["MEDLEYDB_VARIABLE", "MedleyDB"]

#: Environment variable that names MedleyDB's folder; that of the data set's own Python package.
MEDLEYDB_VARIABLE = "MEDLEYDB_PATH"

_STEMS, _RAW, _METADATA = "_STEMS", "_RAW", "_METADATA.yaml"

# The parser in C, where PyYAML has it, is seven times as quick; both build plain values only.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class MedleyDB(WindowedCollection):
    """Windows of MedleyDB's stems, by instrument (Bittner et al., 2014 and 2016).

    The audio is given out on request (Zenodo records 1649325 and 1715175), and requests now go unanswered; this reads a
    copy that you have. Expected are folders ``<Track>/<Track>_STEMS/<Track>_STEM_01.wav``, at any depth, such as
    ``Audio/``, ``V1/`` and ``V2/``; and for every track ``<Track>_METADATA.yaml``, in the track's folder, in another
    folder below ``root``, or in ``metadata``. It comes with the audio of the first version, and else from
    https://github.com/marl/medleydb, folder ``medleydb/data/Metadata``.

    What class a stem has is decided by a table of labels, ``musicfsl/tables/medleydb.yaml``: a violin section is a
    violin; mixtures, effects and speech are left out. So are stems with several instruments.

    Args:
        root: MedleyDB's folder; None takes the environment variable ``MEDLEYDB_PATH``, and where that is not set the
            place of data sets (``MUSICFSL_DATA``).
        group: stems of a "track" belong together, or those of an "artist", who may play on several tracks. (One
            artist, "MusicDelta", is a house that produced 35 of the tracks.)
        bleed: keep stems of tracks in which the microphones picked up other instruments too.
        labels: a table of your own, laid out like the one of the package.
        metadata: folder of the metadata, where it is not below ``root``.
        example_length: as for `WindowedRecordings`, like all that follows.
        hop_length: seconds between the starts of windows.
        silence_db: where silence begins.
        min_sounding: share of a window that must sound.
        sample_rate: in Hz.
        duration: of what ``ds[i]`` gives, in seconds.
        short: what happens to stems shorter than a window.
        n_copies: augmented copies of each window.
        effects: what they are drawn from.
        seed: of copies and cuts.
        cache_dir: folder for the levels.
        n_workers: threads that measure levels.
        progress: show a progress bar.

    Attributes:
        left_out: why stems were left out, by reason (a label, "several instruments", "bleed", "missing file") ->
            number of stems.

    Raises:
        DatasetError: there are no stems, a track has no metadata, a label is not in the table, or see
            `WindowedRecordings`.
        InputError: a setting is out of range, or a table or the metadata is damaged.

    Example:
        >>> dataset = MedleyDB("/data/MedleyDB", bleed=False, hop_length=0.5)  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        group: Literal["track", "artist"] = "track",
        bleed: bool = True,
        labels: str | os.PathLike[str] | None = None,
        metadata: str | os.PathLike[str] | None = None,
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
        if group not in ("track", "artist"):
            raise InputError(f"group is '{group}'; expected 'track' or 'artist'")
        folder = self.root_of(root)
        self.left_out: Counter[str] = Counter()
        super().__init__(
            _used_stems(folder, group, bleed, labels, metadata, self.left_out),
            name="medleydb",
            root=folder,
            example_length=example_length,
            hop_length=hop_length,
            silence_db=silence_db,
            min_sounding=min_sounding,
            sample_rate=sample_rate,
            duration=duration,
            short=short,
            n_copies=n_copies,
            effects=effects,
            seed=seed,
            cache_dir=cache_dir,
            n_workers=n_workers,
            progress=progress,
        )

    @classmethod
    def root_of(cls, root: str | os.PathLike[str] | None = None) -> Path:
        return dataset_root("medleydb", root if root is not None else os.environ.get(MEDLEYDB_VARIABLE) or None)

    @classmethod
    def recordings_in(cls, root: Path) -> list[Recording]:
        return _used_stems(root, "track", True, None, None, Counter())


class _Stem(NamedTuple):
    """A stem as the metadata describes it."""

    path: Path
    name: str
    track: str
    labels: list[str]
    bleed: bool


def _used_stems(
    root: Path,
    group: str,
    bleed: bool,
    labels: str | os.PathLike[str] | None,
    metadata: str | os.PathLike[str] | None,
    left_out: Counter[str],
) -> list[Recording]:
    """One row a stem that is used; ``left_out`` counts the reasons of the others."""
    class_of = _read_labels(embedded_table("medleydb.yaml") if labels is None else labels)
    rows, missing = [], []
    for stem in _all_stems(root, metadata):
        unknown = [label for label in stem.labels if label not in class_of]
        if unknown:
            raise DatasetError(
                f"the table of labels does not know '{unknown[0]}' ({stem.name}); add it to a copy of "
                f"{embedded_table('medleydb.yaml')}, and give that as labels"
            )
        if not stem.path.is_file():
            missing.append(stem.name)
            left_out["missing file"] += 1
        elif len(stem.labels) != 1:
            left_out["several instruments" if stem.labels else "no label"] += 1
        elif (label := class_of[stem.labels[0]]) is None:
            left_out[stem.labels[0]] += 1
        elif stem.bleed and not bleed:
            left_out["bleed"] += 1
        else:
            rows.append(Recording(stem.path, label, stem.track if group == "track" else stem.track.partition("_")[0]))
    if missing:
        warnings.warn(
            f"{root} lacks {len(missing)} of the stems that MedleyDB's metadata names: {some(missing)}", stacklevel=4
        )
    if not rows:
        raise DatasetError(f"no stem in {root} is left to use; left out were: {dict(left_out)}")
    return rows


def _all_stems(root: Path, metadata: str | os.PathLike[str] | None) -> Iterator[_Stem]:
    """Every stem that the metadata of the tracks in ``root`` names."""
    folders, beside = _find(root)
    described = beside
    if metadata is not None:
        if not Path(metadata).expanduser().is_dir():
            raise DatasetError(f"{metadata} is not a folder; expected MedleyDB's files ending in {_METADATA}")
        described = _find(Path(metadata).expanduser().absolute())[1]
    if not folders:
        raise DatasetError(
            f"{root} has no folders ending in {_STEMS}, so MedleyDB is not there; its audio is given out on request at "
            f"https://zenodo.org/records/1649325 (requests now go unanswered); give the folder of your copy as root, "
            f"name it in ${MEDLEYDB_VARIABLE}, or the folder above medleydb/ in ${DATA_VARIABLE}"
        )
    without = sorted(set(folders) - set(described))
    if without:
        raise DatasetError(
            f"{len(without)} of {len(folders)} tracks have no metadata: {some(without)}; copy the files ending in "
            f"{_METADATA} from https://github.com/marl/medleydb (medleydb/data/Metadata) to {root / 'Metadata'}, or "
            "give their folder as metadata"
        )
    for track, folder in sorted(folders.items()):
        yield from _stems_of(track, folder, described[track])


def _find(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Track -> folder of its stems, and track -> its metadata, the one beside its audio before others."""

    def fail(error: OSError) -> None:
        raise DatasetError(f"{error.filename} cannot be listed ({error.strerror}); check its permissions") from None

    stems: dict[str, Path] = {}
    metadata: dict[str, Path] = {}
    for name, subfolders, files in os.walk(root, onerror=fail if root.exists() else None, followlinks=True):
        folder = Path(name)
        for subfolder in subfolders:
            if subfolder.endswith(_STEMS) and not subfolder.startswith("."):
                track = subfolder.removesuffix(_STEMS)
                if track in stems:
                    raise DatasetError(f"{track} is there twice, in {stems[track].parent} and {folder}; remove one")
                stems[track] = folder / subfolder
        subfolders[:] = sorted(s for s in subfolders if not s.startswith(".") and not s.endswith((_STEMS, _RAW)))
        for file in files:
            # Names that begin with "._" are made by archives packed on a Mac, and are no YAML.
            if file.endswith(_METADATA) and not file.startswith("."):
                track = file.removesuffix(_METADATA)
                if track not in metadata or folder.name == track:
                    metadata[track] = folder / file
    return stems, metadata


def _stems_of(track: str, folder: Path, metadata: Path) -> Iterator[_Stem]:
    content = _read_metadata(metadata)
    stems = content.get("stems")
    if not isinstance(stems, dict) or content.get("has_bleed") not in ("yes", "no", True, False):
        raise DatasetError(f"{metadata} is damaged (it lacks stems or has_bleed); copy it again")
    for number, stem in sorted(stems.items()):
        name = f"{track}, stem {number}"
        if not isinstance(stem, dict) or not isinstance(stem.get("filename"), str) or "instrument" not in stem:
            raise DatasetError(f"{metadata} is damaged ({name} lacks its filename or instrument); copy it again")
        labels = stem["instrument"] if isinstance(stem["instrument"], list) else [stem["instrument"]]
        path = folder / Path(stem["filename"]).name
        yield _Stem(path, name, track, [str(label) for label in labels if label], content["has_bleed"] in ("yes", True))


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(read_text(path), Loader=_Loader)  # noqa: S506 # one of the two safe loaders
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
        raise DatasetError(f"{path} is not valid YAML ({problem}); copy it again") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path} is damaged (it is no mapping); copy it again")
    return content


def _read_labels(path: str | os.PathLike[str]) -> dict[str, str | None]:
    class_of: dict[str, str | None] = {}
    for label, (value, line) in read_mapping(path).items():
        if value is not None and not isinstance(value, str):
            raise InputError(f"{path}, line {line}: '{label}' has the value {value!r}; expected a class name, or null")
        class_of[label] = value
    return class_of
