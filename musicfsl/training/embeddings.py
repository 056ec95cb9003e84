"""Stored embeddings: what a frozen encoder makes of every clip, computed once.

Where nothing of an encoder is trained, a clip's embedding is the same in every episode. So training, validation and
test read it from a store, and what is left to learn is the head's, such as a temperature.
"""

from __future__ import annotations

import inspect
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from musicfsl.backbones.base import Encoder
from musicfsl.datasets.base import ClassConditionalDataset, Subset, hash_of
from musicfsl.embedding import ClipWindows, evaluation_mode
from musicfsl.features import FeatureStore
from musicfsl.training._weights import weights_hash

__all__ = ["StoredEmbeddings", "one_process_first", "stored_embeddings"]

_WINDOWS_PER_BATCH = 64


class StoredEmbeddings(Subset):
    """Clips whose embeddings stand in for their features; all else is the clips' own.

    ``ds[i] -> ((dim, 1) float32, target)``. An item has a step along the last axis for each window of the clip, and
    ``ds[i]`` gives one of them, as it cuts one from a clip of features.

    Args:
        clips: features.
        store: their embeddings, in the same order.
    """

    def __init__(self, clips: ClassConditionalDataset, store: FeatureStore) -> None:
        super().__init__(clips)
        self.store = store
        self.lengths = store.lengths
        self.length = 1
        self.front_end_settings = store.front_end_settings  # no encoder's, so none takes them for its features

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        return self.store.read(index, offset, length)

    def fingerprint(self) -> str:
        return self.store.fingerprint()


def stored_embeddings(
    clips: ClassConditionalDataset,
    encoder: Encoder,
    max_windows: int = 5,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> StoredEmbeddings:
    """Embeds the windows of every clip, or opens the embeddings where that has been done before.

    The store is named after the clips, the windows, and the encoder: its settings, weights and code. Embeddings are not
    whitened, since the whitening layer may be fitted anew at any time, and are computed in evaluation mode.

    Args:
        clips: features stored with the encoder's front end, which give windows of a fixed length.
        encoder: is used on its device and left as it was.
        max_windows: windows a clip at most, see `musicfsl.embedding.ClipWindows`.
        cache_dir: folder for the cache; see `musicfsl.caching.cache_root`.
        progress: show a progress bar.

    Raises:
        CacheError: the cache cannot be written, or is damaged.

    Example:
        >>> clips = stored_embeddings(store.with_length(98), encoder)  # doctest: +SKIP
        >>> episodes = EpisodeDataset(clips, n_way=5, n_support=5, n_query=15)  # doctest: +SKIP
    """
    settings = {
        "encoder": encoder.name,
        "settings": encoder.settings(),
        "weights": weights_hash(encoder, leave_out=encoder.whitening),
        "code": _code_of(encoder),
        "window": clips.length,
        "max_windows": max_windows,
    }
    store = FeatureStore.keep(
        clips,
        settings,
        lambda: _embeddings(encoder, ClipWindows(clips, int(clips.length or 0), max_windows)),
        what="embeddings",
        cache_dir=cache_dir,
        progress=progress,
    )
    return StoredEmbeddings(clips, store)


@contextmanager
def one_process_first(trainer: pl.Trainer | None) -> Iterator[None]:
    """Lets the first of several processes do something before the others, which then find it done."""
    if trainer is None or trainer.world_size == 1:
        yield
        return
    if not trainer.is_global_zero:
        trainer.strategy.barrier()
    yield
    if trainer.is_global_zero:
        trainer.strategy.barrier()


def _embeddings(encoder: Encoder, windows: ClipWindows) -> Iterator[NDArray[np.float32]]:
    """For every clip the embeddings of its windows ``(n_windows, dim)``, in order."""
    rows = _embedded_windows(encoder, windows)
    for _, of_clip in itertools.groupby(rows, key=lambda row: row[0]):
        yield np.stack([z for _, z in of_clip])


def _embedded_windows(encoder: Encoder, windows: ClipWindows) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Every window's clip and embedding ``(dim,)``."""
    # A generator of its own keeps the loader from taking a number from the global random state.
    loader = DataLoader(windows, batch_size=_WINDOWS_PER_BATCH, generator=torch.Generator())
    weight = next(encoder.parameters(), torch.empty(0))  # tells device and precision
    with evaluation_mode(encoder):
        for batch in loader:
            with torch.no_grad():
                z = encoder.raw(batch.x.to(weight)).float().cpu().numpy()
            yield from zip(torch.as_tensor(batch.clip).tolist(), z, strict=True)


def _code_of(encoder: Encoder) -> str:
    """A hash of the code that the encoder's parts come from, torch's own left out.

    An encoder whose code was changed, such as one that somebody works on, so gets new embeddings.
    """
    classes = {base for part in encoder.modules() for base in type(part).__mro__}
    sources = set()
    for cls in classes:
        if cls.__module__.split(".")[0] in ("builtins", "torch", "abc", "typing"):
            continue
        try:
            sources.add(inspect.getsource(sys.modules[cls.__module__]))
        except (OSError, TypeError, KeyError):  # as in a notebook, where there is no file
            sources.add(_source_of(cls))
    return hash_of(sorted(sources))


def _source_of(cls: type) -> str:
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        return cls.__qualname__
