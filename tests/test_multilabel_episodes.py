from __future__ import annotations

import numpy as np
import pytest

from musicfsl.episodes import EpisodeDataset, EpisodeSampler
from musicfsl.errors import EpisodeError, InputError
from musicfsl.multilabel_episodes import MultiLabelEpisodeSampler

N, C = 240, 8
NAMES = [f"class {c}" for c in range(C)]


@pytest.fixture
def targets() -> np.ndarray:
    """One to three labels an item, of eight."""
    rng = np.random.default_rng(0)
    rows = np.zeros((N, C), dtype=np.uint8)
    for row in rows:
        row[rng.choice(C, rng.integers(1, 4), replace=False)] = 1
    return rows


GROUPS = np.arange(N) // 4


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_every_label_has_enough_and_nothing_is_on_both_sides(targets: np.ndarray, groups: np.ndarray | None) -> None:
    sampler = MultiLabelEpisodeSampler(targets, 5, 3, 6, seed=1, groups=groups)
    sizes = set()
    for i in range(200):
        classes, support, query = sampler.draw(i)
        assert len(set(classes)) == 5
        for items, least in ((support, 3), (query, 6)):
            labels = targets[items][:, classes]
            assert (labels.sum(axis=0) >= least).all()
            assert labels.any(axis=1).all()
            assert len(set(items)) == len(items) <= 5 * least
            # No more items than are needed: the last one drawn was for a label that lacked it.
            assert (labels[:-1].sum(axis=0) < least).any()
        assert not set(support) & set(query)
        if groups is not None:
            assert not set(groups[support]) & set(groups[query])
        sizes.add(len(support))
    assert len(sizes) > 3


def test_an_episode_is_a_function_of_seed_and_number(targets: np.ndarray) -> None:
    sampler = MultiLabelEpisodeSampler(targets, 4, 2, 3, seed=5, groups=GROUPS)
    forwards = [sampler.draw(i) for i in range(20)]
    again = MultiLabelEpisodeSampler(targets, 4, 2, 3, seed=5, groups=GROUPS)
    for i in reversed(range(20)):
        for a, b in zip(forwards[i], again.draw(i), strict=True):
            np.testing.assert_array_equal(a, b)
    other = MultiLabelEpisodeSampler(targets, 4, 2, 3, seed=6, groups=GROUPS)
    for episodes in ([other.draw(i) for i in range(20)], forwards[1:]):
        assert all(a.support.tolist() != b.support.tolist() for a, b in zip(forwards, episodes, strict=False))


def test_classes_and_items_of_one_label_are_equally_likely() -> None:
    targets = np.eye(6, dtype=np.uint8)[np.arange(60) % 6]
    sampler = MultiLabelEpisodeSampler(targets, 3, 2, 3)
    seen = {"classes": np.zeros(6), "support": np.zeros(60), "query": np.zeros(60)}
    n = 1000
    for i in range(n):
        for name, numbers in sampler.draw(i)._asdict().items():
            seen[name][numbers] += 1
    for name, each in (("classes", 3 / 6), ("support", 3 * 2 / 60), ("query", 3 * 3 / 60)):
        assert abs(seen[name] / n - each).max() < 5 * np.sqrt(each * (1 - each) / n)


def test_classes_that_no_item_has_are_left_out(targets: np.ndarray) -> None:
    targets[:, 2] = 0
    sampler = MultiLabelEpisodeSampler(targets, 7, 2, 2)
    assert sorted(sampler.draw(0).classes) == [0, 1, 3, 4, 5, 6, 7]
    with pytest.raises(EpisodeError, match="n_way is 8, but only 7 classes have items"):
        MultiLabelEpisodeSampler(targets, 8, 2, 2)


def test_a_rare_class_whose_items_are_just_enough() -> None:
    """All items of class 0 have class 1 too, and each is needed."""
    targets = np.zeros((40, 3), dtype=np.uint8)
    targets[:5, :2] = 1
    targets[5:20, 1] = 1
    targets[20:, 2] = 1
    sampler = MultiLabelEpisodeSampler(targets, 3, 2, 3)
    for i in range(50):
        classes, support, query = sampler.draw(i)
        counts = [
            dict(zip(classes.tolist(), targets[items][:, classes].sum(axis=0), strict=True))
            for items in (support, query)
        ]
        assert (counts[0][0], counts[1][0]) == (2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_way": 1}, "n_way is 1; expected 2 or more"),
        ({"n_support": 0}, "n_support is 0"),
        ({"n_query": 0}, "n_query is 0"),
        ({"n_way": 9}, "n_way is 9, but only 8 classes have items"),
        (
            {"n_query": 200},
            r"class 'class 0' has \d+ items, but 3 support \+ 200 query need 203; ask for fewer, or leave",
        ),
        ({"groups": np.arange(N) // 120}, "class 'class .' has .. items in 2 groups, and no division was found"),
        ({"groups": np.zeros(N, dtype=int)}, "items in 1 groups.*3 support and 30 query items from different groups"),
    ],
)
def test_impossible_episodes(targets: np.ndarray, change: dict, message: str) -> None:
    n_query = 30 if "groups" in change else 6
    with pytest.raises(EpisodeError, match=message):
        MultiLabelEpisodeSampler(
            targets, **{"n_way": 5, "n_support": 3, "n_query": n_query, "class_names": NAMES, **change}
        )


def test_classes_that_take_one_anothers_items() -> None:
    """Three items, two a class: whatever is divided, a class has both on one side."""
    targets = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    with pytest.raises(
        EpisodeError, match="class '.' has 2 items that other classes have as well, and no division was"
    ):
        MultiLabelEpisodeSampler(targets, 3, 1, 1)
    grouped = np.array([0, 0, 1, 1]), np.array([[1, 0, 1]] * 2 + [[0, 1, 1]] * 2)
    with pytest.raises(EpisodeError, match=r"class '[01]' has 2 items in 1 groups, and no division was found"):
        MultiLabelEpisodeSampler(grouped[1], 3, 1, 1, groups=grouped[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": np.arange(N) % C}, r"int64 of shape \(240,\); expected multi-hot .*numpy.eye\(C, dtype=int\)"),
        ({"targets": np.zeros((N, C))}, "float64 of shape"),
        ({"targets": np.full((N, C), 2)}, "other values than 0 and 1"),
        ({"targets": np.zeros((0, C), dtype=int)}, r"shape \(0, 8\)"),
        ({"groups": GROUPS[:-1]}, r"groups have shape \(239,\); expected \(240,\)"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_input(targets: np.ndarray, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MultiLabelEpisodeSampler(**{"targets": targets, "n_way": 5, "n_support": 3, "n_query": 6, **change})


def test_single_label_episodes_refuse_multi_hot_targets(targets: np.ndarray, tones) -> None:
    message = r"multi-hot, of shape \(240, 8\).*use MultiLabelEpisodeSampler and evaluate_multilabel_episodes"
    with pytest.raises(EpisodeError, match=message):
        EpisodeSampler(targets, 5, 3, 6)
    one_hot = np.eye(6, dtype=np.uint8)[tones.targets]
    numbers = tones.targets
    tones.targets = one_hot
    with pytest.raises(EpisodeError, match=r"exactly one label, give targets.argmax\(axis=1\)"):
        EpisodeDataset(tones, 5, 3, 6)
    by_advice = EpisodeSampler(one_hot.argmax(axis=1), 5, 3, 6).draw(0)
    np.testing.assert_array_equal(by_advice.support, EpisodeSampler(numbers, 5, 3, 6).draw(0).support)
