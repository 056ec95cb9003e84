"""The log-mel front end against torchaudio's."""

from __future__ import annotations

import torch

from benchmarks.rows import Row, best_of
from musicfsl import LogMel

__all__ = ["measure"]


def measure(n_clips: int = 64, repeats: int = 5) -> list[Row]:
    """A batch of clips of 1 s, settings of `ConvEncoder`."""
    from torchaudio.transforms import MelSpectrogram

    waves = torch.randn(n_clips, 1, 16000, generator=torch.Generator().manual_seed(0))
    front_end = LogMel(16000, 1024, hop_length=256, n_mels=64, f_min=0.0)
    mel = MelSpectrogram(16000, 1024, hop_length=256, n_mels=64)
    with torch.no_grad():
        ours = best_of(repeats + 1, lambda: front_end(waves))
        theirs = best_of(repeats + 1, lambda: mel(waves).clamp(min=1e-8).log10().mul(10))
    what = f"log-mel of {n_clips} clips of 1 s"
    return [Row(what, f"{1000 * ours:.1f} ms", f"torchaudio: {1000 * theirs:.1f} ms", ours / theirs)]
