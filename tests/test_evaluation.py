from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from musicfsl.episodes import EpisodeSampler
from musicfsl.errors import EpisodeError, InputError
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import PrototypicalHead
from musicfsl.metrics import confusion_matrix, mean_ci95

LABELS = np.array([11, 3, 70, 5, 42, 8])
TARGETS = LABELS[np.repeat(np.arange(6), 25)]
GROUPS = np.arange(150) // 5


@pytest.fixture
def embeddings() -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(6, 16, generator=g)
    return centres[np.repeat(np.arange(6), 25)] + 1.5 * torch.randn(150, 16, generator=g)


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_equals_a_plain_loop(embeddings: torch.Tensor, groups: np.ndarray | None) -> None:
    report = evaluate_episodes(embeddings, TARGETS, PrototypicalHead(), 4, 3, 6, 200, seed=9, groups=groups)
    sampler = EpisodeSampler(TARGETS, 4, 3, 6, seed=9, groups=groups)
    z = embeddings.double().numpy()
    accuracies, asked, right = [], dict.fromkeys(LABELS, 0), dict.fromkeys(LABELS, 0)
    confusion = {(a, b): 0 for a in LABELS for b in LABELS}
    for episode in range(200):
        drawn = sampler.draw(episode)
        prototypes = {c: z[clips].mean(axis=0) for c, clips in zip(drawn.classes[0], drawn.support[0], strict=True)}
        n_right = 0
        for truth, clips in zip(drawn.classes[0], drawn.query[0], strict=True):
            for clip in clips:
                answer = min(prototypes, key=lambda c: ((z[clip] - prototypes[c]) ** 2).sum())
                asked[truth] += 1
                right[truth] += answer == truth
                confusion[truth, answer] += 1
                n_right += answer == truth
        accuracies.append(n_right / 24)
    np.testing.assert_allclose(report.accuracies, accuracies)
    assert report.mean == pytest.approx(np.mean(accuracies))
    assert report.ci95 == pytest.approx(1.96 * np.std(accuracies, ddof=1) / math.sqrt(200))
    assert report.labels == sorted(LABELS.tolist())
    for c, name in zip(report.labels, report.class_names, strict=True):
        assert report.per_class[name] == pytest.approx(right[c] / asked[c])
    assert report.confusion.tolist() == [[confusion[a, b] for b in report.labels] for a in report.labels]


def test_chance_on_noise_and_certainty_on_separate_classes() -> None:
    g = torch.Generator().manual_seed(0)
    noise = evaluate_episodes(
        torch.randn(1500, 8, generator=g), np.repeat(np.arange(6), 250), PrototypicalHead(), seed=1
    )
    assert abs(noise.mean - noise.chance) < 0.02
    assert noise.chance == 0.2
    apart = evaluate_episodes(
        torch.eye(6)[np.repeat(np.arange(6), 25)], np.repeat(np.arange(6), 25), PrototypicalHead()
    )
    assert (apart.mean, apart.ci95) == (1.0, 0.0)


def test_episodes_come_in_the_same_order_whatever_their_number(embeddings: torch.Tensor) -> None:
    few = evaluate_episodes(embeddings, TARGETS, PrototypicalHead(), n_episodes=50)
    many = evaluate_episodes(embeddings, TARGETS, PrototypicalHead(), n_episodes=2100)
    np.testing.assert_array_equal(few.accuracies, many.accuracies[:50])


def test_report_says_what_was_measured(embeddings: torch.Tensor) -> None:
    names = {label: f"class {label}" for label in LABELS}
    report = evaluate_episodes(
        embeddings.numpy(), TARGETS, PrototypicalHead(), n_episodes=20, groups=GROUPS, class_names=names, seed=4,
        is_synthetic=True,
    )  # fmt: skip
    line = str(report)
    for part in ("20 episodes", "seed 4", "chance 0.200", "5-way 5-shot", "different groups", "synthetic data"):
        assert part in line
    as_json = json.loads(json.dumps(report.to_dict()))
    assert as_json["mean"] == report.mean
    assert {"mean", "ci95", "chance", "n_episodes", "seed"} <= as_json.keys()
    assert set(report.per_class) == set(names.values())
    without_groups = evaluate_episodes(embeddings, TARGETS, PrototypicalHead(), n_episodes=20)
    assert "groups" not in str(without_groups)
    assert "unknown origin" in str(without_groups)


def test_head_is_left_as_it_was(embeddings: torch.Tensor) -> None:
    head = PrototypicalHead("cosine").train()
    report = evaluate_episodes(embeddings, TARGETS, head, n_episodes=5)
    assert head.training
    assert head.log_temperature.grad is None
    assert 0 <= report.mean <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": torch.zeros(150)}, r"torch.float32 of shape \(150,\); expected float \(N, dim\)"),
        ({"embeddings": torch.zeros(150, 4, dtype=torch.int64)}, "torch.int64"),
        ({"targets": TARGETS[:-1]}, r"shape \(149,\); expected integers of shape \(150,\)"),
        ({"targets": TARGETS.astype(float)}, "float64"),
        ({"groups": GROUPS[:-1]}, r"groups have shape \(149,\)"),
        ({"n_episodes": 1}, "n_episodes is 1; an interval needs 2"),
    ],
)
def test_bad_input(embeddings: torch.Tensor, change: dict, message: str) -> None:
    given = {"embeddings": embeddings, "targets": TARGETS, "head": PrototypicalHead(), **change}
    with pytest.raises(InputError, match=message):
        evaluate_episodes(**given)


def test_nan_is_named_by_row(embeddings: torch.Tensor) -> None:
    embeddings[77, 3] = math.nan
    with pytest.raises(InputError, match="row 77 of the embeddings holds NaN"):
        evaluate_episodes(embeddings, TARGETS, PrototypicalHead())


def test_impossible_episodes_name_the_class(embeddings: torch.Tensor) -> None:
    names = {label: f"class {label}" for label in LABELS}
    with pytest.raises(EpisodeError, match="class 'class 3' has 25 clips"):
        evaluate_episodes(embeddings, TARGETS, PrototypicalHead(), n_query=30, class_names=names)


class TestMetrics:
    def test_interval_covers_the_true_mean_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(0)
        covered = 0
        for _ in range(2000):
            mean, ci95 = mean_ci95(rng.normal(0.6, 0.1, 100))
            covered += abs(mean - 0.6) <= ci95
        assert abs(covered / 2000 - 0.95) < 5 * math.sqrt(0.95 * 0.05 / 2000)

    @pytest.mark.parametrize(
        ("values", "message"),
        [([0.5], "at least 2 values"), ([[0.5, 0.5]], r"shape \(1, 2\)"), ([0.5, math.nan], "NaN or infinity")],
    )
    def test_no_interval(self, values: list, message: str) -> None:
        with pytest.raises(InputError, match=message):
            mean_ci95(values)

    def test_confusion_equals_scikit_learns(self) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        rng = np.random.default_rng(0)
        targets, predictions = rng.integers(0, 4, 100), rng.integers(0, 4, 100)
        expected = metrics.confusion_matrix(targets, predictions)
        np.testing.assert_array_equal(confusion_matrix(targets, predictions, 4), expected)
        np.testing.assert_array_equal(confusion_matrix(targets, predictions, list("abcd")), expected)
