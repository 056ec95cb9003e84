"""transformers' Audio Spectrogram Transformer on clips of any length, its weights saved under published names."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from musicfsl.backbones._ast_checkpoints import published_name
from musicfsl.backbones.whitening import Whitening
from musicfsl.errors import InputError, import_extra
from musicfsl.kaldi import KaldiFilterBank

__all__ = ["AstBackbone", "Pooling", "Positions"]

Pooling = Literal["both", "class", "distillation", "mean"]
Positions = Literal["interpolate", "crop"]


class AstBackbone(nn.Module):
    """The network behind `AstEncoder`: transformers' ``ASTModel`` on clips of any length up to ``max_frames``.

    Its weights are saved under the published names, so that files move between releases of transformers.

    Args:
        front_end: what computes the features; its settings tell the number of bands, and lengths for messages.
        hidden_size: as for `AstEncoder`, like all that follow.
        n_layers: transformer blocks.
        n_heads: attention heads of each.
        intermediate_size: width of the hidden layer in each.
        patch_size: bands and frames that a patch covers.
        frequency_stride: bands between patches.
        time_stride: frames between patches.
        max_frames: frames of the longest clip.
        pooling: what becomes the embedding.
        positions: how position embeddings are brought to a shorter clip's length.
        whitening: put a `Whitening` behind the network.

    Shape:
        - input: ``(B, n_mels, n_frames)``, normalised
        - output: ``(B, hidden_size)``
    """

    def __init__(
        self,
        front_end: KaldiFilterBank,
        *,
        hidden_size: int,
        n_layers: int,
        n_heads: int,
        intermediate_size: int,
        patch_size: int,
        frequency_stride: int,
        time_stride: int,
        max_frames: int,
        pooling: Pooling,
        positions: Positions,
        whitening: bool,
    ) -> None:
        super().__init__()
        sizes = {
            "hidden_size": hidden_size, "n_layers": n_layers, "n_heads": n_heads, "patch_size": patch_size,
            "intermediate_size": intermediate_size, "frequency_stride": frequency_stride, "time_stride": time_stride,
        }  # fmt: skip
        _check_settings(sizes, front_end.n_mels, max_frames, pooling, positions)
        transformers = import_extra("transformers", extra="transformers")
        self.model = transformers.ASTModel(
            transformers.ASTConfig(
                hidden_size=hidden_size,
                num_hidden_layers=n_layers,
                num_attention_heads=n_heads,
                intermediate_size=intermediate_size,
                patch_size=patch_size,
                frequency_stride=frequency_stride,
                time_stride=time_stride,
                num_mel_bins=front_end.n_mels,
                max_length=max_frames,
                # The published models have none, and it would draw from the global random state.
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        )
        self.model.embeddings = _Embeddings(self.model.embeddings, positions, self._n_times(max_frames))
        self.pooling = pooling
        self.positions = positions
        self.whitening = Whitening(hidden_size) if whitening else None
        self._hop_length, self._win_length = front_end.hop_length, front_end.win_length
        self._sample_rate = front_end.sample_rate

    def forward(self, features: Tensor) -> Tensor:
        z = self.raw(features)
        return z if self.whitening is None else self.whitening(z)

    def raw(self, features: Tensor) -> Tensor:
        """The embedding before it is whitened, ``(B, hidden_size)``."""
        tokens = self.tokens(features)
        if self.pooling == "class":
            return tokens[:, 0]
        if self.pooling == "distillation":
            return tokens[:, 1]
        return tokens[:, :2].mean(dim=1) if self.pooling == "both" else tokens[:, 2:].mean(dim=1)

    def tokens(self, features: Tensor) -> Tensor:
        """All tokens behind the last block and its normalisation.

        Args:
            features: ``(B, n_mels, n_frames)``.

        Returns:
            float32 ``(B, 2 + patches, hidden_size)``: the class token, the distillation token, and the patches of the
            lowest bands from start to end, then those of the next ones.

        Raises:
            InputError: the clips are too long or too short.
        """
        self._check(features)
        dtype = self.model.embeddings.position_embeddings.dtype
        tokens: Tensor = self.model(features.transpose(1, 2).to(dtype)).last_hidden_state
        return tokens.float()

    def freeze(self, trainable_blocks: int | None) -> None:
        """Leaves the last blocks and the normalisation behind them to be trained; None leaves everything.

        Raises:
            InputError: there are not so many blocks.
        """
        n_layers = self.model.config.num_hidden_layers
        if trainable_blocks is None:
            return
        if not 0 <= trainable_blocks <= n_layers:
            raise InputError(
                f"trainable_blocks is {trainable_blocks}; expected 0 (train nothing) to {n_layers}, the number of "
                "blocks, or None (train everything)"
            )
        self.model.requires_grad_(False)
        for part in self.last_blocks(trainable_blocks):
            part.requires_grad_(True)

    def last_blocks(self, n: int) -> list[nn.Module]:
        """The last ``n`` blocks and the normalisation behind them; nothing where ``n`` is 0."""
        # transformers 5 has the blocks on the model, transformers 4 on an encoder within it.
        blocks = getattr(self.model, "layers", None) or self.model.encoder.layer
        return [*blocks[len(blocks) - n :], self.model.layernorm] if n else []

    def checkpoint_gradients(self) -> None:
        """Keeps no activations within blocks while training, and computes them again in the backward pass."""
        model = self.model  # transformers 5 has another name for it than transformers 4
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        # Nothing in a block is random, so the global random state need not be kept for the second time.
        enable({"use_reentrant": False, "preserve_rng_state": False})

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        state = super().state_dict(*args, **kwargs)
        start = f"{kwargs.get('prefix', '')}model."
        for name in [name for name in state if name.startswith(start)]:
            state[start + published_name(name.removeprefix(start))] = state.pop(name)
        return state

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Called before those of the parts, which look for their own names.
        start = f"{prefix}model."
        for name, _ in self.model.named_parameters():
            published = start + published_name(name)
            if published in state_dict:
                state_dict[start + name] = state_dict.pop(published)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _n_times(self, n_frames: int) -> int:
        """Patches along time."""
        config = self.model.config
        n_times: int = (n_frames - config.patch_size) // config.time_stride + 1
        return n_times

    def _check(self, features: Tensor) -> None:
        config, n_frames = self.model.config, features.shape[-1]
        if config.patch_size <= n_frames <= config.max_length:
            return

        def seconds(n: int) -> str:
            return f"{(self._win_length + (n - 1) * self._hop_length) / self._sample_rate:.3f} s"

        if n_frames > config.max_length:
            raise InputError(
                f"the clips have {n_frames} frames, but the model has position embeddings for {config.max_length}, "
                f"which are {seconds(config.max_length)}; give shorter clips, or what cuts them into windows "
                "(EpisodicData, embed_dataset) a shorter duration="
            )
        raise InputError(
            f"the clips have {n_frames} frames, but a patch of the model covers {config.patch_size}, which are "
            f"{seconds(config.patch_size)}; give longer clips"
        )


class _Embeddings(nn.Module):
    """Patches, class token and distillation token with their positions, for clips of any length.

    It takes the place of transformers' ``ASTEmbeddings``, whose parts it keeps under their names.
    """

    def __init__(self, published: Any, positions: Positions, n_times: int) -> None:
        super().__init__()
        self.cls_token: Tensor = published.cls_token
        self.distillation_token: Tensor = published.distillation_token
        self.position_embeddings: Tensor = published.position_embeddings
        self.patch_embeddings = published.patch_embeddings
        self._positions = positions
        self._n_times = n_times
        # transformers leaves these at 0, where the two tokens could never come to differ.
        for parameter in self.parameters(recurse=False):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, input_values: Tensor) -> Tensor:
        """``(B, n_frames, n_mels)`` to ``(B, 2 + patches, hidden_size)``."""
        patches = self.patch_embeddings(input_values)  # (B, bands * times, hidden_size), band after band
        n_bands = (self.position_embeddings.shape[1] - 2) // self._n_times
        both = [token.expand(len(patches), -1, -1) for token in (self.cls_token, self.distillation_token)]
        return torch.cat([*both, patches], dim=1) + self._position_embeddings(patches.shape[1] // n_bands)

    def _position_embeddings(self, n_times: int) -> Tensor:
        """Position embeddings ``(1, 2 + bands * n_times, hidden_size)``; at full length exactly the learned ones."""
        learned = self.position_embeddings
        if n_times == self._n_times:
            return learned
        grid = learned[0, 2:].reshape(-1, self._n_times, learned.shape[-1])  # (bands, times, hidden_size)
        if self._positions == "crop":
            shorter = grid[:, :n_times]
        else:
            shorter = torch.matmul(_interpolation(self._n_times, n_times).to(grid), grid)
        return torch.cat([learned[:, :2], shorter.flatten(0, 1).unsqueeze(0)], dim=1)


def _interpolation(n: int, m: int) -> Tensor:
    """``(m, n)``: its product with ``n`` values interpolates them linearly at ``m`` places.

    The same as `torch.nn.functional.interpolate` without aligned corners. Its backward is a product too, which exists
    on every device and gives the same bits every time.
    """
    place = ((torch.arange(m, dtype=torch.float64) + 0.5) * (n / m) - 0.5).clamp(0, n - 1)
    return (1 - (place[:, None] - torch.arange(n, dtype=torch.float64)).abs()).clamp(min=0).float()


def _check_settings(sizes: dict[str, int], n_mels: int, max_frames: int, pooling: str, positions: str) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise InputError(f"{name} is {value}; expected 1 or more")
    if sizes["hidden_size"] % sizes["n_heads"]:
        raise InputError(
            f"hidden_size is {sizes['hidden_size']}; expected a multiple of n_heads ({sizes['n_heads']}), "
            "since every head has an equal share"
        )
    if min(n_mels, max_frames) < sizes["patch_size"]:
        raise InputError(
            f"n_mels is {n_mels} and max_frames {max_frames}; expected {sizes['patch_size']} or more of both, which a "
            "patch covers"
        )
    for name, chosen, known in (("pooling", pooling, get_args(Pooling)), ("positions", positions, get_args(Positions))):
        if chosen not in known:
            raise InputError(f"{name} is '{chosen}'; expected one of {', '.join(known)}")
