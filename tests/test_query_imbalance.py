from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from musicfsl._sampling import query_counts
from musicfsl.episodes import EpisodeSampler
from musicfsl.errors import InputError
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import PrototypicalHead, PtMapHead
from musicfsl.taxonomy import Taxonomy

TARGETS = np.repeat([11, 3, 70, 5, 42, 8], 25)
GROUPS = np.arange(150) // 5


def sampler(groups: np.ndarray | None = None, seed: int = 9) -> EpisodeSampler:
    return EpisodeSampler(TARGETS, 4, 3, 6, seed, groups)


class TestCounts:
    @pytest.mark.parametrize("concentration", [0.5, 2.0, 10.0])
    def test_shares_have_the_moments_of_a_dirichlet_distribution(self, concentration: float) -> None:
        uniform = np.random.default_rng(0).random((20000, 5))
        counts = query_counts(uniform, np.full((20000, 5), 1000), 1000, concentration)
        shares = counts / 1000
        assert (counts.sum(axis=1) == 1000).all()
        np.testing.assert_allclose(shares.mean(axis=0), 0.2, atol=0.01)
        variance = 0.2 * 0.8 / (5 * concentration + 1)
        np.testing.assert_allclose(shares.var(axis=0), variance, rtol=0.06)
        covariance = np.cov(shares.T)[~np.eye(5, dtype=bool)]
        np.testing.assert_allclose(covariance, -0.04 / (5 * concentration + 1), rtol=0.15)

    def test_equal_shares_in_the_limit(self) -> None:
        uniform = np.random.default_rng(1).random((50, 5))
        assert (query_counts(uniform, np.full((50, 5), 99), 75, 1e9) == 15).all()

    def test_classes_that_lack_clips_give_all_they_have(self) -> None:
        rng = np.random.default_rng(2)
        uniform, available = rng.random((2000, 4)), rng.integers(5, 12, (2000, 4))
        free = query_counts(uniform, np.full((2000, 4), 99), 20, 0.3)
        counts = query_counts(uniform, available, 20, 0.3)
        assert (counts.sum(axis=1) == 20).all()
        assert ((counts >= 0) & (counts <= available)).all()
        short = free > available
        assert short.any(axis=1).mean() > 0.5
        np.testing.assert_array_equal(counts[short], available[short])
        enough = ~short.any(axis=1) & (free < available).all(axis=1)
        np.testing.assert_array_equal(counts[enough], free[enough])

    def test_extremes_of_the_uniform_numbers(self) -> None:
        uniform = np.array([[0.0, 0.0, 0.0], [1 - 2**-53, 0.0, 0.0]])
        counts = query_counts(uniform, np.full((2, 3), 9), 9, 0.01)
        assert counts[0].tolist() == [3, 3, 3] and counts[1].tolist() == [9, 0, 0]


class TestDrawing:
    @pytest.mark.parametrize("groups", [None, GROUPS])
    def test_classes_and_support_are_those_of_balanced_episodes(self, groups: np.ndarray | None) -> None:
        balanced, drawn = sampler(groups).draw(0, 200), sampler(groups).draw_unbalanced(0, 200, 1.0)
        np.testing.assert_array_equal(drawn.classes, balanced.classes)
        np.testing.assert_array_equal(drawn.support, balanced.support)
        for episode in range(200):
            for way in range(4):
                mine = drawn.query[episode][drawn.query_targets[episode] == way]
                assert len(set(mine)) == len(mine)
                assert (TARGETS[mine] == drawn.classes[episode, way]).all()
                assert not set(mine) & set(drawn.support[episode, way])
                # As far as both go, the queries are the same too.
                shared = min(6, len(mine))
                np.testing.assert_array_equal(mine[:shared], balanced.query[episode, way, :shared])
                if groups is not None:
                    assert not set(groups[mine]) & set(groups[drawn.support[episode, way]])
        counts = np.stack([(drawn.query_targets == way).sum(axis=1) for way in range(4)], axis=1)
        assert (counts.sum(axis=1) == 24).all()
        assert counts.min() == 0 and counts.max() > 12

    def test_an_episode_depends_on_seed_and_number_only(self) -> None:
        together = sampler().draw_unbalanced(0, 50)
        for alone, many in zip(sampler().draw_unbalanced(37, 1), together, strict=True):
            np.testing.assert_array_equal(alone[0], many[37])
        assert (sampler(seed=10).draw_unbalanced(0, 50).query_targets != together.query_targets).any()

    @pytest.mark.parametrize("concentration", [0.0, -1.0, float("nan")])
    def test_bad_concentration(self, concentration: float) -> None:
        with pytest.raises(InputError, match=r"concentration is .*; expected a positive number"):
            sampler().draw_unbalanced(0, 1, concentration)


