"""Embeds whole clips: windows of every clip go through an encoder, and their embeddings are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from musicfsl._progress import progress_bar
from musicfsl._scaling import mean_and_scale
from musicfsl.backbones.base import Encoder
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import InputError

__all__ = ["ClipMeans", "ClipWindows", "Standardizer", "Window", "embed_dataset", "fit_whitening", "spread_windows"]


class Window(NamedTuple):
    """A part of a clip, as `ClipWindows` gives it.

    Attributes:
        x: wave ``(1, length)`` or features ``(n_features, length)``.
        clip: index of the clip; a tensor ``(B,)`` in a batch.
    """

    x: Tensor
    clip: int | Tensor


class ClipWindows(Dataset[Window]):
    """Windows spread evenly over each clip: every clip has at least one, long ones more.

    Args:
        dataset: waves or stored features.
        length: of a window along the last axis, in samples or frames; shorter clips are filled
            as the data set does it (waves by zeros, stored features by repeating themselves).
        max_windows: at most so many a clip; neighbours overlap by half where that suffices.

    Example:
        >>> windows = ClipWindows(dataset, length=16000)  # doctest: +SKIP
    """

    def __init__(self, dataset: ClassConditionalDataset, length: int, max_windows: int = 5) -> None:
        if length < 1 or max_windows < 1:
            raise InputError(f"length is {length} and max_windows {max_windows}; expected 1 or more of both")
        self.dataset = dataset
        self.length = length
        self._clips, self._offsets = spread_windows(dataset.lengths, length, max_windows)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Window:
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} is out of range for {len(self)} windows")
        clip = int(self._clips[index])
        x = self.dataset.read(clip, int(self._offsets[index]), self.length)
        return Window(self.dataset.fill(x, self.length), clip)


class ClipMeans:
    """Collects embeddings of windows, and averages them by clip.

    Args:
        n_clips: number of clips.
        dim: size of an embedding.
        device: where the sums lie.

    Example:
        >>> means = ClipMeans(2, 1)
        >>> windows = Window(torch.zeros(3, 1, 16000), clip=torch.tensor([0, 1, 1]))
        >>> means.add(windows, torch.tensor([[5.0], [1.0], [3.0]]))
        >>> means.means()
        tensor([[5.],
                [2.]])
    """

    def __init__(self, n_clips: int, dim: int, device: str | torch.device = "cpu") -> None:
        self._sums = torch.zeros(n_clips, dim, device=device)
        self._counts = torch.zeros(n_clips, 1, device=device)

    def add(self, windows: Window, z: Tensor) -> None:
        """Adds the embeddings ``(B, dim)`` of a batch of windows."""
        clip = torch.as_tensor(windows.clip, device=self._sums.device)
        self._sums.index_add_(0, clip, z.float())
        self._counts.index_add_(0, clip, torch.ones(len(z), 1, device=z.device))

    def means(self, reduce: Callable[..., Tensor] | None = None) -> Tensor | None:
        """Means ``(n_clips, dim)``, or None where a clip has no window yet.

        Args:
            reduce: sums a tensor over all processes (called with ``reduce_op="sum"``), where each has embedded a
                share of the windows.
        """
        sums, counts = self._sums, self._counts
        if reduce is not None:
            sums, counts = reduce(sums, reduce_op="sum"), reduce(counts, reduce_op="sum")
        return None if bool((counts == 0).any()) else sums / counts


def embed_dataset(
    encoder: Encoder,
    dataset: ClassConditionalDataset,
    duration: float = 1.0,
    max_windows: int = 5,
    batch_size: int = 64,
    n_workers: int = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Tensor:
    """Embeds every clip of a data set.

    Args:
        encoder: is used in evaluation mode and left as it was.
        dataset: waves at the encoder's sample rate, or features stored with its front end.
        duration: of a window in seconds.
        max_windows: windows a clip at most; their embeddings are averaged.
        batch_size: windows at a time.
        n_workers: processes that read.
        device: to compute on; None is where the encoder's weights lie.
        progress: show a progress bar.

    Returns:
        float32 ``(N, dim)`` on the CPU.

    Raises:
        InputError: the data set has another sample rate or front end than the encoder.
        AudioError: a recording cannot be read.
    """
    return _embed(encoder, encoder, dataset, duration, max_windows, batch_size, n_workers, device, progress)


def fit_whitening(
    encoder: Encoder,
    dataset: ClassConditionalDataset,
    duration: float = 1.0,
    max_windows: int = 5,
    batch_size: int = 64,
    n_workers: int = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> None:
    """Fits an encoder's whitening layer to the clips of known classes, as `EpisodicLearner` does before it validates.

    Args:
        encoder: its ``whitening`` is set; all else is left as it was.
        dataset: classes that may be known, such as those of the training, never those of the test. Where recordings
            are to be recognised, give recordings.
        duration: as for `embed_dataset`, like the following ones.
        max_windows: windows a clip at most.
        batch_size: windows at a time.
        n_workers: processes that read.
        device: to compute on.
        progress: show a progress bar.

    Raises:
        InputError: the encoder has no whitening layer, no class has two clips, or see `embed_dataset`.

    Example:
        >>> fit_whitening(encoder, store.subset(classes=train_classes))  # doctest: +SKIP
    """
    whitening = encoder.whitening
    if whitening is None:
        raise InputError(f"{type(encoder).__name__} has no whitening layer; there is nothing to fit")
    z = _embed(encoder, encoder.raw, dataset, duration, max_windows, batch_size, n_workers, device, progress)
    whitening.fit(z, torch.as_tensor(dataset.targets))


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Puts a network into evaluation mode, and every part of it back into the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def window_length(encoder: Encoder, dataset: ClassConditionalDataset, duration: float) -> int:
    """A duration in seconds as a length along the data set's last axis: samples of waves, frames of features."""
    n_samples = round(duration * encoder.sample_rate)
    return encoder.front_end.n_frames(n_samples) if dataset.front_end_settings is not None else n_samples


