from __future__ import annotations

from itertools import chain

import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser

from musicfsl.embedding import embed_dataset
from musicfsl.errors import EpisodeError, InputError
from musicfsl.heads import PrototypicalHead
from musicfsl.partition import Partition
from musicfsl.training import EpisodicData
from musicfsl.training.loading import Share


@pytest.fixture
def set_up(make_learner, make_data, make_trainer):
    """The data module as Lightning sets it up, without training."""

    def set_up(*arguments, **options) -> EpisodicData:
        data = make_data(*arguments, **options)
        trainer = make_trainer()
        trainer.strategy.connect(make_learner())
        data.trainer = trainer
        data.prepare_data()
        data.setup("fit")
        return data

    return set_up


def test_parts_share_no_class_and_use_all(set_up, make_tones) -> None:
    for seed in range(5):
        data = set_up(split_seed=seed)
        names = [data.part(stage).classes for stage in ("train", "val", "test")]
        assert sorted(chain(*names)) == sorted(make_tones(n_classes=7).classes)
        assert [len(part) for part in names] == [3, 2, 2]


def test_named_classes(set_up) -> None:
    named = {"train_classes": ["tones-0", "tones-2", "tones-3"], "val_classes": ["tones-5", "tones-1"]}
    data = set_up(**named)
    assert data.train_classes == named["train_classes"]
    assert data.part("val").classes == named["val_classes"]
    with pytest.raises(InputError, match="no classes for 'test'; name test_classes"):
        data.part("test")


def test_small_fractions_still_leave_two_classes_a_part(set_up) -> None:
    data = set_up(sizes=(0.8, 0.1, 0.1), n_way=2)
    assert [len(data.part(stage).classes) for stage in ("train", "val", "test")] == [3, 2, 2]


