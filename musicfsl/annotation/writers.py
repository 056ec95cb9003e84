"""Annotations as files: a table, a JAMS file, and labels that Audacity opens.

All are UTF-8 text, appear under their name only when complete, and replace an existing file only where asked to.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musicfsl._tables import write_text
from musicfsl._version import __version__
from musicfsl.annotation.recording import Annotation
from musicfsl.errors import InputError

__all__ = ["check_new", "write_audacity", "write_csv", "write_jams"]

# The release of JAMS whose schema is followed: https://jams.readthedocs.io
_JAMS_VERSION = "0.3.5"


def write_csv(annotation: Annotation, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Writes a table with the columns ``start,end,label,confidence``, times in seconds.

    Args:
        annotation: its segments are written, one a line.
        path: of the file.
        overwrite: replace a file that exists.

    Returns:
        the path.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["start", "end", "label", "confidence"])
    for start, end, label, confidence in annotation.segments:
        writer.writerow([f"{start:.3f}", f"{end:.3f}", label, f"{confidence:.4f}"])
    return _write(path, text.getvalue(), overwrite)


def write_audacity(annotation: Annotation, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Writes a label track for Audacity ("File", "Import", "Labels"): start, end and label, with tabs between.

    Args:
        annotation: its segments are written, one a line. Tabs and line breaks in a label become spaces.
        path: of the file, usually with the ending ``.txt``.
        overwrite: replace a file that exists.

    Returns:
        the path.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    lines = [f"{start:.6f}\t{end:.6f}\t{' '.join(label.split())}\n" for start, end, label, _ in annotation.segments]
    return _write(path, "".join(lines), overwrite)


def write_jams(
    annotation: Annotation,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a JAMS file (JSON Annotated Music Specification) with one annotation in the namespace ``tag_open``.

    Args:
        annotation: its segments are the observations.
        path: of the file, usually with the ending ``.jams``.
        overwrite: replace a file that exists.
        settings: how the annotation came about, as JSON can hold it; goes into the annotation's sandbox.

    Returns:
        the path.

    Raises:
        InputError: the file exists, or cannot be written.

    Reference:
        E. Humphrey et al., JAMS: a JSON annotated music specification for reproducible MIR research, ISMIR 2014.
    """
    observations = [
        {
            "time": round(segment.start, 6),
            "duration": round(segment.end - segment.start, 6),
            "value": segment.label,
            "confidence": round(segment.confidence, 4),
        }
        for segment in annotation.segments
    ]
    content = {
        "annotations": [
            {
                "namespace": "tag_open",
                "time": 0.0,
                "duration": annotation.duration,
                "data": observations,
                "annotation_metadata": {
                    "curator": {"name": "", "email": ""},
                    "annotator": {},
                    "version": "",
                    "corpus": "",
                    "annotation_tools": f"musicfsl {__version__}",
                    "annotation_rules": "",
                    "validation": "",
                    "data_source": "program",
                },
                "sandbox": dict(settings or {}),
            }
        ],
        "file_metadata": {
            "title": Path(annotation.recording).stem,
            "artist": "",
            "release": "",
            "duration": annotation.duration,
            "identifiers": {},
            "jams_version": _JAMS_VERSION,
        },
        "sandbox": {},
    }
    return _write(path, json.dumps(content, indent=1, ensure_ascii=False), overwrite)


def check_new(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """The path, where it may be written.

    Raises:
        InputError: it is a folder, there is a file already that is not to be replaced, or its folder cannot be written.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected the name of a file")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; name another file, or allow to overwrite it")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"{path} cannot be written, since {folder} is no folder that may be; name another file")
    return path


def _write(path: str | os.PathLike[str], text: str, overwrite: bool) -> Path:
    return write_text(check_new(path, overwrite), text)
