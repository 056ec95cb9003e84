from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray


class Excerpts(NamedTuple):
    probabilities: NDArray[np.float64]
    targets: NDArray[np.uint8]
    names: list[str]


@pytest.fixture
def excerpts() -> Excerpts:
    """Sixty excerpts of five classes of very different frequency, two without a label; many probabilities are equal."""
    rng = np.random.default_rng(3)
    targets = (rng.random((60, 5)) < [0.6, 0.4, 0.3, 0.2, 0.1]).astype(np.uint8)
    targets[:2] = 0
    probabilities = np.clip(0.3 * targets + rng.uniform(0, 0.8, (60, 5)), 0, 1).round(1)
    return Excerpts(probabilities, targets, ["Voice", "Piano", "Violin", "Flute", "Organ"])
