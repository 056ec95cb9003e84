"""Published weights of Audio Spectrogram Transformers, in the layout of the Hugging Face hub; never a pickle."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from musicfsl.caching import cache_root
from musicfsl.errors import CheckpointError, InputError, import_extra

__all__ = ["AST_CHECKPOINTS", "AstCheckpoint", "published_name", "read_ast"]

#: Names on the hub that were published with the paper's weights, and what they were trained on last.
AST_CHECKPOINTS = {
    "MIT/ast-finetuned-audioset-10-10-0.4593": "AudioSet, 527 classes, clips of up to 10.24 s",
    "MIT/ast-finetuned-speech-commands-v2": "Speech Commands v2, 35 words, clips of up to 1.28 s",
}

_CONFIG, _PREPROCESSOR, _WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
_FILES = (_CONFIG, _PREPROCESSOR, _WEIGHTS)
_MODEL_TYPE = "audio-spectrogram-transformer"
_PREFIX = "audio_spectrogram_transformer."  # of the network within the published classifiers
_POSITIONS = "embeddings.position_embeddings"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

# Name in config.json -> setting of AstEncoder, and the value where a file leaves it out.
_SIZES = {
    "hidden_size": ("hidden_size", 768),
    "num_hidden_layers": ("n_layers", 12),
    "num_attention_heads": ("n_heads", 12),
    "intermediate_size": ("intermediate_size", 3072),
    "patch_size": ("patch_size", 16),
    "frequency_stride": ("frequency_stride", 10),
    "time_stride": ("time_stride", 10),
    "num_mel_bins": ("n_mels", 128),
    "max_length": ("max_frames", 1024),
}

# What all published models have in common, and AstEncoder therefore has no setting for.
_FIXED = {"hidden_act": "gelu", "qkv_bias": True, "layer_norm_eps": 1e-12}

# Names within transformers 5 -> names in published files, which are those within transformers 4.
_RENAMED = (
    (re.compile(r"^layers\."), "encoder.layer."),
    (re.compile(r"\.attention\.q_proj\."), ".attention.attention.query."),
    (re.compile(r"\.attention\.k_proj\."), ".attention.attention.key."),
    (re.compile(r"\.attention\.v_proj\."), ".attention.attention.value."),
    (re.compile(r"\.attention\.o_proj\."), ".attention.output.dense."),
    (re.compile(r"\.mlp\.fc1\."), ".intermediate.dense."),
    (re.compile(r"\.mlp\.fc2\."), ".output.dense."),
)


@dataclass(frozen=True)
class AstCheckpoint:
    """A checkpoint that was read and found to be consistent.

    Attributes:
        source: its folder, for messages.
        settings: of `AstEncoder`: sizes, ``mean`` and ``std``.
        weights: published name -> tensor; what belongs to a classifier is left out.
    """

    source: str
    settings: dict[str, Any]
    weights: Mapping[str, Tensor]

    def fitting(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights for a network's ``own`` ones, which are given by published names.

        Raises:
            CheckpointError: one is missing, or has another shape.
        """
        for name, value in own.items():
            if name not in self.weights:
                raise CheckpointError(
                    f"{self.source}/{_WEIGHTS} holds no whole AST: '{name}' is missing; fetch the file again"
                )
            if not (self.weights[name].is_floating_point() and self.weights[name].isfinite().all()):
                raise CheckpointError(
                    f"{self.source}/{_WEIGHTS} holds whole numbers, NaN or infinite values in '{name}'; fetch it again"
                )
            if self.weights[name].shape != value.shape:
                raise CheckpointError(
                    f"{self.source}/{_WEIGHTS} does not fit its {_CONFIG}: '{name}' has the shape "
                    f"{tuple(self.weights[name].shape)}, not {tuple(value.shape)}; fetch both again from one place"
                )
        return {name: self.weights[name] for name in own}


