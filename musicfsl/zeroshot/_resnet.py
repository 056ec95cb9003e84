"""A torchvision ResNet with its published weights, as a function from images to features."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from musicfsl.errors import CheckpointError, InputError, import_extra

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["RESNETS", "ResNet"]

#: Name -> length of the features before the last layer.
RESNETS = {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048, "resnet152": 2048}


class ResNet:
    """Features of images: what the last layer of a ResNet sees (He et al., 2016), trained on ImageNet-1k.

    The weights are torchvision's first published ones (``IMAGENET1K_V1``), which nearest-neighbour and transfer uses
    know best. They are read when first needed, and downloaded where they are missing.

    Args:
        name: one of `RESNETS`.
        device: where the network runs.

    Attributes:
        dim: length of the features.
        weights_name: file name of the weights; it ends with the first digits of their SHA-256.

    Raises:
        InputError: the network is unknown.
        MissingExtraError: torchvision is not installed.

    Reference:
        K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, CVPR 2016.
    """

    def __init__(self, name: str, device: str | torch.device = "cpu") -> None:
        if name not in RESNETS:
            raise InputError(f"model is '{name}'; expected one of {', '.join(RESNETS)}")
        self.name = name
        self.dim = RESNETS[name]
        self.device = torch.device(device)
        self._models = import_extra("torchvision.models", extra="zeroshot")
        self._weights = self._models.get_model_weights(name).IMAGENET1K_V1
        self.weights_name: str = self._weights.url.rpartition("/")[2]

    @cached_property
    def transform(self) -> Any:
        """From an RGB image to the network's input, as torchvision has it: resized, cut to 224 x 224, normalised."""
        return self._weights.transforms()

    def __call__(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Features float32 ``(n_images, dim)`` of RGB images."""
        batch = torch.stack([self.transform(image) for image in images]).to(self.device)
        with torch.inference_mode():
            features: NDArray[np.float32] = self.network(batch).cpu().numpy()
        return features

    @cached_property
    def network(self) -> torch.nn.Module:
        """The network without its last layer.

        Raises:
            CheckpointError: the weights are missing and cannot be downloaded, or are damaged.
        """
        state = _load(_weight_file(self._weights.url))
        # Made without memory and without first weights, which would be drawn from the global random state.
        with torch.device("meta"):
            network: torch.nn.Module = self._models.get_model(self.name)
        try:
            network.load_state_dict(state, assign=True)
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.weights_name} does not hold the weights of {self.name} ({str(error).splitlines()[0]})"
            ) from None
        network.fc = torch.nn.Identity()  # features instead of the thousand classes
        return network.requires_grad_(False).eval().to(self.device)


def _weight_file(url: str) -> Path:
    """The published file, downloaded where it is missing, with the hash that its name promises."""
    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    promised = re.sub(r".*-|\.pth$", "", name)
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Writes to a temporary file, checks its hash, then renames it.
            torch.hub.download_url_to_file(url, str(path), hash_prefix=promised)
        except Exception as error:  # the network, the disk, the hash
            raise CheckpointError(
                f"the weights {name} are not on this machine and cannot be downloaded ({error}); download {url} on "
                f"another machine and put it into the folder {path.parent}"
            ) from None
    elif not _sha256(path).startswith(promised):
        raise CheckpointError(
            f"{path} is not the published file, whose SHA-256 begins with {promised}; download {url} again and "
            "put it into its place"
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _load(path: Path) -> dict[str, torch.Tensor]:
    try:
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)  # tensors, no code
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__}); download it again") from None
    return state
