"""What a classifier says of a sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from musicfsl.classifier.known import Known

__all__ = ["UNKNOWN", "Classification", "Neighbour", "classification"]

#: What a sound is called that fits no class.
UNKNOWN = "unknown"


class Neighbour(NamedTuple):
    """An example that is like a sound.

    Attributes:
        sound: name of the example: its path, or its place in what was given.
        label: its class.
        similarity: cosine of the two embeddings, -1 to 1.
    """

    sound: str
    label: str
    similarity: float


class Classification(NamedTuple):
    """All that a classifier says of a sound.

    Attributes:
        label: the most probable class, or ``"unknown"``.
        probabilities: of each class, the most probable first; they sum to 1 whether or not the sound fits any.
        distance: from the nearest example of the most probable class, 0 to 2 (1 minus the cosine); beyond
            `FewShotClassifier.unknown_threshold` the sound is unknown.
        nearest: the nearest examples of all classes, the nearest first.
    """

    label: str
    probabilities: dict[str, float]
    distance: float
    nearest: list[Neighbour]


def classification(
    classes: Sequence[str],
    probabilities: Tensor,
    known: Sequence[Known],
    similarities: Tensor,
    distance: float,
    threshold: float,
    n_nearest: int,
) -> Classification:
    """What is said of a sound, in words.

    Args:
        classes: C names.
        probabilities: ``(C,)``.
        known: N examples.
        similarities: ``(N,)``, of the sound with each of them.
        distance: from the most probable class.
        threshold: the distance beyond which it is unknown.
        n_nearest: examples that are named.
    """
    order = probabilities.argsort(descending=True, stable=True).tolist()
    nearest = similarities.argsort(descending=True, stable=True)[:n_nearest].tolist()
    return Classification(
        label=UNKNOWN if distance > threshold else classes[int(probabilities.argmax())],
        probabilities={classes[c]: float(probabilities[c]) for c in order},
        distance=distance,
        nearest=[Neighbour(known[i].sound, known[i].label, float(similarities[i])) for i in nearest],
    )
