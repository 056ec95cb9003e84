"""From answers to the queries of episodes to a report, however the answers came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from musicfsl.episodes import EpisodeSampler, UnbalancedIndices
from musicfsl.hierarchy_reports import HierarchyReport, HierarchyTally
from musicfsl.metrics import confusion_matrix, mean_ci95
from musicfsl.taxonomy import Taxonomy

__all__ = ["AnswerTally", "EpisodeReport"]


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
        grouped: True where support and query came from different groups (see ``groups_apart``).
        is_synthetic: True or False where it is known whether the data was synthetic, else None.
        hierarchy: how bad the mistakes are by a taxonomy; None where none was given.
        trained_on: names of the classes that the encoder was trained on, so that the accuracy is not a few-shot one;
            None where it is not known.
        transductive: True where the head saw all queries of an episode together.
        query_imbalance: concentration of the Dirichlet distribution of the classes' shares of the queries; None where
            they were equal. Classes then had ``n_query`` queries on average.
        groups_apart: where no group was on both sides, if ``grouped``: in each ``"class"`` (a query's group may have
            been in the support of another class), or in the whole ``"episode"``.
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
    groups_apart: Literal["class", "episode"] = "class"

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
            "groups_apart": self.groups_apart if self.grouped else None,
        }

    def __str__(self) -> str:
        kind = {True: "synthetic data", False: "recordings", None: "data of unknown origin"}[self.is_synthetic]
        return (
            f"accuracy {self.mean:.3f} +- {self.ci95:.3f} (95 % interval over {self.n_episodes} episodes, "
            f"seed {self.seed}; chance {self.chance:.3f}; {self.n_way}-way {self.n_support}-shot, "
            f"{self.n_query} queries a class{self._queries()}{self._sides()}; {kind}{self._memory()})"
            + ("" if self.hierarchy is None else f"\n{self.hierarchy}")
        )

    def _queries(self) -> str:
        """What must be said where queries were seen together, or not drawn equally."""
        shares = "" if self.query_imbalance is None else f" on average, in Dirichlet({self.query_imbalance:g}) shares"
        return shares + (", transductive" if self.transductive else "")

    def _sides(self) -> str:
        """What is said of groups."""
        if not self.grouped:
            return ""
        return ", support and query from different groups" + (
            " in the whole episode" if self.groups_apart == "episode" else ""
        )

    def _memory(self) -> str:
        """What must be said where classes were not new."""
        known = self.trained_on or ()
        if not known:
            return ""
        which = "all classes" if len(known) == len(self.labels) else f"{len(known)} of {len(self.labels)} classes"
        return f"; NOT few-shot: {which} were trained on"


class AnswerTally:
    """Counts the answers to all queries of many episodes, in blocks, so that memory does not grow with their number.

    Args:
        sampler: which draws the episodes.
        labels: int64 ``(n_classes,)``, of the data's classes, ascending.
        names: of these classes.
        n_episodes: how many there are, numbered from 0.
        taxonomy: a tree over the names, for measures of how bad mistakes are; queries must then be balanced.
    """

    def __init__(
        self,
        sampler: EpisodeSampler,
        labels: NDArray[np.int64],
        names: list[str],
        n_episodes: int,
        taxonomy: Taxonomy | None = None,
    ) -> None:
        self._sampler, self._labels, self._names = sampler, labels, names
        self._accuracies = np.empty(n_episodes)
        self._confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
        self._hierarchy = None if taxonomy is None else HierarchyTally(taxonomy, names)

    def add(self, start: int, drawn: UnbalancedIndices, predicted: NDArray[np.int64]) -> None:
        """Adds a block of episodes.

        Args:
            start: number of the block's first episode.
            drawn: the block.
            predicted: int64 ``(B, n_way * n_query)``, positions among each episode's classes.
        """
        right = predicted == drawn.query_targets
        self._accuracies[start : start + len(right)] = right.mean(axis=1)
        numbers = np.searchsorted(self._labels, drawn.classes)  # (B, n_way), columns of the confusion matrix
        answer = np.take_along_axis(numbers, predicted, axis=1)
        truth = np.take_along_axis(numbers, drawn.query_targets, axis=1)
        self._confusion += confusion_matrix(truth, answer, len(self._labels))
        if self._hierarchy is not None:
            self._hierarchy.add(numbers, predicted.reshape(-1, self._sampler.n_way, self._sampler.n_query))

    def report(
        self,
        is_synthetic: bool | None = None,
        trained_on: Sequence[str] | None = None,
        transductive: bool = False,
        query_imbalance: float | None = None,
    ) -> EpisodeReport:
        """What came of all episodes; the arguments stand in the report."""
        mean, ci95 = mean_ci95(self._accuracies)
        sampler = self._sampler
        return EpisodeReport(
            mean=mean,
            ci95=ci95,
            chance=1.0 / sampler.n_way,
            n_way=sampler.n_way,
            n_support=sampler.n_support,
            n_query=sampler.n_query,
            n_episodes=len(self._accuracies),
            seed=sampler.seed,
            accuracies=self._accuracies,
            labels=self._labels.tolist(),
            class_names=self._names,
            confusion=self._confusion,
            grouped=sampler.is_grouped,
            is_synthetic=is_synthetic,
            hierarchy=None if self._hierarchy is None else self._hierarchy.report(),
            trained_on=trained_on,
            transductive=transductive,
            query_imbalance=query_imbalance,
            groups_apart=sampler.groups_apart,
        )
