"""Losses of multi-label recognition: every class of every item is a question of its own, answered with yes or no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from musicfsl.errors import InputError, did_you_mean

__all__ = [
    "LOSSES",
    "MultiLabelLoss",
    "asymmetric_loss",
    "balanced_class_weights",
    "binary_cross_entropy",
    "focal_loss",
    "smoothed_labels",
]


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    r"""Mean binary cross-entropy :math:`-y \log p - (1 - y) \log (1 - p)` over items and classes.

    Args:
        logits: float ``(B, C)``.
        targets: ``(B, C)``, 0 and 1, or shares between them where items were mixed.
        label_smoothing: see `smoothed_labels`.
        class_weights: float ``(C,)``; each multiplies all terms of its class, those of items without it included, so
            that probabilities stay those of the data.

    Returns:
        a scalar.

    Raises:
        InputError: shapes do not fit, or the smoothing is out of range.

    Example:
        >>> binary_cross_entropy(torch.zeros(1, 2), torch.tensor([[1, 0]]))
        tensor(0.6931)
    """
    y = smoothed_labels(_checked(logits, targets), label_smoothing)
    return _mean(binary_cross_entropy_with_logits(logits, y, reduction="none"), class_weights)


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    *,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    r"""Focal loss: binary cross-entropy in which easy cells count little.

    With :math:`p_t` the probability of the right answer, a cell costs
    :math:`-\alpha_t (1 - p_t)^\gamma \log p_t`, where :math:`\alpha_t` is :math:`\alpha` for present classes and
    :math:`1 - \alpha` for absent ones. The mean is over all cells.

    Args:
        logits: float ``(B, C)``.
        targets: ``(B, C)``, 0 and 1; a share between them takes so much of either cost.
        gamma: 0 or more; 0 is plain cross-entropy.
        alpha: weight of present classes, 0 to 1; None weighs both by 1.
        label_smoothing: see `smoothed_labels`.
        class_weights: as for `binary_cross_entropy`.

    Returns:
        a scalar.

    Raises:
        InputError: shapes do not fit, or a number is out of range.

    Reference:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, Focal loss for dense object detection, ICCV 2017, eq. 5.

    Example:
        >>> easy, hard = torch.tensor([[4.0]]), torch.tensor([[-4.0]])
        >>> bool(focal_loss(hard, torch.ones(1, 1)) > 10000 * focal_loss(easy, torch.ones(1, 1)))
        True
    """
    if gamma < 0 or (alpha is not None and not 0 <= alpha <= 1):
        raise InputError(f"gamma is {gamma} and alpha {alpha}; expected 0 or more, and 0 to 1 or None")
    y = smoothed_labels(_checked(logits, targets), label_smoothing)
    present, absent = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    if_present = -present * _power(torch.sigmoid(-logits), gamma) * logsigmoid(logits)
    if_absent = -absent * _power(torch.sigmoid(logits), gamma) * logsigmoid(-logits)
    return _mean(y * if_present + (1 - y) * if_absent, class_weights)


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
    *,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    r"""Asymmetric loss: among absent classes, of which there are many more, easy cells count little.

    A present class costs :math:`-(1 - p)^{\gamma_+} \log p`, an absent one
    :math:`-p_m^{\gamma_-} \log (1 - p_m)` with :math:`p_m = \max(p - m, 0)`, so that absent classes that are given less
    than the margin :math:`m` cost nothing. The mean is over all cells.

    Args:
        logits: float ``(B, C)``.
        targets: ``(B, C)``, 0 and 1; a share between them takes so much of either cost.
        gamma_positive: focusing of present classes, 0 or more.
        gamma_negative: focusing of absent classes, 0 or more.
        margin: 0 to below 1.
        label_smoothing: see `smoothed_labels`.
        class_weights: as for `binary_cross_entropy`.

    Returns:
        a scalar.

    Raises:
        InputError: shapes do not fit, or a number is out of range.

    Reference:
        T. Ridnik et al., Asymmetric loss for multi-label classification, ICCV 2021, eq. 7.

    Example:
        >>> asymmetric_loss(torch.tensor([[-4.0]]), torch.zeros(1, 1)).item()  # p is 0.018
        0.0
    """
    if gamma_positive < 0 or gamma_negative < 0 or not 0 <= margin < 1:
        raise InputError(
            f"gamma_positive is {gamma_positive}, gamma_negative {gamma_negative} and margin {margin}; expected 0 or "
            "more, 0 or more, and 0 to below 1"
        )
    y = smoothed_labels(_checked(logits, targets), label_smoothing)
    q = torch.sigmoid(-logits)  # 1 - p, exact also where p is nearly 1
    if_present = -_power(q, gamma_positive) * logsigmoid(logits)
    # Without a margin the logarithm of q would leave the range of float32 long before the logarithm of a sigmoid does.
    log_absent = logsigmoid(-logits) if margin == 0 else torch.log((q + margin).clamp(max=1))
    shifted = (torch.sigmoid(logits) - margin).clamp(min=0)
    if_absent = -_power(shifted, gamma_negative) * log_absent
    return _mean(y * if_present + (1 - y) * if_absent, class_weights)


#: Name -> function of logits and targets ``(B, C)``.
LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": binary_cross_entropy,
    "focal": focal_loss,
    "asymmetric": asymmetric_loss,
}


class MultiLabelLoss(nn.Module):
    """A multi-label loss by its name, with its settings.

    Args:
        name: one of `LOSSES`.
        label_smoothing: see `smoothed_labels`.
        class_weights: one number a class; None weighs all alike.
        settings: further keyword arguments of the loss, such as ``gamma`` of the focal loss.

    Shape:
        - logits and targets: ``(B, C)``
        - output: a scalar

    Raises:
        InputError: the name or a setting is unknown, or a number is out of range.

    Example:
        >>> MultiLabelLoss("focal", gamma=1.0)(torch.zeros(4, 11), torch.zeros(4, 11))
        tensor(0.2599)
    """

    class_weights: Tensor | None

    def __init__(
        self,
        name: str = "bce",
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | Tensor | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if name not in LOSSES:
            raise InputError(f"there is no loss '{name}'.{did_you_mean(name, LOSSES)} Known: {', '.join(LOSSES)}")
        self.name, self.label_smoothing, self.settings = name, label_smoothing, dict(settings)
        weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
        if weights is not None and (weights.dim() != 1 or not bool((torch.isfinite(weights) & (weights >= 0)).all())):
            raise InputError(
                "class_weights hold a negative or infinite number, or have a wrong shape; give one a class"
            )
        # Follows the module to its device; what it says comes from the data, so it is no part of the weights.
        self.register_buffer("class_weights", weights, persistent=False)
        n_classes = 1 if weights is None else len(weights)
        try:
            self(torch.zeros(1, n_classes), torch.zeros(1, n_classes))  # an unknown setting is told now
        except TypeError as error:
            raise InputError(f"the loss '{name}' does not take these settings: {error}") from None

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return LOSSES[self.name](
            logits, targets, label_smoothing=self.label_smoothing, class_weights=self.class_weights, **self.settings
        )

    def extra_repr(self) -> str:
        return ", ".join([self.name, *(f"{name}={value}" for name, value in self.settings.items())])


def smoothed_labels(targets: Tensor, smoothing: float) -> Tensor:
    r"""Labels drawn towards one half: :math:`y (1 - \epsilon) + \epsilon / 2`.

    Reference:
        C. Szegedy et al., Rethinking the Inception architecture for computer vision, CVPR 2016, section 7, with the two
        answers of each class as its distribution.

    Example:
        >>> smoothed_labels(torch.tensor([0.0, 1.0]), 0.1)
        tensor([0.0500, 0.9500])
    """
    if not 0 <= smoothing < 1:
        raise InputError(f"label_smoothing is {smoothing}; expected 0 to below 1")
    return targets * (1 - smoothing) + smoothing / 2 if smoothing else targets


def balanced_class_weights(targets: Tensor, class_names: Sequence[str]) -> Tensor:
    """Weights inverse to how many items have a class, scaled so that the mean weight of a label is 1.

    Args:
        targets: ``(N, C)``, 0 and 1, of the training items.
        class_names: of the columns, for messages.

    Returns:
        float32 ``(C,)``.

    Raises:
        InputError: a class has no item, and so no such weight.

    Example:
        >>> balanced_class_weights(torch.tensor([[1, 0], [1, 0], [1, 0], [0, 1]]), ["piano", "flute"])
        tensor([0.6667, 2.0000])
    """
    counts = targets.double().sum(dim=0)
    if targets.dim() != 2 or len(counts) != len(class_names):
        raise InputError(f"targets have shape {tuple(targets.shape)}; expected (N, {len(class_names)})")
    if bool((counts == 0).any()):
        empty = [name for name, count in zip(class_names, counts.tolist(), strict=True) if count == 0]
        raise InputError(
            f"no training item has the class '{empty[0]}', so it has no balanced weight; add recordings, or leave "
            "the class out"
        )
    return (counts.sum() / (len(counts) * counts)).float()


def _checked(logits: Tensor, targets: Tensor) -> Tensor:
    """Targets as numbers of the logits' kind."""
    if logits.dim() != 2 or logits.shape != targets.shape:
        raise InputError(
            f"logits have shape {tuple(logits.shape)} and targets {tuple(targets.shape)}; expected (B, C) of both"
        )
    return targets.to(logits.dtype)


def _power(x: Tensor, exponent: float) -> Tensor:
    """``x ** exponent`` of probabilities; without an exponent there is no gradient to become infinite at 0."""
    if exponent == 0:
        return torch.ones_like(x)
    # Below 1 the slope at 0 is infinite, and infinity times the 0 that follows would be no number.
    return x**exponent if exponent >= 1 else x.clamp(min=torch.finfo(x.dtype).tiny) ** exponent


def _mean(cells: Tensor, class_weights: Tensor | None) -> Tensor:
    """Mean over items and classes of costs ``(B, C)``."""
    if class_weights is None:
        return cells.mean()
    if class_weights.shape != cells.shape[1:]:
        raise InputError(f"class_weights have shape {tuple(class_weights.shape)}; expected ({cells.shape[1]},)")
    return (cells * class_weights.to(cells)).mean()
