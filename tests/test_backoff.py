from __future__ import annotations

import math

import numpy as np
import pytest

from musicfsl.backoff import back_off, back_off_curve, class_probabilities, fit_temperature
from musicfsl.errors import InputError
from musicfsl.taxonomy import Taxonomy

TREE = Taxonomy(
    {
        "strings": {"bowed": ["Violin", "Cello"], "plucked": ["Harp", "Banjo"]},
        "winds": {"Flute": None, "reeds": ["Oboe"]},
        "Voice": None,
    }
)
CLASSES = ["Oboe", "Cello", "Voice", "Harp", "Violin", "Flute", "Banjo"]


def random_probabilities(n: int = 300) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(7, 0.25), n)


def probability(node: str, row: np.ndarray) -> float:
    return sum(p for name, p in zip(CLASSES, row, strict=True) if name in TREE.leaves(node))


def depth(node: str) -> int:
    return 0 if node == "" else 1 + len(TREE.ancestors(node))


@pytest.mark.parametrize("threshold", [0.51, 0.7, 0.9, 0.99])
def test_above_one_half_the_answer_is_the_deepest_node_that_reaches_the_threshold(threshold: float) -> None:
    given = random_probabilities()
    answers = back_off(given, TREE, CLASSES, threshold)
    for i, row in enumerate(given):
        reached = [node for node in TREE.nodes if probability(node, row) >= threshold]
        deepest = max(map(depth, reached))
        (expected,) = [node for node in reached if depth(node) == deepest]
        assert answers.nodes[i] == expected
        assert answers.probability[i] == pytest.approx(probability(expected, row))
        assert answers.depth[i] == deepest


def test_below_the_most_probable_branch_is_followed() -> None:
    given = random_probabilities()
    for threshold in (0.0, 0.2, 0.4):
        for answer, row in zip(back_off(given, TREE, CLASSES, threshold).nodes, given, strict=True):
            node = ""
            while children := TREE.children(node):
                best = max(children, key=lambda child: probability(child, row))
                if probability(best, row) < threshold:
                    break
                node = best
            assert answer == node
    # Winds beat strings, though the one most probable class is a string.
    row = [[0.3, 0.0, 0.0, 0.0, 0.4, 0.3, 0.0]]
    assert back_off(row, TREE, CLASSES, 0.5).nodes == ["winds"]
    assert back_off(row, TREE, CLASSES, 0.0).nodes == ["Flute"]  # equals: the first in the tree


def test_specificity() -> None:
    rows = np.zeros((5, 7))
    rows[0, CLASSES.index("Voice")] = 1
    rows[1, [CLASSES.index("Violin"), CLASSES.index("Cello")]] = 0.5
    rows[2, [CLASSES.index("Violin"), CLASSES.index("Harp")]] = 0.5
    rows[3, [CLASSES.index("Violin"), CLASSES.index("Voice")]] = 0.5
    rows[4, CLASSES.index("Oboe")] = 1  # the only class below "reeds"
    answers = back_off(rows, TREE, CLASSES, 0.9)
    assert answers.nodes == ["Voice", "bowed", "strings", "", "Oboe"]
    assert answers.specificity.tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0, 1])
    assert answers.depth.tolist() == [1, 2, 1, 0, 3]


def test_only_the_part_of_the_tree_with_the_classes_counts() -> None:
    answers = back_off([[0.5, 0.5], [0.9, 0.1]], TREE, ["violin", "harp"], 0.8)
    assert answers.nodes == ["strings", "violin"]


