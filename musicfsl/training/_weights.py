"""What the trainings ask of a network's weights."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

__all__ = ["is_frozen", "weights_hash"]


def is_frozen(module: nn.Module) -> bool:
    """Whether training leaves every weight as it is: none requires a gradient."""
    return not any(parameter.requires_grad for parameter in module.parameters())


def weights_hash(module: nn.Module, leave_out: nn.Module | None = None) -> str:
    """A hash of all weights.

    Args:
        module: whose weights.
        leave_out: a part of it whose weights do not count.
    """
    left_out = tuple(f"{name}." for name, part in module.named_modules() if part is leave_out)
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if name.startswith(left_out):
            continue
        digest.update(name.encode())
        # As bytes, since numpy has no bfloat16.
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
