"""Published weights of Audio Spectrogram Transformers, in the layout of the Hugging Face hub; never a pickle."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from musicfsl._hub_files import CONFIG, PREPROCESSOR, WEIGHTS, HubFiles, HubLayout, check_fixed, find_hub_files, fitting
from musicfsl.errors import CheckpointError

__all__ = ["AST_CHECKPOINTS", "AstCheckpoint", "published_name", "read_ast"]

#: Names on the hub that were published with the paper's weights, and what they were trained on last.
AST_CHECKPOINTS = {
    "MIT/ast-finetuned-audioset-10-10-0.4593": "AudioSet, 527 classes, clips of up to 10.24 s",
    "MIT/ast-finetuned-speech-commands-v2": "Speech Commands v2, 35 words, clips of up to 1.28 s",
}

_LAYOUT = HubLayout("an AST", "ast", (CONFIG, PREPROCESSOR, WEIGHTS), tuple(AST_CHECKPOINTS), "ASTModel")
_MODEL_TYPE = "audio-spectrogram-transformer"
_PREFIX = "audio_spectrogram_transformer."  # of the network within the published classifiers
_POSITIONS = "embeddings.position_embeddings"

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
        return fitting(self.weights, own, self.source, "whole AST")


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
    files = find_hub_files(name_or_path, _LAYOUT, cache_dir)
    # The small files first: what is no AST is not downloaded.
    sizes = _sizes(files)
    normalization = _normalization(files, sizes)
    return AstCheckpoint(files.source, {**sizes, **normalization}, _weights(files, sizes))


def _sizes(files: HubFiles) -> dict[str, int]:
    """The sizes of the network, from config.json."""
    path, config = files.path(CONFIG), files.settings(CONFIG)
    if config.get("model_type") != _MODEL_TYPE:
        raise CheckpointError(
            f"{path} describes a model of type '{config.get('model_type')}', not an Audio Spectrogram Transformer "
            f"('{_MODEL_TYPE}'); give one, such as {' or '.join(AST_CHECKPOINTS)}"
        )
    check_fixed(path, config, _FIXED, "AstEncoder")
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


def _normalization(files: HubFiles, sizes: Mapping[str, int]) -> dict[str, float]:
    """Mean and standard deviation that features are normalised by, from preprocessor_config.json."""
    path, config = files.path(PREPROCESSOR), files.settings(PREPROCESSOR)
    expected = {
        "feature_extractor_type": ("ASTFeatureExtractor", "that is no preprocessor of an AST"),
        "sampling_rate": (16000, "AstEncoder takes sound of 16000 Hz"),
        "num_mel_bins": (sizes["n_mels"], f"its {CONFIG} has {sizes['n_mels']} mel bands"),
        "max_length": (sizes["max_frames"], f"its {CONFIG} has {sizes['max_frames']} frames"),
    }
    for field, (value, why) in expected.items():
        if config.get(field, value) != value:
            raise CheckpointError(
                f"{path} has {field} {config[field]!r}, but {why}; fetch {CONFIG} and {PREPROCESSOR} of one model"
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


def _weights(files: HubFiles, sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """The network's weights by published names, when their patch grid is the one that config.json speaks of."""
    path, tensors = files.path(WEIGHTS), files.tensors()
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
            f"{path} has position embeddings for {n_positions - 2} patches, but its {CONFIG} describes a grid of "
            f"{n_bands} by {n_times} = {n_bands * n_times} ({sizes['n_mels']} bands and {sizes['max_frames']} frames, "
            f"patches of {patch}, strides {sizes['frequency_stride']} and {sizes['time_stride']}); fetch {CONFIG} and "
            f"{WEIGHTS} of one model"
        )
    return weights
