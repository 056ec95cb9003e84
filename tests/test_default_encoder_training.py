"""The script that trains the shipped encoder and the measurement of its recipe run, on small sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import default_encoder
from musicfsl import Merged, load_encoder, read_card
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.effects import RandomEffects
from musicfsl.errors import DatasetError, InputError
from tools import train_default_encoder as tool
from tools.augmented_copies import AugmentedCopies

RECIPE = tool.Recipe(n_steps=2, copies_of_recordings=1, copies_of_synthetic=1)


@pytest.fixture(autouse=True)
def untouched_global_random_state(restored_global_random_state: None) -> None:
    """Lightning seeds and draws as it pleases: the state is put back, instead of checked as elsewhere."""


@pytest.fixture(scope="module")
def synthetic(make_tones: Callable[..., ClassConditionalDataset]) -> ClassConditionalDataset:
    return make_tones(n_classes=3, n_clips=8, name="made")


@pytest.fixture(scope="module")
def recordings(make_tones: Callable[..., ClassConditionalDataset]) -> ClassConditionalDataset:
    waves = make_tones(n_classes=6, n_clips=8, name="recorded")
    waves.groups, waves.is_synthetic = None, False
    return waves


class TestCopies:
    @pytest.fixture
    def copies(self, recordings: ClassConditionalDataset) -> AugmentedCopies:
        return AugmentedCopies(recordings, RandomEffects(["room", "noise"], n_effects=(1, 2)), n_copies=2)

    def test_originals_come_first_and_unchanged(
        self, copies: AugmentedCopies, recordings: ClassConditionalDataset
    ) -> None:
        n = len(recordings)
        assert len(copies) == 3 * n
        assert copies.is_copy.tolist() == [False] * n + [True] * 2 * n
        for i in (0, n - 1):
            assert torch.equal(copies.read(i), recordings.read(i))
        assert (copies.originals().targets == recordings.targets).all()

    def test_each_copy_is_another_sound_of_the_same_clip(self, copies: AugmentedCopies) -> None:
        n = len(copies) // 3
        original, first, second = (copies.read(i) for i in (3, n + 3, 2 * n + 3))
        assert original.shape == first.shape == second.shape
        assert not torch.allclose(original, first, atol=1e-4)
        assert not torch.allclose(first, second, atol=1e-4)
        assert torch.equal(first, copies.read(n + 3))
        assert torch.equal(first[:, 100:300], copies.read(n + 3, 100, 200))
        assert copies.targets[3] == copies.targets[n + 3]
        assert copies.item_name(n + 3) == copies.item_name(3) + " (a copy)"

    def test_a_clip_and_its_copies_are_one_group(
        self, copies: AugmentedCopies, synthetic: ClassConditionalDataset
    ) -> None:
        n = len(copies) // 3
        assert (copies.groups[:n] == copies.groups[n : 2 * n]).all()
        assert len(np.unique(copies.groups)) == n
        players = AugmentedCopies(synthetic, RandomEffects(["gain"], n_effects=(1, 1)), 1)
        assert (players.groups == np.tile(synthetic.groups, 2)).all()

    def test_other_effects_are_other_data(self, recordings: ClassConditionalDataset) -> None:
        prints = {
            AugmentedCopies(recordings, RandomEffects(["noise"], n_effects=(1, 1)), n, seed).fingerprint()
            for n, seed in ((1, 0), (2, 0), (1, 1))
        }
        prints.add(AugmentedCopies(recordings, RandomEffects(["gain"], n_effects=(1, 1)), 1).fingerprint())
        assert len(prints) == 4


def test_the_same_seed_writes_the_same_file(
    recordings: ClassConditionalDataset, synthetic: ClassConditionalDataset, tmp_path: Path
) -> None:
    def written(name: str, recipe: tool.Recipe) -> bytes:
        size = tool.write(tmp_path / name, recipe, recordings, synthetic, {"accuracy": 0.5}, progress=False)
        assert size == (tmp_path / name).stat().st_size < 2_000_000
        return (tmp_path / name).read_bytes()

    first = written("a.safetensors", RECIPE)
    assert first == written("b.safetensors", RECIPE)
    assert first != written("c.safetensors", tool.Recipe(2, copies_of_recordings=1, seed=1))

    card = read_card(tmp_path / "a.safetensors")
    assert [source["name"] for source in card.data["sources"]] == ["made", "recorded"]
    assert card.data["recipe"]["n_steps"] == 2
    assert card.classes == [*recordings.classes, *synthetic.classes]
    assert card.metrics == {"accuracy": 0.5}
    whitening = load_encoder(tmp_path / "a.safetensors").whitening
    assert whitening is not None
    assert not torch.equal(whitening.matrix, torch.eye(whitening.dim))


def test_a_file_too_large_to_ship_is_not_left(
    recordings: ClassConditionalDataset,
    synthetic: ClassConditionalDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tool, "_LARGEST", 1000)
    with pytest.raises(InputError, match="at most 1000 are shipped"):
        tool.write(tmp_path / "a.safetensors", RECIPE, recordings, synthetic, progress=False)
    assert not list(tmp_path.iterdir())


def test_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no folder of recordings"):
        tool.open_recordings([])
    with pytest.raises(DatasetError):
        tool.open_recordings([str(tmp_path)])
    arguments = ["--recordings", str(tmp_path), "--output", str(tmp_path / "a.safetensors")]
    assert tool.main(arguments) == 2
    assert "tools.train_default_encoder: " in capsys.readouterr().err


def test_whitening_takes_originals_and_so_many_copies(recordings: ClassConditionalDataset) -> None:
    source = AugmentedCopies(recordings, RandomEffects(["gain"], n_effects=(1, 1)), n_copies=3)
    n = len(recordings)
    for whitened, expected in ((0, n), (0.5, 1.5 * n), (1, 2 * n), (9, 4 * n)):
        part = tool.Recipe(whitened_copies=whitened)._whitening_part(source.subset(recordings.classes))
        assert len(part) == expected
        assert not part.is_copy[:n].any()
        if whitened:
            assert {*part.targets[n:]} == {*recordings.targets}  # copies of all classes
        assert len(np.unique(part.indices)) == len(part)


def test_the_measurement_goes_on_where_it_was_cut_off(
    recordings: ClassConditionalDataset,
    synthetic: ClassConditionalDataset,
    make_tones: Callable[..., ClassConditionalDataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[tuple[int, set[str]]] = []
    train = tool.Recipe.train

    def spy(self: tool.Recipe, *sources: ClassConditionalDataset):
        heard.append((self.seed, {name for source in sources for name in source.classes}))
        return train(self, *sources)

    monkeypatch.setattr(tool.Recipe, "train", spy)

    far = make_tones(n_classes=5, n_clips=8, name="far")
    far.groups = np.tile(np.arange(8) % 2, 5)  # two speakers, who say every word

    def experiment(seeds: tuple[int, ...]) -> default_encoder.Experiment:
        return default_encoder.Experiment(
            recordings, synthetic, far, RECIPE, seeds, n_splits=1, shots=(1, 2), n_query=2, n_episodes=20,
            kept=tmp_path / "kept.jsonl", progress=False,
        )  # fmt: skip

    experiment((0,)).run()
    assert len(heard) == 2
    results = experiment((0, 1)).run()
    assert [seed for seed, _ in heard] == [0, 0, 1, 1]  # nothing is trained twice
    tested = [row["tested"] for row in results.rows if row["data"] == "recorded"][:: 2 * 2]
    for (_, known), unknown in zip(heard, tested, strict=True):
        assert len(unknown) == 3
        assert not known & set(unknown)

    summary = results.summary()
    assert len(summary) == 2 * 2 * 2  # data sets, shots, lines
    assert [row["data"] for row in summary] == ["recorded"] * 4 + ["far"] * 4
    for row in summary:
        assert row["n_tests"] == 4
        assert row["lowest"] <= row["mean"] <= row["highest"]
    by_hand = [row["mean"] for row in results.rows if row["data"] == "far" and row["n_support"] == 2]
    assert summary[-1]["line"] == results.rows[-1]["line"]
    assert np.isclose(np.mean(by_hand), (summary[-1]["mean"] + summary[-2]["mean"]) / 2)
    assert str(results).count("\n") == 3 + len(summary)

    path = tmp_path / "results.json"
    path.write_text(json.dumps({"summary": summary}))
    metrics = tool.metrics_of(path)
    assert len(metrics) == 2 * len(summary)
    assert metrics["far, 2-shot, encoder, cosine prototypes: accuracy"] == summary[-1]["mean"]


def test_halves_are_disjoint_and_differ_by_split() -> None:
    classes = ["oboe", "banjo", "flute", "guitar", "harp"]
    found = [default_encoder.halved(classes, split) for split in range(4)]
    assert found[0] == (["banjo", "flute", "guitar"], ["harp", "oboe"])
    assert len({str(halves) for halves in found}) > 1
    for first, second in found:
        assert sorted(first + second) == sorted(classes)


def test_several_folders_are_merged(recordings: ClassConditionalDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = iter([recordings.subset(recordings.classes[:4]), recordings.subset(recordings.classes[4:])])
    monkeypatch.setattr(tool, "AudioFolder", lambda folder, duration: next(opened))
    merged = tool.open_recordings(["a", "b"])
    assert isinstance(merged, Merged)
    assert merged.classes == recordings.classes
    assert len(RECIPE.features(merged, progress=False)) == 2 * len(recordings)
