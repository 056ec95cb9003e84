"""Encoders: from waves to embeddings."""

from typing import Any

from musicfsl.backbones.ast import AstEncoder
from musicfsl.backbones.base import Encoder
from musicfsl.backbones.clap import ClapEncoder
from musicfsl.backbones.cnn14 import Cnn14
from musicfsl.backbones.conv import ConvEncoder
from musicfsl.backbones.mfcc import MfccEncoder
from musicfsl.backbones.multiband import MultiBandCNN
from musicfsl.backbones.panns_multiband import PannsMultiBand
from musicfsl.backbones.whitening import Whitening
from musicfsl.errors import InputError, did_you_mean

__all__ = [
    "ENCODERS",
    "AstEncoder",
    "ClapEncoder",
    "Cnn14",
    "ConvEncoder",
    "Encoder",
    "MfccEncoder",
    "MultiBandCNN",
    "PannsMultiBand",
    "Whitening",
    "build_encoder",
]

#: Name -> class. A new encoder is one file and one line here.
ENCODERS: dict[str, type[Encoder]] = {
    encoder.name: encoder
    for encoder in (ConvEncoder, MfccEncoder, MultiBandCNN, Cnn14, PannsMultiBand, AstEncoder, ClapEncoder)
}


def build_encoder(name: str, settings: dict[str, Any]) -> Encoder:
    """Builds an encoder, without trained weights, from what its ``name`` and ``settings()`` were.

    Raises:
        InputError: the name is unknown.

    Example:
        >>> build_encoder("mfcc", {"n_mfcc": 13}).dim
        13
    """
    if name not in ENCODERS:
        raise InputError(f"there is no encoder '{name}'.{did_you_mean(name, ENCODERS)} Known: {', '.join(ENCODERS)}")
    return ENCODERS[name](**settings)
