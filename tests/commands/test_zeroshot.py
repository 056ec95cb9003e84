from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from musicfsl import AudioFolder
from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import load_encoder, read_card, save_encoder
from musicfsl.cli import main
from musicfsl.embedding import embed_dataset
from musicfsl.features import FeatureStore
from musicfsl.zeroshot import Attributes
from musicfsl.zeroshot_checkpoints import load_zeroshot, read_zeroshot_card, save_zeroshot

NAMES = [f"tone {c}" for c in range(9)]
UNSEEN = "tone 3,tone 6"


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine classes of tones, each with one more partial than the one before."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for c, name in enumerate(NAMES):
        (folder / name).mkdir()
        for i in range(10):
            pitch, partials = rng.uniform(150, 300), np.arange(1, c + 2)[:, None]
            wave = np.sin(2 * np.pi * pitch * partials * np.arange(6000) / 16000).mean(axis=0)
            soundfile.write(folder / name / f"{i}.wav", 0.3 * wave, 16000)
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of attributes of one's own: about how many partials a tone has; and of a tone that no folder has."""
    path = tmp_path_factory.mktemp("side") / "partials.csv"
    rows = [np.exp(-((np.arange(12) - c) ** 2) / 4).round(4) for c in range(12)]
    lines = [f"tone {c}, " + ", ".join(map(str, row)) for c, row in enumerate(rows)]
    path.write_text("\n".join(["name, " + ", ".join(f"a{i}" for i in range(12)), *lines]))
    return path


@pytest.fixture(scope="module")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "small.safetensors"
    encoder = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
    return save_encoder(encoder, path, classes=["tone 0", "tone 1"], data={"name": "x", "val_classes": ["tone 2"]})


def fit_arguments(sounds: Path, table: Path, encoder: Path, output: Path, *more: object) -> list[str]:
    arguments = ["fit", "--data", sounds, "--side", f"attributes:{table}", "--unseen", UNSEEN, "--encoder", encoder]
    arguments += ["--duration", 0.3, "--epochs", 8, "--bootstrap", 20, "--output", output, *more]
    return ["zeroshot", *map(str, arguments)]


