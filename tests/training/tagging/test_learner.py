from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import load_encoder
from musicfsl.errors import CheckpointError, InputError
from musicfsl.multilabel import report_tags, tag_scores, tune_thresholds
from musicfsl.multilabel.losses import MultiLabelLoss
from musicfsl.tagging import Tagger, load_tagger, read_tagger_card, tag_dataset
from musicfsl.training.tagging import SpecAugment, TaggingLearner, fit_tagger, fit_tagger_once, mix_up


@pytest.fixture
def testing(make_chords):
    """Longer excerpts with several labels."""
    return make_chords(12, seed=1, several=True, seconds=1.0)


def test_learns_and_tests_excerpts_of_another_kind(make_learner, make_data, make_trainer, testing) -> None:
    learner, data = make_learner(), make_data(testing=testing)
    trainer = make_trainer(max_epochs=4)
    trainer.fit(learner, datamodule=data)
    assert trainer.callback_metrics["val/map"] > 0.9
    assert [found["epoch"] for found in learner.history] == [0, 1, 2, 3]
    trainer.test(learner, datamodule=data, verbose=False)
    probabilities = tag_dataset(learner.tagger, data.part("test"))
    expected = report_tags(probabilities, testing.targets, testing.classes, 0.6, is_synthetic=True)
    assert learner.report.map.value == pytest.approx(expected.map.value)
    assert learner.report.micro_f1 == pytest.approx(expected.micro_f1)
    tuned = learner.tagger.tuned_thresholds.numpy()
    expected = report_tags(probabilities, testing.targets, testing.classes, tuned, is_synthetic=True)
    assert learner.tuned_report.macro_f1.value == pytest.approx(expected.macro_f1.value)


def test_validation_measures_excerpts(make_learner, make_data, make_trainer) -> None:
    learner, data, trainer = make_learner(decision="max", threshold=0.4), make_data(), make_trainer(max_epochs=1)
    trainer.fit(learner, datamodule=data)
    val = data.part("val")
    probabilities = tag_dataset(learner.tagger, val, decision="max")
    expected = tag_scores(probabilities, val.targets, 0.4)
    for name in ("map", "micro_f1", "macro_f1"):
        assert float(trainer.callback_metrics[f"val/{name}"]) == pytest.approx(expected[name], abs=1e-6)
    tuned = tune_thresholds(probabilities, val.targets, val.classes, 0.4)
    assert learner.tagger.tuned_thresholds.tolist() == pytest.approx(tuned.tolist(), abs=1e-6)
    assert learner.tagger.thresholds.tolist() == pytest.approx([0.4] * 3)
    assert trainer.callback_metrics.keys() >= {"train/loss", "val/loss"}


def test_a_step_is_the_loss_of_augmented_features(make_learner, make_data) -> None:
    augment = SpecAugment()
    learner = make_learner(classes=["low", "middle", "high"], loss="asymmetric", label_smoothing=0.1, mixup=0.4,
                           spec_augment=augment, loss_settings={"margin": 0.1}, seed=5)  # fmt: skip
    data = make_data()
    data.setup_for(learner.encoder)
    batch = next(iter(data.train_dataloader()))
    learner.log = lambda *_, **__: None
    found = learner.training_step(batch, 0)
    rng = np.random.default_rng((5, batch.number))
    x, y = mix_up(augment(batch.x, rng), batch.targets.float(), 0.4, rng)
    torch.testing.assert_close(found, MultiLabelLoss("asymmetric", 0.1, margin=0.1)(learner(x), y))
    again = learner.training_step(batch, 0)
    assert torch.equal(found, again)
    assert not torch.equal(found, learner.training_step(batch._replace(number=batch.number + 1), 0))


def test_a_run_is_a_function_of_its_seeds(make_learner, make_data, make_trainer) -> None:
    def run(seed: int) -> dict[str, torch.Tensor]:
        learner = make_learner(seed=seed, dropout=0.3, mixup=0.3, spec_augment=SpecAugment())
        make_trainer().fit(learner, datamodule=make_data(seed=seed))
        return learner.state_dict()

    torch.manual_seed(1)
    first = run(0)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    again, other = run(0), run(1)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["tagger.classifier.weight"], other["tagger.classifier.weight"])


def test_a_run_leaves_the_global_random_state_alone(make_learner, make_data, make_trainer) -> None:
    learner = make_learner(dropout=0.3, mixup=0.3, spec_augment=SpecAugment())
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    make_trainer().fit(learner, datamodule=make_data())
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]


def test_balanced_weights_are_those_of_the_training_excerpts(
    make_chords, make_learner, make_data, make_trainer
) -> None:
    clips = make_chords(n=45)
    rare = clips.subset(indices=np.flatnonzero((clips.targets[:, 2] == 0) | (clips.groups < 9)))
    learner, data = make_learner(class_weights="balanced"), make_data(rare)
    make_trainer(max_epochs=1).fit(learner, datamodule=data)
    counts = data.part("train").targets.sum(axis=0)
    expected = counts.sum() / (3 * counts)
    assert learner.loss.class_weights.tolist() == pytest.approx(expected.tolist())

    without = make_chords()
    without.targets[:, 1] = 0
    with (
        pytest.warns(UserWarning, match="no excerpt for 'train' has the class 'middle'"),
        pytest.raises(InputError, match="no training item has the class 'middle'"),
    ):
        make_trainer().fit(
            make_learner(class_weights="balanced"), datamodule=make_data(without, validation=make_chords())
        )