def check_fits(encoder: Encoder, dataset: ClassConditionalDataset) -> None:
    """Raises an `InputError` where a data set was made for another front end or sample rate than the encoder's."""
    if dataset.sample_rate != encoder.sample_rate:
        raise InputError(
            f"{dataset.name} has a sample rate of {dataset.sample_rate} Hz, but the encoder expects "
            f"{encoder.sample_rate} Hz; open the data set with sample_rate={encoder.sample_rate}"
        )
    stored, own = dataset.front_end_settings, encoder.front_end.settings()
    if stored is not None and stored != own:
        differing = sorted(name for name in own | stored if own.get(name) != stored.get(name))
        raise InputError(
            f"the features of {dataset.name} were stored with another front end than the encoder's (they differ in "
            f"{', '.join(differing)}); build the store again with encoder.front_end"
        )


class Standardizer:
    """Subtracts the mean and divides by the standard deviation of reference embeddings, dimension by dimension.

    Args:
        reference: ``(N, dim)``, such as the embeddings of the training classes.
        floor: least scale of a dimension, as a share of the median one. Where references are few, a dimension in which
            they happen to agree would else outweigh all others.

    Attributes:
        mean: ``(dim,)``.
        scale: ``(dim,)``, positive.

    Example:
        >>> Standardizer(torch.tensor([[0.0], [2.0]]))(torch.tensor([[3.0]]))
        tensor([[2.]])
    """

    def __init__(self, reference: Tensor, floor: float = 0.0) -> None:
        mean, scale = mean_and_scale(reference, floor)
        self.mean, self.scale = mean[0], scale[0]

    def __call__(self, embeddings: Tensor) -> Tensor:
        return (embeddings - self.mean) / self.scale


def _embed(
    encoder: Encoder,
    transform: Callable[[Tensor], Tensor],
    dataset: ClassConditionalDataset,
    duration: float,
    max_windows: int,
    batch_size: int,
    n_workers: int,
    device: str | torch.device | None,
    progress: bool,
) -> Tensor:
    """Means by clip of what ``transform``, the encoder or a part of it, makes of windows."""
    check_fits(encoder, dataset)
    windows = ClipWindows(dataset, window_length(encoder, dataset, duration), max_windows)
    # A generator of its own keeps the loader from taking a number from the global random state.
    loader = DataLoader(windows, batch_size=batch_size, num_workers=n_workers, generator=torch.Generator())
    target_device = next(encoder.parameters(), torch.empty(0)).device if device is None else torch.device(device)
    means = ClipMeans(len(dataset), encoder.dim)
    encoder.to(target_device)
    with evaluation_mode(encoder), torch.no_grad():
        for batch in progress_bar(loader, desc=f"embedding {dataset.name}", unit="batch", show=progress):
            means.add(batch, transform(batch.x.to(target_device)).cpu())
    embeddings = means.means()
    assert embeddings is not None, "every clip has a window"
    return embeddings


def spread_windows(
    lengths: NDArray[np.int64], length: int, max_windows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spreads windows evenly over clips, overlapping by half where that suffices.

    Args:
        lengths: ``(N,)``, of the clips.
        length: of a window.
        max_windows: at most so many a clip.

    Returns:
        clip and offset of every window.

    Example:
        >>> spread_windows(np.array([5, 20]), length=10, max_windows=5)[1].tolist()
        [0, 0, 5, 10]
    """
    slack = np.maximum(lengths - length, 0)
    counts = np.minimum(1 + -(-slack // max(1, length // 2)), max_windows)
    clips = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(len(clips)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, ... within each clip
    offsets = slack[clips] * place // np.maximum(counts[clips] - 1, 1)
    return clips, offsets
