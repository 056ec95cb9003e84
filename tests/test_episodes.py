from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from musicfsl._group_divisions import _groups_with_sum_between
from musicfsl.episodes import EpisodeDataset, EpisodeSampler, collate_episodes
from musicfsl.errors import EpisodeError, InputError

TARGETS = np.repeat(np.arange(7), 30)
GROUPS = np.arange(210) // 5  # six groups a class


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_a_batch_equals_its_episodes_one_by_one(groups: np.ndarray | None) -> None:
    sampler = EpisodeSampler(TARGETS, 5, 3, 4, seed=3, groups=groups)
    together = sampler.draw(10, 40)
    for i in range(40):
        alone = sampler.draw(10 + i)
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], many[i])


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_no_clip_twice_and_classes_right(groups: np.ndarray | None) -> None:
    drawn = EpisodeSampler(TARGETS, 5, 5, 15, seed=0, groups=groups).draw(0, 500)
    clips = np.concatenate([drawn.support, drawn.query], axis=2)
    assert (TARGETS[clips] == drawn.classes[:, :, None]).all()
    assert (np.diff(np.sort(clips.reshape(500, -1), axis=1), axis=1) > 0).all()
    assert (np.diff(np.sort(drawn.classes, axis=1), axis=1) > 0).all()


def test_no_group_on_both_sides() -> None:
    drawn = EpisodeSampler(TARGETS, 5, 5, 15, seed=0, groups=GROUPS).draw(0, 500)
    support, query = GROUPS[drawn.support], GROUPS[drawn.query]
    assert not (support[..., :, None] == query[..., None, :]).any()


def test_every_clip_and_class_is_equally_likely() -> None:
    drawn = EpisodeSampler(TARGETS, 5, 4, 6, seed=1).draw(0, 4200)
    # A binomial count lies within five standard deviations but once in two million times.
    for clips, per_class in ((drawn.support, 4), (drawn.query, 6)):
        counts = np.bincount(clips.reshape(-1), minlength=210)
        p = 5 / 7 * per_class / 30
        assert abs(counts - 4200 * p).max() < 5 * np.sqrt(4200 * p * (1 - p))
    classes = np.bincount(drawn.classes.reshape(-1))
    assert abs(classes - 3000).max() < 5 * np.sqrt(4200 * 5 / 7 * 2 / 7)


def test_order_within_a_class_is_random() -> None:
    # A sample that came out sorted would give the support the first recordings of a class.
    drawn = EpisodeSampler(TARGETS, 2, 1, 1, seed=0).draw(0, 3000)
    share = (drawn.support < drawn.query).mean()
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(6000)


def test_another_seed_gives_other_episodes() -> None:
    first, second = (EpisodeSampler(TARGETS, 5, 3, 4, seed=s).draw(0, 20).query for s in (0, 1))
    assert (first != second).mean() > 0.9


def test_labels_need_not_be_contiguous() -> None:
    labels = np.array([-3, 10, 500])[np.repeat([0, 1, 2], 10)]
    drawn = EpisodeSampler(labels, 3, 2, 3).draw(0, 10)
    assert set(drawn.classes.reshape(-1)) == {-3, 10, 500}
    assert (labels[drawn.query] == drawn.classes[:, :, None]).all()


def test_unequal_groups_are_divided_where_that_is_possible() -> None:
    # Only the group of 2 and one of 3 can be support: 5 support clips, and 95 of 100 left for query.
    targets = np.repeat([0, 1], 100)
    sizes = [2, 3, 95]
    groups = np.concatenate([np.repeat([0, 1, 2], sizes), np.repeat([3, 4, 5], sizes)])
    drawn = EpisodeSampler(targets, 2, 5, 95, groups=groups).draw(0, 20)
    assert not (groups[drawn.support] % 3 == 2).any()
    with pytest.raises(
        EpisodeError, match="class '0' has 100 clips in 3 groups, which cannot be divided into 6 support"
    ):
        EpisodeSampler(targets, 2, 6, 94, groups=groups)


def test_a_division_is_computed_where_chance_hardly_finds_one() -> None:
    # 40 groups of 2 and one of 1: an odd number of support clips needs the one; exactly 41 + 40 clips leave no slack.
    clips = [2] * 40 + [1]
    chosen = _groups_with_sum_between(clips, 41, 41)
    assert chosen is not None
    assert sum(clips[g] for g in chosen) == 41
    assert _groups_with_sum_between([2] * 40, 41, 41) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_way": 8}, "n_way is 8, but the data set has only 7 classes"),
        ({"n_way": 1}, "n_way is 1; expected 2 or more"),
        ({"n_support": 0}, "n_support is 0; expected 1 or more"),
        ({"n_query": 0}, "n_query is 0; expected 1 or more"),
        ({"n_query": 26}, "class 'c0' has 30 clips, but 5 support \\+ 26 query need 31"),
    ],
)
def test_impossible_episodes(arguments: dict, message: str) -> None:
    with pytest.raises(EpisodeError, match=message):
        EpisodeSampler(
            TARGETS, **{"n_way": 5, "n_support": 5, "n_query": 15, **arguments}, class_names=[f"c{i}" for i in range(7)]
        )


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="seed is -1"):
        EpisodeSampler(TARGETS, 5, 5, 15, seed=-1)


