from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl.checkpoints import read_card
from musicfsl.cli import main

SMALL = {
    "--data.n_way": 4,
    "--data.n_support": 1,
    "--data.n_query": 2,
    "--data.episodes_per_epoch": 3,
    "--data.eval_n_support": 2,
    "--data.eval_n_query": 4,
    "--data.eval_episodes": 30,
    "--data.duration": 0.3,
    "--model.encoder.widths": "[8, 8, 8, 8]",
    "--trainer.max_epochs": 2,
    "--trainer.accelerator": "cpu",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for c in range(6):
        (tmp_path / "sounds" / f"class {c}").mkdir(parents=True)
        for i in range(8):
            wave = np.sin(2 * np.pi * rng.uniform(150, 300) * (c + 1) * np.arange(8000) / 16000)
            soundfile.write(tmp_path / "sounds" / f"class {c}" / f"{i}.wav", 0.3 * wave, 16000)
    return tmp_path / "sounds"


def options(**changes: object) -> list[str]:
    return [str(part) for pair in {**SMALL, **changes}.items() for part in pair]


def test_fit_then_test_and_evaluate(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--data", str(folder), "--output", str(tmp_path / "runs"), *options(), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    (best,) = (tmp_path / "runs").rglob("best.ckpt")
    assert result["checkpoint"] == str(best)
    log = Path(result["log"])
    assert list(log.glob("events.out.tfevents.*"))
    assert list(log.rglob("metadata.tsv"))  # the validation is watched
    assert (log / "csv" / "metrics.csv").is_file()
    assert (log / "config.yaml").is_file()
    assert best.with_name("last.ckpt").is_file()
    card = read_card(best)
    parts = [card.classes, card.data["val_classes"], card.data["test_classes"]]
    assert sorted(chain(*parts)) == [f"class {c}" for c in range(6)]

    assert (
        main(["test", "--data", str(folder), "--ckpt_path", str(best), "--output", str(tmp_path / "t"), *options()])
        == 0
    )
    again = capsys.readouterr().out
    assert result["test"]["text"] in again

    rest = ["--data", str(folder), "--ckpt_path", str(best), "--output", str(tmp_path / "o")]
    assert main(["test", *rest, *options(**{"--model.encoder.widths": "[8, 8, 8, 16]"})]) == 2
    assert "is of another network than these options describe; begin them with" in capsys.readouterr().err
    assert main(["test", "--config", str(log / "config.yaml"), *rest]) == 0  # as the message says
    assert result["test"]["text"] in capsys.readouterr().out

    arguments = [
        "--n-way",
        "2",
        "--n-support",
        "2",
        "--n-query",
        "4",
        "--episodes",
        "30",
        "--duration",
        "0.3",
        "--seed",
        "2",
    ]
    assert main(["evaluate", str(best), "--data", str(folder), *arguments, "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)
    # The classes that the checkpoint has not seen are what is asked for, unless others are named.
    assert evaluated["classes"] == card.data["test_classes"]
    assert evaluated["classes_not_new"] == []
    assert evaluated["mean"] == pytest.approx(result["test"]["mean"])


def test_a_yaml_file_and_a_dotted_flag(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(f"data:\n  dataset: {folder}\n  split_seed: 5\nmodel:\n  learning_rate: 0.01\n")
    given = ["fit", "--config", str(config), "--output", str(tmp_path / "r"), *options(**{"--model.weight_decay": 0.5})]
    assert main([*given, "--print_config"]) == 0
    printed = capsys.readouterr().out
    for line in ("learning_rate: 0.01", "weight_decay: 0.5", "split_seed: 5", "max_epochs: 2", f"dataset: {folder}"):
        assert line in printed


def test_a_damaged_checkpoint_is_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.ckpt").write_bytes(b"\x00" * 100)
    assert main(["test", "--data", str(folder), "--ckpt_path", str(tmp_path / "bad.ckpt"), *options()]) == 2
    err = capsys.readouterr().err
    assert "bad.ckpt is damaged or no checkpoint" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "--data", "no/folder"], "'no/folder' is no folder"),
        (["fit", "--trainer.max_epoch", "3"], "max_epoch"),
        (["fit", "--trainer.accelerator", "tpu"], "Lightning's trainer cannot be made as asked for: "),
        (["fit", "--trainer.accelerator", "abacus"], "Lightning's trainer cannot be made as asked for: "),
        (["fit", "--trainer.fast_dev_run", "-1"], "Lightning's trainer cannot be made as asked for: fast_dev_run=-1"),
        (["fit", "--data.n_way", "many"], "n_way"),
        (["fit", "--model.encoder.colour", "red"], "colour"),
        (["fit", "--config", "no.yaml"], "no.yaml"),
        (["test", "--ckpt_path", "no.ckpt"], "the checkpoint no.ckpt does not exist"),
        (["fit", "--data", "{folder}", "--data.n_query", "99"], "has 8 clips, but 3 support + 99 query need 102"),
        (["fit", "--data", "{folder}"], "has 8 clips, but 5 support + 15 query need 20"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([argument.format(folder=folder) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("musicfsl: ")]
    assert message in line
    assert "Traceback" not in err
    assert out == ""
