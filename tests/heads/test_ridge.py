from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeClassifier

from musicfsl.errors import InputError
from musicfsl.heads import RidgeHead


@pytest.mark.parametrize("regularization", [0.01, 1.0, 50.0])
def test_equals_the_papers_closed_form(unequal, regularization: float) -> None:
    support, targets, query = unequal.arrays
    y = np.eye(3)[targets]
    weights = np.linalg.inv(support.T @ support + regularization * np.eye(support.shape[1])) @ support.T @ y
    head = RidgeHead(regularization, scale=3.0, intercept=False, normalize=False, balanced=False)
    logits = head(unequal.support_z, unequal.support_targets, unequal.query_z)
    np.testing.assert_allclose(logits.numpy(), 3.0 * query @ weights, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("balanced", [True, False])
def test_equals_scikit_learns(unequal, balanced: bool) -> None:
    support, targets, query = unequal.arrays
    weights = 8 / (3 * np.bincount(targets))[targets] if balanced else np.ones(8)
    reference = Ridge(alpha=2.0).fit(support, np.eye(3)[targets], sample_weight=weights)
    head = RidgeHead(2.0, scale=1.0, normalize=False, balanced=balanced)
    logits = head(unequal.support_z, unequal.support_targets, unequal.query_z).numpy()
    np.testing.assert_allclose(logits, reference.predict(query), rtol=1e-4, atol=1e-4)
    classifier = RidgeClassifier(alpha=2.0, class_weight="balanced" if balanced else None).fit(support, targets)
    np.testing.assert_array_equal(logits.argmax(axis=1), classifier.predict(query))


def test_normalised_embeddings_have_no_scale(unequal) -> None:
    head = RidgeHead()
    logits = head(unequal.support_z, unequal.support_targets, unequal.query_z)
    torch.testing.assert_close(head(unequal.support_z * 100, unequal.support_targets, unequal.query_z * 0.01), logits)


def test_embeddings_and_scales_learn_through_the_closed_form(unequal) -> None:
    head = RidgeHead(0.5, learn_scales=True).double()
    query_z, targets = unequal.query_z.double(), unequal.query_targets

    def loss(support_z: torch.Tensor) -> torch.Tensor:
        return head.episode_loss(support_z, unequal.support_targets, query_z, targets)[0]

    assert torch.autograd.gradcheck(loss, unequal.support_z.double().requires_grad_(), fast_mode=True)
    loss(unequal.support_z.double()).backward()
    for parameter in (head.log_regularization, head.log_scale):
        derivative = parameter.grad.clone()
        values = []
        for shift in (1e-5, -2e-5):
            with torch.no_grad():
                parameter += shift
                values.append(loss(unequal.support_z.double()))
        with torch.no_grad():
            parameter += 1e-5
        torch.testing.assert_close(derivative, (values[0] - values[1]) / 2e-5, rtol=1e-4, atol=1e-6)


def test_duplicates_and_no_regularisation_to_speak_of() -> None:
    z = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).repeat_interleave(4, dim=0)
    targets = torch.arange(3).repeat_interleave(4)
    logits = RidgeHead(1e-12, scale=1.0)(z, targets, z)
    torch.testing.assert_close(logits, torch.eye(3)[targets], rtol=0, atol=1e-2)


@pytest.mark.parametrize("arguments", [{"regularization": 0.0}, {"scale": -1.0}, {"regularization": float("inf")}])
def test_bad_settings(arguments: dict) -> None:
    with pytest.raises(InputError, match=f"{next(iter(arguments))} is .*; expected a positive number"):
        RidgeHead(**arguments)
