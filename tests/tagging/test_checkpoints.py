from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import load_encoder, read_card, save_encoder
from musicfsl.errors import CheckpointError, InputError
from musicfsl.tagging import Tagger, load_tagger, read_tagger_card, save_tagger


@pytest.fixture
def path(tagger: Tagger, tmp_path: Path) -> Path:
    return save_tagger(
        tagger, tmp_path / "t.safetensors", data={"name": "tones"}, metrics={"map": 0.5}, thresholds=[0.2, 0.3, 0.4]
    )


def test_saved_and_loaded(tagger: Tagger, path: Path) -> None:
    again = load_tagger(path)
    assert not again.training
    for name, value in tagger.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert again.classes == tagger.classes
    assert again.duration == 0.2
    assert again.thresholds.tolist() == pytest.approx([0.6] * 3)  # beside the tuned ones
    assert again.tuned_thresholds.tolist() == pytest.approx([0.2, 0.3, 0.4])
    card = read_tagger_card(path)
    assert card.data == {"name": "tones"}
    assert card.metrics == {"map": 0.5}
    assert card.duration == 0.2
    assert card.tuned_thresholds == pytest.approx({"Cello": 0.2, "Flute": 0.3, "Voice": 0.4})


def test_thresholds_that_were_changed_are_kept(tagger: Tagger, tmp_path: Path) -> None:
    tagger.thresholds.copy_(torch.tensor([0.1, 0.5, 0.9]))
    again = load_tagger(save_tagger(tagger, tmp_path / "t.safetensors"))
    assert again.thresholds.tolist() == pytest.approx([0.1, 0.5, 0.9])
    assert again.tuned_thresholds is None


def test_the_encoder_is_found_in_it(tagger: Tagger, path: Path) -> None:
    x = torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_encoder(path)(x), tagger.encoder(x))
    assert read_card(path).classes == tagger.classes


def test_other_files_are_refused(tagger: Tagger, path: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_tagger(tmp_path / "no.safetensors")
    encoder = save_encoder(ConvEncoder(), tmp_path / "encoder.safetensors")
    with pytest.raises(CheckpointError, match="holds an encoder without a tagger; give one that 'musicfsl tag fit'"):
        load_tagger(encoder)
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="is no checkpoint of musicfsl"):
        load_tagger(tmp_path / "other.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(CheckpointError, match="is no checkpoint of musicfsl"):
        read_tagger_card(tmp_path / "list.ckpt")
    for name in ("cut.safetensors", "cut.ckpt"):
        (tmp_path / name).write_bytes(path.read_bytes()[:2000])
        with pytest.raises(CheckpointError, match="is damaged"):
            load_tagger(tmp_path / name)


def changed(path: Path, to: Path, **changes: object) -> Path:
    """The same file with another card."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        header = dict(file.metadata())
    header["musicfsl_tagger"] = json.dumps({**json.loads(header["musicfsl_tagger"]), **changes})
    save_file(load_file(path), to, header)
    return to


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "written by a newer musicfsl"),
        ({"settings": {}}, "damaged card"),
        ({"settings": {"classes": ["a", "b"], "dropout": 0.0, "duration": 3.0}}, "do not fit the Tagger"),
        ({"settings": {"classes": ["a", "b", "c"], "colour": "red"}}, "build no tagger"),
    ],
)
def test_a_card_that_does_not_fit(path: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_tagger(changed(path, tmp_path / "changed.safetensors", **changes))


def test_thresholds_that_do_not_fit(tagger: Tagger, tmp_path: Path) -> None:
    for wrong in ([0.5, 0.5], [0.5, 0.5, 1.5], [0.5, 0.5, float("nan")]):
        with pytest.raises(InputError, match="one probability for each of 3 classes"):
            save_tagger(tagger, tmp_path / "t.safetensors", thresholds=wrong)
