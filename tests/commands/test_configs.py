"""The configurations that come with the package: found by name, and ready to run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

import musicfsl
from musicfsl.checkpoints import load_head, read_card
from musicfsl.cli import main
from musicfsl.heads import HierarchicalPrototypicalHead
from musicfsl.taxonomy import Taxonomy

CONFIGS = Path(musicfsl.__file__).parent / "configs"

CLASSES = {
    "hierarchical": ["Violin", "Cello", "Viola", "Flute", "Oboe", "Clarinet in Bb", "Trombone", "Bass Tuba", "Piano"],
    "medley_solos_db_hierarchical": ["clarinet", "distorted electric guitar", "female singer", "flute", "piano",
                                     "tenor saxophone", "trumpet", "violin"],
    "medleydb_hierarchical": ["violin", "cello", "viola", "flute", "oboe", "clarinet", "trombone", "tuba", "piano"],
}  # fmt: skip

SMALL = [
    "--data.n_way=4", "--data.n_support=1", "--data.n_query=1", "--data.episodes_per_epoch=2",
    "--data.eval_n_support=2", "--data.eval_n_query=3", "--data.eval_episodes=20", "--data.duration=0.2",
    "--model.encoder.widths=[8,8,8,8]", "--trainer.max_epochs=1", "--trainer.accelerator=cpu",
]  # fmt: skip


def sounds(folder: Path, classes: list[str], n_clips: int = 5) -> Path:
    rng = np.random.default_rng(0)
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(n_clips):
            wave = np.sin(2 * np.pi * rng.uniform(150, 300) * (c + 1) * np.arange(4000) / 16000)
            soundfile.write(folder / name / f"{i}.wav", 0.3 * wave, 16000)
    return folder


#: Of `musicfsl tag fit`: tests/commands/test_tag_fit.py.
OF_TAGGERS = {"tag_fit", "irmas_multiband", "irmas_panns", "synthetic_mixtures"}

#: Of words: tests/commands/test_fit_speech.py.
OF_WORDS = {"speech_commands_ast"}


def test_every_configuration_is_tested() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {*CLASSES, "fit", *OF_TAGGERS, *OF_WORDS}


@pytest.mark.parametrize("name", CLASSES)
def test_trains_by_its_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sounds(tmp_path / "sounds", CLASSES[name])
    given = ["fit", "--config", name, "--data", str(folder), "--output", str(tmp_path / "runs"), *SMALL, "--json"]
    assert main(given) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (
        result["test"]["hierarchy"]["taxonomy"]
        == yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["data"]["taxonomy"]
    )
    assert "by the taxonomy" in result["test"]["text"]
    head = load_head(result["checkpoint"])  # from Lightning's own checkpoint
    assert isinstance(head, HierarchicalPrototypicalHead)
    assert (head.height, head.alpha, head.distance) == (2, 0.75, "cosine")
    parts = [read_card(result["checkpoint"]).data[f"{part}_classes"] for part in ("train", "val", "test")]
    assert sorted(c for part in parts for c in part) == sorted(CLASSES[name])


def test_the_same_without_hierarchy(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["fit", "--config=medley_solos_db_hierarchical", "--model.head", "PrototypicalHead", "--print_config"]
    assert main(given) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["head"]["class_path"].endswith(".PrototypicalHead")
    assert printed["model"]["head"]["init_args"]["distance"] == "cosine"
    assert printed["data"]["dataset"] == "medley_solos_db"
    assert printed["data"]["test_classes"] == ["flute", "tenor saxophone", "violin"]


def test_data_sets_are_called_by_their_names() -> None:
    from musicfsl.datasets import dataset_names

    for name in CLASSES:
        assert yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["data"]["dataset"] in dataset_names()


def test_a_file_of_ones_own_goes_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    (tmp_path / "mine.yaml").write_text("model:\n  learning_rate: 0.125\n")
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", "mine.yaml", "--print_config"]) == 0
    assert "learning_rate: 0.125" in capsys.readouterr().out
    assert main(["fit", "--config", "hierarchicall"]) == 2
    assert "hierarchicall" in capsys.readouterr().err


class TestHeadOnTheCommandLine:
    def test_by_flags(self, capsys) -> None:
        flags = ["--model.head", "HierarchicalPrototypicalHead", "--model.head.taxonomy", "hornbostel-sachs"]
        assert main(["fit", *flags, "--model.head.height", "2", "--print_config"]) == 0
        arguments = yaml.safe_load(capsys.readouterr().out)["model"]["head"]["init_args"]
        assert (arguments["taxonomy"], arguments["height"], arguments["distance"]) == ("hornbostel-sachs", 2, "cosine")

    def test_nested_in_a_file(self, tmp_path: Path, capsys) -> None:
        tree = {"strings": {"bowed": ["Violin"], "plucked": ["Harp"]}, "Voice": None}
        head = {"class_path": "musicfsl.heads.HierarchicalPrototypicalHead", "init_args": {"taxonomy": tree}}
        (tmp_path / "mine.yaml").write_text(
            yaml.safe_dump({"model": {"head": head}, "data": {"taxonomy": tree}}, sort_keys=False)
        )
        assert main(["fit", "--config", str(tmp_path / "mine.yaml"), "--print_config"]) == 0
        printed = yaml.safe_load(capsys.readouterr().out)
        assert Taxonomy(printed["model"]["head"]["init_args"]["taxonomy"]) == Taxonomy(tree)
        assert Taxonomy(printed["data"]["taxonomy"]) == Taxonomy(tree)

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--model.head.taxonomy", "familis"], "Did you mean 'families'"),
            (
                ["--model.head.taxonomy", "families", "--model.head.height", "7"],
                "height is 7, but families has 2 ranks",
            ),
            (["--model.head.taxonomy", "families", "--data.taxonomy", "familis"], "Did you mean 'families'"),
        ],
    )
    def test_a_mistake_is_one_line(self, capsys, flags: list[str], message: str) -> None:
        assert main(["fit", "--model.head", "HierarchicalPrototypicalHead", *flags]) == 2
        err = capsys.readouterr().err
        (line,) = [line for line in err.splitlines() if line.startswith("musicfsl: ")]
        assert message in line
        assert "Traceback" not in err
