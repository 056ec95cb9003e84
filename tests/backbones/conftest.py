"""The published CNN14 as its authors wrote it, small or whole, with weights that leave nothing at its first value."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from musicfsl.backbones.base import seeded_init

SMALL = (4, 6, 8, 10, 12, 16)
SMALL_DIM = 20
N_CLASSES = 527
# Sample rate -> window, hop, upper band edge.
FRONT_ENDS = {32000: (1024, 320, 14000), 16000: (512, 160, 8000), 8000: (256, 80, 4000)}


@pytest.fixture(scope="session")
def panns_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """``panns_inference.models``; the package fetches a table of labels into the home folder unless one is there."""
    pytest.importorskip("torchlibrosa")
    home = tmp_path_factory.mktemp("home")
    (home / "panns_data").mkdir()
    rows = "".join(f'{i},/m/{i:05d},"label {i}"\n' for i in range(N_CLASSES))
    (home / "panns_data" / "class_labels_indices.csv").write_text("index,mid,display_name\n" + rows)
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pytest.importorskip("panns_inference")
    finally:
        os.environ.pop("HOME")
        if before is not None:
            os.environ["HOME"] = before
    return sys.modules["panns_inference.models"]


@pytest.fixture(scope="session")
def make_reference(panns_models: ModuleType) -> Callable[..., nn.Module]:
    """Builds the reference implementation for a sample rate; ``small`` puts narrower layers into it."""

    def make(sample_rate: int, small: bool = True) -> nn.Module:
        n_fft, hop, f_max = FRONT_ENDS[sample_rate]
        with seeded_init(1):
            model = panns_models.Cnn14(sample_rate, n_fft, hop, 64, 50, f_max, N_CLASSES)
            if small:
                for i, (n_in, n_out) in enumerate(zip((1, *SMALL), SMALL, strict=False)):
                    setattr(model, f"conv_block{i + 1}", panns_models.ConvBlock(n_in, n_out))
                model.fc1 = nn.Linear(SMALL[-1], SMALL_DIM)
                model.fc_audioset = nn.Linear(SMALL_DIM, N_CLASSES)
            _randomize(model)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def small_reference(make_reference: Callable[..., nn.Module]) -> Callable[[int], nn.Module]:
    """The small reference of a sample rate, made once."""
    made: dict[int, nn.Module] = {}
    return lambda rate: made.setdefault(rate, made[rate] if rate in made else make_reference(rate))


@pytest.fixture
def published(small_reference: Callable[[int], nn.Module], tmp_path: Path) -> Callable[..., Path]:
    """Writes weights of the small reference in the published layout, with changes to it."""

    def write(sample_rate: int = 32000, zipped: bool = True, without: str = "", **beside: Any) -> Path:
        state = small_reference(sample_rate).state_dict()
        if without:
            state = {name: value for name, value in state.items() if without not in name}
        path = tmp_path / "checkpoint.pth"
        torch.save({"iteration": 1, "model": state, **beside}, path, _use_new_zipfile_serialization=zipped)
        return path

    return write


def _randomize(model: nn.Module) -> None:
    """Other scales, offsets and running statistics than the first ones, which would hide that one is ignored."""
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            decibels = name == "bn0"  # the log-mel spectrogram's range
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.uniform_(module.running_mean, *((-50.0, -20.0) if decibels else (-0.3, 0.3)))  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, *((100.0, 300.0) if decibels else (0.5, 2.0)))  # type: ignore[arg-type]
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # so that what differs between clips survives the layers
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(module.bias, std=0.3)
