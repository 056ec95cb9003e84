from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.zeroshot.losses import random_negatives, softmax_loss, triplet_loss


@pytest.fixture
def cosines() -> Tensor:
    return torch.rand(30, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def targets() -> Tensor:
    return torch.arange(30) % 7


def test_triplet_is_the_loop_of_the_paper(cosines: Tensor, targets: Tensor) -> None:
    negatives = random_negatives(targets, 7, torch.Generator().manual_seed(1))
    losses = [
        max(0.0, 0.5 - cosines[i, targets[i]].item() + cosines[i, negatives[i]].item()) for i in range(len(cosines))
    ]
    assert 0 < losses.count(0.0) < 30  # both sides of the hinge
    assert triplet_loss(cosines, targets, negatives).item() == pytest.approx(sum(losses) / 30, rel=1e-6)


def test_softmax_is_the_loop_of_the_paper(cosines: Tensor, targets: Tensor) -> None:
    losses = []
    for i in range(len(cosines)):
        exponentials = [math.exp(10 * c.item()) for c in cosines[i]]
        losses.append(-math.log(exponentials[targets[i]] / sum(exponentials)))
    assert softmax_loss(10 * cosines, targets).item() == pytest.approx(sum(losses) / 30, rel=1e-5)


def test_negatives_are_all_other_classes_alike() -> None:
    targets = torch.arange(5).repeat(4000)
    negatives = random_negatives(targets, 5, torch.Generator().manual_seed(0))
    counts = torch.bincount(targets * 5 + negatives, minlength=25).view(5, 5)
    assert (counts.diagonal() == 0).all()
    others = counts[~torch.eye(5, dtype=torch.bool)]
    # Binomial: 4000 draws at 1/4 have a standard deviation of 27.
    assert ((others - 1000).abs() < 5 * 27).all()


def test_gradients_pull_to_the_own_class_only_where_the_margin_is_missed() -> None:
    cosines = torch.tensor([[0.9, 0.1], [0.2, 0.1]], requires_grad=True)
    triplet_loss(cosines, torch.tensor([0, 0]), torch.tensor([1, 1])).backward()
    assert cosines.grad is not None
    assert cosines.grad.tolist() == [[0, 0], [-0.5, 0.5]]


@pytest.mark.parametrize(
    ("targets", "negatives", "margin", "message"),
    [
        ([0, 1], [1, 1], 0.5, "a negative is the clip's own class"),
        ([0, 3], [1, 0], 0.5, "a target is no column among 3 classes"),
        ([0, 1], [1, -1], 0.5, "a target is no column"),
        ([0, 1], [1, 0], 0.0, "margin is 0.0; expected above 0"),
        ([0], [1], 0.5, r"targets \(1,\); expected \(B, C\)"),
    ],
)
def test_bad_input_of_the_triplet_loss(targets, negatives, margin: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        triplet_loss(torch.zeros(2, 3), torch.tensor(targets), torch.tensor(negatives), margin)


def test_bad_input_of_the_others() -> None:
    with pytest.raises(InputError, match="expected"):
        softmax_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(InputError, match="a negative needs a second"):
        random_negatives(torch.tensor([0]), 1, torch.Generator())
