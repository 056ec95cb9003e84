from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import load_encoder, load_head, read_card
from musicfsl.episodes import Episode, EpisodeDataset, EpisodeSampler
from musicfsl.errors import InputError
from musicfsl.heads import AnilHead, PrototypicalHead
from musicfsl.taxonomy import Taxonomy
from musicfsl.training import EpisodicLearner, MamlLearner, fit_once

DIM = 32


def tiny_encoder() -> ConvEncoder:
    return ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))


@pytest.fixture
def make_maml() -> Callable[..., MamlLearner]:
    def make(inner: str = "all", learning_rate: float = 3e-3, **head: Any) -> MamlLearner:
        head = {"n_steps": 2, "step_size": 0.05, **head}
        return MamlLearner(tiny_encoder(), AnilHead(DIM, **head), inner, learning_rate)

    return make


@pytest.fixture
def episode() -> Episode:
    """Features of three classes with unequal shots, in no order."""
    g = torch.Generator().manual_seed(0)
    support, query = torch.randn(6, 32, 13, generator=g) * 10, torch.randn(9, 32, 13, generator=g) * 10
    return Episode(support, torch.tensor([0, 2, 0, 1, 0, 2]), query, torch.arange(9) % 3, ["a", "b", "c"])


def descended(learner: MamlLearner, episode: Episode) -> nn.Sequential:
    """A copy of encoder and classifier, trained on the support set by torch's own SGD."""
    head = learner.head.initial(3)
    classifier = nn.Linear(DIM, 3, device="meta").to_empty(device="cpu").to(head.weight)
    classifier.load_state_dict({"weight": head.weight, "bias": head.bias})
    network = nn.Sequential(copy.deepcopy(learner.encoder), classifier)
    optimizer = torch.optim.SGD(network.parameters(), lr=learner.head.log_step_size.exp().item())
    for _ in range(learner.head.n_steps):
        optimizer.zero_grad()
        functional.cross_entropy(network(episode.support), episode.support_targets).backward()
        optimizer.step()
    optimizer.zero_grad()
    return network


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("n_way", [None, 3])
def test_the_inner_loop_is_gradient_descent(make_maml, episode: Episode, n_way: int | None, first_order: bool) -> None:
    learner = make_maml(n_way=n_way, n_steps=4, first_order=first_order)
    network = descended(learner, episode)
    weights = learner.adapt(episode.support, episode.support_targets, episode.classes)
    moved = 0
    for name, value in network[0].named_parameters():
        torch.testing.assert_close(weights[f"encoder.{name}"], value, rtol=1e-4, atol=1e-5)
        moved += not torch.equal(value, learner.encoder.get_parameter(name))
    assert moved == len(list(learner.encoder.parameters()))
    torch.testing.assert_close(learner.score(weights, episode.query), network(episode.query), rtol=1e-4, atol=1e-4)


def meta_loss(learner: MamlLearner, episode: Episode) -> Tensor:
    batch = Episode(*(part[None] if isinstance(part, Tensor) else [part] for part in episode))
    ((loss, _),) = learner._episode_losses(batch)
    return loss


def in_double(learner: MamlLearner, episode: Episode) -> tuple[MamlLearner, Episode]:
    return learner.double(), episode._replace(support=episode.support.double(), query=episode.query.double())


def test_first_order_gradient_is_that_at_the_last_weights(make_maml, episode: Episode) -> None:
    learner, episode = in_double(make_maml(n_way=3, n_steps=3, first_order=True), episode)
    network = descended(learner, episode)
    functional.cross_entropy(network(episode.query), episode.query_targets).backward()
    meta_loss(learner, episode).backward()
    for name, parameter in network[0].named_parameters():
        torch.testing.assert_close(learner.encoder.get_parameter(name).grad, parameter.grad)
    torch.testing.assert_close(learner.head.weight.grad, network[1].weight.grad)
    torch.testing.assert_close(learner.head.bias.grad, network[1].bias.grad)


def test_second_order_gradient_is_the_slope_of_the_loss(make_maml, episode: Episode) -> None:
    """By finite differences: the loss of the queries, a step to either side of the first weights."""
    slopes = {}
    for first_order in (False, True):
        learner, in_64 = in_double(
            make_maml(n_way=3, n_steps=3, learn_step_size=True, first_order=first_order), episode
        )
        meta_loss(learner, in_64).backward()
        g = torch.Generator().manual_seed(1)
        directions = [(p, torch.randn(p.shape, generator=g).double()) for p in learner.parameters()]
        slopes[first_order] = sum(float((p.grad * d).sum()) for p, d in directions)
        with torch.no_grad():
            sides = []
            for step in (1e-6, -2e-6):  # to one side, then to the other
                for p, d in directions:
                    p.add_(d, alpha=step)
                sides.append(float(meta_loss(learner, in_64)))
        measured = (sides[0] - sides[1]) / 2e-6
    assert slopes[False] == pytest.approx(measured, rel=1e-4)
    assert slopes[True] != pytest.approx(measured, rel=0.01)  # what first order leaves out matters here


