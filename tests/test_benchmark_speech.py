"""The measurement on spoken words runs, on small sizes; what it finds is for the measurement itself to say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmarks import speech
from benchmarks.speakers import accuracies_across_speakers, divisions
from benchmarks.speech_faults import FAULTS
from benchmarks.speech_results import Results, Run
from benchmarks.speech_words import VirtualWords, splits_of
from musicfsl import AudioFolder, ConvEncoder, PrototypicalHead
from musicfsl.backbones import AstEncoder
from musicfsl.errors import InputError
from musicfsl.metrics import mean_ci95

WORDS = ("ba", "bi", "da", "di")
SPEAKERS = ("ann", "bob", "cy")


@pytest.fixture(autouse=True)
def untouched_global_random_state(restored_global_random_state: None) -> None:
    """Lightning seeds and draws as it pleases: the state is put back, instead of checked as elsewhere."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("words")
    rng = np.random.default_rng(0)
    for w, word in enumerate(WORDS):
        (root / word).mkdir()
        for s, speaker in enumerate(SPEAKERS):
            for take in range(18):
                n = int(rng.integers(2000, 6000))
                wave = np.sin(2 * np.pi * (300 * (w + 1) + 20 * s) * np.arange(n) / 8000) + 0.1 * rng.normal(size=n)
                soundfile.write(root / word / f"{speaker}_{take}.wav", 0.3 * wave, 8000)
    return root


@pytest.fixture
def waves(folder: Path) -> AudioFolder:
    return AudioFolder(folder, duration=None, group_pattern=speech.SPEAKER_PATTERN)


