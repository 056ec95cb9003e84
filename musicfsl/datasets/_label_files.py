"""Text files with one label a line, beside the recordings that they describe, as in the test part of IRMAS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from musicfsl._tables import read_text
from musicfsl.datasets._files import some
from musicfsl.errors import DatasetError, InputError
from musicfsl.vocabularies import Vocabulary

__all__ = ["EmptyLabels", "is_label_file", "read_label_files"]

EmptyLabels = Literal["refuse", "negative"]

# Letters of a line that is no label which a message repeats.
_SHOWN_LENGTH = 40


def read_label_files(
    root: Path, paths: Sequence[str], vocabulary: Vocabulary, empty_labels: EmptyLabels = "refuse"
) -> NDArray[np.uint8]:
    """Reads the labels of every excerpt.

    A line holds one code or name of the vocabulary. Spaces and tabs around it and empty lines make no difference.

    Args:
        root: folder that the paths are relative to.
        paths: the label files, relative to ``root``.
        vocabulary: what labels there are.
        empty_labels: whether a file without a label is refused, or says that nothing of the vocabulary sounds.

    Returns:
        uint8 ``(len(paths), n_classes)`` of 0 and 1.

    Raises:
        DatasetError: a file is missing, empty, cannot be read, or holds something else than labels; the message names
            the first few and counts the rest.
    """
    if empty_labels not in ("refuse", "negative"):
        raise InputError(f"empty_labels is '{empty_labels}'; expected 'refuse' or 'negative'")
    targets = np.zeros((len(paths), len(vocabulary)), dtype=np.uint8)
    problems = []
    n_empty = 0
    for row, relative in zip(targets, paths, strict=True):
        try:
            present = _labels_in(root / relative, relative, vocabulary)
        except (DatasetError, InputError) as error:
            problems.append(str(error).rpartition("; ")[0] or str(error))
            continue
        if not present and empty_labels == "refuse":
            problems.append(f"{relative} is empty")
            n_empty += 1
        row[present] = 1
    if problems:
        hint = "; where an empty file means that nothing of the vocabulary sounds, say empty_labels='negative'"
        raise DatasetError(
            f"{len(problems)} of {len(paths)} label files in {root} cannot be used: {some(problems)}. Mend them, one "
            f"label a line of: {', '.join(vocabulary.codes)}{hint if n_empty else ''}"
        )
    return targets


def is_label_file(path: Path, vocabulary: Vocabulary) -> bool:
    """Whether a text file holds labels of the vocabulary and nothing else."""
    try:
        return len(_labels_in(path, path.name, vocabulary)) > 0
    except (DatasetError, InputError):
        return False


def _labels_in(path: Path, shown: str, vocabulary: Vocabulary) -> list[int]:
    if not path.exists():
        raise DatasetError(f"{shown} is missing; write it")
    present = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        label = line.strip()
        if not label:
            continue
        found = vocabulary.find(label)
        if found is None:
            raise DatasetError(f"{shown}, line {number}: '{label[:_SHOWN_LENGTH]}' is no label; mend it")
        present.append(found)
    return present
