"""Encoders on disk: weights as safetensors, everything else as JSON in the same file's header.

Nothing is ever unpickled: a Lightning checkpoint is opened with ``weights_only``, and only the encoder,
the head and their card are taken from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from musicfsl._version import __version__
from musicfsl._weight_files import fill, read_checkpoint, weights_of, write_safetensors
from musicfsl.backbones import ENCODERS, Encoder, build_encoder
from musicfsl.backbones.named import ENCODER_NAMES, PUBLISHED, open_published, shipped_file
from musicfsl.errors import CheckpointError, InputError, did_you_mean
from musicfsl.heads import Head, PrototypicalHead, build_head

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Card", "EncoderCard", "load_encoder", "load_head", "read_card", "save_encoder"]

_KEY = "musicfsl"  # of the card, in a safetensors header and in a Lightning checkpoint
_FORMAT = 1


@dataclass(frozen=True)
class Card:
    """What is known of something saved, as text in its file: the base of dataclasses whose fields JSON can hold."""

    def to_json(self) -> str:
        """The card as text."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, path: Path) -> Self:
        """Reads a card back.

        Raises:
            CheckpointError: the text is not a card, or of a later format.
        """
        try:
            content = json.loads(text)
            written = int(content["format"])
            card = cls(**{f.name: content[f.name] for f in fields(cls)}) if written <= _FORMAT else None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} holds a damaged card ({error!r}); copy or train it again") from None
        if card is None:
            raise CheckpointError(f"{path} was written by a newer musicfsl (format {written}); upgrade musicfsl")
        return card


@dataclass(frozen=True)
class EncoderCard(Card):
    """What is known of a trained encoder.

    Attributes:
        encoder: its name in `musicfsl.backbones.ENCODERS`.
        settings: keyword arguments that build it, the front end's and the sample rate among them.
        head: the head it was trained with (``{"name": ..., "settings": {...}}``), or None.
        classes: names of the classes it was trained on, which therefore are not new to it.
        data: what it was trained on (name, size, whether it is synthetic, ...).
        metrics: results measured with it.
        version: of musicfsl when it was saved.
    """

    encoder: str
    settings: dict[str, Any]
    head: dict[str, Any] | None = None
    classes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    version: str = __version__

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        head: Head | None = None,
        *,
        classes: Sequence[str] = (),
        data: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> EncoderCard:
        """The card of an encoder in memory."""
        if ENCODERS.get(encoder.name) is not type(encoder):
            raise InputError(
                f"{type(encoder).__name__} is not in musicfsl.backbones.ENCODERS, so it could not be loaded again; "
                "register it there under its name"
            )
        return cls(
            encoder=encoder.name,
            settings=encoder.settings(),
            head=None if head is None else {"name": head.name, "settings": head.settings()},
            classes=list(classes),
            data=dict(data or {}),
            metrics={name: float(value) for name, value in (metrics or {}).items()},
        )


