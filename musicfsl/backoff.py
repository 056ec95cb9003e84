"""Backing off: where no class is sure, the answer is a family ("some bowed string") instead of a guess."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError
from musicfsl.taxonomy import Taxonomy

__all__ = ["BackOffCurve", "BackedOff", "back_off", "back_off_curve", "class_probabilities", "fit_temperature"]

# What sums of rounded probabilities may miss.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class BackedOff:
    """Answers that are classes or nodes above them.

    Attributes:
        nodes: one name an item; ``""`` is the root, which says nothing.
        probability: float64 ``(N,)``, of these nodes.
        depth: int64 ``(N,)``, edges from the root; 0 for the root.
        specificity: float64 ``(N,)``, depth as a share of that of the deepest class below: 1 for a class, 0 for the
            root.
    """

    nodes: list[str]
    probability: NDArray[np.float64]
    depth: NDArray[np.int64]
    specificity: NDArray[np.float64]


@dataclass(frozen=True)
class BackOffCurve:
    r"""What is lost in specificity for what is won in precision as the threshold rises.

    Attributes:
        thresholds: float64 ``(K,)``, ascending.
        specificity: float64 ``(K,)``, mean over items; falling.
        precision: float64 ``(K,)``, share of answers that are the true class or lie above it. The root always does.
        answered: float64 ``(K,)``, share of answers that are not the root; falling.
        information: float64 ``(K,)``, mean of :math:`1 - \log n / \log C` for answers with n of C classes below: 1
            for classes, 0 for the root; falling.
    """

    thresholds: NDArray[np.float64]
    specificity: NDArray[np.float64]
    precision: NDArray[np.float64]
    answered: NDArray[np.float64]
    information: NDArray[np.float64]


def back_off(probabilities: ArrayLike, taxonomy: Taxonomy, classes: Sequence[str], threshold: float = 0.8) -> BackedOff:
    """For each item the deepest node whose probability reaches a threshold.

    The probability of a node is the sum of those of the classes below it. The way there begins at the root, goes on to
    the most probable child as long as that one reaches the threshold (the first where several are equal), and ends
    where none does. Above a threshold of 0.5 at most one child of a node can reach it, so that the answer is the
    deepest node of all that do; below, the most probable branch is followed, and a threshold of 0 always gives a class,
    though not always the most probable one.

    Args:
        probabilities: ``(N, C)``, rows with the sum 1, such as `class_probabilities` gives.
        taxonomy: in which all classes are; only their part of it counts.
        classes: C names, in the order of the columns.
        threshold: 0 to 1.

    Raises:
        InputError: rows are no probabilities, shapes do not agree, or a class is not in the taxonomy.

    Reference:
        J. Deng, J. Krause, A. C. Berg, L. Fei-Fei, Hedging your bets: optimizing accuracy-specificity trade-offs in
        large scale visual recognition, CVPR 2012.

    Example:
        >>> tree = Taxonomy({"strings": {"bowed": ["Violin", "Viola"], "plucked": ["Harp"]}, "Voice": None})
        >>> answers = back_off([[0.5, 0.4, 0.1, 0.0], [0.4, 0.0, 0.2, 0.4]], tree, tree.classes, threshold=0.8)
        >>> answers.nodes, answers.probability, answers.specificity.round(2)
        (['bowed', ''], array([0.9, 1. ]), array([0.67, 0.  ]))
    """
    way = _Descent(probabilities, taxonomy, classes)
    last = way.last(_checked_threshold(threshold))
    rows = np.arange(len(last))
    nodes = way.nodes[rows, last]
    return BackedOff(
        nodes=[way.names[node] for node in nodes],
        probability=way.probability[rows, last],
        depth=last.astype(np.int64),
        specificity=way.specificity[nodes],
    )


def back_off_curve(
    probabilities: ArrayLike,
    targets: ArrayLike,
    taxonomy: Taxonomy,
    classes: Sequence[str],
    thresholds: ArrayLike | None = None,
) -> BackOffCurve:
    """`back_off` at many thresholds, compared with the truth.

    Args:
        probabilities: ``(N, C)``, N at least 1.
        targets: int ``(N,)``, columns of the true classes.
        taxonomy: in which all classes are.
        classes: C names, in the order of the columns.
        thresholds: some of 0 to 1; None takes 0, 0.01, ..., 1.

    Raises:
        InputError: as `back_off`; or a target is no column.

    Example:
        >>> tree = Taxonomy({"strings": ["Violin", "Viola"], "Voice": None})
        >>> curve = back_off_curve([[0.6, 0.4, 0.0], [0.3, 0.1, 0.6]], [1, 2], tree, tree.classes, [0.5, 0.9])
        >>> curve.specificity, curve.precision
        (array([1.  , 0.25]), array([0.5, 1. ]))
    """
    way = _Descent(probabilities, taxonomy, classes)
    truth = np.asarray(targets)
    n_items, n_classes = len(way.nodes), len(classes)
    if truth.shape != (n_items,) or not np.issubdtype(truth.dtype, np.integer) or n_items == 0:
        raise InputError(f"targets have shape {truth.shape}; expected ({max(n_items, 1)},), the column of each item")
    if truth.min() < 0 or truth.max() >= n_classes:
        raise InputError(f"targets reach from {truth.min()} to {truth.max()}; expected 0 to {n_classes - 1}")
    steps = np.linspace(0, 1, 101) if thresholds is None else np.unique(np.asarray(thresholds, dtype=np.float64))
    if steps.ndim != 1 or len(steps) == 0:
        raise InputError("thresholds are empty; expected one number or more")
    rows = np.arange(n_items)
    points = []
    for threshold in steps:
        last = way.last(_checked_threshold(float(threshold)))
        nodes = way.nodes[rows, last]
        measures = (way.specificity[nodes], way.below[truth, nodes], last > 0, way.information[nodes])
        points.append([float(values.mean()) for values in measures])
    return BackOffCurve(steps, *np.array(points).T)


def class_probabilities(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax of a head's logits.

    Args:
        logits: ``(N, C)``.
        temperature: the logits are divided by it; above 1 the probabilities come nearer to each other.

    Example:
        >>> class_probabilities([[0.0, 0.0], [2.0, 0.0]], temperature=2.0).round(3).tolist()
        [[0.5, 0.5], [0.731, 0.269]]
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature is {temperature}; expected a positive number")
    scaled = _checked_logits(logits) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """The temperature with which the probabilities fit the truth best: the lowest mean cross-entropy.

    Distances make logits of any size, so that their softmax is mostly far too sure, or not sure enough. Fit on episodes
    of validation classes, then use the number for others.

    Args:
        logits: ``(N, C)``, of queries whose classes are known.
        targets: int ``(N,)``, their columns.

    Returns:
        a number between 0.0001 and 10,000 times the spread of the logits.

    Raises:
        InputError: shapes do not agree, or all logits of every row are equal.

    Reference:
        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern neural networks, ICML 2017.

    Example:
        >>> round(fit_temperature([[20.0, 0.0], [20.0, 0.0], [20.0, 0.0], [20.0, 0.0]], [0, 0, 0, 1]), 2)
        18.2
    """
    from scipy.optimize import minimize_scalar

    array, truth = _checked_logits(logits), np.asarray(targets)
    if truth.shape != (len(array),) or not np.issubdtype(truth.dtype, np.integer):
        raise InputError(f"targets have shape {truth.shape}; expected ({len(array)},), the column of each row")
    if len(truth) and (truth.min() < 0 or truth.max() >= array.shape[1]):
        raise InputError(f"targets reach from {truth.min()} to {truth.max()}; expected 0 to {array.shape[1] - 1}")
    spread = float(np.ptp(array, axis=1).mean()) if len(array) else 0.0
    if spread == 0:
        raise InputError("all logits are equal, so no temperature changes anything; give those of a head")
    rows = np.arange(len(array))

    def cross_entropy(log_temperature: float) -> float:
        scaled = array / (spread * math.exp(log_temperature))
        top = scaled.max(axis=1)
        log_total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((log_total - scaled[rows, truth]).mean())

    # The cross-entropy has one valley in the inverse of the temperature, and so in its logarithm.
    limit = math.log(1e4)
    best = minimize_scalar(cross_entropy, bounds=(-limit, limit), method="bounded", options={"xatol": 1e-6})
    return float(spread * math.exp(best.x))


class _Descent:
    """The way of each item from the root down to a class, always to the most probable child.

    Attributes:
        names: of all nodes, the root first.
        below: bool ``(C, n_nodes)``, whether a class is a node or lies below it.
        specificity: ``(n_nodes,)``.
        information: ``(n_nodes,)``.
        nodes: ``(N, depth + 1)``, numbers of the nodes on the way; a class is repeated to the end.
        probability: ``(N, depth + 1)``, of these nodes.
    """

    def __init__(self, probabilities: ArrayLike, taxonomy: Taxonomy, classes: Sequence[str]) -> None:
        tree = taxonomy.prune(classes)
        given = _checked_probabilities(probabilities, len(classes))
        self.names = tree.nodes
        number = {name: i for i, name in enumerate(self.names)}
        position = {name: c for c, name in enumerate(classes)}
        self.below = np.zeros((len(classes), len(self.names)), dtype=bool)
        depths, heights = np.zeros(len(self.names)), np.zeros(len(self.names))
        for name, i in number.items():
            self.below[[position[leaf] for leaf in tree.leaves(name)], i] = True
            depths[i] = 0 if name == "" else len(tree.ancestors(name)) + 1
            heights[i] = tree.height(name)
        self.specificity = depths / (depths + heights)
        n_below = self.below.sum(axis=0)
        self.information = 1 - np.log(n_below) / np.log(max(2, len(classes)))

        of_nodes = given @ self.below  # (N, n_nodes)
        rows = np.arange(len(given))
        best_child = np.tile(np.arange(len(self.names)), (len(given), 1))  # a class leads to itself
        for name, i in number.items():
            children = np.array([number[child] for child in tree.children(name)], dtype=np.int64)
            if len(children):
                best_child[:, i] = children[of_nodes[:, children].argmax(axis=1)]
        way = [np.zeros(len(given), dtype=np.int64)]
        for _ in range(tree.depth):
            way.append(best_child[rows, way[-1]])
        self.nodes = np.stack(way, axis=1)
        self.probability = of_nodes[rows[:, None], self.nodes]

    def last(self, threshold: float) -> NDArray[np.int64]:
        """How far each item goes, ``(N,)``: the depth of the last node that reaches the threshold."""
        reached = self.probability >= threshold - _ROUNDING
        reached[:, 0] = True
        # Probabilities fall along the way; and after a class come only repetitions of it.
        ends = np.argmax(self.nodes == self.nodes[:, -1:], axis=1)
        return np.minimum(reached.cumprod(axis=1).sum(axis=1) - 1, ends)


def _checked_probabilities(probabilities: ArrayLike, n_classes: int) -> NDArray[np.float64]:
    array = np.asarray(probabilities, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != n_classes:
        raise InputError(f"probabilities have shape {array.shape}; expected (N, {n_classes}), a column a class")
    if not (np.isfinite(array).all() and (array >= 0).all() and np.allclose(array.sum(axis=1), 1, atol=1e-3)):
        raise InputError(
            "probabilities are negative, not finite, or have rows with another sum than 1; take the softmax"
        )
    return array


def _checked_threshold(threshold: float) -> float:
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}; expected 0 to 1")
    return threshold


def _checked_logits(logits: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(logits, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0 or not np.isfinite(array).all():
        raise InputError(f"logits have shape {array.shape} or are not all finite; expected finite numbers (N, C)")
    return array
