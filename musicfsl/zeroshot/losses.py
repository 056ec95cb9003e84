"""What a zero-shot model is trained by: audio near the vector of its own class, away from those of others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from musicfsl.errors import InputError

__all__ = ["LOSSES", "random_negatives", "softmax_loss", "triplet_loss"]

#: Names that `musicfsl.training.ZeroShotLearner` and the command line know.
LOSSES = ("softmax", "triplet")


def softmax_loss(scores: Tensor, targets: Tensor) -> Tensor:
    r"""Cross-entropy over the class vectors: every other class is a negative.

    For the scores :math:`s_k = \tau \cos(a, c_k)` of a clip of class :math:`y`,

    .. math:: L = -\log \frac{\exp s_y}{\sum_k \exp s_k} .

    Args:
        scores: ``(B, C)``, cosines times the temperature, as `ZeroShotModel.score` gives them.
        targets: int64 ``(B,)``, columns.

    Returns:
        the mean over the batch.

    Raises:
        InputError: shapes do not fit, or a target is no column.

    Reference:
        A. van den Oord, Y. Li, O. Vinyals, Representation learning with contrastive predictive coding,
        arXiv:1807.03748, equation 4; with class vectors from another branch and a learned temperature: A. Radford et
        al., Learning transferable visual models from natural language supervision, ICML 2021, section 2.3.

    Example:
        >>> softmax_loss(torch.zeros(3, 4), torch.tensor([0, 1, 2]))  # undecided among four: log 4
        tensor(1.3863)
    """
    _check(scores, targets)
    return functional.cross_entropy(scores, targets)


def triplet_loss(cosines: Tensor, targets: Tensor, negatives: Tensor, margin: float = 0.5) -> Tensor:
    r"""Hinge on cosine similarities: the own class must be nearer than one other class, by a margin.

    .. math:: L = \max(0,\; m - \cos(a, c_y) + \cos(a, c_n))

    Args:
        cosines: ``(B, C)``, similarities of clips and class vectors.
        targets: int64 ``(B,)``, the column of each clip's own class.
        negatives: int64 ``(B,)``, the column of another class (see `random_negatives`).
        margin: the distance asked for, 0 to 2.

    Returns:
        the mean over the batch.

    Raises:
        InputError: shapes do not fit, a target is no column, a negative is the clip's own class, or the margin is out
            of range.

    Reference:
        J. Choi, J. Lee, J. Park, J. Nam, Zero-shot learning for audio-based music classification and tagging,
        ISMIR 2019, section 3.2; A. Frome et al., DeViSE: a deep visual-semantic embedding model, NeurIPS 2013,
        equation 1.

    Example:
        >>> triplet_loss(torch.tensor([[0.9, 0.6]]), torch.tensor([0]), torch.tensor([1]))
        tensor(0.2000)
    """
    _check(cosines, targets)
    _check(cosines, negatives)
    if not 0 < margin <= 2:
        raise InputError(f"margin is {margin}; expected above 0 and at most 2, the largest difference of cosines")
    if bool((targets == negatives).any()):
        raise InputError("a negative is the clip's own class; draw negatives from the other classes")
    own = cosines.gather(1, targets[:, None])
    other = cosines.gather(1, negatives[:, None])
    return (margin - own + other).clamp(min=0).mean()


def random_negatives(targets: Tensor, n_classes: int, generator: torch.Generator) -> Tensor:
    """One class for each clip that is not its own, all others being equally likely.

    Args:
        targets: int64 ``(B,)``, 0 to ``n_classes - 1``.
        n_classes: 2 or more.
        generator: on the CPU.

    Returns:
        int64 ``(B,)`` on the targets' device.

    Raises:
        InputError: there are no other classes.

    Example:
        >>> random_negatives(torch.tensor([0, 1, 0]), 2, torch.Generator().manual_seed(0))
        tensor([1, 0, 1])
    """
    if n_classes < 2:
        raise InputError(f"there are {n_classes} classes; a negative needs a second one")
    # A step of 1 to n - 1 around the circle of classes reaches every class but the own one.
    steps = torch.randint(1, n_classes, targets.shape, generator=generator)
    return (targets + steps.to(targets.device)) % n_classes


def _check(scores: Tensor, targets: Tensor) -> None:
    if scores.dim() != 2 or targets.shape != scores.shape[:1] or len(targets) == 0:
        raise InputError(
            f"scores have shape {tuple(scores.shape)} and targets {tuple(targets.shape)}; expected (B, C) and (B,)"
        )
    if int(targets.min()) < 0 or int(targets.max()) >= scores.shape[1]:
        raise InputError(f"a target is no column among {scores.shape[1]} classes; expected 0 to {scores.shape[1] - 1}")
