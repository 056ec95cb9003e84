"""Lightning: training of taggers."""

from musicfsl.training.tagging.augmentation import SpecAugment, mix_up
from musicfsl.training.tagging.batches import TagBatch, TagBatches
from musicfsl.training.tagging.data import TaggingData
from musicfsl.training.tagging.fit import TrainedTagger, fit_tagger, fit_tagger_once
from musicfsl.training.tagging.learner import TaggingLearner
from musicfsl.training.tagging.phases import TwoPhases

__all__ = [
    "SpecAugment",
    "TagBatch",
    "TagBatches",
    "TaggingData",
    "TaggingLearner",
    "TrainedTagger",
    "TwoPhases",
    "fit_tagger",
    "fit_tagger_once",
    "mix_up",
]
