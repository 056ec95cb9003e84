from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import read_card
from musicfsl.training import ZeroShotData, pretrain_once, pretrained_file
from musicfsl.training.zeroshot import reuse as zeroshot_reuse
from musicfsl.zeroshot import SideInformation


class Numbered(SideInformation):
    kind = "numbered"
    dim = 3

    def vector(self, name: str) -> np.ndarray:
        return np.random.default_rng(len(name)).normal(size=3).astype(np.float32) + int(name.split("-")[1])

    def known_names(self) -> list[str]:
        return []

    def provenance(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def make_data(make_tones, tmp_path: Path):
    def make(**arguments: Any) -> ZeroShotData:
        small = {"unseen": ["tones-5", "tones-6"], "val_classes": 2, "duration": 0.2, "max_windows": 2}
        dataset = arguments.pop("dataset", None) or make_tones(n_classes=7)
        return ZeroShotData(dataset, Numbered(), **{**small, "cache_dir": str(tmp_path / "cache"), **arguments})

    return make


def encoder(seed: int = 0) -> ConvEncoder:
    return ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8), seed=seed)


def test_a_second_call_opens_what_the_first_has_trained(make_data, tmp_path, monkeypatch) -> None:
    first = pretrain_once(encoder(), make_data(), n_steps=2, cache_dir=tmp_path, progress=False)
    monkeypatch.setattr(zeroshot_reuse, "pretrain_encoder", None)  # training again would fail
    data = make_data()
    second = pretrain_once(encoder(), data, n_steps=2, cache_dir=tmp_path, progress=False)

    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, rtol=0, atol=0)
    assert any(not torch.equal(value, second.state_dict()[name]) for name, value in encoder().state_dict().items()), (
        "nothing was trained"
    )
    assert data.embeddings("test", second) is not None  # the data is set up for it
    card = read_card(pretrained_file(encoder(), make_data(), 2, cache_dir=tmp_path))
    assert not set(card.classes) & {*data.split.unseen, *data.val_classes}


def test_whatever_decides_the_result_decides_the_file(make_data, make_tones, tmp_path, monkeypatch) -> None:
    def file(first=None, n_steps=2, seed=0, **arguments):
        return pretrained_file(first or encoder(), make_data(**arguments), n_steps, seed, tmp_path)

    other = [
        file(encoder(1)),
        file(n_steps=3),
        file(seed=1),
        file(unseen=["tones-4", "tones-6"]),
        file(val_classes=["tones-0", "tones-1"]),
        file(dataset=make_tones(n_classes=8)),
        file(duration=0.3),
    ]
    assert len({file(), *other}) == len(other) + 1
    assert file(cache_dir=str(tmp_path / "elsewhere")) == file()

    before = file()
    monkeypatch.setattr("musicfsl.training.reuse.code_hash", lambda: "changed")
    assert file() != before
