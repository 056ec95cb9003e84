"""Vectors of images: what a network that knows pictures makes of pictures of each instrument."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musicfsl._progress import progress_bar
from musicfsl.caching import atomic_directory, cache_root
from musicfsl.errors import CacheError, DatasetError, InputError
from musicfsl.instruments import canonical, canonical_names, name_key
from musicfsl.zeroshot._image_files import IMAGE_SUFFIXES, load_image, walk_files
from musicfsl.zeroshot._resnet import ResNet
from musicfsl.zeroshot.side_information import SideInformation, UnknownNameError, nearest_names

__all__ = ["ImageVectors"]

# Raised whenever the library reads images in another way: stored vectors are then left alone.
_IMAGE_VERSION = 1

_VECTORS, _ABOUT = "vectors.npy", "about.json"


class ImageVectors(SideInformation):
    """The mean of the features that a ResNet gives for the images of each class.

    ``folder`` has one sub-folder of images a class, named as the class; images may lie in folders within it, such as
    ``train`` and ``test``, and all of them count (they are side information: no recording goes with them). Where
    PPMI is unpacked (Yao and Fei-Fei, 2010: ``norm_image/play_instrument/violin/train/*.jpg``, the same for
    ``test``, and again for ``with_instrument``), the folder above ``norm_image`` will do, and people who play are
    taken; give the folder ``norm_image/with_instrument`` for people who only hold their instrument.

    Features of images are computed when a class is first asked for, and kept in a cache whose key is the content
    of the class's images and the weights; a file that changes, comes or goes is therefore noticed.

    Args:
        folder: with the classes.
        model: resnet18, resnet34, resnet50, resnet101 or resnet152, with torchvision's published weights
            (``IMAGENET1K_V1``), which are downloaded once where they are missing.
        batch_size: images that go through the network at a time.
        cache_dir: folder for the cache; see `musicfsl.caching.cache_root`.
        device: where the network runs, such as "cpu", "cuda" or "mps".
        progress: show a bar while features are computed.

    Attributes:
        folder: where the class folders lie.
        files: class name -> paths of its images, sorted.

    Raises:
        DatasetError: the folder has no class folders, or one of them no images, or two of them mean one instrument.
        InputError: a setting is out of range.
        MissingExtraError: torchvision is not installed.

    Reference:
        B. Yao, L. Fei-Fei, Grouplet: a structured image representation for recognizing human and object
        interactions, CVPR 2010 (PPMI).

    Example:
        >>> images = ImageVectors("ppmi", model="resnet18")  # doctest: +SKIP
        >>> images(["Violin", "french horn"]).shape  # doctest: +SKIP
        (2, 512)
    """

    kind = "images"

    def __init__(
        self,
        folder: str | os.PathLike[str],
        model: str = "resnet101",
        batch_size: int = 32,
        cache_dir: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        *,
        progress: bool = True,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; expected 1 or more")
        self.folder = _folder_of_classes(Path(folder).expanduser().absolute())
        self.files = _files_of_classes(self.folder)
        self._resnet = ResNet(model, _checked_device(device))
        self.dim = self._resnet.dim
        self._name_of_key = {name_key(name): name for name in self.files}
        self._batch_size = batch_size
        self._cache = cache_root(cache_dir) / "images"
        self._progress = progress
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def image_vectors(self, name: str) -> NDArray[np.float32]:
        """The vectors of all images of a class, float32 ``(n_images, dim)``, in the order of ``files[name]``.

        Raises:
            CacheError: the cache cannot be written, or is damaged.
            CheckpointError: the network's weights are missing and cannot be downloaded, or are damaged.
            DatasetError: an image is damaged, too large or no image; it is named.
            UnknownNameError: there is no folder of that name.
        """
        known = self._known(name)
        if known not in self._vectors:
            self._vectors[known] = self._stored(known)
        return self._vectors[known].copy()

    def vector(self, name: str) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = self.image_vectors(name).mean(axis=0)
        return mean

    def known_names(self) -> list[str]:
        return list(self.files)

    def knows(self, name: str) -> bool:
        return name_key(canonical(name) or name) in self._name_of_key  # without reading any image

    def provenance(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "folder": self.folder.name,
            "n_images": {name: len(paths) for name, paths in self.files.items()},
            "model": self._resnet.name,
            "weights": self._resnet.weights_name,
            "torchvision": importlib.metadata.version("torchvision"),
        }

    def _known(self, name: str) -> str:
        known = self._name_of_key.get(name_key(canonical(name) or name))
        if known is None:
            raise UnknownNameError(
                f"there are no images of '{name}'; add a folder of that name to {self.folder}."
                f"{nearest_names(name, self.files)}"
            )
        return known

    def _stored(self, name: str) -> NDArray[np.float32]:
        """Vectors of a class's images from the cache, which is filled where it lacks them."""
        paths = self.files[name]
        hashes = [_sha256(path) for path in paths]
        distinct = sorted(set(hashes))
        settings = {"version": _IMAGE_VERSION, "weights": self._resnet.weights_name, "images": distinct}
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
        stored = self._cache / f"{self._resnet.name}-{key}"
        if not stored.is_dir():
            path_of = dict(zip(hashes, paths, strict=True))
            vectors = self._compute(name, [path_of[digest] for digest in distinct])
            with atomic_directory(stored) as temporary:
                np.save(temporary / _VECTORS, vectors)
                (temporary / _ABOUT).write_text(json.dumps(settings, indent=1), encoding="utf-8")
        vectors = _read_vectors(stored, len(distinct), self.dim)
        return vectors[[distinct.index(digest) for digest in hashes]]

    def _compute(self, name: str, paths: Sequence[Path]) -> NDArray[np.float32]:
        _ = self._resnet.network  # missing weights are told of before a bar is drawn
        batches = [paths[i : i + self._batch_size] for i in range(0, len(paths), self._batch_size)]
        bar = progress_bar(batches, desc=f"images of {name}", unit="batch", show=self._progress)
        vectors = np.concatenate([self._resnet([load_image(path) for path in batch]) for batch in bar])
        if not np.isfinite(vectors).all():
            bad = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise DatasetError(f"{paths[bad]} gives features that are not finite; check the image")
        return vectors


def _folder_of_classes(folder: Path) -> Path:
    """The folder itself, or the one inside it where PPMI keeps its classes."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; expected one with a sub-folder of images a class")
    for inside in ("norm_image", "play_instrument"):
        if (folder / inside).is_dir():
            folder = folder / inside
    return folder


def _files_of_classes(folder: Path) -> dict[str, list[Path]]:
    """Class name -> its images. The name is the instrument's canonical one, where the folder's name means one."""
    files: dict[str, list[Path]] = {}
    folder_of: dict[str, str] = {}
    left_out = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        name = _instrument(class_folder.name)
        other = folder_of.setdefault(name_key(name), class_folder.name)
        if other != class_folder.name:
            raise DatasetError(
                f"the folders '{other}' and '{class_folder.name}' in {folder} both mean {name}; merge them"
            )
        found = sorted(walk_files(class_folder))
        files[name] = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
        left_out += [path for path in found if path.suffix.lower() not in IMAGE_SUFFIXES]
        if not files[name]:
            raise DatasetError(
                f"the class folder {class_folder} holds no image ({', '.join(IMAGE_SUFFIXES)}); add some or remove it"
            )
    if not files:
        raise DatasetError(f"{folder} has no sub-folders; expected one sub-folder of images a class")
    _warn_of(folder, left_out)
    return files


def _instrument(folder_name: str) -> str:
    """The instrument that a folder's name means, also where words run together (PPMI has "frenchhorn")."""
    run_together = {name_key(name).replace(" ", ""): name for name in canonical_names()}
    return canonical(folder_name) or run_together.get(name_key(folder_name), folder_name.strip())


def _warn_of(folder: Path, left_out: list[Path]) -> None:
    if left_out:
        kinds = Counter(path.suffix.lower() or "no suffix" for path in left_out)
        counts = ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items()))
        warnings.warn(
            f"{len(left_out)} files in {folder} are no images in a class folder and were left out: {counts}; such as "
            f"{left_out[0].relative_to(folder)}",
            stacklevel=4,
        )


def _checked_device(device: str) -> torch.device:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError):
        raise InputError(f"device '{device}' is unknown or not available here; expected such as 'cpu'") from None
    return torch.device(device)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror or error}); check it") from None


def _read_vectors(folder: Path, n_images: int, dim: int) -> NDArray[np.float32]:
    try:
        vectors: NDArray[np.float32] = np.load(folder / _VECTORS, allow_pickle=False)
        if vectors.shape != (n_images, dim) or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
            raise ValueError(f"{vectors.shape} {vectors.dtype} instead of ({n_images}, {dim}) float32")
    except Exception as error:  # numpy raises several kinds for damaged bytes
        raise CacheError(
            f"the stored image vectors {folder} are damaged ({error}); delete the folder and they are computed again"
        ) from None
    return vectors
