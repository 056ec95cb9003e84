"""Multi-label recognition judged: every measure with its interval over excerpts and its chance level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from musicfsl.multilabel._checks import checked_names
from musicfsl.multilabel.bootstrap import interval_of, resample_counts
from musicfsl.multilabel.chance import chance_by_class, chance_levels
from musicfsl.multilabel.reports import ClassScores, Measure, TagReport
from musicfsl.multilabel.scores import BY_CLASS, HEADLINES, Answers

__all__ = ["report_tags"]


def report_tags(
    probabilities: ArrayLike,
    targets: ArrayLike,
    class_names: Sequence[str],
    thresholds: ArrayLike = 0.6,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    is_synthetic: bool | None = None,
) -> TagReport:
    """Measures multi-label recognition from the probabilities of excerpts, with intervals and chance levels.

    Args:
        probabilities: ``(N, C)``, 0 to 1; of excerpts that were not trained on, nor used to choose the thresholds.
        targets: ``(N, C)`` of 0 and 1.
        class_names: C names.
        thresholds: a class is answered where its probability is at least this; one number, or ``(C,)`` such as
            `tune_thresholds` gives.
        n_resamples: bootstrap samples for the intervals.
        seed: of these samples.
        groups: int ``(N,)``, the song of each excerpt: whole songs are then drawn. None draws excerpts.
        is_synthetic: what the report says of the data.

    Returns:
        the report.

    Raises:
        InputError: shapes differ, a value is NaN or out of range, no excerpt has any label, or there are fewer than two
            excerpts (or songs).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> targets = rng.random((200, 3)) < [0.5, 0.3, 0.2]
        >>> probabilities = np.clip(0.3 * targets + rng.uniform(0.2, 0.6, (200, 3)), 0, 1)
        >>> report = report_tags(probabilities, targets, ["Cello", "Flute", "Voice"], thresholds=0.5)
        >>> report.map.low < report.map.value < report.map.high, report.map.value > report.map.chance
        (True, True)
    """
    answers = Answers.of(probabilities, targets, thresholds)
    n_excerpts, n_classes = answers.targets.shape
    names = checked_names(class_names, n_classes)
    levels, levels_by_class = chance_levels(answers.targets), chance_by_class(answers.targets)
    found = answers.scores(np.ones((n_excerpts, 1), dtype=np.int32))
    resampled = answers.scores(resample_counts(n_excerpts, n_resamples, seed, groups))

    def headline(name: str) -> Measure:
        # Where nothing is answered there is no micro precision. It counts 0, as in the macro mean; the report says so.
        value, low, high = (float(np.nan_to_num(x)) for x in (found[name][0], *interval_of(resampled[name])))
        return Measure(value, low, high, levels[name])

    ends = {name: interval_of(resampled[name]) for name in BY_CLASS}

    def of_class(name: str, c: int) -> Measure | None:
        value, (low, high) = found[name][0, c], ends[name]
        if np.isnan(value) or not answers.targets[:, c].any():
            return None
        return Measure(float(value), float(low[c]), float(high[c]), float(levels_by_class[name][c]))

    support, n_answered = answers.targets.sum(axis=0), answers.answered.sum(axis=0)
    return TagReport(
        **{name: headline(name) for name in HEADLINES},
        silent_accuracy=float((~answers.targets).mean()),
        classes=[
            ClassScores(
                name,
                float(answers.thresholds[c]),
                int(support[c]),
                int(n_answered[c]),
                **{measure: of_class(measure, c) for measure in BY_CLASS},
            )
            for c, name in enumerate(names)
        ],
        absent=[name for name, n in zip(names, support, strict=True) if n == 0],
        n_excerpts=n_excerpts,
        n_unlabelled=int((~answers.targets.any(axis=1)).sum()),
        n_resamples=n_resamples,
        seed=seed,
        grouped=groups is not None,
        is_synthetic=is_synthetic,
    )
