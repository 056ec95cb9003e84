"""Transductive heads against loops from their papers, one episode and one number at a time, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.heads import (
    HEADS,
    BdCspnHead,
    LaplacianShotHead,
    PtMapHead,
    TimHead,
    TransductiveFineTuningHead,
    TransductiveHead,
    build_head,
)

Array = NDArray[np.float64]

TRANSDUCTIVE = [name for name, head in HEADS.items() if head.is_transductive]
SUPPORT_TARGETS = torch.tensor([0, 0, 0, 1, 2, 2])  # unequal shots
N_WAY, DIM, N_QUERY = 3, 7, 20


def draw(seed: int, *episodes: int) -> tuple[Tensor, Tensor]:
    """Support set and queries of three overlapping classes; every query belongs to the class of its number modulo 3."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(*episodes, N_WAY, DIM, generator=g, dtype=torch.float64)
    support_z = centres[..., SUPPORT_TARGETS, :] + 0.8 * torch.randn(*episodes, 6, DIM, generator=g)
    query_z = centres[..., torch.arange(N_QUERY) % N_WAY, :] + 0.8 * torch.randn(*episodes, N_QUERY, DIM, generator=g)
    return support_z, query_z


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()


def cos(a: Array, b: Array) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def centred(s: Array, q: Array) -> tuple[Array, Array]:
    mean = np.concatenate([s, q]).mean(axis=0)
    return np.array([unit(x - mean) for x in s]), np.array([unit(x - mean) for x in q])


def class_means(s: Array) -> Array:
    return np.array([s[[y == k for y in SUPPORT_TARGETS]].mean(axis=0) for k in range(N_WAY)])


def bd_cspn(s: Array, q: Array) -> Array:
    """Shift, pseudo-labels, weighted prototypes."""
    s, q = centred(s, q)
    q = q + s.mean(axis=0) - q.mean(axis=0)
    prototypes = class_means(s)
    probabilities = [softmax(np.array([10 * cos(x, p) for p in prototypes])) for x in q]
    rectified = []
    for k in range(N_WAY):
        mine = [i for i in range(len(q)) if probabilities[i].argmax() == k]
        mine.sort(key=lambda i: -probabilities[i][k])
        members = [x for x, y in zip(s, SUPPORT_TARGETS, strict=True) if y == k] + [q[i] for i in mine[:4]]
        weights = softmax(np.array([10 * cos(x, prototypes[k]) for x in members]))
        rectified.append(sum(w * x for w, x in zip(weights, members, strict=True)))
    return np.array([[10 * cos(x, p) for p in rectified] for x in q])


def laplacian_shot(s: Array, q: Array) -> Array:
    s, q = centred(s, q)
    q = q + s.mean(axis=0) - q.mean(axis=0)
    means = class_means(s)
    joined: list[list[Array]] = [[], [], []]
    for x, y in [*zip(s, SUPPORT_TARGETS.tolist(), strict=True), *((x, None) for x in q)]:
        p = softmax(np.array([10 * cos(x, m) for m in means]))
        k = int(p.argmax()) if y is None else y
        joined[k].append(p[k] * x)
    prototypes = [sum(xs) / len(xs) for xs in joined]
    a = np.array([[((x - p) ** 2).sum() for p in prototypes] for x in q])
    neighbours = [sorted((j for j in range(len(q)) if j != i), key=lambda j: ((q[i] - q[j]) ** 2).sum())[:2]
                  for i in range(len(q))]  # fmt: skip
    exponents = -a
    for _ in range(20):
        y = np.array([softmax(row) for row in exponents])
        exponents = np.array([-a[i] + 0.3 * sum(y[j] for j in neighbours[i]) for i in range(len(q))])
    return exponents


def tim_adm(s: Array, q: Array) -> Array:
    s, q = centred(s, q)
    tau, lam, alpha = 15.0, 0.1, 0.1
    y = np.eye(N_WAY)[SUPPORT_TARGETS.numpy()]
    w = class_means(s)

    def p(z: Array) -> Array:
        return np.array([softmax(np.array([-tau / 2 * ((w_k - x) ** 2).sum() for w_k in w])) for x in z])

    for _ in range(150):
        p_s, p_q = p(s), p(q)
        assigned = p_q ** (1 + alpha) / (p_q ** (1 + alpha)).sum(axis=0) ** 0.5
        assigned /= assigned.sum(axis=1, keepdims=True)
        new = []
        for k in range(N_WAY):
            top, bottom = np.zeros(DIM), 0.0
            for i in range(len(s)):
                top += lam / (1 + alpha) * (y[i, k] * s[i] + p_s[i, k] * (w[k] - s[i]))
                bottom += lam / (1 + alpha) * y[i, k]
            for i in range(len(q)):
                top += len(s) / len(q) * (assigned[i, k] * q[i] + p_q[i, k] * (w[k] - q[i]))
                bottom += len(s) / len(q) * assigned[i, k]
            new.append(top / bottom)
        w = np.array(new)
    return np.log(p(q))


