"""Augmented copies are trained on, and never evaluated on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from musicfsl.embedding import embed_dataset
from musicfsl.training import EpisodicData, ZeroShotData
from musicfsl.training.zeroshot.parts import Division, HeldOut
from musicfsl.zeroshot import ClassSplit


@pytest.fixture
def with_copies(make_tones: Callable[..., Any]) -> Any:
    """Seven classes of 24 clips, of which the last 12 of each are said to be copies of the first."""
    tones = make_tones(n_classes=7)
    tones.is_copy = np.arange(len(tones)) % 24 >= 12
    return tones


def test_few_shot_parts(with_copies: Any, make_data: Any, make_learner: Any) -> None:
    data: EpisodicData = make_data(with_copies)
    learner = make_learner()
    data.setup_for(learner.encoder)
    assert np.bincount(data.part("train").targets).tolist() == [24] * 3
    for stage in ("val", "test"):
        part = data.part(stage)
        assert np.bincount(part.targets).tolist() == [12] * 2
        assert part.is_copy is not None and not part.is_copy.any()
    whitening = data.whitening_part()
    assert whitening.is_copy is not None and not whitening.is_copy.any() and len(whitening) == 36
    report = data.evaluate("val", embed_dataset(learner.encoder, data.part("val"), duration=0.2), learner.head)
    assert report.n_episodes == 50


def test_few_shot_evaluation_is_the_same_as_without_copies(with_copies: Any, make_data: Any, make_learner: Any) -> None:
    encoder, head = make_learner().encoder, make_learner().head
    reports = []
    for dataset in (with_copies, with_copies.originals()):
        data = make_data(dataset)
        data.setup_for(encoder)
        reports.append(data.evaluate("test", embed_dataset(encoder, data.part("test"), duration=0.2), head))
    assert reports[0].accuracies.tolist() == reports[1].accuracies.tolist()


def test_zero_shot_parts(with_copies: Any, make_learner: Any, tmp_path: Path) -> None:
    names = ["Flute", "Oboe", "Violin", "Cello", "Trumpet", "Tuba", "Harp"]
    with_copies.classes = names
    data = ZeroShotData(
        with_copies, "attributes", unseen=["Tuba", "Harp"], val_classes=0, duration=0.2, cache_dir=str(tmp_path)
    )
    data.setup_for(make_learner().encoder)
    train, val, test = (data.part(part) for part in ("train", "val", "test"))
    assert train.is_copy is not None and train.is_copy.any()
    for part in (val, test):
        assert len(part) and part.is_copy is not None and not part.is_copy.any()
    # What is held out is held out with its copies, which have its group.
    assert not set(np.asarray(train.groups)) & {*np.asarray(val.groups), *np.asarray(test.groups)}


def test_division_leaves_copies_out_of_all_but_training() -> None:
    split = ClassSplit("toy", ("a", "b"), ("c", "d"))
    targets = np.repeat(np.arange(4), 6)
    held_out = HeldOut(test=np.arange(24) % 6 < 2, val=np.arange(24) % 6 == 2)
    is_copy = np.arange(24) % 2 == 1
    division = Division(split, [], targets, held_out, is_copy=is_copy)
    plain = Division(split, [], targets, held_out)
    assert division.clips("train").tolist() == plain.clips("train").tolist()
    for part in ("val", "test"):
        assert division.clips(part).tolist() == [i for i in plain.clips(part) if not is_copy[i]]


def test_zero_shot_on_other_data(with_copies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from musicfsl.training.zeroshot import use

    seen: list[int] = []

    def embed(encoder: Any, features: Any, duration: float) -> torch.Tensor:
        seen.append(len(features))
        raise StopIteration

    monkeypatch.setattr(use, "embed_dataset", embed)
    monkeypatch.setattr(use, "_encoder_of", lambda model: None)
    with pytest.raises(StopIteration):
        use.evaluate_on_other_data(None, with_copies, None, [])  # type: ignore[arg-type]
    assert seen == [84]
