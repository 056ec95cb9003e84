from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from musicfsl.errors import EpisodeError, InputError
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import PrototypicalHead
from musicfsl.protocols import PROTOCOLS, run_protocol
from musicfsl.taxonomy import Taxonomy

TREE = Taxonomy({"a": [f"class {c}" for c in range(6)], "b": [f"class {c}" for c in range(6, 13)]})
NAMES = TREE.classes


def data(n_classes: int = 13, n_clips: int = 136) -> tuple[torch.Tensor, np.ndarray]:
    g = torch.Generator().manual_seed(0)
    targets = np.repeat(np.arange(n_classes), n_clips)
    return torch.randn(n_classes, 8, generator=g)[targets] + torch.randn(len(targets), 8, generator=g), targets


def test_music_trees_is_what_was_published() -> None:
    protocol = PROTOCOLS["music-trees"]
    assert (protocol.n_way, protocol.shots, protocol.n_query, protocol.n_episodes) == (12, (1, 4, 8, 16), 120, 100)


def test_a_run_is_one_evaluation_for_each_number_of_shots() -> None:
    z, targets = data()
    report = run_protocol(
        "music-trees", z, targets, PrototypicalHead(), seed=3, class_names=NAMES, taxonomy=TREE, is_synthetic=True
    )
    assert list(report.reports) == [1, 4, 8, 16]
    assert report.changed == []
    means = [each.mean for each in report.reports.values()]
    assert means == sorted(means)
    alone = evaluate_episodes(
        z, targets, PrototypicalHead(), 12, 8, 120, 100, seed=3, class_names=NAMES, taxonomy=TREE, is_synthetic=True
    )
    assert report.reports[8].to_dict() == alone.to_dict()
    content = json.loads(json.dumps(report.to_dict()))
    assert content["shots"]["16"]["hierarchy"]["accuracy"][1]["mean"] > content["shots"]["16"]["mean"]
    text = str(report)
    assert text.startswith(
        "music-trees: 12-way; 1, 4, 8, 16 shots; 120 queries a class; 100 episodes\n1 shot: accuracy"
    )
    assert "not as published" not in text


def test_what_differs_from_the_protocol_is_named() -> None:
    z, targets = data(5, 30)
    report = run_protocol(
        "music-trees", z, targets, PrototypicalHead(), n_way=5, shots=[4, 1], n_query=20, n_episodes=100
    )
    assert report.changed == ["n_way", "shots", "n_query"]
    assert list(report.reports) == [4, 1]
    assert report.reports[1].n_query == 20
    assert "(not as published: n_way, shots, n_query)" in str(report)


class TestTooSmall:
    def test_too_few_classes(self) -> None:
        z, targets = data(10, 20)
        with pytest.raises(EpisodeError, match="12 ways, but there are 10 classes; the largest possible is n_way=10"):
            run_protocol("music-trees", z, targets, PrototypicalHead())

    def test_too_few_clips(self) -> None:
        z, targets = data(12, 60)
        with pytest.raises(
            EpisodeError, match="class '0' has 60 clips.*n_query=44 with 16 shots, or n_query=59 with 1 shot,"
        ):
            run_protocol("music-trees", z, targets, PrototypicalHead())
        # What is said to be possible is: and one query more is not.
        settings = {"shots": [16], "n_episodes": 2}
        run_protocol("music-trees", z, targets, PrototypicalHead(), n_query=44, **settings)
        with pytest.raises(EpisodeError, match="n_query=44 with 16 shots, which"):
            run_protocol("music-trees", z, targets, PrototypicalHead(), n_query=45, **settings)

    def test_groups_count(self) -> None:
        z, targets = data(12, 140)
        groups = targets * 2 + np.arange(len(targets)) % 2  # two recordings of 70 clips a class
        with pytest.raises(EpisodeError, match="n_query=70 with 16 shots"):
            run_protocol("music-trees", z, targets, PrototypicalHead(), groups=groups)

    def test_nothing_is_possible(self) -> None:
        z, targets = data(12, 1)
        with pytest.raises(EpisodeError, match="class '0' has 1 clips") as caught:
            run_protocol("music-trees", z, targets, PrototypicalHead())
        assert "Possible" not in str(caught.value)


def test_unknown_name_and_no_shots() -> None:
    z, targets = data(12, 20)
    with pytest.raises(InputError, match=r"no protocol 'musictrees'. Did you mean 'music-trees'"):
        run_protocol("musictrees", z, targets, PrototypicalHead())
    with pytest.raises(InputError, match="shots is empty"):
        run_protocol("music-trees", z, targets, PrototypicalHead(), shots=[])
