"""Hierarchical partitions: their rules hold on random trees, and files hold exactly what was written."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from musicfsl.datasets._instruments import INSTRUMENTS
from musicfsl.errors import InputError
from musicfsl.partition import Partition, partition_classes
from musicfsl.taxonomy import Taxonomy

TREE = Taxonomy({"strings": {"bowed": ["Violin", "Viola", "Cello"], "plucked": ["Harp"]}, "winds": ["Oboe", "Flute"]})
PARTITION = Partition(
    {"train": ("Violin", "Cello", "Oboe"), "test": ("Viola", "Harp", "Flute")}, "small", 1, 3, (0.5, 0.5)
)


def random_tree(seed: int) -> Taxonomy:
    """Families of very different sizes, some in two ranks."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 9, size=rng.integers(2, 9))
    nested: dict = {}
    for f, size in enumerate(sizes):
        names = [f"class {f} {c}" for c in range(size)]
        nested[f"family {f}"] = {"first": names[:2], "others": names[2:]} if size > 2 and f % 2 else names
    return Taxonomy(nested, "random")


SIZES = (
    [("train", "val", "test"), (0.6, 0.2, 0.2)],
    [("a", "b"), (0.5, 0.5)],
    [("x", "y", "z", "w"), (0.7, 0.1, 0.1, 0.1)],
)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize(("parts", "sizes"), SIZES)
def test_the_rules_hold_on_random_trees(seed: int, parts: tuple[str, ...], sizes: tuple[float, ...]) -> None:
    tree = random_tree(seed)
    if len(tree.classes) < len(parts):
        pytest.skip("fewer classes than parts")
    for depth in range(tree.depth):
        partition = partition_classes(tree, None, parts, sizes, depth, seed)
        assert sorted(name for part in parts for name in partition.part(part)) == sorted(tree.classes)
        node_of = dict(zip(tree.classes, tree.level(tree.depth - depth), strict=True))
        members = Counter(node_of.values())
        large = [node for node, number in members.items() if number >= len(parts)]
        least = max(1, len(large))  # what the first rule asks of every part
        fair = {part: len(tree.classes) * size for part, size in zip(parts, sizes, strict=True)}
        for part in parts:
            chosen = partition.part(part)
            assert {node_of[name] for name in chosen} >= set(large)
            if min(fair.values()) >= least:
                assert abs(len(chosen) - fair[part]) < 1
            elif fair[part] < least:
                assert len(chosen) == least
            else:
                assert least <= len(chosen) < fair[part] + 1


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_shares_are_met_on_the_embedded_set(depth: int) -> None:
    partition = partition_classes(Taxonomy.load("families"), list(INSTRUMENTS), depth=depth)
    assert sorted(len(classes) for classes in partition.parts.values()) == [9, 10, 28]


def test_nodes_are_split_in_their_shares() -> None:
    tree = Taxonomy({f"family {f}": [f"{f} {c}" for c in range(10)] for f in range(3)})
    partition = partition_classes(tree, sizes=(0.5, 0.3, 0.2))
    for part, expected in (("train", 5), ("val", 3), ("test", 2)):
        assert Counter(name[0] for name in partition.part(part)) == {"0": expected, "1": expected, "2": expected}


def test_many_small_families_get_a_class_in_each_part_though_shares_suffer() -> None:
    tree = Taxonomy({f"family {f}": [f"{f} {c}" for c in range(3)] for f in range(5)})
    partition = partition_classes(tree, sizes=(0.8, 0.1, 0.1))
    assert [len(classes) for classes in partition.parts.values()] == [5, 5, 5]


def test_lone_classes_are_split_together_with_their_cousins() -> None:
    """Four families with one class each, below one node: by the seed every class comes into every part."""
    tree = Taxonomy({"winds": {f"kind {c}": [f"wind {c}"] for c in range(5)}, "strings": ["a", "b", "c", "d", "e"]})
    seen = set()
    for seed in range(30):
        partition = partition_classes(tree, depth=2, seed=seed)
        assert [len(classes) for classes in partition.parts.values()] == [6, 2, 2]
        by_part = {part: sum(name in tree.leaves("winds") for name in partition.part(part)) for part in partition.parts}
        assert by_part == {"train": 3, "val": 1, "test": 1}
        seen |= set(partition.part_of.items())
    assert len(seen) == 3 * 10


def test_the_seed_decides_and_the_order_of_classes_does_not() -> None:
    tree, names = Taxonomy.load("hornbostel-sachs"), list(INSTRUMENTS)
    first = partition_classes(tree, names, depth=2, seed=4)
    assert partition_classes(tree, names[::-1], depth=2, seed=4) == first
    assert partition_classes(tree, names, depth=2, seed=5).parts != first.parts


def test_depth_zero_is_a_random_split_that_knows_no_families() -> None:
    tree = Taxonomy({"a": ["a1", "a2", "a3"], "b": ["b1", "b2", "b3"]})
    splits = {partition_classes(tree, None, ("p", "q"), (0.5, 0.5), 0, seed).parts["p"] for seed in range(60)}
    assert ("a1", "a2", "a3") in splits
    splits = {partition_classes(tree, None, ("p", "q"), (0.5, 0.5), 1, seed).parts["p"] for seed in range(60)}
    assert ("a1", "a2", "a3") not in splits