class TestEvaluation:
    def embeddings(self) -> torch.Tensor:
        g = torch.Generator().manual_seed(0)
        centres = torch.randn(6, 16, generator=g)
        return centres[np.repeat(np.arange(6), 25)] + 1.5 * torch.randn(150, 16, generator=g)

    def test_equals_a_plain_loop(self) -> None:
        z = self.embeddings()
        report = evaluate_episodes(z, TARGETS, PrototypicalHead(), 4, 3, 6, 60, seed=9, query_imbalance=1.0)
        accuracies, asked = [], dict.fromkeys(report.labels, 0)
        for episode in range(60):
            classes, support, query, query_targets = (a[0] for a in sampler().draw_unbalanced(episode, 1, 1.0))
            prototypes = [z[clips].mean(0) for clips in support]
            right = []
            for clip, truth in zip(query, query_targets, strict=True):
                answer = min(range(4), key=lambda k: ((z[clip] - prototypes[k]) ** 2).sum())
                right.append(answer == truth)
                asked[classes[truth]] += 1
            accuracies.append(np.mean(right))
        np.testing.assert_allclose(report.accuracies, accuracies)
        assert report.confusion.sum(axis=1).tolist() == list(asked.values())

    def test_report_says_so(self) -> None:
        z = self.embeddings()
        report = evaluate_episodes(z, TARGETS, PtMapHead(), n_query=10, n_episodes=10, query_imbalance=2.0)
        assert "10 queries a class on average, in Dirichlet(2) shares, transductive;" in str(report)
        as_json = json.loads(json.dumps(report.to_dict()))
        assert as_json["transductive"] is True and as_json["query_imbalance"] == 2.0
        plain = evaluate_episodes(z, TARGETS, PrototypicalHead(), n_query=10, n_episodes=10)
        assert "transductive" not in str(plain) and "Dirichlet" not in str(plain)
        assert plain.to_dict()["transductive"] is False and plain.to_dict()["query_imbalance"] is None

    def test_what_a_head_owes_to_balanced_queries(self) -> None:
        """An inductive head is as good on any shares; one that gives every class as many queries is not."""
        g = torch.Generator().manual_seed(1)
        targets = np.repeat(np.arange(8), 100)
        z = torch.randn(8, 20, generator=g)[targets] + 0.6 * torch.randn(800, 20, generator=g)

        def accuracy(head: PrototypicalHead | PtMapHead, imbalance: float | None) -> float:
            return evaluate_episodes(z, targets, head, n_support=1, n_episodes=150, query_imbalance=imbalance).mean

        inductive, transductive = PrototypicalHead(), PtMapHead()
        assert abs(accuracy(inductive, 1.0) - accuracy(inductive, None)) < 0.03
        assert accuracy(transductive, None) > accuracy(inductive, None)
        assert accuracy(transductive, 1.0) < accuracy(transductive, None) - 0.1

    def test_not_with_a_taxonomy(self) -> None:
        names = {label: f"c{label}" for label in TARGETS}
        tree = Taxonomy({"a": ["c3", "c5", "c8"], "b": ["c11", "c42", "c70"]})
        with pytest.raises(InputError, match="give taxonomy or query_imbalance"):
            evaluate_episodes(
                self.embeddings(), TARGETS, PrototypicalHead(), class_names=names, taxonomy=tree, query_imbalance=1.0
            )

    def test_bad_concentration(self) -> None:
        with pytest.raises(InputError, match="expected a positive number"):
            evaluate_episodes(self.embeddings(), TARGETS, PrototypicalHead(), query_imbalance=0.0)
