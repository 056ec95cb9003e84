"""`musicfsl data windows`, from the command line as users type it."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import save_encoder
from musicfsl.cli import main
from musicfsl.datasets import AudioFolder
from musicfsl.heads import PrototypicalHead


@pytest.fixture(scope="module")
def stems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six instruments of two pieces each: 4 s of sound around 3 s of silence."""
    root = tmp_path_factory.mktemp("stems") / "my stems"
    rng = np.random.default_rng(0)
    for c in range(6):
        (root / f"class {c}").mkdir(parents=True)
        for piece in range(2):
            t = np.arange(2 * 16000) / 16000
            sound = 0.2 * np.sin(2 * np.pi * (150 + 90 * c) * t) + 0.02 * rng.normal(size=len(t))
            wave = np.concatenate([sound, np.zeros(3 * 16000), sound])
            soundfile.write(root / f"class {c}" / f"piece{piece}.wav", wave, 16000)
    return root


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def result_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, err = run(capsys, "data", "windows", *arguments, "--json")
    assert code == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def test_counts(capsys, stems: Path) -> None:
    result = result_of(capsys, stems)
    assert result["name"] == "my stems" and result["recordings"] == 12 and result["recorded_seconds"] == 84.0
    assert result["windows"] == 48 and result["seconds"] == 48.0 and result["copies"] == 0
    assert result["silent_windows"] == 36 and result["silent_share"] == pytest.approx(3 / 7, abs=1e-4)
    assert result["classes"]["class 3"] == {
        "recordings": 2,
        "groups": 2,
        "windows": 8,
        "copies": 0,
        "seconds": 8.0,
        "silent_windows": 6,
    }
    assert result["output"] is None
    assert result_of(capsys, stems, "--keep-silence")["windows"] == 84
    assert (
        result_of(capsys, stems, "--example-length", 0.5, "--hop-length", 0.25, "--min-sounding", 1)["windows"] == 168
    )
    assert result_of(capsys, stems, "--group-pattern", r"(piece\d)")["classes"]["class 0"]["groups"] == 2


def test_text(capsys, stems: Path) -> None:
    code, out, _ = run(capsys, "data", "windows", stems, "--copies", 2)
    assert code == 0
    lines = out.splitlines()
    assert " ".join(lines[0].split()) == "class 0 8 windows (8 s) of 2 recordings, 6 left out as silence"
    assert "my stems: 48 windows of 1 s every 1 s (48 s) from 12 recordings (84 s); 36 windows (42.9%)" in lines[-2]
    assert lines[-1] == "and 96 augmented copies, which evaluation leaves out"


def test_written_windows_are_data_for_the_other_commands(capsys, stems: Path, tmp_path: Path) -> None:
    output = tmp_path / "windows"
    result = result_of(capsys, stems, "--copies", 1, "--output", output)
    assert result["output"] == str(output) and result["copies"] == 48
    opened = AudioFolder(output, group_pattern=result["group_pattern"])
    assert len(opened) == 96 and len(opened.originals()) == 48 and len(opened.group_names) == 12

    encoder = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
    checkpoint = save_encoder(encoder, tmp_path / "encoder.safetensors", head=PrototypicalHead("cosine"), classes=[])
    embeddings = tmp_path / "z.npz"
    code, out, _ = run(capsys, "embed", checkpoint, "--data", output, "--output", embeddings, "--json")
    assert code == 0 and json.loads(out)["n_clips"] == 48
    with np.load(embeddings) as content:
        assert len(np.unique(content["groups"])) == 12
    small = ["--n-way", 3, "--n-support", 2, "--n-query", 3, "--episodes", 20]
    code, out, _ = run(capsys, "evaluate", checkpoint, "--data", output, *small, "--json")
    assert code == 0 and json.loads(out)["grouped"]
    # Of 8 originals a class (16 with copies), 4 + 5 cannot be drawn.
    code, _, err = run(capsys, "evaluate", checkpoint, "--data", output, "--n-support", 4, "--n-query", 5)
    assert code == 2 and "8 clips" in err