def test_every_line_on_every_split(waves: AudioFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    heard: list[tuple[str, tuple[str, ...]]] = []
    fit = speech.fit

    def spy(encoder, episodes, n_steps, head, learning_rate, clip_gradients):
        heard.append((encoder.name, tuple(episodes.dataset.classes)))
        if len(heard) <= 4:  # the conv network, the transformer, and two that get faulty features
            fit(encoder, episodes, 2, head, learning_rate, clip_gradients)

    def small(seed: int) -> AstEncoder:
        return AstEncoder.from_config(
            hidden_size=8,
            n_layers=1,
            n_heads=2,
            frequency_stride=56,
            time_stride=56,
            max_frames=128,
            whitening=True,
            seed=seed,
        )

    monkeypatch.setattr(speech, "fit", spy)
    monkeypatch.setattr(speech, "_ast", small)
    monkeypatch.setattr(speech, "_conv", lambda seed: ConvEncoder(widths=(8, 8, 8, 8), seed=seed))
    experiment = speech.Experiment(waves, seeds=(0, 1), n_steps=2, n_query=3, n_episodes=12, progress=False)
    results = experiment.run()
    assert len(results.lines) == 14 and len(results.runs) == 14 * 2 * 2
    for line in results.lines:
        for a, b in zip(results.of(line), results.of(results.lines[0]), strict=True):
            assert (a.seed, a.tested, len(a.accuracies)) == (b.seed, b.tested, 12)
    assert len(heard) == 4 * (2 + 3 + 1)  # lines that feed faults use a network that is there
    tested = [run.tested for run in results.of("AST, trained")]
    for number, words in enumerate(tested):
        of_split = heard[6 * number : 6 * (number + 1)]
        assert [name for name, _ in of_split] == ["conv", "ast", "faulty", "faulty", "faulty", "ast"]
        assert all(not {*words} & {*trained} for _, trained in of_split[:-1])
        assert {*of_split[-1][1]} == {*WORDS}

    text = str(results)
    assert "2-way 5-shot, 3 queries a class, by other speakers than the support; 12 episodes" in text
    assert "chance 0.500" in text and "(!) AST, overlapping words: the tested words were trained on" in text
    content = json.loads(json.dumps(results.to_dict()))
    assert [line["line"] for line in content["lines"]] == results.lines

    before = len(heard)
    assert experiment.run().to_dict()["lines"] == content["lines"]  # kept networks, the same numbers
    assert len(heard) == before


def test_no_tested_clip_is_trained_on(waves: AudioFolder) -> None:
    for split in splits_of(waves, 3):
        tested, overlapping = {*split.tested.indices.tolist()}, {*split.overlapping.indices.tolist()}
        assert not {*split.tested.classes} & {*split.trained.classes}
        assert not tested & overlapping and {*split.trained.indices.tolist()} < overlapping
        assert len(tested) + len(overlapping) == len(waves)
        for target in range(2):
            speakers = split.tested.groups[split.tested.targets == target]
            assert np.unique(speakers, return_counts=True)[1].tolist() == [9, 9, 9]


def test_faults() -> None:
    x = torch.tensor([[[-1.0, 0.5], [0.25, -0.5]]])
    assert torch.equal(FAULTS["axes swapped"](x), torch.tensor([[[-1.0, 0.25], [0.5, -0.5]]]))
    assert torch.equal(FAULTS["values clamped"](x), torch.tensor([[[1e-7, 0.5], [0.25, 1e-7]]]))
    assert torch.equal(FAULTS["both"](x), torch.tensor([[[1e-7, 0.25], [0.5, 1e-7]]]))


def test_virtual_words_are_one_change_for_all_recordings() -> None:
    x = torch.arange(12.0).expand(4, 12)
    seen = set()
    for seed in range(40):
        change = VirtualWords(0.0)(np.random.default_rng(seed))  # no filter: time alone
        y = change(x, np.random.default_rng(1))
        assert torch.equal(y, change(x, np.random.default_rng(2)))
        first, step = int(y[0, 0]), int(y[0, 1] - y[0, 0]) % 12
        assert step in (1, 11)  # forwards, backwards
        assert y[0].tolist() == [(first + step * k) % 12 for k in range(12)]
        seen.add((step, first in (0, 11)))
    assert seen == {(1, True), (1, False), (11, True), (11, False)}
    assert torch.equal(x[0], torch.arange(12.0))


class TestSpeakers:
    def test_divisions(self) -> None:
        assert len(divisions(np.arange(4))) == 14
        many = divisions(np.repeat(np.arange(9), 3), seed=1)
        assert len(many) == 16 and {len(side) for side in many} == {4}
        with pytest.raises(InputError, match="all clips are of one speaker"):
            divisions(np.zeros(5, np.int64))

    def test_no_speaker_is_on_both_sides(self) -> None:
        """Embeddings that tell the speaker and nothing of the word: with shared speakers they would not be at chance.

        Supports of word 0 are by one speaker and those of word 1 by another, wherever both are on the support side.
        """
        heard: list[tuple[set[float], set[float]]] = []

        class Spy(PrototypicalHead):
            def forward(self, support_z, support_targets, query_z, classes):
                heard.extend(
                    ({*s[:, 0].tolist()}, {*q[:, 0].tolist()}) for s, q in zip(support_z, query_z, strict=True)
                )
                return super().forward(support_z, support_targets, query_z, classes)

        speakers = np.tile(np.arange(3), 40)
        targets = np.repeat(np.arange(2), 60)
        z = torch.from_numpy(np.stack([speakers, targets], axis=1)).float()
        found = accuracies_across_speakers(z, targets, speakers, Spy(), 2, 3, 4, 60, 0, ["a", "b"])
        assert len(found) == len(heard) == 60
        assert all(not support & query for support, query in heard)
        assert {frozenset(support) for support, _ in heard} >= {frozenset({0.0}), frozenset({1.0}), frozenset({2.0})}

    def test_accuracy_of_embeddings_that_tell_the_word(self) -> None:
        targets = np.repeat(np.arange(3), 40)
        speakers = np.tile(np.arange(2), 60)
        right = torch.eye(3)[targets]
        assert (
            accuracies_across_speakers(right, targets, speakers, PrototypicalHead(), 3, 5, 5, 20, 0, [*"abc"]) == 1
        ).all()
        wrong = torch.eye(3)[(targets + speakers) % 3]  # each speaker calls the words by others' names
        assert (
            accuracies_across_speakers(wrong, targets, speakers, PrototypicalHead(), 3, 5, 5, 20, 0, [*"abc"]) == 0
        ).all()


def test_figures_by_hand() -> None:
    rng = np.random.default_rng(0)
    runs = [
        Run(line, seed, words, rng.uniform(size=50))
        for seed in (0, 1, 2)
        for words in (("a", "b"), ("c", "d"))
        for line in ("plain", "AST, trained")
    ]
    results = Results("points", 2, 5, 15, 1, 3, {}, runs, 0.0)
    pairs = [(b.accuracies, a.accuracies) for a, b in zip(runs[::2], runs[1::2], strict=True)]
    each = [mean_ci95(a - b) for a, b in pairs]
    found = results.difference("AST, trained", "plain")
    assert found.mean == pytest.approx(np.mean([e.mean for e in each]))
    assert found.over_episodes == pytest.approx(np.sqrt(sum(e.ci95**2 for e in each)) / 6)
    by_seed = [np.mean([each[i].mean, each[i + 1].mean]) for i in (0, 2, 4)]
    assert found.over_seeds == pytest.approx(4.302653 * np.std(by_seed, ddof=1) / np.sqrt(3), rel=1e-5)
    assert results.accuracy("plain").mean == pytest.approx(np.mean([r.accuracies.mean() for r in runs[::2]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recordings", "{root}/nowhere"], "nowhere is not a folder"),
        (["--recordings", "{words}", "--speakers", "nobody_(.*)"], "every recording needs a group"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, tmp_path: Path, capsys, arguments: list[str], message: str) -> None:
    assert speech.main([argument.format(root=tmp_path, words=folder) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