def test_classes_that_validation_lacks_do_not_stop_training(make_chords, make_learner, make_data, make_trainer) -> None:
    validation = make_chords(9, seed=3)
    validation.targets[:] = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=np.uint8)[np.arange(9) % 3]
    learner, trainer = make_learner(), make_trainer(max_epochs=1)
    with pytest.warns(UserWarning, match="for 'val' has the class 'high'"):
        trainer.fit(learner, datamodule=make_data(validation=validation))
    assert learner.tagger.tuned_thresholds[2].item() == pytest.approx(0.6)
    assert 0 < trainer.callback_metrics["val/map"] <= 1


def test_checkpoints_open_without_the_training_code(make_learner, make_data, make_trainer, tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path / "k", "last")
    learner, data = make_learner(dropout=0.1), make_data()
    make_trainer(callbacks=[keep]).fit(learner, datamodule=data)
    path = tmp_path / "k" / "last.ckpt"
    tagger, card = load_tagger(path), read_tagger_card(path)
    x = data.part("val")[0][0][None]
    learner.eval()
    assert torch.equal(tagger(x), learner(x))
    assert torch.equal(load_encoder(path)(x), learner.encoder(x))
    assert torch.equal(tagger.tuned_thresholds, learner.tagger.tuned_thresholds)
    assert card.classes == ["low", "middle", "high"] and card.duration == 0.4
    assert card.data["name"] == "chords" and card.data["is_synthetic"] is True
    assert card.data["n_excerpts"] == {"train": len(data.part("train")), "val": len(data.part("val"))}
    assert card.data["history"] == learner.history
    assert card.metrics.keys() >= {"val/map", "val/micro_f1", "val/macro_f1", "train/loss"}

    other = make_learner()  # taken from the file for a test of its own
    trainer = make_trainer()
    trainer.validate(other, datamodule=make_data(), ckpt_path=path, verbose=False)
    assert torch.equal(other.tagger.classifier.weight, learner.tagger.classifier.weight)
    assert other.history == learner.history

    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.0.0"}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"other.ckpt is no checkpoint of a tagger"):
        make_trainer().validate(
            make_learner(), datamodule=make_data(), ckpt_path=tmp_path / "other.ckpt", verbose=False
        )


def test_a_tagger_may_be_trained_further(make_encoder, make_data, make_trainer) -> None:
    tagger = Tagger(make_encoder(), ["low", "middle", "high"]).eval()
    learner = TaggingLearner(tagger)
    make_trainer(max_epochs=1).fit(learner, datamodule=make_data())
    assert learner.tagger is tagger and tagger.duration == 0.4
    wrong = TaggingLearner(make_encoder(), ["high", "low"])
    with pytest.raises(InputError, match="the tagger knows \\['high', 'low'\\], but the data has"):
        make_trainer().fit(wrong, datamodule=make_data())
    with pytest.raises(InputError, match="needs its data from TaggingData"):
        make_trainer().test(TaggingLearner(tagger), dataloaders=[torch.zeros(1)], verbose=False)


def test_fit_tagger_keeps_the_best_epoch(make_learner, make_data, tmp_path: Path) -> None:
    found = fit_tagger(make_learner(), make_data(), 3, 1, tmp_path / "run", progress=False)
    assert found.path == tmp_path / "run" / "best.ckpt"
    assert len(found.history) == 3
    assert [entry["learning_rate"] for entry in found.history] == [1e-2, 1e-4, 1e-4]
    best = max(found.history, key=lambda entry: entry["val/map"])
    data = make_data()
    data.setup_for(found.tagger.encoder)
    val = data.part("val")
    assert tag_scores(tag_dataset(found.tagger, val), val.targets)["map"] == pytest.approx(best["val/map"])

    short = fit_tagger(make_learner(), make_data(), 2, 1, tmp_path / "short", progress=False)
    longer = fit_tagger(
        make_learner(), make_data(), 3, 1, tmp_path / "more", resume_from=short.path.with_name("last.ckpt"),
        progress=False,
    )  # fmt: skip
    assert longer.history == found.history
    with pytest.raises(CheckpointError, match="does not exist"):
        fit_tagger(make_learner(), make_data(), 2, folder=tmp_path, resume_from=tmp_path / "no.ckpt", progress=False)


def test_fit_tagger_once_trains_once(make_learner, make_data, tmp_path: Path, monkeypatch) -> None:
    first = fit_tagger_once(make_learner(), make_data(), 2, cache_dir=tmp_path, progress=False)
    monkeypatch.setattr(pl.Trainer, "fit", lambda *_, **__: pytest.fail("it was trained again"))
    data = make_data()
    again = fit_tagger_once(make_learner(), data, 2, cache_dir=tmp_path, progress=False)
    assert again.path == first.path and again.history == first.history and len(again.history) == 2
    assert torch.equal(again.tagger.tuned_thresholds, first.tagger.tuned_thresholds)
    assert data.part("val").classes == again.tagger.classes
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        fit_tagger_once(make_learner(mixup=0.1), make_data(), 2, cache_dir=tmp_path, progress=False)
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        fit_tagger_once(make_learner(), make_data(), 2, 1, cache_dir=tmp_path, progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"fine_tuning_learning_rate": -1.0}, "fine_tuning_learning_rate is -1"),
        ({"mixup": -0.1}, "mixup -0.1"),
        ({"threshold": 1.0}, "threshold is 1"),
        ({"class_weights": "even"}, "class_weights is 'even'"),
        ({"loss": "bcc"}, "Did you mean 'bce'"),
        ({"loss_settings": {"gamma": 1.0}}, "does not take these settings"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1"),
        ({"decision": "median"}, "no decision 'median'"),
    ],
)
def test_settings_out_of_range(make_learner, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_learner(**arguments)


def test_classes_of_a_tagger_are_its_own() -> None:
    tagger = Tagger(ConvEncoder(), ["a", "b"])
    with pytest.raises(InputError, match="leave them out"):
        TaggingLearner(tagger, ["b", "a"])
