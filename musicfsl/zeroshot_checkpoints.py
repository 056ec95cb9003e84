"""Zero-shot models on disk: all weights as safetensors, everything else as JSON in the same file's header.

The file is an encoder's checkpoint too: `musicfsl.load_encoder` takes the encoder from it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musicfsl._version import __version__
from musicfsl._weight_files import fill, read_safetensors, weights_of, write_safetensors
from musicfsl.backbones import Encoder
from musicfsl.checkpoints import Card, EncoderCard, load_encoder
from musicfsl.errors import CheckpointError, InputError
from musicfsl.zeroshot.open import open_side_information
from musicfsl.zeroshot.projection import ZeroShotModel
from musicfsl.zeroshot.side_information import SideInformation

__all__ = ["ZeroShotCard", "load_zeroshot", "open_side_of", "read_zeroshot_card", "save_zeroshot"]

_KEY, _ENCODER_KEY = "musicfsl_zeroshot", "musicfsl"  # of the cards in the file's header
_SIDE = "side_vectors"  # of the seen classes


@dataclass(frozen=True)
class ZeroShotCard(Card):
    """What is known of a trained zero-shot model.

    Attributes:
        settings: keyword arguments that build the model around its encoder.
        side: the side information, as `musicfsl.zeroshot.open_side_information` takes it; None where it was made in
            another way, and has to be handed over.
        provenance: of the side information.
        seen: classes whose recordings were trained on.
        unseen: classes that were set aside for the test.
        calibration: what to add to the similarities of unseen classes; None where none was found.
        data: what it was trained on, and how its clips were divided.
        metrics: results measured with it.
        version: of musicfsl when it was saved.
    """

    settings: dict[str, Any]
    side: str | None
    provenance: dict[str, Any]
    seen: list[str]
    unseen: list[str] = field(default_factory=list)
    calibration: float | None = None
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    version: str = __version__


def save_zeroshot(
    model: ZeroShotModel,
    path: str | os.PathLike[str],
    *,
    side: SideInformation,
    seen: list[str],
    unseen: list[str] | None = None,
    side_text: str | None = None,
    calibration: float | None = None,
    data: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """Saves a zero-shot model with all that is needed to use it and to judge it.

    Args:
        model: around an encoder that `musicfsl.backbones.ENCODERS` lists.
        path: file to write; the ending should be ``.safetensors``. It appears only when complete.
        side: what the class vectors are made of; the vectors of the seen classes go into the file, so that side
            information that has changed is noticed.
        seen: names of the classes that it was trained on.
        unseen: names of the classes that were set aside.
        side_text: the side information as `open_side_information` takes it, so that it can be opened again.
        calibration: as `musicfsl.training.fit_zeroshot` found it.
        data: what it was trained on.
        metrics: results measured with it.

    Returns:
        the path.

    Raises:
        CheckpointError: the file cannot be written.
        InputError: the encoder is none that could be loaded again.
    """
    encoder = model.encoder
    if not isinstance(encoder, Encoder):
        raise InputError(
            f"{type(encoder).__name__} is no encoder of musicfsl.backbones, so it could not be loaded again"
        )
    card = ZeroShotCard(
        settings={
            "side_dim": model.side_dim,
            "dim": model.dim,
            "learn_temperature": model.log_temperature.requires_grad,
        },
        side=side_text,
        provenance=side.provenance(),
        seen=list(seen),
        unseen=list(unseen or ()),
        calibration=calibration,
        data=dict(data or {}),
        metrics=dict(metrics or {}),
    )
    encoder_card = EncoderCard.of(encoder, classes=seen, data={"name": card.data.get("name"), "seen_classes": seen})
    # The encoder's weights are named as in an encoder's own checkpoint.
    weights = weights_of(model) | {_SIDE: torch.from_numpy(side(seen))}
    return write_safetensors(path, weights, {_ENCODER_KEY: encoder_card.to_json(), _KEY: card.to_json()})


def load_zeroshot(path: str | os.PathLike[str]) -> ZeroShotModel:
    """Loads a model that `save_zeroshot` wrote.

    Returns:
        the model in evaluation mode on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, or no zero-shot model.
    """
    path = Path(path)
    card, weights = _read(path)
    encoder = load_encoder(path)
    try:
        model = ZeroShotModel(encoder, **card.settings)
    except (TypeError, InputError) as error:
        raise CheckpointError(f"{path} holds settings that build no zero-shot model: {error}") from None
    fill(model, {name: value for name, value in weights.items() if name != _SIDE}, "", path)
    return model.eval()


def read_zeroshot_card(path: str | os.PathLike[str]) -> ZeroShotCard:
    """Reads what is known of a saved zero-shot model.

    Raises:
        CheckpointError: as `load_zeroshot`.
    """
    return _read(Path(path))[0]


def open_side_of(path: str | os.PathLike[str], side: SideInformation | str | None = None) -> SideInformation:
    """Opens the side information that a saved model was trained with.

    Args:
        path: of the model.
        side: the side information, or a text for `open_side_information`, where the one that the card names is no
            longer there or has moved.

    Raises:
        CheckpointError: the card names none, or what is there now gives the seen classes other vectors.
        InputError: it cannot be opened.
    """
    card, weights = _read(Path(path))
    found = card.side if side is None else side
    if found is None:
        raise CheckpointError(f"{path} does not say how to open its side information; hand it over")
    if isinstance(found, str):
        found = open_side_information(found)
    expected, vectors = weights[_SIDE].numpy(), found(card.seen)
    # Networks give slightly different numbers on other processors; another table gives other numbers.
    scale = float(np.abs(expected).max())
    if vectors.shape != expected.shape or not np.allclose(vectors, expected, rtol=0, atol=1e-3 * scale):
        raise CheckpointError(
            f"{path} was trained with other side information ({card.side or card.provenance.get('kind')}; vectors of "
            f"length {expected.shape[1]}) than '{found.kind}' gives now; name that one, or train again"
        )
    return found


def _read(path: Path) -> tuple[ZeroShotCard, dict[str, torch.Tensor]]:
    metadata, weights = read_safetensors(path)
    if _KEY not in metadata or _SIDE not in weights:
        raise CheckpointError(f"{path} is no zero-shot model; give one that 'musicfsl zeroshot fit' wrote")
    return ZeroShotCard.from_json(metadata[_KEY], path), weights
