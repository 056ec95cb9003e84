"""A small sound player for notebooks and web pages."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.plots.arrays import as_finite

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["AudioPlayer", "SpectrogramWithSound"]

# libsndfile's Vorbis encoder keeps a whole write on the stack and overflows it on long recordings.
_SAMPLES_PER_WRITE = 65536


class AudioPlayer:
    """Plays a wave inside a notebook or a page.

    The sound travels in the page itself as OGG Vorbis, some 10 KB a second at 22 kHz; nothing is
    fetched, and nothing is decoded before the reader presses "play".

    Args:
        wave: ``(n_samples,)`` or ``(1, n_samples)``, values in [-1, 1].
        sample_rate: in Hz.
        caption: what is heard; shown under the player and read by screen readers.

    Raises:
        InputError: the wave is empty, not mono, holds NaN or leaves [-1, 1], or ``sample_rate`` is not positive.

    Example:
        >>> player = AudioPlayer(np.zeros(1600), 16000, caption="A tenth of a second of silence")
        >>> player.ogg[:4]
        b'OggS'
    """

    def __init__(self, wave: ArrayLike | Tensor, sample_rate: int, caption: str = "") -> None:
        if sample_rate <= 0:
            raise InputError(f"sample_rate is {sample_rate}; expected a positive number of Hz")
        mono = as_finite("wave", wave[0] if np.ndim(wave) == 2 and len(wave) == 1 else wave, "n_samples")  # type: ignore[index, arg-type]
        peak = float(np.abs(mono).max())
        if peak > 1:
            raise InputError(f"wave reaches {peak:.3g}; expected values in [-1, 1], so divide it by its peak")
        self.wave = mono.astype(np.float32)
        self.sample_rate = int(sample_rate)
        self.caption = caption

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.wave) / self.sample_rate

    @cached_property
    def ogg(self) -> bytes:
        """The sound as an OGG Vorbis file."""
        import soundfile

        buffer = io.BytesIO()
        with soundfile.SoundFile(
            buffer, mode="w", samplerate=self.sample_rate, channels=1, format="OGG", subtype="VORBIS"
        ) as file:
            for start in range(0, len(self.wave), _SAMPLES_PER_WRITE):
                file.write(self.wave[start : start + _SAMPLES_PER_WRITE])
        return buffer.getvalue()

    def to_html(self, show_caption: bool = True) -> str:
        """The player as a piece of HTML; its caption stays known to screen readers where it is not shown."""
        label = html.escape(self.caption or f"Sound of {self.duration:.1f} seconds", quote=True)
        source = base64.b64encode(self.ogg).decode("ascii")
        caption = f'<figcaption style="font-size: 0.9em">{html.escape(self.caption)}</figcaption>'
        caption = caption if self.caption and show_caption else ""
        return (
            f'<figure style="margin: 0.5em 0" role="group" aria-label="{label}">'
            f'<audio controls preload="none" aria-label="{label}" style="width: 100%; max-width: 32em" '
            f'src="data:audio/ogg;base64,{source}">{label} (this browser cannot play it)</audio>{caption}</figure>'
        )

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return f"AudioPlayer({self.duration:.2f} s at {self.sample_rate} Hz, caption={self.caption!r})"


@dataclass(frozen=True, repr=False)
class SpectrogramWithSound:
    """A spectrogram under the player of the sound that it shows.

    Attributes:
        figure: the plotly figure.
        player: the sound.
    """

    figure: Figure
    player: AudioPlayer

    def to_html(self, full_html: bool = False, include_plotlyjs: bool | str = "cdn") -> str:
        """Player and figure as HTML.

        Args:
            full_html: a whole page instead of a piece of one.
            include_plotlyjs: as in plotly: ``"cdn"`` links the script, True embeds it (4.8 MB, works
                without a network), False leaves it to the page.
        """
        label = html.escape(f"Spectrogram. {self.player.caption}".strip(), quote=True)
        chart = self.figure.to_html(full_html=False, include_plotlyjs=include_plotlyjs)
        body = f'{self.player.to_html(show_caption=False)}<div role="group" aria-label="{label}">{chart}</div>'
        if not full_html:
            return body
        title = html.escape(self.player.caption or "Spectrogram")
        head = f'<head><meta charset="utf-8"><title>{title}</title></head>'
        return f'<!DOCTYPE html><html lang="en">{head}<body>{body}</body></html>'

    def _ipython_display_(self, **_: Any) -> None:
        # Two outputs, so that the notebook draws the figure with the renderer that it uses for every other one.
        from IPython.display import HTML, display

        display(HTML(self.player.to_html(show_caption=False)))  # the figure's title says it
        display(self.figure)

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return f"SpectrogramWithSound({self.player!r})"
