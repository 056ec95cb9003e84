from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from musicfsl.backbones import ConvEncoder, MfccEncoder
from musicfsl.checkpoints import EncoderCard, load_encoder, load_head, read_card, save_encoder
from musicfsl.errors import CheckpointError, InputError
from musicfsl.heads import PrototypicalHead


@pytest.fixture
def encoder() -> ConvEncoder:
    return ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 16, 8), seed=3).eval()


@pytest.fixture
def path(encoder: ConvEncoder, tmp_path: Path) -> Path:
    head = PrototypicalHead("cosine", temperature=3.0)
    return save_encoder(
        encoder,
        tmp_path / "deep" / "encoder.safetensors",
        head=head,
        classes=["Flöte", "Oboe"],
        data={"name": "mine", "is_synthetic": False},
        metrics={"val/accuracy": 0.75},
    )


def test_comes_back_the_same(encoder: ConvEncoder, path: Path) -> None:
    loaded = load_encoder(path)
    waves = torch.randn(2, 1, 8000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(waves), encoder(waves))
    assert loaded.front_end.settings() == encoder.front_end.settings()
    assert not loaded.training
    head = load_head(path)
    assert head.settings()["distance"] == "cosine"
    assert head.log_temperature.exp().item() == pytest.approx(3.0)


def test_card_holds_all_that_is_asked_for(encoder: ConvEncoder, path: Path) -> None:
    card = read_card(path)
    assert card.classes == ["Flöte", "Oboe"]
    assert card.data == {"name": "mine", "is_synthetic": False}
    assert card.metrics == {"val/accuracy": 0.75}
    assert card.settings["sample_rate"] == 16000
    assert card.encoder == "conv"
    assert EncoderCard.from_json(card.to_json(), path) == card


def test_only_the_whole_file_is_there(path: Path) -> None:
    assert [p.name for p in path.parent.iterdir()] == ["encoder.safetensors"]


def test_without_a_head_the_plain_one(encoder: ConvEncoder, tmp_path: Path) -> None:
    path = save_encoder(encoder, tmp_path / "e.safetensors")
    assert load_head(path).settings() == PrototypicalHead().settings()


def test_an_encoder_without_weights(tmp_path: Path) -> None:
    path = save_encoder(MfccEncoder(n_mfcc=13), tmp_path / "mfcc.safetensors")
    assert load_encoder(path).dim == 13


def test_an_unregistered_encoder_is_refused_before_it_is_lost(encoder: ConvEncoder, tmp_path: Path) -> None:
    class Mine(ConvEncoder):
        name = "mine"

    with pytest.raises(InputError, match="Mine is not in musicfsl.backbones.ENCODERS"):
        save_encoder(Mine(), tmp_path / "e.safetensors")


def _rewrite(path: Path, change) -> None:
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        card = json.loads(file.metadata()["musicfsl"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(card, weights)
    save_file(weights, path, {"musicfsl": json.dumps(card)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.unlink(), "does not exist"),
        (lambda p: p.write_bytes(p.read_bytes()[:-500]), "is damaged or no safetensors file"),
        (lambda p: p.write_bytes(b""), "is damaged or no safetensors file"),
        (lambda p: p.write_text("hello"), "is damaged or no safetensors file"),
        (lambda p: save_file({"a": torch.zeros(2)}, p), "was not written by musicfsl.save_encoder"),
        (lambda p: _rewrite(p, lambda card, w: card.update(format=99)), "written by a newer musicfsl"),
        (lambda p: _rewrite(p, lambda card, w: card.pop("settings")), "holds a damaged card"),
        (
            lambda p: _rewrite(p, lambda card, w: card.update(encoder="cnv")),
            "holds an encoder 'cnv'.*Did you mean 'conv'",
        ),
        (lambda p: _rewrite(p, lambda card, w: card["settings"].update(colour="red")), "do not build 'conv'"),
        (lambda p: _rewrite(p, lambda card, w: card["settings"].update(n_mels=40)), "do not fit the ConvEncoder"),
        (
            lambda p: _rewrite(p, lambda card, w: w.pop("encoder.backbone.blocks.0.weight")),
            "do not fit the ConvEncoder",
        ),
    ],
)
def test_damaged_files(path: Path, damage, message: str) -> None:
    damage(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_encoder(path)
    assert str(path) in str(caught.value)


def test_a_lightning_checkpoint_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    path.write_bytes(b"not a zip file")
    with pytest.raises(CheckpointError, match="x.ckpt is damaged or no checkpoint"):
        load_encoder(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="x.ckpt is no checkpoint of musicfsl's EpisodicLearner"):
        load_encoder(path)


class Payload:
    """Would run code when unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("the checkpoint was unpickled",))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    torch.save({"musicfsl": Payload()}, tmp_path / "evil.ckpt")
    with pytest.raises(CheckpointError, match="is damaged or no checkpoint"):
        load_encoder(tmp_path / "evil.ckpt")


def test_an_unwritable_place(encoder: ConvEncoder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written .* choose another place"):
        save_encoder(encoder, tmp_path / "file" / "e.safetensors")
