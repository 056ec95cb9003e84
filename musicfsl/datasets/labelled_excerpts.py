"""A folder of recordings with a label file beside each: any number of instruments at once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from musicfsl.audio import AUDIO_SUFFIXES
from musicfsl.datasets._files import FileDataset, Short, some
from musicfsl.datasets._label_files import EmptyLabels, is_label_file, read_label_files
from musicfsl.datasets.folder import captured_groups, walk_files
from musicfsl.errors import DatasetError
from musicfsl.vocabularies import Vocabulary, open_vocabulary

__all__ = ["EXCERPT_PATTERN", "LabelledExcerpts"]

#: What captures the recording in the name of an excerpt of it: "Blue Train-36.wav" is of "Blue Train".
EXCERPT_PATTERN = r"^(.*?)(?:-\d+)?\.\w+$"


class LabelledExcerpts(FileDataset):
    r"""Your own excerpts with several labels each, laid out like the test part of IRMAS.

    Beside every recording lies a text file of the same name with one label a line, a code ("cel") or a name ("Cello")
    of the vocabulary. Recordings may lie in folders within ``root``, and may mix formats, sample rates and numbers of
    channels; they are mixed to mono and resampled when read. Names that begin with a dot are ignored. Other files, and
    texts that hold something else than labels (a README), are left out with one warning that names them.

    Args:
        root: the folder.
        vocabulary: the labels there are: "irmas", "openmic", a list of class names, or a YAML file with lines
            ``code: Name``.
        sample_rate: rate that recordings are resampled to, in Hz.
        duration: length of an item in seconds; None gives whole excerpts, whose lengths differ.
        short: whether excerpts shorter than ``duration`` are padded with zeros ("pad") or refused ("refuse").
        empty_labels: whether an empty label file is refused ("refuse"), or says that nothing of the vocabulary sounds
            ("negative").
        group_pattern: regular expression with one capture group, searched in a recording's path relative to ``root``;
            what it captures names the group. The default takes excerpts of one recording together whose names differ
            only in the number after the last hyphen, as in IRMAS.
        seed: where crops lie is a pure function of ``(seed, index)``.

    Attributes:
        codes: what label files call each class, in the order of ``classes``.

    Raises:
        DatasetError: ``root`` is no folder or holds no recordings, a label file is missing, empty, or holds an unknown
            label, a label file has no recording, or a recording cannot be read.
        InputError: a setting is out of range, or there is no such vocabulary.

    Example:
        >>> import tempfile, numpy as np, soundfile
        >>> root = Path(tempfile.mkdtemp())
        >>> soundfile.write(root / "duo-1.wav", np.sin(np.arange(44100) / 9), 44100)
        >>> _ = (root / "duo-1.txt").write_text("cel\t\npia\t\n")
        >>> dataset = LabelledExcerpts(root)
        >>> dataset.labels_of(0), dataset.targets.shape, dataset.group_names
        (['Cello', 'Piano'], (1, 11), ['duo'])
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        vocabulary: str | os.PathLike[str] | Sequence[str] | Vocabulary = "irmas",
        sample_rate: int = 22050,
        duration: float | None = None,
        short: Short = "pad",
        empty_labels: EmptyLabels = "refuse",
        group_pattern: str = EXCERPT_PATTERN,
        seed: int = 0,
    ) -> None:
        labels = open_vocabulary(vocabulary)
        folder = Path(root).expanduser().absolute()
        paths = _list_excerpts(folder, labels)
        self.codes: list[str] = list(labels.codes)
        super().__init__(
            folder.name,
            folder,
            paths,
            read_label_files(folder, [_label_path(path) for path in paths], labels, empty_labels),
            classes=labels.names,
            group_labels=captured_groups(group_pattern, paths),
            sample_rate=sample_rate,
            duration=duration,
            short=short,
            seed=seed,
        )


def _list_excerpts(root: Path, vocabulary: Vocabulary) -> list[str]:
    """Relative POSIX paths of all recordings, sorted; every file in the folder must make sense."""
    if not root.is_dir():
        raise DatasetError(
            f"{root} is not a folder; expected one with recordings and a text file of labels beside each"
        )
    files = sorted(walk_files(root))
    excerpts = [path for path in files if PurePosixPath(path).suffix.lower() in AUDIO_SUFFIXES]
    if not excerpts:
        raise DatasetError(
            f"{root} holds no recordings; expected files that end in {', '.join(AUDIO_SUFFIXES)}, with a text file of "
            "labels beside each"
        )
    excerpt_of: dict[str, str] = {}
    for path in excerpts:
        other = excerpt_of.setdefault(_label_path(path), path)
        if other != path:
            raise DatasetError(
                f"{root / other} and {root / path} share the label file {_label_path(path)}; remove one of them, or "
                "rename it and give it a label file of its own"
            )
    known = {*excerpts}
    rest = [path for path in files if path not in excerpt_of and path not in known]
    orphans = [path for path in rest if path.lower().endswith(".txt") and is_label_file(root / path, vocabulary)]
    if orphans:
        raise DatasetError(
            f"{len(orphans)} label files in {root} have no recording: {some(orphans)}. Add the recordings, or remove "
            "the label files"
        )
    if rest:
        warnings.warn(
            f"{len(rest)} files in {root} are neither recordings nor labels of one and were left out: {some(rest)}",
            stacklevel=3,
        )
    return excerpts


def _label_path(path: str) -> str:
    return PurePosixPath(path).with_suffix(".txt").as_posix()
