"""BD-CSPN: prototypes rectified by the queries."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from musicfsl.errors import InputError
from musicfsl.heads.transductive import TransductiveHead, check_positive

__all__ = ["BdCspnHead"]


class BdCspnHead(TransductiveHead):
    r"""Queries are moved onto the support set, and confident ones join the prototypes of their classes.

    On embeddings of length one, with :math:`\xi = \overline{x}_S - \overline{x}_Q` and scale :math:`\epsilon`:

    1. the queries are shifted by :math:`\xi` ("cross-class bias");
    2. each takes the class of the prototype :math:`P_k` with the largest cosine as pseudo-label; of each class the
       ``n_pseudo`` most confident join the support set;
    3. the prototype becomes their mean :math:`P'_k = \sum_i w_{ik} x_i` with weights
       :math:`w_{ik} = \exp(\epsilon \cos(x_i, P_k)) / \sum_j \exp(\epsilon \cos(x_j, P_k))` ("intra-class bias");
    4. the logits of the shifted queries are :math:`\epsilon \cos(x, P'_k)`.

    Assumes balanced queries: the mean of the queries is that of the support set only where each class has about the
    same share of both. Where shares differ, the shift moves queries towards the wrong classes. ``shift=False`` leaves
    it out; the rest assumes nothing of the shares.

    Args:
        scale: :math:`\epsilon` of the cosines.
        n_pseudo: queries of each class that may join its prototype (the paper's Z); None for all.
        shift: whether queries are shifted.
        centre: whether the mean of all items of the episode is subtracted first; see `TransductiveHead`.

    Shape:
        as `Head`; ``score`` takes all queries of an episode.

    Raises:
        InputError: see `TransductiveHead`; or an argument is out of range.

    Reference:
        J. Liu, L. Song, Y. Qin, Prototype rectification for few-shot learning, ECCV 2020, section 3.

    Example:
        >>> head = BdCspnHead()
        >>> support_z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> query_z = torch.tensor([[0.6, 0.8], [1.0, 0.1], [0.1, 1.0], [0.9, 0.2]])
        >>> head(support_z, torch.tensor([0, 1]), query_z, ["a", "b"]).argmax(-1)
        tensor([1, 0, 1, 0])
    """

    name = "bd-cspn"

    def __init__(self, scale: float = 10.0, n_pseudo: int | None = 8, shift: bool = True, centre: bool = True) -> None:
        super().__init__(centre)
        check_positive(scale=scale)
        if n_pseudo is not None and n_pseudo < 1:
            raise InputError(f"n_pseudo is {n_pseudo}; expected 1 or more, or None for all")
        self.scale = scale
        self.n_pseudo = n_pseudo
        self.shift = shift

    def settings(self) -> dict[str, Any]:
        return {"scale": self.scale, "n_pseudo": self.n_pseudo, "shift": self.shift, "centre": self.centre}

    def infer(self, support_z: Tensor, members: Tensor, query_z: Tensor) -> Tensor:
        prototypes, queries = rectified(support_z, members, query_z, self.scale, self.n_pseudo, self.shift)
        return self.scale * _cosines(queries, prototypes)


def rectified(
    support_z: Tensor, members: Tensor, query_z: Tensor, scale: float, n_pseudo: int | None, shift: bool
) -> tuple[Tensor, Tensor]:
    """Steps 1 to 3 of `BdCspnHead`.

    Args:
        support_z: ``(..., n_support_total, dim)``.
        members: ``(n_way, n_support_total)`` of 0 and 1, of the same type.
        query_z: ``(..., n_query_total, dim)``.
        scale: as for `BdCspnHead`, like the following two.
        n_pseudo: queries of each class that may join its prototype; None for all.
        shift: whether queries are shifted.

    Returns:
        prototypes ``(..., n_way, dim)``, and the queries of length one, shifted, ``(..., n_query_total, dim)``.
    """
    support, queries = normalize(support_z, dim=-1), normalize(query_z, dim=-1)
    if shift:
        queries = queries + support.mean(dim=-2, keepdim=True) - queries.mean(dim=-2, keepdim=True)
    prototypes = members / members.sum(dim=1, keepdim=True) @ support
    cosines = _cosines(torch.cat([support, queries], dim=-2), prototypes)  # (..., n_items, n_way)
    chosen = _pseudo_labels(scale * cosines[..., support.shape[-2] :, :], n_pseudo)
    of_class = torch.cat([members.T.bool().expand(*chosen.shape[:-2], -1, -1), chosen], dim=-2)
    weights = (scale * cosines).masked_fill(~of_class, -torch.inf).softmax(dim=-2)  # every class has an example
    return weights.mT @ torch.cat([support, queries], dim=-2), queries


def _pseudo_labels(logits: Tensor, n_pseudo: int | None) -> Tensor:
    """Which queries join which class: bool ``(..., n_query_total, n_way)``. Those that tie for the last place join."""
    best = logits.max(dim=-1, keepdim=True)
    labelled = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, best.indices, True)
    if n_pseudo is None or n_pseudo >= logits.shape[-2]:
        return labelled
    confidence = torch.where(labelled, logits.softmax(dim=-1), 0.0)
    least = confidence.mT.contiguous().topk(n_pseudo, dim=-1).values[..., -1]  # (..., n_way); much quicker along rows
    return labelled & (confidence >= least.unsqueeze(-2))


def _cosines(z: Tensor, prototypes: Tensor) -> Tensor:
    return normalize(z, dim=-1) @ normalize(prototypes, dim=-1).mT
