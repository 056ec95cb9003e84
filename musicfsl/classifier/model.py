"""What is learned from the examples once they are embeddings: a head, how sure it is, and what fits no class."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from musicfsl._scaling import SCALE_FLOOR
from musicfsl.embedding import Standardizer
from musicfsl.errors import InputError
from musicfsl.heads.base import Head
from musicfsl.support import Support, calibrated_temperature, leave_one_out

__all__ = ["ExampleModel", "calibrated_distance"]

# Examples that are left out in turn, at most: a head is fitted anew for each.
_MAX_ROUNDS = 200


class ExampleModel:
    r"""A head that knows the examples.

    Probabilities are :math:`\mathrm{softmax}(s / T)` of its logits :math:`s`, with a temperature :math:`T` that is
    fitted by leaving examples out (`calibrated_temperature`). A transductive head is left at :math:`T = 1`, for a
    single example left out is no set of queries.

    How far a sound is from a class is 1 minus the cosine of the angle between its embedding and that of the nearest
    example of the class; see `calibrated_distance` for what is too far.

    Args:
        head: any head of classes.
        support: one row of ``z`` for each example.
        standardize: bring each dimension to mean 0 and deviation 1 over the examples first.
        temperature: None fits it.
        threshold: the distance beyond which a sound is of no class; None calibrates it, infinity rejects nothing.
        false_rejections: see `calibrated_distance`.

    Attributes:
        temperature: as given or fitted.
        threshold: as given or calibrated.

    Example:
        >>> from musicfsl import PrototypicalHead
        >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.2, 0.9]])
        >>> support = Support(z, torch.arange(4), torch.tensor([0, 0, 1, 1]), ["oboe", "oud"], 1.0)
        >>> model = ExampleModel(PrototypicalHead(), support, standardize=False)
        >>> columns = model.probabilities(torch.tensor([[1.0, 0.05], [-1.0, -1.0]])).argmax(dim=-1)
        >>> similarities = model.similarities(torch.tensor([[1.0, 0.05], [-1.0, -1.0]]))
        >>> (model.distances(similarities, columns) > model.threshold).tolist()
        [False, True]
    """

    def __init__(
        self,
        head: Head,
        support: Support,
        *,
        standardize: bool,
        temperature: float | None = None,
        threshold: float | None = None,
        false_rejections: float = 0.1,
    ) -> None:
        self._standardizer = Standardizer(support.z, SCALE_FLOOR) if standardize else None
        self.head = head.eval()
        self.support = support._replace(z=self._prepared(support.z))
        z, targets = self.support.z, self.support.targets
        with torch.no_grad():
            self._state = head.adapt(z, targets, support.classes)
        if temperature is None:
            temperature = 1.0 if head.is_transductive else calibrated_temperature(head, self.support, _MAX_ROUNDS)
        self.temperature = temperature
        if threshold is None:
            threshold = calibrated_distance(self._cosines(z), targets, support.groups, false_rejections)
        self.threshold = threshold

    def probabilities(self, z: Tensor) -> Tensor:
        """Probabilities of the classes, float64 ``(Q, C)``, for embeddings ``(Q, dim)``.

        Raises:
            InputError: the method gives values that are not finite.
        """
        with torch.no_grad():
            logits = self.head.score(self._state, self._prepared(z)).double()
        probabilities = (logits / self.temperature).softmax(dim=-1)
        if not torch.isfinite(probabilities).all():
            raise InputError(f"the method '{self.head.name}' gives NaN or infinite values; choose another")
        return probabilities

    def similarities(self, z: Tensor) -> Tensor:
        """Cosines ``(Q, N)`` of embeddings ``(Q, dim)`` with the examples."""
        return self._cosines(self._prepared(z))

    def distances(self, similarities: Tensor, columns: Tensor) -> Tensor:
        """How far each sound is from a class, ``(Q,)``, 0 to 2.

        Args:
            similarities: ``(Q, N)``, with the examples.
            columns: int64 ``(Q,)``, the class in question.
        """
        of_class = self.support.targets == columns.unsqueeze(1)  # (Q, N)
        return 1 - torch.where(of_class, similarities, -torch.inf).amax(dim=1)

    def _prepared(self, z: Tensor) -> Tensor:
        return z if self._standardizer is None else self._standardizer(z)

    def _cosines(self, prepared: Tensor) -> Tensor:
        unit = nn.functional.normalize(prepared, dim=-1), nn.functional.normalize(self.support.z, dim=-1)
        return unit[0] @ unit[1].mT


def calibrated_distance(similarities: Tensor, targets: Tensor, groups: Tensor | None, false_rejections: float) -> float:
    r"""The distance to its class beyond which a sound is taken to be of no class.

    Each example is left out in turn and its distance to the nearest one that remains in its class is measured, which
    is what a new sound of a known class would show. Of :math:`n` such distances the
    :math:`\lceil (n + 1)(1 - \alpha) \rceil`-th smallest is taken, so that about a share :math:`\alpha` of the sounds
    of known classes is rejected; the largest, where :math:`n` is too small for that (below :math:`1 / \alpha - 1`).

    Where every class has one example only, nothing can be left out of its own class. Then the mean distance between an
    example and the nearest one of another class is taken: a sound that is farther from every example than classes are
    from each other belongs to none. This knows nothing of how much sounds of one class differ.

    Args:
        similarities: ``(N, N)`` cosines of the examples with one another.
        targets: int64 ``(N,)``.
        groups: int64 ``(N,)``: examples of a class that are left out together; None leaves out each alone.
        false_rejections: :math:`\alpha`, between 0 and 1.

    Returns:
        a distance, 1 minus a cosine, 0 to 2.

    Reference:
        V. Vovk, A. Gammerman, G. Shafer, Algorithmic learning in a random world, 2005 (conformal prediction: the rank).

    Example:
        >>> z = nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), dim=-1)
        >>> round(calibrated_distance(z @ z.T, torch.tensor([0, 0, 1]), None, 0.05), 3)
        0.2
    """
    distances = []
    for clip, kept in leave_one_out(targets, groups):
        distances.append(1 - float(similarities[clip][kept & (targets == targets[clip])].max()))
    if not distances:
        other = targets.unsqueeze(1) != targets
        return 1 - float(torch.where(other, similarities, -torch.inf).amax(dim=1).mean())
    rank = math.ceil((len(distances) + 1) * (1 - false_rejections))
    return sorted(distances)[min(rank, len(distances)) - 1]
