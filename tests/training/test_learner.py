from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from musicfsl.checkpoints import load_encoder, load_head, read_card
from musicfsl.embedding import embed_dataset
from musicfsl.episodes import Episode, EpisodeDataset
from musicfsl.errors import InputError
from musicfsl.evaluation import evaluate_episodes
from musicfsl.training import EpisodicLearner


def step_of(learner: EpisodicLearner) -> Callable[[Episode], torch.Tensor]:
    """The training step by itself: nothing is logged once training is over."""
    learner.log = lambda *_, **__: None
    return lambda batch: learner.training_step(batch, 0)


def test_learns_and_leaves_a_checkpoint_that_says_what_it_is(
    make_learner, make_data, make_trainer, tmp_path: Path
) -> None:
    learner, data, trainer = (
        make_learner(learning_rate=1e-2),
        make_data(episodes_per_epoch=40),
        make_trainer(max_epochs=3),
    )
    trainer.fit(learner, datamodule=data)
    assert trainer.callback_metrics["train/accuracy"] > 0.6  # of three ways
    path = tmp_path / "checkpoints" / "best.ckpt"
    card = read_card(path)
    assert card.classes == data.train_classes
    assert card.data["test_classes"] == data.part("test").classes
    assert card.data["is_synthetic"] is True
    assert card.metrics.keys() >= {"val/accuracy", "val/ci95", "train/loss"}
    assert load_head(path).settings()["distance"] == "cosine"

    last = load_encoder(tmp_path / "checkpoints" / "last.ckpt")
    for name, value in learner.encoder.state_dict().items():
        assert torch.equal(last.state_dict()[name], value), name


def test_validation_is_an_evaluation_of_the_embedded_clips(make_learner, make_data, make_trainer) -> None:
    learner, data, trainer = make_learner(), make_data(), make_trainer(max_epochs=1)
    trainer.fit(learner, datamodule=data)
    part = data.part("val")
    expected = evaluate_episodes(
        embed_dataset(learner.encoder, part, duration=0.2, max_windows=2), part.targets, learner.head, 2, 2, 4, 50,
        seed=1, groups=part.groups,
    )  # fmt: skip
    assert trainer.callback_metrics["val/accuracy"].item() == pytest.approx(expected.mean)
    assert trainer.callback_metrics["val/ci95"].item() == pytest.approx(expected.ci95)
    trainer.test(learner, datamodule=data, verbose=False)
    assert learner.report.class_names == data.part("test").classes


def test_training_step_is_the_mean_over_its_episodes(make_learner, make_data, make_trainer) -> None:
    learner, data = make_learner(), make_data(episodes_per_step=3)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(learner, datamodule=data)
    batch: Episode = next(iter(data.train_dataloader()))
    assert batch.support.shape[:2] == (3, 6)
    losses = []
    learner.train()
    for i in range(3):
        z_support, z_query = learner.encoder(batch.support[i]), learner.encoder(batch.query[i])
        logits = learner.head(z_support, batch.support_targets[i], z_query)
        losses.append(torch.nn.functional.cross_entropy(logits, batch.query_targets[i]))
    torch.testing.assert_close(step_of(learner)(batch), torch.stack(losses).mean())


def test_a_step_by_hand_needs_no_trainer(make_learner, make_data) -> None:
    learner, data = make_learner(), make_data()
    data.setup_for(learner.encoder)
    batch = next(iter(data.train_dataloader()))
    learner.log = lambda *_, **__: None
    assert torch.isfinite(learner.train().training_step(batch, 0))


def test_epochs_see_different_episodes_and_runs_the_same(make_learner, make_data, make_trainer) -> None:
    seen: list[list[torch.Tensor]] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
            seen[-1].append(batch.query.clone())

    weights = []
    for _ in range(2):
        seen.append([])
        learner = make_learner()
        make_trainer(callbacks=[Watch()], enable_checkpointing=False).fit(learner, datamodule=make_data())
        weights.append(learner.encoder.state_dict())
    assert len(seen[0]) == 12
    for a, b in zip(*seen, strict=True):
        assert torch.equal(a, b)
    for i, a in enumerate(seen[0]):
        assert not any(torch.equal(a, b) for b in seen[0][i + 1 :])
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])


class _Interrupted(Exception):
    pass


