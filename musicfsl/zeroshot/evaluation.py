"""Zero-shot accuracy by the book: seen, unseen, generalised and calibrated, balanced, with intervals and chance.

It takes scores, and knows no networks: whoever computes them takes the class vectors from side information alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musicfsl.errors import InputError
from musicfsl.metrics import confusion_matrix
from musicfsl.zeroshot.curve import Choice, choices, harmonic_mean, seen_unseen_area, seen_unseen_curve
from musicfsl.zeroshot.intervals import balanced_weights, bootstrap_weights
from musicfsl.zeroshot.reports import (
    MEASURES,
    ChanceLevels,
    ClassesReport,
    Measure,
    SplitsReport,
    ZeroShotReport,
    chance_levels,
)
from musicfsl.zeroshot.splits import ClassSplit

__all__ = ["evaluate_classes", "evaluate_splits", "evaluate_zeroshot"]

# Weights of this many clips in all are held at a time while bootstrapping (about 16 MB).
_CELLS_PER_BLOCK = 2_000_000

# Measures of clips of unseen classes among all classes.
_NEEDS_TRANSFER = {"generalised_unseen", "harmonic", "calibrated_unseen", "calibrated_harmonic", "area"}


def evaluate_zeroshot(
    scores: ArrayLike,
    targets: ArrayLike,
    class_names: Sequence[str],
    unseen: Sequence[str],
    *,
    groups: ArrayLike | None = None,
    calibration: float | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    is_synthetic: bool | None = None,
    side_information: str = "",
) -> ZeroShotReport:
    """Measures zero-shot and generalised zero-shot recognition from the scores of clips for classes.

    Args:
        scores: float ``(N, C)``, higher is more alike, for clips of seen classes that were held out of the training and
            for clips of unseen classes.
        targets: int ``(N,)``, columns; every class has a clip.
        class_names: ``C`` names.
        unseen: names of the unseen classes among them, two or more; two or more are seen.
        groups: int ``(N,)``, the player or song of each clip, for the intervals.
        calibration: what to add to the scores of unseen classes for the calibrated measures, chosen beforehand and on
            other classes; None leaves these measures out.
        n_bootstrap: samples for the intervals, at least 2.
        seed: of the samples.
        is_synthetic: what the report says of the data.
        side_information: what the report says of the class vectors.

    Returns:
        the report.

    Raises:
        InputError: shapes do not fit, a class has no clip, a score is not finite, or a name is unknown.

    Reference:
        Y. Xian, C. H. Lampert, B. Schiele, Z. Akata, Zero-shot learning -- a comprehensive evaluation of the good,
        the bad and the ugly, IEEE TPAMI 41(9), 2019, section 4 (means over classes, harmonic mean); W.-L. Chao et al.,
        ECCV 2016 (calibrated stacking and the area).

    Example:
        >>> names = ["flute", "oboe", "harp", "banjo"]
        >>> targets = np.repeat(np.arange(4), 5)
        >>> report = evaluate_zeroshot(np.eye(4)[targets], targets, names, unseen=["harp", "banjo"], n_bootstrap=10)
        >>> print(report.zero_shot)
        1.000 [1.000, 1.000], chance 0.500
    """
    scores, targets = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    is_unseen = _checked(scores, targets, class_names, unseen, groups, n_bootstrap)
    targets = targets.astype(np.int64)
    choice = choices(scores, targets, is_unseen)
    weights = balanced_weights(targets, is_unseen)
    clip_is_unseen = is_unseen[targets]
    values = {name: float(v[0]) for name, v in _values(choice, weights[None], clip_is_unseen, calibration).items()}
    guessed = replace(choice, unseen_right=clip_is_unseen / is_unseen.sum())
    without_transfer = _values(guessed, weights[None], clip_is_unseen, calibration)

    rng = np.random.default_rng(seed)
    group_of = None if groups is None else np.asarray(groups)
    block = max(1, _CELLS_PER_BLOCK // len(targets))
    samples = [
        _values(
            choice,
            bootstrap_weights(targets, is_unseen, group_of, min(block, n_bootstrap - start), rng),
            clip_is_unseen,
            calibration,
        )
        for start in range(0, n_bootstrap, block)
    ]
    chance = _chance_of_measures(chance_levels(int((~is_unseen).sum()), int(is_unseen.sum())))
    measures: dict[str, Measure | None] = dict.fromkeys(MEASURES)
    for name, value in values.items():
        low, high = np.quantile(np.concatenate([sample[name] for sample in samples]), [0.025, 0.975])
        no_transfer = float(without_transfer[name][0]) if name in _NEEDS_TRANSFER else None
        measures[name] = Measure(value, float(low), float(high), chance[name], no_transfer)

    order = np.concatenate([np.flatnonzero(~is_unseen), np.flatnonzero(is_unseen)])
    n_seen = int((~is_unseen).sum())
    ordered, truth = scores[:, order], np.argsort(order)[targets]
    of_unseen = truth >= n_seen
    return ZeroShotReport(
        **measures,  # type: ignore[arg-type]
        calibration=calibration,
        curve=seen_unseen_curve(choice, weights),
        seen_classes=[class_names[c] for c in order[:n_seen]],
        unseen_classes=[class_names[c] for c in order[n_seen:]],
        n_clips=(int((~of_unseen).sum()), int(of_unseen.sum())),
        confusion=confusion_matrix(truth, ordered.argmax(axis=1), len(order)),
        unseen_confusion=confusion_matrix(
            truth[of_unseen] - n_seen, ordered[of_unseen, n_seen:].argmax(axis=1), len(order) - n_seen
        ),
        n_bootstrap=n_bootstrap,
        seed=seed,
        grouped=groups is not None,
        is_synthetic=is_synthetic,
        side_information=side_information,
    )


def evaluate_classes(
    scores: ArrayLike,
    targets: ArrayLike,
    class_names: Sequence[str],
    *,
    unseen: Sequence[str] = (),
    groups: ArrayLike | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    is_synthetic: bool | None = None,
    side_information: str = "",
) -> ClassesReport:
    """Measures recognition among given classes, where there are not both seen and unseen ones.

    Args:
        scores: float ``(N, C)``, higher is more alike.
        targets: int ``(N,)``, columns; every class has a clip.
        class_names: ``C`` names, two or more.
        unseen: which of them are unseen, for the report.
        groups: as for `evaluate_zeroshot`, like the following.
        n_bootstrap: samples for the interval.
        seed: of the samples.
        is_synthetic: what the report says of the data.
        side_information: what the report says of the class vectors.

    Raises:
        InputError: as `evaluate_zeroshot`.
    """
    scores, targets = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    _check_scores(scores, targets, class_names, groups, n_bootstrap)
    targets, all_alike = targets.astype(np.int64), np.zeros(len(class_names), dtype=bool)
    predicted = scores.argmax(axis=1)
    weights = bootstrap_weights(
        targets, all_alike, None if groups is None else np.asarray(groups), n_bootstrap, np.random.default_rng(seed)
    )
    right = predicted == targets
    low, high = np.quantile(weights @ right, [0.025, 0.975])
    value = float(balanced_weights(targets, all_alike) @ right)
    return ClassesReport(
        accuracy=Measure(value, float(low), float(high), 1 / len(class_names)),
        classes=list(class_names),
        unseen_classes=list(unseen),
        n_clips=len(targets),
        confusion=confusion_matrix(targets, predicted, len(class_names)),
        n_bootstrap=n_bootstrap,
        seed=seed,
        grouped=groups is not None,
        is_synthetic=is_synthetic,
        side_information=side_information,
    )


def evaluate_splits(splits: Sequence[ClassSplit], run: Callable[[ClassSplit], ZeroShotReport]) -> SplitsReport:
    """Runs a whole experiment, training included, on several class splits.

    Which classes happen to be unseen moves the result more than which clips do; an interval over splits shows it.

    Args:
        splits: two or more, such as ``[split_seen_unseen(classes, 10, seed) for seed in range(5)]``.
        run: trains on a split's seen classes and evaluates.

    Raises:
        InputError: there are fewer than two splits.
    """
    if len(splits) < 2:
        raise InputError(f"there are {len(splits)} class splits; an interval over them needs two or more")
    return SplitsReport([split.name for split in splits], [run(split) for split in splits])


def _values(
    choice: Choice, weights: NDArray[np.float64], clip_is_unseen: NDArray[np.bool_], calibration: float | None
) -> dict[str, NDArray[np.float64]]:
    """Every measure for each of several weightings ``(B, N)``, as ``(B,)``."""

    def generalised(value: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        right = choice.right(value)
        return weights @ (right * ~clip_is_unseen), weights @ (right * clip_is_unseen)

    seen, unseen = generalised(0.0)
    values = {
        "seen": weights @ choice.seen_right,
        "zero_shot": weights @ choice.unseen_right,
        "generalised_seen": seen,
        "generalised_unseen": unseen,
        "harmonic": harmonic_mean(seen, unseen),
        "area": seen_unseen_area(choice, weights),
    }
    if calibration is not None:
        seen, unseen = generalised(calibration)
        values |= {
            "calibrated_seen": seen,
            "calibrated_unseen": unseen,
            "calibrated_harmonic": harmonic_mean(seen, unseen),
        }
    return values


def _chance_of_measures(levels: ChanceLevels) -> dict[str, float]:
    generalised = dict.fromkeys(
        ("generalised_seen", "generalised_unseen", "calibrated_seen", "calibrated_unseen"), levels.generalised
    )
    harmonic = dict.fromkeys(("harmonic", "calibrated_harmonic"), levels.harmonic)
    return {"seen": levels.seen, "zero_shot": levels.zero_shot, "area": levels.area, **generalised, **harmonic}


def _checked(
    scores: NDArray[np.float64],
    targets: NDArray[Any],
    class_names: Sequence[str],
    unseen: Sequence[str],
    groups: ArrayLike | None,
    n_bootstrap: int,
) -> NDArray[np.bool_]:
    """Which classes are unseen, after everything was looked at."""
    _check_scores(scores, targets, class_names, groups, n_bootstrap)
    for name in unseen:
        if name not in class_names:
            raise InputError(f"the unseen class '{name}' is not among the class names: {', '.join(class_names)}")
    # Two or more on either side, and none twice.
    ClassSplit("evaluated", tuple(name for name in class_names if name not in unseen), tuple(unseen))
    return np.array([name in unseen for name in class_names])


def _check_scores(
    scores: NDArray[np.float64],
    targets: NDArray[Any],
    class_names: Sequence[str],
    groups: ArrayLike | None,
    n_bootstrap: int,
) -> None:
    n = len(class_names)
    if scores.ndim != 2 or scores.shape[1] != n or targets.shape != scores.shape[:1] or n < 2:
        raise InputError(
            f"scores have shape {scores.shape} and targets {targets.shape} for {n} class names; expected (N, {n}) and "
            "(N,), and two classes or more"
        )
    if not np.issubdtype(targets.dtype, np.integer) or (len(targets) and not 0 <= targets.min() <= targets.max() < n):
        raise InputError(f"targets must be whole numbers from 0 to {n - 1}, the columns of the scores")
    if groups is not None and np.asarray(groups).shape != targets.shape:
        raise InputError(f"groups have shape {np.asarray(groups).shape}; expected {targets.shape}, one a clip")
    if n_bootstrap < 2:
        raise InputError(f"n_bootstrap is {n_bootstrap}; an interval needs 2 or more")
    empty = [name for c, name in enumerate(class_names) if not (targets == c).any()]
    if empty:
        raise InputError(f"class '{empty[0]}' has no clip to evaluate; add recordings, or leave it out of the scores")
    if not np.isfinite(scores).all():
        raise InputError(f"the scores of clip {int(np.argwhere(~np.isfinite(scores))[0, 0])} hold NaN or infinity")
