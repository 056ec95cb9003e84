from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def untouched_global_random_state(restored_global_random_state: None) -> None:
    """Lightning seeds and draws as it pleases: the state is put back, instead of checked as elsewhere."""
