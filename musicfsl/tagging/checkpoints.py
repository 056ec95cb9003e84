"""Taggers on disk: all weights as safetensors, everything else as JSON in the same file's header.

The file is an encoder's checkpoint too: `musicfsl.load_encoder` takes the encoder from it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from musicfsl._version import __version__
from musicfsl._weight_files import fill, read_checkpoint, weights_of, write_safetensors
from musicfsl.checkpoints import Card, EncoderCard, encoder_of
from musicfsl.errors import CheckpointError, InputError
from musicfsl.tagging.tagger import Tagger

__all__ = ["CARD_KEYS", "TaggerCard", "load_tagger", "read_tagger_card", "save_tagger"]

_ENCODER_KEY, _KEY = "musicfsl", "musicfsl_tagger"
#: Names of the two cards, the encoder's and the tagger's, in a file's header or a Lightning checkpoint.
CARD_KEYS = (_ENCODER_KEY, _KEY)


@dataclass(frozen=True)
class TaggerCard(Card):
    """What is known of a trained tagger.

    Attributes:
        settings: keyword arguments that build the tagger around its encoder, the classes among them.
        data: what it was trained on (name, size, whether it is synthetic, ...).
        metrics: results measured with it.
        tuned_thresholds: class -> threshold, tuned on validation excerpts; None where none were.
        version: of musicfsl when it was saved.
    """

    settings: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tuned_thresholds: dict[str, float] | None = None
    version: str = __version__

    def __post_init__(self) -> None:
        if "classes" not in self.settings:
            raise KeyError("classes")  # which says to `from_json` that the card is damaged

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self.settings["classes"])

    @property
    def duration(self) -> float:
        """Seconds of a window."""
        return float(self.settings["duration"])

    @classmethod
    def of(
        cls,
        tagger: Tagger,
        *,
        data: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        thresholds: Sequence[float] | Tensor | None = None,
    ) -> TaggerCard:
        """The card of a tagger in memory; the arguments are those of `save_tagger`."""
        found = tagger.tuned_thresholds if thresholds is None else torch.as_tensor(thresholds)
        if found is not None and (
            found.shape != (len(tagger.classes),) or not bool(((found >= 0) & (found <= 1)).all())
        ):
            raise InputError(
                f"thresholds have shape {tuple(found.shape)} and values up to {float(found.max()):g}; expected one "
                f"probability for each of {len(tagger.classes)} classes"
            )
        return cls(
            settings=tagger.settings(),
            data=dict(data or {}),
            metrics={name: float(value) for name, value in (metrics or {}).items()},
            tuned_thresholds=None if found is None else dict(zip(tagger.classes, found.tolist(), strict=True)),
        )


def save_tagger(
    tagger: Tagger,
    path: str | os.PathLike[str],
    *,
    data: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    thresholds: Sequence[float] | Tensor | None = None,
) -> Path:
    """Saves a tagger with all that is needed to use it and to judge it.

    Args:
        tagger: around an encoder that `musicfsl.backbones.ENCODERS` lists.
        path: file to write; the ending should be ``.safetensors``. It appears only when complete.
        data: what it was trained on.
        metrics: results measured with it.
        thresholds: one a class, tuned on validation excerpts; None takes the tagger's ``tuned_thresholds``. They are
            kept beside ``tagger.thresholds``.

    Returns:
        the path.

    Raises:
        CheckpointError: the file cannot be written.
        InputError: the encoder is none that could be loaded again, or the thresholds do not fit.

    Example:
        >>> save_tagger(tagger, "tagger.safetensors", data={"name": "irmas"})  # doctest: +SKIP
    """
    card = TaggerCard.of(tagger, data=data, metrics=metrics, thresholds=thresholds)
    encoder_card = EncoderCard.of(tagger.encoder, classes=tagger.classes, data=data)
    header = {_ENCODER_KEY: encoder_card.to_json(), _KEY: card.to_json()}
    return write_safetensors(path, weights_of(tagger), header)


def load_tagger(path: str | os.PathLike[str]) -> Tagger:
    """Loads a tagger that `save_tagger` wrote, or takes it from a Lightning checkpoint of ``musicfsl tag fit``.

    Args:
        path: a ``.safetensors`` or a ``.ckpt`` file.

    Returns:
        the tagger in evaluation mode on the CPU, with its thresholds and, where there are any, its tuned ones.

    Raises:
        CheckpointError: the file is missing, damaged, or no tagger.

    Example:
        >>> tagger = load_tagger("runs/version_0/checkpoints/best.ckpt")  # doctest: +SKIP
    """
    path = Path(path)
    header, weights = read_checkpoint(path)
    card = _card(header, path)
    encoder = encoder_of(EncoderCard.from_json(header[_ENCODER_KEY], path), path)
    try:
        tagger = Tagger(encoder, **card.settings)
    except (TypeError, InputError) as error:
        raise CheckpointError(f"{path} holds settings that build no tagger: {error}") from None
    fill(tagger, weights, "", path)
    tagger.tuned_thresholds = tuned_thresholds(card)
    return tagger.eval()


def read_tagger_card(path: str | os.PathLike[str]) -> TaggerCard:
    """Reads what is known of a saved tagger.

    Raises:
        CheckpointError: as `load_tagger`.
    """
    return _card(read_checkpoint(Path(path))[0], Path(path))


def tuned_thresholds(card: TaggerCard) -> Tensor | None:
    """A card's tuned thresholds ``(C,)`` in the order of its classes."""
    tuned = card.tuned_thresholds
    return None if tuned is None else torch.tensor([tuned[name] for name in card.classes])


def _card(header: Mapping[str, str], path: Path) -> TaggerCard:
    if _KEY not in header or _ENCODER_KEY not in header:
        kind = "holds an encoder without a tagger" if _ENCODER_KEY in header else "is no checkpoint of musicfsl"
        raise CheckpointError(f"{path} {kind}; give one that 'musicfsl tag fit' or save_tagger wrote")
    return TaggerCard.from_json(header[_KEY], path)
