"""Few-shot recognition of several labels at once, over many episodes on stored embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl._stored_embeddings import checked_embeddings
from musicfsl.errors import InputError
from musicfsl.heads.base import Head
from musicfsl.heads.multilabel import MultiLabelHead
from musicfsl.metrics import MeanInterval, mean_ci95
from musicfsl.multilabel_episodes import MultiLabelEpisodeSampler, multi_hot

__all__ = ["MultiLabelEpisodeReport", "evaluate_multilabel_episodes"]


@dataclass(frozen=True)
class MultiLabelEpisodeReport:
    """What `evaluate_multilabel_episodes` found. ``print`` it for one honest line.

    Every measure is computed within an episode, over its queries and its labels, and averaged over episodes. Chance is
    computed too: for F1 of the answer that does not listen and names every label for every query, which is
    better than any guess at random; for mAP the expectation of ranking the queries at random.

    Attributes:
        macro_f1: mean over labels of F1, with half the width of its 95 % interval over episodes.
        micro_f1: F1 of all decisions of an episode together, likewise.
        mean_ap: mean over labels of average precision (mAP), likewise; for this the logits rank the queries.
        chance: the three measures by chance, under the names of the attributes.
        n_way: labels an episode.
        n_support: examples a label, at least.
        n_query: queries a label, at least.
        n_episodes: number of episodes.
        seed: of the episodes.
        episodes: the three measures of each episode, float64 ``(n_episodes,)``, under the same names.
        labels_per_query: mean number of labels that queries have.
        predicted_per_query: mean number of labels that queries were given.
        class_names: names of all classes, in the order of the columns.
        per_class: class name -> precision, recall, F1 over the decisions of all its episodes, mean average precision,
            and in how many episodes it was (n_episodes); NaN where it was never drawn, or never predicted (precision).
        grouped: True where support and query came from different groups.
        is_synthetic: True or False where it is known whether the data was synthetic, else None.
    """

    macro_f1: MeanInterval
    micro_f1: MeanInterval
    mean_ap: MeanInterval
    chance: dict[str, float]
    n_way: int
    n_support: int
    n_query: int
    n_episodes: int
    seed: int
    episodes: dict[str, NDArray[np.float64]]
    labels_per_query: float
    predicted_per_query: float
    class_names: list[str]
    per_class: dict[str, dict[str, float]]
    grouped: bool
    is_synthetic: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single episodes, as JSON can hold it (None for NaN)."""
        return {
            **{name: getattr(self, name)._asdict() for name in _MEASURES},
            "chance": self.chance,
            "n_way": self.n_way,
            "n_support": self.n_support,
            "n_query": self.n_query,
            "n_episodes": self.n_episodes,
            "seed": self.seed,
            "labels_per_query": self.labels_per_query,
            "predicted_per_query": self.predicted_per_query,
            "per_class": {
                name: {key: None if np.isnan(value) else value for key, value in row.items()}
                for name, row in self.per_class.items()
            },
            "grouped": self.grouped,
            "is_synthetic": self.is_synthetic,
        }

    def __str__(self) -> str:
        kind = {True: "synthetic data", False: "recordings", None: "data of unknown origin"}[self.is_synthetic]
        sides = ", support and query from different groups" if self.grouped else ""
        measures = ", ".join(
            f"{name} {value.mean:.3f} +- {value.ci95:.3f} (chance {self.chance[key]:.3f})"
            for key, name in _MEASURES.items()
            for value in [getattr(self, key)]
        )
        return (
            f"{measures}; 95 % intervals over {self.n_episodes} episodes, seed {self.seed}; {self.n_way}-way "
            f"{self.n_support}-shot, at least {self.n_query} queries a label{sides}; {self.labels_per_query:.2f} "
            f"labels a query, {self.predicted_per_query:.2f} predicted; chance: every label named (F1), random order "
            f"(mAP); {kind}"
        )


_MEASURES = {"macro_f1": "macro F1", "micro_f1": "micro F1", "mean_ap": "mAP"}


