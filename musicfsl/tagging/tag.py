"""What is heard in excerpts and recordings: windows through a tagger, joined to one decision each."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from musicfsl._progress import progress_bar
from musicfsl.annotation.windows import RecordingWindows
from musicfsl.audio import audio_info, load_audio
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import check_fits, window_length
from musicfsl.errors import AudioError, InputError
from musicfsl.tagging.decisions import WindowVotes, check_decision
from musicfsl.tagging.tagger import Tagger
from musicfsl.tagging.windows import TagWindows

__all__ = ["tag_dataset", "tag_recording"]


def tag_dataset(
    tagger: Tagger,
    dataset: ClassConditionalDataset,
    *,
    duration: float | None = None,
    hop: float | None = None,
    decision: str = "mean",
    batch_size: int = 32,
    n_workers: int = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> NDArray[np.float32]:
    """Probabilities of every class in every clip of a data set.

    Args:
        tagger: is used in evaluation mode and left as it was.
        dataset: waves at the tagger's sample rate, or features stored with its front end; what classes it has itself
            does not matter.
        duration: of a window in seconds; None is ``tagger.duration``, as in training.
        hop: seconds between the starts of windows; None is half a window.
        decision: how the windows of a clip are joined, one of `DECISIONS`.
        batch_size: windows at a time.
        n_workers: processes that read.
        device: to compute on; None is where the tagger's weights lie.
        progress: show a progress bar.

    Returns:
        float32 ``(N, C)`` in [0, 1], with the tagger's classes as columns.

    Raises:
        InputError: the data set has another sample rate or front end than the tagger, or an argument is out of range.
        AudioError: a recording cannot be read.

    Example:
        >>> tag_dataset(tagger, dataset, decision="max").shape  # doctest: +SKIP
        (2874, 11)
    """
    check_decision(decision)
    check_fits(tagger.encoder, dataset)
    duration = _checked_duration(tagger, duration, hop)
    length = window_length(tagger.encoder, dataset, duration)
    windows = TagWindows(dataset, length, None if hop is None else min(length, _steps(tagger, dataset, hop)))
    # A generator of its own keeps the loader from taking a number from the global random state.
    loader = DataLoader(windows, batch_size=batch_size, num_workers=n_workers, generator=torch.Generator())
    votes = WindowVotes(len(dataset), len(tagger.classes))
    with _ready(tagger, device) as run:
        for batch in progress_bar(loader, desc=f"tagging {dataset.name}", unit="batch", show=progress):
            votes.add(batch.clip, run(batch.x))
    return votes.decide(decision).numpy()


def tag_recording(
    tagger: Tagger,
    path: str | os.PathLike[str],
    *,
    duration: float | None = None,
    hop: float | None = None,
    decision: str = "mean",
    batch_size: int = 32,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> NDArray[np.float32]:
    """Probabilities of every class in a recording of any length and rate, which is read window by window.

    Args:
        tagger: is used in evaluation mode and left as it was.
        path: of the recording. One that is shorter than a window is one window, as long as it is.
        duration: as for `tag_dataset`, like the following ones.
        hop: seconds between the starts of windows.
        decision: how the windows are joined.
        batch_size: windows at a time.
        device: to compute on.
        progress: show a progress bar.

    Returns:
        float32 ``(C,)`` in [0, 1].

    Raises:
        AudioError: the recording is missing, not audio, truncated, or too short for a single frame.
        InputError: an argument is out of range.

    Example:
        >>> dict(zip(tagger.classes, tag_recording(tagger, "quartet.flac")))  # doctest: +SKIP
        {'Cello': 0.93, 'Flute': 0.02, 'Violin': 0.98}
    """
    check_decision(decision)
    duration = _checked_duration(tagger, duration, hop)
    votes = WindowVotes(1, len(tagger.classes))
    name = f"tagging {os.path.basename(path)}"
    with _ready(tagger, device) as run, progress_bar(desc=name, unit="window", show=progress) as bar:
        for waves in _windows_of(tagger, path, duration, hop, batch_size):
            votes.add(torch.zeros(len(waves), dtype=torch.int64), run(waves))
            bar.update(len(waves))
    return votes.decide(decision).numpy()[0]


class _ready:
    """Lets a tagger run in evaluation mode on a device, without gradients, and gives it back as it was."""

    def __init__(self, tagger: Tagger, device: str | torch.device | None) -> None:
        self._tagger = tagger
        self._home = tagger.classifier.weight.device
        self._device = self._home if device is None else torch.device(device)

    def __enter__(self) -> _ready:
        self._modes = [(module, module.training) for module in self._tagger.modules()]
        self._tagger.eval().to(self._device)
        return self

    def __call__(self, x: Tensor) -> Tensor:
        """Probabilities ``(B, C)`` on the CPU."""
        with torch.no_grad():
            return self._tagger.probabilities(x.to(self._device)).cpu()

    def __exit__(self, *_: object) -> None:
        self._tagger.to(self._home)
        for module, mode in self._modes:  # parts may be in different modes, as in a training with frozen ones
            module.training = mode


def _windows_of(
    tagger: Tagger, path: str | os.PathLike[str], duration: float, hop: float | None, batch_size: int
) -> Iterator[Tensor]:
    """Batches ``(B, 1, n_samples)`` of a recording's windows."""
    rate = tagger.sample_rate
    if audio_info(path).n_samples(rate) >= round(duration * rate):
        hop = duration / 2 if hop is None else min(hop, duration)
        for batch in RecordingWindows(path, rate, duration, hop, batch_size):
            yield batch.waves
        return
    wave = load_audio(path, rate).unsqueeze(0)
    try:
        tagger.encoder.front_end(wave.to(tagger.classifier.weight.device))
    except InputError:
        raise AudioError(
            f"{path} is {wave.shape[-1] / rate:.3f} s long, which is too short for a single frame; give a longer one"
        ) from None
    yield wave


def _steps(tagger: Tagger, dataset: ClassConditionalDataset, hop: float) -> int:
    """Seconds between windows as samples of waves, or frames of features."""
    n_samples = hop * tagger.sample_rate
    is_stored = dataset.front_end_settings is not None
    return max(1, round(n_samples / tagger.encoder.front_end.hop_length if is_stored else n_samples))


def _checked_duration(tagger: Tagger, duration: float | None, hop: float | None) -> float:
    """Seconds of a window, once both numbers are in order."""
    duration = tagger.duration if duration is None else duration
    if not (math.isfinite(duration) and duration > 0):
        raise InputError(f"duration is {duration}; expected a positive number of seconds")
    if hop is not None and not 0 < hop <= duration:
        raise InputError(f"hop is {hop}; expected seconds, above 0 and at most a window ({duration:g})")
    return duration