class TestCurve:
    def test_equals_a_loop(self) -> None:
        given = random_probabilities(200)
        targets = np.random.default_rng(1).integers(0, 7, 200)
        targets[:120] = given[:120].argmax(axis=1)
        curve = back_off_curve(given, targets, TREE, CLASSES, [0.0, 0.3, 0.6, 0.95])
        for k, threshold in enumerate(curve.thresholds):
            answers = back_off(given, TREE, CLASSES, float(threshold))
            right = [CLASSES[t] in TREE.leaves(node) for t, node in zip(targets, answers.nodes, strict=True)]
            shares = [1 - math.log(len(TREE.leaves(node))) / math.log(7) for node in answers.nodes]
            assert curve.precision[k] == pytest.approx(np.mean(right))
            assert curve.specificity[k] == pytest.approx(answers.specificity.mean())
            assert curve.answered[k] == pytest.approx(np.mean([node != "" for node in answers.nodes]))
            assert curve.information[k] == pytest.approx(np.mean(shares))

    def test_from_classes_to_the_root(self) -> None:
        given = random_probabilities(200)
        curve = back_off_curve(given, given.argmax(axis=1), TREE, CLASSES)
        assert len(curve.thresholds) == 101
        assert curve.specificity[0] == curve.answered[0] == curve.information[0] == 1
        for falling in (curve.specificity, curve.answered, curve.information):
            assert (np.diff(falling) <= 0).all()
        assert curve.precision[-1] > curve.precision[0]
        assert curve.specificity[-1] < 0.3

    def test_probabilities_that_tell_the_truth_keep_their_promise(self) -> None:
        """An answer with a probability of at least t is right at least that often."""
        given = np.random.default_rng(2).dirichlet(np.full(7, 0.5), 20000)
        targets = (given.cumsum(axis=1) < np.random.default_rng(3).random((20000, 1))).sum(axis=1)
        curve = back_off_curve(given, targets, TREE, CLASSES, [0.5, 0.7, 0.9])
        assert (curve.precision > curve.thresholds).all()


class TestTemperature:
    def test_is_found_where_the_labels_were_drawn_with_it(self) -> None:
        rng = np.random.default_rng(0)
        logits = 3 * rng.normal(size=(40000, 5))
        for temperature in (0.2, 2.5):
            drawn = class_probabilities(logits, temperature).cumsum(axis=1)
            targets = (drawn < rng.random((40000, 1))).sum(axis=1)
            # Scores of another size are the same up to the temperature.
            for scale in (1.0, 1000.0):
                found = fit_temperature(scale * logits, targets)
                assert found == pytest.approx(scale * temperature, rel=0.03)

    def test_probabilities_equal_scipys(self) -> None:
        special = pytest.importorskip("scipy.special")
        logits = np.random.default_rng(0).normal(size=(10, 4)) * 500
        np.testing.assert_allclose(class_probabilities(logits, 3.0), special.softmax(logits / 3.0, axis=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": [[0.5, 0.5]]}, r"shape \(1, 2\); expected \(N, 7\)"),
        ({"probabilities": np.full((1, 7), 0.5)}, "another sum than 1; take the softmax"),
        ({"probabilities": [[-1.0, 2, 0, 0, 0, 0, 0]]}, "negative"),
        ({"classes": ["Oboo", *CLASSES[1:]]}, r"class 'Oboo' is not in the taxonomy. Did you mean 'Oboe'"),
        ({"threshold": 80}, "threshold is 80; expected 0 to 1"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    given = {"probabilities": [[1.0, 0, 0, 0, 0, 0, 0]], "taxonomy": TREE, "classes": CLASSES, **change}
    with pytest.raises(InputError, match=message):
        back_off(**given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: back_off_curve([[0.5, 0.5]], [2], TREE, CLASSES[:2]), "targets reach from 2 to 2; expected 0 to 1"),
        (lambda: back_off_curve([[0.5, 0.5]], [0, 1], TREE, CLASSES[:2]), r"targets have shape \(2,\)"),
        (lambda: back_off_curve([[0.5, 0.5]], [0.0], TREE, CLASSES[:2]), "targets have shape"),
        (lambda: back_off_curve([[0.5, 0.5]], [0], TREE, CLASSES[:2], [2.0]), "threshold is 2.0"),
        (lambda: back_off_curve([[0.5, 0.5]], [0], TREE, CLASSES[:2], []), "thresholds are empty"),
        (lambda: class_probabilities([[1.0, 2.0]], 0), "temperature is 0"),
        (lambda: class_probabilities([1.0, 2.0]), r"logits have shape \(2,\)"),
        (lambda: fit_temperature([[1.0, 2.0]], [2]), "targets reach from 2 to 2"),
        (lambda: fit_temperature([[1.0, 1.0]], [0]), "all logits are equal"),
    ],
)
def test_other_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
