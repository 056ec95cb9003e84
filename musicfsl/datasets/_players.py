"""What differs from one player of an instrument to the next: the instrument, the habits, the recording.

This is the nuisance that a classifier must see through, as it must with real recordings: the microphone's
and the room's response move a mean spectrum as far as a change of instrument does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LONGEST_NOTE_S",
    "Floats",
    "Player",
    "Recording",
    "draw_player",
    "draw_recording",
    "fast_length",
    "log_grid",
    "smooth_curve",
    "transfer_length",
]

Floats = NDArray[np.floating[Any]]

#: Frequencies at which responses are kept: 24 an octave from 20 Hz to 20 kHz.
_GRID_HZ: Floats = 20.0 * 2.0 ** (np.arange(241) / 24)

# Spread of the colour that all instruments of a kind share, and of what microphones and their places do.
# Together they set how hard the data set is: see the test of its difficulty.
_KIND_DB = 7.0
_MICROPHONE_DB = 2.0

#: No note is longer than this.
LONGEST_NOTE_S = 2.0
_LONGEST_TAIL_S = 1.0  # of a room


@dataclass(frozen=True)
class Recording:
    """How one player was recorded.

    Attributes:
        transfer: transfer function of room and microphone, for a Fourier transform of `transfer_length` samples.
        noise_db: level of the background noise below full scale.
        noise_tilt: slope of its spectrum in decibels an octave.
        peak_db: peak level of the loudest notes below full scale.
    """

    transfer: NDArray[np.complex128]
    noise_db: float
    noise_tilt: float
    peak_db: float


@dataclass(frozen=True)
class Player:
    """One player with one instrument in one room.

    Attributes:
        tilt_db: brightness of the instrument, decibels an octave.
        size: factor of its body's and formants' frequencies.
        colour_db: what the response of all instruments of its kind has in common, beyond the few resonances
            that the table lists, on `log_grid`.
        grain: fine structure of this one's response on `log_grid`, unit variance; times the model's irregularity.
        attack: factor of attack times.
        decay: factor of decay times.
        vibrato: factor of vibrato depths; 0 for a player without.
        vibrato_rate: factor of vibrato rates.
        noise_db: breath, bow and key noise over the usual.
        cents: tuning over A4 = 440 Hz.
        contact: habit within the range of contact points, 0 to 1.
        hardness: octaves by which the player's touch or embouchure moves the corner of the spectrum.
        drive: setting of the amplifier, 0 (clean) to 1.
        ranks: random numbers that decide which optional ranks sound.
        recording: how the player was recorded.
    """

    tilt_db: float
    size: float
    colour_db: Floats
    grain: Floats
    attack: float
    decay: float
    vibrato: float
    vibrato_rate: float
    noise_db: float
    cents: float
    contact: float
    hardness: float
    drive: float
    ranks: Floats
    recording: Recording


def draw_player(kind: np.random.Generator, rng: np.random.Generator, sample_rate: int) -> Player:
    """Draws a player.

    Args:
        kind: generator that depends on the instrument alone, so that all its players have some colour in common.
        rng: generator of this player.
        sample_rate: of the room's impulse response, in Hz.
    """
    return Player(
        tilt_db=rng.normal(0, 0.7),
        size=2.0 ** rng.normal(0, 0.04),
        colour_db=_KIND_DB * smooth_curve(kind, octaves=0.4),
        grain=smooth_curve(rng, octaves=1 / 6),
        attack=2.0 ** rng.normal(0, 0.45),
        decay=2.0 ** rng.normal(0, 0.35),
        vibrato=max(0.0, rng.normal(0.9, 0.5)),
        vibrato_rate=2.0 ** rng.normal(0, 0.1),
        noise_db=rng.normal(0, 3.5),
        cents=rng.normal(0, 7),
        contact=rng.uniform(),
        hardness=rng.normal(0, 0.25),
        drive=rng.uniform(),
        ranks=rng.uniform(size=8),
        recording=draw_recording(rng, sample_rate),
    )


def draw_recording(rng: np.random.Generator, sample_rate: int) -> Recording:
    """Draws a room, a microphone and its place, and background noise."""
    octaves = np.log2(_GRID_HZ / 1000)
    low_cut = 2.0 ** rng.uniform(np.log2(25), np.log2(160))
    high_cut = 2.0 ** rng.uniform(np.log2(5500), np.log2(16000))
    eq_db = (
        _MICROPHONE_DB * smooth_curve(rng, octaves=0.8)
        + rng.normal(0, 1.0) * octaves
        - 10 * np.log10(1 + (low_cut / _GRID_HZ) ** 4)
        - 10 * np.log10(1 + (_GRID_HZ / high_cut) ** 6)
    )
    size = transfer_length(sample_rate)
    hz = np.fft.rfftfreq(size, 1 / sample_rate)
    return Recording(
        transfer=np.fft.rfft(_draw_room(rng, sample_rate), size) * 10 ** (np.interp(hz, _GRID_HZ, eq_db) / 20),
        noise_db=rng.uniform(-80, -52),
        noise_tilt=rng.uniform(-6, 0),
        peak_db=rng.uniform(-11, -1),
    )


def smooth_curve(rng: np.random.Generator, octaves: float) -> Floats:
    """Random curve on `log_grid` with mean 0 and variance 1 whose values decorrelate over ``octaves``."""
    width = octaves * 24
    reach = int(np.ceil(3 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    white = rng.standard_normal(len(_GRID_HZ) + 2 * reach)
    return np.convolve(white, kernel / np.sqrt(np.sum(kernel**2)), mode="valid")


def log_grid() -> Floats:
    """Frequencies in Hz at which `Player` and `Recording` keep their responses."""
    return _GRID_HZ


def transfer_length(sample_rate: int) -> int:
    """Length that holds the longest note and the longest tail of a room, so that a convolution does not wrap."""
    return fast_length(round((LONGEST_NOTE_S + _LONGEST_TAIL_S) * sample_rate))


def fast_length(n: int) -> int:
    """The least length from ``n`` on whose Fourier transform is fast: 1, 1.25 or 1.5 times a power of two."""
    power = 1 << max(3, (n - 1).bit_length())
    return next(size for size in (power * 5 // 8, power * 3 // 4, power) if size >= n)


def _draw_room(rng: np.random.Generator, sample_rate: int) -> Floats:
    """Direct sound, a few reflections and two exponential tails, as air and walls damp high sound faster.

    After Moorer, "About this reverberation business", Computer Music Journal 3, 1979: beyond its first
    reflections, a room's impulse response is white noise under an exponential.
    """
    t60 = 2.0 ** rng.normal(np.log2(0.45), 0.7)
    wet_db = rng.uniform(-26, -4)
    n = int(min(_LONGEST_TAIL_S, t60) * sample_rate)
    t = np.arange(n) / sample_rate
    noise = rng.standard_normal(n)
    dull = np.convolve(noise, np.ones(4) / 2, mode="full")[:n]
    tail = dull * np.exp(-6.91 * t / t60) + 0.5 * (noise - dull / 2) * np.exp(-6.91 * t / (0.4 * t60))
    tail[: int(0.004 * sample_rate)] = 0
    room: Floats = tail * 10 ** (wet_db / 20) / np.sqrt(np.sum(tail**2) + 1e-12)
    n_reflections = 5
    delays = (rng.uniform(0.002, 0.04, n_reflections) * sample_rate).astype(int)
    strengths = 10 ** ((wet_db - rng.uniform(2, 12, n_reflections)) / 20) * rng.choice([-1, 1], n_reflections)
    np.add.at(room, np.minimum(delays, n - 1), strengths)
    room[0] = 1.0
    return room