def test_frozen_parts_stay_where_they_are(make_maml, episode: Episode) -> None:
    learner = make_maml()
    learner.encoder.backbone.blocks[0].requires_grad_(False)
    weights = learner.adapt(episode.support, episode.support_targets)
    assert "encoder.backbone.blocks.0.weight" not in weights
    assert "encoder.backbone.blocks.3.weight" in weights


def test_adapting_changes_nothing_of_the_learner(make_maml, episode: Episode) -> None:
    learner = make_maml()
    before = copy.deepcopy(learner.state_dict())
    adapted = learner.adapt(episode.support, episode.support_targets)
    learner.score(adapted, episode.query)
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


def test_queries_tell_nothing_of_one_another(make_maml, episode: Episode) -> None:
    learner = make_maml()
    weights = learner.adapt(episode.support, episode.support_targets)
    torch.testing.assert_close(learner.score(weights, episode.query[:1]), learner.score(weights, episode.query)[:1])


@pytest.mark.parametrize("first_order", [False, True])
def test_learns_to_adapt_to_an_episode(make_maml, episode: Episode, first_order: bool) -> None:
    g = torch.Generator().manual_seed(2)
    of_class = torch.randn(3, 32, 13, generator=g) * 10  # support and query differ by noise that is as loud
    episode = episode._replace(
        support=episode.support + of_class[episode.support_targets],
        query=episode.query + of_class[episode.query_targets],
    )
    learner = make_maml(first_order=first_order)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        losses.append(meta_loss(learner, episode))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


def test_trains_and_comes_back(make_maml, make_data, make_trainer, tmp_path: Path) -> None:
    learner = make_maml()
    data = make_data(episodes_per_epoch=4, episodes_per_step=2, eval_episodes=6)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    trainer = make_trainer(max_epochs=2)
    trainer.fit(learner, datamodule=data)
    for name, parameter in learner.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name

    path = tmp_path / "checkpoints" / "last.ckpt"
    assert read_card(path).data["inner_loop"] == "all"
    again = MamlLearner(load_encoder(path), load_head(path))
    for name, value in learner.state_dict().items():
        if name.startswith(("encoder.", "head.")):
            assert torch.equal(again.state_dict()[name], value), name
    assert again.head.settings() == learner.head.settings()

    # Without a trainer the same comes out.
    report = again.evaluate(data.evaluation_episodes("val"))
    assert report.mean == pytest.approx(trainer.callback_metrics["val/accuracy"].item())
    assert np.array_equal(report.confusion, learner.report.confusion)


def test_report_says_what_was_counted(make_maml, make_data, make_trainer) -> None:
    classes = [f"tones-{c}" for c in range(7)]
    tree = Taxonomy({"few": classes[:3], "many": classes[3:]})
    learner, data, trainer = make_maml(n_steps=1), make_data(eval_episodes=6, taxonomy=tree), make_trainer()
    trainer.test(learner, datamodule=data, verbose=False)
    report, part = learner.report, data.part("test")
    assert (report.n_way, report.n_support, report.n_query, report.n_episodes, report.seed) == (2, 2, 4, 6, 2)
    assert report.class_names == part.classes and report.is_synthetic is True
    assert report.grouped and report.chance == 0.5 and report.trained_on == []
    assert report.hierarchy.n_episodes == 6

    # Counted again, episode by episode, from the items that the sampler draws.
    drawn = EpisodeSampler(part.targets, 2, 2, 4, 2, part.groups).draw(0, 6)
    assert report.confusion.sum(axis=1).tolist() == np.bincount(part.targets[drawn.query].ravel()).tolist()
    episodes, right = data.evaluation_episodes("test"), []
    learner.eval()
    for i in range(6):
        episode = episodes[i]
        weights = learner.adapt(episode.support, episode.support_targets, episode.classes)
        right.append(float((learner.score(weights, episode.query).argmax(-1) == episode.query_targets).float().mean()))
    np.testing.assert_allclose(report.accuracies, right)
    assert trainer.callback_metrics["test/accuracy"].item() == pytest.approx(np.mean(right))


def test_no_report_where_episodes_are_missing(make_maml, make_data, make_trainer) -> None:
    learner = make_maml(n_steps=1)
    trainer = make_trainer(limit_test_batches=2)
    trainer.test(learner, datamodule=make_data(eval_episodes=4), verbose=False)
    assert learner.report is None and "test/accuracy" not in trainer.callback_metrics


