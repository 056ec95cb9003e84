"""Hierarchical prototypical networks: prototypes of prototypes, and a loss at every height of a tree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.heads.base import Classes, HeadState, mean_cross_entropy, target_positions
from musicfsl.heads.prototypical import Distance, PrototypicalHead
from musicfsl.taxonomy import Taxonomy

__all__ = ["HierarchicalPrototypicalHead", "Level"]


class Level(NamedTuple):
    """The nodes at one height of an episode's tree.

    Attributes:
        nodes: their names; at height 0 the classes.
        group: int64 ``(n_way,)``, which of the nodes each class lies below.
        means: float64 ``(n_nodes, n_way)``, what each class's prototype counts in the nodes' prototypes; rows sum to 1.
    """

    nodes: list[str]
    group: NDArray[np.int64]
    means: NDArray[np.float64]


class HierarchicalPrototypicalHead(PrototypicalHead):
    r"""A prototypical head that also learns to tell families apart.

    The prototype of a node is the mean of its children's prototypes; those of the classes are means of embeddings, as
    in the plain head. At every height :math:`h` of the tree a query has to find its own ancestor among the prototypes
    at that height, and the loss of an episode is

    .. math:: L = \sum_{h=0}^{H} e^{-\alpha h} L_h ,

    with the mean cross-entropy :math:`L_h` at height :math:`h`; the classes themselves are at height 0. So taking a
    viola for a violin costs less than taking it for a trumpet. Queries are recognised by the prototypes of the classes,
    as in the plain head, which needs neither the tree nor names; only `episode_loss` and the methods for levels do.

    The tree is the taxonomy shortened to :math:`H` ranks above the classes, those next to the root, and evened out
    (`Taxonomy.even`). In an episode it holds only the episode's classes. A class that stands there twice, as two
    virtual instruments (`musicfsl.augment`), makes two children of one node.

    Args:
        taxonomy: a `Taxonomy`, the name of a shipped one, a YAML file, or nested mappings.
        height: :math:`H`, ranks above the classes that take part in the loss; 0 is the plain head.
        alpha: :math:`\alpha`, how quickly the weight of a loss falls with its height; 0 weighs all alike.
        normalize_weights: divide the weights by their sum, so that the loss keeps the size of one cross-entropy.
        weights: one weight for each height, from 0 up, instead of those that ``alpha`` gives.
        parents: whose prototypes the prototype of a node is the mean of: of its "children" (the paper), or of all
            "classes" below it, which differs where children have unequally many classes.
        distance: as for `PrototypicalHead`.
        temperature: as for `PrototypicalHead`.
        learn_temperature: as for `PrototypicalHead`.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; the taxonomy has fewer ranks than ``height``, or a setting is out of range.

    Reference:
        H. Flores Garcia, A. Aguilar, E. Manilow, B. Pardo, Leveraging hierarchical structures for few-shot musical
        instrument recognition, ISMIR 2021. The code published with it computes ``distance="unsquared"`` and
        ``parents="classes"``, with ``alpha=0.75`` (and evens out otherwise where classes lie less deep than others).

    Example:
        >>> head = HierarchicalPrototypicalHead({"strings": ["Violin", "Harp"], "winds": ["Oboe"]}, height=1)
        >>> support_z, targets = torch.tensor([[0.0, 0.0], [0.0, 2.0], [4.0, 1.0]]), torch.tensor([0, 1, 2])
        >>> classes = ["Violin", "Harp", "Oboe"]
        >>> query_z = torch.tensor([[1.0, 0.0]])
        >>> head(support_z, targets, query_z, classes)
        tensor([[ -1.0000,  -5.0000, -10.0000]])
        >>> head.score_levels(head.adapt(support_z, targets), query_z, head.levels(classes))[1]
        tensor([[ -2., -10.]])
    """

    name = "hierarchical_prototypical"

    def __init__(
        self,
        taxonomy: Taxonomy | str | dict[str, Any],
        height: int = 1,
        alpha: float = 0.75,
        normalize_weights: bool = False,
        weights: list[float] | None = None,
        parents: Literal["children", "classes"] = "children",
        distance: Distance = "euclidean",
        temperature: float | None = None,
        learn_temperature: bool | None = None,
    ) -> None:
        super().__init__(distance, temperature, learn_temperature)
        self.taxonomy = Taxonomy.load(taxonomy)
        ranks = self.taxonomy.depth - 1
        if not 0 <= height <= ranks:
            raise InputError(
                f"height is {height}, but {self.taxonomy.name or 'the taxonomy'} has {ranks} ranks of nodes between "
                f"the root and its classes; expected 0 to {ranks}"
            )
        if parents not in ("children", "classes"):
            raise InputError(f"parents is '{parents}'; expected 'children' or 'classes'")
        self.height, self.alpha, self.parents = height, alpha, parents
        self.normalize_weights = normalize_weights
        self.weights = None if weights is None else [float(weight) for weight in weights]
        self.level_weights = _level_weights(height, alpha, normalize_weights, self.weights)
        self._tree = self.taxonomy.even(height + 1)
        leaves = self._tree.classes
        above = [self._tree.level(h, leaves) for h in range(1, height + 1)]
        self._nodes = [sorted({*names}) for names in above]  # by height
        numbers = [{name: i for i, name in enumerate(names)} for names in self._nodes]
        #: For each class the numbers of the nodes above it, from its parent up.
        self._line = {
            leaf: [number[names[i]] for number, names in zip(numbers, above, strict=True)]
            for i, leaf in enumerate(leaves)
        }

    def settings(self) -> dict[str, Any]:
        return {
            "taxonomy": self.taxonomy.to_dict(),
            "height": self.height,
            "alpha": self.alpha,
            "normalize_weights": self.normalize_weights,
            "weights": self.weights,
            "parents": self.parents,
            **super().settings(),
        }

    def levels(self, classes: Classes) -> list[Level]:
        """The tree of an episode, from its classes (height 0) up to ``height``.

        Args:
            classes: names of the episode's classes; one may stand there more than once.

        Raises:
            InputError: a class is not in the taxonomy, or the classes are no names.

        Example:
            >>> head = HierarchicalPrototypicalHead("families")
            >>> _, families = head.levels(["oboe", "violin", "cello"])
            >>> families.nodes, families.group, families.means
            (['strings', 'woodwinds'], array([1, 0, 0]), array([[0. , 0.5, 0.5],
                   [1. , 0. , 0. ]]))
        """
        names = _checked_names(classes)
        lines = np.array([self._line[self._tree.leaf(name)] for name in names])  # (n_way, height)
        found = [Level(names, np.arange(len(names)), np.eye(len(names)))]
        for h in range(self.height):
            below = found[-1]
            nodes, group = np.unique(lines[:, h], return_inverse=True)
            group = group.reshape(-1).astype(np.int64)
            if self.parents == "children":
                children = np.zeros((len(nodes), len(below.nodes)))
                children[group, below.group] = 1
                means = children / children.sum(axis=1, keepdims=True) @ below.means
            else:
                classes_below = group == np.arange(len(nodes))[:, None]
                means = classes_below / classes_below.sum(axis=1, keepdims=True)
            found.append(Level([self._nodes[h][node] for node in nodes], group, means))
        return found

    def score_levels(self, state: HeadState, query_z: Tensor, levels: Sequence[Level]) -> list[Tensor]:
        """Logits of queries at every height.

        Args:
            state: of `adapt`.
            query_z: ``(..., n_query_total, dim)``.
            levels: of the classes that were given to `adapt`.

        Returns:
            for each level ``(..., n_query_total, n_nodes)``; the first is what `score` gives.
        """
        logits = [self.score(state, query_z)]
        if len(levels) > 1:  # the nodes of all heights at once, which is quicker than height by height
            means = np.concatenate([level.means for level in levels[1:]])
            weights = torch.as_tensor(means, dtype=state.prototypes.dtype, device=state.prototypes.device)
            above = self.score(HeadState(weights @ state.prototypes), query_z)
            logits += torch.split(above, [len(level.nodes) for level in levels[1:]], dim=-1)
        return logits

    def level_losses(self, logits: Sequence[Tensor], query_targets: Tensor, levels: Sequence[Level]) -> Tensor:
        """Mean cross-entropy at every height, not weighted.

        Args:
            logits: of `score_levels`.
            query_targets: int64 ``(n_query_total,)``, positions among the classes.
            levels: as given to `score_levels`.

        Returns:
            ``(height + 1,)``.
        """
        positions = target_positions(query_targets, logits[0].shape[-1], None)
        losses = [mean_cross_entropy(logits[0], positions)]
        for level, of_level in zip(levels[1:], logits[1:], strict=True):
            losses.append(
                mean_cross_entropy(of_level, torch.as_tensor(level.group, device=positions.device)[positions])
            )
        return torch.stack(losses)

    def loss(self, logits: Tensor, query_targets: Tensor, classes: Classes = None) -> Tensor:
        """The plain head's loss, for height 0 only: other heights need more than the logits of the classes.

        Raises:
            InputError: ``height`` is above 0.
        """
        if self.height > 0:
            raise InputError(
                f"the loss of {self.height + 1} levels cannot be told from the logits of one; call episode_loss, or "
                "level_losses with what score_levels gives"
            )
        return super().loss(logits, query_targets, classes) * self.level_weights[0]

    def episode_loss(
        self,
        support_z: Tensor,
        support_targets: Tensor,
        query_z: Tensor,
        query_targets: Tensor,
        classes: Classes = None,
    ) -> tuple[Tensor, Tensor]:
        if self.height == 0:
            return super().episode_loss(support_z, support_targets, query_z, query_targets, classes)
        levels = self.levels(classes)
        state = self.adapt(support_z, support_targets, classes)
        logits = self.score_levels(state, query_z, levels)
        losses = self.level_losses(logits, query_targets, levels)
        weights = torch.as_tensor(self.level_weights, dtype=losses.dtype, device=losses.device)
        return (weights * losses).sum(), logits[0]


def _checked_names(classes: Classes) -> list[str]:
    if classes is None or isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        given = "None" if classes is None else repr(classes)[:60]
        raise InputError(
            f"classes are {given}, but a taxonomy knows classes by their names; give the names of the episode's classes"
        )
    return [str(name) for name in classes]


def _level_weights(height: int, alpha: float, normalize: bool, weights: Sequence[float] | None) -> tuple[float, ...]:
    if not math.isfinite(alpha):
        raise InputError(f"alpha is {alpha}; expected a finite number")
    found = [math.exp(-alpha * h) for h in range(height + 1)] if weights is None else list(weights)
    if len(found) != height + 1:
        raise InputError(f"there are {len(found)} weights for height {height}; give one for each height from 0 up")
    if not all(math.isfinite(weight) and weight >= 0 for weight in found) or sum(found) == 0:
        raise InputError(f"weights are {found}; expected numbers of 0 or more, not all 0")
    total = sum(found) if normalize else 1.0
    return tuple(weight / total for weight in found)
