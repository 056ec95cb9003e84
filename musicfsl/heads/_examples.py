"""What heads share that keep the examples themselves."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from musicfsl.heads.base import Classes, check_finite, class_members

__all__ = ["ExampleState", "balanced_weights", "by_class", "examples_of"]


class ExampleState(NamedTuple):
    """A support set as it was given.

    Attributes:
        examples: ``(..., n_support_total, dim)``.
        members: int64 ``(n_way, n_support_total)``, 1 where an example belongs to a class.
    """

    examples: Tensor
    members: Tensor


def examples_of(support_z: Tensor, support_targets: Tensor, classes: Classes) -> ExampleState:
    """The checked support set.

    Raises:
        InputError: as `Head.adapt`.
    """
    members = class_members(support_z, support_targets, classes)
    check_finite(support_z)
    return ExampleState(support_z, members)


def by_class(similarities: Tensor, members: Tensor) -> Tensor:
    """Similarities ``(..., n_query_total, n_way, n_support_total)`` of queries to the examples of each class.

    Minus infinity stands where an example does not belong to a class.

    Args:
        similarities: ``(..., n_query_total, n_support_total)``.
        members: int64 ``(n_way, n_support_total)``.
    """
    return torch.where(members.bool(), similarities.unsqueeze(-2), -torch.inf)


def balanced_weights(members: Tensor) -> Tensor:
    r"""Weights of examples that let each class count the same, as scikit-learn's ``class_weight="balanced"``.

    An example of class :math:`k` weighs :math:`n / (K\, n_k)`, which is 1 where all classes have as many.

    Args:
        members: int64 ``(n_way, n_support_total)``.

    Returns:
        float32 ``(n_support_total,)``; they sum to ``n_support_total``.

    Example:
        >>> balanced_weights(torch.tensor([[1, 1, 1, 0], [0, 0, 0, 1]]))
        tensor([0.6667, 0.6667, 0.6667, 2.0000])
    """
    n_way, n_total = members.shape
    return (n_total / (n_way * members.sum(dim=1)).to(torch.float32)) @ members.to(torch.float32)
