from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, label_ranking_average_precision_score

from musicfsl.errors import InputError
from musicfsl.multilabel import chance_by_class, chance_levels, tag_scores


def test_no_constant_answer_has_a_better_f1_or_sample_accuracy(excerpts) -> None:
    y = excerpts.targets
    levels = chance_levels(y)
    micro, macro, accuracy = [], [], []
    for answer in product((0, 1), repeat=5):
        said = np.broadcast_to(answer, y.shape)
        micro.append(f1_score(y, said, average="micro", zero_division=0))
        macro.append(f1_score(y, said, average="macro", zero_division=0))
        accuracy.append((said == y).mean())
    assert levels["micro_f1"] == pytest.approx(max(micro))
    assert levels["macro_f1"] == pytest.approx(max(macro))
    assert levels["sample_accuracy"] == pytest.approx(max(accuracy))


def test_guessing_at_random_is_no_better(excerpts) -> None:
    y = excerpts.targets
    levels, rng = chance_levels(y), np.random.default_rng(0)
    share = y.mean(axis=0)
    guesses = [tag_scores(rng.random(y.shape), y, 1 - share) for _ in range(200)]  # each label as often as it occurs
    for name in ("micro_f1", "macro_f1", "sample_accuracy", "lrap", "micro_map"):
        assert np.mean([guess[name] for guess in guesses]) < levels[name]
    # A ranking without ties has a little more than the share of positives: E[AP] = r + (1 - r) H_N / N, by label.
    n, positives = len(y), y.sum(axis=0)
    r = (positives - 1) / (n - 1)
    expected = (r + (1 - r) * np.sum(1 / np.arange(1, n + 1)) / n).mean()
    assert np.mean([guess["map"] for guess in guesses]) == pytest.approx(expected, abs=0.01)
    assert levels["map"] == pytest.approx(share.mean()) and levels["map"] < expected < levels["map"] + 0.07


def test_rankings_by_frequency_are_judged_by_scikit_learn_alike(excerpts) -> None:
    y = excerpts.targets
    levels, scores = chance_levels(y), np.broadcast_to(y.mean(axis=0), y.shape)
    assert levels["map"] == pytest.approx(average_precision_score(y, scores, average="macro"))
    assert levels["micro_map"] == pytest.approx(average_precision_score(y, scores, average="micro"))
    labelled = y.any(axis=1)
    assert levels["lrap"] == pytest.approx(label_ranking_average_precision_score(y[labelled], scores[labelled]))


def test_each_class_alone(excerpts) -> None:
    y = np.hstack([excerpts.targets, np.zeros((60, 1))])
    levels = chance_by_class(y)
    for c in range(5):
        assert levels["f1"][c] == pytest.approx(f1_score(y[:, c], np.ones(60)))
        assert levels["average_precision"][c] == pytest.approx(average_precision_score(y[:, c], np.ones(60)))
    assert all(np.isnan(values[5]) for values in levels.values())
    assert chance_levels(y)["macro_f1"] == pytest.approx(np.nanmean(levels["f1"]))


def test_without_any_label_there_is_no_chance() -> None:
    with pytest.raises(InputError, match="no excerpt has any label"):
        chance_levels(np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"targets have shape \(3,\)"):
        chance_levels(np.zeros(3))
