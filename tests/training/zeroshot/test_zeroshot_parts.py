from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.training.zeroshot.clips import ClipBatches, EmbeddedClips
from musicfsl.training.zeroshot.parts import (
    choose_split,
    choose_val_classes,
    divide_clips,
    hold_out,
    refuse_known,
    same_instrument,
)
from musicfsl.zeroshot.splits import ClassSplit

SPLIT = ClassSplit("s", tuple("abcdefgh"), ("x", "y"))


class TestBatches:
    def test_every_class_and_every_clip_comes_equally_often(self, make_tones) -> None:
        tones = make_tones(n_classes=3)
        few = tones.subset(indices=[*range(24), *range(24, 30), *range(48, 58)])  # 24, 6 and 10 clips
        batches = ClipBatches(few, torch.arange(40.0)[:, None], batch_size=12, seed=1)
        drawn = [batches[i] for i in range(60)]  # 720 = 3 classes x 240
        targets = torch.cat([batch.targets for batch in drawn])
        clips = torch.cat([batch.x for batch in drawn])[:, 0].long()
        assert torch.bincount(targets).tolist() == [240, 240, 240]
        assert (torch.from_numpy(few.targets)[clips] == targets).all()
        assert torch.bincount(clips).tolist() == [10] * 24 + [40] * 6 + [24] * 10
        assert all(torch.bincount(batch.targets).tolist() == [4, 4, 4] for batch in drawn)

    def test_a_batch_is_a_function_of_seed_and_number(self, tones) -> None:
        clips = tones.with_length(1600)
        first, again, other = (ClipBatches(clips, batch_size=8, seed=seed) for seed in (3, 3, 4))
        _ = first[0], first[1]
        assert torch.equal(first[7].x, again[7].x)
        assert torch.equal(first[7].targets, again[7].targets)
        assert not torch.equal(first[7].targets, other[7].targets)
        assert first[7].x.shape == (8, 1, 1600)

    def test_sizes(self, tones) -> None:
        with pytest.raises(InputError, match="batch_size is 0"):
            ClipBatches(tones, batch_size=0)
        embedded = EmbeddedClips(torch.eye(3))
        assert (len(embedded), embedded[2].clip) == (3, 2)
        assert embedded[2].x.tolist() == [0, 0, 1]


