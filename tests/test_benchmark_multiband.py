"""What the front end is compared with computes the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks import __main__ as bench
from benchmarks import multiband
from musicfsl import MultiBand


@pytest.mark.parametrize(
    "naive", [multiband.with_torch, pytest.param(multiband.with_librosa, marks=pytest.mark.filterwarnings("ignore"))]
)
def test_the_peers_compute_the_same(naive: Callable[[MultiBand, Tensor], Tensor]) -> None:
    if naive is multiband.with_librosa:
        pytest.importorskip("librosa")
    front_end = MultiBand()
    waves = torch.randn(2, 1, 6000, generator=torch.Generator().manual_seed(0)).mul_(0.1)
    # A constant and the highest frequency have no mirror image, for which the peers do not allow.
    torch.testing.assert_close(naive(front_end, waves)[:, 1:-1], front_end(waves)[:, 1:-1], rtol=0.0, atol=0.05)


@pytest.mark.filterwarnings("ignore")
def test_measure() -> None:
    pytest.importorskip("librosa")
    rows = multiband.measure(n_clips=2, repeats=1)
    assert len(rows) == 3
    assert all(row.ratio is not None and row.target == "below 1" for row in rows)
    assert "multiband" in bench.MEASUREMENTS
