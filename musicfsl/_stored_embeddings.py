"""What evaluations ask of stored embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl.errors import InputError


def checked_embeddings(embeddings: Tensor | NDArray[np.floating[Any]], groups: ArrayLike | None) -> Tensor:
    """Embeddings as a tensor ``(N, dim)``, on the device where they are.

    Raises:
        InputError: shapes do not fit, or an embedding is not finite.
    """
    z = torch.as_tensor(embeddings)
    if z.dim() != 2 or not z.is_floating_point():
        raise InputError(f"embeddings are {z.dtype} of shape {tuple(z.shape)}; expected float (N, dim)")
    if groups is not None and np.asarray(groups).shape != (len(z),):
        raise InputError(f"groups have shape {np.asarray(groups).shape}; expected ({len(z)},), one a row")
    finite = torch.isfinite(z).all(dim=1)
    if not finite.all():
        raise InputError(
            f"row {int(torch.nonzero(~finite)[0])} of the embeddings holds NaN or infinity; check that recording "
            "and the encoder"
        )
    return z
