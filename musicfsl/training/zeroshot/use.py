"""A trained zero-shot model at work: on data that it was not trained on, and on single recordings."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from musicfsl.audio import check_recording
from musicfsl.backbones.base import Encoder
from musicfsl.datasets._files import FileDataset
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import embed_dataset
from musicfsl.errors import InputError
from musicfsl.features import FeatureStore
from musicfsl.training.zeroshot.parts import same_instrument
from musicfsl.zeroshot.evaluation import evaluate_classes, evaluate_zeroshot
from musicfsl.zeroshot.projection import ZeroShotModel
from musicfsl.zeroshot.reports import ClassesReport, ZeroShotReport
from musicfsl.zeroshot.side_information import SideInformation

__all__ = ["evaluate_on_other_data", "rank_classes"]

_TRIM_DB = 60.0  # as in training


def evaluate_on_other_data(
    model: ZeroShotModel,
    features: ClassConditionalDataset,
    side: SideInformation,
    seen: Sequence[str],
    calibration: float | None = None,
    duration: float = 1.0,
    n_bootstrap: int = 1000,
) -> ZeroShotReport | ClassesReport:
    """Tests a model on all clips of a data set that it was not trained on; augmented copies are left out.

    Args:
        model: is used in evaluation mode.
        features: waves or stored features.
        side: side information of the kind that the model was trained with.
        seen: classes whose recordings it was trained on; a class of the data set that is the same instrument under
            another name counts as seen.
        calibration: of the model.
        duration: of a window in seconds.
        n_bootstrap: samples for the intervals.

    Returns:
        the full report where the data set has two or more classes of either kind, else the accuracy among its classes.
    """
    features = features.originals()
    names = features.classes
    scores = similarities(model, embed_dataset(_encoder_of(model), features, duration), names, side)
    unseen = [name for name in names if not any(same_instrument(name, other) for other in seen)]
    if 2 <= len(unseen) <= len(names) - 2:
        return evaluate_zeroshot(
            scores,
            features.targets,
            names,
            unseen,
            groups=features.groups,
            calibration=calibration,
            n_bootstrap=n_bootstrap,
            is_synthetic=features.is_synthetic,
            side_information=side.kind,
        )
    return evaluate_classes(
        scores,
        features.targets,
        names,
        groups=features.groups,
        unseen=unseen,
        n_bootstrap=n_bootstrap,
        is_synthetic=features.is_synthetic,
        side_information=side.kind,
    )


def rank_classes(
    model: ZeroShotModel,
    files: Sequence[str | os.PathLike[str]],
    classes: Sequence[str],
    side: SideInformation,
    duration: float = 1.0,
) -> dict[str, list[tuple[str, float]]]:
    """Ranks classes for recordings.

    Args:
        model: is used in evaluation mode.
        files: recordings, each once.
        classes: any names that the side information knows.
        side: side information of the kind that the model was trained with.
        duration: of a window in seconds.

    Returns:
        file -> names with their cosine similarity, the most alike first.

    Raises:
        AudioError: a recording cannot be read, or holds only silence.
        UnknownNameError: the side information knows nothing of a name.
    """
    side(classes)  # an unknown name is told before any recording is read
    paths = [str(file) for file in files]
    if len(set(paths)) != len(paths):
        raise InputError(f"{next(p for p in paths if paths.count(p) > 1)} is given twice; name every recording once")
    for path in paths:
        check_recording(path)
    encoder = _encoder_of(model)
    waves = FileDataset(
        "recordings", Path(), paths, ["unknown"] * len(paths), sample_rate=encoder.sample_rate, duration=None
    )
    with tempfile.TemporaryDirectory() as folder:  # features of single files are not worth keeping
        features = FeatureStore.build(
            waves, encoder.front_end, trim_db=_TRIM_DB, cache_dir=folder, n_workers=1, progress=False
        )
        z = embed_dataset(encoder, features, duration)
    scores = similarities(model, z, classes, side)
    return {
        path: [(classes[c], float(row[c])) for c in np.argsort(-row, kind="stable")]
        for path, row in zip(paths, scores, strict=True)
    }


@torch.no_grad()
def similarities(
    model: ZeroShotModel, z: torch.Tensor, classes: Sequence[str], side: SideInformation
) -> NDArray[np.float64]:
    """Cosines ``(N, C)`` of embeddings ``(N, dim)`` and classes, whose vectors come from side information alone."""
    model.eval()
    class_vectors = model.embed_classes(torch.from_numpy(side(classes)))
    return model.similarity(model.embed_audio(z), class_vectors).double().numpy()


def _encoder_of(model: ZeroShotModel) -> Encoder:
    if not isinstance(model.encoder, Encoder):
        raise InputError(
            f"{type(model.encoder).__name__} is no encoder of musicfsl.backbones; embed the clips yourself"
        )
    return model.encoder
