"""Training on episodes with Lightning. Importing this imports Lightning; ``import musicfsl`` does not."""

from musicfsl.training.data import EpisodicData
from musicfsl.training.learner import EpisodicLearner
from musicfsl.training.loading import EpisodeLoader
from musicfsl.training.reuse import Trained, fit_best, fit_once, trained_file

__all__ = ["EpisodeLoader", "EpisodicData", "EpisodicLearner", "Trained", "fit_best", "fit_once", "trained_file"]
