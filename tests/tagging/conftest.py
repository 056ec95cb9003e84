from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from musicfsl.backbones import ConvEncoder
from musicfsl.tagging import Tagger

CLASSES = ["Cello", "Flute", "Voice"]


@pytest.fixture
def make_tagger() -> Callable[..., Tagger]:
    """A small tagger with nothing left as it begins."""

    def make(**arguments: object) -> Tagger:
        encoder = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
        tagger = Tagger(encoder, CLASSES, **{"duration": 0.2, **arguments})  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for value in tagger.parameters():
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
        return tagger.eval()

    return make


@pytest.fixture
def tagger(make_tagger) -> Tagger:
    return make_tagger()
