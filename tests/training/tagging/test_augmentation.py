from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.training.tagging import SpecAugment, mix_up


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(40, 24, 50, generator=torch.Generator().manual_seed(0))


def test_masks_are_whole_rows_and_columns_of_the_mean(features) -> None:
    masked = SpecAugment(1, 0.25, 1, 0.2)(features, np.random.default_rng(0))
    covered = masked != features
    widths: tuple[list[int], list[int]] = ([], [])
    for i in range(40):
        rows, columns = covered[i].all(dim=1), covered[i].all(dim=0)
        assert torch.equal(covered[i], rows[:, None] | columns[None, :])
        torch.testing.assert_close(masked[i][covered[i]], features[i].mean().expand(int(covered[i].sum())))
        for mask, found in zip((rows, columns), widths, strict=True):
            (changes,) = torch.nonzero(
                torch.diff(mask.int(), prepend=torch.zeros(1), append=torch.zeros(1)), as_tuple=True
            )
            assert len(changes) in (0, 2)  # one stretch
            found.append(int(mask.sum()))
    assert set(widths[0]) == set(range(7)) and max(widths[1]) <= 10 and len(set(widths[1])) > 6


def test_a_function_of_the_generator(features) -> None:
    augment = SpecAugment()
    first, again, other = (augment(features, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    untouched = SpecAugment(0, 0.5, 0, 0.5)(features, np.random.default_rng(0))
    assert torch.equal(untouched, features)


def test_mixing_is_the_same_for_items_and_labels(features) -> None:
    targets = torch.eye(40)
    x, y = mix_up(features, targets, 0.5, np.random.default_rng(0))
    # The labels tell who was mixed with whom, and how much.
    torch.testing.assert_close(x, torch.einsum("ij,jfn->ifn", y, features))
    torch.testing.assert_close(y.sum(dim=1), torch.ones(40))
    assert ((y > 0.01).sum(dim=1) <= 2).all()
    shares = y.diagonal()
    assert 0.2 < float(shares.mean()) < 0.8 and float(shares.std()) > 0.2  # Beta(0.5, 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpecAugment(-1), "n_frequency_masks is -1"),
        (lambda: SpecAugment(max_time=1.5), "max_time 1.5"),
        (lambda: mix_up(torch.zeros(1, 1, 1), torch.zeros(1, 1), 0, np.random.default_rng(0)), "alpha is 0"),
    ],
)
def test_mistakes(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
