"""The contract of heads: from a support set to scores for queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError

__all__ = [
    "Classes",
    "Head",
    "HeadState",
    "State",
    "check_finite",
    "check_queries",
    "class_means",
    "class_members",
    "mean_cross_entropy",
    "mean_prototypes",
    "target_positions",
]

#: What the columns of the logits stand for: names (targets are then positions in the list), integer labels
#: (targets are then those labels, in any order and with gaps), or None for targets ``0 .. n_way - 1``.
Classes = Sequence[str] | Sequence[int] | None

#: What `Head.adapt` gives and `Head.score` of the same head takes: a NamedTuple of tensors (or None). Each head names
#: its own kind, `HeadState` where it keeps prototypes; nobody else looks inside.
State: TypeAlias = Any


class HeadState(NamedTuple):
    """What a head of prototypes learned from a support set; tensors only.

    Attributes:
        prototypes: ``(..., n_prototypes, dim)``; where the fields below are None, one for each class.
        labels: bool ``(n_sets, n_way)``, the sets of labels that queries may be given; None where classes exclude
            each other, and where each label is decided for itself.
        prototype_of: int64 ``(n_sets,)``, which of the prototypes each of these sets has.
    """

    prototypes: Tensor
    labels: Tensor | None = None
    prototype_of: Tensor | None = None


class Head(nn.Module, ABC):
    """Scores queries against classes that are known from a few examples.

    A head stores nothing of an episode: `adapt` turns the support set into a state, `score` uses it.
    Both take any number of leading axes (several episodes of one shape at once), with the same targets for each.

    Attributes:
        name: under which `musicfsl.heads.build_head` finds the class.
        is_transductive: True where `score` looks at all queries of an episode together, so that the answer to one
            depends on the others; the head's documentation says what it assumes of them.
        needs_training: True where the head has weights that mean nothing before they are trained.
    """

    name: str
    is_transductive: ClassVar[bool] = False
    needs_training: ClassVar[bool] = False

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The keyword arguments that build this head again, as JSON can hold them."""

    @abstractmethod
    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> State:
        """Learns from the support set.

        Args:
            support_z: ``(..., n_support_total, dim)``, float.
            support_targets: int64 ``(n_support_total,)``; the number of examples may differ by class.
            classes: what the columns of the logits stand for.

        Returns:
            what `score` needs, of a kind that the head chooses.

        Raises:
            InputError: a class has no example, a target belongs to no class, shapes do not fit, or an
                embedding is not finite.
        """

    @abstractmethod
    def score(self, state: State, query_z: Tensor) -> Tensor:
        """Logits ``(..., n_query_total, n_way)`` for queries ``(..., n_query_total, dim)``."""

    def forward(self, support_z: Tensor, support_targets: Tensor, query_z: Tensor, classes: Classes = None) -> Tensor:
        """`adapt`, then `score`."""
        return self.score(self.adapt(support_z, support_targets, classes), query_z)

    def loss(self, logits: Tensor, query_targets: Tensor, classes: Classes = None) -> Tensor:
        """Mean cross-entropy of the logits.

        Args:
            logits: ``(..., n_query_total, n_way)``.
            query_targets: int64 ``(n_query_total,)``, in the terms of ``classes``.
            classes: as given to `adapt`.
        """
        return mean_cross_entropy(logits, target_positions(query_targets, logits.shape[-1], classes))

    def episode_loss(
        self,
        support_z: Tensor,
        support_targets: Tensor,
        query_z: Tensor,
        query_targets: Tensor,
        classes: Classes = None,
    ) -> tuple[Tensor, Tensor]:
        """What a training step needs: the loss of an episode, and the logits of its queries.

        `adapt`, `score` and `loss` in turn. A head whose loss looks at more than the logits overrides this.

        Args:
            support_z: as for `adapt`.
            support_targets: as for `adapt`.
            query_z: as for `score`.
            query_targets: as for `loss`.
            classes: what the columns of the logits stand for.

        Returns:
            the loss, a number; and the logits ``(..., n_query_total, n_way)``.
        """
        logits = self(support_z, support_targets, query_z, classes)
        return self.loss(logits, query_targets, classes), logits


def mean_cross_entropy(logits: Tensor, positions: Tensor) -> Tensor:
    """Cross-entropy over all queries and leading axes.

    Args:
        logits: ``(..., n_query_total, n_way)``.
        positions: int64 ``(n_query_total,)``, the right columns, the same for each leading axis.
    """
    return nn.functional.cross_entropy(logits.flatten(0, -2), positions.expand(logits.shape[:-1]).flatten())


