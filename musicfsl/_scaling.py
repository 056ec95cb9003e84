"""Dimensions of embeddings brought to one scale."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["SCALE_FLOOR", "mean_and_scale"]

#: Least scale of a dimension, as a share of the usual one, where a few examples are all there is to go by.
SCALE_FLOOR = 0.1


def mean_and_scale(z: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension over items ``(..., N, dim)``; both ``(..., 1, dim)``.

    Args:
        z: embeddings.
        floor: least scale, as a share of the median over the dimensions that vary at all. Where items are few, a
            dimension in which they happen to agree would else outweigh all others. The median, since one dimension of
            huge values would raise a mean for all, and since dimensions of no variance, such as units that are never
            active, say nothing about what is usual.

    Example:
        >>> mean_and_scale(torch.tensor([[0.0, 5.0], [2.0, 5.0]]), floor=0.1)
        (tensor([[1., 5.]]), tensor([[1.0000, 0.1000]]))
    """
    mean = z.mean(dim=-2, keepdim=True)
    deviation = (z - mean).square().mean(dim=-2, keepdim=True).sqrt()
    if floor > 0:
        usual = torch.where(deviation > 0, deviation, torch.nan).nanmedian(dim=-1, keepdim=True).values
        deviation = torch.maximum(deviation, floor * usual.nan_to_num())
    return mean, deviation.clamp(min=1e-8)
