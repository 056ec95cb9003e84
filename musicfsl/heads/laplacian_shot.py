"""LaplacianShot: neighbouring queries get the same class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.heads.bd_cspn import rectified
from musicfsl.heads.prototypical import squared_distances
from musicfsl.heads.transductive import TransductiveHead, check_positive

__all__ = ["LaplacianShotHead"]


class LaplacianShotHead(TransductiveHead):
    r"""Nearest prototype, smoothed over a graph of nearest neighbours among the queries.

    Minimises over assignments :math:`y_q` of the queries

    .. math:: \sum_q y_q^\top a_q + \frac{\lambda}{2} \sum_{q, p} w(x_q, x_p) \lVert y_q - y_p \rVert^2

    where :math:`a_{qk} = \lVert x_q - m_k \rVert^2` and :math:`w` is 1 for the ``n_neighbours`` nearest other queries,
    by repeated bound updates :math:`y_q \leftarrow \mathrm{softmax}_k(-a_{qk} + \lambda \sum_p w(x_q, x_p) y_{pk})`.
    Embeddings have length one, and the prototypes :math:`m_k` are rectified by the queries as those of `BdCspnHead`.
    The logits are the exponents of the last update.

    The graph assumes nothing of the shares of the classes among the queries; the shift of ``rectify`` assumes that
    they are balanced (see `BdCspnHead`), and so does ``centre``: set both to False where they may not be.

    Args:
        smoothing: :math:`\lambda`; 0 leaves nearest prototypes. Larger helps where classes are compact; the paper
            chooses it between 0.1 and 1.5 on validation classes.
        n_neighbours: neighbours that a query looks at; there are fewer where there are fewer queries.
        n_steps: bound updates.
        rectify: whether the prototypes are rectified, or the means of the support set.
        centre: whether the mean of all items of the episode is subtracted first; see `TransductiveHead`.

    Shape:
        as `Head`; ``score`` takes all queries of an episode.

    Raises:
        InputError: see `TransductiveHead`; or an argument is out of range.

    Reference:
        I. M. Ziko, J. Dolz, E. Granger, I. Ben Ayed, Laplacian regularized few-shot learning, ICML 2020,
        algorithm 1.

    Example:
        >>> head = LaplacianShotHead(n_neighbours=1, rectify=False, centre=False)
        >>> support_z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> query_z = torch.tensor([[0.72, 0.70], [0.60, 0.80]])
        >>> head(support_z, torch.tensor([0, 1]), query_z).argmax(-1)
        tensor([1, 1])
    """

    name = "laplacian-shot"

    def __init__(
        self,
        smoothing: float = 0.7,
        n_neighbours: int = 3,
        n_steps: int = 20,
        rectify: bool = True,
        centre: bool = True,
    ) -> None:
        super().__init__(centre)
        check_positive(n_neighbours=n_neighbours, n_steps=n_steps)
        if not smoothing >= 0:
            raise InputError(f"smoothing is {smoothing}; expected 0 or more")
        self.smoothing = smoothing
        self.n_neighbours = n_neighbours
        self.n_steps = n_steps
        self.rectify = rectify

    def settings(self) -> dict[str, Any]:
        return {
            "smoothing": self.smoothing,
            "n_neighbours": self.n_neighbours,
            "n_steps": self.n_steps,
            "rectify": self.rectify,
            "centre": self.centre,
        }

    def infer(self, support_z: Tensor, members: Tensor, query_z: Tensor) -> Tensor:
        if self.rectify:
            prototypes, queries = rectified(support_z, members, query_z, scale=10.0, n_pseudo=None, shift=True)
        else:
            support, queries = (torch.nn.functional.normalize(z, dim=-1) for z in (support_z, query_z))
            prototypes = members / members.sum(dim=1, keepdim=True) @ support
        unary = -squared_distances(queries, prototypes)  # (..., n_query_total, n_way)
        neighbours = _neighbours(queries, self.n_neighbours)
        logits = unary
        for _ in range(self.n_steps):
            logits = unary + self.smoothing * (neighbours @ logits.softmax(dim=-1))
        return logits


def _neighbours(queries: Tensor, n_neighbours: int) -> Tensor:
    """1 where the column's query is among the row's nearest others, ``(..., n_query_total, n_query_total)``.

    Those that tie for the last place are all neighbours, so that the order of the queries does not matter.
    """
    n = queries.shape[-2]
    itself = torch.eye(n, dtype=torch.bool, device=queries.device)
    if n_neighbours >= n - 1:
        return (~itself).to(queries.dtype).expand(*queries.shape[:-2], n, n)
    distances = squared_distances(queries, queries).masked_fill(itself, torch.inf)
    farthest = distances.topk(n_neighbours, dim=-1, largest=False).values[..., -1:]
    return (distances <= farthest).to(queries.dtype)
