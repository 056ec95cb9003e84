"""The one table of data sets: open, prepare and verify them by name, or open any folder of recordings."""

from __future__ import annotations

import importlib
import inspect
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from musicfsl._progress import progress_bar
from musicfsl.datasets._collections import WindowedCollection
from musicfsl.datasets._files import Problem
from musicfsl.datasets._mirdata import MirdataDataset
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.datasets.folder import AudioFolder, verify_folder
from musicfsl.datasets.speech_commands import SpeechCommands
from musicfsl.errors import DatasetError, InputError, MusicfslError, did_you_mean

__all__ = [
    "DatasetInfo",
    "Problem",
    "VerificationReport",
    "dataset_info",
    "dataset_names",
    "is_windowed",
    "open_dataset",
    "prepare_dataset",
    "verify_dataset",
]

#: Environment variable that names the data set, or the folder, that `open_dataset` opens by default.
DATASET_VARIABLE = "MUSICFSL_DATASET"


@dataclass(frozen=True)
class DatasetInfo:
    """What a listing says of a data set.

    Attributes:
        name: what `open_dataset` calls it.
        description: one line.
        size: how much there is of it.
        licence: of the recordings.
        citation: the publication to cite.
        source: where it comes from.
        class_path: ``module:Class``, imported when the data set is opened.
    """

    name: str
    description: str
    size: str
    licence: str
    citation: str
    source: str
    class_path: str


_TABLE = (
    DatasetInfo(
        name="synthetic",
        description="notes of instruments made by physical and spectral rules, each by several virtual players",
        size="made on first use, kept in the cache; no download",
        licence="MIT, like the library",
        citation="musicfsl",
        source="musicfsl.datasets.synthetic",
        class_path="musicfsl.datasets.synthetic:SyntheticInstruments",
    ),
    DatasetInfo(
        name="synthetic_mixtures",
        description="polyphonic excerpts of 11 embedded instruments: one label to learn from, all labels to be tested",
        size="made on first use, kept in the cache; no download",
        licence="MIT, like the library",
        citation="musicfsl",
        source="musicfsl.datasets.synthetic_mixtures",
        class_path="musicfsl.datasets.synthetic_mixtures:SyntheticMixtures",
    ),
    DatasetInfo(
        name="synthetic_words",
        description="the 35 words of Speech Commands, said by rule by many virtual speakers",
        size="made on first use, kept in the cache; no download",
        licence="MIT, like the library",
        citation="musicfsl",
        source="musicfsl.datasets.synthetic_words",
        class_path="musicfsl.datasets.synthetic_words:SyntheticWords",
    ),
    DatasetInfo(
        name="tinysol",
        description="single notes of 14 orchestral instruments, recorded at Ircam",
        size="2,913 notes, 14 classes",
        licence="CC BY 4.0",
        citation="Cella et al., OrchideaSOL: a dataset of extended instrumental techniques for computer-aided "
        "orchestration, ICMC 2020",
        source="https://zenodo.org/record/3685367",
        class_path="musicfsl.datasets.tinysol:TinySOL",
    ),
    DatasetInfo(
        name="medley_solos_db",
        description="solo recordings of eight instruments, with the song that each clip came from",
        size="21,571 clips of 3 s, 8 classes",
        licence="CC BY 4.0",
        citation="Lostanlen and Cella, Deep convolutional networks on the pitch spiral for musical instrument "
        "recognition, ISMIR 2016",
        source="https://zenodo.org/record/3464194",
        class_path="musicfsl.datasets.medley_solos:MedleySolosDB",
    ),
    DatasetInfo(
        name="irmas",
        description="excerpts of polyphonic music: the predominant instrument in training, all that play in testing",
        size="6,705 training and 2,874 test excerpts, 11 labels",
        licence="CC BY-NC-SA 3.0; not to be redistributed",
        citation="Bosch et al., A comparison of sound segregation techniques for predominant instrument recognition in "
        "musical audio signals, ISMIR 2012",
        source="https://zenodo.org/record/1290750",
        class_path="musicfsl.datasets.irmas:IRMAS",
    ),
    DatasetInfo(
        name="medleydb",
        description="stems of multitrack recordings, by instrument, in windows; audio on request, but requests now go "
        "unanswered: for those who have a copy",
        size="196 pieces, some 65 classes",
        licence="CC BY-NC-SA 4.0",
        citation="Bittner et al., MedleyDB: a multitrack dataset for annotation-intensive MIR research, ISMIR 2014; "
        "MedleyDB 2.0, ISMIR 2016",
        source="https://zenodo.org/records/1649325, https://zenodo.org/records/1715175",
        class_path="musicfsl.datasets.medleydb:MedleyDB",
    ),
    DatasetInfo(
        name="katunog",
        description="Philippine instruments, recorded where they are played, in windows; records to download by hand",
        size="more than a hundred instruments",
        licence="the collection's own terms; not to be redistributed",
        citation="KATUNOG: Philippine indigenous instrument sounds database, DOST-ASTI and University of the "
        "Philippines Diliman, 2021",
        source="https://katunog.asti.dost.gov.ph",
        class_path="musicfsl.datasets.katunog:Katunog",
    ),
    DatasetInfo(
        name="speech_commands",
        description="single words, said by thousands of people; for few-shot learning beside music",
        size="105,829 recordings of 1 s or less, 35 words, 2,618 speakers",
        licence="CC BY 4.0",
        citation="Warden, Speech Commands: a dataset for limited-vocabulary speech recognition, arXiv:1804.03209, 2018",
        source="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        class_path="musicfsl.datasets.speech_commands:SpeechCommands",
    ),
)


