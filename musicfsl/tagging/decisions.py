"""From windows to an excerpt: several ways to join what a tagger says of each window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from musicfsl.errors import InputError, did_you_mean

__all__ = ["DECISIONS", "Decision", "WindowVotes"]

Decision = Literal["mean", "max", "both", "normalised"]

#: Name -> what an excerpt's probability is, given those of its windows.
DECISIONS: dict[str, str] = {
    "mean": "the mean over windows",
    "max": "the highest of any window",
    "both": "halfway between the mean and the highest",
    "normalised": "the mean over windows divided by that of the most probable class",
}


class WindowVotes:
    """Collects probabilities of windows, and joins them by clip.

    - ``"mean"`` asks for an instrument that is heard all the time;
    - ``"max"`` is content with one window, and so with one mistake;
    - ``"both"`` is halfway between the two;
    - ``"normalised"`` divides a clip's means by their highest: the most probable class always counts as heard, which
      is right where every clip has a label, and thresholds then speak of other classes relative to it.

    Args:
        n_clips: number of clips.
        n_classes: number of classes.
        device: where the sums lie.

    Reference:
        Y. Han, J. Kim, K. Lee, Deep convolutional neural networks for predominant instrument recognition in polyphonic
        music, IEEE/ACM TASLP 25, 2017, section III-D: ``"mean"`` is strategy S1, ``"normalised"`` strategy S2.

    Example:
        >>> votes = WindowVotes(n_clips=1, n_classes=2)
        >>> votes.add(torch.tensor([0, 0]), torch.tensor([[0.6, 0.0], [0.2, 0.2]]))
        >>> {name: votes.decide(name).tolist()[0] for name in ("max", "normalised")}
        {'max': [0.6000000238418579, 0.20000000298023224], 'normalised': [1.0, 0.25]}
    """

    def __init__(self, n_clips: int, n_classes: int, device: str | torch.device = "cpu") -> None:
        self._sums = torch.zeros(n_clips, n_classes, device=device)
        self._highest = torch.zeros(n_clips, n_classes, device=device)
        self._counts = torch.zeros(n_clips, 1, device=device)

    def add(self, clips: Tensor, probabilities: Tensor) -> None:
        """Adds the probabilities ``(B, n_classes)`` of windows of the clips ``(B,)``."""
        clips = clips.to(self._sums.device)
        values = probabilities.to(self._sums)
        self._sums.index_add_(0, clips, values)
        self._counts.index_add_(0, clips, torch.ones_like(values[:, :1]))
        self._highest.scatter_reduce_(0, clips[:, None].expand_as(values), values, reduce="amax")

    def decide(self, decision: str = "mean", reduce: Callable[..., Tensor] | None = None) -> Tensor:
        """Probabilities of the clips.

        Args:
            decision: one of `DECISIONS`.
            reduce: joins a tensor over all processes (called with ``reduce_op`` ``"sum"`` or ``"max"``), where each
                has seen a share of the windows.

        Returns:
            float32 ``(n_clips, n_classes)``; NaN where no window of a clip was added.

        Raises:
            InputError: there is no such decision.
        """
        check_decision(decision)
        sums, counts, highest = self._sums, self._counts, self._highest
        if reduce is not None:
            sums, counts = reduce(sums, reduce_op="sum"), reduce(counts, reduce_op="sum")
            highest = reduce(highest, reduce_op="max")
        mean = sums / counts
        if decision == "mean":
            return mean
        if decision == "max":
            return highest.masked_fill(counts == 0, float("nan"))
        if decision == "both":
            return (mean + highest) / 2
        return mean / mean.amax(dim=1, keepdim=True).clamp(min=torch.finfo(mean.dtype).tiny)


def check_decision(decision: str) -> None:
    """Raises an `InputError` where there is no such decision."""
    if decision not in DECISIONS:
        raise InputError(
            f"there is no decision '{decision}'.{did_you_mean(decision, DECISIONS)} Known: {', '.join(DECISIONS)}"
        )
