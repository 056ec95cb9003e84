from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.heads import CacheAdapterHead, PrototypicalHead


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("balanced", [True, False])
def test_equals_the_papers(unequal, balanced: bool) -> None:
    support, targets, query = unequal.arrays
    alpha, beta, temperature = 1.3, 4.0, 8.0
    values = np.eye(3)[targets]
    if balanced:
        values = values * (8 / 3 / np.bincount(targets))
    affinities = np.exp(-beta * (1 - unit(query) @ unit(support).T))  # F_train, as in the paper's code
    prototypes = np.stack([support[targets == k].mean(axis=0) for k in range(3)])
    expected = alpha * affinities @ values + temperature * unit(query) @ unit(prototypes).T
    head = CacheAdapterHead(alpha, beta, temperature, balanced=balanced)
    logits = head(unequal.support_z, unequal.support_targets, unequal.query_z)
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_without_the_cache_the_prior_is_left(unequal) -> None:
    episode = unequal.support_z, unequal.support_targets, unequal.query_z
    head = CacheAdapterHead(alpha=0.0, temperature=10.0)
    torch.testing.assert_close(head(*episode), PrototypicalHead("cosine", 10.0, learn_temperature=False)(*episode))


def test_another_prior(unequal) -> None:
    head = CacheAdapterHead()
    state = head.adapt(unequal.support_z, unequal.support_targets)
    prior = torch.arange(27.0).reshape(9, 3)
    cache = head.score_with(torch.zeros(9, 3), state, unequal.query_z)
    torch.testing.assert_close(head.score_with(prior, state, unequal.query_z), prior + cache)
    assert (cache > 0).all()


def test_scales_are_learned_where_wanted(unequal) -> None:
    episode = unequal.support_z, unequal.support_targets, unequal.query_z, unequal.query_targets
    assert not any(p.requires_grad for p in CacheAdapterHead().parameters())
    head = CacheAdapterHead(learn_scales=True)
    head.episode_loss(*episode)[0].backward()
    learned = [p for p in head.parameters() if p.requires_grad]
    assert len(learned) == 3
    assert all(p.grad.abs() > 0 for p in learned)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": -1.0}, "alpha is -1.0; expected 0 or more"),
        ({"alpha": 0.0, "learn_scales": True}, "alpha is 0.0; expected above 0"),
        ({"beta": 0.0}, "beta is 0.0; expected a positive number"),
        ({"temperature": 0.0}, "temperature is 0"),
    ],
)
def test_bad_settings(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CacheAdapterHead(**arguments)
