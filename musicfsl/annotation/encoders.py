"""Which encoder and head an annotation uses."""

from __future__ import annotations

import os
from typing import NamedTuple

from musicfsl.backbones import Encoder, MfccEncoder
from musicfsl.checkpoints import load_encoder, load_head
from musicfsl.heads import Head, PrototypicalHead

__all__ = ["OpenedEncoder", "default_encoder", "open_encoder"]


class OpenedEncoder(NamedTuple):
    """An encoder with the head that goes with it.

    Attributes:
        encoder: in evaluation mode.
        head: likewise.
        name: what reports call it.
        is_trained: False for a baseline in which nothing is learned.
    """

    encoder: Encoder
    head: Head
    name: str
    is_trained: bool


def open_encoder(checkpoint: str | os.PathLike[str] | None = None) -> OpenedEncoder:
    """Opens a checkpoint with the head that it was trained with, or the default.

    Args:
        checkpoint: a ``.ckpt`` of ``musicfsl fit`` or a ``.safetensors`` of `musicfsl.save_encoder`; None is
            `default_encoder`.

    Raises:
        CheckpointError: the file is missing, damaged, or no checkpoint.

    Example:
        >>> open_encoder().name
        'mean MFCCs'
    """
    if checkpoint is None:
        return default_encoder()
    return OpenedEncoder(load_encoder(checkpoint), load_head(checkpoint), os.fspath(checkpoint), True)


def default_encoder() -> OpenedEncoder:
    """What recognises where nobody names a checkpoint: mean MFCCs and the nearest class mean.

    The classical baseline needs neither training nor a download, and gives the same answer everywhere. An untrained
    network would look like more and recognise less.
    """
    return OpenedEncoder(MfccEncoder().eval(), PrototypicalHead().eval(), "mean MFCCs", False)
