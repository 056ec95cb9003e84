"""Multi-label recognition by the numbers: losses, measures with intervals and chance, thresholds, calibration.

Arrays and tensors only: nothing here knows data sets, networks or training.
"""

from musicfsl.multilabel.bootstrap import resample_counts
from musicfsl.multilabel.calibration import CalibrationCurve, calibration_curve
from musicfsl.multilabel.chance import chance_by_class, chance_levels
from musicfsl.multilabel.cooccurrence import CooccurrenceConfusion, cooccurrence_confusion
from musicfsl.multilabel.evaluation import report_tags
from musicfsl.multilabel.losses import (
    MultiLabelLoss,
    asymmetric_loss,
    balanced_class_weights,
    binary_cross_entropy,
    focal_loss,
    smoothed_labels,
)
from musicfsl.multilabel.reports import ClassScores, Measure, TagReport
from musicfsl.multilabel.scores import tag_scores
from musicfsl.multilabel.thresholds import tune_thresholds

__all__ = [
    "CalibrationCurve",
    "ClassScores",
    "CooccurrenceConfusion",
    "Measure",
    "MultiLabelLoss",
    "TagReport",
    "asymmetric_loss",
    "balanced_class_weights",
    "binary_cross_entropy",
    "calibration_curve",
    "chance_by_class",
    "chance_levels",
    "cooccurrence_confusion",
    "focal_loss",
    "report_tags",
    "resample_counts",
    "smoothed_labels",
    "tag_scores",
    "tune_thresholds",
]
