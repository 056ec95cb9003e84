"""The model of zero-shot learning: audio and side information, each projected into one space."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from musicfsl.errors import InputError

__all__ = ["Perturb", "Standardize", "ZeroShotModel"]

#: Changes inputs of the same shape, such as dropout while training.
Perturb = Callable[[Tensor], Tensor]


class ZeroShotModel(nn.Module):
    r"""Two branches into one space, in which a clip lies near the vector of its class.

    The audio branch is any encoder and a linear projection, the side branch a linear projection of side vectors. Both
    end on the unit sphere, and the score of a clip for a class is :math:`\tau \cos(a, c)`. A class vector comes from
    the side branch alone: no recording enters it, so a class without recordings has one like any other.

    Args:
        encoder: module from waves or features to embeddings ``(B, dim)``, with the attribute ``dim``.
        side_dim: length of the side vectors.
        dim: of the common space.
        temperature: :math:`\tau`, or where its learning starts.
        learn_temperature: whether it is trained (the softmax loss uses it, the triplet loss does not).
        seed: of the first weights of the projections.

    Attributes:
        encoder: as given.
        audio_scale: standardises embeddings; it changes nothing before it is fitted.
        side_scale: standardises side vectors; likewise. Fit it to the seen classes only.

    Shape:
        - audio: waves ``(B, 1, n_samples)``, features ``(B, n_features, n_frames)``, or embeddings ``(B, encoder.dim)``
        - side vectors: ``(C, side_dim)``
        - output: scores ``(B, C)``

    Raises:
        InputError: the encoder has no ``dim``, or a number is out of range.

    Reference:
        J. Choi, J. Lee, J. Park, J. Nam, Zero-shot learning for audio-based music classification and tagging,
        ISMIR 2019; A. Frome et al., DeViSE: a deep visual-semantic embedding model, NeurIPS 2013.

    Example:
        >>> from musicfsl.backbones import ConvEncoder
        >>> model = ZeroShotModel(ConvEncoder(), side_dim=3, dim=16)
        >>> class_vectors = model.embed_classes(torch.eye(3))
        >>> model.score(model.embed_audio(torch.zeros(2, 1, 16000)), class_vectors).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        encoder: nn.Module,
        side_dim: int,
        dim: int = 128,
        temperature: float = 10.0,
        learn_temperature: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        encoder_dim = getattr(encoder, "dim", None)
        if not isinstance(encoder_dim, int):
            raise InputError(
                f"{type(encoder).__name__} does not say the size of its embeddings; give it an attribute 'dim'"
            )
        if side_dim < 1 or dim < 1:
            raise InputError(f"side_dim is {side_dim} and dim {dim}; expected 1 or more of both")
        if temperature <= 0:
            raise InputError(f"temperature is {temperature}; expected a positive number")
        self.encoder = encoder
        self.encoder_dim, self.side_dim, self.dim = encoder_dim, side_dim, dim
        self.audio_scale, self.side_scale = Standardize(encoder_dim), Standardize(side_dim)
        generator = torch.Generator().manual_seed(seed)
        self.audio_projection = _linear(encoder_dim, dim, generator)
        self.side_projection = _linear(side_dim, dim, generator)
        # Learned as a logarithm, the factor stays positive.
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)), requires_grad=learn_temperature)

    def forward(self, audio: Tensor, side_vectors: Tensor) -> Tensor:
        """Scores ``(B, C)`` of clips for classes that are given by their side vectors."""
        return self.score(self.embed_audio(audio), self.embed_classes(side_vectors))

    def embed_audio(self, audio: Tensor, perturb: Perturb | None = None) -> Tensor:
        """Clips in the common space, as unit vectors.

        Args:
            audio: waves or features, which go through the encoder, or embeddings ``(B, encoder.dim)`` that it made.
            perturb: changes the standardised embeddings, in training.

        Returns:
            ``(B, dim)``.

        Raises:
            InputError: embeddings have another size than the encoder's, or the encoder refuses its input.
        """
        z = audio if audio.dim() == 2 else self.encoder(audio)
        if z.dim() != 2 or z.shape[1] != self.encoder_dim:
            raise InputError(
                f"embeddings have shape {tuple(z.shape)}; expected (B, {self.encoder_dim}), the size of "
                f"{type(self.encoder).__name__}'s"
            )
        z = self.audio_scale(z)
        return functional.normalize(self.audio_projection(z if perturb is None else perturb(z)), dim=-1)

    def embed_classes(self, side_vectors: Tensor, perturb: Perturb | None = None) -> Tensor:
        """Classes in the common space, as unit vectors, from side information alone.

        Args:
            side_vectors: ``(C, side_dim)``, as a `SideInformation` gives them.
            perturb: changes the standardised vectors, in training.

        Returns:
            ``(C, dim)``.

        Raises:
            InputError: the vectors have another length than the model was built for.
        """
        if side_vectors.dim() != 2 or side_vectors.shape[1] != self.side_dim:
            raise InputError(
                f"the side vectors have shape {tuple(side_vectors.shape)}, but the model was built for "
                f"(C, {self.side_dim}); give the side information that it was trained with"
            )
        s = self.side_scale(side_vectors)
        return functional.normalize(self.side_projection(s if perturb is None else perturb(s)), dim=-1)

    def similarity(self, audio_vectors: Tensor, class_vectors: Tensor) -> Tensor:
        """Cosines ``(B, C)`` of clips ``(B, dim)`` and classes ``(C, dim)``, both from this model's branches."""
        for name, vectors in (("audio", audio_vectors), ("class", class_vectors)):
            if vectors.dim() != 2 or vectors.shape[1] != self.dim:
                raise InputError(
                    f"the {name} vectors have shape {tuple(vectors.shape)}; expected (n, {self.dim}), as embed_audio "
                    "and embed_classes give them"
                )
        return audio_vectors @ class_vectors.T

    def score(self, audio_vectors: Tensor, class_vectors: Tensor) -> Tensor:
        """`similarity` times the temperature: the logits of a softmax over the classes."""
        return self.similarity(audio_vectors, class_vectors) * self.log_temperature.exp()


