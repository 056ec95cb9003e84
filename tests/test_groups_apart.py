"""Groups that several classes share, kept apart in the whole episode."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from musicfsl import _group_divisions
from musicfsl._group_divisions import divide_classes
from musicfsl.episodes import EpisodeDataset, EpisodeSampler
from musicfsl.errors import EpisodeError, InputError
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import PrototypicalHead

# Seven words of eight speakers, five times each.
WORDS = np.repeat(np.arange(7), 40)
SPEAKERS = np.tile(np.arange(8), 35)


def shares(drawn, groups: np.ndarray) -> tuple[list[bool], list[bool]]:
    """For each episode, whether a group is on both sides of one of its classes, and on both sides of the whole."""
    of_class, of_episode = [], []
    for support, query in zip(groups[drawn.support], groups[drawn.query], strict=True):
        of_class.append(any(set(s) & set(q) for s, q in zip(support.tolist(), query.tolist(), strict=True)))
        of_episode.append(bool(set(support.ravel().tolist()) & set(query.ravel().tolist())))
    return of_class, of_episode


def apart(seed: int = 0, **arguments) -> EpisodeSampler:
    given = {"n_way": 4, "n_support": 3, "n_query": 5, "groups": SPEAKERS, "groups_apart": "episode", **arguments}
    return EpisodeSampler(WORDS, seed=seed, **given)


def test_no_group_is_on_both_sides_of_any_episode() -> None:
    of_class, of_episode = shares(apart().draw(0, 500), SPEAKERS)
    assert not any(of_class)
    assert not any(of_episode)
    of_class, of_episode = shares(apart(groups_apart="class").draw(0, 500), SPEAKERS)
    assert not any(of_class)
    assert np.mean(of_episode) > 0.9  # what the option is for


def test_a_class_that_comes_twice_is_divided_as_one() -> None:
    drawn = apart(n_way=12, repeat_classes=True).draw(0, 100)
    assert not any(shares(drawn, SPEAKERS)[1])


def test_unbalanced_queries_keep_apart_too() -> None:
    sampler = apart()
    drawn = sampler.draw_unbalanced(0, 200)
    for support, query in zip(SPEAKERS[drawn.support], SPEAKERS[drawn.query], strict=True):
        assert set(support.ravel().tolist()).isdisjoint(query.tolist())
    np.testing.assert_array_equal(drawn.support, sampler.draw(0, 200).support)


def test_clips_are_of_their_classes_and_come_once() -> None:
    drawn = apart().draw(0, 300)
    clips = np.concatenate([drawn.support, drawn.query], axis=2)
    assert (WORDS[clips] == drawn.classes[:, :, None]).all()
    assert (np.diff(np.sort(clips.reshape(300, -1), axis=1), axis=1) > 0).all()


def test_episodes_depend_on_seed_and_number_alone() -> None:
    together = apart(seed=3).draw(10, 30)
    for i in range(30):
        for one, many in zip(apart(seed=3).draw(10 + i), together, strict=True):
            np.testing.assert_array_equal(one[0], many[i])
    assert (apart(seed=4).draw(10, 30).query != together.query).mean() > 0.9


def test_the_classes_of_an_episode_are_those_without_the_option() -> None:
    for groups in (None, SPEAKERS):
        without = EpisodeSampler(WORDS, 4, 3, 5, seed=0, groups=groups)
        np.testing.assert_array_equal(apart().draw(0, 50).classes, without.draw(0, 50).classes)


def test_every_clip_is_drawn_on_either_side() -> None:
    drawn = apart().draw(0, 3000)
    for clips in (drawn.support, drawn.query):
        counts = np.bincount(clips.ravel(), minlength=len(WORDS))
        # All are alike, so that their counts differ by chance only: that of episodes, and that of the 256 divisions.
        assert counts.min() > 0.5 * counts.mean()


@pytest.mark.parametrize("seed", range(20))
def test_divisions_are_found_just_where_a_loop_over_all_of_them_finds_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clips = rng.integers(0, 4, size=(5, 3))  # of five groups in three classes
    groups = [np.repeat(np.arange(5), clips[:, c]) for c in range(3)]
    n_support, n_query = 3, 3
    possible = set()
    for size in range(6):
        for side in itertools.combinations(np.flatnonzero(clips.any(axis=1)), size):
            on_side = np.isin(np.arange(5), side)
            if all(clips[on_side, c].sum() >= n_support and clips[~on_side, c].sum() >= n_query for c in range(3)):
                possible.add(side)
    found = set()
    for masks in divide_classes(groups, n_support, n_query, rng):
        support, query = (
            {int(g) for of_class, mask in zip(groups, masks, strict=True) for g in of_class[mask == side]}
            for side in (True, False)
        )
        assert support.isdisjoint(query)
        found.add(tuple(sorted(support)))
    assert found == possible


def test_divisions_are_computed_where_chance_hardly_finds_any(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first class needs seven of its groups on either side; the second groups 0 to 6, or 7, which has as many clips.
    groups = [np.arange(14), np.array([0, 1, 2, 3, 4, 5, 6, *[7] * 7])]
    monkeypatch.setattr(_group_divisions, "_N_TRIES", 0)
    divisions = divide_classes(groups, 7, 7, np.random.default_rng(0))
    assert sorted(groups[0][masks[0]].tolist() for masks in divisions) == [list(range(7)), list(range(7, 14))]
    assert divide_classes(groups, 7, 8, np.random.default_rng(0)) == []


def test_groups_of_one_class_each_are_divided_class_by_class() -> None:
    # Of the four groups of a class any may be the one of support, whichever it is in the others: 4 ** 5 ways in all.
    targets, groups = np.repeat(np.arange(5), 56), np.arange(280) // 14
    sampler = EpisodeSampler(targets, 5, 14, 42, groups=groups, groups_apart="episode")
    drawn = sampler.draw(0, 200)
    assert not any(shares(drawn, groups)[1])
    by_class = np.take_along_axis(groups[drawn.support[..., 0]] % 4, np.argsort(drawn.classes, axis=1), axis=1)
    assert len({tuple(row) for row in by_class.tolist()}) > 50


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"groups": np.tile([0, 1], 140), "n_support": 30, "n_query": 5},
            EpisodeError,
            "class 'w0' has 40 clips in 2 groups, which cannot be divided into 30 support and 5 query clips",
        ),
        ({"groups": None}, InputError, "groups_apart is 'episode', but there are no groups to keep apart"),
        ({"groups_apart": "all"}, InputError, "groups_apart is 'all'; expected 'class' or 'episode'"),
    ],
)
def test_what_is_impossible(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        apart(class_names=[f"w{c}" for c in range(7)], **arguments)


def test_groups_that_suffice_for_each_class_but_not_for_all() -> None:
    # Each word has two of three speakers, a pair of its own, so that one of the three pairs is never divided.
    targets = np.repeat([0, 1, 2], 6)
    groups = np.concatenate([np.repeat([0, 1], 3), np.repeat([1, 2], 3), np.repeat([0, 2], 3)])
    EpisodeSampler(targets, 2, 3, 3, groups=groups)
    with pytest.raises(
        EpisodeError,
        match="3 classes share 3 groups, and no way was found .* 3 support clips in some and 3 query clips",
    ):
        EpisodeSampler(targets, 2, 3, 3, groups=groups, groups_apart="episode")


def test_an_untrained_network_is_not_drawn_to_decoys() -> None:
    # Embeddings that tell speakers only: across words a speaker's other clip is a decoy, and there is nothing to gain.
    rng = np.random.default_rng(0)
    z = np.eye(8, dtype=np.float32)[SPEAKERS] + 0.01 * rng.standard_normal((280, 8)).astype(np.float32)
    given = {"n_way": 4, "n_support": 1, "n_query": 5, "n_episodes": 400, "groups": SPEAKERS}
    decoyed = evaluate_episodes(z, WORDS, PrototypicalHead(), **given)
    fair = evaluate_episodes(z, WORDS, PrototypicalHead(), groups_apart="episode", **given)
    assert decoyed.mean + decoyed.ci95 < 0.25 - 0.03
    assert abs(fair.mean - 0.25) < 2 * fair.ci95
    assert "support and query from different groups in the whole episode" in str(fair)
    assert "in the whole episode" not in str(decoyed)
    assert (fair.to_dict()["groups_apart"], decoyed.to_dict()["groups_apart"]) == ("episode", "class")


def test_episodes_of_clips_keep_apart_too(make_tones, monkeypatch: pytest.MonkeyPatch) -> None:
    tones = make_tones(n_classes=4, n_clips=12).with_length(4000)
    monkeypatch.setattr(tones, "groups", np.arange(48) % 3)
    episodes = EpisodeDataset(tones, 3, 2, 2, n_episodes=5, groups_apart="episode")
    assert episodes[0].support.shape[0] == 6
    assert not any(shares(episodes.sampler.draw(0, 50), tones.groups)[1])
    with pytest.raises(InputError, match=r"no groups to keep apart.*split_groups=True"):
        EpisodeDataset(tones, 3, 2, 2, split_groups=False, groups_apart="episode")
