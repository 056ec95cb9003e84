"""The zero-shot measurement runs, on small sizes; what it finds is for the measurement itself to say."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from benchmarks import zeroshot
from musicfsl import SyntheticInstruments
from musicfsl.zeroshot import Attributes

CLASSES = ["Cello", "Flute", "Harp", "Organ", "Piano", "Oboe", "Banjo", "Marimba"]


@pytest.fixture(autouse=True)
def untouched_global_random_state(restored_global_random_state: None) -> None:
    """Lightning seeds and draws as it pleases: the state is put back, instead of checked as elsewhere."""


@pytest.fixture
def small_set(own_cache: Path) -> SyntheticInstruments:
    return SyntheticInstruments(classes=CLASSES, n_players=4, notes_per_player=2, duration=None, progress=False)


def test_every_line_on_every_split(small_set: SyntheticInstruments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zeroshot, "fit_zeroshot", partial(zeroshot.fit_zeroshot, epochs=2))
    heard: list[set[str]] = []

    def spy(encoder, clips, *args, **kwargs) -> None:
        heard.append({*clips.classes})

    monkeypatch.setattr(zeroshot, "pretrain_encoder", spy)
    results = zeroshot.Experiment(small_set, Attributes(), 2, (0, 1), n_bootstrap=5, progress=False).run()
    assert len(results.lines) == 5
    for report in results.lines.values():
        for split, classes in zip(report.reports, heard, strict=True):
            assert len(split.unseen_classes) == 2
            assert not classes & {*split.unseen_classes}
            assert len(classes) == 4  # two more play unseen ones
            assert split.calibration is not None
    content = json.loads(json.dumps(results.to_dict()))
    assert content["lines"]["softmax loss"]["means"]["zero_shot"]["chance"] == 0.5
    assert "synthetic (synthetic data): 6 seen and 2 unseen classes" in str(results)
    assert results.lines["softmax loss, side information shuffled"].reports[0].side_information == "shuffled attributes"


def test_shuffled_vectors_are_the_same_vectors() -> None:
    attributes = Attributes()
    shuffled = zeroshot.Shuffled(attributes, CLASSES, seed=0)(CLASSES)
    plain = attributes(CLASSES)
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, plain))
    assert (shuffled != plain).any()


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zeroshot.main([str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "nowhere is not a folder" in error
