from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from musicfsl.backbones import ConvEncoder
from musicfsl.embedding import embed_dataset
from musicfsl.errors import InputError
from musicfsl.training import ZeroShotData, ZeroShotLearner, fit_zeroshot, pretrain_encoder
from musicfsl.training.zeroshot.clips import ClipBatch
from musicfsl.zeroshot.evaluation import evaluate_zeroshot
from musicfsl.zeroshot.losses import random_negatives
from musicfsl.zeroshot.projection import ZeroShotModel
from musicfsl.zeroshot.side_information import SideInformation, UnknownNameError
from musicfsl.zeroshot.splits import ClassSplit

SMALL = {"n_mels": 32, "n_fft": 512, "widths": (8, 8, 8, 8)}


class Partials(SideInformation):
    """What is known of tones: about how many partials they have. ``order`` deals the vectors out to other classes."""

    kind, dim = "partials", 12

    def __init__(self, order: list[int] | None = None) -> None:
        self.order = list(range(12)) if order is None else order

    def vector(self, name: str) -> NDArray[np.float32]:
        number = name.rpartition("-")[2]
        if not number.isdigit() or int(number) >= 12:
            raise UnknownNameError(f"no number of partials is known of '{name}'")
        return np.exp(-((np.arange(12) - self.order[int(number)]) ** 2) / 4).astype(np.float32)

    def known_names(self) -> list[str]:
        return [f"tones-{i}" for i in range(12)]

    def provenance(self) -> dict[str, Any]:
        return {"kind": self.kind}


@pytest.fixture
def make_zeroshot_data(make_tones, tmp_path: Path) -> Callable[..., ZeroShotData]:
    def make(dataset: Any = None, side: SideInformation | None = None, **arguments: Any) -> ZeroShotData:
        small = {
            "unseen": ["tones-3", "tones-8"],
            "val_classes": ["tones-1", "tones-6"],
            "batch_size": 16,
            "duration": 0.2,
            "max_windows": 2,
            "cache_dir": str(tmp_path / "cache"),
        }
        if {"split", "n_unseen"} & arguments.keys():
            small |= {"unseen": None, "val_classes": None}
        tones = make_tones(n_classes=12) if dataset is None else dataset
        return ZeroShotData(tones, side or Partials(), **{**small, **arguments})

    return make


def make_zeroshot_learner(**arguments: Any) -> ZeroShotLearner:
    encoder = ConvEncoder(**SMALL)
    return ZeroShotLearner(ZeroShotModel(encoder, 12, dim=16), **{"learning_rate": 1e-2, **arguments})


def origins(data: ZeroShotData, part: str) -> set[int]:
    """Positions of a part's clips in the whole data set."""
    clips = data.part(part)
    return {*clips.dataset.indices[clips.indices].tolist()}


