from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.heads import Head, PrototypicalHead, RelationHead, build_head


def relation_network(head: RelationHead, support_z, support_targets, query_z, query_targets):
    """Relation scores and loss of an episode, pair by pair: equations 1 and 2 of the paper, with a mean over pairs."""

    def normalized(z):
        return (z - z.mean()) / np.sqrt(z.var() + 1e-5)

    weights = [(layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()) for layer in head.layers]
    scores = np.empty((len(query_z), len(np.unique(support_targets))))
    loss = 0.0
    for j, z in enumerate(query_z):
        for i in range(scores.shape[1]):
            x = np.concatenate([normalized(support_z[support_targets == i].mean(axis=0)), normalized(z)])
            for number, (weight, bias) in enumerate(weights):
                x = weight @ x + bias
                if number < len(weights) - 1:
                    x = np.maximum(x, 0)
            scores[j, i] = 1 / (1 + np.exp(-x.item()))
            loss += (scores[j, i] - (query_targets[j] == i)) ** 2 / scores.size
    return scores, loss


@pytest.fixture
def episode():
    g = torch.Generator().manual_seed(0)
    support_targets = torch.tensor([0, 0, 0, 1, 2, 2])  # unequal shots
    return torch.randn(6, 8, generator=g), support_targets, torch.randn(9, 8, generator=g), torch.arange(9) % 3


@pytest.mark.parametrize("hidden", [(16,), (16, 4), (5, 6, 7)])
def test_scores_and_loss_equal_the_papers(episode, hidden: tuple[int, ...]) -> None:
    support_z, support_targets, query_z, query_targets = episode
    head = RelationHead(8, hidden)
    for layer in head.layers:
        torch.nn.init.uniform_(layer.bias, generator=torch.Generator().manual_seed(1))
    scores, expected = relation_network(head, *(part.numpy() for part in episode))
    loss, logits = head.episode_loss(support_z, support_targets, query_z, query_targets)
    np.testing.assert_allclose(logits.sigmoid().detach().numpy(), scores, atol=1e-5)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_is_torchs(episode) -> None:
    support_z, support_targets, query_z, query_targets = episode
    head = RelationHead(8, objective="cross-entropy")
    loss, logits = head.episode_loss(support_z, support_targets, query_z, query_targets)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, query_targets))


def test_stacked_episodes_equal_single_ones() -> None:
    g = torch.Generator().manual_seed(2)
    support_z, query_z = torch.randn(2, 3, 6, 8, generator=g), torch.randn(2, 3, 9, 8, generator=g)
    targets, head = torch.tensor([0, 0, 1, 1, 2, 2]), RelationHead(8)
    together = head(support_z, targets, query_z)
    assert together.shape == (2, 3, 9, 3)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(together[i, j], head(support_z[i, j], targets, query_z[i, j]))
    query_targets = torch.arange(9) % 3
    alone = [head.loss(logits, query_targets) for logits in together.flatten(0, 1)]
    torch.testing.assert_close(head.loss(together, query_targets), torch.stack(alone).mean())


def test_order_of_support_classes_and_queries(episode) -> None:
    support_z, support_targets, query_z, _ = episode
    head = RelationHead(8)
    logits = head(support_z, support_targets, query_z)
    order = torch.tensor([5, 3, 0, 1, 4, 2])
    torch.testing.assert_close(head(support_z[order], support_targets[order], query_z), logits)
    torch.testing.assert_close(head(support_z, support_targets, query_z.flip(0)), logits.flip(0))
    torch.testing.assert_close(head(support_z, support_targets, query_z, [2, 0, 1]), logits[:, [2, 0, 1]])
    # Neither does a query tell of another, nor does the scale of the embeddings matter.
    torch.testing.assert_close(head(support_z, support_targets, query_z[:1]), logits[:1])
    torch.testing.assert_close(head(support_z * 50, support_targets, query_z * 50), logits, rtol=1e-3, atol=1e-3)


def test_learns_a_relation_that_is_no_distance() -> None:
    """A query belongs to the class whose first component has the same sign; the other components are loud noise."""
    g = torch.Generator().manual_seed(3)
    scale = torch.tensor([1.0, 1.5, 1.5, 1.5])
    support_targets, query_targets = torch.arange(2), torch.arange(2).repeat_interleave(10)

    def episodes(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        support_z, query_z = (torch.randn(n, size, 4, generator=g) * scale for size in (2, 20))
        support_z[..., 0], query_z[..., 0] = 1.0 - 2.0 * support_targets, 1.0 - 2.0 * query_targets
        return support_z, query_z

    held_out = episodes(400)

    def accuracy(head: Head) -> float:
        right = head(held_out[0], support_targets, held_out[1]).argmax(-1) == query_targets
        return float(right.float().mean())

    head = RelationHead(4, (32, 8))
    before = accuracy(head)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(100):
        support_z, query_z = episodes(16)
        optimizer.zero_grad()
        head.episode_loss(support_z, support_targets, query_z, query_targets)[0].backward()
        optimizer.step()
    assert before < 0.6  # of two ways
    assert accuracy(head) > accuracy(PrototypicalHead()) + 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"support_targets": torch.tensor([0, 0, 0, 0, 2, 2])}, "class 'b' has no example"),
        ({"query_z": torch.zeros(4, 7)}, r"query_z has shape \(4, 7\); expected .*8\)"),
        ({"support_z": torch.full((6, 8), torch.nan)}, "support_z holds NaN"),
        ({"support_z": torch.zeros(6, 5)}, "size 5, but RelationHead was made for 8; build it with dim=encoder.dim"),
    ],
)
def test_bad_input(episode, change: dict, message: str) -> None:
    support_z, support_targets, query_z, _ = episode
    given = {"support_z": support_z, "support_targets": support_targets, "query_z": query_z, "classes": ["a", "b", "c"]}
    with pytest.raises(InputError, match=message):
        RelationHead(8)(**{**given, **change})


def test_embeddings_that_are_all_alike_give_finite_numbers() -> None:
    head = RelationHead(4)
    z = torch.zeros(3, 4, requires_grad=True)
    loss, logits = head.episode_loss(z, torch.arange(3), z, torch.arange(3))
    loss.backward()
    assert torch.isfinite(logits).all()
    assert torch.isfinite(z.grad).all()


def test_settings_and_seed_build_the_same_head(episode) -> None:
    support_z, support_targets, query_z, _ = episode
    head = RelationHead(8, (5, 3), "cross-entropy", seed=7)
    rebuilt = build_head("relation", head.settings())
    assert rebuilt.settings() == head.settings()
    assert torch.equal(rebuilt(support_z, support_targets, query_z), head(support_z, support_targets, query_z))
    assert not torch.equal(RelationHead(8, (5, 3), seed=8).layers[0].weight, head.layers[0].weight)
    assert RelationHead.needs_training and not RelationHead.is_transductive


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 1}, "dim is 1"),
        ({"dim": 8, "hidden": ()}, r"hidden \(\)"),
        ({"dim": 8, "hidden": (4, 0)}, r"hidden \(4, 0\)"),
        ({"dim": 8, "objective": "hinge"}, "objective is 'hinge'; expected 'mse' or 'cross-entropy'"),
    ],
)
def test_settings_out_of_range(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RelationHead(**arguments)
