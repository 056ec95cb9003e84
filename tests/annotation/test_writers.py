from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from musicfsl.annotation import Annotation, Segment, write_audacity, write_csv, write_jams
from musicfsl.errors import InputError

SEGMENTS = [
    Segment(0.0, 4.25, "cor anglais", 0.875),
    Segment(4.25, 5.0, "silence", 0.999),
    Segment(5.0, 7.3004, 'gong, "large"', 0.5),
    Segment(7.3004, 9.5, "ko\tto\n箏", 1.0),
]
WRITERS = [write_csv, write_audacity, write_jams]


@pytest.fixture
def annotation() -> Annotation:
    return Annotation("pieces/concert.flac", 9.5, SEGMENTS, ["a"], np.array([0, 9.5]), np.ones((1, 1), np.float32))


def test_csv_is_read_back(annotation: Annotation, tmp_path: Path) -> None:
    with write_csv(annotation, tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["start", "end", "label", "confidence"]
    for row, segment in zip(rows, SEGMENTS, strict=True):
        assert float(row["start"]) == pytest.approx(segment.start, abs=5e-4)
        assert float(row["end"]) == pytest.approx(segment.end, abs=5e-4)
        assert row["label"] == segment.label
        assert float(row["confidence"]) == pytest.approx(segment.confidence, abs=5e-5)


def test_audacity_labels_are_three_columns(annotation: Annotation, tmp_path: Path) -> None:
    text = write_audacity(annotation, tmp_path / "a.txt").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    assert rows[0] == ["0.000000", "4.250000", "cor anglais"]
    assert [row[2] for row in rows] == ["cor anglais", "silence", 'gong, "large"', "ko to 箏"]
    assert all(float(a) < float(b) for a, b, _ in rows)


@pytest.mark.filterwarnings("ignore:Passing a schema to Validator.iter_errors:DeprecationWarning")  # jams does so
def test_jams_is_what_jams_reads(annotation: Annotation, tmp_path: Path) -> None:
    path = write_jams(annotation, tmp_path / "a.jams", settings={"hop": 0.5})
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["file_metadata"]["duration"] == 9.5
    assert content["file_metadata"]["title"] == "concert"

    jams = pytest.importorskip("jams", reason="comes with musicfsl[datasets]")
    read = jams.load(str(path), validate=True, strict=True)
    (tags,) = read.annotations.search(namespace="tag_open")
    assert tags.duration == 9.5
    assert tags.sandbox.hop == 0.5
    assert "musicfsl" in tags.annotation_metadata.annotation_tools
    for observation, segment in zip(tags.data, SEGMENTS, strict=True):
        assert observation.time == segment.start
        assert observation.time + observation.duration == pytest.approx(segment.end)
        assert (observation.value, observation.confidence) == (segment.label, segment.confidence)


@pytest.mark.parametrize("write", WRITERS)
def test_nothing_is_replaced_unless_asked_to(write: Callable, annotation: Annotation, tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.out"
    assert write(annotation, path) == path  # makes the folder
    path.write_text("mine")
    with pytest.raises(InputError, match=r"a\.out exists already; name another file, or allow to overwrite it"):
        write(annotation, path)
    assert path.read_text() == "mine"
    write(annotation, path, overwrite=True)
    assert "cor anglais" in path.read_text(encoding="utf-8")
    assert os.listdir(path.parent) == ["a.out"]


@pytest.mark.parametrize("write", WRITERS)
def test_a_place_that_cannot_be_written_is_one_sentence(write: Callable, annotation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/a\.out cannot be written"):
        write(annotation, tmp_path / "file" / "a.out")
    with pytest.raises(InputError, match="is a folder; expected the name of a file"):
        write(annotation, tmp_path, overwrite=True)


def test_half_a_file_is_never_seen(annotation: Annotation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(annotation, tmp_path / "a.csv")
    before = path.read_text(encoding="utf-8")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_csv(annotation, path, overwrite=True)
    assert path.read_text(encoding="utf-8") == before
    assert os.listdir(tmp_path) == ["a.csv"]
