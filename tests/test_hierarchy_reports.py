from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from musicfsl.episodes import EpisodeSampler
from musicfsl.errors import InputError
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import PrototypicalHead
from musicfsl.hierarchy_metrics import Relations, hierarchy_scores
from musicfsl.hierarchy_reports import HierarchyReport, HierarchyTally
from musicfsl.metrics import confusion_matrix
from musicfsl.taxonomy import Taxonomy

TREE = Taxonomy(
    {
        "strings": {"bowed": ["Violin", "Cello"], "plucked": ["Harp", "Banjo"]},
        "winds": {"Flute": None, "reeds": ["Oboe"]},
        "Voice": None,
    },
    "mine",
)
CLASSES = ["Oboe", "Cello", "Voice", "Harp", "Violin", "Flute", "Banjo"]
TARGETS = np.repeat(np.arange(7), 30)


@pytest.fixture
def embeddings() -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.randn(7, 8, generator=g)[TARGETS] + 1.2 * torch.randn(210, 8, generator=g)


def evaluate(z: torch.Tensor, n_way: int = 4, n_query: int = 6, **options) -> HierarchyReport:
    given = {"n_support": 3, "n_episodes": 150, "seed": 5, "class_names": CLASSES, "taxonomy": TREE, **options}
    return evaluate_episodes(z, TARGETS, PrototypicalHead(), n_way, n_query=n_query, **given).hierarchy


def test_equals_a_loop_over_episodes(embeddings: torch.Tensor) -> None:
    report = evaluate(embeddings)
    sampler = EpisodeSampler(TARGETS, 4, 3, 6, seed=5)
    z, heights = embeddings.double().numpy(), Relations.of(TREE, CLASSES).heights
    scores, of_mistakes = [], []
    for episode in range(150):
        drawn = sampler.draw(episode)
        prototypes = z[drawn.support[0]].mean(axis=1)
        truth = np.repeat(drawn.classes[0], 6)
        queries = z[drawn.query[0].reshape(-1)]
        answer = drawn.classes[0][((queries[:, None] - prototypes) ** 2).sum(-1).argmin(1)]
        # Over the episode's own classes, since those that are not in it are neither asked for nor answered.
        scores.append(hierarchy_scores(confusion_matrix(truth, answer, 7), TREE, CLASSES))
        of_mistakes.append(heights[truth, answer][truth != answer])
    for name in ("precision", "recall", "f1", "macro_f1"):
        values = [getattr(score, name) for score in scores]
        measure = getattr(report, name)
        assert measure.mean == pytest.approx(np.mean(values)), name
        assert measure.ci95 == pytest.approx(1.96 * np.std(values, ddof=1) / np.sqrt(150)), name
    for h in range(3):
        assert report.accuracy[h].mean == pytest.approx(np.mean([score.accuracy[h] for score in scores]))
    assert report.mistake_height.mean == pytest.approx(np.concatenate(of_mistakes).mean())
    np.testing.assert_allclose(report.episodes["f1"], [score.f1 for score in scores])
    np.testing.assert_array_equal(report.episodes["heights"][:, 1:].sum(axis=1), [len(h) for h in of_mistakes])


def test_chance_is_what_a_guesser_gets() -> None:
    rng = np.random.default_rng(0)
    tally = HierarchyTally(TREE, CLASSES)
    ways = np.argsort(rng.random((8000, 7)), axis=1)[:, :4]
    tally.add(ways, rng.integers(0, 4, (8000, 4, 5)))
    report = tally.report()
    for measure in [*report.accuracy, report.recall, report.macro_f1, report.mistake_height]:
        assert abs(measure.mean - measure.chance) < 2.5 * measure.ci95 / 1.96 + 1e-12, measure
    # Of these the chance is that of expected counts, which a guesser with few queries misses by a little.
    for measure in (report.precision, report.f1):
        assert measure.mean == pytest.approx(measure.chance, abs=0.01)
    assert report.accuracy[0].chance == 0.25
    assert report.accuracy[0].chance < report.accuracy[1].chance < report.accuracy[2].chance < 1