class Standardize(nn.Module):
    """Subtracts a mean and divides by a standard deviation, component by component; fitted, not trained.

    A component that is constant in what it was fitted to becomes 0: nothing can have been learned of it, so whatever
    the first weights make of it elsewhere would be noise.

    Args:
        dim: components.

    Example:
        >>> scale = Standardize(2)
        >>> scale.fit(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
        >>> scale(torch.tensor([[3.0, 9.0]]))
        tensor([[2., 0.]])
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("factor", torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.factor

    @torch.no_grad()
    def fit(self, rows: Tensor) -> None:
        """Sets mean and factor from ``rows`` ``(N, dim)``, two or more.

        Raises:
            InputError: the shape does not fit, or a value is not finite.
        """
        if rows.dim() != 2 or rows.shape[1] != self.dim or len(rows) < 2:
            raise InputError(f"the rows have shape {tuple(rows.shape)}; expected (N, {self.dim}) with N of 2 or more")
        if not torch.isfinite(rows).all():
            raise InputError("the rows hold NaN or infinite values; check where they come from")
        rows = rows.double()
        deviation = rows.std(dim=0, unbiased=False)
        is_constant = deviation <= 1e-6 * rows.abs().amax(dim=0)
        self.mean.copy_(rows.mean(dim=0))
        self.factor.copy_(torch.where(is_constant, 0.0, 1 / deviation.where(~is_constant, torch.ones_like(deviation))))


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer whose first weights come from a generator and leave the global random state alone."""
    layer = nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")  # without weights so far
    bound = 1 / math.sqrt(n_in)  # as torch's own layers begin
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
