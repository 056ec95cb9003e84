"""Which words are trained on and which are tested, and more words made of those; see `benchmarks.speech`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from musicfsl import ClassConditionalDataset, split_classes
from musicfsl.augment import VirtualInstruments
from musicfsl.episodes import Augment
from musicfsl.errors import InputError

__all__ = ["Split", "VirtualWords", "splits_of"]


@dataclass(frozen=True)
class Split:
    """The clips of one half of the words.

    Attributes:
        seed: that divided them.
        trained: clips to train on.
        tested: half of the clips of the other words, by each speaker.
        overlapping: clips to train on where the tested words are among them; none is tested.
    """

    seed: int
    trained: ClassConditionalDataset
    tested: ClassConditionalDataset
    overlapping: ClassConditionalDataset


def splits_of(waves: ClassConditionalDataset, seed: int) -> list[Split]:
    """Both halves of the words, each tested once.

    Raises:
        InputError: there are fewer than four words.
    """
    if len(waves.classes) < 4:
        raise InputError(f"{waves.name} has {len(waves.classes)} words; two halves of two or more need at least 4")
    first, second = split_classes(waves.classes, (0.5, 0.5), seed)
    is_tested = _half_of_each(waves, seed)
    splits = []
    for tested, trained in ((first, second), (second, first)):
        is_known = ~np.isin(waves.targets, [waves.classes.index(word) for word in tested])
        splits.append(
            Split(
                seed,
                waves.subset(trained),
                waves.subset(tested, np.flatnonzero(is_tested)),
                waves.subset(indices=np.flatnonzero(is_known | ~is_tested)),
            )
        )
    return splits


def _half_of_each(waves: ClassConditionalDataset, seed: int) -> np.ndarray:
    """Half of the clips of each word by each speaker."""
    assert waves.groups is not None
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(waves), dtype=bool)
    for target in range(len(waves.classes)):
        for speaker in np.unique(waves.groups):
            clips = np.flatnonzero((waves.targets == target) & (waves.groups == speaker))
            chosen[rng.permutation(clips)[: -(-len(clips) // 2)]] = True
    return chosen


class VirtualWords:
    """Makes other words of a word: the same random change for all of its recordings in an episode.

    Five words are few to learn from: a network learns them by heart. Backwards, or with its end put before its
    beginning, a word becomes another one; what `VirtualInstruments` does besides is much like another voice.

    Args:
        decibel: how much a decibel is, in units of the features.
    """

    def __init__(self, decibel: float) -> None:
        std = 4.3 * decibel  # as for instruments
        self._voices = VirtualInstruments(eq_db=std, tilt_db=std, decay_db=std)

    def __call__(self, rng: np.random.Generator) -> Augment:
        """Draws one virtual word."""
        voice, backwards = self._voices(rng), rng.random() < 0.5
        cut = rng.uniform(0.3, 0.7) if rng.random() < 0.5 else 0.0

        def change(features: Tensor, rng_of_clip: np.random.Generator) -> Tensor:
            changed = voice(features, rng_of_clip).roll(-int(cut * features.shape[-1]), dims=-1)
            return changed.flip(-1) if backwards else changed

        return change
