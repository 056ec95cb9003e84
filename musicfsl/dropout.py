"""Dropout that draws from a seed of its own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from musicfsl.errors import InputError

__all__ = ["SeededDropout"]


class SeededDropout(nn.Module):
    """Sets values to zero at random in training, and divides the others by the probability of staying.

    `torch.nn.Dropout` draws from torch's global random state; here the mask depends on the seed, the layer and the
    number of calls in training mode alone. That number is saved with the weights, so a training that was interrupted
    and resumed drops the same values as one that was not.

    Args:
        p: probability of a value to be dropped, 0 to below 1.
        seed: of the masks.
        layer: number of the layer, so that layers of one network that share a seed drop different values.

    Shape:
        - input and output: any

    Raises:
        InputError: ``p`` is out of range.

    Reference:
        N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, Journal of Machine
        Learning Research 15, 2014.

    Example:
        >>> dropout = SeededDropout(0.5)
        >>> sorted(set(dropout(torch.ones(1000)).tolist()))
        [0.0, 2.0]
        >>> dropout.eval()(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, p: float, seed: int = 0, layer: int = 0) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise InputError(f"the probability of dropout is {p}; expected 0 to below 1")
        self.p = p
        self.seed = seed
        self.layer = layer
        self.n_calls = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        state = np.random.SeedSequence([self.seed, self.layer, self.n_calls]).generate_state(1, np.uint64)[0]
        self.n_calls += 1
        generator = torch.Generator(x.device).manual_seed(int(state >> np.uint64(1)))
        keep = 1 - self.p
        return x * torch.empty_like(x).bernoulli_(keep, generator=generator).div_(keep)

    def get_extra_state(self) -> Tensor:
        """What is saved with the weights: how often the layer has drawn."""
        return torch.tensor(self.n_calls)

    def set_extra_state(self, state: Tensor) -> None:
        self.n_calls = int(state)

    def extra_repr(self) -> str:
        return f"p={self.p}, seed={self.seed}, layer={self.layer}"
