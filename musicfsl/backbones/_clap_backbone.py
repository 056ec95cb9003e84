"""transformers' audio half of CLAP, and the front end that it was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from musicfsl.backbones.whitening import Whitening
from musicfsl.errors import InputError, import_extra
from musicfsl.spectrogram import LogMel, MelScale

__all__ = ["ClapBackbone", "ClapFrontEnd"]

_SAMPLE_RATE = 48000
_SECONDS = 10

# The network sees a clip as an image of so many frames, to which those of 10 s are stretched.
_IMAGE_FRAMES = 1024
_N_STAGES = 4

# Log-mel spectrograms of usual recordings in decibels; published weights bring their own statistics.
_FIRST_MEAN, _FIRST_STD = -50.0, 20.0


class ClapFrontEnd(LogMel):
    """Log-mel spectrogram as CLAP was trained on it: every clip is 10 s long, a shorter one by repetition.

    Equal to transformers' ``ClapFeatureExtractor``, to which tests hold it, for clips of up to 10 s: a shorter wave is
    repeated as often as it fits into 10 s as a whole, and filled up with zeros. So every clip has 1001 frames. A
    longer wave keeps its length, so that a stored recording can be cut into windows of 1001 frames; nothing is drawn
    at random, unlike there.

    Args:
        sample_rate: of the waves in Hz; 48000, which is all there are models for.
        mel_scale: ``"slaney"`` (with filters of equal area), or ``"htk"`` (peaks at 1), on which models with feature
            fusion were trained.
        f_min: lower edge of the lowest band in Hz.
        f_max: upper edge of the highest band in Hz.

    Shape:
        - input: ``(..., 1, n_samples)``, float
        - output: ``(..., 64, 1001)``, or ``(..., 64, 1 + n_samples // 480)`` beyond 10 s; float32, decibels

    Raises:
        InputError: a setting is out of range, or a wave has the wrong shape or is empty.

    Example:
        >>> front_end = ClapFrontEnd()
        >>> front_end(torch.zeros(2, 1, 48000)).shape, front_end(torch.zeros(1, 12 * 48000)).shape
        (torch.Size([2, 64, 1001]), torch.Size([64, 1201]))
    """

    def __init__(
        self,
        sample_rate: int = _SAMPLE_RATE,
        mel_scale: MelScale = "slaney",
        f_min: float = 50.0,
        f_max: float = 14000.0,
    ) -> None:
        if sample_rate != _SAMPLE_RATE:
            raise InputError(
                f"the sample rate is {sample_rate} Hz, but CLAP is made for {_SAMPLE_RATE} Hz; open the data set with "
                f"sample_rate={_SAMPLE_RATE}, which resamples it"
            )
        super().__init__(
            sample_rate,
            n_fft=1024,
            hop_length=480,
            n_mels=64,
            f_min=f_min,
            f_max=f_max,
            mel_scale=mel_scale,
            norm="slaney" if mel_scale == "slaney" else None,
            floor=1e-10,
        )

    def settings(self) -> dict[str, Any]:
        return {
            "sample_rate": self.sample_rate,
            "mel_scale": self.mel_scale,
            "f_min": self.f_min,
            "f_max": self.f_max,
        }

    def n_frames(self, n_samples: int) -> int:
        """Frames that a wave of ``n_samples`` gives: those of 10 s, or more.

        Example:
            >>> ClapFrontEnd().n_frames(48000)
            1001
        """
        return super().n_frames(max(n_samples, _SECONDS * self.sample_rate))

    def mel(self, wave: Tensor) -> Tensor:
        if wave.dim() > 0 and wave.shape[-1] == 0:
            raise InputError("the wave has no samples; give a longer one")
        return super().mel(self.fill(wave))

    def fill(self, wave: Tensor) -> Tensor:
        """The wave, repeated as often as it fits into 10 s, and zeros up to there; a longer one as it is."""
        length = _SECONDS * self.sample_rate
        if wave.dim() == 0 or wave.shape[-1] >= length:
            return wave
        repeated = torch.cat([wave] * (length // wave.shape[-1]), dim=-1)
        return nn.functional.pad(repeated, (0, length - repeated.shape[-1]))


class ClapBackbone(nn.Module):
    """The network behind `ClapEncoder`: transformers' ``ClapAudioModelWithProjection``, without feature fusion.

    Args:
        width: as for `ClapEncoder`, like all that follow.
        depths: transformer blocks of each stage.
        n_heads: attention heads of each.
        dim: size of an embedding.
        whitening: put a `Whitening` behind the network.

    Shape:
        - input: ``(B, 64, n_frames)``, decibels; up to 1001 frames
        - output: ``(B, dim)``, of length 1 unless whitened
    """

    stretch: Tensor

    def __init__(self, *, width: int, depths: Sequence[int], n_heads: Sequence[int], dim: int, whitening: bool) -> None:
        super().__init__()
        _check_settings(width, depths, n_heads, dim)
        transformers = import_extra("transformers", extra="transformers")
        self.model = transformers.ClapAudioModelWithProjection(
            transformers.ClapAudioConfig(
                patch_embeds_hidden_size=width,
                hidden_size=width * 2 ** (_N_STAGES - 1),
                depths=list(depths),
                num_attention_heads=list(n_heads),
                projection_dim=dim,
                # Dropout would draw from the global random state.
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        )
        self._batch_norm.running_mean.fill_(_FIRST_MEAN)
        self._batch_norm.running_var.fill_(_FIRST_STD**2)
        self.whitening = Whitening(dim) if whitening else None
        self._n_frames = 1 + _SECONDS * _SAMPLE_RATE // 480
        self.register_buffer("stretch", _bicubic(self._n_frames, _IMAGE_FRAMES), persistent=False)
        self.train(self.training)

    def forward(self, features: Tensor) -> Tensor:
        z = self.raw(features)
        return z if self.whitening is None else self.whitening(z)

    def raw(self, features: Tensor) -> Tensor:
        """The embedding in the space of sounds and texts, ``(B, dim)``, of length 1.

        Args:
            features: ``(B, 64, n_frames)``; fewer than 1001 frames are repeated from their start.

        Raises:
            InputError: the clips are longer than 10 s.
        """
        frames = self._image(features).transpose(1, 2).unsqueeze(1)  # (B, 1, 1024, 64)
        z: Tensor = self.model(input_features=frames).audio_embeds
        return nn.functional.normalize(z.float(), dim=-1)

    def train(self, mode: bool = True) -> ClapBackbone:
        """Changes between training and evaluation; the statistics of the mel bands stay as they were published.

        Taken from the batch, they would bring a clip's loudness into the embeddings of its neighbours.
        """
        super().train(mode)
        self._batch_norm.eval()
        return self

    @property
    def _batch_norm(self) -> Any:
        return self.model.audio_model.audio_encoder.batch_norm

    def _image(self, features: Tensor) -> Tensor:
        """``(B, 64, n_frames)`` to ``(B, 64, 1024)``, which transformers then has no need to stretch.

        It does so behind the normalisation of the bands, which changes nothing: the values of a band are all scaled
        and shifted alike, and the weights of an interpolation add up to 1. But a product has a backward everywhere.
        """
        n_frames = features.shape[-1]
        if n_frames > self._n_frames:
            raise InputError(
                f"the clips have {n_frames} frames, but CLAP takes up to {self._n_frames}, which are {_SECONDS} s; "
                "give shorter clips, or what cuts them into windows (EpisodicData, embed_dataset) a shorter duration="
            )
        repeated = features.repeat(1, 1, -(-self._n_frames // n_frames))[..., : self._n_frames]
        with torch.autocast(device_type=features.device.type, enabled=False):
            image = torch.matmul(repeated.float(), self.stretch.float().T)
        return image.to(self.model.audio_projection.linear1.weight.dtype)


def _bicubic(n: int, m: int) -> Tensor:
    """``(m, n)``: its product with ``n`` values is their bicubic interpolation at ``m`` places, corners aligned."""
    identity = torch.eye(n).reshape(1, 1, n, n)
    return nn.functional.interpolate(identity, size=(m, n), mode="bicubic", align_corners=True)[0, 0]


def _check_settings(width: int, depths: Sequence[int], n_heads: Sequence[int], dim: int) -> None:
    if width < 1 or dim < 1:
        raise InputError(f"width is {width} and dim {dim}; expected 1 or more of both")
    for name, values in (("depths", depths), ("n_heads", n_heads)):
        if len(values) != _N_STAGES or min(values) < 1:
            raise InputError(f"{name} is {list(values)}; expected {_N_STAGES} numbers of 1 or more, one a stage")
    for stage, n in enumerate(n_heads):
        if width * 2**stage % n:
            raise InputError(
                f"stage {stage + 1} is {width * 2**stage} wide, which is no multiple of its {n} heads; every head has "
                "an equal share"
            )