def test_repeated_classes(tones) -> None:
    drawn = EpisodeSampler(TARGETS, 20, 2, 2, repeat_classes=True).draw(0, 100)
    assert (TARGETS[drawn.support] == drawn.classes[:, :, None]).all()
    assert any(len(set(classes)) < 20 for classes in drawn.classes)


class TestEpisodeDataset:
    def test_shapes_and_numbering(self, tones) -> None:
        episodes = EpisodeDataset(tones.with_length(4000), n_way=3, n_support=2, n_query=4, n_episodes=5)
        episode = episodes[2]
        assert episode.support.shape == (6, 1, 4000)
        assert episode.query.shape == (12, 1, 4000)
        assert episode.support_targets.tolist() == [0, 0, 1, 1, 2, 2]
        assert episode.query_targets.tolist() == [0] * 4 + [1] * 4 + [2] * 4
        assert len(set(episode.classes)) == 3
        assert len(list(episodes)) == 5

    def test_items_belong_to_the_classes_named(self, make_tones) -> None:
        dataset = make_tones(n_classes=4)
        whole = {i: dataset.read(i) for i in range(len(dataset))}
        episode = EpisodeDataset(dataset.with_length(4000), 3, 2, 4, 1)[0]
        for item, target in zip(episode.query, episode.query_targets, strict=True):
            # The crop must be found in a clip of that class.
            name = episode.classes[int(target)]
            members = dataset.class_to_indices[name]
            assert any((whole[i].unfold(1, 4000, 1)[0] == item[0]).all(dim=1).any() for i in members.tolist())

    def test_number_of_workers_changes_nothing(self, tones) -> None:
        def noisy(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
            return x + float(rng.normal())

        episodes = EpisodeDataset(tones.with_length(4000), 3, 2, 2, 6, seed=5, augment=noisy)
        alone = [episodes[i] for i in range(6)]
        loader = DataLoader(
            episodes,
            batch_size=2,
            num_workers=2,
            collate_fn=collate_episodes,
            multiprocessing_context="fork",
            generator=torch.Generator(),
        )
        for step, (first, second) in zip(loader, list(zip(alone[::2], alone[1::2], strict=True)), strict=True):
            assert torch.equal(step.support, torch.stack([first.support, second.support]))
            assert torch.equal(step.query, torch.stack([first.query, second.query]))
            assert step.classes == [first.classes, second.classes]

    def test_class_augmentation_is_the_same_for_all_items_of_a_way(self, tones) -> None:
        class Offset:
            """Adds one number to all clips of a class."""

            def __call__(self, rng: np.random.Generator):
                offset = 100 * float(rng.integers(1, 1000))
                return lambda x, _: x + offset

        episode = EpisodeDataset(tones.with_length(4000), 12, 2, 3, 3, class_augment=Offset())[1]
        support = episode.support.mean(dim=(1, 2)).reshape(12, 2).div(100).round()
        query = episode.query.mean(dim=(1, 2)).reshape(12, 3).div(100).round()
        assert (support[:, :1] == support).all()
        assert (support[:, :1] == query).all()
        assert len(set(support[:, 0].tolist())) > 6

    def test_items_of_different_lengths_are_refused(self, tones) -> None:
        with pytest.raises(EpisodeError, match="items of tones have different lengths .* give the data set a duration"):
            EpisodeDataset(tones, 3, 2, 2, 1)[0]

    def test_group_split_can_be_switched_off(self, make_tones) -> None:
        one_group = make_tones(n_clips=12, n_groups=1).with_length(2000)
        with pytest.raises(EpisodeError, match="12 clips in 1 groups"):
            EpisodeDataset(one_group, 3, 2, 2, 1)
        assert len(EpisodeDataset(one_group, 3, 2, 2, 1, split_groups=False)[0].query) == 6

    def test_numbers_out_of_range(self, tones) -> None:
        episodes = EpisodeDataset(tones.with_length(2000), 3, 2, 2, 4)
        for index in (-1, 4):
            with pytest.raises(IndexError, match="out of range for 4 episodes"):
                episodes[index]
        with pytest.raises(EpisodeError, match="n_episodes is 0"):
            EpisodeDataset(tones, 3, 2, 2, 0)

    def test_episodes_differ(self, tones) -> None:
        episodes = EpisodeDataset(tones.with_length(2000), 3, 2, 2, 6)
        for one, other in pairwise(episodes):
            assert not torch.equal(one.query, other.query)