def pt_map(s: Array, q: Array, sharpness: float = 10.0) -> Array:
    def transform(x: Array) -> Array:
        x = np.array([unit(np.where(row < 0, -1, 1) * (np.abs(row) + 1e-6) ** 0.5) for row in x])
        return np.array([unit(row) for row in x - x.mean(axis=0)])

    def plan(c: Array) -> Array:
        log_p = -sharpness * np.array([[((x - c_k) ** 2).sum() for c_k in c] for x in q])
        for _ in range(3000):
            log_p -= np.logaddexp.reduce(log_p, axis=1, keepdims=True)
            log_p += np.log(len(q) / N_WAY) - np.logaddexp.reduce(log_p, axis=0)
        return np.exp(log_p)

    s, q = transform(s), transform(q)
    c = class_means(s)
    y = np.eye(N_WAY)[SUPPORT_TARGETS.numpy()]
    for _ in range(20):
        p = plan(c)
        c = c + 0.2 * ((y.T @ s + p.T @ q) / (y.sum(axis=0) + p.sum(axis=0))[:, None] - c)
    return np.log(plan(c))


def transductive_fine_tuning(s: Array, q: Array) -> Array:
    """With torch's Adam and automatic gradients."""
    s, q = centred(s, q)
    w = torch.tensor(np.array([unit(m) for m in class_means(s)])).requires_grad_()
    s_z, q_z = torch.tensor(s), torch.tensor(q)
    adam = torch.optim.Adam([w], lr=0.001)
    for _ in range(25):
        adam.zero_grad()
        loss = torch.nn.functional.cross_entropy(10 * s_z @ w.T, SUPPORT_TARGETS)
        (loss + torch.distributions.Categorical(logits=10 * q_z @ w.T).entropy().mean()).backward()
        adam.step()
    return (10 * q_z @ w.T).detach().numpy()


PAPERS: list[tuple[TransductiveHead, Callable[[Array, Array], Array]]] = [
    (BdCspnHead(n_pseudo=4), bd_cspn),
    (LaplacianShotHead(), laplacian_shot),
    (TimHead(), tim_adm),
    (PtMapHead(), pt_map),
    (TransductiveFineTuningHead(), transductive_fine_tuning),
]


@pytest.mark.parametrize(("head", "paper"), PAPERS, ids=lambda value: getattr(value, "name", ""))
def test_probabilities_equal_the_papers(head: TransductiveHead, paper: Callable[[Array, Array], Array]) -> None:
    support_z, query_z = draw(0)
    expected = np.array([softmax(row) for row in paper(support_z.numpy(), query_z.numpy())])
    found = head(support_z, SUPPORT_TARGETS, query_z).softmax(-1).numpy()
    # Sinkhorn stops where the sums are right within 0.0001; the others are the same arithmetic.
    np.testing.assert_allclose(found, expected, atol=0.003 if isinstance(head, PtMapHead) else 1e-6)
    # The other queries matter: without those of two classes, the answers to the third's are others.
    of_one_class = head(support_z, SUPPORT_TARGETS, query_z[::3]).softmax(-1).numpy()
    assert np.abs(of_one_class - expected[::3]).max() > 0.1


def test_every_transductive_head_is_checked_here() -> None:
    assert sorted(TRANSDUCTIVE) == sorted(head.name for head, _ in PAPERS)
    assert all(issubclass(HEADS[name], TransductiveHead) for name in TRANSDUCTIVE)


