"""The measurement of all methods runs, on small sizes; what it finds is for the measurement itself to say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from benchmarks import easyfsl_methods, easyfsl_peer, methods, methods_peer, methods_trained
from benchmarks.methods_peer import LIKE_EASYFSL
from benchmarks.methods_results import PeerRun, Results, Run
from benchmarks.methods_trained import TRAINED
from musicfsl import ConvEncoder, PrototypicalHead, SyntheticInstruments, evaluate_episodes
from musicfsl.comparison import untrained_methods
from musicfsl.metrics import mean_ci95

_SMALL = ["Cello", "Flute", "Harp", "Organ", "Piano"]


@pytest.fixture(autouse=True)
def untouched_global_random_state(restored_global_random_state: None) -> None:
    """Lightning seeds and draws as it pleases: the state is put back, instead of checked as elsewhere."""


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> SyntheticInstruments:
    return SyntheticInstruments(
        classes=_SMALL, n_players=2, notes_per_player=10, cache_dir=tmp_path_factory.mktemp("synthetic"), progress=False
    )


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Learners and classes of all trainings, which are left out but for the first of each kind."""
    seen: list[tuple[str, list[str]]] = []

    def spy(learner, episodes, n_steps):
        seen.append((f"{type(learner).__name__} {learner.head.name}", list(episodes.dataset.classes)))

    monkeypatch.setattr(methods_trained, "fit_learner", spy)
    monkeypatch.setattr(methods_trained, "fit_whitening", lambda *_: None)
    monkeypatch.setattr(methods_trained, "ConvEncoder", lambda seed: ConvEncoder(widths=(8, 8, 8, 8), seed=seed))
    return seen


def test_every_line_of_every_split(small_set: SyntheticInstruments, heard) -> None:
    experiment = methods.Experiment(
        small_set, None, (0, 1), 1, (1, 5), n_query=3, n_episodes=10, n_maml=2, n_peer=0, progress=False
    )
    results = experiment.run()
    lines = ["mean MFCC, nearest class mean", *untrained_methods(), *(f"{name}, trained" for name in TRAINED)]
    assert results.lines == lines
    for line in lines:
        for shots in (1, 5):
            assert [run.seed for run in results.of(line, shots)] == [0, 1]
            assert {len(run.accuracies) for run in results.of(line, shots)} == {2 if "maml" in line else 10}
    unequal = {run.line for run in results.runs if run.imbalance is not None}
    transductive = {name for name, head in untrained_methods().items() if head.is_transductive}
    assert unequal == {*transductive, "prototypical-cosine", "simpleshot"}
    assert [name for name, _ in heard] == 2 * [
        "EpisodicLearner prototypical", "EpisodicLearner matching", "EpisodicLearner relation", "EpisodicLearner feat",
        "EpisodicLearner anil", "MamlLearner anil",
    ]  # fmt: skip
    for seed in (0, 1):
        known = {tuple(classes) for _, classes in heard[6 * seed : 6 * seed + 6]}
        assert len(known) == 1 and len(*known) == 3  # of five classes, two are tested

    text, content = str(results), json.loads(json.dumps(results.to_dict()))
    assert "synthetic: 2-way, 3 queries a class, 10 or 2 episodes a test" in text
    assert "chance 0.500" in text and "| tim (t) |" in text
    assert "Networks were trained on other classes of it, 1 steps each" in text
    assert [line["line"] for line in content["lines"]] == lines
    before = len(heard)
    assert experiment.run().to_dict()["lines"][3]["accuracy"] == content["lines"][3]["accuracy"]
    assert len(heard) == before  # kept networks


def test_recordings_are_tested_by_networks_that_know_none_of_their_instruments(
    small_set: SyntheticInstruments, make_tones, heard
) -> None:
    tones = make_tones(n_classes=4)
    tones.classes = ["cello", "harp", "x", "y"]
    results = methods.Experiment(
        tones, small_set, (0,), 1, (1,), n_query=3, n_episodes=10, n_peer=0, methods=("relation",), progress=False
    ).run()
    assert {tuple(classes) for _, classes in heard} == {("Flute", "Organ", "Piano")}
    assert "Networks were trained on synthetic, without these instruments" in str(results)


