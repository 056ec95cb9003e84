from __future__ import annotations

import math

import numpy as np
import pytest

from musicfsl.errors import InputError
from musicfsl.hierarchy_metrics import Relations, hierarchy_scores
from musicfsl.metrics import macro_f1
from musicfsl.taxonomy import Taxonomy

TREE = Taxonomy(
    {
        "strings": {"bowed": ["Violin", "Cello"], "plucked": ["Harp", "Banjo"]},
        "winds": {"Flute": None, "reeds": ["Oboe"]},
        "Voice": None,
    }
)
CLASSES = ["Oboe", "Cello", "Voice", "Harp", "Violin", "Flute", "Banjo"]


def answers(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth, answer = rng.integers(0, 7, n), rng.integers(0, 7, n)
    answer = np.where(rng.random(n) < 0.5, truth, answer)
    confusion = np.zeros((7, 7), dtype=np.int64)
    np.add.at(confusion, (truth, answer), 1)
    return truth, answer, confusion


def line(name: str) -> list[str]:
    return [name, *TREE.ancestors(name)]


def test_precision_recall_and_f1_equal_sums_over_sets_of_ancestors() -> None:
    """Kiritchenko et al.: classes extended by their ancestors, without the root."""
    truth, answer, confusion = answers()
    shared = said = asked = 0
    for t, p in zip(truth, answer, strict=True):
        t_line, p_line = {*line(CLASSES[t])}, {*line(CLASSES[p])}
        shared, said, asked = shared + len(t_line & p_line), said + len(p_line), asked + len(t_line)
    scores = hierarchy_scores(confusion, TREE, CLASSES)
    assert scores.precision == pytest.approx(shared / said)
    assert scores.recall == pytest.approx(shared / asked)
    assert scores.f1 == pytest.approx(2 * shared / (said + asked))


def test_accuracy_by_height_and_the_height_of_mistakes_equal_a_loop() -> None:
    truth, answer, confusion = answers()
    even = TREE.even()
    scores = hierarchy_scores(confusion, TREE, CLASSES)
    for h, accuracy in enumerate(scores.accuracy):
        at_height = even.level(h, CLASSES)
        right = [at_height[t] == at_height[p] for t, p in zip(truth, answer, strict=True)]
        assert accuracy == pytest.approx(np.mean(right))
    heights = []
    for t, p in zip(truth, answer, strict=True):
        if t != p:
            own, other = [[even.level(h, [CLASSES[c]])[0] for h in range(4)] for c in (t, p)]
            heights.append(next(h for h in range(4) if own[h] == other[h]))
    assert scores.mistake_height == pytest.approx(np.mean(heights))
    assert len(scores.accuracy) == 3


def test_nearer_mistakes_score_better() -> None:
    def taken_for(name: str):
        confusion = np.diag(np.full(7, 5))
        confusion[CLASSES.index("Violin"), CLASSES.index(name)] = 5
        return hierarchy_scores(confusion, TREE, CLASSES)

    near, middle, far = taken_for("Cello"), taken_for("Harp"), taken_for("Oboe")
    assert near.accuracy[0] == middle.accuracy[0] == far.accuracy[0]
    assert near.f1 > middle.f1 > far.f1
    assert [near.mistake_height, middle.mistake_height, far.mistake_height] == [1, 2, 3]
    assert near.accuracy[1] == 1 > middle.accuracy[1]


def test_without_mistakes() -> None:
    scores = hierarchy_scores(np.diag([3, 0, 1, 2, 3, 4, 5]), TREE, CLASSES)
    assert (scores.precision, scores.recall, scores.f1, scores.macro_f1) == (1, 1, 1, 1)
    assert scores.accuracy == [1, 1, 1]
    assert math.isnan(scores.mistake_height)


def test_ranks_that_no_class_reaches_do_not_count() -> None:
    found = Relations.of(TREE, ["Flute", "Voice"])
    assert found.depth == 2
    assert found.n_groups == [2, 2]
    assert found.heights.tolist() == [[0, 2], [2, 0]]


@pytest.mark.parametrize(
    ("confusion", "classes", "message"),
    [
        (np.ones((6, 6)), CLASSES, r"shape \(6, 6\) for 7 classes"),
        (np.zeros((7, 7)), CLASSES, "no counts"),
        (-np.ones((7, 7)), CLASSES, "negative"),
        (np.ones((2, 2)), ["Oboe", "Celo"], "class 'Celo' is not in the taxonomy. Did you mean 'Cello'"),
        (np.ones((2, 2)), ["Oboe", "oboe"], "both mean 'Oboe'"),
    ],
)
def test_bad_input(confusion: np.ndarray, classes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        hierarchy_scores(confusion, TREE, classes)


class TestMacroF1:
    def test_equals_scikit_learns(self) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        truth, answer, confusion = answers()
        assert macro_f1(confusion) == pytest.approx(metrics.f1_score(truth, answer, average="macro"))

    def test_several_tables_and_classes_that_do_not_occur(self) -> None:
        confusion = np.zeros((3, 3, 3))
        confusion[0, :2, :2] = [[3, 1], [0, 4]]
        confusion[1, 0, 0] = 2
        both = [macro_f1(confusion[0, :2, :2]), 1.0]
        np.testing.assert_allclose(macro_f1(confusion), [*both, np.nan])

    def test_no_square(self) -> None:
        with pytest.raises(InputError, match=r"shape \(2, 3\); expected \(..., C, C\)"):
            macro_f1(np.ones((2, 3)))
