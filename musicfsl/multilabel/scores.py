r"""The measures of multi-label recognition, for many weightings of the excerpts at once.

A bootstrap resample is a weighting: an excerpt that was drawn twice counts twice. So every measure is written for
weights ``(N, B)``, B weightings side by side, and scores are sorted once instead of B times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.multilabel._checks import checked_probabilities, checked_targets, checked_thresholds

__all__ = ["BY_CLASS", "HEADLINES", "Answers", "tag_scores"]

#: Measures over all classes, in the order in which they are printed.
HEADLINES = (
    "micro_f1",
    "macro_f1",
    "micro_precision",
    "macro_precision",
    "micro_recall",
    "macro_recall",
    "map",
    "micro_map",
    "lrap",
    "sample_accuracy",
)

#: Measures of each class.
BY_CLASS = ("precision", "recall", "f1", "average_precision")

# Rows of weights are summed up for this many weightings at a time, so that the sums stay in the processor's cache.
_BLOCK = 64


def tag_scores(probabilities: ArrayLike, targets: ArrayLike, thresholds: ArrayLike = 0.6) -> dict[str, float]:
    r"""The measures alone, without intervals and chance: for validation while training. `report_tags` tells all.

    With true positives tp, false positives fp and false negatives fn, precision is :math:`tp / (tp + fp)`, recall
    :math:`tp / (tp + fn)`, F1 :math:`2 tp / (2 tp + fp + fn)`. Micro measures take the sums over all cells of excerpt
    and class; macro measures are means over the classes. Average precision is
    :math:`\sum_n (R_n - R_{n-1}) P_n` over the different scores, from the highest down; LRAP is label ranking average
    precision.

    A class without a positive has neither recall nor average precision, and is left out of the macro measures. A class
    that is there, but was never answered, has precision 0 in the macro mean, as in scikit-learn. An excerpt without any
    label has no ranking that could be right, and is left out of LRAP (scikit-learn counts it as 1, which flatters).

    Args:
        probabilities: ``(N, C)``, 0 to 1.
        targets: ``(N, C)`` of 0 and 1.
        thresholds: a class is answered where its probability is at least this; one number, or ``(C,)``.

    Returns:
        the names of `HEADLINES` -> values from 0 to 1; NaN where a measure does not exist, for example without any
        positive.

    Raises:
        InputError: shapes differ, or a value is NaN or out of range.

    Reference:
        G. Tsoumakas, I. Katakis, I. Vlahavas, Mining multi-label data, Data mining and knowledge discovery handbook,
        Springer 2010.

    Example:
        >>> scores = tag_scores([[0.9, 0.2], [0.7, 0.8], [0.1, 0.5]], [[1, 0], [0, 1], [0, 1]])
        >>> round(scores["micro_f1"], 3), round(scores["map"], 3), scores["lrap"]
        (0.667, 1.0, 1.0)
    """
    answers = Answers.of(probabilities, targets, thresholds)
    found = answers.scores(np.ones((len(answers.probabilities), 1), dtype=np.int32))
    return {name: float(found[name][0]) for name in HEADLINES}


@dataclass(frozen=True)
class Answers:
    """Checked probabilities, targets and thresholds, with what every weighting of them needs.

    Attributes:
        probabilities: float64 ``(N, C)``.
        targets: bool ``(N, C)``.
        thresholds: float64 ``(C,)``.
    """

    probabilities: NDArray[np.float64]
    targets: NDArray[np.bool_]
    thresholds: NDArray[np.float64]

    @classmethod
    def of(cls, probabilities: ArrayLike, targets: ArrayLike, thresholds: ArrayLike) -> Answers:
        """Checks all three; see `tag_scores`."""
        scores = checked_probabilities(probabilities)
        present = checked_targets(targets, (len(scores), scores.shape[1]))
        return cls(scores, present, checked_thresholds(thresholds, scores.shape[1]))

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """Bool ``(N, C)``: whether a class is said to be there."""
        return self.probabilities >= self.thresholds

    def scores(self, weights: NDArray[np.int32]) -> dict[str, NDArray[np.float64]]:
        """All measures under B weightings.

        Args:
            weights: int32 ``(N, B)``, how often each excerpt counts.

        Returns:
            the names of `HEADLINES` -> float64 ``(B,)``, those of `BY_CLASS` -> float64 ``(B, C)``; NaN where a measure
            does not exist.
        """
        counted = weights.T.astype(np.float64)  # (B, N)
        hits = counted @ (self.answered & self.targets)  # (B, C)
        said, there = counted @ self.answered, counted @ self.targets
        occurs = there > 0
        by_class = {
            "precision": _ratio(hits, said),
            "recall": _ratio(hits, there),
            "f1": _ratio(2 * hits, said + there),
            "average_precision": np.stack([ranking.average_precision(weights) for ranking in self._rankings], axis=1),
        }
        all_hits, all_said, all_there = hits.sum(axis=1), said.sum(axis=1), there.sum(axis=1)
        return {
            **by_class,
            "micro_f1": _ratio(2 * all_hits, all_said + all_there),
            "macro_f1": _mean_over(by_class["f1"], occurs),
            "micro_precision": _ratio(all_hits, all_said),
            "macro_precision": _mean_over(np.nan_to_num(by_class["precision"]), occurs),
            "micro_recall": _ratio(all_hits, all_there),
            "macro_recall": _mean_over(by_class["recall"], occurs),
            "map": _mean_over(by_class["average_precision"], occurs),
            "micro_map": self._cells.average_precision(weights),
            "lrap": _ratio(counted @ self._label_ranking, counted @ self.targets.any(axis=1)),
            "sample_accuracy": _ratio(
                counted @ (self.answered == self.targets).sum(axis=1), counted.sum(axis=1) * self.targets.shape[1]
            ),
        }

    @cached_property
    def _rankings(self) -> list[_Ranking]:
        rows = np.arange(len(self.targets))
        return [_Ranking.of(self.probabilities[:, c], self.targets[:, c], rows) for c in range(self.targets.shape[1])]

    @cached_property
    def _cells(self) -> _Ranking:
        rows = np.repeat(np.arange(len(self.targets)), self.targets.shape[1])
        return _Ranking.of(self.probabilities.ravel(), self.targets.ravel(), rows)

    @cached_property
    def _label_ranking(self) -> NDArray[np.float64]:
        """LRAP of each excerpt, ``(N,)``: over its labels, the mean share of true ones among those ranked as high.

        0 for an excerpt without a label, which does not count.
        """
        total = np.zeros(len(self.targets))
        for c in range(self.targets.shape[1]):
            as_high = self.probabilities >= self.probabilities[:, c : c + 1]
            total += self.targets[:, c] * (as_high & self.targets).sum(axis=1) / as_high.sum(axis=1)
        return total / np.maximum(1, self.targets.sum(axis=1))


@dataclass(frozen=True)
class _Ranking:
    """Items sorted by score, cut into K runs that end where precision is needed: below a score that a positive has.

    Attributes:
        runs: sparse int32 ``(K, N)``, how many items of each excerpt each run has, the one of the best scores first.
        positives: sparse int32 ``(K, N)``, the same of the positives alone.
    """

    runs: Any
    positives: Any

    @classmethod
    def of(cls, scores: NDArray[np.float64], positive: NDArray[np.bool_], rows: NDArray[np.int64]) -> _Ranking:
        """From scores ``(M,)`` of items, which of them are positive, and the excerpt of each."""
        order = np.argsort(-scores, kind="stable")
        falling, is_positive, sorted_rows = -scores[order], positive[order], rows[order]
        levels, first = np.unique(falling[is_positive], return_index=True)
        ends = np.searchsorted(falling, levels, side="right")  # equal scores are one level, as in scikit-learn
        n = int(rows.max()) + 1
        return cls(
            runs=_counts(sorted_rows, np.append(0, ends), n),
            positives=_counts(sorted_rows[is_positive], np.append(first, is_positive.sum()), n),
        )

    def average_precision(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Float64 ``(B,)`` from weights ``(N, B)``; NaN without a positive."""
        n = weights.shape[1]
        return np.concatenate([self._of_block(weights[:, first : first + _BLOCK]) for first in range(0, n, _BLOCK)])

    def _of_block(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        weights = np.ascontiguousarray(weights)
        ranked, found = np.cumsum(self.runs @ weights, axis=0), self.positives @ weights  # (K, B)
        precision = np.cumsum(found, axis=0) / np.maximum(1, ranked)
        return _ratio((found * precision).sum(axis=0), found.sum(axis=0))


def _counts(rows: NDArray[np.int64], bounds: NDArray[np.int64], n: int) -> Any:
    """How often each of n excerpts stands between two bounds, sparse ``(len(bounds) - 1, n)``."""
    from scipy.sparse import csr_matrix

    kept = rows[: bounds[-1]]
    return csr_matrix((np.ones(len(kept), dtype=np.int32), kept, bounds), shape=(len(bounds) - 1, n))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def _mean_over(values: NDArray[np.float64], counts: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean over the classes that count; NaN where none does."""
    return _ratio(np.where(counts, values, 0).sum(axis=1), counts.sum(axis=1))