def test_what_is_kept_of_the_request() -> None:
    partition = partition_classes(Taxonomy.load("families"), ["oboe", "flute", "cello"], depth=1, seed=7)
    assert (partition.taxonomy, partition.depth, partition.seed) == ("families", 1, 7)
    assert partition.sizes == (0.6, 0.2, 0.2)
    assert sorted(partition.part_of) == ["cello", "flute", "oboe"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": (0.6, 0.2, 0.1)}, r"sizes are \[0.6, 0.2, 0.1\]; expected positive numbers with the sum 1"),
        ({"sizes": (1.2, -0.1, -0.1)}, "expected positive numbers"),
        ({"sizes": (0.5, 0.5, float("nan"))}, "expected positive numbers"),
        ({"sizes": (0.5, 0.5)}, "there are 2 sizes for 3 parts"),
        ({"parts": ("a", "a", "b")}, "expected two or more different names"),
        ({"parts": ("a",), "sizes": (1.0,)}, "expected two or more different names"),
        ({"parts": "train"}, "parts is the string 'train'"),
        ({"depth": 3}, r"depth is 3; expected 0 \(the root\) to 2"),
        ({"depth": -1}, "depth is -1"),
        ({"classes": ["Oboe", "Flute"]}, "there are 2 classes for 3 parts"),
        ({"classes": ["Oboe", "Flute", "kazoo"]}, "class 'kazoo' is not in the taxonomy"),
    ],
)
def test_impossible_requests(arguments, message: str) -> None:
    with pytest.raises(InputError, match=message):
        partition_classes(TREE, **arguments)


class TestPartition:
    def test_what_was_saved_is_loaded(self, tmp_path: Path) -> None:
        path = PARTITION.save(tmp_path / "new" / "partition.json")
        assert Partition.load(path) == PARTITION
        assert [p.name for p in path.parent.iterdir()] == ["partition.json"]

    def test_parts(self) -> None:
        assert PARTITION.part("test") == ["Viola", "Harp", "Flute"]
        with pytest.raises(InputError, match=r"no part 'tests'. Did you mean 'test'\? The partition has: train, test"):
            PARTITION.part("tests")

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ({"a": ("Oboe",), "b": ("Flute", "Oboe")}, "class 'Oboe' stands in parts 'a' and 'b'"),
            ({"a": ("Oboe", "Oboe"), "b": ("Flute",)}, "class 'Oboe' stands in part 'a' twice"),
            ({"a": ("Oboe",), "b": ()}, "part 'b' has no classes"),
            ({"a": ("Oboe",)}, "there are 2 sizes for 1 parts"),
        ],
    )
    def test_a_class_has_one_part(self, parts, message: str) -> None:
        with pytest.raises(InputError, match=message):
            Partition(parts, "small", 1, 0, (0.5, 0.5))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"parts": {"a": ["Oboe"], "b": ["Oboe"]}}, "class 'Oboe' stands in parts 'a' and 'b'"),
            ({"color": "red"}, "is no partition: .* too many or missing: color"),
            ({"seed": None}, "'depth' and 'seed' whole numbers"),
            ({"depth": True}, "'depth' and 'seed' whole numbers"),
            ({"parts": {"a": "Oboe", "b": ["Flute"]}}, "'parts' should hold a list of class names"),
            ({"parts": {"a": [1], "b": ["Flute"]}}, "'parts' should hold a list of class names"),
            ({"parts": ["Oboe"]}, "'parts' should hold a list of class names"),
            ({"sizes": [0.5, "0.5"]}, "'sizes' should be a list of numbers"),
        ],
    )
    def test_files_that_hold_something_else(self, tmp_path: Path, change, message: str) -> None:
        path = tmp_path / "partition.json"
        path.write_text(json.dumps({**PARTITION.to_dict(), **change}))
        with pytest.raises(InputError, match=message) as caught:
            Partition.load(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "line 1 is not valid JSON"),
            ("[1]", "is no partition"),
            ('{"parts": {"a": ["Oboe"], "a": ["Flute"]}}', "'a' stands in it twice"),
        ],
    )
    def test_files_that_are_no_json_objects(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "partition.json").write_text(text)
        with pytest.raises(InputError, match=message):
            Partition.load(tmp_path / "partition.json")

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="missing.json cannot be read"):
            Partition.load(tmp_path / "missing.json")

    def test_drawing(self) -> None:
        counts = {"Violin": 120, "Cello": 7, "Oboe": 30, "Viola": 4, "Harp": 5}
        assert PARTITION.draw(TREE, counts).splitlines() == [
            "├─ strings",
            "│  ├─ bowed",
            "│  │  ├─ Violin  train    120",
            "│  │  ├─ Viola   test       4",
            "│  │  └─ Cello   train      7",
            "│  └─ plucked",
            "│     └─ Harp    test       5",
            "└─ winds",
            "   ├─ Oboe       train     30",
            "   └─ Flute      test       0",
            "",
            "train  3 of 6 classes (50%; asked 50%), 157 clips",
            "test   3 of 6 classes (50%; asked 50%), 9 clips",
        ]

    def test_colours_are_one_a_part_and_change_nothing_else(self) -> None:
        colored = PARTITION.draw(TREE, color=True)
        assert "\x1b[34mViolin  train\x1b[0m" in colored
        assert "\x1b[32mViola   test \x1b[0m" in colored
        plain = colored.replace("\x1b[34m", "").replace("\x1b[32m", "").replace("\x1b[0m", "")
        assert [line.rstrip() for line in plain.splitlines()] == PARTITION.draw(TREE).splitlines()
