"""From a label for each window to segments: a start, an end, a label and how sure it is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import InputError

__all__ = ["SILENCE", "UNKNOWN", "Segment", "find_segments"]

#: Label of what is too quiet.
SILENCE = "silence"

#: Label of what is too unsure: in a tree, the root.
UNKNOWN = "unknown"

#: From mean probabilities ``(S, K)`` of segments to a label and its probability for each.
Decision = Callable[[NDArray[np.float64]], list[tuple[str, float]]]


class Segment(NamedTuple):
    """A part of a recording with one label.

    Attributes:
        start: in seconds.
        end: in seconds.
        label: a class, an ancestor of classes in a tree, `SILENCE` or `UNKNOWN`.
        confidence: probability of the label, the mean over the segment's windows. An ancestor's is the sum over its
            classes; that of `UNKNOWN`, under which all classes fall, is 1.
    """

    start: float
    end: float
    label: str
    confidence: float


def find_segments(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    bounds: NDArray[np.float64],
    names: Sequence[str],
    decide: Decision | None = None,
) -> list[Segment]:
    """Joins neighbouring windows of one label.

    Args:
        labels: ``(N,)`` column numbers, such as `viterbi` gives them.
        probabilities: ``(N, K)``.
        bounds: ``(N + 1,)`` in seconds: window ``i`` speaks for ``bounds[i]`` to ``bounds[i + 1]``.
        names: K names of the columns.
        decide: what a segment is called in the end, from the mean probabilities of its windows; segments that then bear
            the same name and touch become one. Silence is not asked about. None keeps the names of the labels.

    Returns:
        segments that tile the recording, in order; neighbours differ in label.

    Raises:
        InputError: lengths do not agree.

    Example:
        >>> probabilities = np.array([[0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
        >>> bounds = np.array([0.0, 0.75, 1.25, 2.0])
        >>> for segment in find_segments(probabilities.argmax(axis=1), probabilities, bounds, ["oboe", "oud"]):
        ...     print(segment)
        Segment(start=0.0, end=0.75, label='oboe', confidence=0.75)
        Segment(start=0.75, end=2.0, label='oud', confidence=0.75)
    """
    if len(labels) == 0 or probabilities.shape != (len(labels), len(names)) or bounds.shape != (len(labels) + 1,):
        raise InputError(
            f"labels, probabilities and bounds have shapes {labels.shape}, {probabilities.shape} and {bounds.shape}; "
            f"expected (N,), (N, {len(names)}) and (N + 1,)"
        )
    firsts = np.flatnonzero(np.diff(labels, prepend=-1))
    sizes = np.diff(np.append(firsts, len(labels)))  # windows of each run of one label
    means = np.add.reduceat(probabilities.astype(np.float64), firsts) / sizes[:, None]
    columns = labels[firsts]
    found = [(names[column], float(mean[column])) for column, mean in zip(columns, means, strict=True)]
    if decide is not None:
        open_ = [i for i, (name, _) in enumerate(found) if name != SILENCE]
        for i, answer in zip(open_, decide(means[open_]), strict=True):
            found[i] = answer

    segments = []
    runs = zip(found, firsts.tolist(), sizes.tolist(), strict=True)
    for label, group in itertools.groupby(runs, key=lambda run: run[0][0]):
        of_label = list(group)
        n_windows = sum(size for _, _, size in of_label)
        confidence = sum(probability * size for (_, probability), _, size in of_label) / n_windows
        first = of_label[0][1]
        segments.append(Segment(float(bounds[first]), float(bounds[first + n_windows]), label, confidence))
    return segments