class TestHoldOut:
    def test_a_share_of_every_class(self) -> None:
        targets = np.repeat(np.arange(3), [10, 40, 5])
        held = hold_out(targets, None, 0.2, np.random.default_rng(0), "abc")
        assert [int(held[targets == c].sum()) for c in range(3)] == [2, 8, 1]

    @pytest.mark.parametrize("seed", range(5))
    def test_no_group_is_divided_even_among_classes(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        targets = np.repeat(np.arange(4), 30)
        groups = rng.integers(12, size=120)  # songs in which several instruments play
        held = hold_out(targets, groups, 0.25, rng, "abcd")
        assert not {*groups[held]} & {*groups[~held]}
        for c in range(4):
            assert 0 < held[targets == c].mean() < 1

    def test_as_near_to_the_share_as_groups_come(self) -> None:
        targets, groups = np.zeros(60, dtype=int), np.arange(60) // 10
        assert hold_out(targets, groups, 0.2, np.random.default_rng(0), "a").sum() == 10
        assert hold_out(targets, groups, 0.3, np.random.default_rng(0), "a").sum() == 20

    def test_too_few(self) -> None:
        with pytest.raises(InputError, match=r"class 'b' has too few clips \(1\)"):
            hold_out(np.array([0, 0, 1]), None, 0.2, np.random.default_rng(0), "ab")
        with pytest.raises(InputError, match=r"class 'a' has too few groups \(1\).*split_groups=False"):
            hold_out(np.zeros(9, dtype=int), np.zeros(9, dtype=int), 0.2, np.random.default_rng(0), "a")
        with pytest.raises(InputError, match="the share of clips to hold out is 1"):
            hold_out(np.zeros(9, dtype=int), None, 1.0, np.random.default_rng(0), "a")


class TestDivision:
    targets = np.repeat(np.arange(8), 25)

    def test_folds_of_the_split_are_the_test(self) -> None:
        folds = np.tile(np.arange(5), 40)
        split = ClassSplit("with folds", SPLIT.seen, SPLIT.unseen, test_folds=(4,))
        held = divide_clips(self.targets, None, folds, split, 0.5, 0.2, seed=0)
        assert (held.test == (folds == 4)).all()
        assert not (held.test & held.val).any()
        assert [int(held.val[self.targets == c].sum()) for c in range(8)] == [4] * 8

    def test_folds_that_are_not_there(self) -> None:
        split = ClassSplit("with folds", SPLIT.seen, SPLIT.unseen, test_folds=(4,))
        with pytest.raises(InputError, match=r"'with folds' holds out folds \[4\], but this data set has no folds"):
            divide_clips(self.targets, None, None, split, 0.2, 0.2, seed=0)
        with pytest.raises(InputError, match="all or none of the clips of 'a' lie in folds"):
            divide_clips(self.targets, None, np.zeros(200, dtype=int), split, 0.2, 0.2, seed=0)

    def test_shares_and_seed(self) -> None:
        held = [divide_clips(self.targets, None, None, SPLIT, 0.2, 0.25, seed) for seed in (1, 1, 2)]
        assert (held[0].test == held[1].test).all()
        assert (held[0].test != held[2].test).any()
        assert (held[0].test.sum(), held[0].val.sum()) == (40, 40)
        assert not (held[0].test & held[0].val).any()


class TestClasses:
    def test_a_fifth_of_the_seen_classes_serves_validation(self) -> None:
        chosen = choose_val_classes(SPLIT, None, seed=0)
        assert len(chosen) == 2
        assert {*chosen} < {*SPLIT.seen}
        assert choose_val_classes(SPLIT, 3, seed=0) != choose_val_classes(SPLIT, 3, seed=1)
        assert choose_val_classes(ClassSplit("few", tuple("abcd"), ("x", "y")), None, seed=0) == []

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            (["a", "x"], "'x' is unseen, so it cannot serve validation"),
            (["a", "z"], "'z' is not among the seen classes"),
            (["a"], "has 1 unseen classes"),
            (1, "val_classes is 1 of 8 seen classes; expected 0, or 2 to 6"),
            (7, "val_classes is 7 of 8"),
        ],
    )
    def test_classes_that_cannot_serve_validation(self, asked, message: str) -> None:
        with pytest.raises(InputError, match=message):
            choose_val_classes(SPLIT, asked, seed=0)

    def test_a_split_by_names_by_number_or_as_given(self) -> None:
        names = ["Oboe", "Harp", "Flute", "Organ", "Banjo"]
        assert choose_split(names, unseen=["Flute", "Harp"]).seen == ("Oboe", "Organ", "Banjo")
        assert len(choose_split(names).unseen) == 2
        assert choose_split(names, SPLIT) is SPLIT

    def test_one_instrument_under_two_names_is_a_leak(self) -> None:
        with pytest.raises(
            InputError, match="'Contrabass' among the seen classes is the same instrument as the unseen"
        ):
            choose_split(["Contrabass", "Oboe", "double_bass", "Flute"], unseen=["double_bass", "Flute"])
        assert same_instrument("english horn", "Cor Anglais")
        assert same_instrument("my_kazoo", "My Kazoo")
        assert not same_instrument("my kazoo", "your kazoo")

    def test_an_encoder_that_has_heard_an_unseen_class(self) -> None:
        split = ClassSplit("s", ("Oboe", "Flute"), ("Harp", "Contrabass"))
        refuse_known(split, ["Oboe", "Organ"], "e.ckpt")
        with pytest.raises(InputError, match="e.ckpt was trained with recordings of 'double bass', so 'Contrabass' is"):
            refuse_known(split, ["Oboe", "double bass"], "e.ckpt")
