from __future__ import annotations

import numpy as np
import pytest

from musicfsl.errors import InputError
from musicfsl.zeroshot.closed_form import ESZSL


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    side = rng.normal(size=(8, 4))
    targets = np.repeat(np.arange(6), 10)
    x = side[targets] @ rng.normal(size=(4, 5)) + 0.1 * rng.normal(size=(60, 5))
    return x, targets, side


def test_it_minimises_the_objective_of_the_paper(case) -> None:
    """Equation 3: |X V S' - Y|^2 + gamma |V S'|^2 + lambda |X V|^2 + gamma lambda |V|^2."""
    x, targets, side = case
    seen = side[:6]
    v = ESZSL(gamma=0.3, lambda_=0.2).fit(x, targets, seen).matrix_
    gamma = 0.3 * np.trace(x.T @ x) / x.shape[1]
    lambda_ = 0.2 * np.trace(seen.T @ seen) / seen.shape[1]
    y = -np.ones((60, 6))
    for i, target in enumerate(targets):
        y[i, target] = 1

    def objective(v: np.ndarray) -> float:
        fit = ((x @ v @ seen.T - y) ** 2).sum()
        return fit + gamma * ((v @ seen.T) ** 2).sum() + lambda_ * ((x @ v) ** 2).sum() + gamma * lambda_ * (v**2).sum()

    least = objective(v)
    rng = np.random.default_rng(1)
    for _ in range(20):
        step = rng.normal(size=v.shape) * 1e-3
        assert objective(v + step) > least
        assert objective(v - step) > least


def test_it_recognises_classes_without_examples() -> None:
    """Where seen classes lie evenly around the sphere, and audio is a rotation of it, the score is the cosine."""
    rng = np.random.default_rng(0)
    axes = np.concatenate([np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(3)])
    seen = np.concatenate([axes, -axes])
    unseen = rng.normal(size=(10, 4))
    unseen /= np.linalg.norm(unseen, axis=1, keepdims=True)
    rotation = np.linalg.qr(rng.normal(size=(6, 4)))[0].T
    model = ESZSL(0.01, 0.01).fit(seen @ rotation, np.arange(24), seen)
    scores = model.score(unseen @ rotation, unseen)
    np.testing.assert_allclose(scores / scores[0, 0], unseen @ unseen.T, atol=1e-9)
    assert scores.argmax(axis=1).tolist() == list(range(10))


def test_more_of_the_same_data_changes_nothing(case) -> None:
    x, targets, side = case
    once = ESZSL().fit(x, targets, side[:6]).matrix_
    twice = ESZSL().fit(np.tile(x, (2, 1)), np.tile(targets, 2), side[:6]).matrix_
    np.testing.assert_allclose(once, twice)


def test_bad_input(case) -> None:
    x, targets, side = case
    with pytest.raises(InputError, match="not fitted"):
        ESZSL().score(x, side)
    with pytest.raises(InputError, match="expected positive"):
        ESZSL(gamma=0)
    with pytest.raises(InputError, match="with rows of the side vectors"):
        ESZSL().fit(x, targets, side[:5])
    with pytest.raises(InputError, match=r"expected \(N, 5\)"):
        ESZSL().fit(x, targets, side[:6]).score(x[:, :4], side)