def class_means(support_z: Tensor, support_targets: Tensor, classes: Classes) -> Tensor:
    """Mean embedding of each class's examples, ``(..., n_way, dim)``.

    Args:
        support_z: as for `Head.adapt`, like the following two.
        support_targets: int64 ``(n_support_total,)``.
        classes: what the rows stand for.

    Raises:
        InputError: as `Head.adapt`.

    Example:
        >>> class_means(torch.tensor([[0.0, 1.0], [2.0, 1.0], [5.0, 5.0]]), torch.tensor([0, 0, 1]), None)
        tensor([[1., 1.],
                [5., 5.]])
    """
    return mean_prototypes(class_members(support_z, support_targets, classes), support_z)


def class_members(support_z: Tensor, support_targets: Tensor, classes: Classes) -> Tensor:
    """Which class each support item is an example of: int64 ``(n_way, n_support_total)`` of 0 and 1.

    Args:
        support_z: as for `Head.adapt`, like the following two; only its shape counts.
        support_targets: int64 ``(n_support_total,)``.
        classes: what the rows stand for.

    Raises:
        InputError: as `Head.adapt`, but for values that are not finite, which `mean_prototypes` and `check_finite`
            find.

    Example:
        >>> class_members(torch.zeros(3, 8), torch.tensor([0, 0, 1]), ["oboe", "oud"])
        tensor([[1, 1, 0],
                [0, 0, 1]])
    """
    if support_z.dim() < 2 or support_targets.dim() != 1 or support_z.shape[-2] != len(support_targets):
        raise InputError(
            f"support_z has shape {tuple(support_z.shape)} and support_targets {tuple(support_targets.shape)}; "
            "expected (..., n_support_total, dim) and (n_support_total,)"
        )
    if len(support_targets) == 0:
        raise InputError("the support set is empty; give at least one example a class")
    n_way = int(support_targets.max()) + 1 if classes is None else len(classes)
    positions = target_positions(support_targets, n_way, classes)
    members = nn.functional.one_hot(positions, n_way).T  # (n_way, n_support_total)
    counts = members.sum(dim=1)
    if (counts == 0).any():
        empty = int(torch.nonzero(counts == 0)[0, 0])
        name = empty if classes is None else classes[empty]
        raise InputError(f"class '{name}' has no example in the support set; give at least one, or leave it out")
    return members


def mean_prototypes(members: Tensor, support_z: Tensor) -> Tensor:
    """Mean embeddings ``(..., n_sets, dim)`` of sets of support items.

    A matrix product takes any number of examples a set and of stacked episodes, and its gradient is
    the same on every run and device.

    Args:
        members: int64 ``(n_sets, n_support_total)``, 1 where an item belongs to a set; no set is empty.
        support_z: ``(..., n_support_total, dim)``.

    Raises:
        InputError: an embedding is not finite.
    """
    means = (members / members.sum(dim=1, keepdim=True)).to(support_z.dtype) @ support_z
    check_finite(means)  # what is wrong with an item is wrong with a mean, and there are fewer of these
    return means


def check_finite(support_z: Tensor) -> None:
    """Raises an InputError where an embedding of the support set, or a mean of some, is not finite."""
    # A single NaN or infinity reaches the sum, and adding up is quicker than looking at each.
    if not torch.isfinite(support_z.sum()):
        raise InputError("support_z holds NaN or infinite values; check the recordings and the encoder")


def check_queries(query_z: Tensor, dim: int) -> None:
    """Raises an InputError where queries are not ``(..., n_query_total, dim)``, of the support set's size."""
    if query_z.dim() < 2 or query_z.shape[-1] != dim:
        raise InputError(
            f"query_z has shape {tuple(query_z.shape)}; expected (..., n_query_total, {dim}), "
            "the embedding size of the support set"
        )


def target_positions(targets: Tensor, n_way: int, classes: Classes) -> Tensor:
    """Targets as column numbers of the logits.

    Example:
        >>> target_positions(torch.tensor([7, 2, 7]), 2, classes=[2, 7])
        tensor([1, 0, 1])
    """
    if classes is not None and len(classes) != n_way:
        raise InputError(
            f"{len(classes)} classes are given for {n_way} columns of logits; give one name or label a column"
        )
    if classes is None or isinstance(classes[0], str):
        if len(targets) and not (int(targets.min()) >= 0 and int(targets.max()) < n_way):
            wrong = int(targets.min()) if int(targets.min()) < 0 else int(targets.max())
            raise InputError(f"target {wrong} is no position among {n_way} classes; expected 0 to {n_way - 1}")
        return targets
    labels = torch.tensor([int(label) for label in classes], device=targets.device)
    ascending, order = torch.sort(labels)
    if (ascending[1:] == ascending[:-1]).any():
        raise InputError(f"the classes {list(classes)} hold a label twice; give every label once")
    at = torch.searchsorted(ascending, targets).clamp(max=n_way - 1)
    unknown = ascending[at] != targets
    if unknown.any():
        raise InputError(f"target {int(targets[unknown][0])} is not among the classes {list(classes)}")
    return order[at]
