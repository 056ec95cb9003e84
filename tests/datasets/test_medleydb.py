"""MedleyDB: its layouts, its table of labels, and everything that may be missing."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from musicfsl._tables import embedded_table, read_mapping
from musicfsl.datasets import MedleyDB, open_dataset, prepare_dataset, verify_dataset
from musicfsl.errors import DatasetError, InputError
from musicfsl.instruments import canonical
from musicfsl.taxonomy import Taxonomy, taxonomy_names


@pytest.fixture
def copied(medleydb_root: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(medleydb_root, tmp_path / "MedleyDB"))


def stems_of(dataset: MedleyDB) -> dict[str, str]:
    """File of each stem -> its class."""
    return {
        Path(dataset.paths[f]).stem: dataset.classes[t] for f, t in zip(dataset.file_of, dataset.targets, strict=True)
    }


def test_layout_and_labels(medleydb_root: Path) -> None:
    dataset = MedleyDB(medleydb_root)
    assert dataset.name == "medleydb" and dataset.classes == ["double bass", "piano", "viola", "violin"]
    assert stems_of(dataset) == {
        "AimeeNorwich_Child_STEM_01": "violin",
        "AimeeNorwich_Child_STEM_02": "piano",
        "AimeeNorwich_Flying_STEM_01": "violin",  # a section
        "AimeeNorwich_Flying_STEM_03": "piano",  # a tack piano
        "MusicDelta_Vivaldi_STEM_01": "double bass",
        "MusicDelta_Vivaldi_STEM_02": "viola",
        "MusicDelta_Vivaldi_STEM_03": "violin",
    }
    assert dataset.left_out == {"fx/processed sound": 1, "several instruments": 1, "Main System": 1}
    assert (dataset.starts[dataset.file_of == 0] / 16000).tolist() == [0.0, 1.0, 1.5]


def test_groups(medleydb_root: Path) -> None:
    tracks = MedleyDB(medleydb_root)
    assert tracks.group_names == ["AimeeNorwich_Child", "AimeeNorwich_Flying", "MusicDelta_Vivaldi"]
    artists = MedleyDB(medleydb_root, group="artist")
    assert artists.group_names == ["AimeeNorwich", "MusicDelta"]
    assert tracks.groups is not None and artists.groups is not None
    assert artists.groups.tolist() == [0 if group < 2 else 1 for group in tracks.groups]


def test_bleed(medleydb_root: Path) -> None:
    dataset = MedleyDB(medleydb_root, bleed=False)
    assert dataset.group_names == ["AimeeNorwich_Child", "MusicDelta_Vivaldi"]
    assert dataset.left_out["bleed"] == 2


def test_own_table_of_labels(medleydb_root: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.yaml"
    text = embedded_table("medleydb.yaml").read_text().replace("violin section: violin", "violin section: violins")
    table.write_text(text.replace("double bass: double bass", "double bass: null"))
    dataset = MedleyDB(medleydb_root, labels=table)
    assert dataset.classes == ["piano", "viola", "violin", "violins"] and dataset.left_out["double bass"] == 1
    table.write_text(text.replace("double bass: double bass\n", ""))
    with pytest.raises(
        DatasetError, match=r"does not know 'double bass' \(MusicDelta_Vivaldi, stem S01\); add it to a"
    ):
        MedleyDB(medleydb_root, labels=table)
    table.write_text("violin: [a, b]")
    with pytest.raises(InputError, match=r"labels.yaml, line 1: 'violin' has the value \['a', 'b'\]"):
        MedleyDB(medleydb_root, labels=table)


def test_the_table_speaks_of_every_label_once_and_joins_what_is_one_instrument() -> None:
    class_of = {label: entry.value for label, entry in read_mapping(embedded_table("medleydb.yaml")).items()}
    classes = {value for value in class_of.values() if value is not None}
    # A class is a label itself, so that the table says of each what becomes of it (dulcimer is not precise enough).
    assert {name for name in classes if class_of.get(name) != name} == {"hammered dulcimer"}
    assert not [label for label in class_of if label.endswith(" section") and class_of[label] not in {None, label[:-8]}]
    for name in ("violin", "clarinet", "french horn", "trumpet"):
        assert class_of[f"{name} section"] == name
    assert class_of["Main System"] is class_of["string section"] is class_of["male speaker"] is None
    # What the table of instruments calls by one name, but MedleyDB tells apart.
    apart = {"Lap Steel Guitar": 2, "Bass Drum": 2, "Maracas": 3}
    counts = Counter(canonical(name) for name in classes if canonical(name) is not None)
    assert {name: count for name, count in counts.items() if count > 1} == apart


@pytest.mark.parametrize("name", taxonomy_names())
def test_every_class_is_in_the_taxonomies(name: str) -> None:
    classes = {entry.value for entry in read_mapping(embedded_table("medleydb.yaml")).values()} - {None}
    assert set(Taxonomy.load(name).prune(sorted(classes)).classes) == classes


@pytest.mark.parametrize("variable", ["MEDLEYDB_PATH", "MUSICFSL_DATA"])
def test_where_it_lies(medleydb_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv("MEDLEYDB_PATH", raising=False)
    (tmp_path / "medleydb").symlink_to(medleydb_root)
    monkeypatch.setenv(variable, str(medleydb_root if variable == "MEDLEYDB_PATH" else tmp_path))
    dataset = open_dataset("medleydb", hop_length=0.5, sample_rate=8000, duration=None, progress=False)
    assert isinstance(dataset, MedleyDB) and len(dataset.paths) == 7 and dataset.sample_rate == 8000


def test_metadata_elsewhere(copied: Path, tmp_path: Path) -> None:
    expected = MedleyDB(copied).fingerprint()
    repository = tmp_path / "medleydb" / "data" / "Metadata"
    repository.mkdir(parents=True)
    for path in copied.rglob("[!.]*_METADATA.yaml"):
        shutil.move(path, repository / path.name)
    assert MedleyDB(copied, metadata=repository).fingerprint() == expected
    with pytest.raises(
        DatasetError, match=r"3 of 3 tracks have no metadata: AimeeNorwich_Child; .*medleydb/data/Metadata"
    ):
        MedleyDB(copied)
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        MedleyDB(copied, metadata=tmp_path / "nowhere")


def test_metadata_of_tracks_that_are_not_there_is_ignored(copied: Path) -> None:
    shutil.rmtree(copied / "V2")
    assert MedleyDB(copied).classes == ["piano", "violin"]


def test_metadata_beside_the_audio_is_taken_first(copied: Path) -> None:
    beside = copied / "Audio" / "AimeeNorwich_Child" / "AimeeNorwich_Child_METADATA.yaml"
    other = copied / "Metadata" / beside.name
    other.write_text(beside.read_text().replace("instrument: violin", "instrument: viola"))
    assert stems_of(MedleyDB(copied))["AimeeNorwich_Child_STEM_01"] == "violin"


def test_missing_stem_is_named(copied: Path) -> None:
    (copied / "V2/MusicDelta_Vivaldi/MusicDelta_Vivaldi_STEMS/MusicDelta_Vivaldi_STEM_02.wav").unlink()
    with pytest.warns(UserWarning, match="lacks 1 of the stems .*: MusicDelta_Vivaldi, stem S02"):
        dataset = MedleyDB(copied)
    assert dataset.left_out["missing file"] == 1 and "viola" not in dataset.classes


def test_track_that_is_there_twice(copied: Path) -> None:
    shutil.copytree(copied / "V2" / "MusicDelta_Vivaldi", copied / "Audio" / "MusicDelta_Vivaldi")
    with pytest.raises(DatasetError, match="MusicDelta_Vivaldi is there twice, in .*Audio.* and .*V2"):
        MedleyDB(copied)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stems: [", "is not valid YAML"),
        ("- a\n- b", "it is no mapping"),
        ("has_bleed: 'no'", "lacks stems or has_bleed"),
        ("has_bleed: perhaps\nstems: {}", "lacks stems or has_bleed"),
        ("has_bleed: 'no'\nstems:\n  S01: {instrument: piano}", "stem S01 lacks its filename"),
    ],
)
def test_damaged_metadata(copied: Path, text: str, message: str) -> None:
    (copied / "Metadata" / "MusicDelta_Vivaldi_METADATA.yaml").write_text(text)
    with pytest.raises(DatasetError, match=rf"MusicDelta_Vivaldi_METADATA.yaml.*{message}"):
        MedleyDB(copied)


def test_not_there(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match=r"ending in _STEMS.*requests now go unanswered.*MEDLEYDB_PATH"):
            MedleyDB(folder)
    with pytest.raises(DatasetError, match="MedleyDB is not there"):
        prepare_dataset("medleydb", tmp_path)
    with pytest.raises(InputError, match="group is 'album'; expected 'track' or 'artist'"):
        MedleyDB(tmp_path, group="album")  # type: ignore[arg-type]


def test_nothing_left(copied: Path) -> None:
    shutil.rmtree(copied / "Audio" / "AimeeNorwich_Child")
    shutil.rmtree(copied / "V2")
    with pytest.raises(DatasetError, match="no stem .* is left to use; left out were: .*'bleed': 2"):
        MedleyDB(copied, bleed=False)


def test_verify(copied: Path) -> None:
    report = verify_dataset("medleydb", copied)
    assert report.ok and report.n_recordings == 7 and prepare_dataset("medleydb", copied).ok
    damaged = copied / "V2/MusicDelta_Vivaldi/MusicDelta_Vivaldi_STEMS/MusicDelta_Vivaldi_STEM_01.wav"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    problems = verify_dataset("medleydb", copied).problems
    assert [problem.path for problem in problems] == [damaged.relative_to(copied).as_posix()]
