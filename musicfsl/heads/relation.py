"""Relation networks: a small network learns how much two embeddings have to do with each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from musicfsl.errors import InputError
from musicfsl.heads._layers import check_size, seeded_linear
from musicfsl.heads.base import Classes, Head, HeadState, check_queries, class_means, target_positions

__all__ = ["RelationHead"]


class RelationHead(Head):
    r"""A learned relation between a class's mean and a query, instead of a distance.

    With the mean :math:`c_k` of a class's support embeddings, a small network :math:`g` makes of the pair the relation
    score

    .. math:: r_k(z) = \sigma(g([c_k; z])) \in [0, 1] ,

    which is trained to be 1 for the query's own class and 0 for the others, by the mean squared error. The logits are
    :math:`g` itself, so that the sigmoid of each is its relation score, and the class of the highest score wins.

    It says nothing before it is trained (`musicfsl.EpisodicLearner`), together with the encoder or on a frozen one.
    What differs from the paper: :math:`g` has layers on embeddings instead of convolutions on feature maps. Its inputs
    are normalised each by itself (mean 0, deviation 1 over the components) where the paper normalises over the batch,
    so that no query tells of another. The supports of a class are averaged, not added, so that a head that was trained
    on five shots can be used on one.

    Args:
        dim: size of an embedding, the encoder's ``dim``.
        hidden: sizes of the hidden layers of :math:`g`, one or more, each followed by a ReLU.
        objective: ``"mse"``, the paper's loss, or ``"cross-entropy"`` of the logits as in other heads.
        seed: of the first weights.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; embeddings have another size than ``dim``; or a setting is out of range.

    Reference:
        F. Sung, Y. Yang, L. Zhang, T. Xiang, P. H. S. Torr, T. M. Hospedales, Learning to compare: relation network for
        few-shot learning, CVPR 2018, equations 1 (the score) and 2 (the loss).

    Example:
        >>> head = RelationHead(dim=2)
        >>> support_z, targets = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1])
        >>> logits = head(support_z, targets, torch.tensor([[0.0, 2.0], [3.0, 0.0], [1.0, 0.5]]))
        >>> logits.sigmoid().shape  # relation scores, which mean something once the head is trained
        torch.Size([3, 2])
    """

    name = "relation"
    needs_training: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (128, 32),
        objective: Literal["mse", "cross-entropy"] = "mse",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if dim < 2 or not hidden or min(hidden) < 1:
            raise InputError(
                f"dim is {dim} and hidden {tuple(hidden)}; expected a dim of 2 or more and sizes of 1 or more"
            )
        if objective not in ("mse", "cross-entropy"):
            raise InputError(f"objective is '{objective}'; expected 'mse' or 'cross-entropy'")
        self.dim, self.hidden, self.objective, self.seed = dim, tuple(hidden), objective, seed
        generator = torch.Generator().manual_seed(seed)
        sizes = [2 * dim, *hidden, 1]
        self.layers = nn.ModuleList(
            seeded_linear(n_in, n_out, math.sqrt(2 / n_in), generator)  # keeps the variance through a ReLU
            for n_in, n_out in pairwise(sizes)
        )

    def settings(self) -> dict[str, Any]:
        return {"dim": self.dim, "hidden": list(self.hidden), "objective": self.objective, "seed": self.seed}

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> HeadState:
        prototypes = class_means(support_z, support_targets, classes)
        check_size(self, prototypes, self.dim)
        return HeadState(prototypes)

    def score(self, state: HeadState, query_z: Tensor) -> Tensor:
        check_queries(query_z, self.dim)
        first, *others = self.layers
        # A linear layer of a pair is a sum over its two halves, so the pairs need not be written out before it.
        of_class, of_query = first.weight.split(self.dim, dim=1)  # type: ignore[operator]  # each (hidden, dim)
        from_classes = functional.linear(self._normalized(state.prototypes), of_class)  # (..., n_way, hidden)
        from_queries = functional.linear(self._normalized(query_z), of_query, first.bias)  # type: ignore[arg-type]
        pairs = from_queries.unsqueeze(-2) + from_classes.unsqueeze(-3)  # (..., n_query_total, n_way, hidden)
        for layer in others:
            pairs = layer(functional.relu(pairs))
        return pairs.squeeze(-1)

    def loss(self, logits: Tensor, query_targets: Tensor, classes: Classes = None) -> Tensor:
        """Mean squared error of the relation scores over all pairs, or the mean cross-entropy of the logits.

        Args:
            logits: ``(..., n_query_total, n_way)``.
            query_targets: int64 ``(n_query_total,)``, in the terms of ``classes``.
            classes: as given to `adapt`.
        """
        if self.objective == "cross-entropy":
            return super().loss(logits, query_targets, classes)
        n_way = logits.shape[-1]
        wanted = functional.one_hot(target_positions(query_targets, n_way, classes), n_way)
        return (logits.float().sigmoid() - wanted).square().mean()

    def _normalized(self, z: Tensor) -> Tensor:
        return functional.layer_norm(z, (self.dim,))
