from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from torch import nn

from musicfsl import ConvEncoder, load_head, save_encoder
from musicfsl.errors import InputError
from musicfsl.heads import (
    HEADS,
    BinaryPrototypeHead,
    HeadState,
    LabelCombinationHead,
    PrototypicalHead,
    build_head,
)
from musicfsl.heads.prototypical import Distance

DISTANCES: list[Distance] = ["cosine", "euclidean", "unsquared"]
CLASSES = ["Violin", "Cello", "Flute", "Oboe"]


def paper(support_z, support_targets, query_z, query_targets, distance, temperature):
    """LC-Protonets, read from the paper: prototypes, predictions and loss, one item at a time."""
    examples: dict[tuple[int, ...], list] = {}
    for z, row in zip(support_z, support_targets, strict=True):
        labels = [label for label in range(len(row)) if row[label]]
        for size in range(1, len(labels) + 1):
            for combination in itertools.combinations(labels, size):
                examples.setdefault(combination, []).append(z)
    prototypes = {combination: sum(members) / len(members) for combination, members in examples.items()}
    predictions, losses, similarities = [], [], []
    for z, row in zip(query_z, query_targets, strict=True):
        similarity = {}
        for combination, c in prototypes.items():
            if distance == "cosine":
                similarity[combination] = temperature * (z @ c) / (z.norm() * c.norm())
            else:
                squared = ((z - c) ** 2).sum()
                similarity[combination] = -temperature * (squared if distance == "euclidean" else squared.sqrt())
        # The nearest; among prototypes of the same distance the one with more labels.
        nearest = max(similarity, key=lambda lc: (round(similarity[lc].item(), 9), len(lc)))
        predictions.append([label in nearest for label in range(len(row))])
        for combination, s in similarity.items():
            p = 1 / (1 + torch.exp(-s))
            losses.append(-torch.log(p) if all(row[label] for label in combination) else -torch.log(1 - p))
        similarities.append(similarity)
    return prototypes, similarities, predictions, sum(losses) / len(losses)


@pytest.fixture
def episode():
    g = torch.Generator().manual_seed(0)
    support_targets = torch.tensor(
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]]
    )
    query_targets = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
    support_z = support_targets.float() @ torch.randn(4, 8, generator=g) + 0.5 * torch.randn(7, 8, generator=g)
    query_z = query_targets.float() @ torch.randn(4, 8, generator=g) + 0.5 * torch.randn(5, 8, generator=g)
    return support_z.double(), support_targets, query_z.double(), query_targets


@pytest.mark.parametrize("distance", DISTANCES)
def test_equals_a_loop_written_from_the_paper(episode, distance: Distance) -> None:
    support_z, support_targets, query_z, query_targets = episode
    head = LabelCombinationHead(distance, temperature=0.5)
    gradients, losses = [], []
    for compute in ("library", "paper"):
        s, q = support_z.clone().requires_grad_(), query_z.clone().requires_grad_()
        if compute == "library":
            loss, logits = head.episode_loss(s, support_targets, q, query_targets)
        else:
            prototypes, similarities, predictions, loss = paper(s, support_targets, q, query_targets, distance, 0.5)
        losses.append(loss)
        gradients.append(torch.autograd.grad(loss, (s, q)))
    assert head.predict(logits).tolist() == predictions
    # Means are weighed in single precision.
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    state = head.adapt(support_z, support_targets)
    combinations = [tuple(map(int, names)) for names in head.combinations(state)]
    assert combinations == sorted(prototypes, key=lambda lc: (len(lc), lc))
    expected = torch.stack([torch.stack([row[lc] for lc in combinations]) for row in similarities])
    torch.testing.assert_close(head.score_combinations(state, query_z), expected, rtol=1e-5, atol=1e-5)
    for label in range(4):  # the logit of a label, by its definition
        with_label = [column for column, lc in enumerate(combinations) if label in lc]
        without = [column for column, lc in enumerate(combinations) if label not in lc]
        margin = expected[:, with_label].max(1).values - expected[:, without].max(1).values
        torch.testing.assert_close(logits[:, label], margin, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_with_one_label_an_item_it_is_the_prototypical_network(distance: Distance) -> None:
    g = torch.Generator().manual_seed(1)
    numbers = torch.tensor([2, 0, 0, 1, 3, 3, 3])
    support_z, query_z = torch.randn(7, 8, generator=g), torch.randn(50, 8, generator=g)
    head, plain = LabelCombinationHead(distance), PrototypicalHead(distance)
    state = head.adapt(support_z, nn.functional.one_hot(numbers), CLASSES)
    expected = plain(support_z, numbers, query_z, CLASSES)
    assert head.combinations(state, CLASSES) == [(name,) for name in CLASSES]
    torch.testing.assert_close(head.score_combinations(state, query_z), expected)
    predicted = head.predict(head.score(state, query_z))
    assert torch.equal(predicted, nn.functional.one_hot(expected.argmax(-1), 4).bool())


def test_of_combinations_with_the_same_examples_the_largest_is_taken() -> None:
    g = torch.Generator().manual_seed(2)
    targets = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]])
    for distance in DISTANCES:
        head = LabelCombinationHead(distance)
        for dim in (3, 17, 64):  # rounding in a product of matrices depends on their sizes
            state = head.adapt(torch.randn(4, dim, generator=g), targets)
            assert (len(state.labels), state.prototypes.shape[-2]) == (7 + 3, 3)
            for given in head.predict(head.score(state, torch.randn(40, dim, generator=g))).int().tolist():
                assert given in [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]


