"""What all tests share: a cache of their own, and small data sets that are made in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

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
