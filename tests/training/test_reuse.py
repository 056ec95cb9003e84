from __future__ import annotations

import pytest
import torch

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import read_card
from musicfsl.embedding import embed_dataset
from musicfsl.heads import PrototypicalHead
from musicfsl.training import EpisodicLearner, fit_best, fit_once, reuse, trained_file


def test_a_second_call_opens_what_the_first_has_trained(make_learner, make_data, tmp_path, monkeypatch) -> None:
    first = fit_once(make_learner(), make_data(), epochs=2, cache_dir=tmp_path, progress=False)
    monkeypatch.setattr(reuse, "fit_best", None)  # training again would fail
    data = make_data()
    second = fit_once(make_learner(), data, epochs=2, cache_dir=tmp_path, progress=False)

    assert second.path == first.path
    part = data.part("test")  # usable although nothing was trained
    assert len(data.evaluate("test", embed_dataset(second.encoder, part, 0.2), second.head).accuracies) == 50
    wave = torch.randn(2, 1, 3200, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(second.encoder(wave), first.encoder(wave), rtol=0, atol=0)
    assert read_card(first.path).classes == read_card(first.path).data["train_classes"]


def test_it_is_the_training_that_lightning_does(make_learner, make_data, tmp_path) -> None:
    """The kept encoder is the one of the best checkpoint, weight by weight."""
    kept = fit_once(make_learner(), make_data(), epochs=2, cache_dir=tmp_path, progress=False)
    best = torch.load(fit_best(make_learner(), make_data(), 2, tmp_path / "run", progress=False), weights_only=True)
    weights = kept.encoder.state_dict()
    assert weights
    for name, value in weights.items():
        torch.testing.assert_close(value, best["state_dict"][f"encoder.{name}"], rtol=0, atol=0)


def test_nothing_is_kept_of_a_training_that_was_interrupted(make_learner, make_data, tmp_path, monkeypatch) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(reuse, "fit_best", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_once(make_learner(), make_data(), epochs=2, cache_dir=tmp_path)
    assert not list(tmp_path.rglob("*.safetensors*"))


def test_whatever_decides_the_result_decides_the_file(
    make_learner, make_data, make_tones, tmp_path, monkeypatch
) -> None:
    def file(learner=None, data=None, epochs=2):
        return trained_file(learner or make_learner(), data or make_data(), epochs, tmp_path)

    small = {"n_mels": 32, "n_fft": 512, "widths": (8, 8, 8, 8)}
    other = [
        file(epochs=3),
        file(make_learner(learning_rate=1e-3)),
        file(EpisodicLearner(ConvEncoder(**small, seed=1), PrototypicalHead("cosine"), learning_rate=3e-3)),
        file(EpisodicLearner(ConvEncoder(**small), PrototypicalHead("euclidean"), learning_rate=3e-3)),
        file(data=make_data(seed=1)),
        file(data=make_data(split_seed=1)),
        file(data=make_data(n_way=2)),
        file(data=make_data(augment=True)),
        file(data=make_data(make_tones(n_classes=8))),
        file(data=make_data(train_classes=["tones-0", "tones-1"], val_classes=["tones-2", "tones-3"])),
    ]
    assert len({file(), *other}) == len(other) + 1
    assert file(data=make_data(num_workers=1, cache_dir=str(tmp_path / "elsewhere"))) == file()

    before = file()
    monkeypatch.setattr(reuse, "code_hash", lambda: "changed")
    assert file() != before
