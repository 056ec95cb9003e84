"""Augmentations of log-mel spectrograms that make new classes out of old ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from musicfsl.episodes import Augment
from musicfsl.features import FrontEnd

__all__ = ["VirtualInstruments"]

_EQ_KNOTS = 8
_BANDS = 64  # that the default shift is meant for


class VirtualInstruments:
    """Makes of a class a virtual instrument: the same random change for all of its clips in an episode.

    Five instruments are few to learn from. Transposed, filtered through a random formant curve and given another
    decay, a class becomes another one, which the network has to tell from the original as well: from few classes it
    so learns to compare instruments rather than to know five of them. Support and query get the very same change,
    therefore it cannot be averaged away as the usual augmentation of single clips would be.

    Args:
        shift: the spectrogram moves up or down by at most so many mel bands (about a transposition).
        eq_db: standard deviation, in decibels, of a smooth random filter curve.
        tilt_db: standard deviation of a slope over all bands (at either end).
        decay_db: standard deviation of a slope over the clip's time (at either end).

    Reference:
        Augmenting tasks rather than examples: J. Liu, F. Chao, C.-M. Lin, Task augmentation by rotating for
        meta-learning, arXiv:2003.00804; R. Ni et al., Data augmentation for meta-learning, ICML 2021.

    Example:
        >>> draw = VirtualInstruments()
        >>> rng = np.random.default_rng(0)
        >>> change = draw(rng)
        >>> change(torch.zeros(64, 63), rng).shape
        torch.Size([64, 63])
    """

    def __init__(self, shift: int = 6, eq_db: float = 4.3, tilt_db: float = 4.3, decay_db: float = 4.3) -> None:
        self.shift, self.eq_db, self.tilt_db, self.decay_db = shift, eq_db, tilt_db, decay_db

    @classmethod
    def for_front_end(cls, front_end: FrontEnd) -> VirtualInstruments:
        """Changes as strong as the default ones, in the units of a front end and for as many bands as it has.

        Features are taken to be decibels unless the front end says by ``decibel`` what one is in their units, as
        `musicfsl.kaldi.KaldiFilterBank` does. Such a front end's bands are counted too: 6 of 64 become 12 of 128.

        Example:
            >>> from musicfsl.kaldi import KaldiFilterBank
            >>> draw = VirtualInstruments.for_front_end(KaldiFilterBank())
            >>> draw.shift, round(draw.eq_db, 2)
            (12, 0.11)
        """
        decibel = getattr(front_end, "decibel", None)
        if decibel is None:
            return cls()
        default = cls()
        shift = round(default.shift * getattr(front_end, "n_mels", _BANDS) / _BANDS)
        return cls(shift, default.eq_db * decibel, default.tilt_db * decibel, default.decay_db * decibel)

    def __call__(self, rng: np.random.Generator) -> Augment:
        """Draws one virtual instrument."""
        shift = int(rng.integers(-self.shift, self.shift + 1))
        knots = rng.normal(0.0, self.eq_db, _EQ_KNOTS)
        tilt = rng.normal(0.0, self.tilt_db)
        decay = rng.normal(0.0, self.decay_db)

        @cache
        def at_size(n_bands: int, n_frames: int) -> tuple[Tensor, Tensor]:
            """Which band each band is taken from, and what is added; the same for all clips of the class."""
            curve = np.interp(np.linspace(0, _EQ_KNOTS - 1, n_bands), np.arange(_EQ_KNOTS), knots)
            gain = torch.from_numpy(curve + tilt * np.linspace(-1, 1, n_bands)).float()
            slope = torch.linspace(-decay, decay, n_frames)
            # Bands that the shift empties repeat the outermost one.
            source = torch.arange(n_bands).sub_(shift).clamp_(0, n_bands - 1)
            return source, gain[:, None] + slope

        def change(features: Tensor, _: np.random.Generator) -> Tensor:
            source, added = at_size(*features.shape)
            return features.index_select(0, source).add_(added)

        return change
