from __future__ import annotations

import json

import pytest

from musicfsl.datasets.tinysol import FEW_SHOT_TEST_CLASSES, FEW_SHOT_TRAIN_CLASSES
from musicfsl.errors import InputError
from musicfsl.zeroshot.splits import SPLITS, ClassSplit, named_split, split_seen_unseen

TINYSOL = {*FEW_SHOT_TRAIN_CLASSES, *FEW_SHOT_TEST_CLASSES}


def test_published_splits_are_those_of_the_tutorials() -> None:
    words, images = named_split("tinysol-words"), named_split("tinysol-images")
    assert (len(words.seen), len(words.unseen)) == (9, 5)
    assert {*words.seen} == {*FEW_SHOT_TRAIN_CLASSES}
    assert {*words.unseen} == {*FEW_SHOT_TEST_CLASSES}
    assert (len(images.seen), len(images.unseen)) == (4, 4)
    assert {*images.classes} <= TINYSOL
    assert words.test_folds == images.test_folds == (4,)
    assert all(name == split.name for name, split in SPLITS.items())


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no split 'tinysol-word'\. Did you mean 'tinysol-words'\?"):
        named_split("tinysol-word")


@pytest.mark.parametrize(
    ("seen", "unseen", "message"),
    [
        (("a", "b"), ("b", "c"), "class 'b' is seen and unseen"),
        (("a", "b", "a"), ("c", "d"), "class 'a' stands twice among the seen"),
        (("a", "b"), ("c",), "has 1 unseen classes; expected two"),
        (("a",), ("c", "d"), "has 1 seen classes; expected two"),
    ],
)
def test_splits_that_make_no_sense(seen, unseen, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClassSplit("s", seen, unseen)


def test_random_splits_use_every_class_once_and_do_not_hang_on_the_order() -> None:
    names = [f"class {c}" for c in range(12)]
    split = split_seen_unseen(names, 3, seed=4)
    assert sorted(split.classes) == sorted(names)
    assert len(split.unseen) == 3
    assert split_seen_unseen(names[::-1], 3, seed=4) == split
    assert len({split_seen_unseen(names, 3, seed).unseen for seed in range(20)}) > 10


@pytest.mark.parametrize("n_unseen", [0, 1, 4, 9])
def test_too_few_on_a_side(n_unseen: int) -> None:
    with pytest.raises(InputError, match=f"n_unseen is {n_unseen} of 5 classes; expected 2 to 3"):
        split_seen_unseen(list("abcde"), n_unseen, seed=0)


def test_through_json() -> None:
    split = named_split("tinysol-words")
    assert ClassSplit.from_dict(json.loads(json.dumps(split.to_dict()))) == split
