from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from musicfsl.errors import InputError
from musicfsl.heads import NearestNeighbourHead


@pytest.mark.parametrize(("distance", "metric"), [("cosine", "cosine"), ("euclidean", "sqeuclidean")])
@pytest.mark.parametrize("k", [1, 3, 4, 8])
def test_votes_equal_scikit_learns(unequal, distance: str, metric: str, k: int) -> None:
    support, targets, query = unequal.arrays
    votes = k * KNeighborsClassifier(k, metric=metric, algorithm="brute").fit(support, targets).predict_proba(query)
    head = NearestNeighbourHead(k, distance)
    logits = head(unequal.support_z, unequal.support_targets, unequal.query_z).detach().numpy()
    if k > 1:
        ours = (k + 1) * np.exp(logits)  # the votes, and one that is shared
        np.testing.assert_allclose(ours.sum(axis=1), k + 1, rtol=1e-5)
        shared = ours - votes
        assert ((shared > -1e-5) & (shared < 1 + 1e-5)).all()
    clear = np.sort(votes, axis=1)[:, -1] > np.sort(votes, axis=1)[:, -2]
    assert clear.any()
    np.testing.assert_array_equal(logits.argmax(axis=1)[clear], votes.argmax(axis=1)[clear])


def test_the_nearer_class_wins_a_tie() -> None:
    support_z = torch.tensor([[1.0], [8.0], [4.0], [6.5]])
    targets = torch.tensor([0, 0, 1, 1])
    query_z = torch.tensor([[2.0], [4.5]])  # two votes each
    logits = NearestNeighbourHead(4, "euclidean")(support_z, targets, query_z)
    assert logits.argmax(-1).tolist() == [0, 1]


def test_more_neighbours_than_examples(unequal) -> None:
    episode = unequal.support_z, unequal.support_targets, unequal.query_z
    torch.testing.assert_close(NearestNeighbourHead(100)(*episode), NearestNeighbourHead(8)(*episode))


def test_gradient_flows_through_the_nearest(unequal) -> None:
    support_z = unequal.support_z.clone().requires_grad_()
    head = NearestNeighbourHead(3)
    head.episode_loss(support_z, unequal.support_targets, unequal.query_z, unequal.query_targets)[0].backward()
    assert torch.isfinite(support_z.grad).all() and support_z.grad.abs().sum() > 0


def test_k_is_checked() -> None:
    with pytest.raises(InputError, match="k is 0; expected 1 neighbour or more"):
        NearestNeighbourHead(0)
