"""Losses against loops written from the papers, in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.multilabel.losses import (
    LOSSES,
    MultiLabelLoss,
    asymmetric_loss,
    balanced_class_weights,
    binary_cross_entropy,
    focal_loss,
    smoothed_labels,
)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 4, generator=generator, dtype=torch.float64) * 3
    return logits, (torch.rand(5, 4, generator=generator) < 0.4).to(torch.uint8)


def mean_of_cells(logits: Tensor, targets: Tensor, cost) -> float:
    """The mean of ``cost(p, y)`` over all cells, one by one."""
    cells = [
        cost(1 / (1 + math.exp(-float(logits[i, c]))), int(targets[i, c]))
        for i in range(len(logits))
        for c in range(logits.shape[1])
    ]
    return sum(cells) / len(cells)


def test_binary_cross_entropy_is_the_loop(batch) -> None:
    expected = mean_of_cells(*batch, lambda p, y: -math.log(p) if y else -math.log(1 - p))
    assert float(binary_cross_entropy(*batch)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.5, 0.75), (5.0, None)])
def test_focal_loss_is_the_loop(batch, gamma: float, alpha: float | None) -> None:
    def cost(p: float, y: int) -> float:
        p_t = p if y else 1 - p
        alpha_t = 1.0 if alpha is None else (alpha if y else 1 - alpha)
        return -alpha_t * (1 - p_t) ** gamma * math.log(p_t)

    assert float(focal_loss(*batch, gamma, alpha)) == pytest.approx(mean_of_cells(*batch, cost), rel=1e-12)


@pytest.mark.parametrize(("positive", "negative", "margin"), [(0.0, 4.0, 0.05), (1.0, 2.0, 0.2), (0.5, 1.5, 0.0)])
def test_asymmetric_loss_is_the_loop(batch, positive: float, negative: float, margin: float) -> None:
    def cost(p: float, y: int) -> float:
        if y:
            return -((1 - p) ** positive) * math.log(p)
        p_m = max(p - margin, 0)
        return -(p_m**negative) * math.log(1 - p_m)

    found = asymmetric_loss(*batch, positive, negative, margin)
    assert float(found) == pytest.approx(mean_of_cells(*batch, cost), rel=1e-12)


def test_without_focus_all_are_the_cross_entropy(batch) -> None:
    expected = binary_cross_entropy(*batch)
    torch.testing.assert_close(focal_loss(*batch, gamma=0, alpha=None), expected)
    torch.testing.assert_close(asymmetric_loss(*batch, 0, 0, 0), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_share_of_a_label_takes_that_share_of_both_costs(batch, name: str) -> None:
    logits, _ = batch
    absent, present = torch.zeros_like(logits), torch.ones_like(logits)
    loss = LOSSES[name]
    expected = 0.3 * loss(logits, present) + 0.7 * loss(logits, absent)
    torch.testing.assert_close(loss(logits, torch.full_like(logits, 0.3)), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_label_smoothing_is_the_loss_of_smoothed_labels(batch, name: str) -> None:
    logits, targets = batch
    smoothed = torch.where(targets == 1, 0.95, 0.05).double()
    torch.testing.assert_close(LOSSES[name](logits, targets, label_smoothing=0.1), LOSSES[name](logits, smoothed))


@pytest.mark.parametrize("name", LOSSES)
def test_class_weights_multiply_columns(batch, name: str) -> None:
    logits, targets = batch
    weights = torch.tensor([0.0, 0.5, 1.0, 3.0])
    columns = [float(LOSSES[name](logits[:, [c]], targets[:, [c]])) for c in range(4)]
    expected = sum(w * column for w, column in zip(weights.tolist(), columns, strict=True)) / 4
    assert float(LOSSES[name](logits, targets, class_weights=weights)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in LOSSES),
        ("focal", {"gamma": 0.5}),
        ("asymmetric", {"gamma_positive": 0.5, "gamma_negative": 0.5, "margin": 0.0}),
    ],
)
def test_certain_answers_have_finite_losses_and_gradients(name: str, settings: dict[str, float]) -> None:
    logits = torch.tensor([[200.0, -200.0, 200.0, -200.0]], requires_grad=True)
    loss = LOSSES[name](logits, torch.tensor([[1, 1, 0, 0]]), **settings)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_gradient_of_the_asymmetric_loss(batch) -> None:
    logits, targets = batch
    assert torch.autograd.gradcheck(lambda x: asymmetric_loss(x, targets), logits.requires_grad_())
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, targets), logits)


def test_balanced_weights_are_inverse_to_counts() -> None:
    targets = torch.zeros(10, 3, dtype=torch.uint8)
    targets[:6, 0], targets[4:7, 1], targets[7:8, 2] = 1, 1, 1
    weights = balanced_class_weights(targets, ["a", "b", "c"])
    assert (weights * targets.sum(dim=0)).tolist() == pytest.approx([10 / 3] * 3)  # every class weighs alike
    assert float((targets * weights).sum() / targets.sum()) == pytest.approx(1.0)
    targets[:, 1] = 0
    with pytest.raises(InputError, match="no training item has the class 'b'"):
        balanced_class_weights(targets, ["a", "b", "c"])


def test_by_name(batch) -> None:
    loss = MultiLabelLoss("focal", label_smoothing=0.1, class_weights=[1, 2, 3, 4], gamma=1.0)
    expected = focal_loss(*batch, 1.0, label_smoothing=0.1, class_weights=torch.tensor([1.0, 2, 3, 4]))
    torch.testing.assert_close(loss(*batch), expected)
    assert loss.state_dict() == {}  # the weights are the data's, not the network's


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiLabelLoss("focul"), "no loss 'focul'. Did you mean 'focal'"),
        (lambda: MultiLabelLoss("bce", gamma=2.0), "'bce' does not take these settings"),
        (lambda: MultiLabelLoss("focal", gamma=-1.0), "gamma is -1"),
        (lambda: MultiLabelLoss("asymmetric", margin=1.0), "margin 1.0"),
        (lambda: MultiLabelLoss("bce", class_weights=[1.0, -1.0]), "class_weights"),
        (lambda: MultiLabelLoss("bce", 1.0), "label_smoothing is 1"),
        (lambda: binary_cross_entropy(torch.zeros(2, 3), torch.zeros(2, 4)), r"\(2, 3\) and targets \(2, 4\)"),
        (
            lambda: binary_cross_entropy(torch.zeros(2, 3), torch.zeros(2, 3), class_weights=torch.ones(2)),
            r"class_weights have shape \(2,\); expected \(3,\)",
        ),
        (lambda: smoothed_labels(torch.zeros(1), -0.1), "label_smoothing is -0.1"),
    ],
)
def test_mistakes(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
