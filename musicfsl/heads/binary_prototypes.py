"""Every label for itself: is a query nearer to its examples or to the others?"""

from __future__ import annotations

import torch
from torch import Tensor

from musicfsl.heads.base import Classes, HeadState
from musicfsl.heads.multilabel import MultiLabelHead, checked_support, means_of

__all__ = ["BinaryPrototypeHead"]


class BinaryPrototypeHead(MultiLabelHead):
    r"""Two prototypes a label, one of the support items with it and one of those without; queries take the nearer.

    The plain way to several labels, with which `LabelCombinationHead` has to be compared: a prototypical network with
    two classes for every label :math:`l`, whose logit is the difference of those of its two prototypes,

    .. math:: s_l(z) = s(z, c_l^+) - s(z, c_l^-) .

    The labels are decided independently, so that none or all may be present. Where all support items have a label,
    nothing tells against it: its logit is 0, and it is taken as present.

    Args:
        distance: ``"euclidean"`` (squared), ``"cosine"`` or ``"unsquared"``, as for `PrototypicalHead`.
        temperature: factor of the logits; for cosine it is where learning starts.
        learn_temperature: whether the factor is trained; None trains it for cosine only.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total, n_way)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `MultiLabelHead.adapt`; or ``distance`` is unknown.

    Example:
        >>> head = BinaryPrototypeHead("euclidean")
        >>> support_z = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]])
        >>> targets = torch.tensor([[1, 0], [1, 1], [0, 1]])
        >>> head(support_z, targets, torch.tensor([[4.0, 1.0]]))
        tensor([[ 4., 16.]])
    """

    name = "binary_prototypes"

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> HeadState:
        """Prototypes ``(..., 2 n_way, dim)``: first those with each label, then those without it."""
        present = checked_support(support_z, support_targets, classes).T  # (n_way, n_support_total)
        everywhere = present.all(dim=1, keepdim=True)
        return HeadState(means_of(torch.cat([present, ~present | everywhere]), support_z))

    def score(self, state: HeadState, query_z: Tensor) -> Tensor:
        with_label, without = self.similarities(state.prototypes, query_z).chunk(2, dim=-1)
        return with_label - without
