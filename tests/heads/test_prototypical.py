from __future__ import annotations

import math

import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.heads import HEADS, PrototypicalHead, build_head
from musicfsl.heads.prototypical import squared_distances


def snell_algorithm_1(support_z, support_targets, query_z, query_targets, n_way):
    """Loss of one episode, written as the pseudocode of the paper reads."""
    prototypes = []
    for k in range(n_way):
        members = [z for z, y in zip(support_z, support_targets, strict=True) if y == k]
        prototypes.append(sum(members) / len(members))
    loss = 0.0
    for z, y in zip(query_z, query_targets, strict=True):
        distances = [((z - c) ** 2).sum() for c in prototypes]
        loss = loss + (distances[y] + torch.logsumexp(torch.stack([-d for d in distances]), 0)) / len(query_z)
    return loss


@pytest.fixture
def episode():
    g = torch.Generator().manual_seed(0)
    support_targets = torch.tensor([0, 0, 0, 1, 2, 2])  # unequal shots
    return torch.randn(6, 8, generator=g), support_targets, torch.randn(9, 8, generator=g), torch.arange(9) % 3


def test_loss_and_gradients_equal_the_papers(episode) -> None:
    support_z, support_targets, query_z, query_targets = episode
    head = PrototypicalHead()
    gradients = []
    losses = []
    for compute in ("library", "paper"):
        s, q = support_z.double().requires_grad_(), query_z.double().requires_grad_()
        if compute == "library":
            loss = head.loss(head(s, support_targets, q), query_targets)
        else:
            loss = snell_algorithm_1(s, support_targets, q, query_targets, 3)
        losses.append(loss)
        gradients.append(torch.autograd.grad(loss, (s, q)))
    torch.testing.assert_close(losses[0], losses[1])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_cosine_equals_torchs(episode) -> None:
    support_z, support_targets, query_z, _ = episode
    head = PrototypicalHead("cosine", temperature=7.0)
    prototypes = torch.stack([support_z[support_targets == k].mean(0) for k in range(3)])
    expected = 7.0 * torch.cosine_similarity(query_z[:, None], prototypes[None], dim=-1)
    torch.testing.assert_close(head(support_z, support_targets, query_z), expected)


def test_distances_keep_their_digits_far_from_the_origin() -> None:
    g = torch.Generator().manual_seed(1)
    a, b = torch.randn(20, 64, generator=g), torch.randn(5, 64, generator=g)
    exact = torch.cdist(a.double(), b.double()) ** 2
    torch.testing.assert_close(squared_distances(a, b), exact.float())
    far = squared_distances(a + 1000, b + 1000)
    # What decides between classes is the difference of two distances.
    differences = far - far[:, :1]
    torch.testing.assert_close(differences, (exact - exact[:, :1]).float(), rtol=0, atol=0.1)


def test_distances_are_computed_in_single_precision_under_autocast(episode) -> None:
    support_z, support_targets, query_z, _ = episode
    head = PrototypicalHead()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        distances = squared_distances(query_z, support_z)
    assert distances.dtype == torch.float32
    torch.testing.assert_close(distances, squared_distances(query_z, support_z))
    assert head(support_z.bfloat16(), support_targets, query_z.bfloat16()).dtype == torch.float32


def test_stacked_episodes_equal_single_ones() -> None:
    g = torch.Generator().manual_seed(2)
    support_z, query_z = torch.randn(4, 6, 8, generator=g), torch.randn(4, 9, 8, generator=g)
    targets = torch.tensor([0, 0, 1, 1, 2, 2])
    for distance in ("euclidean", "cosine"):
        head = PrototypicalHead(distance)
        together = head(support_z, targets, query_z)
        for i in range(4):
            torch.testing.assert_close(together[i], head(support_z[i], targets, query_z[i]))


def test_order_of_support_and_shift_of_all_change_nothing(episode) -> None:
    support_z, support_targets, query_z, _ = episode
    head = PrototypicalHead()
    logits = head(support_z, support_targets, query_z)
    order = torch.tensor([5, 3, 0, 1, 4, 2])
    torch.testing.assert_close(head(support_z[order], support_targets[order], query_z), logits)
    torch.testing.assert_close(head(support_z + 3, support_targets, query_z + 3), logits, rtol=1e-4, atol=1e-4)


def test_labels_with_gaps(episode) -> None:
    support_z, support_targets, query_z, query_targets = episode
    labels = torch.tensor([2, 40, 7])  # in another order than their values
    head = PrototypicalHead()
    logits = head(support_z, support_targets, query_z, ["a", "b", "c"])
    with_gaps = head(support_z, labels[support_targets], query_z, [2, 40, 7])
    torch.testing.assert_close(with_gaps, logits)
    torch.testing.assert_close(
        head.loss(with_gaps, labels[query_targets], [2, 40, 7]), head.loss(logits, query_targets, ["a", "b", "c"])
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"support_targets": torch.tensor([0, 0, 0, 0, 2, 2])}, "class 'b' has no example"),
        ({"support_targets": torch.tensor([0, 0, 0, 1, 2, 3])}, "target 3 is no position among 3 classes"),
        ({"support_targets": torch.tensor([0, 0, 0, 1, 2, 9]), "classes": [0, 1, 2]}, "target 9 is not among"),
        ({"classes": [1, 1, 2]}, "hold a label twice"),
        ({"support_targets": torch.tensor([0, 1, 2])}, r"support_z has shape \(6, 8\) and support_targets \(3,\)"),
        ({"query_z": torch.zeros(4, 7)}, r"query_z has shape \(4, 7\); expected .*8\), the embedding size"),
        ({"support_z": torch.full((6, 8), math.nan)}, "support_z holds NaN or infinite values"),
        ({"support_z": torch.zeros(0, 8), "support_targets": torch.zeros(0).long()}, "the support set is empty"),
    ],
)
def test_bad_input(episode, change: dict, message: str) -> None:
    support_z, support_targets, query_z, _ = episode
    given = {"support_z": support_z, "support_targets": support_targets, "query_z": query_z, "classes": ["a", "b", "c"]}
    with pytest.raises(InputError, match=message):
        PrototypicalHead()(**{**given, **change})


def test_settings_build_the_same_head() -> None:
    assert HEADS["prototypical"] is PrototypicalHead
    head = PrototypicalHead("cosine", learn_temperature=False)
    rebuilt = build_head(head.name, head.settings())
    assert rebuilt.settings() == head.settings()
    with pytest.raises(InputError, match="no head 'prototypicl'. Did you mean 'prototypical'"):
        build_head("prototypicl", {})
    with pytest.raises(InputError, match="distance is 'manhattan'"):
        PrototypicalHead("manhattan")
    with pytest.raises(InputError, match="temperature is 0"):
        PrototypicalHead(temperature=0)


def test_temperature_is_learned_for_cosine_only(episode) -> None:
    support_z, support_targets, query_z, query_targets = episode
    for distance, learned in (("euclidean", False), ("cosine", True)):
        head = PrototypicalHead(distance)
        assert [p.requires_grad for p in head.parameters()] == [learned]
    head.loss(head(support_z, support_targets, query_z), query_targets).backward()
    assert head.log_temperature.grad is not None
