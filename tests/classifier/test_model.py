from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from musicfsl.classifier.model import ExampleModel, calibrated_distance
from musicfsl.embedding import Standardizer
from musicfsl.heads import BdCspnHead, PrototypicalHead
from musicfsl.support import Support, calibrated_temperature, leave_one_out


def clusters(shots: list[int], dim: int = 8, spread: float = 0.4, seed: int = 0) -> Support:
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(len(shots)), shots)
    z = 2 * rng.normal(size=(len(shots), dim))[targets] + spread * rng.normal(size=(len(targets), dim))
    names = [f"class {c}" for c in range(len(shots))]
    return Support(torch.from_numpy(z).float(), torch.arange(len(z)), torch.from_numpy(targets), names, 1.0)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def distances_left_out(support: Support) -> list[float]:
    """The definition, example by example."""
    z, targets = support.z.double().numpy(), support.targets.numpy()
    found = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i and targets[j] == targets[i]]
        if others:
            found.append(min(1 - cosine(z[i], z[j]) for j in others))
    return found


def cosines(support: Support) -> torch.Tensor:
    unit = torch.nn.functional.normalize(support.z, dim=-1)
    return unit @ unit.T


@pytest.mark.parametrize(("shots", "share", "rank"), [([9, 10, 10], 0.1, 27), ([5, 5], 0.05, 10), ([1, 4], 0.5, 3)])
def test_threshold_is_a_rank_of_what_is_left_out(shots: list[int], share: float, rank: int) -> None:
    support = clusters(shots)
    expected = sorted(distances_left_out(support))[rank - 1]
    assert calibrated_distance(cosines(support), support.targets, None, share) == pytest.approx(expected, abs=1e-6)


def test_sounds_of_known_classes_are_rejected_about_as_often_as_is_allowed() -> None:
    rejected = []
    for seed in range(60):
        both = clusters([25, 25], seed=seed)
        first = torch.arange(50) % 25 < 20  # 20 examples a class, 5 to be recognised
        support = Support(both.z[first], torch.arange(40), both.targets[first], both.classes, 1.0)
        model = ExampleModel(PrototypicalHead(), support, standardize=False, temperature=1.0, false_rejections=0.2)
        distances = model.distances(model.similarities(both.z[~first]), both.targets[~first])
        rejected += (distances > model.threshold).tolist()
    assert np.mean(rejected) == pytest.approx(0.2, abs=0.06)  # 600 trials


def test_with_one_example_a_class_the_other_classes_set_the_threshold() -> None:
    support = clusters([1, 1, 1])
    z = support.z.double().numpy()
    nearest = [max(cosine(z[i], z[j]) for j in range(3) if j != i) for i in range(3)]
    found = calibrated_distance(cosines(support), support.targets, None, 0.05)
    assert found == pytest.approx(1 - np.mean(nearest), abs=1e-6)


def test_examples_of_one_group_are_left_out_together() -> None:
    targets, groups = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([7, 7, 8, 7, 7])
    rounds = {clip: kept.tolist() for clip, kept in leave_one_out(targets, groups)}
    assert rounds == {
        0: [False, False, True, True, True],
        1: [False, False, True, True, True],
        2: [True, True, False, True, True],
    }  # class 1 comes from one group, and would have no example left
    similarities = torch.tensor([[1, 0.99, 0.5, 0, 0], [0.99, 1, 0.4, 0, 0], [0.5, 0.4, 1, 0, 0]])
    similarities = torch.cat([similarities, torch.eye(5)[3:]])
    assert calibrated_distance(similarities, targets, groups, 0.05) == pytest.approx(0.6)


def test_rounds_are_spread_evenly() -> None:
    rounds = [clip for clip, _ in leave_one_out(torch.zeros(10, dtype=torch.int64), max_rounds=4)]
    assert rounds == [0, 2, 5, 7]


def test_probabilities_are_those_of_the_head_at_its_temperature() -> None:
    support, head = clusters([3, 4, 2]), PrototypicalHead()
    model = ExampleModel(head, support, standardize=False)
    queries = clusters([2, 2, 2], seed=1).z
    assert model.temperature == calibrated_temperature(head, support)
    logits = head(support.z, support.targets, queries) / model.temperature
    torch.testing.assert_close(model.probabilities(queries), logits.softmax(-1).double(), atol=1e-6, rtol=1e-5)


def test_embeddings_are_brought_to_one_scale_where_the_encoder_does_not() -> None:
    support, queries = clusters([3, 4, 2]), clusters([2, 2, 2], seed=1).z
    scale = torch.logspace(-2, 2, 8)
    stretched = support._replace(z=support.z * scale)
    found = ExampleModel(PrototypicalHead(), stretched, standardize=True)
    same = Standardizer(stretched.z, floor=0.1)
    expected = ExampleModel(PrototypicalHead(), stretched._replace(z=same(stretched.z)), standardize=False)
    torch.testing.assert_close(found.probabilities(queries * scale), expected.probabilities(same(queries * scale)))


def test_a_dimension_in_which_examples_agree_does_not_outweigh_all_others() -> None:
    support = clusters([2, 2])
    dead = support._replace(z=torch.cat([support.z, torch.zeros(4, 1)], dim=1))
    model = ExampleModel(PrototypicalHead(), dead, standardize=True)
    query = torch.cat([support.z[:1], torch.tensor([[0.1]])], dim=1)  # nearly the first example
    assert model.probabilities(query)[0, 0] > 0.5
    assert float(model.similarities(query)[0, 0]) > 0.9


def test_a_transductive_head_keeps_its_own_scale() -> None:
    support = clusters([3, 3])
    model = ExampleModel(BdCspnHead(), support, standardize=False)
    assert model.temperature == 1.0
    assert model.probabilities(support.z).argmax(-1).tolist() == support.targets.tolist()


def test_given_numbers_are_taken() -> None:
    model = ExampleModel(PrototypicalHead(), clusters([2, 2]), standardize=False, temperature=3.0, threshold=math.inf)
    assert (model.temperature, model.threshold) == (3.0, math.inf)
