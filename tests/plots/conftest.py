from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("plotly", reason="figures need the extra musicfsl[plots]")


class Points(NamedTuple):
    """An episode of 3 ways with unequal shots, in 8 dimensions."""

    support_z: NDArray[np.float64]
    support_targets: NDArray[np.int64]
    query_z: NDArray[np.float64]
    query_targets: NDArray[np.int64]
    classes: list[str]
    prototypes: NDArray[np.float64]


@pytest.fixture
def episode() -> Points:
    rng = np.random.default_rng(0)
    centers = 4 * rng.normal(size=(3, 8))
    support_targets = np.array([0, 0, 1, 1, 1, 2])
    query_targets = np.array([2, 1, 0, 0])
    support_z = centers[support_targets] + rng.normal(size=(6, 8))
    query_z = centers[query_targets] + rng.normal(size=(4, 8))
    prototypes = np.stack([support_z[support_targets == c].mean(axis=0) for c in range(3)])
    return Points(support_z, support_targets, query_z, query_targets, ["oboe", "flute", "harp"], prototypes)