class TestParts:
    def test_what_is_for_what(self, make_zeroshot_data) -> None:
        data = make_zeroshot_data()
        data.setup_for(ConvEncoder(**SMALL))
        train, val, test = (data.part(part) for part in ("train", "val", "test"))
        assert not {*train.classes} & {"tones-3", "tones-8", "tones-1", "tones-6"}
        assert val.classes == [*train.classes, "tones-1", "tones-6"]
        assert test.classes[-2:] == ["tones-3", "tones-8"]
        used = {name: {*clips.indices} for name, clips in (("train", train), ("val", val), ("test", test))}
        assert not used["train"] & used["val"]
        assert not used["test"] & (used["train"] | used["val"])
        # Of four groups a class, one is for the test and one for validation; no player stands on two sides.
        assert not {*train.groups} & {*val.groups}
        assert not {*test.groups} & {*train.groups, *val.groups}
        assert [len({*test.groups[test.targets == c]}) for c in range(12)] == [1] * 10 + [4] * 2

    def test_a_refit_has_all_but_the_test(self, make_zeroshot_data) -> None:
        data = make_zeroshot_data()
        data.setup_for(ConvEncoder(**SMALL))
        again = data.for_refit()
        assert again.train_classes == list(data.split.seen)
        assert again.val_classes == []
        train, test = again.part("train"), again.part("test")
        assert not {*train.indices} & {*test.indices}
        assert len(train) + len(test) == 12 * 24
        assert {*test.indices} == {*data.part("test").indices}
        assert data.val_classes == ["tones-1", "tones-6"]  # which is left as it was

    def test_stored_embeddings_are_those_of_the_part_and_of_the_encoder(self, make_zeroshot_data) -> None:
        data, encoder, other = make_zeroshot_data(), ConvEncoder(**SMALL), ConvEncoder(**SMALL, seed=1)
        data.setup_for(encoder)
        for part in ("train", "val", "test"):
            expected = embed_dataset(encoder, data.part(part), 0.2, 2)
            torch.testing.assert_close(data.embeddings(part, encoder), expected)
        assert data.embeddings("test", other) is None
        data.setup_for(other)
        torch.testing.assert_close(data.embeddings("test", other), embed_dataset(other, data.part("test"), 0.2, 2))

    def test_folds_of_a_published_split(self, make_zeroshot_data, make_tones) -> None:
        tones = make_tones(n_classes=4)
        tones.fold = np.arange(len(tones)) % 5
        split = ClassSplit("f", ("tones-0", "tones-2"), ("tones-1", "tones-3"), test_folds=(4,))
        data = make_zeroshot_data(tones, split=split)
        data.setup_for(ConvEncoder(**SMALL))
        test = data.part("test")
        of_seen = data.part("test").targets < 2
        origin = test.dataset.indices[test.indices]
        assert (tones.fold[origin[of_seen]] == 4).all()
        assert (~of_seen).sum() == 48

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"unseen": ["tones-3", "tones-80"]}, "no class 'tones-80'"),
            ({"val_classes": ["tones-3", "tones-1"]}, "'tones-3' is unseen, so it cannot serve validation"),
            ({"split": "tinysol-words"}, "has no class 'French Horn'"),
            ({"n_unseen": 11}, "n_unseen is 11 of 12 classes"),
        ],
    )
    def test_impossible_classes(self, make_zeroshot_data, arguments, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make_zeroshot_data(**arguments).setup_for(ConvEncoder(**SMALL))

    def test_other_mistakes(self, make_zeroshot_data, make_tones) -> None:
        with pytest.raises(InputError, match="split, unseen and n_unseen each choose"):
            ZeroShotData("synthetic", n_unseen=3, unseen=["Harp", "Oboe"])
        with pytest.raises(InputError, match="duration is 0"):
            make_zeroshot_data(duration=0)
        with pytest.raises(InputError, match="expected no single text"):
            make_zeroshot_data(unseen="tones-3")
        with pytest.raises(InputError, match="the data is not set up"):
            make_zeroshot_data().part("train")
        with pytest.raises(InputError, match="takes its front end from the learner's encoder"):
            make_zeroshot_data().setup()
        with pytest.raises(UnknownNameError, match="'tones-12'"):
            make_zeroshot_data(make_tones(n_classes=13)).setup_for(ConvEncoder(**SMALL))
        data = make_zeroshot_data()
        data.setup_for(ConvEncoder(**SMALL))
        with pytest.raises(InputError, match="another front end"):
            data.setup_for(ConvEncoder())

    def test_settings_make_the_same_parts_again(self, make_zeroshot_data) -> None:
        data = make_zeroshot_data(seed=3)
        data.setup_for(ConvEncoder(**SMALL))
        settings = json.loads(json.dumps(data.settings()))
        split = ClassSplit.from_dict(settings.pop("split"))
        again = ZeroShotData(data.source, data.side, split, **settings, cache_dir=data.cache_dir)
        again.setup_for(ConvEncoder(**SMALL))
        for part in ("train", "val", "test"):
            assert origins(again, part) == origins(data, part)
        assert data.describe()["fingerprint"] == again.describe()["fingerprint"]


class TestLearner:
    @pytest.mark.parametrize("loss", ["softmax", "triplet"])
    def test_a_step_is_the_loss_over_all_training_classes(self, make_zeroshot_data, make_trainer, loss: str) -> None:
        data, learner = make_zeroshot_data(), make_zeroshot_learner(loss=loss, dropout=0.0, margin=0.7)
        make_trainer(max_epochs=1, callbacks=[], enable_checkpointing=False).fit(learner, datamodule=data)
        learner.log = lambda *_, **__: None
        batch: ClipBatch = data.train_dataloader().dataset[5]
        model, names = learner.model, data.train_classes
        a, c = model.embed_audio(batch.x), model.embed_classes(data.side_vectors(names))
        losses = []
        negatives = random_negatives(
            batch.targets, len(names), torch.Generator().manual_seed(learner.global_step)
        )  # the learner's seed is 0
        for i, y in enumerate(batch.targets):
            cosines = torch.stack([torch.cosine_similarity(a[i], k, dim=0) for k in c])
            if loss == "triplet":
                losses.append((0.7 - cosines[y] + cosines[negatives[i]]).clamp(min=0))
            else:
                losses.append(-torch.log_softmax(cosines * model.log_temperature.exp(), 0)[y])
        torch.testing.assert_close(learner.training_step(batch, 0), torch.stack(losses).mean())

    def test_side_vectors_are_scaled_by_the_training_classes_alone(self, make_zeroshot_data, make_trainer) -> None:
        data, learner = make_zeroshot_data(), make_zeroshot_learner()
        make_trainer(max_epochs=1, callbacks=[], enable_checkpointing=False).fit(learner, datamodule=data)
        torch.testing.assert_close(learner.model.side_scale.mean, data.side_vectors(data.train_classes).mean(0))
        z = data.embeddings("train", learner.model.encoder)
        torch.testing.assert_close(learner.model.audio_scale.mean, z.mean(0), atol=1e-5, rtol=1e-4)

    def test_validation_is_the_evaluation_of_its_part(self, make_zeroshot_data, make_trainer) -> None:
        data, learner = make_zeroshot_data(), make_zeroshot_learner()
        trainer = make_trainer(max_epochs=2, callbacks=[], enable_checkpointing=False)
        trainer.fit(learner, datamodule=data)
        val = data.part("val")
        report = evaluate_zeroshot(
            data.scores(learner.model, "val"), val.targets, val.classes, data.val_classes, n_bootstrap=2
        )
        found = learner.history[-1]
        assert len(learner.history) == 2
        assert found.score == pytest.approx(report.area.value)
        assert (found.seen, found.zero_shot) == pytest.approx((report.seen.value, report.zero_shot.value))
        assert found.calibration == pytest.approx(report.curve.best_calibration())
        assert trainer.callback_metrics["val/score"].item() == pytest.approx(found.score)

    def test_without_validation_classes_held_out_clips_serve(self, make_zeroshot_data, make_trainer) -> None:
        data, learner = make_zeroshot_data(val_classes=0), make_zeroshot_learner()
        make_trainer(max_epochs=1, callbacks=[], enable_checkpointing=False).fit(learner, datamodule=data)
        scores, val = data.scores(learner.model, "val"), data.part("val")
        recalls = [np.mean(scores[val.targets == c].argmax(1) == c) for c in range(10)]
        assert learner.history[-1].score == pytest.approx(np.mean(recalls))
        assert learner.history[-1].calibration is None

    @pytest.mark.parametrize("train_encoder", [False, True])
    def test_what_is_trained(self, make_zeroshot_data, make_trainer, train_encoder: bool) -> None:
        data, learner = make_zeroshot_data(), make_zeroshot_learner(train_encoder=train_encoder)
        before = copy.deepcopy(learner.model.state_dict())
        make_trainer(max_epochs=1, callbacks=[], enable_checkpointing=False).fit(learner, datamodule=data)
        after = learner.model.state_dict()
        changed = {name.partition(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
        projections = {"audio_projection", "side_projection", "side_scale", "log_temperature"}
        assert changed == projections | ({"encoder"} if train_encoder else {"audio_scale"})
        shape = next(iter(data.train_dataloader())).x.shape
        assert len(shape) == (3 if train_encoder else 2)

    def test_embeddings_are_whitened_in_training_as_they_will_be_afterwards(self) -> None:
        learner = make_zeroshot_learner(train_encoder=True)
        encoder = learner.model.encoder
        generator = torch.Generator().manual_seed(0)
        encoder.whitening.fit(torch.rand(50, encoder.dim, generator=generator), torch.arange(50) % 3)
        x = torch.rand(4, 32, 20, generator=generator)
        expected = encoder.eval()(x)
        learner.train()
        torch.testing.assert_close(learner._embedded(x), expected)
        assert encoder.whitening.training  # is left as it was
        assert not torch.allclose(encoder(x), expected)  # what the encoder itself gives in training
        assert torch.equal(learner._embedded(expected), expected)

    def test_dropout_comes_from_the_seed_and_leaves_components_out(self) -> None:
        from musicfsl.training.zeroshot.learner import _Dropout

        x = torch.ones(200, 50)
        dropped = _Dropout(0.3, torch.Generator().manual_seed(0))(x)
        assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
        assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
        assert torch.equal(_Dropout(0.3, torch.Generator().manual_seed(0))(x), dropped)

    def test_numbers_out_of_range(self, make_trainer) -> None:
        with pytest.raises(InputError, match="loss is 'hinge'"):
            make_zeroshot_learner(loss="hinge")
        with pytest.raises(InputError, match="dropout 1"):
            make_zeroshot_learner(dropout=1.0)
        with pytest.raises(InputError, match="needs its data from ZeroShotData"):
            make_trainer().validate(make_zeroshot_learner(), dataloaders=[torch.zeros(1, 16)], verbose=False)


class TestFit:
    def test_it_recognises_classes_that_it_never_heard(self, make_zeroshot_data) -> None:
        data, learner = make_zeroshot_data(), make_zeroshot_learner(dropout=0.1)
        fitted = fit_zeroshot(learner, data, epochs=12, progress=False)
        report = data.evaluate(fitted.model, fitted.calibration, n_bootstrap=200)
        assert report.zero_shot.low > 0.5
        assert report.calibrated_harmonic.value > 2 * report.calibrated_harmonic.chance
        assert report.side_information == "partials"
        assert report.is_synthetic is True
        assert report.grouped

    def test_shuffled_side_information_falls_to_chance(self, make_zeroshot_data) -> None:
        def accuracy(side: Partials) -> float:
            data = make_zeroshot_data(side=side, unseen=["tones-2", "tones-5", "tones-8", "tones-10"], val_classes=0)
            fitted = fit_zeroshot(make_zeroshot_learner(dropout=0.1), data, epochs=5, refit=False, progress=False)
            return data.evaluate(fitted.model, n_bootstrap=2).zero_shot.value

        shuffled = [accuracy(Partials(np.random.default_rng(s).permutation(12).tolist())) for s in range(5)]
        assert np.mean(shuffled) == pytest.approx(0.25, abs=0.15)
        assert accuracy(Partials()) > 0.5

    def test_class_vectors_stay_where_they_are_whatever_the_unseen_classes_sound_like(
        self, make_zeroshot_data, make_tones
    ) -> None:
        """Exchanging all recordings of unseen classes moves no class vector, in training or afterwards."""

        class Exchanged(make_tones):
            def read(self, index: int, offset: int = 0, length: int | None = None) -> torch.Tensor:
                if self.targets[index] in (3, 8):
                    index = (index + 5 * 24) % (12 * 24)  # the clip of another class
                return super().read(index, offset, length)

            def fingerprint(self) -> str:
                return f"exchanged-{super().fingerprint()}"

        vectors, reports = [], []
        for tones in (make_tones(n_classes=12), Exchanged(n_classes=12)):
            data = make_zeroshot_data(tones)
            fitted = fit_zeroshot(make_zeroshot_learner(), data, epochs=3, progress=False)
            with torch.no_grad():
                vectors.append(fitted.model.embed_classes(data.side_vectors(data.split.classes)))
            reports.append(data.evaluate(fitted.model, n_bootstrap=2))
        assert torch.equal(vectors[0], vectors[1])
        assert reports[0].seen.value == reports[1].seen.value
        assert reports[0].zero_shot.value != reports[1].zero_shot.value

    def test_no_clip_of_an_unseen_class_and_none_of_the_test_is_read_in_training(
        self, make_zeroshot_data, monkeypatch
    ) -> None:
        data, learner = make_zeroshot_data(), make_zeroshot_learner(train_encoder=True)
        data.setup_for(learner.model.encoder, train_encoder=True)
        features = data.part("test").dataset.dataset  # under the subset of classes
        read: set[int] = set()
        original = type(features).read

        def spy(self, index: int, offset: int = 0, length: int | None = None):
            read.add(index)
            return original(self, index, offset, length)

        monkeypatch.setattr(type(features), "read", spy)
        fit_zeroshot(learner, data, epochs=2, progress=False)
        assert read
        assert not read & origins(data, "test")
        assert origins(data.for_refit(), "train") >= read

    def test_the_refit_goes_the_way_of_the_first_training(self, make_zeroshot_data) -> None:
        data = make_zeroshot_data()
        learner = make_zeroshot_learner(patience=0, factor=0.5)
        fitted = fit_zeroshot(learner, data, epochs=8, stop_after=8, progress=False)
        scores = [validation.score for validation in learner.history]
        assert fitted.epochs == scores.index(max(scores)) + 1
        assert fitted.validation == learner.history[fitted.epochs - 1]
        assert len({*learner.rates}) > 1  # patience 0 lowers the rate whenever there is no gain
        once_more = make_zeroshot_learner(learning_rates=learner.rates)
        again = fit_zeroshot(once_more, data, epochs=8, stop_after=8, refit=False, progress=False)
        assert once_more.rates == pytest.approx(learner.rates)
        assert again.model is once_more.model

    def test_the_same_training_twice(self, make_zeroshot_data) -> None:
        weights = []
        for _ in range(2):
            fitted = fit_zeroshot(make_zeroshot_learner(seed=4), make_zeroshot_data(), epochs=3, progress=False)
            weights.append(fitted.model.state_dict())
        for name, value in weights[0].items():
            assert torch.equal(value, weights[1][name]), name

    def test_without_a_refit_the_best_epoch_is_kept(self, make_zeroshot_data) -> None:
        data, learner = make_zeroshot_data(), make_zeroshot_learner()
        fitted = fit_zeroshot(learner, data, epochs=5, refit=False, progress=False)
        val = data.part("val")
        report = evaluate_zeroshot(
            data.scores(fitted.model, "val"), val.targets, val.classes, data.val_classes, n_bootstrap=2
        )
        assert report.area.value == pytest.approx(max(validation.score for validation in learner.history))

    def test_it_stops_early(self, make_zeroshot_data) -> None:
        learner = make_zeroshot_learner(learning_rate=1e-12)  # nothing is learned
        fit_zeroshot(learner, make_zeroshot_data(), epochs=50, stop_after=2, progress=False)
        assert len(learner.history) == 3
        with pytest.raises(InputError, match="epochs is 0"):
            fit_zeroshot(learner, make_zeroshot_data(), epochs=0)

    def test_pretraining_changes_the_encoder_and_fits_its_whitening(self, make_zeroshot_data) -> None:
        data, encoder = make_zeroshot_data(), ConvEncoder(**SMALL)
        data.setup_for(encoder, train_encoder=True)
        before = copy.deepcopy(encoder.state_dict())
        pretrain_encoder(encoder, data.part("train"), n_steps=2, duration=0.2, progress=False)
        assert not torch.equal(encoder.state_dict()["backbone.blocks.0.weight"], before["backbone.blocks.0.weight"])
        assert not torch.equal(encoder.whitening.matrix, torch.eye(encoder.dim))
        assert not encoder.training
        with pytest.raises(InputError, match="n_steps is 0"):
            pretrain_encoder(encoder, data.part("train"), n_steps=0)