def test_text_says_how_to_go_on(capsys, stems: Path, tmp_path: Path) -> None:
    code, out, _ = run(capsys, "data", "windows", stems, "--output", tmp_path / "windows")
    assert code == 0
    assert f"musicfsl fit --data {tmp_path / 'windows'}" in out and "/([^/]+)/" in out


def test_the_same_command_writes_the_same(capsys, stems: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        result_of(capsys, stems, "--copies", 1, "--seed", 4, "--output", folder)
    for path in folders[0].rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (folders[1] / path.relative_to(folders[0])).read_bytes()
    with (folders[0] / "windows.csv").open() as file:
        drawn = [row["parameters"] for row in csv.DictReader(file) if row["is_copy"] == "1"]
    assert len(set(drawn)) == len(drawn) == 48


def test_collections_by_name(capsys, stems: Path, tmp_path: Path) -> None:
    (tmp_path / "kulintang").mkdir()
    soundfile.write(tmp_path / "kulintang" / "a.wav", np.sin(np.arange(3 * 16000) / 5), 16000)
    result = result_of(capsys, "katunog", "--root", tmp_path, "--hop-length", 0.5)
    assert result["name"] == "katunog" and list(result["classes"]) == ["Kulintang"] and result["windows"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: NAME|FOLDER"),
        (["{stems}", "--hop-length", "0"], "hop_length is 0.0; expected seconds, at least one sample"),
        (["{stems}", "--example-length", "-1"], "example_length is -1.0"),
        (["{stems}", "--example-length", "10"], "12 of 12 recordings in {stems} are shorter than 10 s"),
        (["{stems}", "--silence-db", "0"], "silence_db is 0.0"),
        (["{stems}", "--copies", "-1"], "n_copies is -1"),
        (["{stems}", "--copies", "some"], "invalid int value: 'some'"),
        (["{stems}", "--output", "{stems}"], "my stems exists already; name another folder, or remove it first"),
        (["{stems}", "--output", "{stems}/windows"], "within the recordings themselves; name a folder elsewhere"),
        (["{stems}", "--output", "{empty}/file/windows"], "cannot be written (Not a directory); name another folder"),
        (["{stems}", "--root", "{stems}"], "--root names the place of a data set"),
        (["{empty}"], "holds no recordings in sub-folders"),
        (["{empty}/nothing"], "nothing' is no folder"),
        (["medlydb"], "Did you mean 'medleydb'?"),
        (["medleydb", "--root", "{empty}"], "MedleyDB is not there"),
        (["medleydb", "--group-pattern", "(a)"], "--group-pattern is for folders; medleydb knows its groups"),
        (["synthetic"], "synthetic has no recordings in files"),
    ],
)
def test_mistakes(capsys, stems: Path, tmp_path: Path, monkeypatch, arguments: list[str], message: str) -> None:
    monkeypatch.delenv("MEDLEYDB_PATH", raising=False)
    (tmp_path / "file").write_text("x")
    filled = [argument.format(stems=stems, empty=tmp_path) for argument in arguments]
    code, out, err = run(capsys, "data", "windows", *filled)
    own = [line for line in err.splitlines() if line.startswith("musicfsl: ")]
    assert code == 2 and out == "" and len(own) == 1 and "Traceback" not in err
    assert message.format(stems=stems) in own[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_copies_without_the_extra(capsys, stems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musicfsl import effects

    monkeypatch.setitem(sys.modules, "audiomentations", None)
    effects._audiomentations.cache_clear()
    code, _, err = run(capsys, "data", "windows", stems, "--copies", 1)
    monkeypatch.undo()
    effects._audiomentations.cache_clear()
    assert code == 2 and "pip install 'musicfsl[augment]'" in err
