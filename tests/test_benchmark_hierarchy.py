"""The measurement of hierarchical training runs, on small sizes; what it finds is for the measurement itself to say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import hierarchy
from benchmarks.hierarchy_results import Results, Run, measure_of
from musicfsl import FeatureStore, SyntheticInstruments
from musicfsl.evaluation import evaluate_episodes
from musicfsl.heads import PrototypicalHead
from musicfsl.metrics import mean_ci95
from musicfsl.taxonomy import Taxonomy

CLASSES = ["Violin", "Cello", "Flute", "Oboe", "Harp", "Banjo", "Trombone", "Bass Tuba"]


@pytest.fixture(autouse=True)
def untouched_global_random_state(restored_global_random_state: None) -> None:
    """Lightning seeds and draws as it pleases: the state is put back, instead of checked as elsewhere."""


@pytest.fixture(scope="module")
def store(own_cache: Path) -> FeatureStore:
    waves = SyntheticInstruments(classes=CLASSES, n_players=3, notes_per_player=3, duration=None, progress=False)
    return hierarchy.stored(waves, progress=False)


def test_every_line_on_every_split(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, int, tuple[str, ...]]] = []
    train = hierarchy.train

    def spy(sources, n_steps, seed, head):
        heard.append((head.name, seed, tuple(sources[0].classes)))
        return train(sources, 1, seed, head)

    monkeypatch.setattr(hierarchy, "train", spy)
    experiment = hierarchy.Experiment(
        store, seeds=(0, 1), n_steps=1, shots=(1, 2), n_query=2, n_episodes=20, halves=True, progress=False
    )
    results = experiment.run()
    assert results.lines == ["flat", "hierarchical (families)", "leaves shuffled (families)"]
    assert [name for name, _, _ in heard[:3]] == ["prototypical", *["hierarchical_prototypical"] * 2]
    tree = Taxonomy.load("families").prune(CLASSES)
    assert len(heard) == len(results.runs) == 2 * 2 * 3
    for run, (_, seed, trained) in zip(results.runs, heard, strict=True):
        assert run.seed == seed
        assert sorted([*run.tested, *trained]) == sorted(CLASSES)  # what is tested is not heard
        assert {*tree.level(2, run.tested)} == {*tree.level(2, trained)}  # but relatives are
    assert len({run.tested for run in results.runs}) >= 2

    content = json.loads(json.dumps(results.to_dict()))
    assert len(content["means"]) == 2 * 3
    assert len(content["differences"]) == 2 * 3
    text = str(results)
    assert "trained on synthetic for 1 steps; 4-way" in text
    assert "| hierarchical (families) less leaves shuffled (families) |" in text

    before = len(heard)
    assert experiment.run().to_dict()["means"] == content["means"]  # kept networks, the same numbers
    assert len(heard) == before


def test_trained_elsewhere_without_the_tested_instruments(store: FeatureStore) -> None:
    data = store.subset(["Violin", "Oboe"])
    (split,) = hierarchy.splits_of(data, store, Taxonomy.load("families"), 0, halves=True)
    assert split.test is data
    assert sorted(split.train.classes) == sorted({*CLASSES} - {"Violin", "Oboe"})


def test_shuffled_trees_keep_their_shape_and_differ_by_seed(store: FeatureStore) -> None:
    experiment = hierarchy.Experiment(store, height=1)
    flat, tree, shuffled = experiment.heads(0).values()
    assert isinstance(flat, PrototypicalHead)
    assert sorted(shuffled.taxonomy.classes) == sorted(tree.taxonomy.classes) == sorted(CLASSES)
    assert shuffled.taxonomy != tree.taxonomy
    assert experiment.heads(1)["leaves shuffled (families)"].taxonomy != shuffled.taxonomy


def test_differences_are_taken_episode_by_episode() -> None:
    tree = Taxonomy({"a": ["x", "y"], "b": ["z", "w"]})
    targets = np.repeat(np.arange(4), 12)

    def run(line: str, seed: int, noise: float) -> Run:
        g = torch.Generator().manual_seed(seed)
        z = torch.eye(4)[targets] + noise * torch.randn(48, 4, generator=g)
        report = evaluate_episodes(
            z, targets, PrototypicalHead(), 3, 2, 5, 40, class_names=tree.classes, taxonomy=tree, is_synthetic=True
        )
        return Run(line, seed, tuple(tree.classes), {2: report})

    runs = [run(line, seed, noise) for seed in (0, 1, 2) for line, noise in (("flat", 0.9), ("tree", 0.7))]
    results = Results("points", "points", 1, runs, 0.0)
    for measure in ("accuracy", "family_accuracy", "macro_f1", "f1", "mistake_height"):
        found = results.difference("tree", "flat", 2, measure)
        pairs = [(b, a) for a, b in zip(runs[::2], runs[1::2], strict=True)]
        each = [mean_ci95(measure_of(a.reports[2], measure) - measure_of(b.reports[2], measure)) for a, b in pairs]
        assert found.mean == pytest.approx(np.mean([e.mean for e in each]))
        assert found.over_episodes == pytest.approx(np.sqrt(sum(e.ci95**2 for e in each)) / 3)
        spread = np.std([e.mean for e in each], ddof=1)
        assert found.over_seeds == pytest.approx(4.302653 * spread / np.sqrt(3), rel=1e-5)  # t for 2 degrees of freedom
        by_hand = results.mean("tree", 2, measure) - results.mean("flat", 2, measure)
        assert found.mean == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--data", "{folder}/nowhere"], "nowhere is not a folder"), (["--train", "synthetic"], "give --data FOLDER")],
)
def test_a_mistake_is_one_line(tmp_path: Path, capsys, arguments: list[str], message: str) -> None:
    assert hierarchy.main([argument.format(folder=tmp_path) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
