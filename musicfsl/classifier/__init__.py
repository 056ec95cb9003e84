"""A classifier of sounds from a few examples of each class.

    sounds -> embeddings -> head -> probabilities, or unknown

Each step is a file: `sounds` and `examples` take what users give, `listening` decodes and embeds, `known` is what is
kept of it, `model` learns from that, `classifier` is the whole, `checkpoints` writes it down.
"""

from musicfsl.classifier.answers import UNKNOWN, Classification, Neighbour
from musicfsl.classifier.checkpoints import ClassifierCard, load_classifier, save_classifier
from musicfsl.classifier.classifier import FewShotClassifier
from musicfsl.classifier.listening import Unusable
from musicfsl.classifier.methods import METHODS
from musicfsl.classifier.model import calibrated_distance

__all__ = [
    "METHODS",
    "UNKNOWN",
    "Classification",
    "ClassifierCard",
    "FewShotClassifier",
    "Neighbour",
    "Unusable",
    "calibrated_distance",
    "load_classifier",
    "save_classifier",
]