@dataclass(frozen=True)
class VerificationReport:
    """What `prepare_dataset` and `verify_dataset` found.

    Attributes:
        name: of the data set or folder.
        root: its folder; None where it has none that a user would open.
        n_recordings: recordings that there are, or should be.
        problems: one for each that is missing, damaged, silent or holds NaN.
    """

    name: str
    root: str | None
    n_recordings: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return {**asdict(self), "problems": [asdict(problem) for problem in self.problems], "ok": self.ok}


def dataset_names() -> list[str]:
    """Names that `open_dataset` knows.

    Example:
        >>> dataset_names()
        ['synthetic', 'synthetic_mixtures', 'synthetic_words', 'tinysol', 'medley_solos_db', 'irmas', 'medleydb',
         'katunog', 'speech_commands']
    """
    return [info.name for info in _TABLE]


def dataset_info(name: str) -> DatasetInfo:
    """What there is to know of a data set without opening it.

    Raises:
        DatasetError: the name is unknown.

    Example:
        >>> dataset_info("tinysol").licence
        'CC BY 4.0'
    """
    for info in _TABLE:
        if info.name == name:
            return info
    raise DatasetError(
        f"there is no data set '{name}'.{did_you_mean(name, dataset_names())} Known: {', '.join(dataset_names())}"
    )


def is_windowed(name: str) -> bool:
    """Whether a data set gives windows of long recordings, and takes the settings of `WindowedRecordings`.

    Example:
        >>> is_windowed("medleydb"), is_windowed("tinysol")
        (True, False)
    """
    return issubclass(_import_class(dataset_info(name)), WindowedCollection)


def open_dataset(name_or_folder: str | os.PathLike[str] | None = None, **settings: Any) -> ClassConditionalDataset:
    """Opens a data set by its name, or a folder of recordings with one sub-folder a class.

    A folder that bears the name of a data set is meant where the path says so, as in ``./tinysol``.

    Args:
        name_or_folder: one of `dataset_names`, or a folder for `AudioFolder`. None takes the environment variable
            ``MUSICFSL_DATASET``, and where that is not set, ``"synthetic"``: a script or notebook that leaves the
            name out runs on other recordings without an edit.
        settings: keyword arguments of the data set's class, such as ``sample_rate=22050, duration=2.0``.

    Raises:
        DatasetError: there is no such data set or folder, or it cannot be opened.
        InputError: the data set does not know a setting.
        MissingExtraError: a package that the data set needs is not installed.
    """
    if name_or_folder is None:
        name_or_folder = os.environ.get(DATASET_VARIABLE) or "synthetic"
    if _is_folder(name_or_folder):
        _check_known(settings, AudioFolder, str(name_or_folder))
        return AudioFolder(name_or_folder, **settings)
    name = str(name_or_folder)
    dataset_class = _import_class(_named(name))
    _check_known(settings, dataset_class, name)
    dataset: ClassConditionalDataset = dataset_class(**settings)
    return dataset