def save_encoder(
    encoder: Encoder,
    path: str | os.PathLike[str],
    *,
    head: Head | None = None,
    classes: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Saves an encoder with all that is needed to use it and to judge it.

    Args:
        encoder: any encoder that `musicfsl.backbones.ENCODERS` lists.
        path: file to write; the ending should be ``.safetensors``. It appears only when complete.
        head: the head it was trained with.
        classes: names of the classes it was trained on.
        data: what it was trained on.
        metrics: results measured with it.
        dtype: what floating-point weights are written as, such as ``torch.float16``, which halves the file; None
            leaves them as they are. Loaded encoders compute in float32 in any case.

    Returns:
        the path.

    Raises:
        CheckpointError: the file cannot be written.
    """
    card = EncoderCard.of(encoder, head, classes=classes, data=data, metrics=metrics)
    weights = weights_of(encoder, "encoder.") | ({} if head is None else weights_of(head, "head."))
    if dtype is not None:
        weights = {name: value.to(dtype) if value.is_floating_point() else value for name, value in weights.items()}
    return write_safetensors(path, weights, {_KEY: card.to_json()})


def load_encoder(name_or_path: str | os.PathLike[str]) -> Encoder:
    """Opens an encoder by its name, or from a file.

    Args:
        name_or_path: one of

            - ``"default"`` (or ``"musicfsl-small"``): the small network that the package ships; `read_card` says what
              it was trained on, and what it is worth;
            - ``"mfcc"``: mean MFCCs, the baseline, in which nothing is learned;
            - ``"cnn14"``, ``"ast"``, ``"clap"``: published networks, downloaded once; the ``from_pretrained`` of their
              classes has more choices;
            - the path of a ``.safetensors`` that `save_encoder` wrote, or of a ``.ckpt`` of `EpisodicLearner` (one that
              is called like a name is opened as ``"runs/default"``, with a folder).

    Returns:
        the encoder in evaluation mode on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, or no checkpoint of musicfsl; or a download failed.
        MissingExtraError: AST and CLAP need the extra ``transformers``.

    Example:
        >>> encoder = load_encoder("default")
        >>> encoder(torch.zeros(1, 1, encoder.sample_rate)).shape
        torch.Size([1, 512])
    """
    published = open_published(name_or_path)
    if published is not None:
        return published
    path = shipped_file(name_or_path)
    card, weights = _read(path)
    encoder = encoder_of(card, path)
    fill(encoder, weights, "encoder.", path)
    return encoder.eval()


def load_head(name_or_path: str | os.PathLike[str]) -> Head:
    """Loads the head that an encoder was trained with; a plain `PrototypicalHead` where none was.

    Args:
        name_or_path: as for `load_encoder`.

    Raises:
        CheckpointError: as `load_encoder`.
    """
    if os.fspath(name_or_path) in PUBLISHED:
        return PrototypicalHead().eval()
    path = shipped_file(name_or_path)
    card, weights = _read(path)
    if card.head is None:
        return PrototypicalHead().eval()
    try:
        head = build_head(card.head["name"], card.head["settings"])
    except (KeyError, TypeError, InputError) as error:
        raise CheckpointError(f"{path} holds a head that this musicfsl cannot build: {error}") from None
    fill(head, weights, "head.", path)
    return head.eval()


def read_card(name_or_path: str | os.PathLike[str]) -> EncoderCard:
    """Reads what is known of a saved encoder.

    Args:
        name_or_path: ``"default"``, or a file; published encoders have no card.

    Raises:
        CheckpointError: as `load_encoder`.

    Example:
        >>> read_card("default").encoder
        'conv'
    """
    if os.fspath(name_or_path) in PUBLISHED:
        raise CheckpointError(f"the encoder '{name_or_path}' was not saved by musicfsl and has no card")
    return _read(shipped_file(name_or_path))[0]


def encoder_of(card: EncoderCard, path: Path) -> Encoder:
    """Builds the encoder that a card describes, before its weights are filled in.

    Raises:
        CheckpointError: this musicfsl does not have it, or its settings build none.
    """
    if card.encoder not in ENCODERS:
        raise CheckpointError(
            f"{path} holds an encoder '{card.encoder}', which this musicfsl does not have."
            f"{did_you_mean(card.encoder, ENCODERS)} Upgrade musicfsl, or register the class"
        )
    try:
        return build_encoder(card.encoder, card.settings)
    except (TypeError, InputError) as error:
        raise CheckpointError(f"{path} holds settings that do not build '{card.encoder}': {error}") from None


def _read(path: Path) -> tuple[EncoderCard, dict[str, Tensor]]:
    if path == Path(path.name) and not path.suffix and not path.exists():
        raise CheckpointError(
            f"there is no encoder '{path}'.{did_you_mean(str(path), ENCODER_NAMES)} "
            f"Known: {', '.join(ENCODER_NAMES)}; or give the path of a checkpoint"
        )
    header, weights = read_checkpoint(path)
    if _KEY not in header:
        reason = (
            "was not written by musicfsl.save_encoder; load its weights by hand"
            if path.suffix == ".safetensors"
            else "is no checkpoint of musicfsl's EpisodicLearner; give one that 'musicfsl fit' wrote"
        )
        raise CheckpointError(f"{path} {reason}")
    return EncoderCard.from_json(header[_KEY], path), weights
