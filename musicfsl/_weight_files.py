"""Weights and texts in files: safetensors, written whole or not at all, and Lightning checkpoints, never unpickled."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from musicfsl.errors import CheckpointError

__all__ = ["fill", "read_checkpoint", "read_safetensors", "weights_of", "write_safetensors"]


def read_checkpoint(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Cards by their keys, and weights, of a ``.safetensors`` file or of a Lightning checkpoint.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"the checkpoint {path} does not exist; check the path")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    content = _opened_lightning(path)
    if not isinstance(content, dict):
        return {}, {}
    cards = {name: value for name, value in content.items() if isinstance(value, str)}
    return cards, dict(content.get("state_dict", {}))


def weights_of(module: torch.nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """A module's weights as they are saved, their names preceded by a prefix."""
    return {f"{prefix}{name}": value.detach().cpu().contiguous() for name, value in module.state_dict().items()}


def write_safetensors(path: str | os.PathLike[str], weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
    """Writes a file of weights that appears only when complete.

    Raises:
        CheckpointError: the file cannot be written.
    """
    from safetensors.torch import save

    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(save(dict(weights), metadata=dict(metadata)))
        os.replace(temporary, path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written ({error.strerror or error}); choose another place") from None
    finally:
        with contextlib.suppress(OSError):  # the error that matters is on its way already
            temporary.unlink()
    return path


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and weights of a file.

    Raises:
        CheckpointError: the file is missing, damaged, or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"the checkpoint {path} does not exist; check the path")
    try:
        with safe_open(str(path), framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({error}); copy or train it again") from None


def fill(module: torch.nn.Module, weights: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    """Loads the weights whose names begin with ``prefix``.

    Raises:
        CheckpointError: they do not fit.
    """
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    try:
        module.load_state_dict(own)
    except RuntimeError:
        raise CheckpointError(
            f"the weights in {path} do not fit the {type(module).__name__} that its card describes; "
            "copy or train it again"
        ) from None


def _opened_lightning(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged bytes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path} is damaged or no checkpoint ({reason[:120]}); copy or train it again") from None
