from __future__ import annotations

import json
import math

import pytest
import torch

from musicfsl.backbones import ConvEncoder
from musicfsl.checkpoints import load_head, save_encoder
from musicfsl.errors import InputError
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import HEADS, HierarchicalPrototypicalHead, PrototypicalHead, build_head
from musicfsl.taxonomy import Taxonomy

# Classes at depths 1 to 4, so that evening out and shortening both have something to do.
NESTED = {
    "strings": {"bowed": {"large": ["Cello", "Contrabass"], "small": ["Violin"]}, "plucked": ["Harp", "Banjo"]},
    "winds": {"Flute": None, "reeds": ["Oboe", "Bassoon"]},
    "Voice": None,
}
CLASSES = ["Oboe", "Contrabass", "Voice", "Harp", "Cello", "Violin", "Flute"]


@pytest.fixture
def episode():
    g = torch.Generator().manual_seed(0)
    support_targets = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 4, 5, 6, 6])  # unequal shots
    query_targets = torch.arange(21) % 7
    return (
        torch.randn(12, 8, generator=g, dtype=torch.float64),
        support_targets,
        torch.randn(21, 8, generator=g, dtype=torch.float64),
        query_targets,
    )


def loss_of_the_paper(episode, nested: dict, classes: list[str], height: int, alpha: float, distance: str):
    """Prototypes of prototypes by recursion over the tree; then a loss at every height, query by query."""
    support_z, support_targets, query_z, query_targets = episode
    tree = Taxonomy(nested).even(height + 1).prune(classes)
    prototype = {}

    def visit(node: str) -> torch.Tensor:
        if node in classes:
            members = [z for z, y in zip(support_z, support_targets, strict=True) if classes[y] == node]
        else:
            members = [visit(child) for child in tree.children(node)]
        prototype[node] = sum(members) / len(members)
        return prototype[node]

    visit("")
    total = 0.0
    for h in range(height + 1):
        candidates = sorted({*tree.level(h, classes)})
        loss = 0.0
        for z, y in zip(query_z, query_targets, strict=True):
            squared = torch.stack([((z - prototype[node]) ** 2).sum() for node in candidates])
            distances = squared if distance == "euclidean" else squared.sqrt()
            own = candidates.index(tree.level(h, [classes[y]])[0])
            loss = loss - torch.log_softmax(-distances, 0)[own] / len(query_z)
        total = total + math.exp(-alpha * h) * loss
    return total


def with_gradients(episode, compute):
    support_z, support_targets, query_z, query_targets = episode
    s, q = support_z.clone().requires_grad_(), query_z.clone().requires_grad_()
    loss = compute(s, support_targets, q, query_targets)
    return loss, *torch.autograd.grad(loss, (s, q))


@pytest.mark.parametrize("height", [1, 2, 3])
@pytest.mark.parametrize("distance", ["euclidean", "unsquared"])
def test_loss_and_gradients_equal_a_loop_written_from_the_paper(episode, height: int, distance: str) -> None:
    head = HierarchicalPrototypicalHead(NESTED, height, alpha=0.75, distance=distance).double()
    ours = with_gradients(episode, lambda *e: head.episode_loss(*e, CLASSES)[0])
    paper = with_gradients(episode, lambda *e: loss_of_the_paper(e, NESTED, CLASSES, height, 0.75, distance))
    for a, b in zip(ours, paper, strict=True):
        torch.testing.assert_close(a, b)


