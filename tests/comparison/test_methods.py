from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from musicfsl.comparison import Comparison, compare_methods, find_methods, largest_shape, untrained_methods
from musicfsl.errors import EpisodeError, InputError
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import HEADS, MultiLabelHead, PrototypicalHead
from musicfsl.metrics import mean_ci95

TARGETS = np.repeat(np.arange(6), 12)
NAMES = [*"abcdef"]


def points(noise: float, seed: int = 0, dim: int = 8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(6, dim))
    return (centres[TARGETS] + noise * rng.normal(size=(len(TARGETS), dim))).astype(np.float32)


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare_methods(
        {"poor": points(2.0), "good": points(0.4)},
        TARGETS,
        find_methods(["prototypical", "ridge", "pt-map"]),
        n_way=4,
        n_support=2,
        n_query=5,
        n_episodes=60,
        seed=3,
        class_names=NAMES,
    )


def test_every_line_is_what_the_evaluation_says(found: Comparison) -> None:
    assert [(line.encoder, line.method) for line in found.lines] == [
        (encoder, method) for encoder in ("poor", "good") for method in ("prototypical", "ridge", "pt-map")
    ]
    for line in found.lines:
        z = points(2.0) if line.encoder == "poor" else points(0.4)
        expected = evaluate_episodes(z, TARGETS, HEADS[line.method](), 4, 2, 5, 60, 3, class_names=NAMES)
        assert line.report.accuracies.tolist() == expected.accuracies.tolist()
        assert line.report.transductive == (line.method == "pt-map")
        assert line.seconds > 0


def test_differences_are_taken_episode_by_episode(found: Comparison) -> None:
    first = found.lines[0].report.accuracies
    one_by_one = [line for line in found.lines if line.method != "pt-map"]
    best = max(one_by_one, key=lambda line: line.report.mean)
    assert found.best is best
    for line in found.lines:
        assert line.gain == mean_ci95(line.report.accuracies - first)
        assert line.behind == mean_ci95(best.report.accuracies - line.report.accuracies)
    assert found.lines[0].gain == (0, 0) and best.behind == (0, 0) and best.is_among_the_best
    assert not found.lines[0].is_among_the_best


def test_text_json_and_csv_say_the_same(found: Comparison) -> None:
    text, content = str(found), json.loads(json.dumps(found.to_dict()))
    assert "4-way 2-shot, 5 queries a class; 60 episodes, the same for every line; seed 3; chance 0.250" in text
    assert "(t): transductive" in text and "| pt-map (t)" in text
    buffer = io.StringIO()
    csv.writer(buffer).writerows(found.rows())
    rows = list(csv.DictReader(io.StringIO(buffer.getvalue())))
    for line, row, entry in zip(found.lines, rows, content["lines"], strict=True):
        mean, ci95 = line.report.mean, line.report.ci95
        assert f"{mean:.3f} ± {ci95:.3f}" in text
        assert (row["encoder"], row["method"]) == (entry["encoder"], entry["method"]) == (line.encoder, line.method)
        assert float(row["accuracy"]) == pytest.approx(mean, abs=1e-6) == entry["mean"]
        assert float(row["gain"]) == pytest.approx(line.gain.mean, abs=1e-6) == entry["gain"]["mean"]
        assert float(row["chance"]) == entry["chance"] == 0.25
    assert content["best"] == {"encoder": found.best.encoder, "method": found.best.method}


def test_unequal_shares_are_said() -> None:
    settings = {"n_way": 3, "n_support": 2, "n_query": 5, "n_episodes": 30, "query_imbalance": 2.0}
    unequal = compare_methods({"z": points(1.0)}, TARGETS, find_methods(["prototypical"]), **settings)  # type: ignore[arg-type]
    assert unequal.lines[0].report.query_imbalance == 2.0
    assert "in Dirichlet(2) shares" in str(unequal)


