from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.heads import HEADS, PrototypicalHead, PtMapHead
from musicfsl.heads.standardized import StandardizedHead


def test_against_numpy() -> None:
    rng = np.random.default_rng(0)
    scales = np.array([1.0, 100.0, 0.01, 5.0])
    support, query = rng.normal(size=(6, 4)) * scales + 3, rng.normal(size=(5, 4)) * scales + 3
    targets = np.repeat([0, 1, 2], 2)
    mean, deviation = support.mean(0), support.std(0)
    deviation = np.maximum(deviation, 0.1 * np.sort(deviation)[1])  # the lower median of four
    s, q = (support - mean) / deviation, (query - mean) / deviation
    prototypes = np.stack([s[targets == c].mean(0) for c in range(3)])
    expected = -((q[:, None] - prototypes) ** 2).sum(-1)
    head = StandardizedHead(PrototypicalHead())
    logits = head(torch.tensor(support), torch.tensor(targets), torch.tensor(query))
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4)


def test_a_dimension_in_which_examples_agree_does_not_outweigh_the_others() -> None:
    support = torch.tensor([[0.0, 1.0], [4.0, 1.0]])
    head = StandardizedHead(PrototypicalHead())
    logits = head(support, torch.tensor([0, 1]), torch.tensor([[1.0, 1.001], [3.0, 0.999]]))
    assert logits.argmax(-1).tolist() == [0, 1] and torch.isfinite(logits).all()
    same = head(torch.ones(2, 3), torch.tensor([0, 1]), torch.ones(1, 3))
    assert torch.isfinite(same).all()


def test_one_huge_dimension_and_dead_ones_change_the_scale_of_no_other() -> None:
    g = torch.Generator().manual_seed(0)
    support = torch.randn(6, 9, generator=g)
    targets = torch.tensor([0, 0, 1, 1, 2, 2])
    _, scale, _ = StandardizedHead(PrototypicalHead()).adapt(support, targets)
    stretched = torch.cat([support * torch.tensor([1e6] + [1.0] * 8), torch.zeros(6, 40)], dim=1)
    _, found, _ = StandardizedHead(PrototypicalHead()).adapt(stretched, targets)
    torch.testing.assert_close(found[:, 1:9], scale[:, 1:])
    torch.testing.assert_close(found[:, :1], 1e6 * scale[:, :1])
    assert (found[:, 9:] > 0.05).all()  # a query that differs there is not far away for that


def test_stacked_episodes_are_each_alone() -> None:
    g = torch.Generator().manual_seed(0)
    support, query = torch.randn(4, 6, 5, generator=g), torch.randn(4, 7, 5, generator=g)
    targets = torch.tensor([0, 1, 2, 0, 1, 2])
    for inner in (PrototypicalHead("cosine"), PtMapHead(), HEADS["ridge"]()):
        head = StandardizedHead(inner)
        together = head(support, targets, query)
        alone = torch.stack([head(s, targets, q) for s, q in zip(support, query, strict=True)])
        torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


def test_a_mistake_is_the_inner_head_s() -> None:
    head = StandardizedHead(PrototypicalHead())
    with pytest.raises(InputError, match="class 'b' has no example"):
        head.adapt(torch.zeros(2, 3), torch.tensor([0, 0]), ["a", "b"])
    with pytest.raises(InputError, match="NaN"):
        head.adapt(torch.full((2, 3), float("nan")), torch.tensor([0, 1]), ["a", "b"])


def test_leaves_the_mode_of_the_head() -> None:
    assert not StandardizedHead(PrototypicalHead().eval()).training
    assert StandardizedHead(PrototypicalHead()).training
