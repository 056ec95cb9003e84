"""The Audio Spectrogram Transformer as an encoder, on transformers' own model."""

from __future__ import annotations

import os
from typing import Any

from torch import nn

from musicfsl.backbones._ast_backbone import AstBackbone, Pooling, Positions
from musicfsl.backbones._ast_checkpoints import AST_CHECKPOINTS, read_ast
from musicfsl.backbones.base import Encoder, seeded_init
from musicfsl.backbones.whitening import Whitening
from musicfsl.errors import CheckpointError, InputError
from musicfsl.kaldi import KaldiFilterBank

__all__ = ["AST_CHECKPOINTS", "AstBackbone", "AstEncoder"]

_SAMPLE_RATE = 16000


class AstEncoder(Encoder):
    """Audio Spectrogram Transformer: patches of a Kaldi filter bank as tokens of a vision transformer.

    With the default settings it has 86,187,264 parameters. A clip of 1 s has 12 by 9 patches and needs 9.6 billion
    multiply-adds; filled up to 1024 frames, as transformers' preprocessor does it, 12 by 101 patches and 130.5 billion.
    So a clip is taken at its own length here, with the learned position embeddings brought to that length; at
    ``max_frames`` the output is that of transformers' ``ASTModel``. First weights are random: `from_pretrained` brings
    published ones, `from_config` makes a small network.

    A clip's embedding never depends on its neighbours, and there is no dropout, as in the published models.

    Args:
        sample_rate: of the waves in Hz; 16000, which is all there are models for.
        hidden_size: width of the tokens, and size of an embedding.
        n_layers: transformer blocks.
        n_heads: attention heads of each.
        intermediate_size: width of the hidden layer in each; None is four times ``hidden_size``.
        patch_size: bands and frames that a patch covers.
        frequency_stride: bands between patches.
        time_stride: frames between patches.
        n_mels: bands of the filter bank.
        max_frames: frames of the longest clip, for which there are position embeddings; 1024 are 10.24 s.
        pooling: what becomes the embedding: the class token, the distillation token, "both" (their mean, from which the
            published classifiers decide) or the "mean" over all patches.
        positions: how position embeddings are brought to a shorter clip's length: "interpolate" draws all of them
            together along time, "crop" keeps the first ones, which are those that the clip's patches have when it is
            filled up.
        trainable_blocks: None trains everything; k the last k blocks and the normalisation behind them; 0 nothing.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them: less memory,
            about a third more time.
        mean: of the filter bank on the data that the model was trained on, see `musicfsl.kaldi.KaldiFilterBank`.
        std: its standard deviation.
        whitening: put a `Whitening` behind the network, which `EpisodicLearner` fits to the training classes.
        seed: of the first weights.

    Shape:
        - input: waves ``(B, 1, n_samples)`` or features ``(B, n_mels, n_frames)``, ``patch_size`` to ``max_frames``
          frames long (0.175 to 10.255 s with the default settings)
        - output: ``(B, hidden_size)``, float32 also under autocast

    Raises:
        InputError: a setting is out of range, or a clip is too long or too short.
        MissingExtraError: transformers is not installed.

    Reference:
        Y. Gong, Y.-A. Chung, J. Glass, AST: Audio Spectrogram Transformer, Interspeech 2021.

    Example:
        >>> import torch
        >>> encoder = AstEncoder.from_config().eval()
        >>> encoder(torch.zeros(2, 1, 16000)).shape
        torch.Size([2, 64])
    """

    name = "ast"
    front_end: KaldiFilterBank
    backbone: AstBackbone

    def __init__(
        self,
        sample_rate: int = 16000,
        hidden_size: int = 768,
        n_layers: int = 12,
        n_heads: int = 12,
        intermediate_size: int | None = None,
        patch_size: int = 16,
        frequency_stride: int = 10,
        time_stride: int = 10,
        n_mels: int = 128,
        max_frames: int = 1024,
        pooling: Pooling = "both",
        positions: Positions = "interpolate",
        trainable_blocks: int | None = None,
        gradient_checkpointing: bool = False,
        mean: float = -4.2677393,
        std: float = 4.5689974,
        whitening: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if sample_rate != _SAMPLE_RATE:
            raise InputError(
                f"the sample rate is {sample_rate} Hz, but Audio Spectrogram Transformers are made for {_SAMPLE_RATE} "
                f"Hz; open the data set with sample_rate={_SAMPLE_RATE}, which resamples it"
            )
        self.front_end = KaldiFilterBank(sample_rate, n_mels, mean=mean, std=std)
        with seeded_init(seed):
            self.backbone = AstBackbone(
                self.front_end,
                hidden_size=hidden_size,
                n_layers=n_layers,
                n_heads=n_heads,
                intermediate_size=4 * hidden_size if intermediate_size is None else intermediate_size,
                patch_size=patch_size,
                frequency_stride=frequency_stride,
                time_stride=time_stride,
                max_frames=max_frames,
                pooling=pooling,
                positions=positions,
                whitening=whitening,
            )
        self.backbone.freeze(trainable_blocks)
        if gradient_checkpointing:
            self.backbone.checkpoint_gradients()
        self.dim = hidden_size
        self.trainable_blocks = trainable_blocks
        self.gradient_checkpointing = gradient_checkpointing
        self.seed = seed

    @classmethod
    def from_config(
        cls,
        *,
        sample_rate: int = 16000,
        hidden_size: int = 64,
        n_layers: int = 4,
        n_heads: int = 4,
        intermediate_size: int | None = None,
        patch_size: int = 16,
        frequency_stride: int = 10,
        time_stride: int = 10,
        n_mels: int = 128,
        max_frames: int = 1024,
        pooling: Pooling = "both",
        positions: Positions = "interpolate",
        trainable_blocks: int | None = None,
        gradient_checkpointing: bool = False,
        mean: float = -4.2677393,
        std: float = 4.5689974,
        whitening: bool = False,
        seed: int = 0,
    ) -> AstEncoder:
        """Makes a small network with random weights, to try things or to train from scratch.

        The constructor with other defaults: ``hidden_size`` 64, ``n_layers`` 4 and ``n_heads`` 4 (294,336 parameters).

        Raises:
            InputError: a setting is out of range.
            MissingExtraError: transformers is not installed.
        """
        return cls(
            sample_rate, hidden_size, n_layers, n_heads, intermediate_size, patch_size, frequency_stride, time_stride,
            n_mels, max_frames, pooling, positions, trainable_blocks, gradient_checkpointing, mean, std, whitening,
            seed,
        )  # fmt: skip

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        sample_rate: int = 16000,
        pooling: Pooling = "both",
        positions: Positions = "interpolate",
        trainable_blocks: int | None = None,
        gradient_checkpointing: bool = False,
        whitening: bool = False,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> AstEncoder:
        """Loads published weights, with the mean and standard deviation of their preprocessor.

        Args:
            name_or_path: a name on the Hugging Face hub, such as ``"MIT/ast-finetuned-audioset-10-10-0.4593"`` or
                ``"MIT/ast-finetuned-speech-commands-v2"`` (about 350 MB, downloaded once), or a folder that holds
                config.json, preprocessor_config.json and model.safetensors as they lie there. Pickles are never read.
            sample_rate: as for the constructor, like those that follow.
            pooling: what becomes the embedding.
            positions: how position embeddings are brought to a shorter clip's length.
            trainable_blocks: how much is trained.
            gradient_checkpointing: less memory for more time.
            whitening: put a `Whitening` behind the network.
            cache_dir: folder under which files that were fetched by hand are looked for (``ast/owner--name``); see
                `musicfsl.caching.cache_root`. Downloads go where Hugging Face's client has them.

        Returns:
            the encoder in evaluation mode on the CPU.

        Raises:
            InputError: the name is neither a folder nor one of the hub's, or a setting is out of range.
            CheckpointError: the files cannot be downloaded (the message says how to fetch them by hand), are damaged,
                pickled or of another model, or do not fit one another.
            MissingExtraError: transformers is not installed.

        Example:
            >>> encoder = AstEncoder.from_pretrained(
            ...     "MIT/ast-finetuned-audioset-10-10-0.4593", trainable_blocks=2
            ... )  # doctest: +SKIP
        """
        checkpoint = read_ast(name_or_path, cache_dir)
        if checkpoint.settings["hidden_size"] % checkpoint.settings["n_heads"]:
            raise CheckpointError(
                f"{checkpoint.source} has a hidden size of {checkpoint.settings['hidden_size']}, which is no multiple "
                f"of its {checkpoint.settings['n_heads']} heads; fetch its config.json again"
            )
        encoder = cls(
            sample_rate, **checkpoint.settings, pooling=pooling, positions=positions, trainable_blocks=trainable_blocks,
            gradient_checkpointing=gradient_checkpointing, whitening=whitening,
        )  # fmt: skip
        own = encoder.backbone.state_dict()
        network = {name.removeprefix("model."): value for name, value in own.items() if name.startswith("model.")}
        own.update({f"model.{name}": value for name, value in checkpoint.fitting(network).items()})
        encoder.backbone.load_state_dict(own)
        return encoder.eval()

    @property
    def whitening(self) -> Whitening | None:
        return self.backbone.whitening

    def pretrained_parts(self) -> list[nn.Module]:
        """What is trained of the network: what ``trainable_blocks`` freezes stays frozen in a second phase as well."""
        backbone = self.backbone
        return [backbone.model] if self.trainable_blocks is None else backbone.last_blocks(self.trainable_blocks)

    def settings(self) -> dict[str, Any]:
        config, backbone = self.backbone.model.config, self.backbone
        return {
            "sample_rate": self.sample_rate,
            "hidden_size": config.hidden_size,
            "n_layers": config.num_hidden_layers,
            "n_heads": config.num_attention_heads,
            "intermediate_size": config.intermediate_size,
            "patch_size": config.patch_size,
            "frequency_stride": config.frequency_stride,
            "time_stride": config.time_stride,
            "n_mels": config.num_mel_bins,
            "max_frames": config.max_length,
            "pooling": backbone.pooling,
            "positions": backbone.positions,
            "trainable_blocks": self.trainable_blocks,
            "gradient_checkpointing": self.gradient_checkpointing,
            "mean": self.front_end.mean,
            "std": self.front_end.std,
            "whitening": backbone.whitening is not None,
            "seed": self.seed,
        }
