"""Published weights of CLAP (contrastive language-audio pretraining), either half on its own; never a pickle.

The encoder of sounds and the encoder of texts come from the same files, and know nothing of one another.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from musicfsl._hub_files import CONFIG, PREPROCESSOR, WEIGHTS, HubFiles, HubLayout, check_fixed, find_hub_files
from musicfsl.errors import CheckpointError

__all__ = ["CLAP_CHECKPOINTS", "ClapAudio", "ClapText", "read_clap_audio", "read_clap_text"]

#: Names on the hub that were published by the paper's authors, and what they were trained on.
CLAP_CHECKPOINTS = {
    "laion/clap-htsat-unfused": "LAION-Audio-630K and AudioSet; the small network",
    "laion/clap-htsat-fused": "the same, with feature fusion for clips longer than 10 s, which are not taken here",
    "laion/larger_clap_general": "general sound, music and speech; the larger network, as the two below",
    "laion/larger_clap_music": "music",
    "laion/larger_clap_music_and_speech": "music and speech",
}

_TOKENIZER = "tokenizer.json"
_LAYOUT = HubLayout(
    "a CLAP", "clap", (CONFIG, PREPROCESSOR, WEIGHTS, _TOKENIZER), tuple(CLAP_CHECKPOINTS)[:2], "ClapModel"
)

# What all published models have in common, and ClapEncoder therefore has no setting for.
_FIXED_AUDIO = {
    "spec_size": 256,
    "num_mel_bins": 64,
    "patch_size": 4,
    "patch_stride": [4, 4],
    "patch_embed_input_channels": 1,
    "enable_patch_layer_norm": True,
    "flatten_patch_embeds": True,
    "window_size": 8,
    "mlp_ratio": 4.0,
    "qkv_bias": True,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
_FIXED_PREPROCESSOR = {
    "feature_extractor_type": "ClapFeatureExtractor",
    "sampling_rate": 48000,
    "feature_size": 64,
    "fft_window_size": 1024,
    "hop_length": 480,
    "max_length_s": 10,
    "padding": "repeatpad",
}

# How a preprocessor treats long clips also decides, as published, on the mel filters.
_MEL_SCALES = {"rand_trunc": "slaney", "fusion": "htk"}

# Fields of text_config that decide on the network, and their values where a file leaves them out.
_TEXT = {
    "vocab_size": 50265,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}
_FIXED_TEXT = {"hidden_act": "gelu"}
_FIXED_BOTH = {"projection_hidden_act": "relu"}


@dataclass(frozen=True)
class ClapAudio:
    """The half of a checkpoint that hears.

    Attributes:
        source: its folder or name, for messages.
        settings: of `ClapEncoder`: sizes, and the band edges and scale of the mel filters.
        weights: published name -> tensor.
    """

    source: str
    settings: dict[str, Any]
    weights: Mapping[str, Tensor]


@dataclass(frozen=True)
class ClapText:
    """The half of a checkpoint that reads.

    Attributes:
        source: its folder or name, for messages.
        settings: of transformers' ``ClapTextConfig``.
        weights: published name -> tensor.
        tokenizer: the file with the words.
        scale: factor of the cosine between a sound and a text, in logits.
    """

    source: str
    settings: dict[str, Any]
    weights: Mapping[str, Tensor]
    tokenizer: Path
    scale: float


def read_clap_audio(name_or_path: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None = None) -> ClapAudio:
    """Reads the audio encoder from a folder, or by its name on the hub.

    Args:
        name_or_path: a folder with config.json, preprocessor_config.json and model.safetensors, or ``"owner/name"``.
        cache_dir: folder under which files that were fetched by hand are looked for (``clap/owner--name``); see
            `musicfsl.caching.cache_root`.

    Raises:
        InputError: the name is neither a folder nor one of the hub's.
        CheckpointError: the files cannot be downloaded, are damaged, pickled or of another model.
    """
    files = find_hub_files(name_or_path, _LAYOUT, cache_dir)
    # The small files first: what is no CLAP is not downloaded.
    path, config = files.path(CONFIG), _config(files)
    audio = _part(path, config, "audio_config")
    check_fixed(path, audio, _FIXED_AUDIO, "ClapEncoder")
    settings = {
        "width": _whole(path, "patch_embeds_hidden_size", audio.get("patch_embeds_hidden_size", 96)),
        "depths": _stages(path, "depths", audio.get("depths", [2, 2, 6, 2])),
        "n_heads": _stages(path, "num_attention_heads", audio.get("num_attention_heads", [4, 8, 16, 32])),
        "dim": _dim(path, config),
        **_mel(files),
    }
    return ClapAudio(files.source, settings, files.tensors("audio_model.", "audio_projection."))


def read_clap_text(name_or_path: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None = None) -> ClapText:
    """Reads the text encoder from a folder, or by its name on the hub.

    Args:
        name_or_path: a folder with config.json, tokenizer.json and model.safetensors, or ``"owner/name"``.
        cache_dir: as for `read_clap_audio`.

    Raises:
        InputError: the name is neither a folder nor one of the hub's.
        CheckpointError: the files cannot be downloaded, are damaged, pickled or of another model.
    """
    files = find_hub_files(name_or_path, _LAYOUT, cache_dir)
    path, config = files.path(CONFIG), _config(files)
    text = _part(path, config, "text_config")
    check_fixed(path, text, _FIXED_TEXT, "ClapTexts")
    settings: dict[str, Any] = {
        field: _whole(path, field, text.get(field, default)) for field, default in _TEXT.items()
    }
    settings |= {"layer_norm_eps": float(text.get("layer_norm_eps", 1e-12)), "projection_dim": _dim(path, config)}
    tokenizer = files.path(_TOKENIZER)
    weights = files.tensors("text_model.", "text_projection.", "logit_scale_a")
    if "logit_scale_a" not in weights:
        raise CheckpointError(
            f"{files.path(WEIGHTS)} holds no whole CLAP: 'logit_scale_a' is missing; fetch the file again"
        )
    return ClapText(files.source, settings, weights, tokenizer, math.exp(float(weights["logit_scale_a"])))


def _config(files: HubFiles) -> dict[str, Any]:
    path, config = files.path(CONFIG), files.settings(CONFIG)
    if config.get("model_type") != "clap":
        raise CheckpointError(
            f"{path} describes a model of type '{config.get('model_type')}', not CLAP ('clap'); give one, such as "
            f"{' or '.join(_LAYOUT.examples)}"
        )
    check_fixed(path, config, _FIXED_BOTH, "musicfsl")
    return config


def _part(path: Path, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = config.get(name)
    if not isinstance(part, dict):
        raise CheckpointError(f"{path} has no {name}, so it does not describe a whole CLAP; fetch it again")
    return part


def _dim(path: Path, config: Mapping[str, Any]) -> int:
    """Size of the space that sounds and texts have in common."""
    return _whole(path, "projection_dim", config.get("projection_dim", 512))


def _mel(files: HubFiles) -> dict[str, Any]:
    """What differs between the front ends of published models, from preprocessor_config.json."""
    path, config = files.path(PREPROCESSOR), files.settings(PREPROCESSOR)
    check_fixed(path, config, _FIXED_PREPROCESSOR, "ClapEncoder")
    truncation = config.get("truncation", "fusion")
    if truncation not in _MEL_SCALES:
        raise CheckpointError(
            f"{path} has truncation {truncation!r}; expected one of {', '.join(_MEL_SCALES)}, so fetch it again"
        )
    edges = {"f_min": config.get("frequency_min", 0), "f_max": config.get("frequency_max", 14000)}
    for edge in edges.values():
        if not isinstance(edge, int | float):
            raise CheckpointError(f"{path} has a frequency {edge!r}; expected a number, so fetch it again")
    return {"mel_scale": _MEL_SCALES[truncation], **{name: float(edge) for name, edge in edges.items()}}


def _stages(path: Path, field: str, values: Any) -> tuple[int, ...]:
    if not isinstance(values, list):
        raise CheckpointError(f"{path} has {field} {values!r}; expected a list of whole numbers")
    return tuple(_whole(path, field, value) for value in values)


def _whole(path: Path, field: str, value: Any) -> int:
    if not isinstance(value, int) or value < 1:
        raise CheckpointError(f"{path} has {field} {value!r}; expected a whole number of 1 or more")
    return value
