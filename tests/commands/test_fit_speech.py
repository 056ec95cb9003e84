"""`musicfsl fit --config speech_commands_ast`, with a small model in the published layout and a small data set."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

import musicfsl
from musicfsl.backbones.ast import AST_CHECKPOINTS
from musicfsl.checkpoints import load_encoder, read_card
from musicfsl.class_splits import class_split
from musicfsl.cli import main
from musicfsl.datasets.speech_commands import N_RECORDINGS

CONFIG = Path(musicfsl.__file__).parent / "configs" / "speech_commands_ast.yaml"

SMALL = [
    "--data.n_support=1", "--data.n_query=1", "--data.eval_n_support=1", "--data.eval_n_query=1",
    "--data.episodes_per_epoch=3", "--data.eval_episodes=20", "--trainer.max_epochs=1", "--trainer.accelerator=cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder above a small copy of Speech Commands: every word once by each of two speakers a subset."""
    root = tmp_path_factory.mktemp("data") / "speech_commands"
    parts = ["training", "training", "validation", "validation", "testing", "testing"]
    speakers = [hashlib.md5(bytes([s])).hexdigest()[:8] for s in range(6)]
    lists: dict[str, list[str]] = {"validation": [], "testing": []}
    for w, word in enumerate(N_RECORDINGS):
        (root / word).mkdir(parents=True)
        for s, (speaker, part) in enumerate(zip(speakers, parts, strict=True)):
            path = f"{word}/{speaker}_nohash_0.wav"
            wave = np.sin(2 * np.pi * (150 + 60 * w + 7 * s) * np.arange(4000) / 16000)
            soundfile.write(root / path, 0.3 * wave, 16000)
            if part in lists:
                lists[part].append(path)
    for part, paths in lists.items():
        (root / f"{part}_list.txt").write_text("\n".join(paths))
    return root.parent


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Audio Spectrogram Transformer as it would lie on the Hugging Face hub."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("hub")
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, max_length=128
    )
    transformers.ASTModel(config).save_pretrained(folder)
    transformers.ASTFeatureExtractor(max_length=128).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("partition", ["few-shot", "overlapping"])
def test_trains_by_its_name(
    data_folder: Path, model_folder: Path, partition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("MUSICFSL_DATA", str(data_folder))
    given = ["fit", "--config", "speech_commands_ast", "--data.partition", partition, "--output", str(tmp_path), *SMALL]
    assert main([*given, "--model.encoder.init_args.name_or_path", str(model_folder), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    split = class_split("speech_commands", partition)
    card = read_card(result["checkpoint"])
    assert [card.data[f"{part}_classes"] for part in ("train", "val", "test")] == [
        list(split.parts[part]) for part in ("train", "val", "test")
    ]
    assert card.data["split"] == partition
    assert result["test"]["grouped"] and result["test"]["trained_on"] == split.trained_on("test")
    assert ("NOT few-shot" in result["test"]["text"]) == (partition == "overlapping")
    assert load_encoder(result["checkpoint"]).settings()["trainable_blocks"] == 2  # from Lightning's own checkpoint


def test_asks_for_what_it_says() -> None:
    content = yaml.safe_load(CONFIG.read_text())
    data, encoder = content["data"], content["model"]["encoder"]
    assert (data["dataset"], data["partition"]) == ("speech_commands", "few-shot")
    assert [data[f"{stage}{name}"] for stage in ("", "eval_") for name in ("n_way", "n_support", "n_query")] == [
        5, 5, 15, 5, 5, 15,
    ]  # fmt: skip
    assert encoder["init_args"]["name_or_path"] in AST_CHECKPOINTS


def test_short_form_takes_the_name(capsys) -> None:
    assert main(["fit", "--data", "speech_commands", "--partition", "few-shot", "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["data"]["partition"] == "few-shot"


def test_mistakes_are_one_line(data_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("MUSICFSL_DATA", str(data_folder))
    assert main(["fit", "--data", "speech_commands", "--partition", "fewshot"]) == 2
    error = capsys.readouterr().err
    assert "is neither a file nor a split that comes with speech_commands. Did you mean 'few-shot'?" in error
    assert "Traceback" not in error
