from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def untouched_global_random_state() -> Iterator[None]:
    """Lightning seeds and draws as it pleases: the state is put back, instead of checked as elsewhere."""
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    yield
    torch.random.set_rng_state(torch_before)
    np.random.set_state(numpy_before)  # noqa: NPY002
