from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor


class Example(NamedTuple):
    """An episode with unequal shots, as tensors and as arrays."""

    support_z: Tensor
    support_targets: Tensor
    query_z: Tensor
    query_targets: Tensor

    @property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        return self.support_z.double().numpy(), self.support_targets.numpy(), self.query_z.double().numpy()


@pytest.fixture(
    params=[(12, "more dimensions than examples"), (4, "more examples than dimensions")], ids=lambda p: p[1]
)
def unequal(request: pytest.FixtureRequest) -> Example:
    return example(request.param[0], torch.tensor([0, 0, 0, 1, 2, 2, 0, 2]))


@pytest.fixture(
    params=[(12, "more dimensions than examples"), (4, "more examples than dimensions")], ids=lambda p: p[1]
)
def equal(request: pytest.FixtureRequest) -> Example:
    return example(request.param[0], torch.arange(3).repeat_interleave(3))


def example(dim: int, support_targets: Tensor) -> Example:
    g = torch.Generator().manual_seed(0)
    means = 1.5 * torch.randn(3, dim, generator=g) + 2
    query_targets = torch.arange(9) % 3
    return Example(
        means[support_targets] + torch.randn(len(support_targets), dim, generator=g),
        support_targets,
        means[query_targets] + torch.randn(9, dim, generator=g),
        query_targets,
    )
