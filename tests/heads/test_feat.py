from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.heads import FeatHead, build_head


class Feat:
    """FEAT for one episode, as the paper's section 3 and its published code have it: set by set, item by item."""

    def __init__(self, head: FeatHead) -> None:
        self.w = {
            name: value.detach().double().numpy() for name, value in head.state_dict().items() if "dropout" not in name
        }
        self.temperature = np.exp(self.w["prototypical.log_temperature"])
        self.distance = head.prototypical.distance

    def transform(self, items: np.ndarray) -> np.ndarray:
        transformed = []
        for item in items:
            query = self.w["query.weight"] @ item
            affinity = np.array([query @ (self.w["key.weight"] @ other) / np.sqrt(len(item)) for other in items])
            attention = np.exp(affinity) / np.exp(affinity).sum()
            mixed = sum(a * (self.w["value.weight"] @ other) for a, other in zip(attention, items, strict=True))
            x = item + self.w["merge.weight"] @ mixed + self.w["merge.bias"]
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
            transformed.append(self.w["normalize.weight"] * x + self.w["normalize.bias"])
        return np.array(transformed)

    def logits(self, items: np.ndarray, centres: np.ndarray) -> np.ndarray:
        if self.distance == "cosine":
            items, centres = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (items, centres))
            return self.temperature * items @ centres.T
        return -self.temperature * ((items[:, None] - centres[None]) ** 2).sum(axis=2)

    def classify(self, support: np.ndarray, support_targets: np.ndarray, query: np.ndarray) -> np.ndarray:
        n_way = support_targets.max() + 1
        means = np.array([support[support_targets == k].mean(axis=0) for k in range(n_way)])
        return self.logits(query, self.transform(means))

    def contrastive_loss(self, items: np.ndarray, targets: np.ndarray) -> float:
        centres = np.array([self.transform(items[targets == k]).mean(axis=0) for k in range(targets.max() + 1)])
        return cross_entropy(self.logits(items, centres), targets)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean([np.log(np.exp(row).sum()) - row[y] for row, y in zip(logits, targets, strict=True)]))


def trained(dim: int = 8, **settings) -> FeatHead:
    """A head whose biases and scales are not what they begin as."""
    head, g = FeatHead(dim, **settings), torch.Generator().manual_seed(1)
    for parameter in (head.merge.bias, head.normalize.weight, head.normalize.bias):
        torch.nn.init.normal_(parameter, 0.5, 0.5, generator=g)
    return head


@pytest.fixture
def episode():
    g = torch.Generator().manual_seed(0)
    support_targets = torch.tensor([0, 2, 0, 1, 0, 2])  # unequal shots, in no order
    return torch.randn(6, 8, generator=g), support_targets, torch.randn(9, 8, generator=g), torch.arange(9) % 3


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("contrast", [0.0, 0.3])
def test_logits_and_loss_equal_the_papers(episode, distance: str, contrast: float) -> None:
    support_z, support_targets, query_z, query_targets = episode
    head = trained(distance=distance, contrast=contrast, dropout=0.0)
    paper = Feat(head)
    s, s_targets, q, q_targets = (
        part.double().numpy() if part.is_floating_point() else part.numpy() for part in episode
    )
    expected = paper.classify(s, s_targets, q)
    auxiliary = paper.contrastive_loss(np.concatenate([s, q]), np.concatenate([s_targets, q_targets]))

    loss, logits = head.episode_loss(support_z, support_targets, query_z, query_targets, ["a", "b", "c"])
    np.testing.assert_allclose(logits.detach().numpy(), expected, rtol=1e-4, atol=1e-4)
    assert loss.item() == pytest.approx(cross_entropy(expected, q_targets) + contrast * auxiliary, rel=1e-4)


def test_stacked_episodes_equal_single_ones() -> None:
    g = torch.Generator().manual_seed(2)
    support_z, query_z = torch.randn(4, 6, 8, generator=g), torch.randn(4, 9, 8, generator=g)
    targets, query_targets, head = torch.tensor([0, 0, 1, 1, 2, 2]), torch.arange(9) % 3, trained(dropout=0.0)
    loss, together = head.episode_loss(support_z, targets, query_z, query_targets)
    alone = [head.episode_loss(s, targets, q, query_targets) for s, q in zip(support_z, query_z, strict=True)]
    torch.testing.assert_close(together, torch.stack([logits for _, logits in alone]))
    torch.testing.assert_close(loss, torch.stack([of_episode for of_episode, _ in alone]).mean())


