"""The audio half of CLAP as an encoder, on transformers' own model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from torch import nn

from musicfsl._clap_files import CLAP_CHECKPOINTS, read_clap_audio
from musicfsl._hub_files import fitting
from musicfsl.backbones._clap_backbone import ClapBackbone, ClapFrontEnd
from musicfsl.backbones.base import Encoder, seeded_init
from musicfsl.backbones.whitening import Whitening
from musicfsl.errors import CheckpointError, InputError
from musicfsl.spectrogram import MelScale

__all__ = ["CLAP_CHECKPOINTS", "ClapBackbone", "ClapEncoder", "ClapFrontEnd"]


class ClapEncoder(Encoder):
    """The audio half of CLAP: a hierarchical token-semantic transformer (HTS-AT), trained with captions of sounds.

    Its embeddings are points on the unit sphere, on which texts lie too: `musicfsl.zeroshot.ClapTexts` of the same
    checkpoint scores them for class names without any recording. Few-shot methods take them like any other embeddings.

    With the default settings it has 28,190,872 parameters. A clip of up to 10 s needs 6.0 billion
    multiply-adds, however short it is, since it is repeated up to there (see `ClapFrontEnd`). First weights are random:
    `from_pretrained` brings published ones, `from_config` makes a small network.

    A clip's embedding never depends on its neighbours: the first layer, which normalises by batch as it was published,
    keeps its statistics in training too. Dropout is left out. Models with feature fusion hear clips of up to 10 s
    without it, as transformers does it, except that it marks one clip of each batch as longer, at random.

    Args:
        sample_rate: of the waves in Hz; 48000, which is all there are models for.
        width: channels of the first stage; each of the other three has twice as many as the one before.
        depths: transformer blocks of the four stages.
        n_heads: attention heads of each.
        dim: size of an embedding.
        mel_scale: of the front end, like the following two; see `ClapFrontEnd`.
        f_min: lower edge of the lowest band in Hz.
        f_max: upper edge of the highest band in Hz.
        whitening: put a `Whitening` behind the network, which `EpisodicLearner` or `musicfsl.embedding.fit_whitening`
            fits to known classes. Whitened embeddings do not match texts any more.
        seed: of the first weights.

    Shape:
        - input: waves ``(B, 1, n_samples)`` of up to 10 s, or features ``(B, 64, n_frames)`` of up to 1001 frames
        - output: ``(B, dim)``, float32 also under autocast, of length 1 unless whitened

    Raises:
        InputError: a setting is out of range, or a clip is too long.
        MissingExtraError: transformers is not installed.

    Reference:
        Y. Wu, K. Chen, T. Zhang, Y. Hui, T. Berg-Kirkpatrick, S. Dubnov, Large-scale contrastive language-audio
        pretraining with feature fusion and keyword-to-caption augmentation, ICASSP 2023; K. Chen et al., HTS-AT: a
        hierarchical token-semantic audio transformer for sound classification and detection, ICASSP 2022.

    Example:
        >>> import torch
        >>> encoder = ClapEncoder.from_config().eval()
        >>> encoder(torch.zeros(2, 1, 48000)).shape
        torch.Size([2, 64])
    """

    name = "clap"
    front_end: ClapFrontEnd
    backbone: ClapBackbone

    def __init__(
        self,
        sample_rate: int = 48000,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        n_heads: Sequence[int] = (4, 8, 16, 32),
        dim: int = 512,
        mel_scale: MelScale = "slaney",
        f_min: float = 50.0,
        f_max: float = 14000.0,
        whitening: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.front_end = ClapFrontEnd(sample_rate, mel_scale, f_min, f_max)
        with seeded_init(seed):
            self.backbone = ClapBackbone(width=width, depths=depths, n_heads=n_heads, dim=dim, whitening=whitening)
        self.width = width
        self.depths = tuple(depths)
        self.n_heads = tuple(n_heads)
        self.dim = dim
        self.seed = seed

    @classmethod
    def from_config(
        cls,
        *,
        sample_rate: int = 48000,
        width: int = 16,
        depths: Sequence[int] = (2, 2, 2, 2),
        n_heads: Sequence[int] = (1, 2, 4, 8),
        dim: int = 64,
        mel_scale: MelScale = "slaney",
        f_min: float = 50.0,
        f_max: float = 14000.0,
        whitening: bool = False,
        seed: int = 0,
    ) -> ClapEncoder:
        """Makes a small network with random weights, to try things or to train from scratch.

        The constructor with other defaults: ``width``, ``depths``, ``n_heads`` and ``dim`` (592,238 parameters).

        Raises:
            InputError: a setting is out of range.
            MissingExtraError: transformers is not installed.
        """
        return cls(sample_rate, width, depths, n_heads, dim, mel_scale, f_min, f_max, whitening, seed)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        sample_rate: int = 48000,
        whitening: bool = False,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> ClapEncoder:
        """Loads published weights, with the mel filters of their preprocessor.

        Args:
            name_or_path: a name on the Hugging Face hub, such as ``"laion/clap-htsat-unfused"`` or
                ``"laion/larger_clap_music"`` (600 to 800 MB with the half that reads texts, downloaded once), or a
                folder that holds config.json, preprocessor_config.json and model.safetensors as they lie there.
                Pickles are never read.
            sample_rate: as for the constructor.
            whitening: put a `Whitening` behind the network.
            cache_dir: folder under which files that were fetched by hand are looked for (``clap/owner--name``); see
                `musicfsl.caching.cache_root`. Downloads go where Hugging Face's client has them.

        Returns:
            the encoder in evaluation mode on the CPU.

        Raises:
            InputError: the name is neither a folder nor one of the hub's, or a setting is out of range.
            CheckpointError: the files cannot be downloaded (the message says how to fetch them by hand), are damaged,
                pickled or of another model, or do not fit one another.
            MissingExtraError: transformers is not installed.

        Example:
            >>> encoder = ClapEncoder.from_pretrained("laion/clap-htsat-unfused")  # doctest: +SKIP
        """
        # A rate that does not fit is refused before anything is downloaded.
        ClapFrontEnd(sample_rate)
        checkpoint = read_clap_audio(name_or_path, cache_dir)
        try:
            encoder = cls(sample_rate, **checkpoint.settings, whitening=whitening)
        except InputError as error:
            raise CheckpointError(f"{checkpoint.source} describes no CLAP ({error}); fetch its files again") from None
        model = encoder.backbone.model
        model.load_state_dict(fitting(checkpoint.weights, model.state_dict(), checkpoint.source, "whole CLAP"))
        return encoder.eval()

    @property
    def whitening(self) -> Whitening | None:
        return self.backbone.whitening

    def pretrained_parts(self) -> list[nn.Module]:
        return [self.backbone.model]

    def settings(self) -> dict[str, Any]:
        return {
            **self.front_end.settings(),
            "width": self.width,
            "depths": list(self.depths),
            "n_heads": list(self.n_heads),
            "dim": self.dim,
            "whitening": self.whitening is not None,
            "seed": self.seed,
        }