@pytest.mark.parametrize("name", TRANSDUCTIVE)
class TestEach:
    def test_stacked_episodes_equal_single_ones(self, name: str) -> None:
        support_z, query_z = draw(1, 2, 2)
        together = HEADS[name]()(support_z, SUPPORT_TARGETS, query_z)
        assert together.shape == (2, 2, N_QUERY, N_WAY)
        for i in range(2):
            for j in range(2):
                alone = HEADS[name]()(support_z[i, j], SUPPORT_TARGETS, query_z[i, j])
                torch.testing.assert_close(together[i, j].softmax(-1), alone.softmax(-1), atol=2e-3, rtol=0)

    def test_order_changes_nothing(self, name: str) -> None:
        support_z, query_z = draw(2)
        head = HEADS[name]()
        expected = head(support_z, SUPPORT_TARGETS, query_z)
        queries, support = torch.randperm(N_QUERY, generator=torch.Generator().manual_seed(0)), [5, 3, 0, 1, 4, 2]
        ways = torch.tensor([2, 0, 1])  # what was class k is now class ways[k]
        found = head(support_z[support], ways[SUPPORT_TARGETS[support]], query_z[queries])
        torch.testing.assert_close(found[:, ways], expected[queries], atol=1e-6, rtol=1e-6)

    def test_single_precision_is_enough(self, name: str) -> None:
        support_z, query_z = draw(3)
        exact = HEADS[name]()(support_z, SUPPORT_TARGETS, query_z).softmax(-1)
        found = HEADS[name]()(support_z.float(), SUPPORT_TARGETS, query_z.float())
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.softmax(-1), exact.float(), atol=1e-3, rtol=0)

    def test_scale_of_the_embeddings_does_not_matter(self, name: str) -> None:
        support_z, query_z = draw(4)
        expected = HEADS[name]()(support_z, SUPPORT_TARGETS, query_z).softmax(-1)
        found = HEADS[name]()(500 * support_z, SUPPORT_TARGETS, 500 * query_z).softmax(-1)
        torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)

    def test_gradients_reach_both_sides(self, name: str) -> None:
        support_z, query_z = (z.float() for z in draw(5))
        support_z[:, 0] = query_z[:, 0] = 0  # a unit that is never active
        support_z.requires_grad_()
        query_z.requires_grad_()
        head = HEADS[name]()
        loss, _ = head.episode_loss(support_z, SUPPORT_TARGETS, query_z, torch.arange(N_QUERY) % N_WAY)
        for gradient in torch.autograd.grad(loss, (support_z, query_z)):
            assert torch.isfinite(gradient).all()
            assert gradient.abs().sum() > 0

    @pytest.mark.parametrize("case", ["one shot, wide", "duplicates", "all the same", "one class"])
    def test_degenerate_episodes(self, name: str, case: str) -> None:
        support_targets = torch.zeros(3).long() if case == "one class" else torch.arange(3)
        g = torch.Generator().manual_seed(6)
        support_z, query_z = torch.randn(3, 600, generator=g), torch.randn(9, 600, generator=g)
        if case == "duplicates":
            query_z = support_z.repeat(3, 1)
        elif case == "all the same":
            support_z, query_z = torch.ones(3, 600), torch.ones(9, 600)
        logits = HEADS[name]()(support_z, support_targets, query_z)
        assert torch.isfinite(logits).all()
        if case == "duplicates":
            assert logits.argmax(-1).tolist() == [0, 1, 2] * 3

    def test_bad_input(self, name: str) -> None:
        support_z, query_z = draw(7)
        head = HEADS[name]()
        with pytest.raises(InputError, match="class '1' has no example"):
            head(support_z, torch.tensor([0, 0, 0, 2, 2, 2]), query_z)
        with pytest.raises(InputError, match="support_z holds NaN"):
            head(support_z * math.nan, SUPPORT_TARGETS, query_z)
        with pytest.raises(InputError, match="the embedding size of the support set"):
            head(support_z, SUPPORT_TARGETS, query_z[:, :3])
        query_z[4, 2] = math.inf
        with pytest.raises(InputError, match="query_z holds NaN or infinite values"):
            head(support_z, SUPPORT_TARGETS, query_z)
        assert head(support_z, SUPPORT_TARGETS, query_z[:0]).shape == (0, 3)

    def test_settings_build_the_same_head(self, name: str) -> None:
        head = HEADS[name]()
        assert build_head(name, head.settings()).settings() == head.settings()
        assert head.is_transductive and not head.needs_training


def shares(head: TransductiveHead, share: float) -> tuple[float, float]:
    """Accuracy, and the share of queries answered with class 0, where class 0 has that share of them; 40 episodes."""
    g = torch.Generator().manual_seed(8)
    n_first = round(share * 60)
    targets = torch.tensor([0] * n_first + [1] * (60 - n_first))
    centres = torch.randn(40, 2, 20, generator=g)
    support_z = centres + torch.randn(40, 2, 20, generator=g)
    query_z = centres[:, targets] + torch.randn(40, 60, 20, generator=g)
    answers = head(support_z, torch.arange(2), query_z).argmax(-1)
    return float((answers == targets).float().mean()), float((answers == 0).float().mean())


