"""Every clip of a data set, and augmented copies of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from musicfsl import ClassConditionalDataset
from musicfsl.datasets.base import hash_of
from musicfsl.effects import RandomEffects, apply_effects

__all__ = ["AugmentedCopies"]

# Sets the generators of copies apart from all others that come from the same seed.
_STREAM = 0xC0B1E5


class AugmentedCopies(ClassConditionalDataset):
    """The clips of a data set of waves, and behind them ``n_copies`` of each, with effects drawn for each copy.

    A clip and its copies are of one group, so that no episode has a clip to recognise by its own copy.

    Args:
        dataset: waves; whole clips are taken, whatever its ``length``.
        effects: draws the effects, none of which may change a clip's length.
        n_copies: of each clip, 1 or more.
        seed: of the effects; a copy's are a function of the seed, its clip and its number.
    """

    def __init__(self, dataset: ClassConditionalDataset, effects: RandomEffects, n_copies: int, seed: int = 0) -> None:
        n, times = len(dataset), 1 + n_copies
        self.dataset, self.effects, self.n_copies, self.seed = dataset, effects, n_copies, seed
        self.name, self.classes, self.sample_rate = dataset.name, list(dataset.classes), dataset.sample_rate
        self.is_synthetic, self.families = dataset.is_synthetic, dataset.families
        self.targets, self.lengths = np.tile(dataset.targets, times), np.tile(dataset.lengths, times)
        self.groups = np.tile(np.arange(n) if dataset.groups is None else dataset.groups, times)
        self.is_copy = np.arange(n * times) >= n

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        wave = self.dataset.read(index % len(self.dataset))
        if self.is_copy[index]:
            wave = apply_effects(wave, self.sample_rate, self.parameters(index))
        return wave[:, offset : None if length is None else offset + length]

    def parameters(self, index: int) -> list[dict[str, Any]]:
        """The effects of a copy, as `musicfsl.effects.apply_effects` takes them."""
        rng = np.random.default_rng((_STREAM, self.seed, index))
        return self.effects.draw(rng, self.sample_rate)

    def item_name(self, index: int) -> str:
        copy = " (a copy)" if self.is_copy[index] else ""
        return self.dataset.item_name(index % len(self.dataset)) + copy

    def fingerprint(self) -> str:
        own = {"effects": self.effects.settings(), "n_copies": self.n_copies, "seed": self.seed}
        return hash_of({"copies of": self.dataset.fingerprint(), **own})