def published_name(name: str) -> str:
    """A weight's name in published files, from its name within transformers' ``ASTModel`` of any release.

    Example:
        >>> published_name("layers.3.attention.q_proj.weight")
        'encoder.layer.3.attention.attention.query.weight'
    """
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    return name


def read_ast(name_or_path: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None = None) -> AstCheckpoint:
    """Reads a checkpoint from a folder, or by its name on the hub.

    Args:
        name_or_path: a folder with config.json, preprocessor_config.json and model.safetensors, or ``"owner/name"``.
        cache_dir: folder under which files that were fetched by hand are looked for (``ast/owner--name``); see
            `musicfsl.caching.cache_root`.

    Raises:
        InputError: the name is neither a folder nor one of the hub's.
        CheckpointError: the files cannot be downloaded, are damaged, pickled or of another model, or do not fit one
            another.
    """
    find, source = _finder(name_or_path, cache_dir)
    # The small files first: what is no AST is not downloaded.
    sizes = _sizes(find(_CONFIG))
    normalization = _normalization(find(_PREPROCESSOR), sizes)
    weights = _weights(find(_WEIGHTS), sizes)
    return AstCheckpoint(source, {**sizes, **normalization}, weights)


def _finder(
    name_or_path: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None
) -> tuple[Callable[[str], Path], str]:
    """A function from a file's name to its path, and what to call the place in messages."""
    name, path = os.fspath(name_or_path), Path(name_or_path).expanduser()
    if path.is_file():
        if path.suffix in _PICKLES:
            raise CheckpointError(f"{path} {_PICKLED}")
        raise InputError(f"{path} is a file; give the folder that holds {', '.join(_FILES)}")
    if path.is_dir():
        return lambda file: _in_folder(path, file), str(path)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith("."):
        raise InputError(
            f"'{name}' is neither a folder nor the name of a model on the hub (owner/name), such as "
            f"{' or '.join(AST_CHECKPOINTS)}"
        )
    by_hand = cache_root(cache_dir) / "ast" / name.replace("/", "--")
    if by_hand.is_dir():
        return lambda file: _in_folder(by_hand, file), str(by_hand)
    return lambda file: _on_hub(name, file, by_hand), name


_PICKLED = (
    "is a pickle, which can run code when it is read, and is therefore not read; fetch model.safetensors of the same "
    "model, or, if you trust it, convert it once with transformers: "
    "ASTModel.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
)


# What the hub's client raises -> what that means.
_HUB_ANSWERS = {
    "RepositoryNotFoundError": "the hub has no such model, or does not show it to everyone",
    "RemoteEntryNotFoundError": "the model there has no such file",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
}


def _in_folder(folder: Path, file: str) -> Path:
    path = folder / file
    if path.is_file():
        return path
    pickles = [other.name for other in sorted(folder.iterdir()) if other.suffix in _PICKLES]
    if file == _WEIGHTS and pickles:
        raise CheckpointError(f"{folder} has no {file}, and {pickles[0]} {_PICKLED}")
    raise CheckpointError(
        f"the folder {folder} has no {file}; an AST checkpoint consists of {', '.join(_FILES)}, as they lie on the hub"
    )


def _on_hub(name: str, file: str, by_hand: Path) -> Path:
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
            f"fetch {', '.join(_FILES)} from https://huggingface.co/{name}/tree/main and put them into the folder "
            f"{by_hand}, where this name finds them, or into any folder and give its path"
        ) from None


