from __future__ import annotations

import pytest
import torch

from musicfsl.dropout import SeededDropout
from musicfsl.errors import InputError


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_drops_its_share_and_keeps_the_mean(p: float) -> None:
    y = SeededDropout(p)(torch.ones(20000))
    # Five standard deviations of a share over 20,000 draws are below 0.018.
    assert float((y == 0).float().mean()) == pytest.approx(p, abs=0.018)
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / (1 - p)))


def test_evaluation_and_zero_change_nothing() -> None:
    x = torch.ones(5)
    assert SeededDropout(0.5).eval()(x) is x
    assert SeededDropout(0.0)(x) is x


def test_seed_layer_and_call_decide_the_mask() -> None:
    x = torch.ones(200)
    first, again = SeededDropout(0.5, seed=1, layer=2), SeededDropout(0.5, seed=1, layer=2)
    one = first(x)
    assert torch.equal(one, again(x))
    for other in (first, SeededDropout(0.5, seed=2, layer=2), SeededDropout(0.5, seed=1, layer=3)):
        assert not torch.equal(other(x), one)


def test_goes_on_where_it_was_saved() -> None:
    x, dropout, resumed = torch.ones(200), SeededDropout(0.5), SeededDropout(0.5)
    dropout(x)
    resumed.load_state_dict(dropout.state_dict())
    assert torch.equal(resumed(x), dropout(x))


def test_gradients_pass_where_values_do() -> None:
    x = torch.ones(50, requires_grad=True)
    y = SeededDropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_half_precision_stays() -> None:
    assert SeededDropout(0.5)(torch.ones(4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_out_of_range(p: float) -> None:
    with pytest.raises(InputError, match=f"the probability of dropout is {p}; expected 0 to below 1"):
        SeededDropout(p)