class _StopAt(pl.Callback):
    def __init__(self, step: int) -> None:
        self._step = step

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self._step:
            raise _Interrupted


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("step", [6, 9, 12], ids=["end of an epoch", "middle of an epoch", "end of a later epoch"])
def test_resumes_bit_for_bit(make_learner, make_data, make_trainer, tmp_path: Path, step: int, workers: int) -> None:
    def callbacks(folder: str) -> list[pl.Callback]:
        every = 6 if step % 6 == 0 else 3
        return [ModelCheckpoint(tmp_path / folder, "{step}", save_top_k=-1, every_n_train_steps=every)]

    def data():
        return make_data(augment=True, num_workers=workers)

    whole = make_learner()
    make_trainer(max_epochs=3, callbacks=callbacks("whole")).fit(whole, datamodule=data())

    stopped = make_learner()
    with pytest.raises(_Interrupted):
        make_trainer(max_epochs=3, callbacks=[*callbacks("stopped"), _StopAt(step + 1 if step < 12 else 13)]).fit(
            stopped, datamodule=data()
        )
    resumed = make_learner()
    trainer = make_trainer(max_epochs=3, callbacks=callbacks("resumed"))
    trainer.fit(resumed, datamodule=data(), ckpt_path=tmp_path / "stopped" / f"step={step}.ckpt")
    assert trainer.global_step == 18
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_resumes_bit_for_bit_from_last(make_learner, make_data, make_trainer, tmp_path: Path) -> None:
    whole = make_learner(learning_rate=1e-3)
    make_trainer(max_epochs=4).fit(whole, datamodule=make_data())
    stopped = make_learner(learning_rate=1e-3)
    trainer = make_trainer(max_epochs=4, callbacks=[ModelCheckpoint(tmp_path / "l", save_last=True), _StopAt(15)])
    with pytest.raises(_Interrupted):
        trainer.fit(stopped, datamodule=make_data())
    resumed = make_learner(learning_rate=1e-3)
    make_trainer(max_epochs=4).fit(resumed, datamodule=make_data(), ckpt_path=tmp_path / "l" / "last.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_logs_and_early_stopping(make_learner, make_data, make_trainer, tmp_path: Path) -> None:
    loggers = [TensorBoardLogger(tmp_path, name="run"), CSVLogger(tmp_path, name="csv")]
    callbacks = [
        EarlyStopping("val/accuracy", mode="max", patience=1, min_delta=2.0),  # nothing improves by 2
        LearningRateMonitor("step"),
    ]
    trainer = make_trainer(max_epochs=9, logger=loggers, callbacks=callbacks, log_every_n_steps=1)
    trainer.fit(make_learner(), datamodule=make_data())
    assert trainer.current_epoch == 2
    with Path(loggers[1].log_dir, "metrics.csv").open() as file:
        columns = next(csv.reader(file))
    assert {"train/loss", "train/accuracy", "val/accuracy", "val/ci95"} <= set(columns)
    assert any(name.startswith("lr-") for name in columns)
    assert list(Path(loggers[0].log_dir).glob("events.out.tfevents.*"))


def test_learning_rate_goes_up_and_down(make_learner, make_data, make_trainer) -> None:
    rates = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    make_trainer(max_epochs=5, callbacks=[Watch()], enable_checkpointing=False).fit(
        make_learner(), datamodule=make_data()
    )
    assert max(rates) == pytest.approx(3e-3, rel=0.05)
    assert rates[0] < max(rates) / 10
    assert rates[-1] < max(rates) / 10


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 6, 10])
def test_any_number_of_steps_has_a_learning_rate(make_learner, make_data, make_trainer, steps: int) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(make_learner(), datamodule=make_data(episodes_per_epoch=steps))
    assert trainer.global_step == steps


def test_biases_and_temperature_are_not_decayed(make_learner, make_data, make_trainer) -> None:
    learner, trainer = make_learner(weight_decay=0.5), make_trainer(max_epochs=1)
    trainer.fit(learner, datamodule=make_data())
    decayed, others = trainer.optimizers[0].param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.5, 0.0)
    assert all(parameter.dim() > 1 for parameter in decayed["params"])
    assert any(parameter is learner.head.log_temperature for parameter in others["params"])


def test_mixed_precision(make_learner, make_data, make_trainer) -> None:
    trainer = make_trainer(max_epochs=1, precision="bf16-mixed")
    trainer.fit(make_learner(), datamodule=make_data())
    assert math.isfinite(trainer.callback_metrics["train/loss"])


def test_waves_go_through_the_front_end(make_learner, make_data, make_trainer, make_tones) -> None:
    learner = make_learner()
    episodes = EpisodeDataset(make_tones(n_classes=7).with_length(3200), 3, 2, 2, 2)
    episode = episodes[0]
    batch = Episode(*(part.unsqueeze(0) if isinstance(part, torch.Tensor) else [part] for part in episode))
    make_trainer(max_epochs=1).fit(learner, datamodule=make_data())
    assert step_of(learner)(batch).requires_grad


def test_without_its_data_module(make_learner, make_trainer) -> None:
    with pytest.raises(InputError, match="needs its data from EpisodicData"):
        make_trainer().test(make_learner(), dataloaders=[[torch.zeros(1, 1, 3200)]], verbose=False)


def test_numbers_out_of_range(make_learner) -> None:
    with pytest.raises(InputError, match="learning_rate is 0"):
        make_learner(learning_rate=0)


def test_no_operator_without_a_backward_on_apple_gpus(make_learner, make_data, make_trainer) -> None:
    """The backward of cdist does not exist there; a training step must not use it."""
    learner, data = make_learner(), make_data()
    make_trainer(max_epochs=1).fit(learner, datamodule=data)
    from torch.utils._python_dispatch import TorchDispatchMode

    used = set()

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            used.add(str(func))
            return func(*args, **(kwargs or {}))

    with Record():
        step_of(learner)(next(iter(data.train_dataloader()))).backward()
    assert any("mm" in name for name in used)
    assert not any("cdist" in name for name in used)


def test_public_name() -> None:
    import musicfsl

    assert musicfsl.EpisodicLearner is EpisodicLearner
