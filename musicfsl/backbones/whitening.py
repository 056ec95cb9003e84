"""Within-class whitening: a last linear layer with a closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError

__all__ = ["Whitening"]


class Whitening(nn.Module):
    r"""Scales directions by how much clips of one class differ along them.

    With the within-class covariance :math:`W = \frac{1}{N} \sum_i (z_i - \mu_{y_i})(z_i - \mu_{y_i})^T` of known
    classes, an embedding becomes :math:`W^{-1/2} (z - \mu)`. Directions in which two notes of one instrument differ
    then count little, and those that tell instruments apart count much. Few clips say little of so many
    directions, therefore the covariance is first drawn towards a multiple of the identity.

    The layer is not trained but fitted (`fit`) to embeddings of the training classes, between epochs or afterwards.
    In training mode, and before it was fitted, it changes nothing.

    Args:
        dim: size of an embedding.
        shrinkage: 0 to 1, how far the covariance is drawn towards the identity.

    Shape:
        - input and output: ``(..., dim)``

    Reference:
        A. O. Hatch, S. Kajarekar, A. Stolcke, Within-class covariance normalization for SVM-based speaker
        recognition, Interspeech 2006; shrinkage: O. Ledoit, M. Wolf, A well-conditioned estimator for
        large-dimensional covariance matrices, Journal of Multivariate Analysis 88, 2004.

    Example:
        >>> whitening = Whitening(2, shrinkage=0.0)
        >>> z = torch.tensor([[0.0, 1.0], [0.0, -1.0], [4.0, 11.0], [4.0, 9.0], [5.0, 10.0], [3.0, 10.0]])
        >>> whitening.fit(z, torch.tensor([0, 0, 1, 1, 1, 1]))
        >>> whitened = whitening.eval()(z)
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, dim: int, shrinkage: float = 0.5) -> None:
        super().__init__()
        if not 0 <= shrinkage <= 1:
            raise InputError(f"shrinkage is {shrinkage}; expected 0 to 1")
        self.dim = dim
        self.shrinkage = shrinkage
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("matrix", torch.eye(dim))

    def forward(self, z: Tensor) -> Tensor:
        return z if self.training else (z - self.mean) @ self.matrix

    @torch.no_grad()
    def fit(self, z: Tensor, targets: Tensor) -> None:
        """Sets the layer from embeddings of known classes.

        Args:
            z: ``(N, dim)``, what this layer gets as input.
            targets: int64 ``(N,)``.

        Raises:
            InputError: shapes do not fit, no class has two clips, or an embedding is not finite.
        """
        if z.dim() != 2 or z.shape[1] != self.dim or targets.shape != (len(z),):
            raise InputError(
                f"z has shape {tuple(z.shape)} and targets {tuple(targets.shape)}; expected (N, {self.dim}) and (N,)"
            )
        if not torch.isfinite(z).all():
            raise InputError("z holds NaN or infinite values; check the recordings and the learning rate")
        _, numbers, counts = torch.unique(targets, return_inverse=True, return_counts=True)
        if len(counts) == 0 or int(counts.max()) < 2:
            raise InputError("whitening needs a class with two clips or more; give more recordings")
        z = z.double().cpu()
        numbers, counts = numbers.cpu(), counts.cpu()
        class_means = z.new_zeros(len(counts), self.dim).index_add_(0, numbers, z) / counts[:, None]
        residuals = z - class_means[numbers]
        covariance = residuals.T @ residuals / len(z)
        level = covariance.diagonal().mean().clamp(min=1e-12)
        shrunken = (1 - self.shrinkage) * covariance + self.shrinkage * level * torch.eye(self.dim, dtype=z.dtype)
        values, vectors = torch.linalg.eigh(shrunken)
        # A direction in which clips of a class never differ must not be divided by 0.
        matrix = vectors * values.clamp(min=1e-6 * float(level)).rsqrt() @ vectors.T
        self.mean.copy_(z.mean(dim=0))
        self.matrix.copy_(matrix)

    @torch.no_grad()
    def reset(self) -> None:
        """Makes the layer change nothing, as before it was fitted."""
        self.mean.zero_()
        self.matrix.copy_(torch.eye(self.dim))
