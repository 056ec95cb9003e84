"""What a trained network has to beat."""

from __future__ import annotations

import os

from torch import Tensor

from musicfsl.backbones.mfcc import MfccEncoder
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import Standardizer, embed_dataset
from musicfsl.features import FeatureStore

__all__ = ["mfcc_embeddings"]


def mfcc_embeddings(
    dataset: ClassConditionalDataset,
    reference: ClassConditionalDataset,
    *,
    duration: float = 1.0,
    max_windows: int = 5,
    trim_db: float | None = 60.0,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Tensor:
    """Mean MFCCs of every clip, standardised: with the nearest class mean, the classical baseline.

    Clips are trimmed, cut to windows and averaged exactly as for a network.

    Args:
        dataset: waves to embed.
        reference: waves whose mean and deviation standardise each coefficient, such as the training classes
            (never the classes that are tested, which would lend the baseline knowledge the network does not have).
        duration: of a window in seconds.
        max_windows: windows of a clip that are averaged.
        trim_db: as for `FeatureStore.build`.
        cache_dir: as for `FeatureStore.build`.
        progress: show progress bars.

    Returns:
        float32 ``(N, 20)``.
    """
    encoder = MfccEncoder(sample_rate=dataset.sample_rate)

    def embed(waves: ClassConditionalDataset) -> Tensor:
        store = FeatureStore.build(waves, encoder.front_end, trim_db=trim_db, cache_dir=cache_dir, progress=progress)
        return embed_dataset(encoder, store, duration=duration, max_windows=max_windows)

    return Standardizer(embed(reference))(embed(dataset))
