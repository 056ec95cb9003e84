from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf_shrinkage as reference_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from musicfsl.errors import InputError
from musicfsl.heads import LdaHead, PrototypicalHead
from musicfsl.heads.lda import ledoit_wolf_shrinkage


@pytest.mark.parametrize("shrinkage", [0.05, 0.5, 1.0])
def test_equals_scikit_learns(equal, shrinkage: float) -> None:
    support, targets, query = equal.arrays
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(support, targets)
    head = LdaHead(shrinkage, normalize=False)
    ours = head(equal.support_z, equal.support_targets, equal.query_z)
    np.testing.assert_allclose(ours.softmax(-1).numpy(), reference.predict_proba(query), rtol=1e-2, atol=1e-5)
    np.testing.assert_array_equal(ours.argmax(-1).numpy(), reference.predict(query))


@pytest.mark.filterwarnings("ignore:Only one sample available")
def test_with_unequal_shots_all_residuals_count_and_classes_are_equally_probable(unequal) -> None:
    support, targets, query = unequal.arrays
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(support, targets)
    expected = query @ reference.coef_.T + reference.intercept_ - np.log(reference.priors_)
    logits = LdaHead(0.3, normalize=False)(unequal.support_z, unequal.support_targets, unequal.query_z)
    np.testing.assert_allclose(
        logits.log_softmax(-1).numpy(), torch.from_numpy(expected).log_softmax(-1).numpy(), rtol=1e-3, atol=1e-3
    )


def test_ledoit_wolf(unequal) -> None:
    support, targets, _ = unequal.arrays
    means = np.stack([support[targets == k].mean(axis=0) for k in range(3)])
    residuals = support - means[targets]
    shrinkage = reference_shrinkage(residuals, assume_centered=True)
    assert shrinkage > 0
    ours = ledoit_wolf_shrinkage(torch.from_numpy(residuals))
    np.testing.assert_allclose(ours.item(), shrinkage, rtol=1e-6)
    episode = unequal.support_z, unequal.support_targets, unequal.query_z
    automatic, fixed = LdaHead(normalize=False)(*episode), LdaHead(min(shrinkage, 1.0), normalize=False)(*episode)
    torch.testing.assert_close(automatic, fixed, rtol=1e-3, atol=1e-3)


def test_ledoit_wolf_of_many_rows_is_small() -> None:
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(4, 3000, 3, generator=g) * torch.tensor([1.0, 2.0, 3.0])
    shrinkage = ledoit_wolf_shrinkage(rows).flatten()
    expected = [reference_shrinkage(x.double().numpy(), assume_centered=True) for x in rows]
    np.testing.assert_allclose(shrinkage.numpy(), expected, rtol=1e-2)
    assert ledoit_wolf_shrinkage(torch.zeros(5, 3)).item() == 1.0


def test_one_shot_is_the_nearest_mean(equal) -> None:
    support_z, targets = equal.support_z[::3], torch.arange(3)
    logits = LdaHead(normalize=False)(support_z, targets, equal.query_z)
    variance = (support_z - support_z.mean(0)).square().mean()
    expected = PrototypicalHead()(support_z, targets, equal.query_z) / (2 * variance)
    torch.testing.assert_close(logits.log_softmax(-1), expected.log_softmax(-1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shrinkage", ["ledoit-wolf", 0.2])
def test_embeddings_learn_through_it(unequal, shrinkage) -> None:
    head = LdaHead(shrinkage)

    def loss(support_z: torch.Tensor) -> torch.Tensor:
        return head.episode_loss(support_z, unequal.support_targets, unequal.query_z.double(), unequal.query_targets)[0]

    assert torch.autograd.gradcheck(loss, unequal.support_z.double().requires_grad_(), fast_mode=True)
    one_shot = unequal.support_z[[0, 3, 4]].requires_grad_()
    head.episode_loss(one_shot, torch.arange(3), unequal.query_z, unequal.query_targets)[0].backward()
    assert torch.isfinite(one_shot.grad).all()


@pytest.mark.parametrize("shrinkage", [0.0, 1.5, "oas"])
def test_bad_settings(shrinkage) -> None:
    with pytest.raises(InputError, match="expected a number above 0 and up to 1, or 'ledoit-wolf'"):
        LdaHead(shrinkage)