@pytest.mark.parametrize("head", [LabelCombinationHead(), BinaryPrototypeHead()], ids=lambda head: head.name)
class TestEveryMultiLabelHead:
    def test_order_of_support_and_of_labels(self, episode, head) -> None:
        support_z, support_targets, query_z, _ = episode
        logits = head(support_z, support_targets, query_z)
        order = torch.tensor([6, 3, 0, 5, 1, 4, 2])
        torch.testing.assert_close(head(support_z[order], support_targets[order], query_z), logits)
        permuted = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(head(support_z, support_targets[:, permuted], query_z), logits[:, permuted])

    def test_scale(self, episode, head) -> None:
        support_z, support_targets, query_z, _ = episode
        logits = head(support_z, support_targets, query_z)
        torch.testing.assert_close(head(7 * support_z, support_targets, 7 * query_z), logits)
        euclidean = type(head)("euclidean")
        logits = euclidean(support_z, support_targets, query_z)
        torch.testing.assert_close(euclidean(7 * support_z, support_targets, 7 * query_z), 49 * logits)

    def test_stacked_episodes_equal_single_ones(self, episode, head) -> None:
        _, support_targets, _, query_targets = episode
        g = torch.Generator().manual_seed(3)
        support_z, query_z = torch.randn(2, 3, 7, 8, generator=g), torch.randn(2, 3, 5, 8, generator=g)
        loss, together = head.episode_loss(support_z, support_targets, query_z, query_targets)
        losses = []
        for i in itertools.product(range(2), range(3)):
            single_loss, single = head.episode_loss(support_z[i], support_targets, query_z[i], query_targets)
            torch.testing.assert_close(together[i], single)
            losses.append(single_loss)
        torch.testing.assert_close(loss, torch.stack(losses).mean())

    def test_it_can_be_trained(self, episode, head) -> None:
        """A projection learns to ignore the noise that swamps the labels."""
        g = torch.Generator().manual_seed(4)
        _, support_targets, _, query_targets = episode
        head = build_head(head.name, head.settings())
        projection = nn.Parameter(torch.randn(12, 8, generator=g) / 4)
        optimizer = torch.optim.Adam([projection, *head.parameters()], lr=0.02)
        losses = []
        for _ in range(60):
            s = torch.cat([support_targets.float(), 2 * torch.randn(7, 8, generator=g)], dim=1)
            q = torch.cat([query_targets.float(), 2 * torch.randn(5, 8, generator=g)], dim=1)
            loss, _ = head.episode_loss(s @ projection, support_targets, q @ projection, query_targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())
        assert sum(losses[-10:]) < 0.7 * sum(losses[:10])

    def test_settings_and_checkpoints(self, head, tmp_path) -> None:
        assert HEADS[head.name] is type(head)
        changed = type(head)("cosine", temperature=3.0, learn_temperature=False)
        rebuilt = build_head(changed.name, json.loads(json.dumps(changed.settings())))
        assert rebuilt.settings() == changed.settings()
        save_encoder(ConvEncoder(), tmp_path / "e.safetensors", head=changed)
        loaded = load_head(tmp_path / "e.safetensors")
        assert type(loaded) is type(head)
        assert loaded.settings() == changed.settings()
        assert loaded.prototypical.log_temperature.exp() == pytest.approx(3.0)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"support_targets": torch.tensor([0, 1, 2, 3, 0, 1, 2])}, r"have shape \(7,\).*one_hot makes it"),
            ({"support_targets": torch.ones(7, 3)}, r"shape \(7, 3\); expected multi-hot \(7, 4\)"),
            ({"support_targets": torch.ones(6, 4)}, r"shape \(6, 4\); expected multi-hot \(7, 4\)"),
            ({"support_targets": 2 * torch.ones(7, 4)}, "other values than 0 and 1"),
            ({"support_targets": torch.tensor([[1, 1, 0, 1]] * 7)}, "label 'Flute' has no example in the support set"),
            ({"support_targets": torch.zeros(7, 4), "classes": None}, "label '0' has no example"),
            ({"support_z": torch.zeros(0, 8), "support_targets": torch.zeros(0, 4)}, "give at least one item"),
            ({"support_z": torch.zeros(8)}, r"expected multi-hot \(n_support_total, 4\)"),
            ({"support_z": torch.full((7, 8), math.inf)}, "support_z holds NaN or infinite"),
            ({"query_z": torch.zeros(5, 3)}, r"query_z has shape \(5, 3\)"),
        ],
    )
    def test_bad_input(self, episode, head, change: dict, message: str) -> None:
        support_z, support_targets, query_z, _ = episode
        given = {"support_z": support_z, "support_targets": support_targets, "query_z": query_z, "classes": CLASSES}
        with pytest.raises(InputError, match=message):
            head(**{**given, **change})

    def test_bad_queries(self, episode, head) -> None:
        support_z, support_targets, query_z, query_targets = episode
        with pytest.raises(InputError, match=r"query_targets have shape \(5, 3\); expected multi-hot \(5, 4\)"):
            head.episode_loss(support_z, support_targets, query_z, query_targets[:, :3])


