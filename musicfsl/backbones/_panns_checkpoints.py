"""The published weights of PANNs: downloaded by name, read without running code, told apart by their filters."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from musicfsl.caching import cache_root
from musicfsl.errors import CheckpointError, InputError, did_you_mean
from musicfsl.spectrogram import LogMel

__all__ = ["PANNS_CHECKPOINTS", "PannsCheckpoint", "PannsWeights", "panns_front_end", "read_panns"]

_RECORD = "https://zenodo.org/records/3987831"
_FILTERS = "logmel_extractor.melW"  # (bins, bands)
_STFT = "spectrogram_extractor.stft.conv_real.weight"  # (bins, 1, n_fft); the first row is the window

# What a pickled numpy array or number names, in old and new releases.
_NUMPY_NAMES = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    "numpy.ndarray",
    "numpy.dtype",
)

# Sample rate -> window, hop (10 ms) and upper band edge.
_FRONT_ENDS = {32000: (1024, 320, 14000.0), 16000: (512, 160, 8000.0), 8000: (256, 80, 4000.0)}


class PannsCheckpoint(NamedTuple):
    """A published file.

    Attributes:
        sample_rate: that it was trained at, in Hz.
        url: where it lies.
        md5: its checksum in hexadecimal, as Zenodo's record 3987831 has it.
        size: in bytes.
    """

    sample_rate: int
    url: str
    md5: str
    size: int


#: Name -> file. Licence: CC BY 4.0.
PANNS_CHECKPOINTS = {
    "Cnn14_mAP=0.431": PannsCheckpoint(
        32000, f"{_RECORD}/files/Cnn14_mAP%3D0.431.pth?download=1", "541141fa2ee191a88f24a3219fff024e", 327428481
    ),
    "Cnn14_16k_mAP=0.438": PannsCheckpoint(
        16000, f"{_RECORD}/files/Cnn14_16k_mAP%3D0.438.pth?download=1", "362fc5ff18f1d6ad2f6d464b45893f2c", 358668570
    ),
}


@dataclass(frozen=True)
class PannsWeights:
    """Weights in the published layout.

    Attributes:
        path: where they come from.
        sample_rate: that they were trained at, in Hz.
        state: name -> tensor.
    """

    path: Path
    sample_rate: int
    state: Mapping[str, Tensor]

    def fill(self, module: nn.Module, prefix: str) -> None:
        """Loads the weights whose names begin with ``prefix``.

        Raises:
            CheckpointError: one is missing, or has another shape.
        """
        own = module.state_dict()
        for name, value in own.items():
            key = prefix + name
            if key not in self.state:
                raise CheckpointError(
                    f"{self.path} holds no CNN14 of PANNs: '{key}' is missing; give one of "
                    f"{', '.join(PANNS_CHECKPOINTS)} or the path of a file in their layout"
                )
            if self.state[key].shape != value.shape:
                raise CheckpointError(
                    f"{self.path} holds a network of another size: '{key}' has the shape "
                    f"{tuple(self.state[key].shape)}, not {tuple(value.shape)}; give the file's own widths, dim and "
                    "n_classes"
                )
            own[name] = self.state[key]
        module.load_state_dict(own)


def panns_front_end(sample_rate: int) -> LogMel:
    """The log-mel front end that PANNs published for a sample rate: 64 bands, a frame every 10 ms.

    Raises:
        InputError: there is none for this rate.

    Example:
        >>> panns_front_end(32000).n_fft
        1024
    """
    if sample_rate not in _FRONT_ENDS:
        raise InputError(
            f"the sample rate is {sample_rate} Hz; PANNs has front ends for "
            f"{', '.join(str(rate) for rate in _FRONT_ENDS)} Hz"
        )
    n_fft, hop_length, f_max = _FRONT_ENDS[sample_rate]
    return LogMel(
        sample_rate, n_fft, hop_length=hop_length, n_mels=64, f_min=50.0, f_max=f_max, mel_scale="slaney",
        norm="slaney", floor=1e-10,
    )  # fmt: skip


def read_panns(
    name_or_path: str | os.PathLike[str],
    sample_rate: int | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> PannsWeights:
    """Reads published weights by name, or a file in their layout.

    Args:
        name_or_path: one of `PANNS_CHECKPOINTS`, with or without ``.pth``, or a path.
        sample_rate: the rate that is wanted; None takes the file's.
        cache_dir: folder for downloads; see `musicfsl.caching.cache_root`.
        progress: show the progress of a download.

    Raises:
        InputError: the name is unknown.
        CheckpointError: the file cannot be downloaded, is damaged, or was trained at another rate.
    """
    path = Path(name_or_path)
    name = os.fspath(name_or_path).removesuffix(".pth")
    if not path.is_file():
        if name not in PANNS_CHECKPOINTS:
            raise InputError(
                f"'{os.fspath(name_or_path)}' is neither a file nor a published network."
                f"{did_you_mean(name, PANNS_CHECKPOINTS)} Known: {', '.join(PANNS_CHECKPOINTS)}"
            )
        _check_rate(name, PANNS_CHECKPOINTS[name].sample_rate, sample_rate)  # before a download
        path = _download(name, cache_root(cache_dir) / "panns", progress)
    state = _state_in(path)
    own_rate = _rate_of(state, path)
    _check_rate(str(path), own_rate, sample_rate)
    return PannsWeights(path, own_rate, state)


def _check_rate(what: str, own: int, wanted: int | None) -> None:
    if wanted is not None and own != wanted:
        others = [name for name, published in PANNS_CHECKPOINTS.items() if published.sample_rate == wanted]
        raise CheckpointError(
            f"{what} was trained on sound of {own} Hz, not {wanted} Hz; "
            + (f"take {others[0]} or sample_rate={own}" if others else f"take sample_rate={own}")
        )


def _download(name: str, folder: Path, progress: bool) -> Path:
    """The published file, verified, and downloaded where it is not there or not right."""
    import pooch

    published = PANNS_CHECKPOINTS[name]
    try:
        return Path(
            pooch.retrieve(
                published.url, f"md5:{published.md5}", fname=f"{name}.pth", path=folder, progressbar=progress
            )
        )
    except Exception as error:  # the network, the disk, the checksum
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{name} cannot be downloaded ({reason}); fetch {published.url} ({published.size / 1e6:.0f} MB) where "
            f"there is a network and put it at {folder / name}.pth"
        ) from None


def _state_in(path: Path) -> dict[str, Tensor]:
    try:
        with _inert_numpy():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged bytes
        raise CheckpointError(
            f"{path} is cut off, damaged, or no file of weights ({type(error).__name__}); copy or download it again"
        ) from None
    state = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(
            f"{path} holds no weights of PANNs: expected a dictionary with 'model'; give one of "
            f"{', '.join(PANNS_CHECKPOINTS)} or the path of a file in their layout"
        )
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _rate_of(state: Mapping[str, Tensor], path: Path) -> int:
    """The sample rate whose mel filters the file holds."""
    if _FILTERS not in state:
        raise CheckpointError(
            f"{path} holds no CNN14 of PANNs: '{_FILTERS}', which tells the sample rate, is missing; give one of "
            f"{', '.join(PANNS_CHECKPOINTS)} or the path of a file in their layout"
        )
    filters, window = state[_FILTERS].float(), state.get(_STFT)
    for rate in _FRONT_ENDS:
        ours = panns_front_end(rate)
        if not _close(filters, ours.filters.T, 1e-4):  # the largest are 0.02
            continue
        if window is not None and not _close(window[0, 0].float(), ours.window, 1e-3):
            break
        return rate
    raise CheckpointError(
        f"{path} has a front end of its own (mel filters of shape {tuple(filters.shape)}), which is none of those that "
        f"PANNs published for {', '.join(str(rate) for rate in _FRONT_ENDS)} Hz; its sample rate cannot be told"
    )


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=0.0, atol=tolerance)


@contextlib.contextmanager
def _inert_numpy() -> Iterator[None]:
    """Lets torch read past numpy arrays, which the 16 kHz file holds beside its weights (the sampler's state).

    torch opens files with ``weights_only`` unless they name anything but tensors. What is named here is replaced by
    objects that do nothing, so no code of numpy runs, and its releases may rename what they like.
    """
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([_Inert.named(name) for name in _NUMPY_NAMES])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


class _Inert:
    """Takes the place of an object that is not needed."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass

    @classmethod
    def named(cls, path: str) -> type[_Inert]:
        module, _, name = path.rpartition(".")
        return type(name, (cls,), {"__module__": module})
