"""The few examples of each class as embeddings, and what leaving them out in turn says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from musicfsl.heads.base import Head

__all__ = ["LeftOut", "Support", "calibrated_temperature", "leave_one_out"]

# Temperatures that are tried, relative to the spread of the logits.
_TEMPERATURES = torch.logspace(-2, 2, 161, dtype=torch.float64)


class Support(NamedTuple):
    """Embeddings of the examples.

    Attributes:
        z: float32 ``(W, dim)``, one row a window.
        clips: int64 ``(W,)``: the clip that each window was cut from, ``0 .. N - 1``, ascending.
        targets: int64 ``(N,)``: the class of each clip.
        classes: class names.
        window: length of the windows in seconds.
        groups: int64 ``(N,)``: the recording or player that each clip came from, which are left out together; None
            where every clip stands for itself.
    """

    z: Tensor
    clips: Tensor
    targets: Tensor
    classes: list[str]
    window: float
    groups: Tensor | None = None

    def means(self) -> Tensor:
        """Mean embedding of each clip ``(N, dim)``: a long recording counts as much in its class as a short one."""
        sums = self.z.new_zeros(len(self.targets), self.z.shape[1]).index_add_(0, self.clips, self.z)
        return sums / torch.bincount(self.clips, minlength=len(self.targets)).unsqueeze(1)


class LeftOut(NamedTuple):
    """One round of leaving out.

    Attributes:
        clip: the clip that plays the unknown recording.
        kept: bool ``(N,)``: the clips that stay examples.
    """

    clip: int
    kept: Tensor


def leave_one_out(targets: Tensor, groups: Tensor | None = None, max_rounds: int | None = None) -> Iterator[LeftOut]:
    """Takes one clip at a time out of the examples, with those of its class that share its group.

    Args:
        targets: int64 ``(N,)``, the class of each clip.
        groups: int64 ``(N,)``; None lets every clip stand for itself.
        max_rounds: where there are more, so many of them are spread evenly over the clips; None runs all.

    Yields:
        a round for each clip whose class keeps an example without it; none where no class does.

    Example:
        >>> [(clip, kept.tolist()) for clip, kept in leave_one_out(torch.tensor([0, 0, 1]))]
        [(0, [False, True, True]), (1, [True, False, True])]
    """
    groups = torch.arange(len(targets)) if groups is None else groups
    rounds = []
    for clip in range(len(targets)):
        of_class = targets == targets[clip]
        kept = ~(of_class & (groups == groups[clip]))
        if bool((of_class & kept).any()):
            rounds.append(LeftOut(clip, kept))
    if max_rounds is not None and len(rounds) > max_rounds:
        rounds = [rounds[i * len(rounds) // max_rounds] for i in range(max_rounds)]
    yield from rounds


def calibrated_temperature(head: Head, support: Support, max_rounds: int | None = None) -> float:
    r"""Fits a temperature by leaving one clip out at a time.

    Each clip whose class has another one is taken out of the examples, and its windows are scored against the rest.
    The temperature is the one at which the mean cross-entropy of these windows (every clip counting once) is least.
    So few clips are easily all recognised, which would let the temperature fall to 0; therefore the target of a
    window is not 1 for its class, but :math:`(n + 1) / (n + 2)` with :math:`n` clips, and the rest is shared by the
    others.

    Args:
        head: any head.
        support: the examples; clips of one group are left out together.
        max_rounds: clips that are left out at most (see `leave_one_out`); None leaves out all.

    Returns:
        a positive number. Where no class has two clips, nothing can be left out: 1, the head's own scale.

    Reference:
        C. Guo et al., On calibration of modern neural networks, ICML 2017 (temperature); J. Platt, Probabilistic
        outputs for support vector machines, Advances in Large Margin Classifiers, 1999 (targets).
    """
    rounds = list(leave_one_out(support.targets, support.groups, max_rounds))
    if not rounds:
        return 1.0
    means = support.means()
    logits, positions, weights = [], [], []
    with torch.no_grad():
        for clip, kept in rounds:
            windows = support.z[support.clips == clip]
            state = head.adapt(means[kept], support.targets[kept], support.classes)
            logits.append(head.score(state, windows).double())
            positions += [int(support.targets[clip])] * len(windows)
            weights += [1 / len(windows) / len(rounds)] * len(windows)
        scores = torch.cat(logits)  # (windows, C)
        sure = (len(rounds) + 1) / (len(rounds) + 2)
        targets = torch.full_like(scores, (1 - sure) / (scores.shape[1] - 1))
        targets[torch.arange(len(scores)), positions] = sure
        spread = float(scores.std(dim=1).mean().clamp(min=1e-12))
        cross_entropies = [
            -(torch.tensor(weights, dtype=scores.dtype) @ (targets * (scores / (t * spread)).log_softmax(-1)).sum(-1))
            for t in _TEMPERATURES
        ]
    return float(_TEMPERATURES[int(torch.stack(cross_entropies).argmin())]) * spread
