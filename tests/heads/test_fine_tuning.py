from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from musicfsl.errors import InputError
from musicfsl.heads import FineTuningHead, build_head

TARGETS = torch.tensor([0, 0, 0, 1, 2, 2])  # unequal shots


def draw(seed: int, *episodes: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    shape = {"generator": g, "dtype": torch.float64}
    return 3 + 2 * torch.randn(*episodes, 6, 8, **shape), 3 + 2 * torch.randn(*episodes, 9, 8, **shape)


def descend(parameters: list[Tensor], logits: Callable[[], Tensor], lr: float) -> None:
    """Chen et al.'s loop over the whole support set, with torch's optimizer; the bias is not decayed."""
    groups = [{"params": parameters[:1], "weight_decay": 0.001}, {"params": parameters[1:], "weight_decay": 0.0}]
    sgd = torch.optim.SGD(groups[: len(parameters)], lr=lr, momentum=0.9, dampening=0.9)
    for _ in range(100):
        sgd.zero_grad()
        nn.functional.cross_entropy(logits(), TARGETS).backward()
        sgd.step()


def test_linear_equals_torchs_layer_and_optimizer() -> None:
    support_z, query_z = draw(0)
    mean = support_z.mean(0)
    scale = (support_z - mean).square().sum(1).mean().sqrt()
    weight, bias = (torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 8), (3,)))
    descend([weight, bias], lambda: nn.functional.linear((support_z - mean) / scale, weight, bias), lr=1.0)
    expected = nn.functional.linear((query_z - mean) / scale, weight, bias)
    torch.testing.assert_close(FineTuningHead()(support_z, TARGETS, query_z), expected, rtol=1e-8, atol=1e-8)
    assert expected.abs().max() > 1  # it has learned something


def test_cosine_equals_torchs_gradients_and_optimizer() -> None:
    support_z, query_z = draw(1)
    unit = nn.functional.normalize(support_z, dim=1)
    means = torch.stack([unit[k == TARGETS].mean(0) for k in range(3)])
    start = nn.functional.normalize(means, dim=1)
    weights = nn.Parameter(start.clone())

    def logits(z: Tensor = support_z) -> Tensor:
        return 10 * torch.cosine_similarity(z[:, None], weights[None], dim=-1)

    descend([weights], logits, lr=0.03)
    found = FineTuningHead("cosine")(support_z, TARGETS, query_z)
    torch.testing.assert_close(found, logits(query_z), rtol=1e-8, atol=1e-8)
    assert (weights - start).abs().max() > 0.01


@pytest.mark.parametrize("classifier", ["linear", "cosine"])
class TestBoth:
    def test_stacked_episodes_equal_single_ones(self, classifier: str) -> None:
        support_z, query_z = draw(2, 2, 2)
        together = FineTuningHead(classifier)(support_z, TARGETS, query_z)
        for i in range(2):
            for j in range(2):
                alone = FineTuningHead(classifier)(support_z[i, j], TARGETS, query_z[i, j])
                torch.testing.assert_close(together[i, j], alone)

    def test_order_changes_nothing(self, classifier: str) -> None:
        support_z, query_z = draw(3)
        head = FineTuningHead(classifier)
        order, ways = torch.tensor([5, 3, 0, 1, 4, 2]), torch.tensor([2, 0, 1])
        found = head(support_z[order], ways[TARGETS[order]], query_z)
        torch.testing.assert_close(found[:, ways], head(support_z, TARGETS, query_z))

    def test_each_query_is_answered_alone(self, classifier: str) -> None:
        support_z, query_z = draw(4)
        head = FineTuningHead(classifier)
        together = head(support_z, TARGETS, query_z)
        torch.testing.assert_close(head(support_z, TARGETS, query_z[2:3]), together[2:3])
        assert not head.is_transductive

    def test_scale_of_the_embeddings_does_not_matter(self, classifier: str) -> None:
        support_z, query_z = draw(5)
        head = FineTuningHead(classifier)
        torch.testing.assert_close(head(99 * support_z, TARGETS, 99 * query_z), head(support_z, TARGETS, query_z))

    def test_gradients_pass_through_the_steps(self, classifier: str) -> None:
        support_z, query_z = draw(6)
        head = FineTuningHead(classifier, n_steps=5)

        def loss(support_z: Tensor, query_z: Tensor) -> Tensor:
            return head.episode_loss(support_z, TARGETS, query_z, torch.arange(9) % 3)[0]

        torch.autograd.gradcheck(loss, (support_z.requires_grad_(), query_z.requires_grad_()))

    @pytest.mark.parametrize("case", ["one shot, wide", "all the same", "zeros", "one class"])
    def test_degenerate_support_sets(self, classifier: str, case: str) -> None:
        support_z, query_z = torch.randn(2, 3, 600, generator=torch.Generator().manual_seed(7))
        if case in ("all the same", "zeros"):
            support_z = torch.full_like(support_z, 1.0 if case == "all the same" else 0.0)
        support_z.requires_grad_()
        targets = torch.zeros(3).long() if case == "one class" else torch.arange(3)
        logits = FineTuningHead(classifier)(support_z, targets, query_z)
        assert torch.isfinite(logits).all()
        assert torch.isfinite(torch.autograd.grad(logits.sum(), support_z)[0]).all()

    def test_single_precision_is_enough(self, classifier: str) -> None:
        support_z, query_z = draw(8)
        head = FineTuningHead(classifier)
        found = head(support_z.float(), TARGETS, query_z.float())
        torch.testing.assert_close(found, head(support_z, TARGETS, query_z).float(), atol=1e-3, rtol=1e-3)

    def test_settings_build_the_same_head(self, classifier: str) -> None:
        head = FineTuningHead(classifier, n_steps=7)
        assert build_head("fine-tuning", head.settings()).settings() == head.settings()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classifier": "quadratic"}, "classifier is 'quadratic'"),
        ({"n_steps": 0}, "n_steps is 0"),
        ({"learning_rate": -1}, "learning_rate is -1"),
        ({"weight_decay": -1}, "weight_decay is -1; expected 0 or more"),
        ({"temperature": math.nan}, "temperature is nan"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FineTuningHead(**settings)


def test_bad_input() -> None:
    support_z, query_z = draw(9)
    with pytest.raises(InputError, match="class '1' has no example"):
        FineTuningHead()(support_z, torch.tensor([0, 0, 0, 2, 2, 2]), query_z)
    with pytest.raises(InputError, match="support_z holds NaN"):
        FineTuningHead()(support_z * math.nan, TARGETS, query_z)
    with pytest.raises(InputError, match="the embedding size of the support set"):
        FineTuningHead()(support_z, TARGETS, query_z[:, :3])