def evaluate_multilabel_episodes(
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
) -> MultiLabelEpisodeReport:
    """Runs a multi-label head on many episodes drawn from embedded clips.

    Args:
        embeddings: float ``(N, dim)``, one row a clip; on any device.
        targets: ``(N, C)`` of 0 and 1, the labels of each clip.
        head: a `musicfsl.heads.MultiLabelHead`; it is used in evaluation mode and left as it was.
        n_way: labels an episode.
        n_support: examples a label, at least (see `musicfsl.multilabel_episodes.MultiLabelEpisodeSampler`).
        n_query: queries a label, at least.
        n_episodes: number of episodes, at least 2; episode *i* depends on ``(seed, i)`` only.
        seed: of the episodes.
        groups: int ``(N,)``: no group then stands on both sides of an episode.
        class_names: names of the columns, for messages and the report.
        is_synthetic: what the report says of the data.

    Returns:
        the report.

    Raises:
        EpisodeError: an episode of this shape is impossible; the message names the class and the shortage.
        InputError: shapes do not fit, an embedding is not finite, or the head knows one label an item only.

    Example:
        >>> from musicfsl.heads import LabelCombinationHead
        >>> targets = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]] * 12)
        >>> report = evaluate_multilabel_episodes(
        ...     targets.astype(np.float32), targets, LabelCombinationHead("euclidean"), n_way=3, n_episodes=20)
        >>> 0.9 < report.macro_f1.mean <= 1
        True
    """
    z = checked_embeddings(embeddings, groups)
    present = multi_hot(targets)
    n_classes = present.shape[1]
    if len(present) != len(z):
        raise InputError(f"targets have shape {present.shape}; expected ({len(z)}, C), one row an embedding")
    if class_names is not None and len(class_names) != n_classes:
        raise InputError(f"{len(class_names)} class names are given for {n_classes} columns of targets; name each")
    if not isinstance(head, MultiLabelHead):
        raise InputError(
            f"{type(head).__name__} gives an item one label only; use LabelCombinationHead or BinaryPrototypeHead"
        )
    if n_episodes < 2:
        raise InputError(f"n_episodes is {n_episodes}; an interval needs 2 or more")
    names = [str(c) for c in range(n_classes)] if class_names is None else list(class_names)
    sampler = MultiLabelEpisodeSampler(present, n_way, n_support, n_query, seed, groups, names)

    counts = np.zeros((n_episodes, n_way, 4), dtype=np.int64)  # true positives, predicted, present, queries
    precisions, chance_precisions = np.empty((n_episodes, n_way)), np.empty((n_episodes, n_way))
    drawn_classes = np.empty((n_episodes, n_way), dtype=np.int64)
    was_training = head.training
    head.eval()
    try:
        with torch.no_grad():
            for i in range(n_episodes):
                classes, support, query = sampler.draw(i)
                truth = present[query][:, classes]
                shown = torch.from_numpy(present[support][:, classes]).to(z.device)
                support_z, query_z = (z[torch.from_numpy(rows).to(z.device)] for rows in (support, query))
                logits = head(support_z, shown, query_z, [names[c] for c in classes])
                predicted = head.predict(logits).cpu().numpy()
                hits = (truth & predicted).sum(axis=0)
                counts[i] = np.stack([hits, predicted.sum(0), truth.sum(0), np.full(n_way, len(query))], axis=1)
                precisions[i] = average_precision(logits.double().cpu().numpy(), truth)
                chance_precisions[i] = expected_average_precision(truth.sum(axis=0), len(query))
                drawn_classes[i] = classes
    finally:
        head.train(was_training)

    right, said, asked, queries = np.moveaxis(counts, -1, 0)  # each (n_episodes, n_way)
    episodes = {
        "macro_f1": _f1(right, said, asked).mean(axis=1),
        "micro_f1": _f1(right.sum(1), said.sum(1), asked.sum(1)),
        "mean_ap": precisions.mean(axis=1),
    }
    chance = {
        "macro_f1": float(_f1(asked, queries, asked).mean()),
        "micro_f1": float(_f1(asked.sum(1), queries.sum(1), asked.sum(1)).mean()),
        "mean_ap": float(chance_precisions.mean()),
    }
    per_class = {}
    for c, name in enumerate(names):
        of = drawn_classes == c
        per_class[name] = {
            "precision": _ratio(right[of].sum(), said[of].sum()),
            "recall": _ratio(right[of].sum(), asked[of].sum()),
            "f1": _ratio(2 * right[of].sum(), said[of].sum() + asked[of].sum()),
            "mean_ap": _ratio(precisions[of].sum(), of.sum()),
            "n_episodes": int(of.sum()),
        }
    return MultiLabelEpisodeReport(
        macro_f1=mean_ci95(episodes["macro_f1"]),
        micro_f1=mean_ci95(episodes["micro_f1"]),
        mean_ap=mean_ci95(episodes["mean_ap"]),
        chance=chance,
        n_way=n_way,
        n_support=n_support,
        n_query=n_query,
        n_episodes=n_episodes,
        seed=seed,
        episodes=episodes,
        labels_per_query=float(asked.sum() / queries[:, 0].sum()),
        predicted_per_query=float(said.sum() / queries[:, 0].sum()),
        class_names=names,
        per_class=per_class,
        grouped=groups is not None,
        is_synthetic=is_synthetic,
    )


def average_precision(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Average precision of each column: the mean over its positives of the precision down to their score.

    Queries of the same score come in together, so that their order does not matter.

    Args:
        scores: ``(n_queries, n_labels)``.
        truth: bool ``(n_queries, n_labels)``, with a positive in every column.

    Example:
        >>> average_precision(np.array([[3.0], [2.0], [1.0]]), np.array([[True], [False], [True]])).round(3)
        array([0.833])
    """
    at_least = scores[None, :, :] >= scores[:, None, :]  # [i, j]: query j is ranked no lower than query i
    precision = (at_least & truth[None]).sum(axis=1) / at_least.sum(axis=1)
    return (precision * truth).sum(axis=0) / truth.sum(axis=0)


def expected_average_precision(n_positives: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    r"""Average precision to expect where ``n`` queries are ranked at random, ``r`` of them positive.

    A positive at rank :math:`k` has the precision :math:`(1 + (k - 1) \frac{r - 1}{n - 1}) / k` in expectation, and is
    equally likely at every rank.

    Example:
        >>> float(expected_average_precision(np.array([1]), 2)[0])
        0.75
    """
    ranks = np.arange(1, n + 1)
    others = (np.asarray(n_positives, dtype=np.float64)[:, None] - 1) / max(1, n - 1)
    return ((1 + (ranks - 1) * others) / ranks).mean(axis=1)


def _f1(right: NDArray[Any], said: NDArray[Any], asked: NDArray[Any]) -> NDArray[np.float64]:
    """F1 from counts of true positives, predicted and present; the last are never 0 in an episode."""
    return 2 * right / (said + asked)


def _ratio(a: Any, b: Any) -> float:
    return float(a / b) if b > 0 else float("nan")
