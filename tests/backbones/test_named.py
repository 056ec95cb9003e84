"""Encoders by name. Whether a download works is its class's business; here it is only asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from musicfsl import load_encoder, load_head, read_card, save_encoder
from musicfsl.backbones import AstEncoder, Cnn14, ConvEncoder, MfccEncoder, named
from musicfsl.backbones.clap import ClapEncoder
from musicfsl.errors import CheckpointError


def test_both_names_of_the_shipped_one_open_one_file() -> None:
    assert named.shipped_file("default") == named.shipped_file("musicfsl-small")
    a, b = load_encoder("default"), load_encoder("musicfsl-small")
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert not a.training
    assert read_card("default").encoder == a.name
    assert load_head("default").settings() == load_head(named.shipped_file("default")).settings()


def test_mfccs_need_no_file() -> None:
    encoder = load_encoder("mfcc")
    assert isinstance(encoder, MfccEncoder)
    assert not encoder.training
    assert load_head("mfcc").name == "prototypical"
    with pytest.raises(CheckpointError, match="'mfcc' was not saved by musicfsl and has no card"):
        read_card("mfcc")


@pytest.mark.parametrize(
    ("name", "encoder_class", "wanted"),
    [
        ("cnn14", Cnn14, "Cnn14_16k_mAP=0.438"),
        ("ast", AstEncoder, "MIT/ast-finetuned-audioset-10-10-0.4593"),
        ("clap", ClapEncoder, "laion/clap-htsat-unfused"),
    ],
)
def test_published_ones_are_asked_for_by_their_published_names(
    name: str, encoder_class: type, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, small = [], ConvEncoder(widths=(8, 8, 8, 8))
    monkeypatch.setattr(encoder_class, "from_pretrained", lambda name: asked.append(name) or small)
    assert load_encoder(name) is small
    assert not small.training
    assert asked == [wanted]


def test_an_unknown_name_is_told_from_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match=r"no encoder 'defualt'. Did you mean 'default'\? Known: default, .*clap"):
        load_encoder("defualt")
    with pytest.raises(CheckpointError, match=r"defualt\.ckpt does not exist"):
        load_encoder("defualt.ckpt")
    # A file without an ending is a file all the same.
    save_encoder(ConvEncoder(widths=(8, 8, 8, 8)), tmp_path / "mine.safetensors").rename(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="mine is damaged or no checkpoint"):
        load_encoder("mine")


def test_half_precision_halves_the_file_and_computes_in_single(tmp_path: Path) -> None:
    encoder = ConvEncoder(seed=1).eval()
    whole = save_encoder(encoder, tmp_path / "whole.safetensors")
    half = save_encoder(encoder, tmp_path / "half.safetensors", dtype=torch.float16)
    assert half.stat().st_size < 0.52 * whole.stat().st_size
    loaded = load_encoder(half)
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}
    waves = torch.randn(2, 1, 16000, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.no_grad():
        torch.testing.assert_close(loaded(waves), encoder(waves), rtol=0.02, atol=0.02)
