"""Heads with weights of their own, trained through `EpisodicLearner` and kept with the encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import load_encoder, load_head, save_encoder
from musicfsl.embedding import embed_dataset, fit_whitening
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import AnilHead, FeatHead, Head, RelationHead
from musicfsl.training import EpisodicLearner, fit_once

DIM = 32
MAKE: dict[str, Callable[[], Head]] = {
    "relation": lambda: RelationHead(DIM, (16, 8)),
    "feat": lambda: FeatHead(DIM),
    "anil": lambda: AnilHead(DIM, step_size=0.1),
}


def tiny_encoder() -> ConvEncoder:
    return ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))


def same_state(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


@pytest.mark.parametrize("name", MAKE)
def test_trains_with_the_encoder_and_comes_back_with_it(name: str, make_data, make_trainer, tmp_path: Path) -> None:
    head = MAKE[name]()
    before = {key: value.clone() for key, value in head.state_dict().items()}
    learner, data, trainer = EpisodicLearner(tiny_encoder(), head), make_data(), make_trainer()
    trainer.fit(learner, datamodule=data)
    changed = {key for key, value in head.state_dict().items() if not torch.equal(value, before[key])}
    assert changed >= {key for key, parameter in head.named_parameters() if parameter.requires_grad}

    path = tmp_path / "checkpoints" / "last.ckpt"
    encoder, loaded = load_encoder(path), load_head(path)
    assert same_state(learner.encoder, encoder) and same_state(head, loaded)
    kept = save_encoder(encoder, tmp_path / "kept.safetensors", head=loaded)
    assert same_state(loaded, load_head(kept))
    # What was loaded gives what was validated: it meets the embeddings that the learner has.
    part = data.part("val")
    z = embed_dataset(load_encoder(kept), part, duration=0.2, max_windows=2)
    report = evaluate_episodes(z, part.targets, load_head(kept), 2, 2, 4, 50, seed=1, groups=part.groups)
    assert report.mean == pytest.approx(trainer.callback_metrics["val/accuracy"].item())


@pytest.mark.parametrize("name", MAKE)
def test_learns(name: str, make_data, make_trainer) -> None:
    learner = EpisodicLearner(tiny_encoder(), MAKE[name](), learning_rate=3e-3)
    trainer = make_trainer(max_epochs=3, enable_checkpointing=False, callbacks=[])
    trainer.fit(learner, datamodule=make_data(episodes_per_epoch=30))
    assert trainer.callback_metrics["train/accuracy"] > 0.5  # of three ways, in the last epoch


def test_an_encoder_that_is_trained_is_not_whitened(make_data, make_trainer) -> None:
    data, encoder = make_data(), tiny_encoder()
    data.setup_for(encoder)
    fit_whitening(encoder, data.part("train"), duration=0.2)
    assert not torch.equal(encoder.whitening.matrix, torch.eye(DIM))
    trainer = make_trainer(max_epochs=1)
    trainer.fit(EpisodicLearner(encoder, MAKE["relation"]()), datamodule=make_data())
    assert torch.equal(encoder.whitening.matrix, torch.eye(DIM)) and not encoder.whitening.mean.any()


@pytest.mark.parametrize("augment", [False, True], ids=["stored embeddings", "embedded each time"])
def test_a_frozen_encoder_whitens_in_training_as_in_evaluation(augment: bool, make_data, make_trainer) -> None:
    data, encoder = make_data(), tiny_encoder()
    data.setup_for(encoder)
    fit_whitening(encoder, data.part("train"), duration=0.2)
    whitening = {name: value.clone() for name, value in encoder.whitening.state_dict().items()}
    seen: list[torch.Tensor] = []

    class Watched(RelationHead):
        def adapt(self, support_z, support_targets, classes=None):
            if self.training:
                seen.append(support_z.detach().clone())
            return super().adapt(support_z, support_targets, classes)

    encoder.requires_grad_(False)
    learner = EpisodicLearner(encoder, Watched(DIM, (8,)))
    data = make_data(augment=augment)
    make_trainer(max_epochs=2, enable_checkpointing=False, callbacks=[]).fit(learner, datamodule=data)
    for name, value in encoder.whitening.state_dict().items():
        assert torch.equal(value, whitening[name])
    # What this encoder gives in training mode is layer-normalised, of variance 1; whitened embeddings are not.
    assert len(seen) == 12  # of both epochs: the mode outlives a validation
    assert all((z.var(dim=1, unbiased=False) - 1).abs().max() > 0.01 for z in seen)


def test_is_kept_by_fit_once(make_data, tmp_path: Path) -> None:
    def fit(head: Head):
        return fit_once(EpisodicLearner(tiny_encoder(), head), make_data(), 1, tmp_path / "kept", progress=False)

    first, again = fit(MAKE["feat"]()), fit(MAKE["feat"]())
    assert again.path == first.path and same_state(first.head, again.head)
    assert fit(FeatHead(DIM, contrast=0.2)).path != first.path
