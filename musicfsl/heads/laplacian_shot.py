"""LaplacianShot: neighbouring queries get the same class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from musicfsl.errors import InputError
from musicfsl.heads.prototypical import squared_distances
from musicfsl.heads.transductive import TransductiveHead, check_positive

__all__ = ["LaplacianShotHead"]


class LaplacianShotHead(TransductiveHead):
    r"""Nearest prototype, smoothed over a graph of nearest neighbours among the queries.

    Minimises over assignments :math:`y_q` of the queries

    .. math:: \sum_q y_q^\top a_q + \frac{\lambda}{2} \sum_{q, p} w(x_q, x_p) \lVert y_q - y_p \rVert^2

    where :math:`a_{qk} = \lVert x_q - m_k \rVert^2` and :math:`w` is 1 for the ``n_neighbours`` nearest other queries,
    by repeated bound updates :math:`y_q \leftarrow \mathrm{softmax}_k(-a_{qk} + \lambda \sum_p w(x_q, x_p) y_{pk})`.
    The logits are the exponents of the last update.

    Embeddings have length one, and the prototypes :math:`m_k` are rectified: the queries are shifted so that their mean
    is that of the support set, each joins the class :math:`X_k` of the class mean with the largest cosine, and

    .. math:: m_k = \frac{1}{|X_k|} \sum_{x \in X_k} \mathrm{softmax}_k(\epsilon \cos(x, \bar{x}_k))\, x .

    The graph assumes nothing of the shares of the classes among the queries; the shift assumes that they are balanced
    (see `BdCspnHead`), and so does ``centre``: set ``rectify`` and ``centre`` to False where they may not be.

    Args:
        smoothing: :math:`\lambda`; 0 leaves nearest prototypes. The paper chooses it between 0.1 and 1.5 on validation
            classes; more helps where examples are few, and harms where prototypes are good.
        n_neighbours: neighbours that a query looks at; there are fewer where there are fewer queries. The paper's 3
            count the query itself.
        n_steps: bound updates.
        rectify: whether the prototypes are rectified, or the means of the support set.
        scale: :math:`\epsilon`. The smaller it is, the less do doubtful members of a class count, and the shorter are
            the prototypes of classes that have many of them; the larger, the nearer is the mean of all members.
        centre: whether the mean of all items of the episode is subtracted first; see `TransductiveHead`.

    Shape:
        as `Head`; ``score`` takes all queries of an episode.

    Raises:
        InputError: see `TransductiveHead`; or an argument is out of range.

    Reference:
        I. M. Ziko, J. Dolz, E. Granger, I. Ben Ayed, Laplacian regularized few-shot learning, ICML 2020,
        algorithm 1; rectification and ``scale`` as in their code, but that examples keep their class.

    Example:
        >>> head = LaplacianShotHead(n_neighbours=1, smoothing=0.7, rectify=False, centre=False)
        >>> support_z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> query_z = torch.tensor([[0.72, 0.70], [0.60, 0.80]])
        >>> head(support_z, torch.tensor([0, 1]), query_z).argmax(-1)
        tensor([1, 1])
    """

    name = "laplacian-shot"

    def __init__(
        self,
        smoothing: float = 0.3,
        n_neighbours: int = 2,
        n_steps: int = 20,
        rectify: bool = True,
        scale: float = 10.0,
        centre: bool = True,
    ) -> None:
        super().__init__(centre)
        check_positive(n_neighbours=n_neighbours, n_steps=n_steps, scale=scale)
        if not smoothing >= 0:
            raise InputError(f"smoothing is {smoothing}; expected 0 or more")
        self.smoothing = smoothing
        self.n_neighbours = n_neighbours
        self.n_steps = n_steps
        self.rectify = rectify
        self.scale = scale

    def settings(self) -> dict[str, Any]:
        return {
            "smoothing": self.smoothing,
            "n_neighbours": self.n_neighbours,
            "n_steps": self.n_steps,
            "rectify": self.rectify,
            "scale": self.scale,
            "centre": self.centre,
        }

    def infer(self, support_z: Tensor, members: Tensor, query_z: Tensor) -> Tensor:
        support, queries = normalize(support_z, dim=-1), normalize(query_z, dim=-1)
        prototypes = members / members.sum(dim=1, keepdim=True) @ support
        if self.rectify:
            queries = queries + support.mean(dim=-2, keepdim=True) - queries.mean(dim=-2, keepdim=True)
            prototypes = self._rectified(prototypes, support, members, queries)
        unary = -squared_distances(queries, prototypes)  # (..., n_query_total, n_way)
        neighbours = _neighbours(queries, self.n_neighbours)
        logits = unary
        for _ in range(self.n_steps):
            logits = unary + self.smoothing * (neighbours @ logits.softmax(dim=-1))
        return logits

    def _rectified(self, prototypes: Tensor, support: Tensor, members: Tensor, queries: Tensor) -> Tensor:
        """``(..., n_way, dim)``; the queries are shifted already."""
        z = torch.cat([support, queries], dim=-2)
        cosines = normalize(z, dim=-1) @ normalize(prototypes, dim=-1).mT  # (..., n_items, n_way)
        of_queries = cosines[..., support.shape[-2] :, :]
        best = of_queries.max(dim=-1, keepdim=True).indices
        pseudo_labels = torch.zeros_like(of_queries).scatter(-1, best, 1.0)
        of_class = torch.cat([members.T.expand(*z.shape[:-2], -1, -1), pseudo_labels], dim=-2)
        weights = of_class * (self.scale * cosines).softmax(dim=-1)
        return (weights / of_class.sum(dim=-2, keepdim=True)).mT @ z


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
