"""What holds of every head that gives an item one class."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import torch
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.heads import HEADS, Head, MultiLabelHead, build_head

DIM, N_WAY = 12, 3
CLASSES = ["Violin", "Cello", "Oboe"]
ARGUMENTS: dict[str, Any] = {"taxonomy": {"strings": CLASSES[:2], "winds": CLASSES[2:]}, "dim": DIM, "n_way": N_WAY}
NAMES = [name for name, head in HEADS.items() if not issubclass(head, MultiLabelHead)]
SUPPORT_TARGETS = torch.tensor([0, 0, 0, 1, 2, 2])  # unequal shots


def built(name: str, **settings: Any) -> Head:
    accepted = inspect.signature(HEADS[name]).parameters
    return build_head(name, {**{k: v for k, v in ARGUMENTS.items() if k in accepted}, **settings}).eval()


def episodes(n: int, seed: int = 0, n_query: int = 5) -> tuple[Tensor, Tensor]:
    """Embeddings of examples and of queries, classes apart from one another."""
    g = torch.Generator().manual_seed(seed)
    means = 2 * torch.randn(n, N_WAY, DIM, generator=g)
    query_targets = torch.arange(N_WAY).repeat_interleave(n_query)
    support_z = means[:, SUPPORT_TARGETS] + torch.randn(n, len(SUPPORT_TARGETS), DIM, generator=g)
    return support_z, means[:, query_targets] + torch.randn(n, len(query_targets), DIM, generator=g)


@pytest.fixture(params=NAMES)
def head(request: pytest.FixtureRequest) -> Head:
    return built(request.param)


def close(a: Tensor, b: Tensor) -> None:
    """Probabilities are compared: what all classes share may differ by rounding."""
    torch.testing.assert_close(a.softmax(-1), b.softmax(-1), rtol=1e-3, atol=1e-4)


def test_stacked_episodes_equal_single_ones(head: Head) -> None:
    support_z, query_z = episodes(4)
    with torch.no_grad():
        together = head(support_z, SUPPORT_TARGETS, query_z, CLASSES)
        assert together.shape == (4, 15, N_WAY)
        for i in range(4):
            close(together[i], head(support_z[i], SUPPORT_TARGETS, query_z[i], CLASSES))
        as_2_by_2 = head(support_z.unflatten(0, (2, 2)), SUPPORT_TARGETS, query_z.unflatten(0, (2, 2)), CLASSES)
        close(as_2_by_2.flatten(0, 1), together)


def test_order_changes_nothing(head: Head) -> None:
    (support_z,), (query_z,) = episodes(1)
    with torch.no_grad():
        logits = head(support_z, SUPPORT_TARGETS, query_z, CLASSES)
        order = torch.tensor([5, 3, 0, 1, 4, 2])
        close(head(support_z[order], SUPPORT_TARGETS[order], query_z, CLASSES), logits)
        order = torch.randperm(len(query_z), generator=torch.Generator().manual_seed(0))
        close(head(support_z, SUPPORT_TARGETS, query_z[order], CLASSES), logits[order])
        if head.name != "anil" and head.name != "hierarchical_prototypical":
            moved = torch.tensor([2, 0, 1])  # the class that was k is now moved[k]
            close(head(support_z, moved[SUPPORT_TARGETS], query_z)[:, moved], logits)


def test_queries_of_one_class_alone(head: Head) -> None:
    """Where queries are not looked at together, some are answered alone as among others."""
    (support_z,), (query_z,) = episodes(1)
    with torch.no_grad():
        logits = head(support_z, SUPPORT_TARGETS, query_z, CLASSES)
        alone = head(support_z, SUPPORT_TARGETS, query_z[:N_WAY], CLASSES)
    if head.is_transductive:
        assert not torch.allclose(alone.softmax(-1), logits[:N_WAY].softmax(-1), rtol=1e-6, atol=1e-7)
    else:
        close(alone, logits[:N_WAY])


@pytest.mark.parametrize(
    "case",
    ["one shot", "one example against many", "duplicates", "a class twice", "far away", "tiny", "nothing", "one query"],
)
def test_hard_support_sets(head: Head, case: str) -> None:
    (support_z,), (query_z,) = episodes(1)
    targets = SUPPORT_TARGETS
    if case == "one shot":
        support_z, targets = support_z[[0, 3, 4]], torch.arange(3)
    elif case == "one example against many":
        support_z, targets = (
            torch.cat([support_z[[3, 4]], support_z[[0]] + 0.1 * torch.arange(40 * DIM).reshape(40, DIM).sin()]),
            torch.zeros(42).long(),
        )
        targets[:2] = torch.tensor([1, 2])
    elif case == "duplicates":
        support_z = support_z[[0, 0, 0, 3, 4, 4]]
    elif case == "a class twice":
        support_z = support_z[[3, 3, 3, 3, 4, 4]]
    elif case == "far away":
        support_z, query_z = support_z + 1000, query_z + 1000
    elif case == "tiny":
        support_z, query_z = support_z * 1e-6, query_z * 1e-6
    elif case == "nothing":
        support_z, query_z = support_z * 0, query_z * 0
    elif head.is_transductive:
        pytest.skip("one query says nothing of the distribution of queries")
    else:
        query_z = query_z[:1]
    with torch.no_grad():
        logits = head(support_z, targets, query_z, CLASSES)
    assert logits.shape == (len(query_z), N_WAY)
    assert torch.isfinite(logits).all()


def test_clear_cases_are_recognised(head: Head) -> None:
    if head.needs_training:
        pytest.skip("means nothing before training")
    support_z, query_z = episodes(20)
    query_targets = torch.arange(N_WAY).repeat_interleave(5)
    with torch.no_grad():
        logits = head(support_z, SUPPORT_TARGETS, query_z, CLASSES)
    assert (logits.argmax(-1) == query_targets).float().mean() > 0.9
    if head.name != "hierarchical_prototypical":  # whose loss needs more than logits
        assert head.loss(logits, query_targets, CLASSES) < 1.05  # surer than the log(3) of guessing


def test_labels_with_gaps(head: Head) -> None:
    (support_z,), (query_z,) = episodes(1)
    labels = torch.tensor([2, 40, 7])  # in another order than their values
    with torch.no_grad():
        close(head(support_z, labels[SUPPORT_TARGETS], query_z, [2, 40, 7]), head(support_z, SUPPORT_TARGETS, query_z))


def test_settings_build_the_same_head(head: Head) -> None:
    assert HEADS[head.name] is type(head)
    settings = json.loads(json.dumps(head.settings()))
    rebuilt = build_head(head.name, settings).eval()
    assert rebuilt.settings() == head.settings()
    rebuilt.load_state_dict(head.state_dict())
    (support_z,), (query_z,) = episodes(1)
    with torch.no_grad():
        close(rebuilt(support_z, SUPPORT_TARGETS, query_z, CLASSES), head(support_z, SUPPORT_TARGETS, query_z, CLASSES))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"support_targets": torch.tensor([0, 0, 0, 0, 2, 2])}, "class 'Cello' has no example"),
        ({"support_targets": torch.tensor([0, 1, 2])}, r"support_z has shape \(6, 12\) and support_targets \(3,\)"),
        ({"query_z": torch.zeros(4, 7)}, r"query_z has shape \(4, 7\)"),
        ({"support_z": torch.full((6, DIM), torch.nan)}, "support_z holds NaN or infinite values"),
        ({"support_z": torch.zeros(0, DIM), "support_targets": torch.zeros(0).long()}, "the support set is empty"),
    ],
)
def test_bad_input(head: Head, change: dict[str, Any], message: str) -> None:
    (support_z,), (query_z,) = episodes(1)
    given = {"support_z": support_z, "support_targets": SUPPORT_TARGETS, "query_z": query_z, "classes": CLASSES}
    with pytest.raises(InputError, match=message):
        head(**{**given, **change})


def test_double_precision_and_autocast(head: Head) -> None:
    (support_z,), (query_z,) = episodes(1)
    if any(p.requires_grad for p in head.parameters()) and head.needs_training:
        pytest.skip("its weights have a precision of their own")
    with torch.no_grad():
        single = head(support_z, SUPPORT_TARGETS, query_z, CLASSES)
        close(head(support_z.double(), SUPPORT_TARGETS, query_z.double(), CLASSES).float(), single)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = head(support_z.bfloat16(), SUPPORT_TARGETS, query_z.bfloat16(), CLASSES)
    assert torch.isfinite(rough).all()
    assert (rough.argmax(-1) == single.argmax(-1)).float().mean() > 0.8
