from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from musicfsl.errors import InputError
from musicfsl.heads import AnilHead, build_head


def almost_no_inner_loop(head: AnilHead, support_z, support_targets, query_z, query_targets, n_way: int) -> Tensor:
    """The queries' loss after the inner loop, by autograd as the pseudocode of MAML reads (algorithm 2)."""
    weight, bias = head.weight.expand(n_way, -1), head.bias.expand(n_way)
    for _ in range(head.n_steps):
        loss = functional.cross_entropy(functional.linear(support_z, weight, bias), support_targets)
        gradients = torch.autograd.grad(loss, (weight, bias), create_graph=True)
        if head.first_order:
            gradients = [gradient.detach() for gradient in gradients]
        weight, bias = (w - head.log_step_size.exp() * g for w, g in zip((weight, bias), gradients, strict=True))
    return functional.cross_entropy(functional.linear(query_z, weight, bias), query_targets)


@pytest.fixture
def episode():
    g = torch.Generator().manual_seed(0)
    support_targets = torch.tensor([0, 2, 0, 1, 0, 2])  # unequal shots, in no order
    query_targets = torch.arange(9) % 3
    return (
        torch.randn(6, 8, generator=g).double(),
        support_targets,
        torch.randn(9, 8, generator=g).double(),
        query_targets,
    )


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("n_way", [None, 3])
def test_loss_and_gradients_equal_the_papers(episode, n_way: int | None, first_order: bool) -> None:
    support_z, support_targets, query_z, query_targets = episode
    head = AnilHead(8, n_way, n_steps=4, step_size=0.3, learn_step_size=True, first_order=first_order).double()
    torch.nn.init.normal_(head.bias, generator=torch.Generator().manual_seed(1))
    losses, gradients = [], []
    for compute in ("library", "paper"):
        s, q = support_z.clone().requires_grad_(), query_z.clone().requires_grad_()
        if compute == "library":
            loss = head.episode_loss(s, support_targets, q, query_targets)[0]
        else:
            loss = almost_no_inner_loop(head, s, support_targets, q, query_targets, 3)
        losses.append(loss)
        of = (head.weight, head.bias, head.log_step_size, q, s)
        gradients.append(torch.autograd.grad(loss, of, allow_unused=True))
    torch.testing.assert_close(losses[0], losses[1])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert (gradients[0][-1] is None) == first_order  # the supports then teach the encoder nothing


def test_second_order_gradient_is_the_slope_of_the_loss(episode) -> None:
    support_z, support_targets, query_z, query_targets = episode
    head = AnilHead(8, 3, n_steps=3, step_size=0.5).double()

    def loss(support_z: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(
            head, {"weight": weight}, (support_z, support_targets, query_z)
        ).log_softmax(-1)[torch.arange(9), query_targets].mean()  # fmt: skip

    assert torch.autograd.gradcheck(loss, (support_z.requires_grad_(), head.weight.detach().requires_grad_()))


def test_stacked_episodes_equal_single_ones() -> None:
    g = torch.Generator().manual_seed(2)
    support_z, query_z = torch.randn(2, 3, 6, 8, generator=g), torch.randn(2, 3, 9, 8, generator=g)
    targets = torch.tensor([0, 0, 1, 1, 2, 2])
    for n_way in (None, 3):
        head = AnilHead(8, n_way, step_size=0.2)
        together = head(support_z, targets, query_z)
        for i in range(2):
            for j in range(3):
                torch.testing.assert_close(together[i, j], head(support_z[i, j], targets, query_z[i, j]))


def test_order_of_support_classes_and_queries(episode) -> None:
    support_z, support_targets, query_z, _ = (part.float() if part.is_floating_point() else part for part in episode)
    order = torch.tensor([5, 3, 0, 1, 4, 2])
    for n_way in (None, 3):
        head = AnilHead(8, n_way, step_size=0.2)
        logits = head(support_z, support_targets, query_z)
        torch.testing.assert_close(head(support_z[order], support_targets[order], query_z), logits)
        torch.testing.assert_close(head(support_z, support_targets, query_z.flip(0)), logits.flip(0))
        reordered = head(support_z, support_targets, query_z, [2, 0, 1])
        same = torch.allclose(reordered, logits[:, [2, 0, 1]], atol=1e-5)
        assert same == (n_way is None)  # as the papers' classifier has it, first weights belong to a position


def test_converges_to_a_classifier_of_its_supports() -> None:
    g = torch.Generator().manual_seed(3)
    targets = torch.arange(4).repeat_interleave(3)
    support_z = torch.eye(4)[targets] * 3 + torch.randn(12, 4, generator=g) * 0.3
    head = AnilHead(4, n_steps=1, eval_steps=200, step_size=0.5)
    losses = [head.train(mode).episode_loss(support_z, targets, support_z, targets)[0].item() for mode in (True, False)]
    assert losses[1] < 0.05 < losses[0]


def test_first_step_from_one_row_goes_towards_the_means() -> None:
    """All classes are equally likely before it, so a row moves by step / n * (its sum - the sum of all / n_way)."""
    g = torch.Generator().manual_seed(4)
    support_z, targets = torch.randn(6, 5, generator=g), torch.tensor([0, 0, 1, 1, 2, 2])
    head = AnilHead(5, n_steps=1, step_size=0.7)
    sums = torch.stack([support_z[targets == k].sum(0) for k in range(3)])
    expected = head.weight + 0.7 / 6 * (sums - support_z.sum(0) / 3)
    torch.testing.assert_close(head.adapt(support_z, targets).weight, expected)


def test_settings_and_seed_build_the_same_head() -> None:
    head = AnilHead(8, 3, n_steps=2, eval_steps=4, learn_step_size=True, first_order=True, seed=7)
    rebuilt = build_head("anil", head.settings())
    assert rebuilt.settings() == head.settings()
    assert torch.equal(rebuilt.weight, head.weight)
    assert not torch.equal(AnilHead(8, 3).weight, head.weight)
    assert AnilHead(8, step_size=0.3).state_dict()["log_step_size"].exp().item() == pytest.approx(0.3)
    assert AnilHead.needs_training and not AnilHead.is_transductive


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "dim is 0"),
        ({"dim": 8, "n_way": 1}, "n_way 1"),
        ({"dim": 8, "n_steps": 0}, "n_steps is 0"),
        ({"dim": 8, "eval_steps": 0}, "eval_steps 0"),
        ({"dim": 8, "step_size": 0.0}, "step_size is 0.0"),
        ({"dim": 8, "step_size": float("nan")}, "step_size is nan"),
    ],
)
def test_settings_out_of_range(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AnilHead(**arguments)


def test_bad_input(episode) -> None:
    support_z, support_targets, query_z, _ = (part.float() if part.is_floating_point() else part for part in episode)
    with pytest.raises(InputError, match="size 8, but AnilHead was made for 5"):
        AnilHead(5)(support_z, support_targets, query_z)
    with pytest.raises(InputError, match="3 classes, but AnilHead has first weights for 5; .* n_way=None"):
        AnilHead(8, 5)(support_z, support_targets, query_z)
    with pytest.raises(InputError, match="support_z holds NaN"):
        AnilHead(8)(support_z * torch.nan, support_targets, query_z)
    with pytest.raises(InputError, match=r"query_z has shape \(9, 3\)"):
        AnilHead(8)(support_z, support_targets, query_z[:, :3])
    with pytest.raises(InputError, match="class 'b' has no example"):
        AnilHead(8)(support_z, support_targets.clamp(max=0), query_z, ["a", "b"])
