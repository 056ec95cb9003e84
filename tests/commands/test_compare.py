from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for c, name in enumerate(["oud", "saz", "zither"]):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for i in range(8):
            t = np.arange(6000) / 16000
            wave = sum(np.sin(2 * np.pi * rng.uniform(200, 300) * k * t) / k for k in range(1, 2 * c + 2))
            soundfile.write(tmp_path / "sounds" / name / f"{i}.wav", 0.2 * wave, 16000)
    return tmp_path / "sounds"


SMALL = ["--encoders", "mfcc", "--methods", "prototypical,ridge,pt-map", "--episodes", "20"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["compare", *(str(argument) for argument in arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_table_csv_and_figure(capsys, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="figures need the extra musicfsl[plots]")
    table, figure = tmp_path / "new" / "table.csv", tmp_path / "bars.html"
    code, out, err = run(capsys, folder, *SMALL, "--csv", table, "--figure", figure)
    assert code == 0 and err == ""
    assert f"{folder}: 24 clips of 3 classes; embedded in" in out
    assert "3-way 4-shot, 4 queries a class; 20 episodes, the same for every line; seed 0; chance 0.333" in out
    assert f"written: {table}" in out and f"written: {figure}" in out
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["prototypical", "ridge", "pt-map"]
    assert [row["transductive"] for row in rows] == ["0", "0", "1"]
    assert "pt-map (t)" in figure.read_text()
    code, _, err = run(capsys, folder, *SMALL, "--csv", table)
    assert code == 2 and f"{table} exists already" in err


def test_json(capsys, folder: Path) -> None:
    (folder / "oud" / "broken.wav").write_bytes(b"RIFF of nothing")
    code, out, err = run(capsys, folder, *SMALL, "--n-way", 2, "--n-support", 1, "--query-imbalance", 2, "--json")
    assert code == 0
    assert err.startswith("musicfsl: 1 of 25 sounds cannot be used") and err.count("\n") == 1 and "broken.wav" in err
    result = json.loads(out)
    assert [(line["encoder"], line["method"]) for line in result["lines"]] == [
        ("mfcc", "prototypical"), ("mfcc", "ridge"), ("mfcc", "pt-map"),
    ]  # fmt: skip
    assert {line["query_imbalance"] for line in result["lines"]} == {2.0}
    assert (result["chance"], result["lines"][0]["n_support"], result["data"]["n_clips"]) == (0.5, 1, 24)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "rigde"], "Did you mean 'ridge'?"),
        (["--encoders", "nowhere.ckpt"], "nowhere.ckpt"),
        (["--encoders", "mfcc", "--n-way", "9"], "n_way is 9"),
        (["--encoders", "mfcc", "--n-support", "20"], "20 support"),
        (["--encoders", "mfcc", "--strict"], "broken.wav"),
        (["--csv", "{root}"], "is a folder"),
    ],
)
def test_a_mistake_is_one_line(capsys, folder: Path, arguments: list[str], message: str) -> None:
    if "--strict" in arguments:
        (folder / "oud" / "broken.wav").write_bytes(b"RIFF of nothing")
    code, out, err = run(capsys, folder, *(argument.format(root=folder) for argument in arguments))
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and message in err


def test_no_folder(capsys, tmp_path: Path) -> None:
    code, _, err = run(capsys, tmp_path / "nowhere", *SMALL)
    assert code == 2 and err.count("\n") == 1 and "nowhere is not a folder" in err