@pytest.fixture(scope="module")
def fitted(sounds: Path, table: Path, small_encoder: Path, tmp_path_factory) -> Path:
    """The checkpoint of a training that nobody looks at."""
    output = tmp_path_factory.mktemp("runs")
    assert main(fit_arguments(sounds, table, small_encoder, output)) == 0
    (path,) = output.rglob("zeroshot.safetensors")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["zeroshot", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_fit_says_what_it_found_and_writes_it_down(sounds, table, small_encoder, tmp_path, capsys) -> None:
    assert main(fit_arguments(sounds, table, small_encoder, tmp_path, "--json", "--loss", "triplet")) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["unseen_classes"] == UNSEEN.split(",")
    assert sorted(result["seen_classes"]) == sorted(set(NAMES) - set(UNSEEN.split(",")))
    assert result["zero_shot"]["chance"] == 0.5
    assert result["loss"] == "triplet"
    assert result["is_synthetic"] is False
    path = Path(result["checkpoint"])
    card = read_zeroshot_card(path)
    assert card.seen == result["seen_classes"]
    assert card.unseen == result["unseen_classes"]
    assert card.side == f"attributes:{table}"
    assert card.calibration == result["calibration"]
    assert card.metrics["zero_shot"] == result["zero_shot"]
    assert (path.parent / "csv" / "metrics.csv").is_file()


def test_evaluate_repeats_the_test_on_the_same_clips(fitted: Path, sounds: Path, capsys) -> None:
    code, out, err = run(capsys, "evaluate", fitted, "--data", sounds, "--bootstrap", 20, "--json")
    assert code == 0
    result = json.loads(out)
    for name, measure in read_zeroshot_card(fitted).metrics.items():
        assert result[name] == pytest.approx(measure), name
    assert result["n_seen_clips"] == 14  # two of ten clips of seven classes
    assert result["data"] == sounds.name
    assert "not the very data" not in err


def test_evaluate_on_other_data(fitted: Path, sounds: Path, tmp_path: Path, capsys) -> None:
    for name in ("tone 1", "tone 3", "tone 4", "tone 6"):
        (tmp_path / "mixed" / name).mkdir(parents=True)
        for path in sorted((sounds / name).iterdir())[:3]:
            wave, rate = soundfile.read(path)
            soundfile.write(tmp_path / "mixed" / name / path.name, wave / 2, rate)
    code, out, err = run(capsys, "evaluate", fitted, "--data", tmp_path / "mixed", "--bootstrap", 20)
    assert code == 0
    assert "seen: 2 classes, 6 clips" in out
    assert "mixed is not the very data that this model was trained on" in err

    (tmp_path / "new").mkdir()
    for name in ("tone 3", "tone 6"):
        (tmp_path / "mixed" / name).rename(tmp_path / "new" / name)
    code, out, _ = run(capsys, "evaluate", fitted, "--data", tmp_path / "new", "--bootstrap", 20, "--json")
    result = json.loads(out)
    assert result["unseen_classes"] == ["tone 3", "tone 6"]
    assert result["accuracy"]["chance"] == 0.5
    assert result["n_clips"] == 6


def test_predict_ranks_names_that_nobody_trained(fitted: Path, sounds: Path, table: Path, capsys) -> None:
    files = [sounds / "tone 3" / "0.wav", sounds / "tone 8" / "1.wav"]
    code, out, _ = run(capsys, "predict", fitted, *files, "--classes", "tone 3, tone 11,tone 8", "--json")
    assert code == 0
    first, second = json.loads(out)["files"]
    assert first["file"] == str(files[0])
    for ranked in (first["classes"], second["classes"]):
        assert {entry["class"] for entry in ranked} == {"tone 3", "tone 11", "tone 8"}
        similarities = [entry["similarity"] for entry in ranked]
        assert similarities == sorted(similarities, reverse=True)
        assert max(map(abs, similarities)) <= 1.0001
    code, out, _ = run(capsys, "predict", fitted, files[0], "--top", 2)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"{files[0]}:"
    assert len(lines) == 4
    assert "cosine similarity; class vectors from attributes" in lines[-1]
    code, out, _ = run(capsys, "predict", fitted, files[0], "--classes", "all", "--json")
    assert len(json.loads(out)["files"][0]["classes"]) == 12


def test_predictions_are_those_of_the_data_modules_embedding(fitted: Path, sounds: Path, table: Path, capsys) -> None:
    model = load_zeroshot(fitted)
    waves = AudioFolder(sounds, duration=None)
    store = FeatureStore.build(waves.subset(indices=[0]), model.encoder.front_end, progress=False)
    with torch.no_grad():
        a = model.embed_audio(embed_dataset(model.encoder, store, 0.3))
        expected = model.similarity(a, model.embed_classes(torch.from_numpy(Attributes(table)(NAMES))))[0]
    _, out, _ = run(capsys, "predict", fitted, sounds / "tone 0" / "0.wav", "--classes", ",".join(NAMES), "--json")
    found = {entry["class"]: entry["similarity"] for entry in json.loads(out)["files"][0]["classes"]}
    assert [found[name] for name in NAMES] == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_model_that_was_saved_without_its_data_works_too(
    fitted: Path, sounds: Path, table: Path, tmp_path: Path, capsys
) -> None:
    path, card = tmp_path / "bare.safetensors", read_zeroshot_card(fitted)
    side = f"attributes:{table}"
    save_zeroshot(load_zeroshot(fitted), path, side=Attributes(table), seen=card.seen, side_text=side)
    recording = str(sounds / "tone 3" / "0.wav")
    assert main(["zeroshot", "predict", str(path), recording, "--classes", "tone 3,tone 9"]) == 0
    assert "tone 9" in capsys.readouterr().out
    assert main(["zeroshot", "evaluate", str(path), "--data", str(sounds), "--bootstrap", "20"]) == 0
    assert "is not the very data" in capsys.readouterr().err


def test_the_file_is_an_encoders_checkpoint_too(fitted: Path, small_encoder: Path, capsys) -> None:
    before, after = load_encoder(small_encoder).state_dict(), load_encoder(fitted).state_dict()
    assert all((before[name] == value).all() for name, value in after.items())
    assert "tone 0" in read_card(fitted).classes


def test_a_new_encoder_is_trained_first_and_can_be_trained_on(sounds, table, tmp_path: Path, capsys) -> None:
    arguments = ["fit", "--data", sounds, "--side", f"attributes:{table}", "--n-unseen", 2, "--pretrain-steps", 1]
    arguments += ["--epochs", 1, "--duration", 0.3, "--bootstrap", 5, "--no-freeze", "--output", tmp_path, "--json"]
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    encoder = load_zeroshot(json.loads(out)["checkpoint"]).encoder
    fresh = ConvEncoder()
    assert (encoder.whitening.matrix != fresh.whitening.matrix).any()
    assert (encoder.state_dict()["backbone.blocks.0.weight"] != fresh.state_dict()["backbone.blocks.0.weight"]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fitt"], "there is no command 'zeroshot fitt'"),
        (["fit", "--data", "synthetic"], "required: --output"),
        (["fit", "--data", "{sounds}", "--side", "atributes", "--output", "o"], "Did you mean 'attributes'?"),
        (["fit", "--data", "{sounds}", "--split", "tinysol-words", "--output", "o"], "has no class 'French Horn'"),
        (["fit", "--data", "{sounds}", "--split", "tiny", "--output", "o"], "there is no split 'tiny'"),
        (["fit", "--data", "{sounds}", "--split", "a", "--n-unseen", "2", "--output", "o"], "not allowed with"),
        (["fit", "--data", "{sounds}", "--unseen", "tone 3,tone 30", "--output", "o"], "no class 'tone 30'"),
        (["fit", "--data", "{sounds}", "--output", "o"], "no attributes are known of 'tone 0'"),
        (["fit", "--data", "{sounds}", "--side", "attributes:{table}", "--unseen", "tone 1,tone 3", "--output", "o",
          "--encoder", "{encoder}"], "was trained with recordings of 'tone 1', so 'tone 1' is not unseen"),
        (["fit", "--data", "{sounds}", "--side", "attributes:{table}", "--unseen", "tone 2,tone 3", "--output", "o",
          "--encoder", "{encoder}"], "was trained with recordings of 'tone 2'"),
        (["fit", "--data", "{sounds}", "--side", "attributes:{table}", "--val-classes", "8", "--output", "o"],
         "val_classes is 8 of 7 seen classes"),
        (["evaluate", "no.safetensors", "--data", "{sounds}"], "the checkpoint no.safetensors does not exist"),
        (["evaluate", "{encoder}", "--data", "{sounds}"], "is no zero-shot model; give one that 'musicfsl"),
        (["predict", "{fitted}", "no.wav"], "no.wav"),
        (["predict", "{fitted}", "{table}", "--classes", "tone 1"], "partials.csv"),
        (["predict", "{fitted}", "{wav}", "--classes", "tone 1,lute"], "no attributes are known of 'lute'"),
        (["predict", "{fitted}", "{wav}", "--classes", "tone 1,tone 1"], "class 'tone 1' is given twice"),
        (["predict", "{fitted}", "{wav}", "{wav}", "--classes", "tone 1"], "is given twice; name every recording once"),
        (["predict", "{fitted}", "{wav}", "--classes", " , "], "there are no class names"),
        (["predict", "{fitted}", "{wav}", "--top", "0"], "--top is 0"),
        (["predict", "{fitted}", "{wav}", "--side", "attributes"], "no attributes are known of 'tone 0'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_code_2(
    fitted, sounds, table, small_encoder, tmp_path, monkeypatch, capsys, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"fitted": fitted, "sounds": sounds, "table": table, "encoder": small_encoder,
              "wav": sounds / "tone 0" / "0.wav"}  # fmt: skip
    code, out, err = run(capsys, *[argument.format(**places) for argument in arguments])
    assert code == 2
    (line,) = [line for line in err.splitlines() if line.startswith("musicfsl: ")]
    assert message in line
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("arguments", [[], ["fit"], ["evaluate"], ["predict"]])
def test_every_command_has_help_with_an_example(capsys, arguments: list[str]) -> None:
    code, out, _ = run(capsys, *arguments, "--help")
    assert code == 0
    assert "example: musicfsl zeroshot " in out
