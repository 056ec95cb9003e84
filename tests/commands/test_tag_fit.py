"""`musicfsl tag fit` and its configurations, on small data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

import musicfsl
from musicfsl.backbones import MultiBandCNN, PannsMultiBand
from musicfsl.cli import main
from musicfsl.tagging import load_tagger, read_tagger_card

CONFIGS = Path(musicfsl.__file__).parent / "configs"

SMALL = ["--data.duration=0.3", "--data.batch_size=4", "--trainer.accelerator=cpu"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Single-label excerpts at 22.05 kHz, one class a sub-folder."""
    rng = np.random.default_rng(0)
    for c, name in enumerate(("Cello", "Flute", "Violin")):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        for i in range(6):
            wave = np.sin(2 * np.pi * rng.uniform(150, 300) * (3 * c + 1) * np.arange(8820) / 22050)
            soundfile.write(tmp_path / "sounds" / name / f"{i}.wav", 0.3 * wave, 22050)
    return tmp_path / "sounds"


def result_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["tag", "fit", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["tag", "fit", *arguments, "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_trains_and_tests_the_best_epoch(folder: Path, tmp_path: Path, capsys) -> None:
    widths = ["--model.encoder.widths=[8,8,8,8]", "--model.encoder.dim=16"]
    given = ["--data", str(folder), f"--data.testing={folder}", "--output", str(tmp_path / "runs"), *SMALL, *widths]
    result = result_of(capsys, *given, "--trainer.max_epochs=2")
    (best,) = (tmp_path / "runs").rglob("best.ckpt")
    assert result["checkpoint"] == str(best)
    assert best.with_name("last.ckpt").is_file()
    tagger = load_tagger(best)
    assert isinstance(tagger.encoder, MultiBandCNN) and tagger.encoder.dim == 16
    assert tagger.thresholds.tolist() == pytest.approx([0.6] * 3) and tagger.tuned_thresholds is not None
    assert read_tagger_card(best).data["n_excerpts"]["test"] == 18
    assert result["test"]["n_excerpts"] == 18
    assert "mAP" in result["test"]["text"] and "Cello" in result["test"]["text"]
    assert "test with thresholds tuned on validation" in result
    log = Path(result["log"])
    assert (log / "csv" / "metrics.csv").is_file() and (log / "config.yaml").is_file()


def test_two_phases_of_a_pretrained_network(folder: Path, tmp_path: Path, capsys) -> None:
    """The configuration for PANNs with a small network in the place of the published one."""
    small = (
        "{class_path: musicfsl.backbones.PannsMultiBand, init_args: {widths: [4, 4, 4, 4, 8, 8], trunk_dim: 8, dim: 8}}"
    )
    given = ["--config", "irmas_panns", "--data", str(folder), "--output", str(tmp_path / "runs"), *SMALL]
    given += ["--model.encoder", small, "--trainer.max_epochs=2", "--trainer.callbacks.unfreeze_at_epoch=1"]
    result = result_of(capsys, *given)
    card = read_tagger_card(result["checkpoint"].replace("best.ckpt", "last.ckpt"))
    assert isinstance(load_tagger(result["checkpoint"]).encoder, PannsMultiBand)
    assert [entry["learning_rate"] for entry in card.data["history"]] == [1e-3, 1e-4]
    assert "test" not in result  # there are no excerpts for it


def test_configurations_say_what_they_promise(capsys: pytest.CaptureFixture[str]) -> None:
    panns = printed(capsys, "--config", "irmas_panns")
    assert panns["model"]["encoder"]["class_path"] == "musicfsl.backbones.PannsMultiBand.from_pretrained"
    assert panns["model"]["encoder"]["init_args"]["name_or_path"] == "Cnn14_mAP=0.431"
    assert (panns["model"]["learning_rate"], panns["model"]["fine_tuning_learning_rate"]) == (1e-3, 1e-4)
    assert any(callback["class_path"].endswith(".TwoPhases") for callback in panns["trainer"]["callbacks"])
    bands = printed(capsys, "--config", "irmas_multiband")
    encoder = bands["model"]["encoder"]
    assert encoder["class_path"].endswith(".MultiBandCNN") and encoder["init_args"]["sample_rate"] == 22050
    assert encoder["init_args"]["windows"] == [1024, 512, 256] and encoder["init_args"]["edges"] == [1000, 4000]
    for config in (panns, bands):
        model, data = config["model"], config["data"]
        assert (model["loss"], model["threshold"], data["batch_size"], data["dataset"]) == ("bce", 0.6, 16, "irmas")
        (best,) = [c for c in config["trainer"]["callbacks"] if c.get("init_args", {}).get("filename") == "best"]
        assert best["init_args"]["monitor"] == "val/map"
    synthetic = printed(capsys, "--config=synthetic_mixtures")
    assert synthetic["data"]["dataset"] == "synthetic_mixtures"
    assert any(callback["class_path"].endswith(".TwoPhases") for callback in synthetic["trainer"]["callbacks"])


def test_data_sets_of_the_configurations_are_known() -> None:
    from musicfsl.datasets import dataset_names

    for name in ("irmas_panns", "irmas_multiband", "synthetic_mixtures", "tag_fit"):
        assert yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["data"]["dataset"] in dataset_names()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.loss", "hinge"], "loss"),
        (["--trainer.max_epoch", "3"], "max_epoch"),
        (["--data.batch_size", "many"], "batch_size"),
        (["--model.threshold=1.5"], "threshold is 1.5"),
        (["--ckpt_path", "no.ckpt"], "no.ckpt does not exist"),
        (["--config", "irmas_pans"], "irmas_pans"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tag", "fit", *arguments]) == 2
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("musicfsl: ")]
    assert message in line and "Traceback" not in err


def test_options_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tag", "fit", "--data.batch_size", "many"]) == 2
    assert "(all options: musicfsl tag fit --help)" in capsys.readouterr().err
