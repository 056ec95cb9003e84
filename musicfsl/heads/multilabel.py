"""What heads for several labels at once share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError
from musicfsl.heads.base import Classes, Head, HeadState, mean_prototypes
from musicfsl.heads.prototypical import Distance, PrototypicalHead

__all__ = ["MultiLabelHead"]


class MultiLabelHead(Head):
    """A head whose support and queries may have several labels each, or none.

    The contract is that of `Head` with multi-hot targets: ``support_targets`` is ``(n_support_total, n_way)`` of 0
    and 1, the same for every leading axis of the embeddings, and ``query_targets`` is ``(n_query_total, n_way)``. A
    logit of 0 or more means that the label is present (`predict`); the larger, the surer, so that queries can be
    ranked. ``classes`` are names of the columns, for messages.

    Args:
        distance: how far an embedding is from a prototype, as for `PrototypicalHead`.
        temperature: as for `PrototypicalHead`.
        learn_temperature: as for `PrototypicalHead`.
    """

    def __init__(
        self,
        distance: Distance = "cosine",
        temperature: float | None = None,
        learn_temperature: bool | None = None,
    ) -> None:
        super().__init__()
        self.prototypical = PrototypicalHead(distance, temperature, learn_temperature)

    def settings(self) -> dict[str, Any]:
        return self.prototypical.settings()

    @abstractmethod
    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> HeadState:
        """Learns from the support set.

        Args:
            support_z: ``(..., n_support_total, dim)``, float.
            support_targets: ``(n_support_total, n_way)`` of 0 and 1; rows may have several ones, or none.
            classes: names of the columns, for messages.

        Raises:
            InputError: a label has no example, targets are not multi-hot, shapes do not fit, or an
                embedding is not finite.
        """

    def predict(self, logits: Tensor) -> Tensor:
        """Which labels are present: bool, of the shape of the logits."""
        return logits >= 0

    def loss(self, logits: Tensor, query_targets: Tensor, classes: Classes = None) -> Tensor:
        """Mean binary cross-entropy of the logits.

        Args:
            logits: ``(..., n_query_total, n_way)``.
            query_targets: ``(n_query_total, n_way)`` of 0 and 1.
            classes: as given to `adapt`.
        """
        check_multi_hot("query_targets", query_targets, (logits.shape[-2], logits.shape[-1]))
        return nn.functional.binary_cross_entropy_with_logits(logits, query_targets.to(logits.dtype).expand_as(logits))

    def similarities(self, prototypes: Tensor, query_z: Tensor) -> Tensor:
        """Logits ``(..., n_query_total, n_prototypes)`` by distance to prototypes ``(..., n_prototypes, dim)``."""
        return self.prototypical.score(HeadState(prototypes), query_z)


def checked_support(support_z: Tensor, support_targets: Tensor, classes: Classes) -> Tensor:
    """Multi-hot targets as bool ``(n_support_total, n_way)``, every column of which has an example.

    Raises:
        InputError: as `MultiLabelHead.adapt`.
    """
    n_items = support_z.shape[-2] if support_z.dim() >= 2 else -1
    n_way = None if classes is None else len(classes)
    check_multi_hot("support_targets", support_targets, (n_items, n_way))
    present = support_targets.bool()
    missing = ~present.any(dim=0)
    if missing.any():
        first = int(torch.nonzero(missing)[0, 0])
        name = first if classes is None else classes[first]
        raise InputError(f"label '{name}' has no example in the support set; give at least one, or leave it out")
    return present


def means_of(members: Tensor, support_z: Tensor) -> Tensor:
    """Mean embeddings ``(..., n_sets, dim)`` of sets of support items, bool ``(n_sets, n_support_total)``."""
    return mean_prototypes(members.to(torch.int64), support_z)


def check_multi_hot(name: str, targets: Tensor, shape: tuple[int, int | None]) -> None:
    n_items, n_way = shape
    wanted = f"({'n_support_total' if n_items < 0 else n_items}, {'n_way' if n_way is None else n_way})"
    if targets.dim() != 2 or len(targets) != n_items or (n_way is not None and targets.shape[1] != n_way):
        raise InputError(
            f"{name} have shape {tuple(targets.shape)}; expected multi-hot {wanted}, a row of 0 and 1 an item"
            + (" (torch.nn.functional.one_hot makes it of class numbers)" if targets.dim() == 1 else "")
        )
    if targets.numel() == 0:
        raise InputError(f"{name} have shape {tuple(targets.shape)}; give at least one item and one label")
    if not ((targets == 0) | (targets == 1)).all():
        raise InputError(
            f"{name} hold other values than 0 and 1; expected multi-hot targets, 1 where a label is present"
        )