def test_figures_by_hand() -> None:
    rng = np.random.default_rng(0)
    runs = [
        Run(line, seed, shots, rng.uniform(size=50), 0.1 * seed)
        for seed in (1, 2, 3)
        for line in ("plain", "other")
        for shots in (1, 5)
    ]
    runs.append(Run("plain", 1, 5, rng.uniform(size=50), 1.0, imbalance=2.0))
    peer = PeerRun("ridge", rng.uniform(size=40), rng.uniform(size=40), rng.uniform(size=40), 0.5, 6.0)
    results = Results("points", "points", 5, 15, 300, 2.0, 5, runs, [peer], 1.0)
    means = [run.accuracies.mean() for run in results.of("other", 5)]
    found = results.accuracy("other", 5)
    assert found.mean == pytest.approx(np.mean(means))
    assert found.over_seeds == pytest.approx(4.302653 * np.std(means, ddof=1) / np.sqrt(3), rel=1e-5)
    squares = [mean_ci95(run.accuracies).ci95 ** 2 for run in results.of("other", 5)]
    assert found.over_episodes == pytest.approx(np.sqrt(sum(squares)) / 3)
    assert results.seconds_per_1000("plain") == pytest.approx(1000 * 0.2 / 50)
    assert results.accuracy("plain", 5, 2.0).over_seeds is None
    text = str(results)
    assert "| ridge |" in text and "| 12.5 | 150.0 | 12.0 |" in text
    entry = results.to_dict()["easyfsl"][0]
    assert entry["ours_less_easyfsl"]["mean"] == pytest.approx((peer.ours - peer.theirs).mean())
    assert entry["ratio_of_times"] == 12.0


def test_the_same_episodes_go_to_easyfsl(tones, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for easyfsl that is this library's nearest class mean gets this library's accuracies."""

    class Stand:
        def __init__(self, backbone: torch.nn.Module, **arguments: float) -> None:
            self.head = PrototypicalHead()

        def process_support_set(self, support: torch.Tensor, targets: torch.Tensor) -> None:
            self.state = self.head.adapt(support, targets)

        def __call__(self, query: torch.Tensor) -> torch.Tensor:
            return self.head.score(self.state, query)

    package = ModuleType("easyfsl")
    package.methods = ModuleType("easyfsl.methods")  # type: ignore[attr-defined]
    for name, _ in easyfsl_methods.PEERS.values():
        setattr(package.methods, name, Stand)
    monkeypatch.setitem(sys.modules, "easyfsl", package)
    monkeypatch.setitem(sys.modules, "easyfsl.methods", package.methods)
    monkeypatch.setattr(methods_peer, "environment", lambda: Path("python"))
    monkeypatch.setattr(methods_peer, "in_new_process", lambda _, path, n, python: easyfsl_methods.run(path, n))
    monkeypatch.setattr(torch.utils.data.Sampler, "__init__", easyfsl_peer.ignore_argument)
    threads = torch.get_num_threads()
    try:
        z = torch.from_numpy(np.random.default_rng(0).normal(size=(len(tones), 7)).astype(np.float32))
        peers = methods_peer.beside_easyfsl(z, tones, (3, 2, 4), 30, 5, threads)
    finally:
        torch.set_num_threads(threads)
    assert [peer.method for peer in peers] == list(LIKE_EASYFSL) == list(easyfsl_methods.PEERS)
    expected = evaluate_episodes(z, tones.targets, PrototypicalHead(), 3, 2, 4, 30, 5, groups=tones.groups).accuracies
    for peer in peers:
        np.testing.assert_allclose(peer.theirs, expected, atol=1e-6)
    assert (peers[0].ours == expected).all() and len(peers[1].alike) == 30


def test_easyfsl_that_cannot_be_installed_is_said(tones, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def fail() -> Path:
        raise RuntimeError("pip: no network")

    monkeypatch.setattr(methods_peer, "environment", fail)
    assert methods_peer.beside_easyfsl(torch.zeros(len(tones), 4), tones, (3, 2, 4), 4, 0, 1) == []
    assert "easyfsl could not be measured (pip: no network)" in capsys.readouterr().err


def test_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(6), 25)
    z = torch.from_numpy(rng.normal(size=(len(targets), 8)).astype(np.float32))
    monkeypatch.setattr(methods, "embeddings", lambda: (z, targets))
    threads = torch.get_num_threads()
    rows = methods.measure(n_episodes=4)
    assert torch.get_num_threads() == threads
    assert [row.what.partition(", ")[2] for row in rows] == list(untrained_methods())
    assert all(row.target == "below 10 s" and row.met is not None for row in rows)


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        assert methods.main(["--recordings", str(tmp_path / "nowhere")]) == 2
    finally:
        torch.set_num_threads(threads)
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "nowhere is not a folder" in error
    with pytest.raises(SystemExit):
        methods.main(["--trained", "simpleshot"])
    assert "'simpleshot' has no training of its own" in capsys.readouterr().err
