"""The few examples of each class, embedded once."""

from __future__ import annotations

import math
import os

import torch
from torch.utils.data import DataLoader

from musicfsl._progress import progress_bar
from musicfsl.backbones.base import Encoder, device_of
from musicfsl.datasets import AudioFolder
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import ClipWindows, check_fits, window_length
from musicfsl.errors import InputError
from musicfsl.features import FeatureStore
from musicfsl.support import Support

__all__ = ["embed_support", "open_support"]

_BATCH = 64


def open_support(
    folder: str | os.PathLike[str],
    encoder: Encoder,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> ClassConditionalDataset:
    """Opens a folder of examples, one sub-folder a class, as features for an encoder.

    Silence at both ends is cut off, as for training. The numbers of clips may differ from class to class, and their
    lengths and sample rates too. Augmented copies among windows that were written are left out.

    Args:
        folder: see `musicfsl.AudioFolder`.
        encoder: its front end makes the features.
        cache_dir: folder for the features; None is the usual place.
        progress: show a progress bar.

    Raises:
        DatasetError: the folder is not laid out like this, or a recording in it cannot be read.
        AudioError: a recording is damaged or silent.
    """
    dataset = AudioFolder(folder, sample_rate=encoder.sample_rate, duration=None)
    store = FeatureStore.build(dataset, encoder.front_end, cache_dir=cache_dir, progress=progress)
    return store.originals()


def embed_support(
    encoder: Encoder,
    dataset: ClassConditionalDataset,
    window: float = 1.0,
    max_windows: int = 100,
    progress: bool = False,
) -> Support:
    """Embeds windows of all examples.

    Args:
        encoder: is used in evaluation mode, where its weights lie, and left as it was.
        dataset: examples of every class; any number of clips a class, of any length. Features repeat where a clip is
            shorter than a window (see `FeatureStore.fill`), waves are filled with zeros.
        window: length of a window in seconds, which must be that of the recording's windows.
        max_windows: windows a clip at most; they overlap by half where that suffices.
        progress: show a progress bar.

    Raises:
        InputError: there are fewer than two classes, a class has no clip, or the data set has another sample rate or
            front end than the encoder.
        AudioError: a recording cannot be read.

    Example:
        >>> support = embed_support(encoder, open_support("my_sounds", encoder))  # doctest: +SKIP
    """
    if not (math.isfinite(window) and round(window * encoder.sample_rate) > 0):
        raise InputError(f"window is {window}; expected seconds, at least one sample")
    if len(dataset.classes) < 2:
        raise InputError(
            f"{dataset.name} has one class only ('{dataset.classes[0]}'), so there is nothing to choose from; "
            "give examples of two classes or more"
        )
    for name, indices in dataset.class_to_indices.items():
        if len(indices) == 0:
            raise InputError(f"class '{name}' of {dataset.name} has no example; give at least one, or leave it out")
    check_fits(encoder, dataset)
    windows = ClipWindows(dataset, window_length(encoder, dataset, window), max_windows)
    # A generator of its own keeps the loader from taking a number from the global random state.
    loader = DataLoader(windows, batch_size=_BATCH, generator=torch.Generator())
    was_training = encoder.training
    encoder.eval()
    try:
        with torch.no_grad():
            rows, clips = [], []
            for batch in progress_bar(loader, desc=f"embedding {dataset.name}", unit="batch", show=progress):
                rows.append(encoder(batch.x.to(device_of(encoder))).float().cpu())
                clips.append(batch.clip)
    finally:
        encoder.train(was_training)
    return Support(torch.cat(rows), torch.cat(clips), torch.from_numpy(dataset.targets), list(dataset.classes), window)