class TestNumberOfCombinations:
    def test_it_is_bounded_by_what_occurs(self) -> None:
        g = torch.Generator().manual_seed(5)
        head = LabelCombinationHead()
        for _ in range(20):
            targets = (torch.rand(12, 10, generator=g) < 0.25).int()
            targets[range(10), range(10)] = 1
            state = head.adapt(torch.randn(12, 4, generator=g), targets)
            power_sets = [2 ** int(n) - 1 for n in targets.sum(dim=1)]
            assert 10 <= len(state.labels) <= sum(power_sets)
            assert len(state.prototypes) <= len(state.labels)
            for labels in state.labels.int():  # each stands in some item, each once
                assert ((targets & labels) == labels).all(dim=1).any()
            assert len(torch.unique(state.labels, dim=0)) == len(state.labels)

    def test_forty_labels_of_which_few_stand_together(self) -> None:
        targets = torch.eye(40, dtype=torch.int64) + torch.eye(40, dtype=torch.int64).roll(1, dims=1)
        state = LabelCombinationHead().adapt(torch.eye(40), targets)
        assert len(state.labels) == 80

    def test_absurd_numbers_are_refused(self) -> None:
        head = LabelCombinationHead()
        with pytest.raises(InputError, match=r"more than 4096 .*an item with 60 labels alone has 1152921504606846975"):
            head.adapt(torch.zeros(1, 4), torch.ones(1, 60))
        ten_of_twenty = torch.tensor([[i <= label < i + 10 for label in range(20)] for i in range(11)])
        with pytest.raises(InputError, match=r"more than 4096 .*up to 10 labels an item\); draw episodes with fewer"):
            head.adapt(torch.zeros(11, 4), ten_of_twenty)
        assert len(LabelCombinationHead(max_combinations=7).adapt(torch.zeros(1, 4), torch.ones(1, 3)).labels) == 7
        with pytest.raises(InputError, match="more than 6 .*3 labels alone has 7"):
            LabelCombinationHead(max_combinations=6).adapt(torch.zeros(1, 4), torch.ones(1, 3))
        with pytest.raises(InputError, match="max_combinations is 1"):
            LabelCombinationHead(max_combinations=1)

    def test_one_label_is_refused(self) -> None:
        with pytest.raises(InputError, match="only one label"):
            LabelCombinationHead().adapt(torch.zeros(3, 4), torch.ones(3, 1))


def test_the_loss_of_labels_alone_is_refused(episode) -> None:
    support_z, support_targets, query_z, query_targets = episode
    head = LabelCombinationHead()
    with pytest.raises(InputError, match="call episode_loss"):
        head.loss(head(support_z, support_targets, query_z), query_targets)
    with pytest.raises(InputError, match="knows no label combinations"):
        head.score(HeadState(support_z), query_z)


class TestBinaryPrototypes:
    @pytest.mark.parametrize("distance", DISTANCES)
    def test_every_label_is_a_prototypical_network_of_two_classes(self, episode, distance: Distance) -> None:
        support_z, support_targets, query_z, query_targets = episode
        head, plain = BinaryPrototypeHead(distance), PrototypicalHead(distance)
        loss, logits = head.episode_loss(support_z, support_targets, query_z, query_targets)
        losses = []
        for label in range(4):
            two = plain(support_z, support_targets[:, label], query_z)
            torch.testing.assert_close(logits[:, label], two[:, 1] - two[:, 0])
            assert head.predict(logits)[:, label].tolist() == (two.argmax(1) == 1).tolist()
            losses.append(plain.loss(two, query_targets[:, label]))  # softmax of two is the sigmoid of their difference
        torch.testing.assert_close(loss, torch.stack(losses).mean())

    def test_a_label_of_all_examples(self) -> None:
        targets = torch.tensor([[1, 1], [1, 0]])
        logits = BinaryPrototypeHead("euclidean")(torch.eye(2), targets, torch.randn(9, 2, generator=torch.Generator()))
        assert (logits[:, 0] == 0).all()
        assert BinaryPrototypeHead().predict(logits)[:, 0].all()
