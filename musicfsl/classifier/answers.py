"""What a classifier says of a sound."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["UNKNOWN", "Classification", "Neighbour"]

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