def test_the_published_codes_loss_is_an_option(episode) -> None:
    """Its ancestors' prototypes are means over the classes below, and its distances are not squared."""
    head = HierarchicalPrototypicalHead(NESTED, 3, alpha=0.5, distance="unsquared", parents="classes").double()
    tree = Taxonomy(NESTED).even(4)

    def published(support_z, support_targets, query_z, query_targets):
        prototypes = torch.stack([support_z[support_targets == c].mean(0) for c in range(7)])
        total = 0.0
        for h in range(4):
            above = tree.level(h, CLASSES)
            nodes = sorted({*above})
            of_nodes = torch.stack([prototypes[[a == node for a in above]].mean(0) for node in nodes])
            own = torch.tensor([nodes.index(above[y]) for y in query_targets])
            total = total + math.exp(-0.5 * h) * torch.nn.functional.cross_entropy(-torch.cdist(query_z, of_nodes), own)
        return total

    ours = with_gradients(episode, lambda *e: head.episode_loss(*e, CLASSES)[0])
    for a, b in zip(ours, with_gradients(episode, published), strict=True):
        torch.testing.assert_close(a, b)
    children = HierarchicalPrototypicalHead(NESTED, 3, alpha=0.5, distance="unsquared").double()
    assert children.episode_loss(*episode, CLASSES)[0] != ours[0]


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "unsquared"])
def test_height_0_is_the_plain_head_bit_by_bit(episode, distance: str) -> None:
    plain, flat = PrototypicalHead(distance), HierarchicalPrototypicalHead(NESTED, 0, distance=distance)
    single = (episode[0].float(), episode[1], episode[2].float(), episode[3])
    for classes in (CLASSES, None):
        expected = with_gradients(single, lambda *e: plain.episode_loss(*e, classes)[0])  # noqa: B023
        ours = with_gradients(single, lambda *e: flat.episode_loss(*e, classes)[0])  # noqa: B023
        for a, b in zip(ours, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    support_z, support_targets, query_z, _ = single
    for height in (0, 1, 3):  # queries are recognised by the classes' prototypes, whatever the height
        head = HierarchicalPrototypicalHead(NESTED, height, distance=distance)
        logits, expected = (h(support_z, support_targets, query_z, CLASSES) for h in (head, plain))
        torch.testing.assert_close(logits, expected, rtol=0, atol=0)
        torch.testing.assert_close(head.episode_loss(*single, CLASSES)[1], expected, rtol=0, atol=0)


def test_weights(episode) -> None:
    def loss(**settings) -> float:
        return float(HierarchicalPrototypicalHead(NESTED, 2, **settings).double().episode_loss(*episode, CLASSES)[0])

    head = HierarchicalPrototypicalHead(NESTED, 2, alpha=0.75).double()
    levels = head.levels(CLASSES)
    support_z, support_targets, query_z, query_targets = episode
    logits = head.score_levels(head.adapt(support_z, support_targets), query_z, levels)
    losses = head.level_losses(logits, query_targets, levels).tolist()
    weights = [1, math.exp(-0.75), math.exp(-1.5)]
    assert head.level_weights == pytest.approx(weights)
    by_hand = sum(w * x for w, x in zip(weights, losses, strict=True))
    assert loss(alpha=0.75) == pytest.approx(by_hand)
    assert loss(alpha=0.75, normalize_weights=True) == pytest.approx(by_hand / sum(weights))
    assert loss(alpha=0) == pytest.approx(sum(losses))
    assert loss(weights=[0, 2, 3]) == pytest.approx(2 * losses[1] + 3 * losses[2])
    assert loss(weights=[1, 1, 2], normalize_weights=True) == pytest.approx((losses[0] + losses[1] + 2 * losses[2]) / 4)


def test_levels_of_an_episode() -> None:
    levels = HierarchicalPrototypicalHead(NESTED, 2).levels(["Oboe", "Cello", "Harp", "Voice", "Violin"])
    assert levels[0].nodes == ["Oboe", "Cello", "Harp", "Voice", "Violin"]
    assert [levels[1].nodes[g] for g in levels[1].group] == ["reeds", "bowed", "plucked", "Voice (1)", "bowed"]
    assert [levels[2].nodes[g] for g in levels[2].group] == ["winds", "strings", "strings", "Voice (2)", "strings"]
    # The mean of the children's prototypes: bowed and plucked strings count alike, whatever their numbers of classes.
    assert levels[2].means[levels[2].nodes.index("strings")].tolist() == [0, 0.25, 0.5, 0, 0.25]
    by_classes = HierarchicalPrototypicalHead(NESTED, 2, parents="classes").levels(levels[0].nodes)
    assert by_classes[2].means[by_classes[2].nodes.index("strings")] == pytest.approx([0, 1 / 3, 1 / 3, 0, 1 / 3])


def test_classes_without_common_parents_and_with_one_parent(episode) -> None:
    support_z, query_z = episode[0], episode[2]
    targets, asked = torch.arange(12) % 3, torch.arange(21) % 3
    apart = HierarchicalPrototypicalHead(NESTED, 1, alpha=0.0).double()
    loss, logits = apart.episode_loss(support_z, targets, query_z, asked, ["Voice", "Harp", "Flute"])
    torch.testing.assert_close(loss, 2 * PrototypicalHead().loss(logits, asked))  # every family has one class
    together = apart.episode_loss(support_z, targets, query_z, asked, ["Violin", "Harp", "Banjo"])[0]
    torch.testing.assert_close(together, loss / 2)  # a choice among one family costs nothing


def test_a_class_that_stands_in_an_episode_twice_makes_two_children(episode) -> None:
    """As virtual instruments of one class do."""
    support_z, _, query_z, _ = episode
    targets, asked = torch.arange(12) % 4, torch.arange(21) % 4
    twice = HierarchicalPrototypicalHead({"strings": ["Violin", "Cello"], "winds": ["Oboe"]}).double()
    other = HierarchicalPrototypicalHead({"strings": ["Violin", "Cello", "Viola"], "winds": ["Oboe"]}).double()
    given = (support_z, targets, query_z, asked)
    ours = twice.episode_loss(*given, ["Violin", "Oboe", "Violin", "Cello"])[0]
    torch.testing.assert_close(ours, other.episode_loss(*given, ["Violin", "Oboe", "Viola", "Cello"])[0])


def test_stacked_episodes_equal_single_ones() -> None:
    g = torch.Generator().manual_seed(2)
    support_z, query_z = torch.randn(4, 12, 8, generator=g), torch.randn(4, 9, 8, generator=g)
    targets, asked, classes = torch.arange(12) % 3, torch.arange(9) % 3, ["Violin", "Harp", "Oboe"]
    for distance in ("euclidean", "cosine", "unsquared"):
        head = HierarchicalPrototypicalHead(NESTED, 2, distance=distance)
        loss, logits = head.episode_loss(support_z, targets, query_z, asked, classes)
        single = [head.episode_loss(support_z[i], targets, query_z[i], asked, classes) for i in range(4)]
        torch.testing.assert_close(loss, torch.stack([each[0] for each in single]).mean())
        torch.testing.assert_close(logits, torch.stack([each[1] for each in single]))


@pytest.mark.parametrize("z", [torch.eye(3), 2 * torch.eye(3) - 1, torch.zeros(3, 3)])
def test_a_query_on_its_prototype_has_a_finite_gradient(z: torch.Tensor) -> None:
    """Where the root of the squared distance has none."""
    support_z, query_z = z.clone().requires_grad_(), z.clone().requires_grad_()
    head = HierarchicalPrototypicalHead(NESTED, 1, distance="unsquared")
    loss, logits = head.episode_loss(support_z, torch.arange(3), query_z, torch.arange(3), ["Violin", "Harp", "Oboe"])
    torch.testing.assert_close(logits.diagonal(), torch.zeros(3), rtol=0, atol=1e-3)
    loss.backward()
    for gradient in (support_z.grad, query_z.grad):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() < 2  # a distance never changes more quickly than what it is measured from


def test_nothing_of_an_episode_stays_on_the_head(episode) -> None:
    head = HierarchicalPrototypicalHead(NESTED, 2).double()
    before = {name: repr(value) for name, value in vars(head).items()}
    head.episode_loss(*episode, CLASSES)
    assert {name: repr(value) for name, value in vars(head).items()} == before


def test_it_evaluates_without_names(episode) -> None:
    g = torch.Generator().manual_seed(1)
    z, targets = torch.randn(60, 8, generator=g), torch.arange(6).repeat_interleave(10).numpy()
    reports = [
        evaluate_episodes(z, targets, head, 3, 2, 3, n_episodes=20)
        for head in (PrototypicalHead(), HierarchicalPrototypicalHead(NESTED, 2))
    ]
    assert reports[0].accuracies.tolist() == reports[1].accuracies.tolist()


class TestSettings:
    def test_build_the_same_head(self, episode) -> None:
        assert HEADS["hierarchical_prototypical"] is HierarchicalPrototypicalHead
        head = HierarchicalPrototypicalHead(
            Taxonomy(NESTED, "mine"), 2, 0.3, True, [3, 2, 1], "classes", "cosine", learn_temperature=False
        )
        rebuilt = build_head(head.name, json.loads(json.dumps(head.settings())))
        assert rebuilt.settings() == head.settings()
        assert rebuilt.taxonomy == head.taxonomy
        assert rebuilt.double().episode_loss(*episode, CLASSES)[0] == head.double().episode_loss(*episode, CLASSES)[0]

    def test_travel_with_a_checkpoint(self, tmp_path, episode) -> None:
        encoder = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
        head = HierarchicalPrototypicalHead(NESTED, 2, distance="cosine", temperature=3.0)
        loaded = load_head(save_encoder(encoder, tmp_path / "e.safetensors", head=head))
        assert isinstance(loaded, HierarchicalPrototypicalHead)
        assert loaded.settings() == head.settings()
        assert loaded.double().episode_loss(*episode, CLASSES)[0] == head.double().episode_loss(*episode, CLASSES)[0]

    def test_a_taxonomy_comes_by_name_file_mapping_or_object(self, tmp_path) -> None:
        tree = Taxonomy(NESTED)
        heads = [HierarchicalPrototypicalHead(given) for given in (tree, NESTED, str(tree.save(tmp_path / "t.yaml")))]
        assert [head.taxonomy for head in heads] == [tree, tree, tree]
        shipped = HierarchicalPrototypicalHead("families")
        assert shipped.levels(["double_bass", "oboe"])[0].nodes == ["double_bass", "oboe"]  # other spellings are fine


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height": 4}, "height is 4, but the taxonomy has 3 ranks of nodes .*; expected 0 to 3"),
        ({"height": -1}, "height is -1"),
        ({"taxonomy": "familes"}, "no taxonomy 'familes'.*Did you mean 'families'"),
        ({"alpha": math.nan}, "alpha is nan"),
        ({"weights": [1.0]}, "1 weights for height 2; give one for each height"),
        ({"weights": [0, 0, 0]}, "not all 0"),
        ({"weights": [1, -1, 0]}, "0 or more"),
        ({"parents": "aunts"}, "parents is 'aunts'; expected 'children' or 'classes'"),
        ({"distance": "manhattan"}, "distance is 'manhattan'"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        HierarchicalPrototypicalHead(**{"taxonomy": NESTED, "height": 2, **settings})


def test_episodes_without_names_or_with_unknown_ones(episode) -> None:
    head = HierarchicalPrototypicalHead(NESTED, 1).double()
    for classes in (None, [0, 1, 2, 3, 4, 5, 6], "Oboe"):
        with pytest.raises(InputError, match="give the names of the episode's classes"):
            head.episode_loss(*episode, classes)
    with pytest.raises(InputError, match=r"class 'Celo' is not in the taxonomy. Did you mean 'Cello'"):
        head.episode_loss(*episode, ["Celo", *CLASSES[1:]])
    support_z, support_targets, query_z, query_targets = episode
    logits = head(support_z, support_targets, query_z, CLASSES)
    with pytest.raises(InputError, match="call episode_loss"):  # never the loss of one level in silence
        head.loss(logits, query_targets, CLASSES)
