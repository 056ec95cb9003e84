"""What importing costs, and what the package promises of itself."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from typing import get_origin

import pytest

import musicfsl
from musicfsl.errors import MissingExtraError, import_extra

# Heavy or optional: imported where used, never by the package itself.
NEVER = [
    "pytorch_lightning", "lightning", "transformers", "mirdata", "librosa", "gensim", "plotly", "torchvision",
    "sklearn", "torchaudio", "tensorboard", "umap", "kaleido",
]  # fmt: skip


def imported_by(code: str) -> list[str]:
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "code",
    [
        "import musicfsl",
        "import musicfsl.audio, musicfsl.datasets, musicfsl.features, musicfsl.episodes, musicfsl.evaluation",
        "import musicfsl.backbones, musicfsl.heads, musicfsl.checkpoints, musicfsl.plots, musicfsl.cli",
        "from musicfsl import AudioFolder, ConvEncoder, FeatureStore, PrototypicalHead, SyntheticInstruments, TinySOL",
    ],
)
def test_imports_nothing_heavy(code: str) -> None:
    assert not set(imported_by(code)) & set(NEVER)


def test_public_names_are_there() -> None:
    for name in musicfsl.__all__:
        assert getattr(musicfsl, name) is not None
    assert set(musicfsl.__all__) <= set(dir(musicfsl))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = musicfsl.nonsense


def test_a_missing_extra_is_named_with_its_command() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'musicfsl\[plots\]'"):
        import_extra("a_package_that_nobody_has", "plots")


def test_every_public_module_says_what_is_public() -> None:
    for info in pkgutil.walk_packages(musicfsl.__path__, "musicfsl."):
        name = info.name.rpartition(".")[2]
        if name.startswith("_"):
            continue
        module = importlib.import_module(info.name)
        assert module.__doc__, info.name
        for public in module.__all__:
            thing = getattr(module, public)
            is_alias = get_origin(thing) is not None  # which Python 3.10 takes for a class
            if (inspect.isclass(thing) and not is_alias) or inspect.isfunction(thing):
                assert thing.__doc__, f"{info.name}.{public}"