def test_evaluation_takes_its_own_number_of_steps(make_maml, make_tones) -> None:
    learner = make_maml(n_steps=1, eval_steps=3)
    used = []
    score = learner.head.score
    learner.head.score = lambda *given: used.append(1) or score(*given)
    episodes = EpisodeDataset(make_tones(n_classes=3).with_length(3200), 3, 1, 1, n_episodes=2)
    learner.evaluate(episodes)
    assert len(used) == 2 * (3 + 1)
    assert learner.training


def test_anil_is_the_head_in_a_plain_learner(make_maml, make_data, make_trainer) -> None:
    states = []
    for learner in (
        make_maml("head"),
        EpisodicLearner(tiny_encoder(), AnilHead(DIM, n_steps=2, step_size=0.05), 3e-3, weight_decay=0.0),
    ):
        trainer = make_trainer(max_epochs=1, enable_checkpointing=False, callbacks=[])
        trainer.fit(learner, datamodule=make_data())
        trainer.test(learner, datamodule=make_data(), verbose=False)
        states.append((learner.state_dict(), learner.report.accuracies))
    assert all(torch.equal(value, states[1][0][name]) for name, value in states[0][0].items())
    assert np.array_equal(states[0][1], states[1][1])


def test_resumes_bit_for_bit(make_maml, make_data, make_trainer, tmp_path: Path) -> None:
    def trainer() -> pl.Trainer:
        checkpoints = pl.callbacks.ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
        return make_trainer(max_epochs=2, callbacks=[checkpoints])

    whole, resumed, data = make_maml(n_steps=1), make_maml(n_steps=1), {"episodes_per_epoch": 3, "eval_episodes": 2}
    trainer().fit(whole, datamodule=make_data(**data))
    trainer().fit(resumed, datamodule=make_data(**data), ckpt_path=tmp_path / "epoch=0.ckpt")
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_mixed_precision(make_maml, make_data, make_trainer) -> None:
    trainer = make_trainer(max_epochs=1, precision="bf16-mixed")
    trainer.fit(make_maml(n_steps=1), datamodule=make_data(episodes_per_epoch=2, eval_episodes=2))
    assert torch.isfinite(trainer.callback_metrics["train/loss"])


def test_is_kept_by_fit_once(make_maml, make_data, tmp_path: Path) -> None:
    data = {"episodes_per_epoch": 2, "eval_episodes": 2}

    def path(inner: str) -> Path:
        return fit_once(make_maml(inner, n_steps=1), make_data(**data), 1, tmp_path / "kept", progress=False).path

    assert path("all") == path("all") != path("head")


class TestRefuses:
    def test_batch_normalisation(self) -> None:
        encoder = tiny_encoder()
        encoder.backbone.blocks[1] = nn.BatchNorm2d(8)
        with pytest.raises(InputError, match="ConvEncoder normalises over the batch, .* queries"):
            MamlLearner(encoder)

    def test_another_head(self) -> None:
        with pytest.raises(InputError, match="the head is a PrototypicalHead; MAML takes an AnilHead"):
            MamlLearner(tiny_encoder(), PrototypicalHead())
        with pytest.raises(InputError, match="embeddings of size 5, but the encoder's have 32"):
            MamlLearner(tiny_encoder(), AnilHead(5))

    def test_another_inner_loop(self) -> None:
        with pytest.raises(InputError, match="inner is 'body'; expected 'all' or 'head'"):
            MamlLearner(tiny_encoder(), inner="body")

    def test_a_frozen_encoder(self, make_maml, make_data, make_trainer) -> None:
        learner = make_maml()
        learner.encoder.requires_grad_(False)
        with pytest.raises(InputError, match="the encoder is frozen, .* inner='head'"):
            make_trainer().fit(learner, datamodule=make_data())

    def test_ways_that_the_head_was_not_made_for(self, make_maml, episode: Episode) -> None:
        with pytest.raises(InputError, match="3 classes, but AnilHead has first weights for 5"):
            make_maml(n_way=5).adapt(episode.support, episode.support_targets)

    def test_a_class_without_example(self, make_maml, episode: Episode) -> None:
        with pytest.raises(InputError, match="class 'b' has no example"):
            make_maml().adapt(episode.support, episode.support_targets.clamp(max=0), ["a", "b"])

    def test_a_single_episode(self, make_maml, make_tones) -> None:
        with pytest.raises(InputError, match="there are 1 episodes; an interval needs 2"):
            make_maml().evaluate(EpisodeDataset(make_tones(n_classes=3).with_length(3200), 3, 1, 1, n_episodes=1))

    def test_sounds_of_another_rate(self, make_maml, make_tones) -> None:
        tones = make_tones(n_classes=3).with_length(3200)
        tones.sample_rate = 8000
        with pytest.raises(InputError, match="sample rate of 8000 Hz"):
            make_maml().evaluate(EpisodeDataset(tones, 3, 1, 1, n_episodes=2))


def test_public_name() -> None:
    import musicfsl

    assert musicfsl.MamlLearner is MamlLearner