def test_standardized_embeddings_do_not_depend_on_the_scale_of_a_dimension() -> None:
    z = points(0.5)
    scaled = z * np.array([20, 1, 1, 1, 1, 1, 1, 1], dtype=np.float32)
    settings = {"n_way": 4, "n_support": 3, "n_query": 5, "n_episodes": 40, "class_names": NAMES}
    methods = {"prototypical": PrototypicalHead()}
    found = compare_methods({"z": z, "scaled": scaled}, TARGETS, methods, **settings)  # type: ignore[arg-type]
    assert found.lines[1].report.mean < found.lines[0].report.mean - 0.1
    both = compare_methods({"z": z, "scaled": scaled}, TARGETS, methods, standardize=["z", "scaled"], **settings)  # type: ignore[arg-type]
    assert both.lines[0].report.mean == pytest.approx(both.lines[1].report.mean, abs=0.01)
    assert both.lines[1].report.mean > found.lines[1].report.mean + 0.1
    with pytest.raises(InputError, match="standardize names 'other', but embeddings are of z"):
        compare_methods({"z": z}, TARGETS, standardize=["other"])


def test_what_was_trained_on_is_said() -> None:
    found = compare_methods(
        {"z": points(1.0)}, TARGETS, find_methods(["prototypical"]), n_episodes=5, class_names=NAMES,
        trained_on={"z": ["b"]},
    )  # fmt: skip
    assert found.lines[0].report.trained_on == ["b"]
    assert "not new to z, which saw classes of these names: b" in str(found)


def test_methods_without_training() -> None:
    methods = untrained_methods()
    assert list(methods)[:2] == ["prototypical", "prototypical-cosine"]
    for name, kind in HEADS.items():
        is_compared = not kind.needs_training and not issubclass(kind, MultiLabelHead) and "hierarchical" not in name
        assert (name in methods) == is_compared, name
    with pytest.raises(InputError, match=r"there is no method 'rigde'\. Did you mean 'ridge'\?"):
        find_methods(["rigde"])
    with pytest.raises(InputError, match="the method 'feat' takes training"):
        find_methods(["feat"])


class TestLargestShape:
    @pytest.mark.parametrize(
        ("smallest", "shape"), [(2, (1, 1)), (3, (1, 2)), (9, (4, 5)), (10, (5, 5)), (19, (5, 14)), (50, (5, 15))]
    )
    def test_fits_the_smallest_class(self, smallest: int, shape: tuple[int, int]) -> None:
        targets = np.repeat([0, 1, 2], [smallest, 60, 60])
        assert largest_shape(targets) == (3, *shape)

    def test_at_most_ten_ways(self) -> None:
        assert largest_shape(np.repeat(np.arange(14), 30)) == (10, 5, 15)

    def test_what_is_given_stays(self) -> None:
        targets = np.repeat([0, 1, 2], [8, 60, 60])
        assert largest_shape(targets, n_way=2, n_support=3) == (2, 3, 5)
        assert largest_shape(targets, n_query=6) == (3, 2, 6)
        assert largest_shape(targets, n_support=3, n_query=4) == (3, 3, 4)
        with pytest.raises(EpisodeError, match="class 'oud' has 8 clips"):
            largest_shape(targets, class_names=["oud", "ney", "saz"], n_support=8)
        with pytest.raises(EpisodeError, match="n_way is 4"):
            largest_shape(targets, n_way=4)

    def test_groups_are_kept_apart(self) -> None:
        targets = np.repeat([0, 1], 20)
        groups = np.r_[np.zeros(3), np.ones(17), 2 * np.ones(3), 3 * np.ones(17)].astype(np.int64)
        ways, shots, queries = largest_shape(targets, groups)
        assert ways == 2 and 1 <= min(shots, queries) <= 3


def test_nothing_to_compare() -> None:
    with pytest.raises(InputError, match="nothing to compare"):
        compare_methods({}, TARGETS)
    with pytest.raises(InputError, match="nothing to compare"):
        compare_methods({"z": points(1.0)}, TARGETS, {})
