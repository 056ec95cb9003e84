"""Lightning: training on episodes, for zero-shot, and of taggers.

``import musicfsl`` does not import it, importing this does.
"""

from musicfsl.training.data import EpisodicData
from musicfsl.training.learner import EpisodicLearner
from musicfsl.training.loading import EpisodeLoader
from musicfsl.training.maml import MamlLearner
from musicfsl.training.reuse import Trained, fit_best, fit_once, trained_file
from musicfsl.training.tagging.augmentation import SpecAugment
from musicfsl.training.tagging.data import TaggingData
from musicfsl.training.tagging.fit import TrainedTagger, fit_tagger, fit_tagger_once
from musicfsl.training.tagging.learner import TaggingLearner
from musicfsl.training.tagging.phases import TwoPhases
from musicfsl.training.watching import WatchValidation
from musicfsl.training.zeroshot.data import ZeroShotData
from musicfsl.training.zeroshot.fit import FittedZeroShot, fit_zeroshot, pretrain_encoder
from musicfsl.training.zeroshot.learner import Validation, ZeroShotLearner
from musicfsl.training.zeroshot.reuse import pretrain_once, pretrained_file
from musicfsl.training.zeroshot.use import evaluate_on_other_data, rank_classes

__all__ = [
    "EpisodeLoader",
    "EpisodicData",
    "EpisodicLearner",
    "FittedZeroShot",
    "MamlLearner",
    "SpecAugment",
    "TaggingData",
    "TaggingLearner",
    "Trained",
    "TrainedTagger",
    "TwoPhases",
    "Validation",
    "WatchValidation",
    "ZeroShotData",
    "ZeroShotLearner",
    "evaluate_on_other_data",
    "fit_best",
    "fit_once",
    "fit_tagger",
    "fit_tagger_once",
    "fit_zeroshot",
    "pretrain_encoder",
    "pretrain_once",
    "pretrained_file",
    "rank_classes",
    "trained_file",
]
