"""Encoders that have a name of their own: the one that the package ships, and published networks."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from musicfsl.backbones.base import Encoder

__all__ = ["ENCODER_NAMES", "PUBLISHED", "SHIPPED", "open_published", "shipped_file"]

#: Name -> file within the package.
SHIPPED = {
    "default": "musicfsl-small.safetensors",
    "musicfsl-small": "musicfsl-small.safetensors",
}


def _mfcc() -> Encoder:
    from musicfsl.backbones.mfcc import MfccEncoder

    return MfccEncoder()


def _cnn14() -> Encoder:
    from musicfsl.backbones.cnn14 import Cnn14

    return Cnn14.from_pretrained("Cnn14_16k_mAP=0.438")


def _ast() -> Encoder:
    from musicfsl.backbones.ast import AstEncoder

    return AstEncoder.from_pretrained("MIT/ast-finetuned-audioset-10-10-0.4593")


def _clap() -> Encoder:
    from musicfsl.backbones.clap import ClapEncoder

    return ClapEncoder.from_pretrained("laion/clap-htsat-unfused")


#: Name -> what opens it. But for the MFCCs, which need nothing, these are downloaded once (CNN14: 360 MB, AST: 350 MB,
#: CLAP: 610 MB), and the latter two need the extra ``transformers``.
PUBLISHED: dict[str, Callable[[], Encoder]] = {"mfcc": _mfcc, "cnn14": _cnn14, "ast": _ast, "clap": _clap}

#: All names, in the order in which messages list them.
ENCODER_NAMES = (*SHIPPED, *PUBLISHED)


def shipped_file(name_or_path: str | os.PathLike[str]) -> Path:
    """The checkpoint that a name means; what is no name of a shipped one is taken for a path.

    Example:
        >>> shipped_file("default").name
        'musicfsl-small.safetensors'
        >>> shipped_file("runs/mine.ckpt").name
        'mine.ckpt'
    """
    file = SHIPPED.get(os.fspath(name_or_path))
    return Path(name_or_path) if file is None else Path(str(resources.files("musicfsl") / "weights" / file))


def open_published(name_or_path: str | os.PathLike[str]) -> Encoder | None:
    """The published encoder of this name in evaluation mode, or None where the name is no such.

    Raises:
        CheckpointError: it cannot be downloaded, or is damaged.
        MissingExtraError: it needs an extra that is not installed.

    Example:
        >>> open_published("mfcc").dim
        20
    """
    opens = PUBLISHED.get(os.fspath(name_or_path))
    return None if opens is None else opens().eval()
