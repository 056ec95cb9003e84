from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl.checkpoints import read_card
from musicfsl.cli import main
from musicfsl.partition import Partition

NAMES = ["violin", "viola", "cello", "oboe", "flute", "clarinet"]
TAXONOMY = "strings: [Violin, Viola, Cello]\nwinds: [Oboe, Flute, Clarinet]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for c, name in enumerate(NAMES):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for i in range(4 + c):
            wave = np.sin(2 * np.pi * rng.uniform(150, 300) * (c + 1) * np.arange(8000) / 16000)
            soundfile.write(tmp_path / "sounds" / name / f"{i}.wav", 0.3 * wave, 16000)
    return tmp_path / "sounds"


@pytest.fixture
def taxonomy(tmp_path: Path) -> Path:
    path = tmp_path / "tree.yaml"
    path.write_text(TAXONOMY)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["partition", *(str(argument) for argument in arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_whole_command(capsys, folder: Path, taxonomy: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "partition.json"
    code, out, _ = run(
        capsys, "--taxonomy", taxonomy, "--data", folder, "--partitions", "train", "val", "test",
        "--sizes", 0.34, 0.33, 0.33, "--depth", 1, "--seed", 3, "--output", output,
    )  # fmt: skip
    assert code == 0
    partition = Partition.load(output)
    assert sorted(partition.part_of) == sorted(NAMES)
    for classes in partition.parts.values():
        assert len(set(classes) & set(NAMES[:3])) == len(set(classes) & set(NAMES[3:])) == 1
    for c, name in enumerate(NAMES):
        (line,) = (line for line in out.splitlines() if f" {name} " in line)
        assert line.split()[-2:] == [partition.part_of[name], str(4 + c)]
    assert f"written to {output}" in out
    assert "\x1b" not in out


def test_json(capsys, folder: Path, taxonomy: Path, tmp_path: Path) -> None:
    figure = tmp_path / "tree.html"
    pytest.importorskip("plotly", reason="figures need the extra musicfsl[plots]")
    code, out, _ = run(capsys, "--taxonomy", taxonomy, "--data", folder, "--figure", figure, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["clips"] == {name: 4 + c for c, name in enumerate(NAMES)}
    assert sorted(name for classes in result["parts"].values() for name in classes) == sorted(NAMES)
    assert (result["taxonomy"], result["depth"], result["seed"]) == ("tree", 1, 0)
    assert result["figure"] == str(figure)
    assert "violin" in figure.read_text()


def test_colours_are_for_terminals(capsys, folder: Path, taxonomy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    arguments = ["--taxonomy", taxonomy, "--data", folder]
    assert "\x1b[34m" in run(capsys, *arguments)[1]
    assert "\x1b" not in run(capsys, *arguments, "--json")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run(capsys, *arguments)[1]


def test_it_reads_no_more_than_headers(capsys, folder: Path, taxonomy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a recording was decoded")

    monkeypatch.setattr("soundfile.SoundFile.read", refuse)
    assert run(capsys, "--taxonomy", taxonomy, "--data", folder)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--taxonomy", "hornbostel"], "there is no taxonomy 'hornbostel'"),
        (["--partitions", "a", "b"], "there are 2 partitions without sizes"),
        (["--sizes", "0.5", "0.2", "0.2"], "expected positive numbers with the sum 1"),
        (["--depth", "9"], "depth is 9; expected 0"),
        (["--data", "nowhere"], "'nowhere' is no folder"),
    ],
)
def test_mistakes_are_one_line(capsys, folder: Path, taxonomy: Path, arguments: list[str], message: str) -> None:
    code, out, err = run(capsys, "--taxonomy", taxonomy, "--data", folder, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("musicfsl: ") and message in err
    assert err.count("\n") == 1


def test_a_class_that_the_tree_lacks_is_named(capsys, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("winds: [Oboe, Flute, Clarinet]\n")
    code, _, err = run(capsys, "--taxonomy", path, "--data", folder)
    assert code == 2
    assert "class 'cello' is not in the taxonomy 'small'" in err


def test_fit_takes_the_classes_of_a_partition(capsys, folder: Path, taxonomy: Path, tmp_path: Path) -> None:
    output = tmp_path / "partition.json"
    run(capsys, "--taxonomy", taxonomy, "--data", folder, "--output", output, "--sizes", 0.34, 0.33, 0.33)
    options = {
        "--data": folder, "--partition": output, "--output": tmp_path / "runs", "--data.n_way": 2,
        "--data.n_support": 1, "--data.n_query": 1, "--data.episodes_per_epoch": 1, "--data.eval_n_support": 1,
        "--data.eval_n_query": 2, "--data.eval_episodes": 5, "--data.duration": 0.3,
        "--model.encoder.widths": "[8, 8, 8, 8]", "--trainer.max_epochs": 1, "--trainer.accelerator": "cpu",
    }  # fmt: skip
    assert main(["fit", *(str(part) for pair in options.items() for part in pair)]) == 0
    card = read_card(next((tmp_path / "runs").rglob("best.ckpt")))
    partition = Partition.load(output)
    assert sorted(card.classes) == sorted(partition.part("train"))
    assert sorted(card.data["val_classes"]) == sorted(partition.part("val"))
    assert sorted(card.data["test_classes"]) == sorted(partition.part("test"))
