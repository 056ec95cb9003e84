from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.backbones.whitening import Whitening
from musicfsl.errors import InputError


@pytest.fixture
def clips() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    targets = torch.arange(5).repeat_interleave(400)
    mixing = torch.randn(6, 6, generator=g)
    return 3 * torch.randn(5, 6, generator=g)[targets] + torch.randn(2000, 6, generator=g) @ mixing + 7, targets


def test_within_class_covariance_becomes_the_identity(clips) -> None:
    z, targets = clips
    whitening = Whitening(6, shrinkage=0.0)
    whitening.fit(z, targets)
    white = whitening.eval()(z).double().numpy()
    residuals = np.concatenate([white[targets == c] - white[targets == c].mean(axis=0) for c in range(5)])
    np.testing.assert_allclose(residuals.T @ residuals / 2000, np.eye(6), atol=1e-4)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)


def test_equals_lda_with_a_pooled_covariance(clips) -> None:
    """Nearest mean after whitening is linear discriminant analysis with equal priors."""
    sklearn = pytest.importorskip("sklearn.discriminant_analysis")
    z, targets = clips
    whitening = Whitening(6, shrinkage=0.0)
    whitening.fit(z, targets)
    white = whitening.eval()(z)
    means = torch.stack([white[targets == c].mean(0) for c in range(5)])
    ours = ((white[:, None] - means) ** 2).sum(-1).argmin(1)
    lda = sklearn.LinearDiscriminantAnalysis(solver="lsqr", priors=[0.2] * 5).fit(z.numpy(), targets.numpy())
    assert (ours.numpy() == lda.predict(z.numpy())).mean() > 0.999


def test_full_shrinkage_keeps_the_directions(clips) -> None:
    z, targets = clips
    whitening = Whitening(6, shrinkage=1.0)
    whitening.fit(z, targets)
    off_diagonal = whitening.matrix - torch.diag(whitening.matrix.diagonal())
    assert off_diagonal.abs().max() < 1e-5
    torch.testing.assert_close(whitening.matrix.diagonal(), whitening.matrix[0, 0].expand(6))


def test_changes_nothing_in_training_or_before_it_was_fitted(clips) -> None:
    z, targets = clips
    whitening = Whitening(6)
    torch.testing.assert_close(whitening.eval()(z), z)
    whitening.fit(z, targets)
    assert torch.equal(whitening.train()(z), z)
    assert not torch.allclose(whitening.eval()(z), z)


def test_fewer_clips_than_dimensions_and_dead_directions() -> None:
    g = torch.Generator().manual_seed(0)
    z = torch.cat([torch.randn(10, 40, generator=g), torch.zeros(10, 3)], dim=1)
    whitening = Whitening(43)
    whitening.fit(z, torch.arange(2).repeat(5))
    assert whitening.eval()(z).isfinite().all()


def test_order_and_labels_do_not_matter(clips) -> None:
    z, targets = clips
    one, other = Whitening(6), Whitening(6)
    one.fit(z, targets)
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(1))
    other.fit(z[order], 100 - 7 * targets[order])
    torch.testing.assert_close(one.matrix, other.matrix)


@pytest.mark.parametrize(
    ("z", "targets", "message"),
    [
        (torch.zeros(4, 5), torch.zeros(4), r"z has shape \(4, 5\)"),
        (torch.zeros(4, 6), torch.zeros(3), r"targets \(3,\)"),
        (torch.zeros(4, 6), torch.arange(4), "a class with two clips"),
        (torch.full((4, 6), torch.nan), torch.zeros(4), "NaN or infinite"),
    ],
)
def test_bad_input(z: torch.Tensor, targets: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Whitening(6).fit(z, targets)
    with pytest.raises(InputError, match="shrinkage is 2"):
        Whitening(6, shrinkage=2)
