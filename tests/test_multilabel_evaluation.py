from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from musicfsl import SyntheticInstruments
from musicfsl.embedding import embed_dataset
from musicfsl.errors import EpisodeError, InputError
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import BinaryPrototypeHead, LabelCombinationHead, MultiLabelHead, PrototypicalHead
from musicfsl.multilabel_episodes import MultiLabelEpisodeSampler
from musicfsl.multilabel_evaluation import (
    average_precision,
    evaluate_multilabel_episodes,
    expected_average_precision,
)

N, C = 240, 8
GROUPS = np.arange(N) // 4
NAMES = [f"class {c}" for c in range(C)]


def targets_of(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, C), dtype=np.uint8)
    for row in rows:
        row[rng.choice(C, rng.integers(1, 4), replace=False)] = 1
    return rows


TARGETS = targets_of(N)


@pytest.fixture
def embeddings() -> torch.Tensor:
    """Sums of the labels' directions, with noise."""
    g = torch.Generator().manual_seed(0)
    directions = torch.randn(C, 16, generator=g)
    return torch.from_numpy(TARGETS).float() @ directions + 2 * torch.randn(N, 16, generator=g)


@pytest.mark.parametrize("head", [LabelCombinationHead(), BinaryPrototypeHead("euclidean")], ids=lambda head: head.name)
def test_equals_a_plain_loop(embeddings: torch.Tensor, head: MultiLabelHead) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    report = evaluate_multilabel_episodes(
        embeddings, TARGETS, head, 4, 3, 6, 12, seed=9, groups=GROUPS, class_names=NAMES, is_synthetic=True
    )
    sampler = MultiLabelEpisodeSampler(TARGETS, 4, 3, 6, seed=9, groups=GROUPS)
    measured = {"macro_f1": [], "micro_f1": [], "mean_ap": []}
    chance = {"macro_f1": [], "micro_f1": []}
    answers = {name: ([], []) for name in NAMES}
    with torch.no_grad():
        for i in range(12):
            classes, support, query = sampler.draw(i)
            truth = TARGETS[query][:, classes]
            logits = head(embeddings[support], torch.from_numpy(TARGETS[support][:, classes]), embeddings[query])
            said = head.predict(logits).numpy()
            every = np.ones_like(truth)
            for average in ("macro", "micro"):
                measured[f"{average}_f1"].append(metrics.f1_score(truth, said, average=average, zero_division=0))
                chance[f"{average}_f1"].append(metrics.f1_score(truth, every, average=average))
            measured["mean_ap"].append(metrics.average_precision_score(truth, logits.numpy()))
            for column, c in enumerate(classes):
                answers[NAMES[c]][0].extend(truth[:, column])
                answers[NAMES[c]][1].extend(said[:, column])
    for name, values in measured.items():
        np.testing.assert_allclose(report.episodes[name], values)
        mean, ci95 = getattr(report, name)
        assert mean == pytest.approx(np.mean(values))
        assert ci95 == pytest.approx(1.96 * np.std(values, ddof=1) / math.sqrt(12))
    for name, values in chance.items():
        assert report.chance[name] == pytest.approx(np.mean(values))
    for name, (truth, said) in answers.items():
        row = report.per_class[name]
        expected = metrics.precision_recall_fscore_support(truth, said, average="binary", zero_division=np.nan)
        np.testing.assert_allclose([row["precision"], row["recall"], row["f1"]], expected[:3])
        assert row["n_episodes"] == sum(name == NAMES[c] for i in range(12) for c in sampler.draw(i).classes)


class TestChance:
    def test_embeddings_of_noise_rank_by_chance(self) -> None:
        targets = targets_of(600, seed=1)
        noise = torch.randn(600, 8, generator=torch.Generator().manual_seed(1))
        for head in (LabelCombinationHead(), BinaryPrototypeHead()):
            report = evaluate_multilabel_episodes(noise, targets, head, n_episodes=150, seed=2)
            assert abs(report.mean_ap.mean - report.chance["mean_ap"]) < 0.02
            # Naming everything is better than listening to noise.
            assert report.macro_f1.mean < report.chance["macro_f1"]
            assert report.micro_f1.mean < report.chance["micro_f1"]

    def test_average_precision_of_every_order(self) -> None:
        """Exact expectation over all orders of five queries, two or three of them positive."""
        import itertools

        for r in (1, 2, 3, 5):
            truth = (np.arange(5) < r)[:, None]
            scores = [np.array(order, dtype=float)[:, None] for order in itertools.permutations(range(5))]
            mean = np.mean([average_precision(s, truth) for s in scores])
            assert expected_average_precision(np.array([r]), 5)[0] == pytest.approx(mean)

    def test_average_precision_with_ties_equals_scikit_learns(self) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        rng = np.random.default_rng(0)
        for _ in range(50):
            scores = rng.integers(0, 5, (20, 3)).astype(float)
            truth = rng.random((20, 3)) < 0.3
            truth[0] = True
            expected = [metrics.average_precision_score(truth[:, c], scores[:, c]) for c in range(3)]
            np.testing.assert_allclose(average_precision(scores, truth), expected)


