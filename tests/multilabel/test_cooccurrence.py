from __future__ import annotations

import json

import numpy as np
import pytest

from musicfsl.errors import InputError
from musicfsl.multilabel import cooccurrence_confusion


def test_counts_are_those_of_a_loop(excerpts) -> None:
    p, y, names = excerpts
    found = cooccurrence_confusion(p, y, names, 0.5)
    wrong, missed, together = (np.zeros((5, 5), dtype=int) for _ in range(3))
    for scores, truth in zip(p, y, strict=True):
        for i in range(5):
            for j in range(5):
                wrong[i, j] += scores[i] >= 0.5 and not truth[i] and truth[j]
                missed[i, j] += scores[i] < 0.5 and truth[i] and truth[j] and i != j
                together[i, j] += truth[i] and truth[j]
    np.testing.assert_array_equal(found.false_positives, wrong)
    np.testing.assert_array_equal(found.false_negatives, missed)
    np.testing.assert_array_equal(found.together, together)
    assert found.n_false_positives.tolist() == [((p[:, i] >= 0.5) & (y[:, i] == 0)).sum() for i in range(5)]
    assert found.n_false_negatives.tolist() == [((p[:, i] < 0.5) & (y[:, i] == 1)).sum() for i in range(5)]
    json.dumps(found.to_dict())


def test_usual_shares_are_those_of_the_excerpts_where_the_mistake_is_possible(excerpts) -> None:
    p, y, names = excerpts
    found = cooccurrence_confusion(p, y, names, 0.5)
    for i in range(5):
        without, with_it = y[y[:, i] == 0], y[y[:, i] == 1]
        expected = np.where(np.arange(5) == i, 0, without.mean(axis=0))
        np.testing.assert_allclose(found.usual_beside_false_positives[i], expected)
        expected = np.where(np.arange(5) == i, 0, with_it.mean(axis=0))
        np.testing.assert_allclose(found.usual_beside_false_negatives[i], expected)


def test_a_cello_that_is_heard_in_violins() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((300, 3)) < [0.2, 0.3, 0.3]).astype(int)
    p = y * 0.9
    p[:, 0] = np.maximum(p[:, 0], 0.9 * y[:, 1])  # every violin is taken for a cello as well
    found = cooccurrence_confusion(p, y, ["Cello", "Violin", "Flute"])
    assert found.beside_false_positives[0, 1] == 1 > found.usual_beside_false_positives[0, 1]
    assert found.beside_false_positives[0, 2] == pytest.approx(found.usual_beside_false_positives[0, 2], abs=0.1)
    assert np.isnan(found.beside_false_positives[1:]).all() and np.isnan(found.beside_false_negatives).all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="2 class names for 1 columns"):
        cooccurrence_confusion([[0.5]], [[1]], ["a", "b"])