def _sizes(path: Path) -> dict[str, int]:
    """The sizes of the network, from config.json."""
    config = _json(path)
    if config.get("model_type") != _MODEL_TYPE:
        raise CheckpointError(
            f"{path} describes a model of type '{config.get('model_type')}', not an Audio Spectrogram Transformer "
            f"('{_MODEL_TYPE}'); give one, such as {' or '.join(AST_CHECKPOINTS)}"
        )
    for field, expected in _FIXED.items():
        if config.get(field, expected) != expected:
            raise CheckpointError(
                f"{path} has {field} {config[field]!r}; AstEncoder takes models with {expected!r}, which all published "
                "ones have"
            )
    sizes: dict[str, int] = {}
    for field, (setting, default) in _SIZES.items():
        value = config.get(field, default)
        if not isinstance(value, int) or value < 1:
            raise CheckpointError(f"{path} has {field} {value!r}; expected a whole number of 1 or more")
        sizes[setting] = value
    if min(sizes["n_mels"], sizes["max_frames"]) < sizes["patch_size"]:
        raise CheckpointError(
            f"{path} has patches of {sizes['patch_size']} by {sizes['patch_size']}, but {sizes['n_mels']} bands and "
            f"{sizes['max_frames']} frames; fetch it again"
        )
    return sizes


def _normalization(path: Path, sizes: Mapping[str, int]) -> dict[str, float]:
    """Mean and standard deviation that features are normalised by, from preprocessor_config.json."""
    config = _json(path)
    expected = {
        "feature_extractor_type": ("ASTFeatureExtractor", "that is no preprocessor of an AST"),
        "sampling_rate": (16000, "AstEncoder takes sound of 16000 Hz"),
        "num_mel_bins": (sizes["n_mels"], f"its {_CONFIG} has {sizes['n_mels']} mel bands"),
        "max_length": (sizes["max_frames"], f"its {_CONFIG} has {sizes['max_frames']} frames"),
    }
    for field, (value, why) in expected.items():
        if config.get(field, value) != value:
            raise CheckpointError(
                f"{path} has {field} {config[field]!r}, but {why}; fetch {_CONFIG} and {_PREPROCESSOR} of one model"
            )
    if not config.get("do_normalize", True):
        return {"mean": 0.0, "std": 0.5}  # (x - 0) / (2 * 0.5) is x
    values = {"mean": config.get("mean"), "std": config.get("std")}
    for field, number in values.items():
        if not isinstance(number, int | float):
            raise CheckpointError(f"{path} has {field} {number!r}; expected a number, so fetch the file again")
        if not math.isfinite(number) or (field == "std" and number <= 0):
            raise CheckpointError(
                f"{path} has {field} {number!r}; expected a finite number{' above 0' if field == 'std' else ''}, so "
                "fetch the file again"
            )
    return {field: float(number) for field, number in values.items() if number is not None}


def _weights(path: Path, sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """The network's weights by published names, when their patch grid is the one that config.json speaks of."""
    tensors = _tensors(path)
    weights = {published_name(name.removeprefix(_PREFIX)): value for name, value in tensors.items()}
    if _POSITIONS not in weights:
        raise CheckpointError(f"{path} holds no AST: '{_POSITIONS}' is missing; fetch the file again")
    if weights[_POSITIONS].dim() != 3:
        raise CheckpointError(
            f"{path} holds no AST: '{_POSITIONS}' has the shape {tuple(weights[_POSITIONS].shape)}, not (1, patches + "
            "2, hidden size); fetch the file again"
        )
    n_positions = weights[_POSITIONS].shape[1]
    patch = sizes["patch_size"]
    n_bands = (sizes["n_mels"] - patch) // sizes["frequency_stride"] + 1
    n_times = (sizes["max_frames"] - patch) // sizes["time_stride"] + 1
    if n_positions != n_bands * n_times + 2:
        raise CheckpointError(
            f"{path} has position embeddings for {n_positions - 2} patches, but its {_CONFIG} describes a grid of "
            f"{n_bands} by {n_times} = {n_bands * n_times} ({sizes['n_mels']} bands and {sizes['max_frames']} frames, "
            f"patches of {patch}, strides {sizes['frequency_stride']} and {sizes['time_stride']}); fetch {_CONFIG} and "
            f"{_WEIGHTS} of one model"
        )
    return weights


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({error}); fetch it again") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); fetch it again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no settings; fetch it again")
    return content