def prepare_dataset(
    name: str, root: str | os.PathLike[str] | None = None, show_progress: bool = False
) -> VerificationReport:
    """Downloads or makes a data set, unless all of it is there, and verifies it.

    Of a data set that cannot be downloaded, the copy that you have is verified.

    Args:
        name: one of `dataset_names`.
        root: folder to put it in; None takes the default place.
        show_progress: draws progress bars.

    Raises:
        DatasetError: the name is unknown, the download failed, or the data set cannot be downloaded and is not there.
        MissingExtraError: a package that the data set needs is not installed.
    """
    dataset_class = _import_class(dataset_info(name))
    if issubclass(dataset_class, (MirdataDataset, SpeechCommands)):
        try:
            report = verify_dataset(name, root, show_progress)
            if report.ok:
                return report
        except DatasetError:
            pass  # nothing is there yet
        dataset_class.download(root, show_progress=show_progress)
    return verify_dataset(name, root, show_progress)


def verify_dataset(
    name_or_folder: str | os.PathLike[str], root: str | os.PathLike[str] | None = None, show_progress: bool = False
) -> VerificationReport:
    """Checks every recording of a data set: by its checksum where one is published, else by decoding all of it.

    Args:
        name_or_folder: one of `dataset_names`, or a folder with one sub-folder a class.
        root: folder that the named data set lies in; None takes the default place.
        show_progress: draws a progress bar.

    Raises:
        DatasetError: there is no such data set or folder.
        MissingExtraError: a package that the data set needs is not installed.
    """
    if _is_folder(name_or_folder):
        folder = Path(name_or_folder).expanduser().absolute()
        n_recordings, problems = verify_folder(folder, show_progress)
        return VerificationReport(folder.name, str(folder), n_recordings, tuple(problems))
    name = str(name_or_folder)
    dataset_class = _import_class(_named(name))
    if issubclass(dataset_class, (MirdataDataset, SpeechCommands, WindowedCollection)):
        n_recordings, problems = dataset_class.validate(root, show_progress=show_progress)
        return VerificationReport(name, str(dataset_class.root_of(root)), n_recordings, tuple(problems))
    dataset = dataset_class(cache_dir=root, progress=show_progress)  # made on first use, not downloaded
    return VerificationReport(name, None, len(dataset), tuple(_unreadable(dataset, show_progress)))


def _is_folder(name_or_folder: str | os.PathLike[str]) -> bool:
    return str(name_or_folder) not in dataset_names() and Path(name_or_folder).expanduser().is_dir()


def _named(name: str) -> DatasetInfo:
    try:
        return dataset_info(name)
    except DatasetError as error:
        raise DatasetError(f"'{name}' is no folder, and {error}; or give a folder with a sub-folder a class") from None


def _import_class(info: DatasetInfo) -> type[Any]:
    module, _, class_name = info.class_path.partition(":")
    dataset_class: type[Any] = getattr(importlib.import_module(module), class_name)
    return dataset_class


def _check_known(settings: dict[str, Any], dataset_class: type[Any], name: str) -> None:
    parameters = inspect.signature(dataset_class).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    if dataset_class is AudioFolder:
        known.remove("root")
    for setting in settings:
        if setting not in known:
            raise InputError(
                f"{name} has no setting '{setting}'.{did_you_mean(setting, known)} It has: {', '.join(known)}"
            )


def _unreadable(dataset: ClassConditionalDataset, show_progress: bool) -> list[Problem]:
    """Reads every item of a data set that has no files of its own."""
    problems = []
    for index in progress_bar(range(len(dataset)), desc="verifying", show=show_progress):
        try:
            wave = dataset.read(index)
        except MusicfslError as error:
            problems.append(Problem(f"item {index}", str(error)))
            continue
        if not wave.isfinite().all() or not wave.any():
            problems.append(Problem(f"item {index}", "it holds NaN, infinite values or only silence"))
    return problems