def test_the_interval_of_mistakes_covers_the_true_mean_as_often_as_it_says() -> None:
    """Episodes with more mistakes also make worse ones here, which a mean of episode means would get wrong."""
    rng = np.random.default_rng(1)
    tree = Taxonomy({"strings": ["Violin", "Harp"], "winds": ["Oboe"]})
    n = 400
    ways = np.tile([[0, 1, 2]], (n, 1))

    def report() -> HierarchyReport:
        badness = rng.random((n, 1, 1))
        wrong = rng.random((n, 3, 10)) < badness
        far = rng.random((n, 3, 10)) < badness
        own = np.arange(3)[:, None]
        sibling, stranger = np.array([1, 0, 0])[:, None], np.array([2, 2, 1])[:, None]
        tally = HierarchyTally(tree, tree.classes)
        tally.add(ways, np.where(wrong, np.where(far, stranger, sibling), own))
        return tally.report()

    # E[mistake is far] = E[b^2] / E[b] = 2/3; a violin or harp for its sibling is at height 1, the oboe's are at 2.
    true_mean = 1 + (2 * 2 / 3 + 1) / 3
    covered = sum(
        abs(r.mistake_height.mean - true_mean) <= r.mistake_height.ci95 for r in (report() for _ in range(300))
    )
    assert abs(covered / 300 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 300)


def test_blocks_of_episodes_add_up(embeddings: torch.Tensor) -> None:
    rng = np.random.default_rng(0)
    ways, predicted = np.argsort(rng.random((50, 7)), axis=1)[:, :3], rng.integers(0, 3, (50, 3, 4))
    whole, parts = HierarchyTally(TREE, CLASSES), HierarchyTally(TREE, CLASSES)
    whole.add(ways, predicted)
    for part in (slice(0, 20), slice(20, 50)):
        parts.add(ways[part], predicted[part])
    assert whole.report().to_dict() == parts.report().to_dict()


def test_no_mistakes(embeddings: torch.Tensor) -> None:
    report = evaluate(torch.eye(7)[TARGETS])
    assert report.mistake_height is None
    assert report.f1[:2] == (1, 0)
    assert "no mistakes" in str(report)
    assert json.loads(json.dumps(report.to_dict()))["mistake_height"] is None


def test_the_report_is_printed_and_written(embeddings: torch.Tensor) -> None:
    report = evaluate_episodes(embeddings, TARGETS, PrototypicalHead(), 4, 3, 6, 50, class_names=CLASSES, taxonomy=TREE)
    lines = str(report).splitlines()
    assert lines[0] == str(evaluate_episodes(embeddings, TARGETS, PrototypicalHead(), 4, 3, 6, 50))
    assert max(map(len, lines[1:])) <= 88
    assert "taxonomy 'mine'" in lines[1] and "50 episodes" in lines[1]
    assert "accuracy at height 1 (5 groups)" in lines[3]
    content = json.loads(json.dumps(report.to_dict()))["hierarchy"]
    assert content["accuracy"][0]["mean"] == report.mean
    assert content["accuracy"][0]["ci95"] == report.ci95
    assert content["n_groups"] == [7, 5, 3]
    without = evaluate_episodes(embeddings, TARGETS, PrototypicalHead(), 4, 3, 6, 50, class_names=CLASSES)
    assert without.hierarchy is None
    assert without.to_dict()["hierarchy"] is None


def test_names_are_needed_and_have_to_be_known(embeddings: torch.Tensor) -> None:
    with pytest.raises(InputError, match="knows classes by their names; give class_names"):
        evaluate(embeddings, class_names=None)
    with pytest.raises(InputError, match=r"class 'Celo' is not in the taxonomy 'mine'. Did you mean 'Cello'"):
        evaluate(embeddings, class_names=["Oboe", "Celo", *CLASSES[2:]])
    with pytest.raises(InputError, match="no episodes were added"):
        HierarchyTally(TREE, CLASSES).report()