class TestWhatIsAssumedOfTheQueries:
    @pytest.mark.parametrize("head", [TimHead(), PtMapHead()], ids=lambda head: head.name)
    def test_classes_are_answered_equally_often(self, head: TransductiveHead) -> None:
        accuracy, first = shares(head, 0.5)
        assert accuracy > 0.95 and first == pytest.approx(0.5, abs=0.02)
        accuracy, first = shares(head, 0.9)
        assert accuracy < 0.85 and first < 0.8

    def test_neighbours_do_not_ask_for_that(self) -> None:
        head = LaplacianShotHead(rectify=False, centre=False)
        (balanced, _), (unbalanced, first) = shares(head, 0.5), shares(head, 0.9)
        assert unbalanced > balanced - 0.03 and first > 0.8

    def test_fewer_queries_than_classes_cannot_be_balanced(self) -> None:
        support_z, query_z = draw(9)
        with pytest.raises(InputError, match="there are 2 for 3 classes; give all queries at once"):
            PtMapHead()(support_z, SUPPORT_TARGETS, query_z[:2])


def test_plan_has_the_sums_that_it_promises() -> None:
    support_z, query_z = draw(10)
    plan = PtMapHead()(support_z, SUPPORT_TARGETS, query_z).exp()
    torch.testing.assert_close(plan.sum(0), torch.full((3,), N_QUERY / 3, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(1), torch.ones(N_QUERY, dtype=torch.float64), atol=1e-3, rtol=0)


def test_sharp_plans_do_not_underflow() -> None:
    """The costs of a query differ by up to 4, so exp(-100 cost) is 0 in single precision."""
    support_z, query_z = draw(12)
    expected = np.exp(pt_map(support_z.numpy(), query_z.numpy(), sharpness=100.0))
    plan = PtMapHead(sharpness=100.0)(support_z.float(), SUPPORT_TARGETS, query_z.float()).exp()
    np.testing.assert_allclose(plan.numpy(), expected, atol=0.02)
    assert (plan.argmax(-1).numpy() == expected.argmax(-1)).all()


def test_tim_finds_what_gradient_descent_on_its_loss_finds() -> None:
    support_z, query_z = draw(11)
    s, q = (torch.tensor(z) for z in centred(support_z.numpy(), query_z.numpy()))

    def log_p(z: Tensor, w: Tensor) -> Tensor:
        return (-7.5 * ((z[:, None] - w) ** 2).sum(-1)).log_softmax(-1)

    def information(log_q: Tensor) -> Tensor:
        marginal = log_q.exp().mean(0)
        return 0.1 * (log_q.exp() * log_q).sum(-1).mean() - (marginal * marginal.log()).sum()

    def ours(n_steps: int) -> Tensor:
        return TimHead(n_steps=n_steps, centre=False)(s, SUPPORT_TARGETS, q).log_softmax(-1)

    start = torch.tensor(class_means(s.numpy()))
    w = start.clone().requires_grad_()
    adam = torch.optim.Adam([w], lr=0.03)
    for _ in range(200):
        adam.zero_grad()
        (0.1 * torch.nn.functional.nll_loss(log_p(s, w), SUPPORT_TARGETS) - information(log_p(q, w))).backward()
        adam.step()
    theirs = log_p(q, w.detach())
    assert information(log_p(q, start)) < information(ours(1)) < information(ours(10)) < information(ours(150))
    assert information(ours(150)) == pytest.approx(float(information(theirs)), abs=0.05)
    assert (theirs.argmax(-1) == ours(150).argmax(-1)).float().mean() >= 0.9


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BdCspnHead(scale=0), "scale is 0; expected a positive number"),
        (lambda: BdCspnHead(n_pseudo=0), "n_pseudo is 0"),
        (lambda: LaplacianShotHead(smoothing=-1), "smoothing is -1"),
        (lambda: LaplacianShotHead(scale=0), "scale is 0; expected a positive number"),
        (lambda: LaplacianShotHead(n_neighbours=0), "n_neighbours is 0"),
        (lambda: TimHead(support_weight=0), "support_weight is 0"),
        (lambda: TimHead(entropy_weight=-1), "entropy_weight is -1"),
        (lambda: PtMapHead(rate=2), "rate is 2; expected at most 1"),
        (lambda: PtMapHead(power=math.nan), "power is nan"),
        (lambda: TransductiveFineTuningHead(entropy_weight=-1), "entropy_weight is -1"),
        (lambda: TransductiveFineTuningHead(n_steps=0), "n_steps is 0"),
    ],
)
def test_bad_settings(build: Callable[[], TransductiveHead], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()
