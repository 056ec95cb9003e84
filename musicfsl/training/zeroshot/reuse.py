"""Pretrains an encoder once: the result is kept in the cache under a name that all that decides it goes into."""

from __future__ import annotations

import os
from pathlib import Path

from musicfsl.backbones.base import Encoder
from musicfsl.checkpoints import load_encoder, save_encoder
from musicfsl.training._weights import weights_hash
from musicfsl.training.reuse import kept_file
from musicfsl.training.zeroshot.data import ZeroShotData
from musicfsl.training.zeroshot.fit import pretrain_encoder

__all__ = ["pretrain_once", "pretrained_file"]


def pretrain_once(
    encoder: Encoder,
    data: ZeroShotData,
    n_steps: int = 300,
    seed: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Encoder:
    """Pretrains an encoder on the training part (see `pretrain_encoder`), or opens what an earlier run has kept.

    The training part holds neither the unseen classes nor those of validation, and side information has no part in it:
    one encoder serves all kinds of side information on one split.

    Args:
        encoder: with its first weights; it is trained in place where training is needed, else left as it is.
        data: is set up for the encoder that is returned.
        n_steps: episodes.
        seed: of the episodes.
        cache_dir: folder for the result; None is the usual place.
        progress: show progress bars while training.

    Returns:
        the encoder in evaluation mode.

    Raises:
        CheckpointError: the kept file is damaged; delete it.

    Example:
        >>> data = ZeroShotData("synthetic", side="attributes", n_unseen=10)
        >>> encoder = pretrain_once(ConvEncoder(), data)  # doctest: +SKIP
    """
    path = pretrained_file(encoder, data, n_steps, seed, cache_dir)
    if not path.exists():
        clips = data.part("train")
        pretrain_encoder(encoder, clips, n_steps, data.duration, seed, progress)
        save_encoder(
            encoder, path, classes=clips.classes, data={"name": clips.name, "fingerprint": clips.fingerprint()}
        )
    found = load_encoder(path)
    data.setup_for(found)
    return found


def pretrained_file(
    encoder: Encoder,
    data: ZeroShotData,
    n_steps: int = 300,
    seed: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """The file in which `pretrain_once` keeps its result; it need not exist yet.

    Ask for it before training: the first weights are part of its name. The data is set up for training the encoder.
    """
    data.setup_for(encoder, train_encoder=True)
    return kept_file(
        {
            "clips": data.part("train").fingerprint(),
            "encoder": [encoder.name, encoder.settings(), weights_hash(encoder)],
            "pretraining": [n_steps, data.duration, seed],
        },
        cache_dir,
    )
