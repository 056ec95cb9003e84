"""LC-Protonets: a prototype for every combination of labels that occurs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError
from musicfsl.heads.base import Classes, HeadState
from musicfsl.heads.multilabel import MultiLabelHead, check_multi_hot, checked_support, means_of
from musicfsl.heads.prototypical import Distance

__all__ = ["LabelCombinationHead"]


class LabelCombinationHead(MultiLabelHead):
    r"""A prototype for each combination of labels that occurs; queries take the labels of the nearest.

    A support item with labels {a, b} is an example of {a}, of {b} and of {a, b}: of every combination in the power
    set of its labels, the empty one left out. A combination's prototype is the mean of its examples, and a query is
    given all labels of the nearest prototype. Where two combinations have the same examples, and therefore the same
    prototype, the one with more labels is taken. So the number of prototypes is bounded by what occurs in the
    support set, and with one label an item this is the prototypical network.

    For ranking, the logit of a label :math:`l` is by how much the nearest combination with it is nearer than the
    nearest one without it,

    .. math:: s_l(z) = \max_{L \ni l} s(z, c_L) - \max_{L \not\ni l} s(z, c_L) ,

    which is 0 or more exactly where the nearest combination has the label. The loss of an episode is the paper's: the
    binary cross-entropy of :math:`s(z, c_L)` over all combinations :math:`L`, with target 1 where the query has all
    labels of :math:`L`. Support items without a label are examples of nothing. A query is always given a label.

    Args:
        distance: ``"cosine"`` (the paper), ``"euclidean"`` (squared) or ``"unsquared"``, as for `PrototypicalHead`. The
            loss suits cosine: distances have one sign, so that its sigmoid would never pass one half.
        temperature: factor of the logits; for cosine it is where learning starts (the paper's is 1).
        learn_temperature: whether the factor is trained (not in the paper); None trains it for cosine only.
        max_combinations: support sets with more combinations are refused; an item with 12 labels alone has 4095.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total, n_way)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `MultiLabelHead.adapt`; there is only one label, or there are too many combinations.

    Reference:
        C. Papaioannou, E. Benetos, A. Potamianos, LC-Protonets: multi-label few-shot learning for world music audio
        tagging, IEEE Open Journal of Signal Processing, 2025 (arXiv 2409.11264, 2024).

    Example:
        >>> head = LabelCombinationHead("euclidean")
        >>> support_z = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]])
        >>> targets = torch.tensor([[1, 0], [1, 1], [0, 1]])
        >>> state = head.adapt(support_z, targets, ["Violin", "Cello"])
        >>> head.combinations(state, ["Violin", "Cello"])
        [('Violin',), ('Cello',), ('Violin', 'Cello')]
        >>> logits = head.score(state, torch.tensor([[4.0, 0.5]]))
        >>> head.predict(logits)
        tensor([[True, True]])
    """

    name = "label_combinations"

    def __init__(
        self,
        distance: Distance = "cosine",
        temperature: float | None = None,
        learn_temperature: bool | None = None,
        max_combinations: int = 4096,
    ) -> None:
        super().__init__(distance, temperature, learn_temperature)
        if max_combinations < 2:
            raise InputError(f"max_combinations is {max_combinations}; expected 2 or more, one for each label at least")
        self.max_combinations = max_combinations

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "max_combinations": self.max_combinations}

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> HeadState:
        """Prototypes ``(..., n_prototypes, dim)`` and the combinations that they stand for (see `HeadState`).

        Combinations are sorted by their number of labels, then by the labels, so that the single labels come first.
        """
        present = checked_support(support_z, support_targets, classes)
        n_way = present.shape[1]
        if n_way < 2:
            raise InputError("there is only one label, which every query would be given; give two or more")
        labels = torch.tensor(self._occurring(present), dtype=torch.bool, device=present.device)  # (n_sets, n_way)
        shared = labels.to(torch.float32) @ present.to(torch.float32).T  # labels of each set that each item has
        members = shared == labels.sum(dim=1, keepdim=True)  # (n_sets, n_support_total)
        # Sets with the same examples share one prototype, lest rounding decide between them.
        distinct, prototype_of = torch.unique(members, dim=0, return_inverse=True)
        return HeadState(means_of(distinct, support_z), labels, prototype_of)

    def score_combinations(self, state: HeadState, query_z: Tensor) -> Tensor:
        """Logits ``(..., n_query_total, n_sets)`` of the combinations themselves."""
        _, prototype_of = _sets(state)
        return self.similarities(state.prototypes, query_z)[..., prototype_of]

    def score(self, state: HeadState, query_z: Tensor) -> Tensor:
        return _margins(self.score_combinations(state, query_z), _sets(state)[0])

    def combinations(self, state: HeadState, classes: Classes = None) -> list[tuple[str, ...]]:
        """The labels of each combination, in the order of `score_combinations`.

        Args:
            state: what `adapt` gave.
            classes: names of the labels; numbers from 0 stand for them where there are none.
        """
        labels, _ = _sets(state)
        names = [str(name) for name in (range(labels.shape[1]) if classes is None else classes)]
        return [tuple(name for name, there in zip(names, row, strict=True) if there) for row in labels.tolist()]

    def episode_loss(
        self,
        support_z: Tensor,
        support_targets: Tensor,
        query_z: Tensor,
        query_targets: Tensor,
        classes: Classes = None,
    ) -> tuple[Tensor, Tensor]:
        """The paper's loss of an episode, and the logits of the labels ``(..., n_query_total, n_way)``."""
        state = self.adapt(support_z, support_targets, classes)
        labels, _ = _sets(state)
        logits = self.score_combinations(state, query_z)
        check_multi_hot("query_targets", query_targets, (logits.shape[-2], labels.shape[1]))
        shared = query_targets.to(logits.dtype) @ labels.to(logits.dtype).T  # (n_query_total, n_sets)
        targets = (shared == labels.sum(dim=1)).to(logits.dtype)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, targets.expand_as(logits))
        return loss, _margins(logits, labels)

    def loss(self, logits: Tensor, query_targets: Tensor, classes: Classes = None) -> Tensor:
        """Refused: the loss is over combinations, which the logits of labels do not tell; see `episode_loss`."""
        raise InputError("the loss over label combinations cannot be told from the logits of labels; call episode_loss")

    def _occurring(self, present: Tensor) -> list[list[bool]]:
        """Every combination that some item has, as rows of ``n_way``."""
        n_way = present.shape[1]
        found: set[int] = set()
        rows = present.tolist()
        for mask in sorted({sum(1 << label for label, there in enumerate(row) if there) for row in rows}):
            alone = 2 ** mask.bit_count() - 1
            if alone > self.max_combinations:
                self._refuse(f"an item with {mask.bit_count()} labels alone has {alone}")
            found.update(_subsets(mask))
            if len(found) > self.max_combinations:
                self._refuse(f"up to {max(map(sum, rows))} labels an item")
        by_size = sorted(found, key=lambda mask: (mask.bit_count(), _labels(mask)))
        return [[bool(mask >> label & 1) for label in range(n_way)] for mask in by_size]

    def _refuse(self, why: str) -> None:
        raise InputError(
            f"the support set gives more than {self.max_combinations} label combinations ({why}); draw episodes with "
            "fewer labels, leave out items with very many, or raise max_combinations"
        )


def _subsets(mask: int) -> Iterator[int]:
    """All non-empty subsets of a set of bits."""
    subset = mask
    while subset:
        yield subset
        subset = (subset - 1) & mask


def _labels(mask: int) -> list[int]:
    return [label for label in range(mask.bit_length()) if mask >> label & 1]


def _sets(state: HeadState) -> tuple[Tensor, Tensor]:
    if state.labels is None or state.prototype_of is None:
        raise InputError("the state knows no label combinations; give the one that LabelCombinationHead.adapt returned")
    return state.labels, state.prototype_of


def _margins(logits: Tensor, labels: Tensor) -> Tensor:
    """For each label the best combination with it less the best one without it, ``(..., n_query_total, n_way)``."""
    margins = [logits[..., has].amax(-1) - logits[..., ~has].amax(-1) for has in labels.T]  # both sides occur
    return torch.stack(margins, dim=-1)
