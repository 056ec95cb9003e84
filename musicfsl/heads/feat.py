"""FEAT: prototypes that look at one another before they are compared with queries."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from musicfsl.dropout import SeededDropout
from musicfsl.errors import InputError
from musicfsl.heads._layers import check_size, seeded_linear
from musicfsl.heads.base import Classes, Head, HeadState, class_means, mean_cross_entropy, target_positions
from musicfsl.heads.prototypical import Distance, PrototypicalHead

__all__ = ["FeatHead"]


class FeatHead(Head):
    r"""Prototypical classification after a transformer has adapted the prototypes to the episode.

    The means :math:`c_1, \dots, c_N` of the classes' support embeddings go, as a set, through one layer of
    self-attention with a residual connection,

    .. math:: T(c)_k = \mathrm{LayerNorm}\Big(c_k + W_O \sum_j a_{kj} W_V c_j\Big), \qquad
              a_{kj} = \mathrm{softmax}_j \frac{(W_Q c_k) \cdot (W_K c_j)}{\sqrt{d}} ,

    so that each can move away from those it might be taken for. Queries are not changed, and go to the nearest
    adapted prototype, as in `PrototypicalHead`. The order of the classes does not matter.

    Training (`episode_loss`) adds an auxiliary loss with the weight ``contrast``: all items of a class, supports and
    queries, go through :math:`T` as one set, and every item must find its own class among the means of these sets.

    The head says little before it is trained (`musicfsl.EpisodicLearner`). Its authors train the encoder as a
    classifier first, and then both with FEAT, the encoder at a tenth of the learning rate.

    Args:
        dim: size of an embedding, the encoder's ``dim``; the head has :math:`4 d^2 + 3 d` weights.
        distance: ``"euclidean"`` (squared), ``"cosine"`` or ``"unsquared"``, as for `PrototypicalHead`.
        temperature: factor of the logits; None is 10 for cosine, 1/64 for the squared distance (what the authors used),
            and 1 for the other.
        learn_temperature: as for `PrototypicalHead`.
        contrast: weight of the auxiliary loss, 0 or more; the authors' are between 0.01 and 10.
        dropout: probability that a component of what attention adds is dropped in training, 0 to below 1.
        seed: of the first weights and of the dropout.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; embeddings have another size than ``dim``; or a setting is out of range.

    Reference:
        H.-J. Ye, H. Hu, D.-C. Zhan, F. Sha, Few-shot learning via embedding adaptation with set-to-set functions, CVPR
        2020, sections 3.2 (the transformer) and 3.3 (the auxiliary loss), as their published code computes them.

    Example:
        >>> head = FeatHead(dim=2).eval()
        >>> support_z, targets = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1])
        >>> head(support_z, targets, torch.tensor([[0.0, 2.0], [3.0, 0.0], [1.0, 0.5]])).shape
        torch.Size([3, 2])
    """

    name = "feat"
    needs_training: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        distance: Distance = "euclidean",
        temperature: float | None = None,
        learn_temperature: bool | None = None,
        contrast: float = 0.1,
        dropout: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if dim < 2 or not (math.isfinite(contrast) and contrast >= 0):
            raise InputError(f"dim is {dim} and contrast {contrast}; expected 2 or more, and a number of 0 or more")
        if temperature is None and distance == "euclidean":
            temperature = 1 / 64
        self.dim, self.contrast, self.seed = dim, contrast, seed
        self.prototypical = PrototypicalHead(distance, temperature, learn_temperature)
        generator, std = torch.Generator().manual_seed(seed), 1 / math.sqrt(dim)
        self.query, self.key, self.value = (seeded_linear(dim, dim, std, generator, bias=False) for _ in range(3))
        self.merge = seeded_linear(dim, dim, std, generator)
        self.dropout = SeededDropout(dropout, seed)
        self.normalize = nn.LayerNorm(dim)

    def settings(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            **self.prototypical.settings(),
            "contrast": self.contrast,
            "dropout": self.dropout.p,
            "seed": self.seed,
        }

    def transform(self, items: Tensor, together: Tensor | None = None) -> Tensor:
        """The set-to-set function.

        Args:
            items: ``(..., n, dim)``.
            together: bool ``(n, n)``, symmetric, which items are in a set; None takes all as one set.

        Returns:
            ``(..., n, dim)``, each item in view of the others in its set.

        Example:
            >>> head = FeatHead(dim=2).eval()
            >>> items = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.5]])
            >>> torch.allclose(head.transform(items).flip(0), head.transform(items.flip(0)), atol=1e-6)
            True
        """
        affinity = self.query(items) @ self.key(items).mT / math.sqrt(self.dim)  # (..., n, n)
        if together is not None:
            affinity = affinity.masked_fill(~together, -math.inf)
        return self.normalize(items + self.dropout(self.merge(affinity.softmax(-1) @ self.value(items))))

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> HeadState:
        """Prototypes ``(..., n_way, dim)``, adapted to one another."""
        prototypes = class_means(support_z, support_targets, classes)
        check_size(self, prototypes, self.dim)
        return HeadState(self.transform(prototypes))

    def score(self, state: HeadState, query_z: Tensor) -> Tensor:
        return self.prototypical.score(state, query_z)

    def episode_loss(
        self,
        support_z: Tensor,
        support_targets: Tensor,
        query_z: Tensor,
        query_targets: Tensor,
        classes: Classes = None,
    ) -> tuple[Tensor, Tensor]:
        loss, logits = super().episode_loss(support_z, support_targets, query_z, query_targets, classes)
        if self.contrast:
            items = torch.cat([support_z, query_z], dim=-2)
            positions = target_positions(torch.cat([support_targets, query_targets]), logits.shape[-1], classes)
            loss = loss + self.contrast * self._contrastive_loss(items, positions)
        return loss, logits

    def _contrastive_loss(self, items: Tensor, positions: Tensor) -> Tensor:
        """Whether items ``(..., n, dim)`` find their classes ``(n,)`` among the means of the transformed classes."""
        transformed = self.transform(items, together=positions.unsqueeze(1) == positions)
        centres = class_means(transformed, positions, None)
        return mean_cross_entropy(self.score(HeadState(centres), items), positions)
