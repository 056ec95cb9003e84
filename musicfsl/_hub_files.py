"""Checkpoints in the layout of the Hugging Face hub: in a folder, fetched by hand or downloaded; never a pickle."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from musicfsl.caching import cache_root
from musicfsl.errors import CheckpointError, InputError, import_extra

__all__ = ["CONFIG", "PREPROCESSOR", "WEIGHTS", "HubFiles", "HubLayout", "check_fixed", "find_hub_files", "fitting"]

CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"

# What the hub's client raises -> what that means.
_HUB_ANSWERS = {
    "RepositoryNotFoundError": "the hub has no such model, or does not show it to everyone",
    "RemoteEntryNotFoundError": "the model there has no such file",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
}

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

# What the hub's client raises -> what that means.
_HUB_ANSWERS = {
    "RepositoryNotFoundError": "the hub has no such model, or does not show it to everyone",
    "RemoteEntryNotFoundError": "the model there has no such file",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
}


@dataclass(frozen=True)
class HubLayout:
    """A kind of checkpoint: which files it consists of, and how messages speak of it.

    Attributes:
        called: its name with the article, such as ``"an AST"``.
        folder: under which files that were fetched by hand are looked for in the cache (``folder/owner--name``).
        files: names of its files.
        examples: names on the hub.
        model: the class of transformers that saves one.
    """

    called: str
    folder: str
    files: tuple[str, ...]
    examples: tuple[str, ...]
    model: str

    @property
    def pickled(self) -> str:
        """What is said of a pickle."""
        return (
            "is a pickle, which can run code when it is read, and is therefore not read; fetch model.safetensors of "
            "the same model, or, if you trust it, convert it once with transformers: "
            f"{self.model}.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
        )


@dataclass(frozen=True)
class HubFiles:
    """The files of one checkpoint; each is looked for, and downloaded where that is needed, when it is asked for.

    Attributes:
        source: what to call the place in messages.
        path: the path of a file, from its name.

    Raises:
        CheckpointError: by all three, where a file is missing, cannot be downloaded, or is damaged.
    """

    source: str
    path: Callable[[str], Path]

    def settings(self, file: str) -> dict[str, Any]:
        """The content of a JSON file."""
        path = self.path(file)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}); fetch it again") from None
        if not isinstance(content, dict):
            raise CheckpointError(f"{path} holds no settings; fetch it again")
        return content

    def tensors(self, *prefixes: str) -> dict[str, Tensor]:
        """The weights whose names begin with one of the prefixes, or all of them; others are not read."""
        from safetensors import SafetensorError, safe_open

        path = self.path(WEIGHTS)
        try:
            with safe_open(str(path), framework="pt") as file:
                names = [name for name in file.keys() if not prefixes or name.startswith(prefixes)]  # noqa: SIM118 (not a dict)
                return {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is damaged or no safetensors file ({error}); fetch it again") from None


def find_hub_files(
    name_or_path: str | os.PathLike[str], layout: HubLayout, cache_dir: str | os.PathLike[str] | None = None
) -> HubFiles:
    """Finds a checkpoint in a folder, or by its name on the hub.

    Args:
        name_or_path: a folder, or ``"owner/name"``.
        layout: of the checkpoint.
        cache_dir: folder under which files that were fetched by hand are looked for; see `musicfsl.caching.cache_root`.

    Raises:
        InputError: it is neither a folder nor a name on the hub.
        CheckpointError: it is a pickle.
    """
    name, path = os.fspath(name_or_path), Path(name_or_path).expanduser()
    if path.is_file():
        if path.suffix in _PICKLES:
            raise CheckpointError(f"{path} {layout.pickled}")
        raise InputError(f"{path} is a file; give the folder that holds {', '.join(layout.files)}")
    if path.is_dir():
        return HubFiles(str(path), cache(lambda file: _in_folder(path, file, layout)))
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        raise InputError(
            f"'{name}' is neither a folder nor the name of a model on the hub (owner/name), such as "
            f"{' or '.join(layout.examples)}"
        )
    by_hand = cache_root(cache_dir) / layout.folder / name.replace("/", "--")
    if by_hand.is_dir():
        return HubFiles(str(by_hand), cache(lambda file: _in_folder(by_hand, file, layout)))
    return HubFiles(name, cache(lambda file: _on_hub(name, file, by_hand, layout)))


def check_fixed(path: Path, config: Mapping[str, Any], fixed: Mapping[str, Any], taken_by: str) -> None:
    """Compares what all published models have in common, and a network therefore has no setting for.

    Args:
        path: of the settings, for messages.
        config: the settings.
        fixed: field -> the value that it has, also where a file leaves it out.
        taken_by: the network.

    Raises:
        CheckpointError: a value differs.
    """
    for field, expected in fixed.items():
        if config.get(field, expected) != expected:
            raise CheckpointError(
                f"{path} has {field} {config[field]!r}; {taken_by} takes models with {expected!r}, which all published "
                "ones have"
            )


def fitting(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str, whole: str) -> dict[str, Tensor]:
    """Weights of a file for each of a network's ``own``.

    Args:
        weights: by the names that ``own`` has.
        own: of the network.
        source: of the file, for messages.
        whole: what a file that lacks one of them does not hold, such as ``"whole AST"``.

    Raises:
        CheckpointError: one is missing, holds what is no weight, or has another shape.
    """
    for name, value in own.items():
        if name not in weights:
            raise CheckpointError(f"{source}/{WEIGHTS} holds no {whole}: '{name}' is missing; fetch the file again")
        if weights[name].is_floating_point() != value.is_floating_point() or not weights[name].isfinite().all():
            raise CheckpointError(
                f"{source}/{WEIGHTS} holds whole numbers, NaN or infinite values in '{name}'; fetch it again"
            )
        if weights[name].shape != value.shape:
            raise CheckpointError(
                f"{source}/{WEIGHTS} does not fit its {CONFIG}: '{name}' has the shape "
                f"{tuple(weights[name].shape)}, not {tuple(value.shape)}; fetch both again from one place"
            )
    return {name: weights[name] for name in own}


def _in_folder(folder: Path, file: str, layout: HubLayout) -> Path:
    path = folder / file
    if path.is_file():
        return path
    pickles = [other.name for other in sorted(folder.iterdir()) if other.suffix in _PICKLES]
    if file == WEIGHTS and pickles:
        raise CheckpointError(f"{folder} has no {file}, and {pickles[0]} {layout.pickled}")
    raise CheckpointError(
        f"the folder {folder} has no {file}; {layout.called} checkpoint consists of {', '.join(layout.files)}, as they "
        "lie on the hub"
    )


def _on_hub(name: str, file: str, by_hand: Path, layout: HubLayout) -> Path:
    """The file in the cache of Hugging Face's client, downloaded where it is not there yet."""
    hub = import_extra("huggingface_hub", extra="transformers")
    try:
        return Path(hub.hf_hub_download(name, file, local_files_only=True))
    except Exception:  # it is not here yet
        pass
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(name, file))  # fails at once, where a download tries for half a minute
        return Path(hub.hf_hub_download(name, file))
    except Exception as error:  # the client raises its own, its HTTP library's and the system's errors
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".: ")
        reason = _HUB_ANSWERS.get(type(error).__name__, said)
        raise CheckpointError(
            f"{file} of '{name}' is not on this machine and cannot be downloaded ({reason}); where there is a network, "
            f"fetch {', '.join(layout.files)} from https://huggingface.co/{name}/tree/main and put them into the "
            f"folder {by_hand}, where this name finds them, or into any folder and give its path"
        ) from None