@pytest.mark.parametrize("twice", ["val_classes", "test_classes"])
def test_a_shared_class_is_refused(twice: str) -> None:
    parts = {"train_classes": ["a", "b"], "val_classes": ["c", "d"], "test_classes": ["e", "f"]}
    parts[twice] = [*parts[twice], "b"]
    with pytest.raises(InputError, match=f"class 'b' stands in train_classes and in {twice}"):
        EpisodicData("synthetic", **parts)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_way": 4}, EpisodeError, "n_way is 4, but the data set has only 3 classes"),
        ({"n_query": 99}, EpisodeError, "class 'tones-.' has 24 clips, but 2 support \\+ 99 query"),
        ({"eval_n_query": 99}, EpisodeError, "24 clips, but 2 support \\+ 99 query"),
        ({"eval_n_way": 3}, EpisodeError, "n_way is 3, but the data set has only 2 classes"),
        ({"sizes": (1.0,)}, InputError, r"sizes are \(1.0,\); expected parts for training"),
    ],
)
def test_impossible_before_training(set_up, arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        set_up(**arguments)


def test_too_few_classes(set_up, make_tones) -> None:
    with pytest.raises(
        InputError, match="has 4 classes, but training, validation and test need two each.*leave the test"
    ):
        set_up(make_tones(n_classes=4), sizes=(0.6, 0.2, 0.2))
    with pytest.raises(InputError, match="tones has 1 classes"):
        set_up(make_tones(n_classes=1), sizes=(0.6, 0.4))
    assert set_up(make_tones(n_classes=4), sizes=(0.5, 0.5), n_way=2).parts == ["train", "val"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_classes": ["a"]}, "train_classes and val_classes go together"),
        ({"test_classes": ["a"]}, "train_classes and val_classes go together"),
        ({"episodes_per_epoch": 0}, "episodes_per_epoch is 0"),
        ({"duration": 0.0}, "duration is 0.0"),
    ],
)
def test_arguments_out_of_range(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EpisodicData("synthetic", **arguments)


def test_without_a_learner() -> None:
    with pytest.raises(InputError, match="takes its front end from the learner"):
        EpisodicData("synthetic").setup()


def test_more_ways_than_classes_with_augmentation(set_up) -> None:
    data = set_up(n_way=12, augment=True)
    step = next(iter(data.train_dataloader()))
    assert step.query.shape[1] == 24
    assert set(step.classes[0]) <= set(data.train_classes)


class TestShare:
    @pytest.mark.parametrize("n_processes", [1, 2, 3])
    @pytest.mark.parametrize("fresh", [True, False])
    def test_processes_divide_the_numbers(self, n_processes: int, fresh: bool) -> None:
        shares = [list(Share(13, n_processes, rank, fresh)) for rank in range(n_processes)]
        numbers = sorted(chain(*shares))
        assert numbers == list(range(13 - 13 % n_processes if fresh else 13))
        if fresh:
            assert len({len(share) for share in shares}) == 1
        for rank, share in enumerate(shares):
            assert len(share) == len(Share(13, n_processes, rank, fresh))

    def test_fresh_epochs_follow_one_another(self) -> None:
        share = Share(5, fresh=True)
        numbers = []
        for epoch in range(3):
            share.set_epoch(epoch)
            numbers += list(share)
        assert numbers == list(range(15))


def test_parts_and_evaluation_without_a_trainer(set_up, make_data, make_learner) -> None:
    data = make_data()
    with pytest.raises(InputError, match=r"setup_for\(encoder\) where nothing is trained"):
        data.setup()
    learner = make_learner()
    data.setup_for(learner.encoder)
    by_trainer = set_up()
    assert data.describe() == by_trainer.describe()
    z = embed_dataset(learner.encoder, data.part("test"))
    mine, theirs = (part.evaluate("test", z, learner.head) for part in (data, by_trainer))
    assert mine.accuracies.tolist() == theirs.accuracies.tolist()


class TestPartition:
    def test_classes_come_from_its_parts(self, set_up, tmp_path) -> None:
        parts = {
            "train": ("tones-0", "tones-2", "tones-3"),
            "val": ("tones-5", "tones-1"),
            "test": ("tones-4", "tones-6"),
        }
        partition = Partition(parts, "small", 1, 0, (0.4, 0.3, 0.3))
        data = set_up(partition=partition.save(tmp_path / "partition.json"))
        assert {stage: tuple(data.part(stage).classes) for stage in data.parts} == parts

    def test_the_test_may_be_left_out(self, set_up, tmp_path) -> None:
        parts = {"train": ("tones-0", "tones-2", "tones-3"), "val": ("tones-5", "tones-1")}
        partition = Partition(parts, "small", 1, 0, (0.6, 0.4))
        assert set_up(partition=partition.save(tmp_path / "partition.json")).parts == ["train", "val"]

    def test_other_parts_are_refused(self, tmp_path) -> None:
        path = Partition({"a": ("x",), "b": ("y",)}, "small", 1, 0, (0.5, 0.5)).save(tmp_path / "partition.json")
        with pytest.raises(InputError, match="has the parts a, b; expected train, val and perhaps test"):
            EpisodicData("synthetic", partition=path)

    def test_it_does_not_go_with_named_classes(self, tmp_path) -> None:
        with pytest.raises(InputError, match="leave the classes or the partition out"):
            EpisodicData("synthetic", partition=tmp_path / "p.json", train_classes=["a", "b"], val_classes=["c", "d"])


class TestGroupsApart:
    @pytest.fixture
    def speakers(self, make_tones):
        """Tones of which each has clips by the same four players."""
        tones = make_tones(n_classes=7, name="spoken")
        tones.groups = tones.groups % 4
        return tones

    def test_in_the_whole_episode(self, set_up, speakers) -> None:
        data = set_up(speakers, groups_apart="episode")
        assert data.settings()["groups_apart"] == "episode"
        for episodes in (data.train_dataloader().dataset, data.evaluation_episodes("test")):
            groups, drawn = episodes.dataset.groups, episodes.sampler.draw(0, 50)
            for support, query in zip(groups[drawn.support], groups[drawn.query], strict=True):
                assert set(support.ravel().tolist()).isdisjoint(query.ravel().tolist())
        report = data.evaluate("test", torch.eye(len(data.part("test"))), PrototypicalHead())
        assert "different groups in the whole episode" in str(report)

    def test_needs_groups(self, set_up, speakers) -> None:
        with pytest.raises(InputError, match=r"no groups to keep apart; give groups \(a data set that has them, with"):
            set_up(speakers, groups_apart="episode", split_groups=False)

    def test_is_a_setting_of_musicfsl_fit(self) -> None:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(EpisodicData, "data")
        assert parser.parse_args(["--data.groups_apart=episode"]).data.groups_apart == "episode"
        with pytest.raises(ArgumentError, match="groups_apart"):
            parser.parse_args(["--data.groups_apart=all"])
