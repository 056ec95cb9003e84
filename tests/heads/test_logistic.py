from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from musicfsl.errors import InputError
from musicfsl.heads import LogisticHead


def reference(support, targets, regularization: float, balanced: bool) -> LogisticRegression:
    weight = "balanced" if balanced else None
    return LogisticRegression(C=1 / regularization, class_weight=weight, tol=1e-10, max_iter=10_000).fit(
        support, targets
    )


@pytest.mark.parametrize("regularization", [0.001, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("balanced", [True, False])
def test_reaches_scikit_learns_optimum(unequal, regularization: float, balanced: bool) -> None:
    support, targets, query = unequal.arrays
    expected = reference(support, targets, regularization, balanced)
    head = LogisticHead(regularization, normalize=False, balanced=balanced)
    state = head.adapt(unequal.support_z, unequal.support_targets)
    np.testing.assert_allclose(state.weights.T.numpy(), expected.coef_, atol=1e-3)
    probabilities = head.score(state, unequal.query_z).softmax(-1)
    np.testing.assert_allclose(probabilities.numpy(), expected.predict_proba(query), atol=1e-3)


def test_normalises_first(unequal) -> None:
    support, targets, query = unequal.arrays
    support, query = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (support, query))
    logits = LogisticHead()(unequal.support_z, unequal.support_targets, unequal.query_z)
    expected = reference(support, targets, 0.1, balanced=True).predict_proba(query)
    np.testing.assert_allclose(logits.softmax(-1).numpy(), expected, atol=1e-3)


def test_many_examples_that_no_line_separates() -> None:
    g = torch.Generator().manual_seed(0)
    z, targets = torch.randn(3, 400, 6, generator=g), torch.arange(400) % 4
    together = LogisticHead(0.01, normalize=False)(z, targets, z).softmax(-1)
    for i in range(3):
        array = z[i].double().numpy()
        expected = reference(array, targets.numpy(), 0.01, balanced=True).predict_proba(array)
        np.testing.assert_allclose(together[i].numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("normalize", [True, False])
def test_gradients_are_those_of_the_optimum(unequal, normalize: bool) -> None:
    head = LogisticHead(0.3, normalize=normalize)
    query_z, targets = unequal.query_z.double(), unequal.query_targets

    def loss(support_z: torch.Tensor) -> torch.Tensor:
        return head.episode_loss(support_z, unequal.support_targets, query_z, targets)[0]

    support_z = unequal.support_z.double().requires_grad_()
    assert torch.autograd.gradcheck(loss, support_z, eps=1e-4, rtol=1e-3, fast_mode=True, check_undefined_grad=False)
    with torch.no_grad():
        without = loss(support_z)
    torch.testing.assert_close(loss(support_z).detach(), without)


def test_a_loss_that_is_not_blind_to_what_classes_share(unequal) -> None:
    """Such a gradient has a part along which the objective is flat."""
    support_z = unequal.support_z.clone().requires_grad_()
    LogisticHead()(support_z, unequal.support_targets, unequal.query_z)[:, 0].sum().backward()
    assert torch.isfinite(support_z.grad).all() and support_z.grad.abs().max() < 100


def test_bad_settings() -> None:
    with pytest.raises(InputError, match="regularization is 0; expected a positive number"):
        LogisticHead(0)
