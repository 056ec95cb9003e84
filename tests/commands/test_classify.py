from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl.cli import main

PARTIALS = {"flute": 1, "harp": 3, "oboe": 9}


def note(name: str, seed: int, seconds: float = 0.8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16000)) / 16000
    partials = np.arange(1, PARTIALS[name] + 1)[:, None]
    return 0.3 * np.sin(2 * np.pi * rng.uniform(180, 260) * partials * t).mean(axis=0) + 1e-3 * rng.normal(size=len(t))


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    root = tmp_path / "my sounds"
    for name in PARTIALS:
        (root / name).mkdir(parents=True)
        for i in range(4):
            soundfile.write(root / name / f"{i}.wav", note(name, i), 16000)
    return root


@pytest.fixture
def query(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "what is this.flac", note("oboe", 50, 2.0), 16000)
    return tmp_path / "what is this.flac"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["classify", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_says_what_it_is(capsys, sounds: Path, query: Path) -> None:
    code, out, err = run(capsys, query, "--support", sounds, "--encoder", "mfcc", "--explain", 2, "--top", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{query}: oboe"
    assert lines[1].split() == ["0." + lines[1].split()[0][2:], "oboe"]
    assert len(lines) == 1 + 2 + 2
    assert "like oboe/" in lines[3]


def test_json_of_several_and_of_folders(capsys, sounds: Path, query: Path) -> None:
    code, out, _ = run(capsys, query, sounds / "harp", "--support", sounds, "--encoder", "mfcc", "--json")
    assert code == 0
    result = json.loads(out)
    assert len(result["recordings"]) == 5
    assert [each["label"] for each in result["recordings"]] == ["oboe", *["harp"] * 4]
    assert sum(result["recordings"][0]["probabilities"].values()) == pytest.approx(1)
    assert result["recordings"][1]["nearest"][0]["sound"] == "harp/0.wav"
    assert result["classes"] == {"flute": 4, "harp": 4, "oboe": 4}
    assert result["method"] == "ridge"


def test_what_fits_no_class_is_unknown(capsys, sounds: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16000), 16000)
    arguments = [tmp_path / "noise.wav", "--support", sounds, "--encoder", "mfcc"]
    assert run(capsys, *arguments)[1].startswith(f"{tmp_path / 'noise.wav'}: unknown")
    assert "unknown" not in run(capsys, *arguments, "--unknown", "never")[1]
    code, _, err = run(capsys, *arguments, "--unknown", "sometimes")
    assert code == 2 and "--unknown is 'sometimes'; expected a distance from 0 to 2, or 'never'" in err


def test_groups_are_left_out_together(capsys, sounds: Path, query: Path) -> None:
    thresholds = []
    for pattern in (r"/(\d)", r"/\d*(.)"):  # each recording its own; all of a class together
        _, out, _ = run(capsys, query, "--support", sounds, "--encoder", "mfcc", "--group-pattern", pattern, "--json")
        thresholds.append(json.loads(out)["unknown_threshold"])
    _, out, _ = run(capsys, query, "--support", sounds, "--encoder", "mfcc", "--json")
    assert thresholds[0] == pytest.approx(json.loads(out)["unknown_threshold"])
    assert thresholds[1] > 2 * thresholds[0]  # nothing is left to compare with in a class: the distance of classes


def test_a_classifier_is_kept_and_used_again(capsys, sounds: Path, query: Path, tmp_path: Path) -> None:
    kept = tmp_path / "mine.safetensors"
    code, out, _ = run(capsys, "--support", sounds, "--encoder", "mfcc", "--method", "lda", "--save", kept)
    assert (code, out) == (0, f"written: {kept}\n")
    first = run(capsys, query, "--support", sounds, "--encoder", "mfcc", "--method", "lda")
    assert run(capsys, query, "--classifier", kept) == first
    code, _, err = run(capsys, query, "--classifier", kept, "--method", "ridge")
    assert code == 2 and "--method is given, but" in err
    before = kept.read_bytes()
    again = ["--support", sounds, "--encoder", "mfcc", "--save", kept]
    code, _, err = run(capsys, *again)
    assert code == 2 and "mine.safetensors exists already" in err and kept.read_bytes() == before
    assert run(capsys, *again, "--overwrite")[0] == 0 and kept.read_bytes() != before


def test_bad_examples_are_named_in_one_line_or_refused(capsys, sounds: Path, query: Path) -> None:
    (sounds / "harp" / "broken.wav").write_bytes(b"RIFF1234WAVEnonsense")
    code, out, err = run(capsys, query, "--support", sounds, "--encoder", "mfcc")
    assert code == 0 and out
    assert err.startswith("musicfsl: left out of the examples: ") and "harp/broken.wav" in err
    assert err.count("\n") == 1
    code, out, err = run(capsys, query, "--support", sounds, "--encoder", "mfcc", "--strict")
    assert (code, out) == (2, "")
    assert err.startswith("musicfsl: ") and "broken.wav cannot be read as audio" in err


def test_a_recording_that_cannot_be_heard_does_not_stop_the_others(capsys, sounds: Path, query: Path) -> None:
    arguments = ["no such.wav", query, "--support", sounds, "--encoder", "mfcc"]
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out.startswith(f"{query}: oboe")
    assert err == "musicfsl: no such.wav does not exist or is not a file; check the path\n"
    assert run(capsys, *arguments, "--strict")[:2] == (2, "")
    result = json.loads(run(capsys, *arguments, "--json")[1])
    assert [each["recording"] for each in result["failed"]] == ["no such.wav"]


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname == "Darwin", reason="names are Unicode there")
def test_names_in_another_encoding_can_be_printed(capsys, sounds: Path) -> None:
    os.rename(os.fsencode(sounds / "harp" / "0.wav"), os.fsencode(sounds) + b"/harp/\xe9.wav")
    code, out, _ = run(capsys, sounds / "harp", "--support", sounds, "--encoder", "mfcc", "--json")
    assert code == 0
    out.encode()
    assert any(each["recording"].endswith("harp/�.wav") for each in json.loads(out)["recordings"])


def test_a_transductive_method_hears_all_together(capsys, sounds: Path) -> None:
    code, out, _ = run(
        capsys, sounds / "flute", sounds / "oboe", sounds / "harp",
        "--support", sounds, "--encoder", "mfcc", "--method", "bd-cspn", "--json",
    )  # fmt: skip
    assert code == 0
    labels = [each["label"] for each in json.loads(out)["recordings"]]
    assert labels == ["flute"] * 4 + ["oboe"] * 4 + ["harp"] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.wav"], "give either --support, a folder of examples, or --classifier"),
        (["x.wav", "--support", "a", "--classifier", "b"], "give either --support"),
        (["--support", "a"], "no recording is given"),
        (["x.wav", "--support", "a", "--top", "0"], "--top is 0"),
        (["x.wav", "--classifier", "b", "--group-pattern", "a"], "--group-pattern is given, but b has its own"),
        (["x.wav", "--support", "no such folder", "--encoder", "mfcc"], "no such folder is not a folder"),
        (["x.wav", "--support", "a", "--method", "prototypcal", "--encoder", "mfcc"], "Did you mean 'prototypical'"),
    ],
)
def test_mistakes_are_told_in_one_line(capsys, arguments: list[str], message: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1
