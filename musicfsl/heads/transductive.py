"""What transductive heads share: they look at all queries of an episode together."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.heads.base import Classes, Head, check_finite, check_queries, class_members

__all__ = ["LabelledSupport", "TransductiveHead"]


class LabelledSupport(NamedTuple):
    """The support set itself: a transductive head learns once it sees the queries.

    Attributes:
        support_z: ``(..., n_support_total, dim)``.
        members: int64 ``(n_way, n_support_total)``, 1 where an item is an example of a class.
    """

    support_z: Tensor
    members: Tensor


class TransductiveHead(Head):
    """A head that learns from the queries of an episode as well, without their labels.

    `score` takes all queries of an episode at once. The answer to one of them depends on which others come with it, so
    accuracies are comparable only with those of other transductive heads on queries in the same proportions: `score`
    on a single query, or on queries that come one by one, is no use of such a head. Most assume that every class has
    about as many queries as any other; each says so.

    Papers subtract the mean embedding of the classes that the network was trained on, which a head does not know.
    ``centre`` subtracts that of all items of the episode in its place: without either, embeddings that are all alike in
    most of their coordinates (after a ReLU, say) have cosines near 1, and some of these methods answer one class only.
    The mean of the episode lies nearer to frequent classes, so this too asks for balanced queries: switch it off where
    embeddings are centred already and shares may differ.

    Args:
        centre: whether the mean of all items of the episode, support and queries, is subtracted from each.

    Reference:
        what that assumption does to published results: O. Veilleux, M. Boudiaf, P. Piantanida, I. Ben Ayed,
        Realistic evaluation of transductive few-shot learning, NeurIPS 2021.
    """

    is_transductive: ClassVar[bool] = True

    def __init__(self, centre: bool = True) -> None:
        super().__init__()
        self.centre = centre

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> LabelledSupport:
        members = class_members(support_z, support_targets, classes)
        check_finite(support_z)
        return LabelledSupport(support_z, members)

    def score(self, state: LabelledSupport, query_z: Tensor) -> Tensor:
        """Logits ``(..., n_query_total, n_way)`` for all queries ``(..., n_query_total, dim)`` of an episode.

        Raises:
            InputError: shapes do not fit, or a query is not finite: it would reach the answers to all others.
        """
        check_queries(query_z, state.support_z.shape[-1])
        if not torch.isfinite(query_z.sum()):
            raise InputError("query_z holds NaN or infinite values; check the recordings and the encoder")
        episodes = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
            state.support_z.shape[:-2], query_z.shape[:-2]
        )
        if query_z.shape[-2] == 0:
            return query_z.new_zeros(*episodes, 0, len(state.members))
        dtype = torch.promote_types(query_z.dtype, torch.float32)
        with torch.autocast(device_type=query_z.device.type, enabled=False):
            support_z, queries = (z.to(dtype).expand(*episodes, *z.shape[-2:]) for z in (state.support_z, query_z))
            if self.centre:
                mean = torch.cat([support_z, queries], dim=-2).mean(dim=-2, keepdim=True)
                support_z, queries = support_z - mean, queries - mean
            return self.infer(support_z, state.members.to(dtype), queries)

    @abstractmethod
    def infer(self, support_z: Tensor, members: Tensor, query_z: Tensor) -> Tensor:
        """Logits ``(..., n_query_total, n_way)``.

        Args:
            support_z: ``(..., n_support_total, dim)``, float32 at least, centred where the head asks for that.
            members: ``(n_way, n_support_total)`` of 0 and 1, of the same type.
            query_z: ``(..., n_query_total, dim)``, at least one query, with the same leading axes.
        """


def check_positive(**settings: float) -> None:
    """Raises an InputError that names the first of the settings that is not above 0."""
    for name, value in settings.items():
        if not value > 0:
            raise InputError(f"{name} is {value}; expected a positive number")
