from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from musicfsl.backbones import AstEncoder, ConvEncoder
from musicfsl.embedding import embed_dataset
from musicfsl.episodes import EpisodeDataset
from musicfsl.errors import InputError
from musicfsl.features import FeatureStore
from musicfsl.heads import PrototypicalHead
from musicfsl.training import EpisodicData, EpisodicLearner
from musicfsl.training._weights import weights_hash
from musicfsl.training.embeddings import stored_embeddings


def tiny_ast(**arguments: Any) -> AstEncoder:
    return AstEncoder.from_config(**{"hidden_size": 16, "n_layers": 2, "n_heads": 2, "max_frames": 64, **arguments})


def frozen_conv() -> ConvEncoder:
    return ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8)).requires_grad_(False)


def frozen_ast() -> AstEncoder:
    return tiny_ast(trainable_blocks=0)


class Count:
    """Counts clips that an encoder embeds, by whichever of its methods."""

    def __init__(self, encoder: Any) -> None:
        self.n_clips = 0
        self._features = encoder.features
        encoder.features = self

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.n_clips += len(x)
        return self._features(x)


class Losses(pl.Callback):
    """Each step's loss, and whatever the batch was."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.shapes: set[tuple[int, ...]] = set()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.losses.append(float(outputs["loss"]))
        self.shapes.add(tuple(batch.query.shape))


@pytest.fixture
def make_short_data(make_data: Callable[..., EpisodicData], make_tones: Any) -> Callable[..., EpisodicData]:
    """Clips of at most 0.2 s, so that each has one window and no episode cuts it anywhere else."""

    def make(**arguments: Any) -> EpisodicData:
        small = {"sizes": (2, 2, 2), "n_way": 2, "eval_episodes": 20, "trim_db": None}
        return make_data(make_tones(n_classes=6, n_clips=8, seconds=0.16), **{**small, **arguments})

    return make


@pytest.fixture
def fit(make_trainer: Callable[..., pl.Trainer]) -> Callable[..., Losses]:
    def run(learner: EpisodicLearner, data: EpisodicData, **arguments: Any) -> Losses:
        losses = Losses()
        quiet = {"max_epochs": 2, "callbacks": [losses], "enable_checkpointing": False}
        make_trainer(**{**quiet, **arguments}).fit(learner, datamodule=data)
        return losses

    return run


class TestAstInTheLearner:
    def test_learns_from_filter_banks_stored_once(self, make_data, fit, make_tones, monkeypatch) -> None:
        """Whole clips of different lengths are stored, and each episode has windows of them."""
        encoder = tiny_ast(seed=1)
        before = weights_hash(encoder)
        stored = []
        front_end = encoder.front_end.forward
        monkeypatch.setattr(encoder.front_end, "forward", lambda wave: stored.append(wave) or front_end(wave))
        tones = make_tones(n_classes=6, n_clips=8, seconds=0.4)
        data = make_data(tones, sizes=(2, 2, 2), n_way=2, episodes_per_epoch=2, trim_db=None)
        seen = fit(EpisodicLearner(encoder, PrototypicalHead("cosine")), data)
        assert len(stored) == len(tones)
        assert len(set(data.part("train").lengths.tolist())) > 1
        assert seen.shapes == {(1, 4, 128, 18)}  # the frames of 0.2 s
        assert np.isfinite(seen.losses).all()
        assert weights_hash(encoder) != before
        assert not data.embedded

    def test_last_blocks_alone_are_trained_on_features(self, make_short_data, fit) -> None:
        encoder = tiny_ast(trainable_blocks=1)
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        fit(EpisodicLearner(encoder, PrototypicalHead("cosine")), make_short_data(episodes_per_epoch=2))
        trained = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
        kept = before.keys() - trained
        assert trained and all("layer.1." in name or "layernorm" in name for name in trained)
        assert any("layer.0." in name for name in kept)


class TestFrozenEncoder:
    @pytest.mark.parametrize("make_encoder", [frozen_conv, frozen_ast])
    def test_same_losses_as_embedding_every_episode(self, make_short_data, fit, monkeypatch, make_encoder: Any) -> None:
        encoder, head = make_encoder(), PrototypicalHead("cosine")
        learner, data = EpisodicLearner(encoder, head, learning_rate=0.1), make_short_data()
        stored = fit(learner, data)
        assert data.embedded == {"train", "val"}
        assert stored.shapes == {(1, 4, encoder.dim, 1)}

        monkeypatch.setattr("musicfsl.training.data.is_frozen", lambda module: False)
        again, fresh = make_encoder(), make_short_data()
        each_time = fit(EpisodicLearner(again, PrototypicalHead("cosine"), learning_rate=0.1), fresh)
        assert not fresh.embedded
        assert len(each_time.losses) == 12
        np.testing.assert_allclose(stored.losses, each_time.losses, rtol=1e-4)
        assert head.log_temperature.item() != pytest.approx(np.log(10.0), abs=1e-3)  # the head has learned

    def test_every_clip_goes_through_the_backbone_once(self, make_short_data, fit, make_trainer) -> None:
        encoder = frozen_conv()
        count, data = Count(encoder), make_short_data()
        learner = EpisodicLearner(encoder, PrototypicalHead("cosine"))
        fit(learner, data, max_epochs=3)
        make_trainer().test(learner, datamodule=data, verbose=False)
        assert count.n_clips == 6 * 8
        # A later training, of another head, finds them.
        fit(EpisodicLearner(encoder, PrototypicalHead(learn_temperature=True)), make_short_data())
        assert count.n_clips == 6 * 8

    def test_other_weights_other_embeddings(self, make_short_data, fit) -> None:
        encoder = frozen_conv()
        count = Count(encoder)
        fit(EpisodicLearner(encoder, PrototypicalHead("cosine")), make_short_data())
        with torch.no_grad():
            next(encoder.backbone.parameters()).mul_(2)
        fit(EpisodicLearner(encoder, PrototypicalHead("cosine")), make_short_data())
        assert count.n_clips == 2 * 6 * 8

    def test_validation_and_test_say_the_same(self, make_data, fit, make_trainer, monkeypatch) -> None:
        """Also where clips have several windows, and with whitening."""
        found = []
        for frozen in (True, False):
            if not frozen:
                monkeypatch.setattr("musicfsl.training.data.is_frozen", lambda module: False)
            learner = EpisodicLearner(frozen_conv(), PrototypicalHead(learn_temperature=True))
            data = make_data(episodes_per_epoch=1)
            fit(learner, data, max_epochs=1)
            assert ("val" in data.embedded) is frozen
            val = learner.clip_embeddings
            make_trainer().test(learner, datamodule=data, verbose=False)
            found.append((val, learner.clip_embeddings, learner.encoder.whitening.matrix))
        for stored, each_time in zip(*found, strict=True):
            torch.testing.assert_close(stored, each_time, rtol=1e-3, atol=1e-4)

    def test_virtual_instruments_are_embedded_each_time(self, make_short_data, fit) -> None:
        encoder = frozen_conv()
        count, data = Count(encoder), make_short_data(augment=True)
        seen = fit(EpisodicLearner(encoder, PrototypicalHead("cosine")), data)
        assert data.embedded == {"val"}
        assert seen.shapes == {(1, 4, 32, data.part("train").length)}
        assert count.n_clips == 6 * 8 + 12 * 2 * (2 + 2)  # 12 episodes of 2 ways

    @pytest.mark.parametrize("make_encoder", [frozen_conv, frozen_ast])
    def test_nothing_to_train(self, make_short_data, fit, make_trainer, make_encoder: Any) -> None:
        learner, data = EpisodicLearner(make_encoder(), PrototypicalHead("euclidean")), make_short_data()
        with pytest.raises(InputError, match="nothing to train: the encoder is frozen, and PrototypicalHead has no"):
            fit(learner, data)
        make_trainer().test(learner, datamodule=data, verbose=False)  # but much to evaluate
        assert learner.report.n_episodes == 20

    def test_unfrozen_in_the_middle(self, make_short_data, fit, make_trainer) -> None:
        class Unfreeze(pl.Callback):
            def on_train_epoch_start(self, trainer, module) -> None:
                module.encoder.requires_grad_(trainer.current_epoch > 0)

        with pytest.raises(InputError, match="began to require a gradient"):
            fit(EpisodicLearner(frozen_conv(), PrototypicalHead("cosine")), make_short_data(), callbacks=[Unfreeze()])


class TestStoredEmbeddings:
    @pytest.fixture
    def features(self, tones, tmp_path: Path) -> FeatureStore:
        return FeatureStore.build(
            tones.subset(indices=range(0, 144, 6)), frozen_conv().front_end, cache_dir=tmp_path, progress=False
        )

    def test_are_those_of_the_windows(self, features, tmp_path: Path) -> None:
        encoder, n_frames = frozen_conv(), 20
        clips = stored_embeddings(features.with_length(n_frames), encoder, 3, tmp_path, progress=False)
        seconds = (n_frames - 1) * encoder.front_end.hop_length / encoder.sample_rate
        assert encoder.front_end.n_frames(round(seconds * encoder.sample_rate)) == n_frames
        expected = embed_dataset(encoder, features, seconds, max_windows=3)
        means = torch.stack([clips.read(i).mean(dim=1) for i in range(len(clips))])
        torch.testing.assert_close(means, expected, rtol=1e-4, atol=1e-5)
        assert set(clips.lengths.tolist()) == {2, 3}
        assert clips[5][0].shape == (encoder.dim, 1)
        assert any(torch.equal(clips[5][0], window[:, None]) for window in clips.read(5).T)

    def test_obey_the_contract_of_data_sets(self, features, tmp_path: Path) -> None:
        encoder = frozen_conv()
        clips = stored_embeddings(features.with_length(20), encoder, cache_dir=tmp_path, progress=False)
        assert (clips.targets == features.targets).all() and (clips.groups == features.groups).all()
        assert clips.classes == features.classes and clips.is_synthetic
        assert EpisodeDataset(clips, 3, 1, 1)[0].query.shape == (3, encoder.dim, 1)
        with pytest.raises(InputError, match="another front end"):
            embed_dataset(encoder, clips)

    def test_other_settings_or_code_other_embeddings(self, features, tmp_path: Path) -> None:
        class Doubled(ConvEncoder):
            def raw(self, x: torch.Tensor) -> torch.Tensor:
                return 2 * super().raw(x)

        def first(encoder: ConvEncoder, n_frames: int = 20, max_windows: int = 5) -> torch.Tensor:
            clips = features.with_length(n_frames)
            return stored_embeddings(clips, encoder, max_windows, tmp_path, progress=False).read(0)

        plain = first(frozen_conv())
        torch.testing.assert_close(first(frozen_conv()), plain, rtol=0, atol=0)
        assert first(frozen_conv(), max_windows=1).shape != plain.shape
        assert not torch.equal(first(frozen_conv(), n_frames=24)[:, :1], plain[:, :1])
        doubled = Doubled(n_mels=32, n_fft=512, widths=(8, 8, 8, 8)).requires_grad_(False)
        torch.testing.assert_close(first(doubled), 2 * plain)


class TestMemoryAndPrecision:
    def test_gradient_checkpointing_changes_no_gradient(self) -> None:
        features, gradients = torch.randn(4, 128, 20, generator=torch.Generator().manual_seed(0)), []
        for checkpointing in (False, True):
            encoder = tiny_ast(gradient_checkpointing=checkpointing).train()
            calls = [0]
            block = encoder.backbone.last_blocks(1)[0].attention
            block.register_forward_pre_hook(lambda *_, calls=calls: calls.__setitem__(0, calls[0] + 1))
            loss, _ = PrototypicalHead().episode_loss(
                encoder(features[:2]), torch.arange(2), encoder(features[2:]), torch.arange(2)
            )
            loss.backward()
            assert calls[0] == (4 if checkpointing else 2)  # computed a second time in the backward pass
            gradients.append({name: p.grad for name, p in encoder.named_parameters()})
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6, msg=name)

    @pytest.mark.parametrize("checkpointing", [False, True])
    def test_steps_in_bfloat16(self, make_short_data, fit, checkpointing: bool) -> None:
        encoder = tiny_ast(gradient_checkpointing=checkpointing)
        before = weights_hash(encoder)
        data = make_short_data(episodes_per_epoch=2)
        seen = fit(EpisodicLearner(encoder, PrototypicalHead("cosine")), data, max_epochs=1, precision="bf16-mixed")
        assert np.isfinite(seen.losses).all()
        assert weights_hash(encoder) != before
        assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for p in encoder.parameters())

    def test_a_fit_trains_in_training_mode(self, make_short_data, fit) -> None:
        """Loaded encoders come in evaluation mode, in which nothing would be checkpointed or dropped out."""
        modes = []

        class Watch(pl.Callback):
            def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
                modes.append(module.encoder.training)

        encoder = tiny_ast(gradient_checkpointing=True).eval()
        fit(EpisodicLearner(encoder), make_short_data(episodes_per_epoch=1), callbacks=[Watch()])
        assert modes == [True, True]
