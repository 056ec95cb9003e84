from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from musicfsl.annotation import SILENCE, Segment, find_segments
from musicfsl.errors import InputError

NAMES = ["oboe", "oud", SILENCE]


def test_neighbours_of_one_label_are_joined_and_confidence_is_their_mean() -> None:
    labels = np.array([0, 0, 1, 2, 2, 0])
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    bounds = np.array([0.0, 0.75, 1.25, 1.75, 2.25, 2.75, 3.4])
    found = find_segments(labels, probabilities, bounds, NAMES)
    assert [(s.start, s.end, s.label) for s in found] == [
        (0.0, 1.25, "oboe"), (1.25, 1.75, "oud"), (1.75, 2.75, SILENCE), (2.75, 3.4, "oboe"),
    ]  # fmt: skip
    means = [probabilities[:2, 0].mean(), probabilities[2, 1], probabilities[3:5, 2].mean(), probabilities[5, 0]]
    assert [s.confidence for s in found] == pytest.approx(means)


def test_segments_tile_the_recording() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=400)
    bounds = np.concatenate([[0], np.cumsum(rng.uniform(0.1, 1, 400))])
    found = find_segments(labels, rng.dirichlet(np.ones(3), 400), bounds, NAMES)
    assert found[0].start == 0
    assert found[-1].end == bounds[-1]
    assert all(a.end == b.start and a.label != b.label for a, b in pairwise(found))
    for label, a, b in zip(labels, bounds, bounds[1:], strict=False):
        (over,) = [s for s in found if s.start <= a and b <= s.end]
        assert over.label == NAMES[label]


def test_segments_that_get_one_name_become_one() -> None:
    labels = np.array([0, 1, 1, 1, 2, 0])
    probabilities = np.array([[0.6, 0.4, 0], [0.3, 0.7, 0], [0.3, 0.7, 0], [0.3, 0.7, 0], [0, 0, 1], [0.9, 0.1, 0]])
    asked = []

    def decide(means):
        asked.extend(means.tolist())
        return [("oboe", mean[0]) if mean[0] > 0.8 else ("reeds and lutes", 0.5 + mean[0] / 2) for mean in means]

    found = find_segments(labels, probabilities, np.arange(7.0), NAMES, decide)
    assert found[0] == Segment(0.0, 4.0, "reeds and lutes", pytest.approx((0.8 + 3 * 0.65) / 4))
    assert [s.label for s in found] == ["reeds and lutes", SILENCE, "oboe"]
    assert len(asked) == 3  # of silence nobody asks
    assert asked[1] == pytest.approx([0.3, 0.7, 0])


def test_lengths_must_agree() -> None:
    with pytest.raises(InputError, match=r"shapes \(2,\), \(2, 2\) and \(3,\); expected \(N,\), \(N, 3\)"):
        find_segments(np.zeros(2, dtype=int), np.zeros((2, 2)), np.arange(3.0), NAMES)
    with pytest.raises(InputError, match="labels, probabilities and bounds"):
        find_segments(np.zeros(0, dtype=int), np.zeros((0, 3)), np.arange(1.0), NAMES)
