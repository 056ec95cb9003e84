from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from musicfsl.heads import MatchingHead


def vinyals_equation_1(support, targets, query, temperature):
    """Probabilities, one query and one example at a time."""
    rows = []
    for z in query:
        cosines = [z @ x / (np.linalg.norm(z) * np.linalg.norm(x)) for x in support]
        total = sum(math.exp(temperature * c) for c in cosines)
        row = np.zeros(3)
        for cosine, label in zip(cosines, targets, strict=True):
            row[label] += math.exp(temperature * cosine) / total
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("temperature", [1.0, 10.0])
def test_equals_the_papers(unequal, temperature: float) -> None:
    support, targets, query = unequal.arrays
    expected = vinyals_equation_1(support, targets, query, temperature)
    head = MatchingHead(temperature, balanced=False)
    logits = head(unequal.support_z, unequal.support_targets, unequal.query_z).detach()
    np.testing.assert_allclose(logits.exp().numpy(), expected, rtol=1e-4, atol=1e-6)
    means = expected / np.bincount(targets)
    balanced = MatchingHead(temperature)(unequal.support_z, unequal.support_targets, unequal.query_z).detach()
    np.testing.assert_allclose(balanced.exp().numpy(), means / means.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_equal_shots_need_no_balance(equal) -> None:
    episode = equal.support_z, equal.support_targets, equal.query_z
    torch.testing.assert_close(MatchingHead()(*episode), MatchingHead(balanced=False)(*episode))


def test_the_loss_is_the_negative_log_probability_and_is_learned_from(unequal) -> None:
    head = MatchingHead(500.0)  # at which most of the exponentials vanish in single precision
    support_z = unequal.support_z.clone().requires_grad_()
    loss, logits = head.episode_loss(support_z, unequal.support_targets, unequal.query_z, unequal.query_targets)
    torch.testing.assert_close(loss, -logits[torch.arange(9), unequal.query_targets].mean())
    loss.backward()
    assert torch.isfinite(support_z.grad).all()
    assert torch.isfinite(head.prototypical.log_temperature.grad)
