"""Means over several trainings, with an interval over episodes and one over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicfsl.metrics import mean_ci95
from musicfsl.zeroshot.intervals import mean_ci95_of_few

__all__ = ["Pooled", "pooled"]


@dataclass(frozen=True)
class Pooled:
    """A mean over all trainings.

    Attributes:
        mean: of the seeds' means.
        over_episodes: half the width of the 95 % interval over episodes: of these very networks.
        over_seeds: the same over seeds (Student's t): of networks trained anew, on other splits where seeds draw these.
    """

    mean: float
    over_episodes: float
    over_seeds: float

    def __str__(self) -> str:
        return f"{self.mean + 0.0:.3f} ± {self.over_episodes:.3f} / ± {self.over_seeds:.3f}"


def pooled(rows: Iterable[tuple[int, NDArray[np.float64]]]) -> Pooled:
    """Pools the values by episode of several trainings, each given with its seed."""
    by_seed: dict[int, list[float]] = {}
    half_widths = []
    for seed, values in rows:
        found = mean_ci95(values)
        by_seed.setdefault(seed, []).append(found.mean)
        half_widths.append(found.ci95)
    mean, over_seeds = mean_ci95_of_few([float(np.mean(means)) for means in by_seed.values()])
    return Pooled(mean, math.sqrt(sum(h**2 for h in half_widths)) / len(half_widths), over_seeds)