def test_order_of_support_classes_and_queries(episode) -> None:
    support_z, support_targets, query_z, _ = episode
    head = trained().eval()
    logits = head(support_z, support_targets, query_z)
    order = torch.tensor([5, 3, 0, 1, 4, 2])
    torch.testing.assert_close(head(support_z[order], support_targets[order], query_z), logits)
    torch.testing.assert_close(head(support_z, support_targets, query_z.flip(0)), logits.flip(0))
    torch.testing.assert_close(head(support_z, support_targets, query_z, [2, 0, 1]), logits[:, [2, 0, 1]])
    torch.testing.assert_close(head(support_z, support_targets, query_z[:1]), logits[:1])


def test_prototypes_depend_on_the_other_classes(episode) -> None:
    support_z, support_targets, _, _ = episode
    head = trained().eval()
    among_three = head.adapt(support_z, support_targets).prototypes[:2]
    of_two = support_targets < 2
    among_two = head.adapt(support_z[of_two], support_targets[of_two]).prototypes
    assert (among_three - among_two).abs().max() > 0.01


def test_labels_with_gaps(episode) -> None:
    support_z, support_targets, query_z, query_targets = episode
    labels, head = torch.tensor([2, 40, 7]), trained(dropout=0.0)
    by_position = head.episode_loss(support_z, support_targets, query_z, query_targets)
    by_label = head.episode_loss(support_z, labels[support_targets], query_z, labels[query_targets], [2, 40, 7])
    for a, b in zip(by_label, by_position, strict=True):
        torch.testing.assert_close(a, b)


def test_dropout_depends_on_seed_and_calls_alone(episode) -> None:
    support_z, support_targets, query_z, _ = episode

    def twice(seed: int) -> list[torch.Tensor]:
        head = FeatHead(8, seed=0)
        head.dropout.seed = seed
        return [head(support_z, support_targets, query_z) for _ in range(2)]

    (a, b), (c, d), (e, _) = twice(0), twice(0), twice(1)
    assert torch.equal(a, c) and torch.equal(b, d)
    assert not torch.equal(a, b) and not torch.equal(a, e)
    head = FeatHead(8).eval()
    assert torch.equal(head(support_z, support_targets, query_z), head(support_z, support_targets, query_z))


def test_every_weight_and_the_embeddings_learn(episode) -> None:
    support_z, support_targets, query_z, query_targets = episode
    s, q = support_z.requires_grad_(), query_z.requires_grad_()
    head = FeatHead(8, learn_temperature=True)
    head.episode_loss(s, support_targets, q, query_targets)[0].backward()
    for name, parameter in [*head.named_parameters(), ("support", s), ("query", q)]:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e3])
def test_one_shot_duplicates_and_scales_give_finite_numbers(scale: float) -> None:
    z = torch.ones(3, 4) * scale
    z.requires_grad_()
    head = FeatHead(4)
    loss, logits = head.episode_loss(z, torch.arange(3), z, torch.arange(3))
    loss.backward()
    assert torch.isfinite(logits).all() and torch.isfinite(z.grad).all()


def test_settings_and_seed_build_the_same_head(episode) -> None:
    support_z, support_targets, query_z, _ = episode
    head = FeatHead(8, "cosine", learn_temperature=False, contrast=0.5, dropout=0.2, seed=7).eval()
    rebuilt = build_head("feat", head.settings()).eval()
    assert rebuilt.settings() == head.settings()
    assert torch.equal(rebuilt(support_z, support_targets, query_z), head(support_z, support_targets, query_z))
    assert sum(p.numel() for p in FeatHead(8, dropout=0.0).parameters()) - 1 == 4 * 8**2 + 3 * 8  # and the temperature
    assert FeatHead.needs_training and not FeatHead.is_transductive


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 1}, "dim is 1"),
        ({"dim": 8, "contrast": -1.0}, "contrast -1.0"),
        ({"dim": 8, "dropout": 1.0}, "probability of dropout is 1.0"),
        ({"dim": 8, "distance": "manhattan"}, "distance is 'manhattan'"),
        ({"dim": 8, "temperature": 0.0}, "temperature is 0.0"),
    ],
)
def test_settings_out_of_range(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FeatHead(**arguments)


def test_bad_input(episode) -> None:
    support_z, support_targets, query_z, _ = episode
    with pytest.raises(InputError, match="size 8, but FeatHead was made for 5"):
        FeatHead(5)(support_z, support_targets, query_z)
    with pytest.raises(InputError, match=r"query_z has shape \(9, 3\)"):
        FeatHead(8)(support_z, support_targets, query_z[:, :3])
    with pytest.raises(InputError, match="class 'b' has no example"):
        FeatHead(8)(support_z, support_targets.clamp(max=0), query_z, ["a", "b"])