def test_separate_labels_are_recognised() -> None:
    g = torch.Generator().manual_seed(3)
    clean = torch.from_numpy(np.eye(C, dtype=np.float32)[np.arange(N) % C]) + 0.01 * torch.randn(N, C, generator=g)
    one_hot = np.eye(C, dtype=np.uint8)[np.arange(N) % C]
    for head in (LabelCombinationHead("euclidean"), BinaryPrototypeHead("euclidean")):
        report = evaluate_multilabel_episodes(clean, one_hot, head, n_episodes=20)
        assert report.macro_f1 == report.micro_f1 == report.mean_ap == (1.0, 0.0)
        assert report.labels_per_query == report.predicted_per_query == 1


def test_report_says_what_was_measured(embeddings: torch.Tensor) -> None:
    report = evaluate_multilabel_episodes(
        embeddings.numpy(), TARGETS, LabelCombinationHead(), n_episodes=10, n_query=6, seed=4, groups=GROUPS,
        class_names=NAMES, is_synthetic=True,
    )  # fmt: skip
    line = str(report)
    for part in (
        "macro F1", "micro F1", "mAP", "+-", "10 episodes", "seed 4", "5-way 5-shot", "at least 6 queries a label",
        "different groups", "synthetic data", "chance: every label named (F1), random order (mAP)",
        f"{report.chance['mean_ap']:.3f}",
    ):  # fmt: skip
        assert part in line
    as_json = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert as_json["macro_f1"] == report.macro_f1._asdict()
    assert as_json["chance"] == report.chance
    assert set(as_json["per_class"]) == set(NAMES)
    plain = evaluate_multilabel_episodes(embeddings, TARGETS, LabelCombinationHead(), n_episodes=5, n_query=6, seed=4)
    assert "groups" not in str(plain)
    assert "unknown origin" in str(plain)


def test_a_class_that_was_never_drawn_is_no_zero(embeddings: torch.Tensor) -> None:
    without = TARGETS.copy()
    without[:, 5] = 0
    report = evaluate_multilabel_episodes(embeddings, without, BinaryPrototypeHead(), n_episodes=5, n_query=6)
    assert report.per_class["5"]["n_episodes"] == 0
    assert all(math.isnan(report.per_class["5"][name]) for name in ("precision", "recall", "f1", "mean_ap"))
    assert report.to_dict()["per_class"]["5"]["f1"] is None


def test_head_is_left_as_it_was_and_episodes_do_not_depend_on_their_number(embeddings: torch.Tensor) -> None:
    head = LabelCombinationHead().train()
    few = evaluate_multilabel_episodes(embeddings, TARGETS, head, n_query=6, n_episodes=5)
    many = evaluate_multilabel_episodes(embeddings, TARGETS, head, n_query=6, n_episodes=9)
    assert head.training
    for name in few.episodes:
        np.testing.assert_array_equal(few.episodes[name], many.episodes[name][:5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": torch.zeros(N)}, r"expected float \(N, dim\)"),
        ({"embeddings": torch.full((N, 4), math.nan)}, "row 0 of the embeddings holds NaN"),
        ({"targets": TARGETS[:-1]}, r"targets have shape \(239, 8\); expected \(240, C\)"),
        ({"targets": TARGETS.argmax(axis=1)}, "expected multi-hot targets"),
        ({"groups": GROUPS[:-1]}, r"groups have shape \(239,\)"),
        ({"class_names": NAMES[:-1]}, "7 class names are given for 8 columns"),
        ({"head": PrototypicalHead()}, "PrototypicalHead gives an item one label only; use LabelCombinationHead or"),
        ({"n_episodes": 1}, "n_episodes is 1; an interval needs 2"),
    ],
)
def test_bad_input(embeddings: torch.Tensor, change: dict, message: str) -> None:
    given = {"embeddings": embeddings, "targets": TARGETS, "head": LabelCombinationHead(), "n_query": 6, **change}
    with pytest.raises(InputError, match=message):
        evaluate_multilabel_episodes(**given)


def test_impossible_episodes_name_the_class(embeddings: torch.Tensor) -> None:
    with pytest.raises(EpisodeError, match="class 'class 0' has .* items, but 5 support"):
        evaluate_multilabel_episodes(embeddings, TARGETS, LabelCombinationHead(), n_query=200, class_names=NAMES)


class TestOfSingleLabels:
    def test_multi_hot_targets_are_refused(self, embeddings: torch.Tensor) -> None:
        with pytest.raises(EpisodeError, match=r"targets are multi-hot, of shape \(240, 8\).*evaluate_multilabel_epi"):
            evaluate_episodes(embeddings, TARGETS, PrototypicalHead())

    def test_heads_for_several_labels_are_refused(self, embeddings: torch.Tensor) -> None:
        with pytest.raises(InputError, match="LabelCombinationHead gives an item several labels; use evaluate_multi"):
            evaluate_episodes(embeddings, TARGETS.argmax(axis=1), LabelCombinationHead())

    def test_cnn14_serves_few_shot_too(self) -> None:
        from musicfsl.backbones import Cnn14

        dataset = SyntheticInstruments(
            n_players=2, notes_per_player=4, classes=["Flute", "Harp", "Marimba", "Violin"], progress=False
        )
        encoder = Cnn14(sample_rate=16000, widths=(4, 8, 8, 8, 8, 16), dim=32, n_classes=5)
        z = embed_dataset(encoder, dataset)
        assert z.shape == (len(dataset), 32)
        report = evaluate_episodes(
            z, dataset.targets, PrototypicalHead(), 4, 3, 3, 200, groups=dataset.groups, class_names=dataset.classes
        )
        assert report.mean - report.ci95 > report.chance  # random weights hear something
