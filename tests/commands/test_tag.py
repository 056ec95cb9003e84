from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import save_encoder
from musicfsl.cli import main
from musicfsl.datasets import LabelledExcerpts
from musicfsl.multilabel import report_tags
from musicfsl.tagging import Tagger, load_tagger, save_tagger, tag_dataset, tag_recording

CLASSES = ["Cello", "Flute", "Voice"]
LABELS = [["Cello"], ["Flute", "Cello"], ["Voice"], ["Flute"], ["Cello", "Voice"], ["Flute", "Voice"]]


def noise(seconds: float, rate: int, seed: int, channels: int = 1) -> np.ndarray:
    """Noise of a colour that depends on the seed, so that recordings differ."""
    rng = np.random.default_rng(seed)
    colored = np.convolve(rng.normal(size=round(seconds * rate)), np.ones(1 + 3 * seed), mode="same")
    return np.repeat(0.3 * colored[:, None] / np.abs(colored).max(), channels, axis=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tagger = Tagger(ConvEncoder(), CLASSES, duration=1.0)
    path = tmp_path_factory.mktemp("tagger") / "small.safetensors"
    return save_tagger(tagger, path, thresholds=[0.3, 0.4, 0.5])


@pytest.fixture(scope="module")
def excerpts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six excerpts of three songs, from half a window to three windows long, in other rates than the tagger's."""
    folder = tmp_path_factory.mktemp("excerpts")
    for i, labels in enumerate(LABELS):
        name, rate = f"song {i // 2}-{i % 2 + 1}", (44100, 22050)[i % 2]
        soundfile.write(folder / f"{name}.wav", noise(0.5 + 0.5 * i, rate, i, 1 + i % 2), rate)
        (folder / f"{name}.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of every kind: 8 kHz mono, 44.1 kHz stereo 24 bits, 22.05 kHz floats, 96 kHz FLAC; half a second to five."""
    folder = tmp_path_factory.mktemp("recordings")
    kinds = [(8000, 1, "PCM_16", "wav", 2.3), (44100, 2, "PCM_24", "wav", 5.0)]
    kinds += [(22050, 1, "FLOAT", "wav", 0.5), (96000, 2, "PCM_24", "flac", 1.0)]
    paths = []
    for i, (rate, channels, subtype, ending, seconds) in enumerate(kinds):
        paths.append(folder / f"{i} {subtype}.{ending}")
        soundfile.write(paths[-1], noise(seconds, rate, i, channels), rate, subtype=subtype)
    return paths


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["tag", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestEvaluate:
    def test_the_numbers_are_those_of_the_library(self, checkpoint: Path, excerpts: Path, capsys) -> None:
        arguments = ("evaluate", checkpoint, excerpts, "--threshold", 0.5, "--decision", "max", "--hop", 0.25)
        code, out, err = run(capsys, *arguments, "--bootstrap", 60, "--seed", 3, "--json")
        assert (code, err) == (0, "")
        dataset = LabelledExcerpts(excerpts, vocabulary=CLASSES, sample_rate=16000)
        probabilities = tag_dataset(load_tagger(checkpoint), dataset, decision="max", hop=0.25)
        report = report_tags(probabilities, dataset.targets, CLASSES, 0.5, n_resamples=60, seed=3, is_synthetic=False)
        result = json.loads(out)
        assert {name: result[name] for name in report.to_dict()} == json.loads(json.dumps(report.to_dict()))
        assert (result["decision"], result["data"], result["files"]) == ("max", excerpts.name, [])

    def test_text_names_every_class_and_the_trap(self, checkpoint: Path, excerpts: Path, capsys) -> None:
        code, out, _ = run(capsys, "evaluate", checkpoint, excerpts, "--bootstrap", 20)
        assert code == 0
        assert all(name in out for name in [*CLASSES, "threshold 0.6", "sample accuracy of never answering any label"])

    def test_tuned_thresholds_and_whole_songs(self, checkpoint: Path, excerpts: Path, capsys) -> None:
        arguments = ("evaluate", checkpoint, excerpts, "--bootstrap", 20, "--json", "--by-song", "--threshold", "tuned")
        result = json.loads(run(capsys, *arguments)[1])
        assert [row["threshold"] for row in result["classes"]] == pytest.approx([0.3, 0.4, 0.5])
        assert result["grouped"] is True

    def test_a_table_and_a_figure(self, checkpoint: Path, excerpts: Path, tmp_path: Path, capsys) -> None:
        table, figure = tmp_path / "new" / "classes.csv", tmp_path / "report.html"
        files = ("--csv", table, "--figure", figure)
        code, out, _ = run(capsys, "evaluate", checkpoint, excerpts, "--bootstrap", 20, *files)
        assert code == 0 and f"written: {table}" in out and f"written: {figure}" in out
        rows = read_csv(table)
        assert [(row["class"], row["support"]) for row in rows] == [("Cello", "3"), ("Flute", "3"), ("Voice", "3")]
        assert float(rows[0]["f1_low"]) <= float(rows[0]["f1"]) <= float(rows[0]["f1_high"])
        assert float(rows[0]["average_precision_chance"]) == 0.5
        page = figure.read_text(encoding="utf-8")
        assert "average precision" in page and "plotly" in page
        code, _, err = run(capsys, "evaluate", checkpoint, excerpts, *files)
        assert code == 2 and "exists already" in err
        assert run(capsys, "evaluate", checkpoint, excerpts, "--bootstrap", 20, *files, "--overwrite")[0] == 0

    def test_codes_of_a_published_vocabulary_are_understood(self, excerpts: Path, tmp_path: Path, capsys) -> None:
        from musicfsl.vocabularies import open_vocabulary

        names = open_vocabulary("irmas").names
        save_tagger(Tagger(ConvEncoder(), names, duration=1.0), tmp_path / "irmas.safetensors")
        folder = tmp_path / "Part1"
        folder.mkdir()
        for i, codes in enumerate((["cel", "pia"], ["voi"], ["gac"])):
            soundfile.write(folder / f"{i}.wav", noise(1, 22050, i), 22050)
            (folder / f"{i}.txt").write_text("\t\n".join(codes) + "\t\n", encoding="utf-8")
        code, out, _ = run(capsys, "evaluate", tmp_path / "irmas.safetensors", folder, "--bootstrap", 20)
        assert code == 0
        assert "No excerpt has Clarinet" in out  # absent classes are named

    def test_what_only_one_side_knows_is_left_out_and_named(self, excerpts: Path, tmp_path: Path, capsys) -> None:
        save_tagger(Tagger(ConvEncoder(), ["Oboe", "Flute", "Cello"], duration=1.0), tmp_path / "other.safetensors")
        (tmp_path / "labels.yaml").write_text("cel: Cello\nflu: Flute\nvoi: Voice\n", encoding="utf-8")
        arguments = ("evaluate", tmp_path / "other.safetensors", excerpts, "--vocabulary", tmp_path / "labels.yaml")
        code, out, err = run(capsys, *arguments, "--bootstrap", 20, "--json")
        assert code == 0
        assert [row["name"] for row in json.loads(out)["classes"]] == ["Flute", "Cello"]
        assert [row["support"] for row in json.loads(out)["classes"]] == [3, 3]
        assert "the checkpoint does not know them: Voice" in err and "no labels for them: Oboe" in err

    def test_excerpts_in_which_nothing_sounds(self, checkpoint: Path, excerpts: Path, tmp_path: Path, capsys) -> None:
        for path in excerpts.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / "song 0-1.txt").write_text("", encoding="utf-8")
        code, _, err = run(capsys, "evaluate", checkpoint, tmp_path)
        assert code == 2 and "song 0-1.txt is empty" in err
        code, out, _ = run(capsys, "evaluate", checkpoint, tmp_path, "--empty-labels", "negative", "--bootstrap", 20)
        assert code == 0 and "1 excerpt has no label; LRAP leaves it out" in out

    def test_a_named_data_set_is_opened_whole_and_at_the_rate_of_the_tagger(
        self, checkpoint: Path, excerpts: Path, capsys, monkeypatch
    ) -> None:
        asked = {}

        def opened(name: str, **settings: object) -> LabelledExcerpts:
            asked.update(settings, name=name)
            return LabelledExcerpts(excerpts, vocabulary=CLASSES, sample_rate=16000)

        monkeypatch.setattr("musicfsl.datasets.open_dataset", opened)
        assert run(capsys, "evaluate", checkpoint, "irmas", "--subset", "validation", "--bootstrap", 5)[0] == 0
        assert asked == {"name": "irmas", "subset": "validation", "sample_rate": 16000, "duration": None}


class TestPredict:
    def test_probabilities_are_those_of_the_library(self, checkpoint: Path, recordings: list[Path], capsys) -> None:
        arguments = ("predict", *recordings, "--checkpoint", checkpoint, "--threshold", 0.5, "--decision", "both")
        code, out, err = run(capsys, *arguments, "--hop", 0.3, "--json")
        assert (code, err) == (0, "")
        result, tagger = json.loads(out), load_tagger(checkpoint)
        assert [found["file"] for found in result["recordings"]] == [str(path) for path in recordings]
        assert [found["duration"] for found in result["recordings"]] == pytest.approx([2.3, 5.0, 0.5, 1.0])
        for path, found in zip(recordings, result["recordings"], strict=True):
            expected = tag_recording(tagger, path, decision="both", hop=0.3)
            assert [found["probabilities"][name] for name in CLASSES] == pytest.approx(expected.tolist(), abs=1e-4)
            answers = [name for name, p in found["probabilities"].items() if p >= 0.5]
            assert set(found["answered"]) == set(answers)
        assert result["thresholds"] == dict.fromkeys(CLASSES, 0.5)

    def test_text_is_a_line_a_recording(self, checkpoint: Path, recordings: list[Path], capsys) -> None:
        every, none = (
            run(capsys, "predict", *recordings, "--checkpoint", checkpoint, "--threshold", t)[1] for t in (0, 1)
        )
        assert all(
            re.match(rf"{re.escape(str(p))}: \w+ \d", line)
            for p, line in zip(recordings, every.splitlines(), strict=True)
        )
        assert len(none.splitlines()) == 4 and none.count("nothing reaches its threshold; most probable") == 4

    def test_csv_of_recordings_and_of_their_windows(
        self, checkpoint: Path, recordings: list[Path], tmp_path: Path, capsys
    ) -> None:
        arguments = ("predict", *recordings[:3], "--checkpoint", checkpoint, "--threshold", "tuned", "--csv")
        assert run(capsys, *arguments, tmp_path / "tags.csv")[0] == 0
        assert run(capsys, *arguments, tmp_path / "windows.csv", "--windows")[0] == 0
        rows, all_rows = read_csv(tmp_path / "tags.csv"), read_csv(tmp_path / "windows.csv")
        assert list(rows[0]) == ["file", "level", "start", "end", "answered", *CLASSES]
        assert [row["file"] for row in rows] == [str(path) for path in recordings[:3]]
        assert rows == [row for row in all_rows if row["level"] == "recording"]
        of_second = [row for row in all_rows if row["file"] == str(recordings[1]) and row["level"] == "window"]
        assert (of_second[0]["start"], of_second[-1]["end"]) == ("0.000", "5.000")
        assert [row["end"] for row in of_second[:-1]] == [row["start"] for row in of_second[1:]]  # they tile it
        means = [np.mean([float(row[name]) for row in of_second]) for name in CLASSES]
        assert [float(rows[1][name]) for name in CLASSES] == pytest.approx(means, abs=1e-4)
        limits = dict(zip(CLASSES, (0.3, 0.4, 0.5), strict=True))
        for row in rows:
            answered = [name for name in CLASSES if float(row[name]) >= limits[name]]
            assert sorted(filter(None, row["answered"].split("; "))) == answered

    def test_figures_of_one_and_of_several(
        self, checkpoint: Path, recordings: list[Path], tmp_path: Path, capsys
    ) -> None:
        for n in (1, 2, 4):
            path = tmp_path / f"{n}.html"
            assert run(capsys, "predict", *recordings[-n:], "--checkpoint", checkpoint, "--figure", path)[0] == 0
            assert path.read_text(encoding="utf-8").count(recordings[-1].name) >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evalute"], "there is no command 'tag evalute'. Did you mean 'evaluate'?"),
        (["predict", "a.wav"], "--checkpoint is missing; name a .ckpt of 'musicfsl tag fit'"),
        (["predict", "--checkpoint", "{checkpoint}"], "required: FILE"),
        (["predict", "no.wav", "--checkpoint", "{checkpoint}"], "no.wav"),
        (["predict", "{wav}", "--checkpoint", "no.ckpt"], "no.ckpt does not exist"),
        (["predict", "{wav}", "--checkpoint", "{encoder}"], "holds an encoder without a tagger"),
        (["predict", "{wav}", "--checkpoint", "{checkpoint}", "--threshold", "high"], "--threshold is 'high'"),
        (["predict", "{wav}", "--checkpoint", "{checkpoint}", "--threshold", "1.2"], "--threshold is '1.2'"),
        (["predict", "{wav}", "--checkpoint", "{untuned}", "--threshold", "tuned"], "has no tuned thresholds"),
        (["predict", "{wav}", "--checkpoint", "{checkpoint}", "--decision", "men"], "Did you mean 'mean'?"),
        (["predict", "{wav}", "--checkpoint", "{checkpoint}", "--hop", "2"], "hop is 2.0"),
        (["predict", "{wav}", "--checkpoint", "{checkpoint}", "--figure", "a.gif"], "--figure is a.gif"),
        (["predict", "{wav}", "--checkpoint", "{checkpoint}", "--csv", "{checkpoint}/a.csv"], "cannot be written"),
        (["predict", "{cut}", "--checkpoint", "{checkpoint}"], "cut.wav"),
        (["evaluate", "{checkpoint}"], "required: FOLDER|NAME"),
        (["evaluate", "{checkpoint}", "no/folder"], "'no/folder' is no folder; expected irmas or"),
        (
            ["evaluate", "{checkpoint}", "synthetic"],
            "synthetic has one class an item; expected irmas or synthetic_mixtures",
        ),
        (["evaluate", "{checkpoint}", "{folder}", "--threshold", "nan"], "--threshold is 'nan'"),
        (["evaluate", "{checkpoint}", "{folder}", "--bootstrap", "0"], "n_resamples is 0"),
        (["evaluate", "{checkpoint}", "{folder}", "--vocabulary", "openmik"], "openmik"),
        (["evaluate", "{encoder}", "{folder}"], "holds an encoder without a tagger"),
    ],
)
def test_mistakes_are_told_in_one_line(
    capsys, checkpoint: Path, excerpts: Path, tmp_path: Path, monkeypatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"checkpoint": checkpoint, "folder": excerpts, "wav": next(excerpts.glob("*.wav"))}
    named["encoder"] = save_encoder(ConvEncoder(), tmp_path / "encoder.safetensors")
    named["untuned"] = save_tagger(Tagger(ConvEncoder(), CLASSES), tmp_path / "untuned.safetensors")
    named["cut"] = tmp_path / "cut.wav"
    named["cut"].write_bytes(max(excerpts.glob("*.wav"), key=lambda p: p.stat().st_size).read_bytes()[:30000])
    code, out, err = run(capsys, *[argument.format(**named) for argument in arguments])
    own = [line for line in err.splitlines() if line.startswith("musicfsl: ")]
    assert (code, out, len(own)) == (2, "", 1)
    assert message in own[0]
    assert "Traceback" not in err


def test_help_of_all_of_it(capsys) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(name in out for name in ("fit", "evaluate", "predict", "example: musicfsl tag "))
    assert run(capsys)[0] == 2
    for command in ("evaluate", "predict"):
        code, out, _ = run(capsys, command, "--help")
        assert code == 0 and "example: musicfsl tag " in out


def test_without_plotly_only_figures_are_missing(checkpoint: Path, excerpts: Path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    path = next(excerpts.glob("*.wav"))
    assert run(capsys, "predict", path, "--checkpoint", checkpoint)[0] == 0
    code, _, err = run(capsys, "predict", path, "--checkpoint", checkpoint, "--figure", "a.html")
    assert code == 2 and "pip install 'musicfsl[plots]'" in err
