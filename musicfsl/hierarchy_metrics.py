"""How bad mistakes are: measures of a classifier by a tree over its classes.

All of them follow from counts of true and predicted classes and two tables of the tree: the height of every pair's
lowest common ancestor in the evened-out tree, and the number of nodes that a pair's lines of ancestors share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError
from musicfsl.metrics import macro_f1
from musicfsl.taxonomy import Taxonomy

__all__ = ["HierarchyScores", "Relations", "hierarchical_f1", "hierarchy_scores"]


@dataclass(frozen=True)
class Relations:
    """What a tree says of the pairs of some classes.

    The tree is first pruned to the classes: ranks that none of them reaches do not count.

    Attributes:
        heights: int64 ``(C, C)``, height of the lowest common ancestor in the evened-out tree.
        shared: int64 ``(C, C)``, number of nodes, without the root, that are an ancestor of both or one of them itself;
            on the diagonal, all of a class's own.
        depth: of the tree; heights go from 0 to this, where only the root is common.
        n_groups: for each height below ``depth``, the number of nodes there.
    """

    heights: NDArray[np.int64]
    shared: NDArray[np.int64]
    depth: int
    n_groups: list[int]

    @classmethod
    def of(cls, taxonomy: Taxonomy, classes: Sequence[str]) -> Relations:
        """Looks up all pairs.

        Raises:
            InputError: a class is not in the taxonomy, or two mean the same one.

        Example:
            >>> tree = Taxonomy({"strings": {"bowed": ["Violin"], "plucked": ["Harp"]}, "winds": ["Oboe"]})
            >>> found = Relations.of(tree, ["Violin", "Harp", "Oboe"])
            >>> found.heights.tolist(), found.shared.tolist(), found.n_groups
            ([[0, 2, 3], [2, 0, 3], [3, 3, 0]], [[3, 1, 0], [1, 3, 0], [0, 0, 2]], [3, 3, 2])
        """
        tree = taxonomy.prune(classes)
        lines = [{name, *tree.ancestors(name)} for name in classes]
        return cls(
            heights=tree.lca_heights(classes),
            shared=np.array([[len(a & b) for b in lines] for a in lines], dtype=np.int64),
            depth=tree.depth,
            n_groups=[len({*tree.level(h, classes)}) for h in range(tree.depth)],
        )


@dataclass(frozen=True)
class HierarchyScores:
    r"""Measures of one table of counts.

    With :math:`\hat P_i` and :math:`\hat T_i` the predicted and the true class of query :math:`i` together with their
    ancestors, the root left out,

    .. math:: hP = \frac{\sum_i |\hat P_i \cap \hat T_i|}{\sum_i |\hat P_i|}, \quad
              hR = \frac{\sum_i |\hat P_i \cap \hat T_i|}{\sum_i |\hat T_i|}, \quad
              hF = \frac{2 \, hP \, hR}{hP + hR} .

    Attributes:
        accuracy: for each height below the root's, share of queries whose predicted class has the right ancestor there;
            the first is the plain accuracy.
        precision: hierarchical precision, 0 to 1.
        recall: hierarchical recall, 0 to 1.
        f1: hierarchical F1, 0 to 1.
        macro_f1: mean over classes of the plain F1, 0 to 1.
        mistake_height: mean height of the lowest common ancestor of the true and the predicted class, over mistakes;
            NaN where there is none. 1 is the least bad, the depth of the tree the worst.

    Reference:
        S. Kiritchenko, S. Matwin, R. Nock, A. F. Famili, Learning and evaluation in the presence of class hierarchies,
        Canadian AI 2006; C. N. Silla, A. A. Freitas, A survey of hierarchical classification across different
        application domains, Data Mining and Knowledge Discovery 22, 2011, section 6.
    """

    accuracy: list[float]
    precision: float
    recall: float
    f1: float
    macro_f1: float
    mistake_height: float


def hierarchy_scores(confusion: ArrayLike, taxonomy: Taxonomy, classes: Sequence[str]) -> HierarchyScores:
    """All measures from counts of true and predicted classes.

    Args:
        confusion: ``(C, C)``, rows are true classes, as `musicfsl.metrics.confusion_matrix` gives it.
        taxonomy: in which all classes are.
        classes: C names, in the order of rows and columns.

    Raises:
        InputError: shapes do not agree, there are no counts, or a class is not in the taxonomy.

    Example:
        >>> tree = Taxonomy({"strings": ["Violin", "Harp"], "winds": ["Oboe", "Flute"]})
        >>> scores = hierarchy_scores([[6, 2, 0, 0], [0, 8, 0, 0], [0, 0, 8, 0], [1, 0, 3, 4]], tree, tree.classes)
        >>> scores.accuracy, scores.f1, round(scores.mistake_height, 3)
        ([0.8125, 0.96875], 0.890625, 1.167)
    """
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.shape != (len(classes), len(classes)):
        raise InputError(
            f"the confusion matrix has shape {counts.shape} for {len(classes)} classes; expected "
            f"({len(classes)}, {len(classes)})"
        )
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
        raise InputError("the confusion matrix holds no counts, negative ones or NaN; expected numbers of 0 or more")
    relations = Relations.of(taxonomy, classes)
    by_height = np.bincount(relations.heights.ravel(), counts.ravel(), minlength=relations.depth + 1)
    own = relations.shared.diagonal()
    shared = (counts * relations.shared).sum()
    precision = shared / (counts.sum(axis=0) * own).sum()
    recall = shared / (counts.sum(axis=1) * own).sum()
    mistakes = by_height[1:].sum()
    return HierarchyScores(
        accuracy=(by_height.cumsum()[:-1] / counts.sum()).tolist(),
        precision=float(precision),
        recall=float(recall),
        f1=float(hierarchical_f1(precision, recall)),
        macro_f1=float(macro_f1(counts)),
        mistake_height=float(by_height @ np.arange(len(by_height)) / mistakes) if mistakes > 0 else math.nan,
    )


def hierarchical_f1(precision: ArrayLike, recall: ArrayLike) -> NDArray[np.float64]:
    """The harmonic mean of hierarchical precision and recall; 0 where both are 0.

    Example:
        >>> hierarchical_f1([0.5, 0.0], [1.0, 0.0]).round(3).tolist()
        [0.667, 0.0]
    """
    a, b = np.asarray(precision, dtype=np.float64), np.asarray(recall, dtype=np.float64)
    return np.divide(2 * a * b, a + b, out=np.zeros_like(a), where=a + b > 0)
