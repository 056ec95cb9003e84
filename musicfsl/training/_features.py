"""The stored features that a training works on."""

from __future__ import annotations

from musicfsl.backbones.base import Encoder
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import check_fits, window_length
from musicfsl.features import FeatureStore

__all__ = ["open_source", "stored_features"]


def open_source(source: str | ClassConditionalDataset, encoder: Encoder) -> ClassConditionalDataset:
    """A data set of whole items at the encoder's rate, by its name or folder; one that is open comes back as it is."""
    if not isinstance(source, str):
        return source
    from musicfsl.datasets import open_dataset

    return open_dataset(source, sample_rate=encoder.sample_rate, duration=None)


def stored_features(
    source: ClassConditionalDataset,
    encoder: Encoder,
    duration: float,
    trim_db: float | None,
    seed: int,
    cache_dir: str | None = None,
) -> ClassConditionalDataset:
    """Stored features of a data set, cut to the duration that the network sees.

    Args:
        source: waves, or features that are stored already.
        encoder: whose front end makes the features.
        duration: seconds of what the features' items give.
        trim_db: as for `FeatureStore.build`.
        seed: of the places where items are cut.
        cache_dir: as for `FeatureStore.build`.

    Raises:
        InputError: features were stored with another front end.
    """
    if source.front_end_settings is None:
        source = FeatureStore.build(source, encoder.front_end, trim_db=trim_db, cache_dir=cache_dir)
    check_fits(encoder, source)
    return source.with_length(window_length(encoder, source, duration), seed)
