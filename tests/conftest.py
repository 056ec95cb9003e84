"""What all tests share: a cache of their own, and small data sets that are made in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from musicfsl.datasets.base import ClassConditionalDataset, hash_of


class Tones(ClassConditionalDataset):
    """Harmonic tones in memory: class ``c`` has ``c + 1`` partials, so classes differ and clips of one vary."""

    def __init__(
        self, n_classes: int = 6, n_clips: int = 24, n_groups: int = 4, seconds: float = 0.5, name: str = "tones"
    ) -> None:
        self.name = name
        self.classes = [f"{name}-{c}" for c in range(n_classes)]
        self.targets = np.repeat(np.arange(n_classes), n_clips)
        self.groups = self.targets * n_groups + np.tile(np.arange(n_clips) % n_groups, n_classes)
        self.sample_rate = 16000
        self.is_synthetic = True
        rng = np.random.default_rng(0)
        # Lengths differ, as those of recordings do.
        self.lengths = rng.integers(int(seconds * 12000), int(seconds * 20000), len(self.targets))
        self._pitches = rng.uniform(150, 400, len(self.targets))
        self._gains = rng.uniform(0.1, 0.5, len(self.targets))

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        index = self._checked_index(index)
        t = np.arange(self.lengths[index]) / self.sample_rate
        partials = np.arange(1, self.targets[index] + 2)
        wave = np.sin(2 * np.pi * self._pitches[index] * partials[:, None] * t).mean(axis=0) * self._gains[index]
        stop = None if length is None else offset + length
        return torch.from_numpy(wave[offset:stop].astype(np.float32)).unsqueeze(0)

    def fingerprint(self) -> str:
        return hash_of({"tones": [self.name, self.lengths.tolist()]})


@pytest.fixture(scope="session")
def make_tones() -> Callable[..., Tones]:
    """The class `Tones`, for tests that need another shape than the fixture `tones`."""
    return Tones


@pytest.fixture
def tones() -> Tones:
    return Tones()


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes the user's caches."""
    folder = tmp_path_factory.mktemp("cache")
    before = {name: os.environ.get(name) for name in ("MUSICFSL_CACHE", "MUSICFSL_DATA", "MUSICFSL_DATASET")}
    os.environ["MUSICFSL_CACHE"] = str(folder)
    os.environ.pop("MUSICFSL_DATA", None)
    os.environ.pop("MUSICFSL_DATASET", None)
    yield folder
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def untouched_global_random_state() -> Iterator[None]:
    """Library code neither reads nor writes the global random state; a test that changes it fails.

    Lightning's own seeding is undone by the tests that run it.
    """
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    yield
    assert torch.equal(torch.random.get_rng_state(), torch_before), "torch's global random state was used"
    assert (np.random.get_state()[1] == numpy_before).all(), "numpy's global random state was used"  # noqa: NPY002


@pytest.fixture
def restored_global_random_state() -> Iterator[None]:
    """Puts the global random state back, for tests of what draws from it."""
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    yield
    torch.random.set_rng_state(torch_before)
    np.random.set_state(numpy_before)  # noqa: NPY002


@pytest.fixture(scope="session")
def make_clap() -> Callable[..., nn.Module]:
    """Writes a tiny CLAP with random weights as it lies on the hub, and gives transformers' own model of it."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")

    def write(folder: Path, truncation: str = "rand_trunc", **audio: Any) -> nn.Module:
        text = {"vocab_size": 300, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
                "intermediate_size": 40, "max_position_embeddings": 66}  # fmt: skip
        heard = {"patch_embeds_hidden_size": 8, "hidden_size": 64, "depths": [2, 1, 1, 1],
                 "num_attention_heads": [1, 2, 2, 4]}  # fmt: skip
        config = transformers.ClapConfig(text_config=text, audio_config={**heard, **audio}, projection_dim=20)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            model = transformers.ClapModel(config)
            # One left at 0 or 1 would hide that it is ignored.
            for name, parameter in model.named_parameters():
                if name.startswith("logit_scale"):
                    nn.init.constant_(parameter, 2.0 if name.endswith("_a") else 3.0)
                elif "norm" in name.lower() and name.endswith("weight"):
                    nn.init.uniform_(parameter, 0.5, 1.5)
                else:
                    nn.init.normal_(parameter, std=0.3)
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d) and module.num_features == 64:  # of the mel bands
                    nn.init.uniform_(module.running_mean, -70.0, -30.0)
                    nn.init.uniform_(module.running_var, 100.0, 300.0)
        model.eval().save_pretrained(folder)
        extractor = transformers.ClapFeatureExtractor(frequency_min=50, truncation=truncation)
        extractor.save_pretrained(folder)
        words = tokenizers.ByteLevelBPETokenizer()
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        words.train_from_iterator(["This is a sound of an oud and a violin."], 300, special_tokens=special)
        words._tokenizer.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        transformers.RobertaTokenizerFast(tokenizer_object=words._tokenizer).save_pretrained(folder)
        return model

    return write


@pytest.fixture(scope="session")
def clap(make_clap: Callable[..., nn.Module], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """The folder of a tiny CLAP, and transformers' model of it."""
    folder = tmp_path_factory.mktemp("clap")
    return folder, make_clap(folder)
