from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.heads import PrototypicalHead, SimpleShotHead, build_head


def simpleshot(support, targets, query, mean, temperature):
    """CL2N as the paper's section 3 says it, one query after the other."""
    support = [(z - mean) / np.linalg.norm(z - mean) for z in support]
    centroids = [np.mean([z for z, y in zip(support, targets, strict=True) if y == k], axis=0) for k in range(3)]
    rows = []
    for z in query:
        z = (z - mean) / np.linalg.norm(z - mean)
        rows.append([-temperature * np.sum((z - c) ** 2) for c in centroids])
    return np.array(rows)


def test_equals_the_papers(unequal) -> None:
    support, targets, query = unequal.arrays
    mean = np.linspace(1.0, 3.0, support.shape[1])
    head = SimpleShotHead(base_mean=mean.tolist(), temperature=4.0)
    logits = head(unequal.support_z, unequal.support_targets, unequal.query_z).detach().numpy()
    np.testing.assert_allclose(logits, simpleshot(support, targets, query, mean, 4.0), rtol=1e-4, atol=1e-4)


def test_without_a_base_mean_classes_count_alike_in_the_centre(unequal) -> None:
    support, targets, query = unequal.arrays
    mean = np.mean([support[targets == k].mean(axis=0) for k in range(3)], axis=0)
    logits = SimpleShotHead()(unequal.support_z, unequal.support_targets, unequal.query_z).detach().numpy()
    np.testing.assert_allclose(logits, simpleshot(support, targets, query, mean, 10.0), rtol=1e-4, atol=1e-4)


def test_neither_step_is_the_prototypical_head(unequal) -> None:
    head = SimpleShotHead(center=False, normalize=False, temperature=1.0)
    episode = unequal.support_z, unequal.support_targets, unequal.query_z
    torch.testing.assert_close(head(*episode), PrototypicalHead()(*episode))


def test_the_base_mean_travels_with_the_settings() -> None:
    mean = torch.randn(5, generator=torch.Generator().manual_seed(0))
    rebuilt = build_head("simpleshot", SimpleShotHead(base_mean=mean).settings())
    assert torch.equal(rebuilt.base_mean, mean)


def test_bad_settings(unequal) -> None:
    with pytest.raises(InputError, match="base_mean has 3 numbers, but embeddings have"):
        SimpleShotHead(base_mean=[1.0, 2.0, 3.0])(unequal.support_z, unequal.support_targets, unequal.query_z)
    with pytest.raises(InputError, match="center=False takes no mean away"):
        SimpleShotHead(center=False, base_mean=[1.0])
    with pytest.raises(InputError, match="expected finite numbers"):
        SimpleShotHead(base_mean=[float("nan")])
