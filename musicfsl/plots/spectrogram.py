"""A log-mel spectrogram with its axes in seconds and hertz."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.plots.arrays import as_finite
from musicfsl.plots.sound import AudioPlayer, SpectrogramWithSound
from musicfsl.plots.style import apply_style, colorbar, new_figure
from musicfsl.spectrogram import MelScale, hz_to_mel, mel_to_hz

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["plot_spectrogram"]

# Octaves; those inside the picture are drawn. Lower ones would crowd together, as the mel scale is linear there.
_TICKS_HZ = (125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)


@overload
def plot_spectrogram(
    log_mel: ArrayLike | Tensor,
    sample_rate: int,
    hop_length: int,
    wave: None = None,
    *,
    f_min: float = ...,
    f_max: float | None = ...,
    mel_scale: MelScale = ...,
    value_name: str = ...,
    title: str | None = ...,
) -> Figure: ...
@overload
def plot_spectrogram(
    log_mel: ArrayLike | Tensor,
    sample_rate: int,
    hop_length: int,
    wave: ArrayLike | Tensor,
    *,
    f_min: float = ...,
    f_max: float | None = ...,
    mel_scale: MelScale = ...,
    value_name: str = ...,
    title: str | None = ...,
) -> SpectrogramWithSound: ...
def plot_spectrogram(
    log_mel: ArrayLike | Tensor,
    sample_rate: int,
    hop_length: int,
    wave: ArrayLike | Tensor | None = None,
    *,
    f_min: float = 30.0,
    f_max: float | None = None,
    mel_scale: MelScale = "htk",
    value_name: str = "level (dB)",
    title: str | None = None,
) -> Figure | SpectrogramWithSound:
    """Draws a log-mel spectrogram; with ``wave``, under a player of the sound.

    The band limits, the mel scale and the unit default to those of `musicfsl.spectrogram.LogMel`.

    Args:
        log_mel: ``(n_mels, n_frames)`` or ``(1, n_mels, n_frames)``, lowest band first.
        sample_rate: of the wave that it was computed from, in Hz.
        hop_length: samples between the centres of two frames.
        wave: the sound, ``(n_samples,)`` or ``(1, n_samples)`` in [-1, 1]; None draws the picture alone.
        f_min: lower edge of the lowest mel band in Hz.
        f_max: upper edge of the highest mel band in Hz; None is half the sample rate.
        mel_scale: formula of the mel scale, ``"htk"`` or ``"slaney"``.
        value_name: what the colours stand for.
        title: text above the figure, and caption of the player.

    Returns:
        a plotly figure, or a `SpectrogramWithSound` that holds one as ``.figure``.

    Raises:
        InputError: a shape, a rate, the band limits or the mel scale is not as described, or a value is NaN.
        MissingExtraError: plotly is not installed.

    Example:
        >>> figure = plot_spectrogram(np.zeros((64, 100)), sample_rate=16000, hop_length=160)
        >>> figure.layout.yaxis.ticktext
        ('125', '250', '500', '1k', '2k', '4k')
    """
    energies = as_finite("log_mel", _without_channel(log_mel), "n_mels", "n_frames")
    for name, value in (("sample_rate", sample_rate), ("hop_length", hop_length)):
        if value <= 0:
            raise InputError(f"{name} is {value}; expected a positive number")
    top = sample_rate / 2 if f_max is None else float(f_max)
    if not 0 <= f_min < top <= sample_rate / 2:
        raise InputError(f"f_min is {f_min} and f_max {top} Hz; expected 0 <= f_min < f_max <= {sample_rate / 2} Hz")
    if mel_scale not in ("htk", "slaney"):
        raise InputError(f"mel_scale is '{mel_scale}'; expected 'htk' or 'slaney'")

    n_mels, n_frames = energies.shape
    # n_mels triangular bands have n_mels + 2 corners, evenly spaced in mel from f_min to f_max.
    corners = np.linspace(hz_to_mel(f_min, mel_scale), hz_to_mel(top, mel_scale), n_mels + 2)
    centers = corners[1:-1]
    half_band = (corners[1] - corners[0]) / 2
    centers_hz = mel_to_hz(torch.from_numpy(centers), mel_scale).numpy()

    figure = new_figure()
    figure.add_heatmap(
        z=energies.astype(np.float32),
        x0=0,
        dx=hop_length / sample_rate,
        y=centers,
        customdata=np.repeat(np.round(centers_hz).astype(np.int32)[:, None], n_frames, axis=1),
        colorscale="Magma",
        colorbar=colorbar(value_name),
        hovertemplate=f"%{{x:.3f}} s<br>%{{customdata}} Hz<br>{value_name} %{{z:.2f}}<extra></extra>",
    )
    bottom_mel, top_mel = centers[0] - half_band, centers[-1] + half_band
    ticks = {hz: hz_to_mel(hz, mel_scale) for hz in _TICKS_HZ}
    ticks = {hz: mel for hz, mel in ticks.items() if bottom_mel <= mel <= top_mel}
    half_frame = 0.5 * hop_length / sample_rate
    figure.update_xaxes(title_text="time (s)", showgrid=False, range=[-half_frame, (2 * n_frames - 1) * half_frame])
    figure.update_yaxes(
        title_text="frequency (Hz, mel scale)",
        showgrid=False,
        tickvals=list(ticks.values()),
        ticktext=[f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}" for hz in ticks],
        range=[bottom_mel, top_mel],
    )
    apply_style(figure, title).update_layout(height=380)
    return figure if wave is None else SpectrogramWithSound(figure, AudioPlayer(wave, sample_rate, caption=title or ""))


def _without_channel(log_mel: ArrayLike | Tensor) -> ArrayLike | Tensor:
    """``(1, n_mels, n_frames)`` -> ``(n_mels, n_frames)``; every other shape is left for the check to refuse."""
    return log_mel[0] if np.ndim(log_mel) == 3 and len(log_mel) == 1 else log_mel  # type: ignore[index, arg-type]
