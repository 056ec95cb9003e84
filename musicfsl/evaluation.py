"""Few-shot accuracy over thousands of episodes on stored embeddings.

Clips are embedded once; after that an episode is a few rows of a matrix, and episodes are run in
batches of tensors. Memory does not grow with the number of episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl._episode_reports import AnswerTally, EpisodeReport
from musicfsl._episode_sampler import single_label
from musicfsl._stored_embeddings import checked_embeddings
from musicfsl.episodes import EpisodeSampler, UnbalancedIndices
from musicfsl.errors import InputError
from musicfsl.heads.base import Head
from musicfsl.heads.multilabel import MultiLabelHead
from musicfsl.taxonomy import Taxonomy

__all__ = ["EpisodeReport", "evaluate_episodes"]

# Rows gathered at a time: small enough to stay in a processor's cache, large enough to keep it busy.
_ROWS_PER_BATCH = 3200

# Episodes whose indices are drawn at a time.
_EPISODES_PER_BLOCK = 2000


def evaluate_episodes(
    embeddings: Tensor | NDArray[np.floating[Any]],
    targets: ArrayLike,
    head: Head,
    n_way: int = 5,
    n_support: int = 5,
    n_query: int = 15,
    n_episodes: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    is_synthetic: bool | None = None,
    taxonomy: Taxonomy | None = None,
    query_imbalance: float | None = None,
    groups_apart: Literal["class", "episode"] = "class",
) -> EpisodeReport:
    """Runs a head on many episodes drawn from embedded clips.

    Args:
        embeddings: float ``(N, dim)``, one row a clip; on any device.
        targets: int ``(N,)``, class of each clip; labels need not be contiguous.
        head: any head; it is used in evaluation mode and left as it was.
        n_way: classes an episode.
        n_support: labelled clips a class.
        n_query: clips to recognise a class.
        n_episodes: number of episodes, at least 2; episode *i* depends on ``(seed, i)`` only.
        seed: of the episodes.
        groups: int ``(N,)``: no group is then in both the support and the queries of a class.
        class_names: names by label, for messages and the report.
        is_synthetic: what the report says of the data.
        taxonomy: a tree over the class names, for measures of how bad mistakes are (`EpisodeReport.hierarchy`).
        query_imbalance: a number above 0 draws each episode's queries with unequal shares of the classes, from a
            symmetric Dirichlet distribution with this concentration (see `EpisodeSampler.draw_unbalanced`; 2 is usual,
            smaller is less balanced), on the same classes and support sets. It tells what a transductive head
            owes to balanced queries. None: ``n_query`` of each class.
        groups_apart: ``"episode"`` keeps groups apart in the whole episode instead (see `EpisodeSampler`).

    Returns:
        the report.

    Raises:
        EpisodeError: an episode of this shape is impossible; the message names the class and the shortage. Or the
            targets are multi-hot.
        InputError: shapes do not fit, an embedding is not finite, a class is not in the taxonomy, the head is one
            for several labels, ``query_imbalance`` is not above 0, a taxonomy is given along with it, or
            ``groups_apart`` is unknown, or ``"episode"`` without groups.

    Example:
        >>> from musicfsl.heads import PrototypicalHead
        >>> targets = np.repeat(np.arange(6), 20)
        >>> embeddings = np.eye(6, dtype=np.float32)[targets]
        >>> print(evaluate_episodes(embeddings, targets, PrototypicalHead(), n_episodes=100))
        accuracy 1.000 +- 0.000 (95 % interval over 100 episodes, seed 0; chance 0.200;
        5-way 5-shot, 15 queries a class; data of unknown origin)
    """
    z = checked_embeddings(embeddings, groups)
    labels_of = _checked_targets(targets, len(z))
    if isinstance(head, MultiLabelHead):
        raise InputError(f"{type(head).__name__} gives an item several labels; use evaluate_multilabel_episodes")
    sampler = EpisodeSampler(
        labels_of,
        n_way,
        n_support,
        n_query,
        seed,
        None if groups is None else np.asarray(groups),
        class_names,
        groups_apart=groups_apart,
    )
    if n_episodes < 2:
        raise InputError(f"n_episodes is {n_episodes}; an interval needs 2 or more")

    if taxonomy is not None and class_names is None:
        raise InputError("a taxonomy knows classes by their names; give class_names")
    if taxonomy is not None and query_imbalance is not None:
        raise InputError("chance by a taxonomy is known for balanced queries only; give taxonomy or query_imbalance")
    labels = np.unique(labels_of)
    names = [str(label) if class_names is None else class_names[label] for label in labels]
    tally = AnswerTally(sampler, labels, names, n_episodes, taxonomy)
    support_targets = torch.arange(n_way, device=z.device).repeat_interleave(n_support)
    batch = max(1, _ROWS_PER_BATCH // (n_way * (n_support + n_query)))

    def draw(start: int, count: int) -> UnbalancedIndices:
        if query_imbalance is None:
            return sampler.draw(start, count).flattened()
        return sampler.draw_unbalanced(start, count, query_imbalance)

    def predict(drawn: UnbalancedIndices, predicted: NDArray[np.int64], start: int) -> None:
        part = slice(start, start + batch)
        with torch.no_grad():  # which is the business of each thread
            support_z, query_z = _rows(z, drawn.support[part]), _rows(z, drawn.query[part])
            logits = head(support_z, support_targets, query_z, None)  # (episodes, n_way * n_query, n_way)
            best = logits.max(-1).indices  # argmax gives the same, more slowly
        predicted[part] = best.cpu().numpy()

    was_training = head.training
    head.eval()
    try:
        with _threads(z.device) as pool:
            for block in range(0, n_episodes, _EPISODES_PER_BLOCK):
                drawn = draw(block, min(_EPISODES_PER_BLOCK, n_episodes - block))
                predicted = np.empty(drawn.query.shape, dtype=np.int64)
                list(pool.map(partial(predict, drawn, predicted), range(0, len(predicted), batch)))
                tally.add(block, drawn, predicted)
    finally:
        head.train(was_training)

    return tally.report(is_synthetic=is_synthetic, transductive=head.is_transductive, query_imbalance=query_imbalance)


@contextmanager
def _threads(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """As many threads as torch would use, each of which computes alone.

    Batches of episodes are independent, and their matrices so small that dividing each among the processors costs
    more in waiting for one another than it saves, above all where other programs are running.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_threads if device.type == "cpu" else 1) as pool:
            yield pool
    finally:
        torch.set_num_threads(n_threads)


def _rows(z: Tensor, indices: NDArray[np.int64]) -> Tensor:
    """Rows of ``z`` for indices ``(episodes, ...)``, as ``(episodes, indices an episode, dim)``."""
    flat = torch.from_numpy(indices.reshape(-1)).to(z.device)
    return z.index_select(0, flat).reshape(len(indices), -1, z.shape[-1])


def _checked_targets(targets: ArrayLike, n: int) -> NDArray[np.int64]:
    array = np.asarray(targets)
    if array.ndim != 2 and (array.shape != (n,) or not np.issubdtype(array.dtype, np.integer)):
        raise InputError(
            f"targets are {array.dtype} of shape {array.shape}; expected integers of shape ({n},), one a row"
        )
    return single_label(array)
