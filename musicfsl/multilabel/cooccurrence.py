"""What else was sounding when a label was answered wrongly, or missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.multilabel._checks import checked_names
from musicfsl.multilabel.scores import Answers

__all__ = ["CooccurrenceConfusion", "cooccurrence_confusion"]


@dataclass(frozen=True)
class CooccurrenceConfusion:
    """Mistakes by the labels that were truly there.

    With several labels an excerpt, a wrong label has no single true one beside it. Of each mistake all labels are
    counted that were there; rows therefore do not sum to the number of mistakes. A label that is nearly always there
    stands beside most mistakes: compare with the usual share (`usual_beside_false_positives`).

    Attributes:
        class_names: C names.
        false_positives: int64 ``(C, C)``; ``[i, j]`` excerpts in which i was wrongly answered while j was there. The
            diagonal is 0.
        false_negatives: int64 ``(C, C)``; ``[i, j]`` excerpts in which i was missed while j was there as well. The
            diagonal is 0.
        n_false_positives: int64 ``(C,)``, excerpts in which i was wrongly answered.
        n_false_negatives: int64 ``(C,)``, excerpts in which i was missed.
        together: int64 ``(C, C)``; ``[i, j]`` excerpts that have both; the diagonal is the support.
        n_excerpts: number of excerpts.
    """

    class_names: list[str]
    false_positives: NDArray[np.int64]
    false_negatives: NDArray[np.int64]
    n_false_positives: NDArray[np.int64]
    n_false_negatives: NDArray[np.int64]
    together: NDArray[np.int64]
    n_excerpts: int

    @property
    def beside_false_positives(self) -> NDArray[np.float64]:
        """``(C, C)``: of the excerpts in which i was wrongly answered, the share that has j; NaN without any."""
        return _shares(self.false_positives, self.n_false_positives)

    @property
    def beside_false_negatives(self) -> NDArray[np.float64]:
        """``(C, C)``: of the excerpts in which i was missed, the share that has j too; NaN without any."""
        return _shares(self.false_negatives, self.n_false_negatives)

    @property
    def usual_beside_false_positives(self) -> NDArray[np.float64]:
        """``(C, C)``: of all excerpts without i, where alone it can be wrongly answered, the share that has j."""
        support = self.together.diagonal()
        return _shares(support[None, :] - self.together, self.n_excerpts - support)

    @property
    def usual_beside_false_negatives(self) -> NDArray[np.float64]:
        """``(C, C)``: of all excerpts with i, where alone it can be missed, the share that has j too."""
        support = self.together.diagonal()
        return _shares(self.together - np.diag(support), support)

    def to_dict(self) -> dict[str, Any]:
        """Counts, as JSON can hold them."""
        return {
            "class_names": self.class_names,
            "false_positives": self.false_positives.tolist(),
            "false_negatives": self.false_negatives.tolist(),
            "n_false_positives": self.n_false_positives.tolist(),
            "n_false_negatives": self.n_false_negatives.tolist(),
            "together": self.together.tolist(),
            "n_excerpts": self.n_excerpts,
        }


def cooccurrence_confusion(
    probabilities: ArrayLike, targets: ArrayLike, class_names: Sequence[str], thresholds: ArrayLike = 0.6
) -> CooccurrenceConfusion:
    """Counts which labels were truly there when another was wrongly answered, and when another was missed.

    Args:
        probabilities: ``(N, C)``, 0 to 1.
        targets: ``(N, C)`` of 0 and 1.
        class_names: C names.
        thresholds: a class is answered where its probability is at least this; one number, or ``(C,)``.

    Raises:
        InputError: shapes differ, or a value is NaN or out of range.

    Example:
        >>> confusion = cooccurrence_confusion([[0.9, 0.8], [0.7, 0.1]], [[1, 0], [1, 1]], ["Violin", "Cello"])
        >>> confusion.false_positives.tolist()  # a cello was heard where there was a violin
        [[0, 0], [1, 0]]
        >>> confusion.false_negatives.tolist()  # and one was missed beside a violin
        [[0, 0], [1, 0]]
    """
    answers = Answers.of(probabilities, targets, thresholds)
    names = checked_names(class_names, answers.targets.shape[1])
    there = answers.targets.astype(np.int64)
    wrong = (answers.answered & ~answers.targets).astype(np.int64)
    missed = (~answers.answered & answers.targets).astype(np.int64)
    beside_missed = missed.T @ there
    np.fill_diagonal(beside_missed, 0)  # a missed label is there itself, which says nothing
    return CooccurrenceConfusion(
        class_names=names,
        false_positives=wrong.T @ there,
        false_negatives=beside_missed,
        n_false_positives=wrong.sum(axis=0),
        n_false_negatives=missed.sum(axis=0),
        together=there.T @ there,
        n_excerpts=len(there),
    )


def _shares(counts: NDArray[np.int64], totals: NDArray[np.int64]) -> NDArray[np.float64]:
    wide = np.broadcast_to(totals[:, None], counts.shape)
    return np.divide(counts, wide, out=np.full(counts.shape, np.nan), where=wide > 0)
