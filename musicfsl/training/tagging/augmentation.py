"""Augmentation of features in training; what is drawn comes from a generator that is handed in."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from musicfsl.errors import InputError

__all__ = ["SpecAugment", "mix_up"]


class SpecAugment:
    """Covers bands of frequencies and stretches of time with the item's mean value.

    The width of each mask is uniform from 0 to its maximum, its place uniform where it fits.

    Args:
        n_frequency_masks: masks along the features of a frame.
        max_frequency: widest of them, as a share of all features.
        n_time_masks: masks along time.
        max_time: widest of them, as a share of all frames.

    Shape:
        - input and output: ``(B, n_features, n_frames)``

    Raises:
        InputError: a number is out of range.

    Reference:
        D. S. Park et al., SpecAugment: a simple data augmentation method for automatic speech recognition, Interspeech
        2019 (without time warping, which gains least there).

    Example:
        >>> masked = SpecAugment()(torch.randn(8, 64, 130), np.random.default_rng(0))
    """

    def __init__(
        self, n_frequency_masks: int = 2, max_frequency: float = 0.125, n_time_masks: int = 2, max_time: float = 0.2
    ) -> None:
        if n_frequency_masks < 0 or n_time_masks < 0:
            raise InputError(
                f"n_frequency_masks is {n_frequency_masks} and n_time_masks {n_time_masks}; expected 0 or more"
            )
        if not (0 <= max_frequency <= 1 and 0 <= max_time <= 1):
            raise InputError(f"max_frequency is {max_frequency} and max_time {max_time}; expected shares, 0 to 1")
        self.n_frequency_masks, self.max_frequency = n_frequency_masks, max_frequency
        self.n_time_masks, self.max_time = n_time_masks, max_time

    def __call__(self, features: Tensor, rng: np.random.Generator) -> Tensor:
        """Masked features; every item has masks of its own."""
        batch, n_features, n_frames = features.shape
        rows = _masks(batch, n_features, self.n_frequency_masks, self.max_frequency, rng)
        columns = _masks(batch, n_frames, self.n_time_masks, self.max_time, rng)
        covered = (rows[:, :, None] | columns[:, None, :]).to(features.device)
        return torch.where(covered, features.mean(dim=(1, 2), keepdim=True), features)

    def settings(self) -> dict[str, float]:
        """The arguments that build this augmentation again."""
        return dict(vars(self))


def mix_up(x: Tensor, targets: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    r"""Mixes every item of a batch with another one, and their labels likewise.

    An item becomes :math:`\lambda x_i + (1 - \lambda) x_j` with :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)`
    drawn for each item.

    Args:
        x: features ``(B, n_features, n_frames)``.
        targets: float ``(B, C)``.
        alpha: above 0; the smaller, the more an item stays itself or becomes the other.
        rng: what is drawn comes from it.

    Returns:
        mixed features and targets.

    Reference:
        H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, mixup: beyond empirical risk minimization, ICLR 2018.

    Example:
        >>> x, y = mix_up(torch.randn(4, 64, 130), torch.eye(4), alpha=0.4, rng=np.random.default_rng(0))
        >>> bool(torch.allclose(y.sum(dim=1), torch.ones(4)))
        True
    """
    if alpha <= 0:
        raise InputError(f"alpha is {alpha}; expected a number above 0")
    share = torch.from_numpy(rng.beta(alpha, alpha, size=len(x))).to(x)
    other = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    mixed = share[:, None, None] * x + (1 - share)[:, None, None] * x[other]
    return mixed, share[:, None] * targets + (1 - share)[:, None] * targets[other]


def _masks(batch: int, n: int, n_masks: int, widest: float, rng: np.random.Generator) -> Tensor:
    """Masks ``(batch, n)``, True where any of an item's masks lies."""
    widths = rng.integers(0, int(widest * n), size=(batch, n_masks, 1), endpoint=True)
    starts = rng.integers(0, n - widths, endpoint=True)
    places = np.arange(n)
    return torch.from_numpy(((places >= starts) & (places < starts + widths)).any(axis=1))
