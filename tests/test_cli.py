from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl import __version__
from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import save_encoder
from musicfsl.cli import main
from musicfsl.heads import PrototypicalHead


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven classes of noisy tones as recordings of a user."""
    root = tmp_path_factory.mktemp("my_sounds")
    rng = np.random.default_rng(0)
    for c in range(7):
        (root / f"class {c}").mkdir()
        for i in range(12):
            t = np.arange(9000) / 16000
            wave = sum(np.sin(2 * np.pi * rng.uniform(150, 300) * k * t) / k for k in range(1, c + 2))
            soundfile.write(root / f"class {c}" / f"{i}.wav", 0.1 * wave + 0.01 * rng.normal(size=9000), 16000)
    return root


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    encoder = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
    return save_encoder(encoder, tmp_path / "encoder.safetensors", head=PrototypicalHead("cosine"), classes=["class 1"])


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


SMALL = ["--n-way", 3, "--n-support", 2, "--n-query", 3, "--episodes", 40, "--duration", 0.3]


class TestEvaluate:
    def test_json_holds_what_was_measured(self, capsys, checkpoint: Path, folder: Path) -> None:
        code, out, err = run(capsys, "evaluate", checkpoint, "--data", folder, *SMALL, "--seed", 3, "--json")
        assert code == 0
        result = json.loads(out)
        assert result["n_episodes"] == 40
        assert result["seed"] == 3
        assert result["chance"] == pytest.approx(1 / 3)
        assert 0 < result["ci95"] < 0.2
        assert result["chance"] < result["mean"] <= 1
        assert result["is_synthetic"] is False
        assert result["classes_not_new"] == ["class 1"]
        assert "not new to this checkpoint, which saw classes of these names: class 1" in err

    def test_the_same_command_gives_the_same_numbers(self, capsys, checkpoint: Path, folder: Path) -> None:
        outputs = {run(capsys, "evaluate", checkpoint, "--data", folder, *SMALL, "--json")[1] for _ in range(2)}
        assert len(outputs) == 1

    def test_some_classes_as_text(self, capsys, checkpoint: Path, folder: Path) -> None:
        names = "class 0, class 2,class 5"
        code, out, err = run(capsys, "evaluate", checkpoint, "--data", folder, "--classes", names, *SMALL)
        assert code == 0
        assert "3 classes: accuracy 0." in out or "3 classes: accuracy 1." in out
        assert "95 % interval over 40 episodes, seed 0; chance 0.333" in out
        assert "recordings" in out
        assert "not new" not in err


def test_embed_writes_what_it_says(capsys, checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "z.npz"
    code, out, _ = run(capsys, "embed", checkpoint, "--data", folder, "--output", output, "--json")
    assert code == 0
    assert json.loads(out)["n_clips"] == 84
    with np.load(output) as content:
        assert content["embeddings"].shape == (84, 32)
        assert content["targets"].tolist() == np.repeat(np.arange(7), 12).tolist()
        assert content["classes"].tolist() == [f"class {c}" for c in range(7)]
    assert [path.name for path in output.parent.iterdir()] == ["z.npz"]


class TestData:
    def test_list(self, capsys) -> None:
        code, out, _ = run(capsys, "data", "list", "--json")
        assert code == 0
        assert {"synthetic", "tinysol", "medley_solos_db"} <= {entry["name"] for entry in json.loads(out)}
        code, out, _ = run(capsys, "data", "list")
        assert "tinysol" in out

    def test_verify_a_good_and_a_bad_folder(self, capsys, folder: Path, tmp_path: Path) -> None:
        code, out, _ = run(capsys, "data", "verify", folder, "--json")
        assert code == 0
        assert json.loads(out)["n_recordings"] == 84
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "bad.wav").write_text("not a recording")
        code, out, _ = run(capsys, "data", "verify", tmp_path)
        assert code == 2
        assert "bad.wav" in out


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["evalute"], "there is no command 'evalute'. Did you mean 'evaluate'?"),
            (["evaluate"], "required: checkpoint, --data"),
            (["evaluate", "no.ckpt", "--data", "synthetic"], "the checkpoint no.ckpt does not exist"),
            (["evaluate", "{checkpoint}", "--data", "tinysool"], "Did you mean 'tinysol'?"),
            (
                ["evaluate", "{checkpoint}", "--data", "{folder}", "--n-way", "8"],
                "n_way is 8, but the data set has only 7",
            ),
            (["evaluate", "{checkpoint}", "--data", "{folder}", "--n-query", "0"], "n_query is 0; expected 1 or more"),
            (["evaluate", "{checkpoint}", "--data", "{folder}", "--n-way", "five"], "invalid int value: 'five'"),
            (["evaluate", "{checkpoint}", "--data", "{folder}"], "has 12 clips, but 5 support + 15 query need 20"),
            (["evaluate", "{checkpoint}", "--data", "{folder}", "--classes", "class 9"], "no class 'class 9'"),
            (["embed", "{checkpoint}", "--data", "{folder}", "--output", "z.csv"], "ends in .npz"),
            (["embed", "{checkpoint}", "--data", "{folder}", "--output", "{checkpoint}/z.npz"], "cannot be written"),
            (["data"], "required: list|prepare|verify"),
            (["data", "verify", "no/folder"], "'no/folder' is no folder"),
            (["data", "prepare", "tinysool"], "Did you mean 'tinysol'?"),
        ],
    )
    def test_one_line_and_code_2(self, capsys, checkpoint, folder, tmp_path, monkeypatch, arguments, message) -> None:
        monkeypatch.chdir(tmp_path)
        arguments = [argument.format(checkpoint=checkpoint, folder=folder) for argument in arguments]
        code, out, err = run(capsys, *arguments)
        own = [line for line in err.splitlines() if line.startswith("musicfsl: ")]
        assert code == 2
        assert len(own) == 1
        assert message in own[0]
        assert "Traceback" not in err
        assert out == ""

    def test_no_command(self, capsys) -> None:
        code, out, _ = run(capsys)
        assert code == 2
        assert "musicfsl COMMAND" in out


@pytest.mark.parametrize(
    "arguments",
    [[], ["fit"], ["validate"], ["test"], ["evaluate"], ["embed"], ["data"], ["data", "list"], ["data", "prepare"],
     ["data", "verify"], ["data", "windows"], ["demo"]],
)  # fmt: skip
def test_every_command_has_help_with_an_example(capsys, arguments: list[str]) -> None:
    code, out, _ = run(capsys, *arguments, "--help")
    assert code == 0
    assert "example: musicfsl " in out


def test_version(capsys) -> None:
    assert run(capsys, "--version") == (0, f"musicfsl {__version__}\n", "")
