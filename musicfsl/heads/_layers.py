"""What heads with weights of their own share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError

__all__ = ["check_size", "seeded_linear"]


def seeded_linear(n_in: int, n_out: int, std: float, generator: torch.Generator, bias: bool = True) -> nn.Linear:
    """A linear layer with normal first weights from a generator, and biases of 0; the global random state stays."""
    layer = nn.Linear(n_in, n_out, bias=bias, device="meta").to_empty(device="cpu")  # without weights so far
    with torch.no_grad():
        layer.weight.normal_(0.0, std, generator=generator)
        if bias:
            layer.bias.zero_()
    return layer


def check_size(head: nn.Module, z: Tensor, dim: int) -> None:
    """Raises an InputError where embeddings have another size than those that a head was made for."""
    if z.shape[-1] != dim:
        raise InputError(
            f"the embeddings have size {z.shape[-1]}, but {type(head).__name__} was made for {dim}; build it with "
            "dim=encoder.dim, and train it with that encoder"
        )
