from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import save_encoder
from musicfsl.cli import main
from musicfsl.heads import HierarchicalPrototypicalHead
from musicfsl.taxonomy import Taxonomy

TREE = {"low": ["class 0", "class 1"], "high": ["class 2", "class 3"]}
SMALL = ["--n-way", "3", "--n-query", "3", "--episodes", "20", "--duration", "0.3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("my_sounds")
    rng = np.random.default_rng(0)
    for c in range(4):
        (root / f"class {c}").mkdir()
        for i in range(8):
            wave = np.sin(2 * np.pi * rng.uniform(150, 300) * (c + 1) * np.arange(8000) / 16000)
            soundfile.write(root / f"class {c}" / f"{i}.wav", 0.3 * wave, 16000)
    return root


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    encoder = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
    return str(save_encoder(encoder, tmp_path / "e.safetensors", head=HierarchicalPrototypicalHead(TREE)))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_taxonomy(capsys, checkpoint: str, folder: Path, tmp_path: Path) -> None:
    tree = Taxonomy(TREE).save(tmp_path / "registers.yaml")
    given = ["evaluate", checkpoint, "--data", folder, *SMALL, "--n-support", 2, "--taxonomy", tree]
    code, out, _ = run(capsys, *given, "--json")
    assert code == 0
    content = json.loads(out)
    assert content["n_support"] == 2
    assert content["hierarchy"]["accuracy"][0]["mean"] == pytest.approx(content["mean"])
    assert content["hierarchy"]["accuracy"][1]["mean"] >= content["mean"]
    code, out, _ = run(capsys, *given)
    assert code == 0
    assert "by the taxonomy 'registers'" in out
    code, out, _ = run(capsys, "evaluate", checkpoint, "--data", folder, *SMALL, "--n-support", 2, "--json")
    assert json.loads(out)["hierarchy"] is None


def test_protocol(capsys, checkpoint: str, folder: Path) -> None:
    given = ["evaluate", checkpoint, "--data", folder, "--protocol", "music-trees"]
    code, out, err = run(capsys, *given)
    assert (code, out) == (2, "")
    assert "12 ways, but there are 4 classes; the largest possible is n_way=4" in err
    code, out, _ = run(capsys, *given, *SMALL, "--n-support", 4, "--json")
    content = json.loads(out)
    assert content["protocol"] == "music-trees"
    assert content["changed"] == ["n_way", "shots", "n_query", "n_episodes"]
    assert content["shots"]["4"]["n_episodes"] == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--taxonomy", "familys"], "Did you mean 'families'"),
        (["--taxonomy", "families"], "class 'class 0' is not in the taxonomy 'families'"),
        (["--protocol", "music-tree"], "Did you mean 'music-trees'"),
    ],
)
def test_mistakes_are_one_line(capsys, checkpoint: str, folder: Path, options: list[str], message: str) -> None:
    code, out, err = run(capsys, "evaluate", checkpoint, "--data", folder, *SMALL, "--n-support", 2, *options)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.startswith("musicfsl: ")]
    assert message in line
