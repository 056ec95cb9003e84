"""The table of attributes: what physics says of instruments must be found in it; bad tables are refused by line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from musicfsl._tables import embedded_table, read_mapping, read_text
from musicfsl.datasets._instruments import INSTRUMENTS, IRMAS_CODES
from musicfsl.errors import InputError
from musicfsl.instruments import canonical_names
from musicfsl.zeroshot.attributes import Attributes
from musicfsl.zeroshot.side_information import UnknownNameError


@pytest.fixture(scope="module")
def attributes() -> Attributes:
    return Attributes()


def value(attributes: Attributes, name: str, attribute: str) -> float:
    return float(attributes.vector(name)[attributes.attribute_names.index(attribute)])


def test_vectors_are_the_rows_of_the_file(attributes: Attributes) -> None:
    lines = [line for line in read_text(embedded_table("attributes.csv")).splitlines() if not line.startswith("#")]
    rows = list(csv.reader(lines, skipinitialspace=True))
    assert attributes.attribute_names == rows[0][1:]
    expected = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]], dtype=np.float32)
    vectors = attributes([row[0] for row in rows[1:]])
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, expected)


def test_table_has_every_instrument_and_no_other(attributes: Attributes) -> None:
    assert attributes.known_names() == canonical_names()
    assert attributes.dim == len(attributes.attribute_names) >= 20
    attributes([*INSTRUMENTS])
    attributes([*IRMAS_CODES])


def test_instruments_differ_and_attributes_are_used(attributes: Attributes) -> None:
    vectors = attributes(attributes.known_names())
    assert ((vectors >= 0) & (vectors <= 1)).all()
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1) + 10 * np.eye(len(vectors))
    assert distances.min() > 0.05
    assert (vectors.max(axis=0) - vectors.min(axis=0) > 0.5).all()


def test_table_and_embedded_set_agree_on_compass(attributes: Attributes) -> None:
    """No instrument of the embedded set plays much below or above its compass."""
    for name, instrument in INSTRUMENTS.items():
        assert instrument.lowest >= 127 * value(attributes, name, "lowest_pitch") - 3, name
        assert instrument.highest <= 127 * value(attributes, name, "highest_pitch") + 3, name


def test_what_physics_says(attributes: Attributes) -> None:
    kinds = ["chordophone", "aerophone", "idiophone", "membranophone", "electrophone"]
    generators = ["edge_tone", "single_reed", "double_reed", "free_reed", "lip_reed", "vocal_folds"]
    for name in attributes.known_names():
        of = {attribute: value(attributes, name, attribute) for attribute in attributes.attribute_names}
        assert max(of[kind] for kind in kinds) >= 0.5, name
        assert (of["aerophone"] == 1) == (max(of[generator] for generator in generators) >= 0.75), name
        assert of["lowest_pitch"] < of["highest_pitch"], name
        assert of["cylindrical_bore"] + of["conical_bore"] < 1.001, name
        if of["sustained"] == 1 and of["pitched"] == 1:
            assert of["inharmonicity"] == 0, name  # what is driven periodically has harmonic partials
        if of["bowed"] == 1 or of["blown"] == 1:
            assert of["sustained"] == 1, name
        if of["frets"] == 1 or (of["soundbox"] == 1 and of["polyphonic"] == 1 and of["pitched"] == 1):
            assert of["chordophone"] == 1, name


@pytest.mark.parametrize(
    ("more", "less", "attribute"),
    [
        ("Clarinet in Bb", "Alto Saxophone", "odd_harmonics"),  # closed cylinder, cone
        ("Pan Flute", "Flute", "odd_harmonics"),  # stopped, open
        ("Trumpet in C", "Organ", "loudness_brightness"),
        ("Trumpet in C", "Flugelhorn", "brightness"),
        ("Viola", "Contrabass", "brightness"),
        ("Harpsichord", "Harp", "brightness"),
        ("Vibraphone", "Marimba", "decay"),
        ("Acoustic Guitar", "Banjo", "decay"),
        ("Piano", "Harpsichord", "inharmonicity"),
        ("Contrabass", "Violin", "attack"),
        ("Trombone", "Trumpet in C", "glide"),
        ("Shakuhachi", "Recorder", "noise"),
        ("Piccolo", "Flute", "lowest_pitch"),
        ("Oboe", "Bassoon", "lowest_pitch"),
        ("Choir", "Voice", "beating"),
    ],
)
def test_known_orders(attributes: Attributes, more: str, less: str, attribute: str) -> None:
    assert value(attributes, more, attribute) > value(attributes, less, attribute)


def test_other_names_of_an_instrument_have_its_vector(attributes: Attributes) -> None:
    for one, other in [("double bass", "Contrabass"), ("english-horn", "Cor Anglais"), ("gac", "Acoustic Guitar")]:
        np.testing.assert_array_equal(attributes.vector(one), attributes.vector(other))


def test_vectors_are_copies(attributes: Attributes) -> None:
    attributes.vector("Oboe")[:] = 7
    assert attributes.vector("Oboe").max() <= 1


def test_unknown_names_are_named_with_the_nearest(attributes: Attributes) -> None:
    with pytest.raises(UnknownNameError, match=r"known of 'Violine d'Or'.*nearest known names are: Violin"):
        attributes(["Oboe", "Violine d'Or"])
    assert not attributes.knows("kazoo")
    assert attributes.knows("tuba")


def test_standardized_columns_have_mean_0_and_deviation_1(tmp_path: Path) -> None:
    vectors = Attributes(standardize=True)(canonical_names())
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(vectors.std(axis=0), 1, atol=1e-5)
    own = Attributes(write(tmp_path, "name,a,b\nOboe,0,1\nFlute,1,1\n"), standardize=True)
    np.testing.assert_array_equal(own(["Oboe", "Flute"]), [[-1, 0], [1, 0]])
    with pytest.raises(InputError, match="the same values"):
        Attributes(write(tmp_path, "name,a\nOboe,1\nFlute,1\n"), standardize=True)


def test_own_table(tmp_path: Path) -> None:
    text = '\ufeffname, bright , "loud, very"\n# a remark\n\nKazoo, 0.5, 1\ndouble bass, 0, .25\n'
    own = Attributes(write(tmp_path, text))
    assert own.attribute_names == ["bright", "loud, very"]
    assert own.known_names() == ["Kazoo", "double bass"]
    np.testing.assert_array_equal(own(["kazoo", "Contrabass"]), np.array([[0.5, 1], [0, 0.25]], dtype=np.float32))
    with pytest.raises(UnknownNameError, match=r"'Oboe'.*table\.csv has"):
        own(["Oboe"])
    assert own.provenance()["source"] == "table.csv"
    assert own.provenance()["sha256"] != Attributes().provenance()["sha256"]


def test_own_table_with_two_rows_of_one_instrument(tmp_path: Path) -> None:
    own = Attributes(write(tmp_path, "name,a\nclarinet in b flat,0.5\nKlarinette,1\n"))
    assert own(["klarinette", "Clarinet in B-flat"]).tolist() == [[1.0], [0.5]]
    with pytest.raises(UnknownNameError, match="'Clarinet' may be any of clarinet in b flat, Klarinette"):
        own(["Clarinet"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing but remarks\n", "is empty"),
        ("name,a,b\n", "is empty"),
        ("instrument,a\nOboe,1\n", "line 1: the first column is 'instrument'"),
        ("name;a;b\nOboe;1;0\n", "line 1: the first column is 'name;a;b'; expected .* separated by commas"),
        ("name\nOboe\n", "line 1: there is no column of attributes"),
        ("name,a,a\nOboe,1,0\n", "line 1: column 'a' stands there twice"),
        ("name,a,\nOboe,1,0\n", "line 1: column 3 has no name"),
        ("name,a,b\n# remark\nOboe,1\n", r"line 3 \('Oboe'\): the value of 'b' is missing"),
        ("name,a\nOboe,1,0\n", r"line 2 \('Oboe'\): there are 3 cells for 2 columns"),
        ("name,a\nOboe,much\n", r"line 2 \('Oboe', a\): 'much' is no number"),
        ("name,a\nOboe,\n", r"line 2 \('Oboe', a\): '' is no number"),
        ("name,a\nOboe,nan\n", r"line 2 \('Oboe', a\): the value is nan; expected a number from 0 to 1"),
        ("name,a\nOboe,1.5\n", r"line 2 \('Oboe', a\): the value is 1\.5"),
        ("name,a\nOboe,-1\n", r"line 2 \('Oboe', a\): the value is -1"),
        ("name,a\nOboe,inf\n", r"line 2 \('Oboe', a\): the value is inf"),
        ("name,a\nOboe,1\noboe ,0.5\n", "line 3: 'oboe' stands in line 2 too"),
        ("name,a\n,1\n", "line 2: the instrument has no name"),
        ("name,a\nOboe,0\n", r"line 2 \('Oboe'\): all values are 0"),
        ('name,a\n"Oboe,1\n', "line 2: it is no line of CSV"),
    ],
)
def test_bad_tables_are_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Attributes(write(tmp_path, text))


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere.csv cannot be read"):
        Attributes(tmp_path / "nowhere.csv")
    (tmp_path / "latin.csv").write_bytes("name,a\nCajón,1\n".encode("latin-1"))
    with pytest.raises(InputError, match="latin.csv is not UTF-8"):
        Attributes(tmp_path / "latin.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("- a\n- b\n", "a YAML sequence; expected a mapping"),
        ("Oboe: [a]\nFlute: [b]\nOboe: [c]\n", "line 3: 'Oboe' stands in line 1 too"),
        ("Oboe: [a\nFlute: b\n", "line 2 is not valid YAML"),
        ("no: [a]\n", "line 1: False is no text; put the name into quotes"),
        ("Oboe: !!python/object/apply:os.getcwd []\n", "line 1 is not valid YAML"),
    ],
)
def test_bad_yaml_tables_are_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "words.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_mapping(tmp_path / "words.yaml")


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path
