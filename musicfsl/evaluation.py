"""Few-shot accuracy over thousands of episodes on stored embeddings.

Clips are embedded once; after that an episode is a few rows of a matrix, and episodes are run in
batches of tensors. Memory does not grow with the number of episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl._stored_embeddings import checked_embeddings
from musicfsl.episodes import EpisodeSampler, UnbalancedIndices, single_label
from musicfsl.errors import InputError
from musicfsl.heads.base import Head
from musicfsl.heads.multilabel import MultiLabelHead
from musicfsl.hierarchy_reports import HierarchyReport, HierarchyTally
from musicfsl.metrics import confusion_matrix, mean_ci95
from musicfsl.taxonomy import Taxonomy

__all__ = ["EpisodeReport", "evaluate_episodes"]

# Rows gathered at a time: small enough to stay in a processor's cache, large enough to keep it busy.
_ROWS_PER_BATCH = 3200

# Episodes whose indices are drawn at a time.
_EPISODES_PER_BLOCK = 2000


@dataclass(frozen=True)
class EpisodeReport:
    """What `evaluate_episodes` found. ``print`` it for one honest line.

    Attributes:
        mean: mean accuracy over episodes, 0 to 1.
        ci95: half the width of its 95 % interval over episodes.
        chance: accuracy of guessing, ``1 / n_way``.
        n_way: classes an episode.
        n_support: labelled clips a class.
        n_query: clips to recognise a class.
        n_episodes: number of episodes.
        seed: of the episodes.
        accuracies: float64 ``(n_episodes,)``.
        labels: the labels of the classes, ascending; rows and columns below are in this order.
        class_names: their names (the labels as text where no names were given).
        confusion: int64 ``(n_classes, n_classes)``, true class by predicted class, over all episodes.
        grouped: True where support and query came from different groups.
        is_synthetic: True or False where it is known whether the data was synthetic, else None.
        hierarchy: how bad the mistakes are by a taxonomy; None where none was given.
        trained_on: names of the classes that the encoder was trained on, so that the accuracy is not a few-shot one;
            None where it is not known.
        transductive: True where the head saw all queries of an episode together.
        query_imbalance: concentration of the Dirichlet distribution of the classes' shares of the queries; None where
            they were equal. Classes then had ``n_query`` queries on average.
    """

    mean: float
    ci95: float
    chance: float
    n_way: int
    n_support: int
    n_query: int
    n_episodes: int
    seed: int
    accuracies: NDArray[np.float64]
    labels: list[int]
    class_names: list[str]
    confusion: NDArray[np.int64]
    grouped: bool
    is_synthetic: bool | None = None
    hierarchy: HierarchyReport | None = None
    trained_on: Sequence[str] | None = None
    transductive: bool = False
    query_imbalance: float | None = None

    @property
    def per_class(self) -> dict[str, float]:
        """Class name -> share of its queries that were recognised (NaN where it was never drawn)."""
        asked = self.confusion.sum(axis=1)
        right = np.divide(self.confusion.diagonal(), asked, out=np.full(len(asked), np.nan), where=asked > 0)
        return {name: float(value) for name, value in zip(self.class_names, right, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single accuracies, as JSON can hold it."""
        return {
            "mean": self.mean,
            "ci95": self.ci95,
            "chance": self.chance,
            "n_way": self.n_way,
            "n_support": self.n_support,
            "n_query": self.n_query,
            "n_episodes": self.n_episodes,
            "seed": self.seed,
            "grouped": self.grouped,
            "is_synthetic": self.is_synthetic,
            "per_class": self.per_class,
            "confusion": self.confusion.tolist(),
            "hierarchy": None if self.hierarchy is None else self.hierarchy.to_dict(),
            "trained_on": None if self.trained_on is None else list(self.trained_on),
            "transductive": self.transductive,
            "query_imbalance": self.query_imbalance,
        }

    def __str__(self) -> str:
        kind = {True: "synthetic data", False: "recordings", None: "data of unknown origin"}[self.is_synthetic]
        sides = ", support and query from different groups" if self.grouped else ""
        return (
            f"accuracy {self.mean:.3f} +- {self.ci95:.3f} (95 % interval over {self.n_episodes} episodes, "
            f"seed {self.seed}; chance {self.chance:.3f}; {self.n_way}-way {self.n_support}-shot, "
            f"{self.n_query} queries a class{self._queries()}{sides}; {kind}{self._memory()})"
            + ("" if self.hierarchy is None else f"\n{self.hierarchy}")
        )

    def _queries(self) -> str:
        """What must be said where queries were seen together, or not drawn equally."""
        shares = "" if self.query_imbalance is None else f" on average, in Dirichlet({self.query_imbalance:g}) shares"
        return shares + (", transductive" if self.transductive else "")

    def _memory(self) -> str:
        """What must be said where classes were not new."""
        known = self.trained_on or ()
        if not known:
            return ""
        which = "all classes" if len(known) == len(self.labels) else f"{len(known)} of {len(self.labels)} classes"
        return f"; NOT few-shot: {which} were trained on"


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
        groups: int ``(N,)``: no group then stands on both sides of an episode.
        class_names: names by label, for messages and the report.
        is_synthetic: what the report says of the data.
        taxonomy: a tree over the class names, for measures of how bad mistakes are (`EpisodeReport.hierarchy`).
        query_imbalance: a number above 0 draws each episode's queries with unequal shares of the classes, from a
            symmetric Dirichlet distribution with this concentration (see `EpisodeSampler.draw_unbalanced`; 2 is usual,
            smaller is less balanced), on the same classes and support sets. It tells what a transductive head
            owes to balanced queries. None: ``n_query`` of each class.

    Returns:
        the report.

    Raises:
        EpisodeError: an episode of this shape is impossible; the message names the class and the shortage. Or the
            targets are multi-hot.
        InputError: shapes do not fit, an embedding is not finite, a class is not in the taxonomy, the head is one
            for several labels, ``query_imbalance`` is not above 0, or a taxonomy is given along with it.

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
        labels_of, n_way, n_support, n_query, seed, None if groups is None else np.asarray(groups), class_names
    )
    if n_episodes < 2:
        raise InputError(f"n_episodes is {n_episodes}; an interval needs 2 or more")

    labels = np.unique(labels_of)
    n_classes = len(labels)
    names = [str(label) if class_names is None else class_names[label] for label in labels]
    if taxonomy is not None and class_names is None:
        raise InputError("a taxonomy knows classes by their names; give class_names")
    if taxonomy is not None and query_imbalance is not None:
        raise InputError("chance by a taxonomy is known for balanced queries only; give taxonomy or query_imbalance")
    tally = None if taxonomy is None else HierarchyTally(taxonomy, names)
    support_targets = torch.arange(n_way, device=z.device).repeat_interleave(n_support)
    batch = max(1, _ROWS_PER_BATCH // (n_way * (n_support + n_query)))
    accuracies = np.empty(n_episodes)
    confusion = np.zeros((n_classes, n_classes), dtype=np.int64)

    def draw(start: int, count: int) -> UnbalancedIndices:
        if query_imbalance is not None:
            return sampler.draw_unbalanced(start, count, query_imbalance)
        drawn = sampler.draw(start, count)
        query_targets = np.broadcast_to(np.repeat(np.arange(n_way), n_query), (count, n_way * n_query))
        return UnbalancedIndices(drawn.classes, drawn.support, drawn.query.reshape(count, -1), query_targets)

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
                right = predicted == drawn.query_targets
                accuracies[block : block + len(right)] = right.mean(axis=1)
                numbers = np.searchsorted(labels, drawn.classes)  # (episodes, n_way), columns of the confusion matrix
                answer = np.take_along_axis(numbers, predicted, axis=1)
                truth = np.take_along_axis(numbers, drawn.query_targets, axis=1)
                confusion += confusion_matrix(truth, answer, n_classes)
                if tally is not None:
                    tally.add(numbers, predicted.reshape(-1, n_way, n_query))
    finally:
        head.train(was_training)

    mean, ci95 = mean_ci95(accuracies)
    return EpisodeReport(
        mean=mean,
        ci95=ci95,
        chance=1.0 / n_way,
        n_way=n_way,
        n_support=n_support,
        n_query=n_query,
        n_episodes=n_episodes,
        seed=seed,
        accuracies=accuracies,
        labels=labels.tolist(),
        class_names=names,
        confusion=confusion,
        grouped=groups is not None,
        is_synthetic=is_synthetic,
        hierarchy=None if tally is None else tally.report(),
        transductive=head.is_transductive,
        query_imbalance=query_imbalance,
    )


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
