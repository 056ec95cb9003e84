from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import save_encoder
from musicfsl.cli import main
from musicfsl.heads import PrototypicalHead

RATE = 16000
PARTIALS = {"flute": 1, "harp": 3, "oboe": 9}


def note(name: str, seconds: float, rng: np.random.Generator, rate: int = RATE) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    partials = np.arange(1, PARTIALS[name] + 1)[:, None]
    return 0.3 * np.sin(2 * np.pi * rng.uniform(180, 260) * partials * t).mean(axis=0) + 1e-3 * rng.normal(size=len(t))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples: two, three and four a class, of different lengths and rates; the oboe's are long."""
    folder, rng = tmp_path_factory.mktemp("support"), np.random.default_rng(0)
    for n, (name, rate) in enumerate(zip(PARTIALS, (44100, 16000, 22050), strict=True), start=2):
        (folder / name).mkdir()
        for i in range(n):
            soundfile.write(folder / name / f"{i}.wav", note(name, 0.6 + 0.4 * i + 3 * (n == 4), rng, rate), rate)
    return folder


@pytest.fixture(scope="module")
def piece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flute, oboe, silence, harp, flute; four seconds each."""
    rng, path = np.random.default_rng(1), tmp_path_factory.mktemp("piece") / "my piece.flac"
    parts = [
        note("flute", 4, rng),
        note("oboe", 4, rng),
        np.zeros(4 * RATE),
        note("harp", 4, rng),
        note("flute", 4, rng),
    ]
    soundfile.write(path, np.concatenate(parts), RATE)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "small.safetensors"
    return save_encoder(ConvEncoder(), path, head=PrototypicalHead("cosine"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["annotate", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_says_what_sounds_when(piece: Path, sounds: Path, capsys) -> None:
    code, out, err = run(capsys, piece, "--support", sounds)
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[3] for line in lines[:-1]] == ["flute", "oboe", "silence", "harp", "flute"]
    for line, start in zip(lines, (0, 4, 8, 12, 16), strict=False):
        assert float(line.split()[0]) == pytest.approx(start, abs=0.5)
    assert lines[-1] == "5 segments of 4 labels in 20.0 s"
    assert "without --encoder, sounds are compared by mean MFCCs, a baseline" in err


def test_a_checkpoint_and_json(piece: Path, sounds: Path, checkpoint: Path, capsys) -> None:
    code, out, err = run(capsys, piece, "--support", sounds, "--encoder", checkpoint, "--json", "--hop", 0.25)
    assert code == 0
    assert err == ""
    result = json.loads(out)
    assert result["recording"] == str(piece)
    assert result["duration"] == 20.0
    assert [s["label"] for s in result["segments"]] == ["flute", "oboe", "silence", "harp", "flute"]
    assert result["settings"]["encoder"] == str(checkpoint)
    assert result["settings"]["classes"] == ["flute", "harp", "oboe"]
    assert result["settings"]["hop"] == 0.25
    assert result["files"] == {}
    assert run(capsys, piece, "--support", sounds, "--encoder", checkpoint, "--json", "--hop", 0.25)[1] == out


def test_all_files_go_to_a_folder_and_replace_nothing(piece: Path, sounds: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("plotly")
    code, out, _ = run(capsys, piece, "--support", sounds, "--output", tmp_path / "new", "--json")
    assert code == 0
    segments, files = json.loads(out)["segments"], json.loads(out)["files"]
    names = ["my piece.csv", "my piece.html", "my piece.jams", "my piece.txt"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert sorted(Path(path).name for path in files.values()) == names
    with open(files["csv"], encoding="utf-8", newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == [s["label"] for s in segments]
    assert len(Path(files["audacity"]).read_text().splitlines()) == len(segments)
    jams = json.loads(Path(files["json_file"]).read_text())
    assert jams["annotations"][0]["sandbox"]["classes"] == ["flute", "harp", "oboe"]
    page = Path(files["figure"]).read_text(encoding="utf-8")
    assert "my piece.flac" in page
    assert "heatmap" in page

    before = {name: (tmp_path / "new" / name).stat().st_mtime_ns for name in names}
    code, out, err = run(capsys, piece, "--support", sounds, "--output", tmp_path / "new")
    assert (code, out) == (2, "")
    assert "my piece.csv exists already" in err
    assert {name: (tmp_path / "new" / name).stat().st_mtime_ns for name in names} == before
    code, out, _ = run(capsys, piece, "--support", sounds, "--output", tmp_path / "new", "--overwrite")
    assert code == 0
    assert out.count("written: ") == 4


def test_single_files_are_named(piece: Path, sounds: Path, tmp_path: Path, capsys) -> None:
    code, out, _ = run(
        capsys, piece, "--support", sounds, "--csv", tmp_path / "a.csv", "--audacity", tmp_path / "b.txt"
    )
    assert code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.txt"]
    assert f"written: {tmp_path / 'a.csv'}" in out


def test_a_shipped_tree_names_families(piece: Path, sounds: Path, capsys) -> None:
    given = [piece, "--support", sounds, "--taxonomy", "families", "--json"]
    segments = json.loads(run(capsys, *given, "--threshold", 0.05)[1])["segments"]
    assert [s["label"] for s in segments] == ["flute", "oboe", "silence", "harp", "flute"]
    unsure = json.loads(run(capsys, *given, "--temperature", 1e6, "--threshold", 0.6)[1])["segments"]
    flute_and_oboe = {s["label"] for s in unsure if s["end"] <= 8.5}
    assert flute_and_oboe == {"woodwinds"}  # two thirds, of two classes of three
    assert {s["label"] for s in unsure} == {"woodwinds", "silence"}


def test_no_figure_without_plotly(piece: Path, sounds: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    code, out, err = run(capsys, piece, "--support", sounds, "--figure", tmp_path / "a.html")
    assert (code, out) == (2, "")
    assert "pip install 'musicfsl[plots]'" in err
    code, out, err = run(capsys, piece, "--support", sounds, "--output", tmp_path)
    assert code == 0
    assert "no figure is drawn: plotly is not installed" in err
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".jams", ".txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{piece}"], "required: --support"),
        (["no.wav", "--support", "{sounds}"], "no.wav does not exist"),
        (["{text}", "--support", "{sounds}"], "text.wav cannot be read as audio"),
        (["{short}", "--support", "{sounds}"], "short.wav is 0.500 s long, which is shorter than a window of 1 s"),
        (["{silent}", "--support", "{sounds}"], "silent.wav holds only silence"),
        (["{cut}", "--support", "{sounds}"], "cut.wav is truncated or damaged"),
        (["{piece}", "--support", "nowhere"], "nowhere is not a folder"),
        (["{piece}", "--support", "{one}"], "one has one class only ('flute')"),
        (["{piece}", "--support", "{bad}"], "text.wav cannot be read as audio"),
        (["{piece}", "--support", "{sounds}", "--encoder", "no.ckpt"], "the checkpoint no.ckpt does not exist"),
        (["{piece}", "--support", "{sounds}", "--taxonomy", "familys"], "Did you mean 'families'?"),
        (["{piece}", "--support", "{sounds}", "--taxonomy", "{tree}"], "class 'oboe' is not in"),
        (["{piece}", "--support", "{sounds}", "--threshold", "2"], "threshold is 2.0"),
        (["{piece}", "--support", "{sounds}", "--window", "-1"], "window is -1"),
        (["{piece}", "--support", "{sounds}", "--hop", "3"], "hop is 3.0"),
        (["{piece}", "--support", "{sounds}", "--silence", "-3"], "silence_db is -3.0"),
        (["{piece}", "--support", "{sounds}", "--penalty", "-3"], "penalty is -3.0"),
        (["{piece}", "--support", "{sounds}", "--csv", "{piece}", "--overwrite"], "is the recording itself"),
        (["{piece}", "--support", "{sounds}", "--csv", "{text}"], "text.wav exists already"),
        (["{piece}", "--support", "{sounds}", "--csv", "{text}/a.csv"], "cannot be written"),
        (["{piece}", "--support", "{sounds}", "--figure", "a.gif"], "--figure is a.gif; expected a name that ends"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    piece, sounds, tmp_path, monkeypatch, capsys, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.wav").write_text("no recording")
    soundfile.write(tmp_path / "short.wav", np.ones(RATE // 2) / 2, RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(3 * RATE), RATE)
    soundfile.write(tmp_path / "cut.wav", np.ones(3 * RATE) / 2, RATE)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:-9000])
    (tmp_path / "tree.yaml").write_text("winds: [flute]\nstrings: [harp]\n")
    for name in ("one", "bad"):
        (tmp_path / name / "flute").mkdir(parents=True)
        (tmp_path / name / "flute" / "a.wav").write_bytes((sounds / "flute" / "0.wav").read_bytes())
    (tmp_path / "bad" / "harp").mkdir()
    (tmp_path / "bad" / "harp" / "text.wav").write_text("no recording")
    places = {name: tmp_path / name for name in ("one", "bad")}
    places |= {name: tmp_path / f"{name}.wav" for name in ("text", "short", "silent", "cut")}
    places |= {"piece": piece, "sounds": sounds, "tree": tmp_path / "tree.yaml"}
    code, out, err = run(capsys, *[argument.format(**places) for argument in arguments])
    assert (code, out) == (2, "")
    *notes, line = [line for line in err.splitlines() if line.startswith("musicfsl: ")]
    assert message in line
    assert all("without --encoder" in note for note in notes)
    assert "Traceback" not in err
    assert piece.stat().st_size > 1000


def test_help_has_an_example(capsys) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "example: musicfsl annotate concert.flac --support my_sounds/" in out
