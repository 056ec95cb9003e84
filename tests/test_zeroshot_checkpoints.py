from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import load_encoder, save_encoder
from musicfsl.errors import CheckpointError, InputError
from musicfsl.zeroshot import Attributes, ZeroShotModel
from musicfsl.zeroshot_checkpoints import (
    ZeroShotCard,
    load_zeroshot,
    open_side_of,
    read_zeroshot_card,
    save_zeroshot,
)

SEEN = ["Flute", "Oboe", "Harp"]


@pytest.fixture
def model() -> ZeroShotModel:
    """With nothing left as it begins."""
    made = ZeroShotModel(ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8)), Attributes().dim, dim=16, seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in made.state_dict().values():
            value.copy_(torch.rand(value.shape, generator=generator))
    return made.eval()


@pytest.fixture
def saved(model: ZeroShotModel, tmp_path: Path) -> Path:
    return save_zeroshot(
        model,
        tmp_path / "new" / "z.safetensors",
        side=Attributes(),
        side_text="attributes",
        seen=SEEN,
        unseen=["Banjo", "Organ"],
        calibration=0.25,
        data={"name": "mine"},
        metrics={"zero_shot": {"value": 0.5}},
    )


def test_what_was_saved_comes_back(model: ZeroShotModel, saved: Path) -> None:
    loaded = load_zeroshot(saved)
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    wave = torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(0))
    side = torch.from_numpy(Attributes()(SEEN))
    assert torch.equal(loaded(wave, side), model(wave, side))
    card = read_zeroshot_card(saved)
    assert (card.seen, card.unseen, card.calibration) == (SEEN, ["Banjo", "Organ"], 0.25)
    assert card.provenance == json.loads(json.dumps(Attributes().provenance()))
    assert card.data == {"name": "mine"}
    assert load_encoder(saved).dim == model.encoder_dim
    assert [path.name for path in saved.parent.iterdir()] == ["z.safetensors"]


def test_side_information_is_opened_again_and_compared(saved: Path, tmp_path: Path) -> None:
    assert open_side_of(saved).kind == "attributes"
    lines = [line for line in Path(Attributes()._path).read_text().splitlines() if line and line[0] != "#"]
    moved = tmp_path / "moved.csv"
    moved.write_text("\n".join(lines))
    assert open_side_of(saved, f"attributes:{moved}").dim == Attributes().dim
    assert open_side_of(saved, Attributes()).kind == "attributes"
    changed = [line if not line.startswith("Flute,") else line.replace("1,", "0,", 1) for line in lines]
    assert changed != lines
    moved.write_text("\n".join(changed))
    with pytest.raises(CheckpointError, match="was trained with other side information"):
        open_side_of(saved, f"attributes:{moved}")
    moved.write_text("name, a, b\nFlute, 1, 0\nOboe, 0, 1\nHarp, 1, 1\n")
    with pytest.raises(CheckpointError, match=f"vectors of length {Attributes().dim}"):
        open_side_of(saved, f"attributes:{moved}")


def test_side_information_that_has_no_text(model: ZeroShotModel, tmp_path: Path) -> None:
    path = save_zeroshot(model, tmp_path / "z.safetensors", side=Attributes(), seen=SEEN)
    with pytest.raises(CheckpointError, match="does not say how to open its side information"):
        open_side_of(path)
    assert open_side_of(path, Attributes()).dim == model.side_dim


def test_only_known_encoders_can_be_saved(tmp_path: Path) -> None:
    class Mine(nn.Module):
        dim = 4

    with pytest.raises(InputError, match="Mine is no encoder"):
        save_zeroshot(ZeroShotModel(Mine(), 43), tmp_path / "z.safetensors", side=Attributes(), seen=SEEN)
    assert not list(tmp_path.iterdir())


def test_damaged_missing_and_other_files(saved: Path, model: ZeroShotModel, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_zeroshot(tmp_path / "no.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(saved.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors is damaged"):
        load_zeroshot(tmp_path / "cut.safetensors")
    with pytest.raises(CheckpointError, match="is no zero-shot model"):
        load_zeroshot(save_encoder(model.encoder, tmp_path / "encoder.safetensors"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: "{", "holds a damaged card"),
        (lambda card: json.dumps({"format": 1}), "holds a damaged card"),
        (lambda card: json.dumps({**card, "format": 99}), "written by a newer musicfsl"),
        (lambda card: json.dumps({**card, "settings": {**card["settings"], "dim": 8}}), "do not fit the ZeroShotModel"),
        (lambda card: json.dumps({**card, "settings": {"colour": "red"}}), "builds no|build no zero-shot model"),
    ],
)
def test_damaged_cards(saved: Path, change, message: str) -> None:
    from safetensors import safe_open

    with safe_open(str(saved), framework="pt") as file:
        metadata = dict(file.metadata())
    metadata["musicfsl_zeroshot"] = change(json.loads(metadata["musicfsl_zeroshot"]))
    save_file(load_file(saved), saved, metadata)
    with pytest.raises(CheckpointError, match=message):
        load_zeroshot(saved)


def test_the_card_is_json() -> None:
    card = ZeroShotCard(settings={}, side=None, provenance={}, seen=["Flöte"])
    assert ZeroShotCard.from_json(card.to_json(), Path("x")) == card
    assert {"format", *(field.name for field in dataclasses.fields(card))} == set(json.loads(card.to_json()))
