"""What can be had without listening: the chance levels of multi-label measures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError
from musicfsl.multilabel._checks import checked_targets
from musicfsl.multilabel.scores import BY_CLASS, Answers

__all__ = ["chance_by_class", "chance_levels"]


def chance_levels(targets: ArrayLike) -> dict[str, float]:
    r"""What the best answer gives that never listens.

    It knows how often each label occurs, and says the same of every excerpt. With :math:`p_c` the share of
    excerpts that have label c, over the labels that occur:

    - macro F1: every label is always answered, mean of :math:`2 p_c / (1 + p_c)`. To answer a label at random with
      probability q gives :math:`2 p q / (p + q)`, which is less for every q below 1. Macro precision and recall: those
      of the same answer, the mean of :math:`p_c`, and 1.
    - micro F1: the k most frequent labels are always answered, with the best k:
      :math:`\max_k 2 \sum_{c \le k} p_c / (k + \sum_c p_c)`. Micro precision and recall: those of the same answer.
    - mAP: all excerpts score alike, the mean of :math:`p_c`.
    - micro AP and LRAP: the score of each label is :math:`p_c`, in every excerpt.
    - sample accuracy: a label is answered where :math:`p_c` is above one half; where none is, this is the answer "no
      label, ever".

    They are computed from the very excerpts that are judged, so the guesser knows more than a real one would: what is
    above these levels was heard.

    Args:
        targets: ``(N, C)`` of 0 and 1.

    Returns:
        the names of `HEADLINES` -> chance.

    Raises:
        InputError: there is no positive at all, or the targets are no such array.

    Example:
        >>> levels = chance_levels([[1, 0], [1, 0], [1, 1], [1, 0]])
        >>> levels["map"], round(levels["micro_f1"], 3), levels["sample_accuracy"]
        (0.625, 0.889, 0.875)
    """
    present = _checked(targets)
    share = present.mean(axis=0)
    share_there = share[share > 0]
    found, said = np.cumsum(np.sort(share)[::-1]), np.arange(1, len(share) + 1)
    best = int(np.argmax(2 * found / (said + share.sum())))
    constant = Answers(np.broadcast_to(share, present.shape), present, np.full(len(share), 0.5))
    ranked = constant.scores(np.ones((len(present), 1), dtype=np.int32))
    return {
        "micro_f1": float(2 * found[best] / (said[best] + share.sum())),
        "macro_f1": float(np.mean(2 * share_there / (1 + share_there))),
        "micro_precision": float(found[best] / said[best]),
        "macro_precision": float(share_there.mean()),
        "micro_recall": float(found[best] / share.sum()),
        "macro_recall": 1.0,
        "map": float(share_there.mean()),
        "micro_map": float(ranked["micro_map"][0]),
        "lrap": float(ranked["lrap"][0]),
        "sample_accuracy": float(np.maximum(share, 1 - share).mean()),
    }


def chance_by_class(targets: ArrayLike) -> dict[str, NDArray[np.float64]]:
    r"""The same for each label by itself: it is always answered, and all excerpts score alike.

    Precision and average precision are then the share :math:`p` of excerpts that have the label, recall is 1, F1 is
    :math:`2 p / (1 + p)`.

    Args:
        targets: ``(N, C)`` of 0 and 1.

    Returns:
        the names of `BY_CLASS` -> float64 ``(C,)``; NaN for a label that never occurs.

    Example:
        >>> chance_by_class([[1, 0], [0, 1], [0, 1], [0, 1]])["average_precision"].tolist()
        [0.25, 0.75]
    """
    share = _checked(targets).mean(axis=0)
    share = np.where(share > 0, share, np.nan)
    by_name = {"precision": share, "recall": share / share, "f1": 2 * share / (1 + share), "average_precision": share}
    return {name: by_name[name] for name in BY_CLASS}


def _checked(targets: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(targets)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"targets have shape {array.shape}; expected (N, C), a row an excerpt, a column a label")
    present = checked_targets(array, (array.shape[0], array.shape[1]))
    if not present.any():
        raise InputError("no excerpt has any label; there is nothing to find, and so nothing to measure")
    return present
