"""The measurements run, on small sizes; whether the targets are met is for `make bench` to say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmarks import __main__ as bench
from benchmarks import annotate, classify, decoding, episodes, imports, real, spectrogram, synthetic, training
from benchmarks.names import same_instrument, without_instruments
from benchmarks.rows import Row, as_table, in_new_process
from musicfsl import EpisodeDataset, SyntheticInstruments
from musicfsl.datasets.synthetic import IRMAS_CODES
from musicfsl.errors import InputError

_SMALL = ["Cello", "Flute", "Harp", "Organ", "Piano"]


@pytest.fixture(autouse=True)
def untouched_global_random_state(restored_global_random_state: None) -> None:
    """Lightning seeds and draws as it pleases: the state is put back, instead of checked as elsewhere."""


@pytest.fixture(scope="module")
def small_set(own_cache: Path) -> SyntheticInstruments:
    return SyntheticInstruments(classes=_SMALL, n_players=2, notes_per_player=5, duration=None, progress=False)


def test_the_table_says_what_was_met_and_what_was_not() -> None:
    rows = [Row("speed", "2 s", "peer: 1 s", 2.0, "at most 1", False), Row("memory", "3 MB", target="4 MB", met=True)]
    lines = as_table([*rows, Row("for information", "5 ms")]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split("|")[4:7] == [" 2.00  ", " at most 1 ", " NO  "]
    assert lines[3].rstrip(" |").endswith("yes")
    assert lines[4].rstrip(" |").endswith("5 ms")


def test_a_missed_target_is_an_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(spectrogram, "measure", lambda: [Row("a", "1", met=False)])
    assert bench.main(["spectrogram", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["met"] is False
    monkeypatch.setattr(spectrogram, "measure", lambda: [Row("a", "1", met=None)])
    assert bench.main(["spectrogram"]) == 0
    with pytest.raises(SystemExit, match="2"):
        bench.main(["spectogram"])


def test_a_failing_process_is_named() -> None:
    with pytest.raises(RuntimeError, match="benchmarks.rows:best_of failed: TypeError"):
        in_new_process("benchmarks.rows:best_of")


def test_one_recording_is_classified_by_the_peer(tmp_path: Path) -> None:
    classify.write_sounds(tmp_path, seconds=1.0)
    assert in_new_process("benchmarks.classify:class_with_librosa", str(tmp_path)) == "class 0"
    assert in_new_process("benchmarks.classify:warm_with_librosa", str(tmp_path)) > 0


@pytest.mark.slow
def test_classifying_from_a_cold_start() -> None:
    cold, warm = classify.measure(repeats=1, seconds=1.0)
    assert cold.met is not None and warm.met is not None
    assert cold.ours.endswith(" s") and warm.ours.endswith(" ms")


@pytest.mark.slow
def test_imports() -> None:
    rows = imports.measure(repeats=1)
    assert [row.ratio is not None for row in rows] == [True, True, False]
    assert rows[2].met


def test_episodes_go_on_where_easyfsl_cannot_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.easyfsl_peer.environment", _no_network)
    monkeypatch.setattr(episodes, "in_new_process", lambda _, n: 100.0 + n / 1e6)
    rows = episodes.measure(n_episodes=200, n_peer=10, repeats=1)
    assert "could not be measured (no network)" in rows[1].peer
    assert rows[1].met is None
    assert rows[2].met
    assert episodes.peak_megabytes(20) > 50


def _no_network() -> Path:
    raise RuntimeError("no network")


def test_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(training, "SyntheticInstruments", _tiny_instruments)
    monkeypatch.setattr(training, "in_new_process", lambda _, folder, size: training.read_store(folder, size))
    waiting, reading, memory = training.measure(n_steps=2, megabytes=(1, 8))
    assert waiting.ratio is not None
    assert 0 < waiting.ratio < 1
    assert reading.ours.endswith("ms")
    assert memory.met is not None


def _tiny_instruments(**arguments: object) -> SyntheticInstruments:
    return SyntheticInstruments(
        **{**arguments, "classes": ["Cello", "Flute", "Harp", "Organ", "Piano"], "notes_per_player": 10}  # type: ignore[arg-type]
    )


@pytest.mark.slow
def test_decoding() -> None:
    (row,) = decoding.measure(n_files=8, repeats=1)
    assert row.ratio is not None


def test_annotate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate, "in_new_process", lambda _, path, n_threads: annotate.annotate_once(path, n_threads))
    threads = torch.get_num_threads()
    try:
        short, longer, memory = annotate.measure(minutes=(0.1, 0.2), n_threads=1)
    finally:
        torch.set_num_threads(threads)
    assert short.what == "annotating 0.1 min with 1 threads"
    assert longer.ratio is not None
    assert longer.ratio > 1
    assert memory.ours.endswith("MB")


def test_synthetic_and_spectrogram() -> None:
    made, opened = synthetic.measure(n_classes=2, n_players=1)
    assert made.what == "making 20 notes"
    assert opened.met
    pytest.importorskip("torchaudio")
    assert spectrogram.measure(n_clips=2, repeats=1)[0].ratio is not None


@pytest.mark.parametrize(
    ("name", "embedded"),
    [
        ("flute", "Flute"),
        ("double bass", "Contrabass"),
        ("Double_Bass", "Contrabass"),
        ("cor-anglais", "Cor Anglais"),
        ("English horn", "Cor Anglais"),
        ("guitar", "Acoustic Guitar"),
        ("guitar", "Electric Guitar"),
        ("trumpet", "Trumpet in C"),
        *IRMAS_CODES.items(),
    ],
)
def test_equal_instruments(name: str, embedded: str) -> None:
    assert same_instrument(name, embedded)


def test_every_name_of_the_table_means_a_class_of_the_embedded_set() -> None:
    from benchmarks.names import _OTHER_NAMES
    from musicfsl.datasets._instruments import INSTRUMENTS

    known = {name.lower() for name in INSTRUMENTS}
    assert {meant for meanings in _OTHER_NAMES.values() for meant in meanings} <= known
    assert not known & _OTHER_NAMES.keys()


def test_other_instruments_stay() -> None:
    embedded = ["Bass Clarinet", "Clarinet in Bb", "Flute", "Pan Flute"]
    assert without_instruments(embedded, ["flute", "clarinet"]) == (
        ["Bass Clarinet", "Pan Flute"],
        ["Clarinet in Bb", "Flute"],
    )


def test_halves_are_cut_by_name() -> None:
    assert real.halves_of(["e", "a", "d", "b", "c"]) == (["a", "b", "c"], ["d", "e"])
    with pytest.raises(InputError, match="there are 3 classes"):
        real.halves_of(["a", "b", "c"])


def test_real_trains_on_nothing_that_it_tests(
    small_set: SyntheticInstruments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All lines on a folder of sounds, whose "cello" and "flute" the embedded set has as well."""
    _write_folder(small_set, tmp_path / "sounds", {"cello": "Cello", "flute": "Flute", "x": "Harp", "y": "Organ"})
    trained_on: list[list[str]] = []
    whitened_on: list[list[str]] = []

    def spy(dataset, *args, **kwargs):
        trained_on.append(list(dataset.classes))
        return EpisodeDataset(dataset, 3, 1, 1, **kwargs)

    def spy_whitening(encoder, dataset, *args):
        whitened_on.append(list(dataset.classes))

    monkeypatch.setattr(real, "EpisodeDataset", spy)
    monkeypatch.setattr(real, "fit_whitening", spy_whitening)
    waves = real.AudioFolder(tmp_path / "sounds", duration=None)
    results = real.Experiment(waves, small_set, 2, n_support=2, n_query=3, n_episodes=20, progress=False).run()

    assert [half.tested for half in results.halves] == [["cello", "flute"], ["x", "y"]]
    assert [half.left_out for half in results.halves] == [["Cello", "Flute"], []]
    # The embedded set alone, the other half alone, both; and the same with the halves exchanged.
    one, other = ["Harp", "Organ", "Piano"], _SMALL
    assert trained_on == [one, ["x", "y"], one, ["x", "y"], other, ["cello", "flute"], other, ["cello", "flute"]]
    assert whitened_on == [one, ["x", "y"], ["x", "y"], other, ["cello", "flute"], ["cello", "flute"]]
    numbers = json.loads(json.dumps(results.to_dict()))
    assert len(numbers["halves"][0]["lines"]) == 5
    mean = numbers["mean"]["trained on both"]["mean"]
    assert mean == pytest.approx(np.mean([half["lines"][4]["mean"] for half in numbers["halves"]]))
    text = str(results)
    assert "tested on cello, flute (recordings; 2-way, chance 0.500)" in text
    assert "left out of the embedded set: Cello, Flute" in text


def test_real_answers_a_mistake_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert real.main([str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "nowhere is not a folder" in error


def _write_folder(dataset: SyntheticInstruments, folder: Path, names: dict[str, str]) -> None:
    for name, instrument in names.items():
        (folder / name).mkdir(parents=True)
        for i in dataset.class_to_indices[instrument]:
            soundfile.write(folder / name / f"{i}.wav", dataset.read(int(i))[0].numpy(), dataset.sample_rate)
