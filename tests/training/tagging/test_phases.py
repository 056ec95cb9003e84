from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from musicfsl.backbones import PannsMultiBand
from musicfsl.errors import InputError
from musicfsl.training import EpisodicLearner, TwoPhases
from musicfsl.training.tagging import SpecAugment, TaggingLearner

STEPS = 6  # an epoch: 27 or 28 training excerpts in batches of 5


@pytest.fixture
def make_run(make_chords, make_data, make_learner, make_panns, make_trainer) -> Callable[..., TaggingLearner]:
    """Trains the small PANNs in two phases, four epochs of which the first two are phase one."""

    def run(
        callbacks: list[Any] | None = None, unfreeze_at_epoch: int = 2, ckpt_path: Any = None, max_epochs: int = 4
    ) -> TaggingLearner:
        learner = make_learner(
            make_panns(), learning_rate=1e-3, fine_tuning_learning_rate=1e-4, dropout=0.2, mixup=0.3,
            spec_augment=SpecAugment(),
        )  # fmt: skip
        trainer = make_trainer(max_epochs=max_epochs, callbacks=[*(callbacks or []), TwoPhases(unfreeze_at_epoch)])
        trainer.fit(learner, datamodule=make_data(make_chords(sample_rate=22050)), ckpt_path=ckpt_path)
        return learner

    return run


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


class Watch(pl.Callback):
    """What the frozen part, the new parts and the learning rates are after every step."""

    def __init__(self) -> None:
        self.trunk: list[dict[str, Tensor]] = []
        self.new: list[dict[str, Tensor]] = []
        self.rates: list[list[float]] = []
        self.modes: list[set[bool]] = []

    def _look(self, learner: TaggingLearner) -> None:
        backbone = learner.encoder.backbone
        self.trunk.append(copied(backbone.trunk))
        self.new.append(
            copied(backbone.fusion) | {"scale": backbone.weight.detach().clone()} | copied(learner.tagger.classifier)
        )

    def on_train_start(self, trainer, module) -> None:
        self._look(module)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self._look(module)
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])
        self.modes.append({part.training for part in module.encoder.backbone.trunk.modules()})


def test_phase_one_leaves_the_frozen_part_alone_and_phase_two_changes_it(make_run) -> None:
    watch = Watch()
    learner = make_run([watch])
    boundary = 2 * STEPS
    first, last = watch.trunk[0], watch.trunk[-1]
    statistics = next(name for name in first if name.endswith("running_mean"))
    for after in watch.trunk[: boundary + 1]:  # weights, statistics of batch norms, and how often dropout has drawn
        for name, value in first.items():
            assert torch.equal(after[name], value), name
    for before, after in zip(watch.trunk[boundary:], watch.trunk[boundary + 1 :], strict=False):
        assert not torch.equal(before[statistics], after[statistics])
    for name, value in learner.encoder.backbone.trunk.named_parameters():
        assert not torch.equal(value, first[name]), f"{name} was not trained in phase two"
    assert last.keys() == first.keys()
    for phase in (watch.new[: boundary + 1], watch.new[boundary:]):
        for name in ("scale", "weight", "0.weight"):
            assert not torch.equal(phase[0][name], phase[-1][name]), name
    assert watch.modes == [{False}] * boundary + [{True}] * boundary


def test_learning_rates_by_phase(make_run) -> None:
    watch = Watch()
    make_run([watch])
    assert watch.rates == [[1e-3]] * 2 * STEPS + [[1e-4, 1e-4]] * 2 * STEPS
    everything = Watch()
    make_run([everything], unfreeze_at_epoch=0, max_epochs=1)
    assert everything.rates == [[1e-4, 1e-4]] * STEPS
    assert everything.modes == [{True}] * STEPS


def test_every_weight_is_trained_once(make_run) -> None:
    trained: list[list[int]] = []

    class Count(pl.Callback):
        def on_train_end(self, trainer, module) -> None:
            groups = trainer.optimizers[0].param_groups
            trained.append([id(parameter) for group in groups for parameter in group["params"]])

    learner = make_run([Count()], unfreeze_at_epoch=1, max_epochs=2)
    # Fresh batch norms have equal values; none of them may be taken for another.
    assert sorted(trained[0]) == sorted(id(parameter) for parameter in learner.parameters())


class Whole(NamedTuple):
    """An uninterrupted run, with a checkpoint of every step and one of every epoch's end."""

    weights: dict[str, Tensor]
    history: list[dict[str, float]]
    folder: Path


@pytest.fixture(scope="module")
def kept() -> dict[str, Whole]:
    return {}


@pytest.fixture
def whole(make_run, kept, tmp_path: Path) -> Whole:
    if not kept:
        steps = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=1)
        epochs = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, every_n_epochs=1)
        learner = make_run([steps, epochs])
        kept["whole"] = Whole(copied(learner), learner.history, tmp_path)
    return kept["whole"]


@pytest.mark.parametrize(
    ("checkpoint", "validations"),
    [
        ("step=9", [0, 1, 2, 3]),  # within phase one
        # Between an epoch's last step and its validation: Lightning does not make up for the validation.
        ("step=12", [0, 2, 3]),
        ("epoch=1", [0, 1, 2, 3]),  # the end of phase one
        ("step=13", [0, 1, 2, 3]),  # the first step of phase two
        ("step=16", [0, 1, 2, 3]),  # within phase two
        ("step=18", [0, 1, 3]),
        ("epoch=2", [0, 1, 2, 3]),
    ],
)
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    make_run, whole: Whole, checkpoint: str, validations: list[int]
) -> None:
    watch = Watch()
    resumed = make_run([watch], ckpt_path=whole.folder / f"{checkpoint}.ckpt")
    kind, _, number = checkpoint.partition("=")
    assert len(watch.rates) == 4 * STEPS - (int(number) if kind == "step" else (int(number) + 1) * STEPS)
    for name, value in whole.weights.items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert [whole.history[epoch] for epoch in validations] == resumed.history


def test_a_test_freezes_nothing(make_run, make_chords, make_data, make_trainer) -> None:
    learner = make_run(unfreeze_at_epoch=1, max_epochs=2)
    data = make_data(make_chords(sample_rate=22050), testing=make_chords(12, 1, True, 1.0, 22050))
    make_trainer(callbacks=[TwoPhases(5)]).test(learner, datamodule=data, verbose=False)
    assert all(parameter.requires_grad for parameter in learner.parameters())


def test_mistakes(make_learner, make_data, make_trainer, make_encoder, monkeypatch) -> None:
    with pytest.raises(InputError, match="unfreeze_at_epoch is -1"):
        TwoPhases(-1)
    other = EpisodicLearner(make_encoder())
    with pytest.raises(InputError, match="TwoPhases trains a TaggingLearner, not a EpisodicLearner"):
        make_trainer(callbacks=[TwoPhases()]).fit(other, datamodule=make_data())
    monkeypatch.setattr(pl.Trainer, "world_size", property(lambda self: 2))
    with pytest.raises(InputError, match="in one process, but there are 2"):
        TwoPhases().setup(make_trainer(), make_learner(), "fit")


def test_frozen_parts_are_what_the_encoder_says(make_panns) -> None:
    encoder: PannsMultiBand = make_panns()
    assert encoder.pretrained_parts() == [encoder.backbone.trunk]
