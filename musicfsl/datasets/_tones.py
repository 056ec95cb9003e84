"""What all models of sound share: the note, responses, noise, sums of damped sinusoids.

Every function here, in `_driven` and in `_decaying` is a pure function of its arguments; randomness comes
from the generator it is given. The arithmetic is in double precision throughout, so that machines differ
by far less than the rounding to 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicfsl.datasets._models import Resonance
from musicfsl.datasets._players import Floats, Player, Recording, fast_length, log_grid, transfer_length

#: Partials are heard up to this share of the sample rate.
AUDIBLE = 0.46
#: A level falls by 60 dB in ``T60_NEPERS / rate`` seconds.
T60_NEPERS = 6.91
_CONTROL_HZ = 200


@dataclass(frozen=True)
class Note:
    """What is to be played.

    Attributes:
        hz: fundamental frequency (of the strike tone, for bells).
        height: where the pitch lies in the instrument's range, 0 to 1.
        dynamics: 0 (pianissimo) to 1 (fortissimo).
        articulation: a key of `ARTICULATIONS`.
        sounding_s: time until the note is released or stopped.
        n_samples: length of the waveform.
        sample_rate: in Hz.
    """

    hz: float
    height: float
    dynamics: float
    articulation: str
    sounding_s: float
    n_samples: int
    sample_rate: int

    def control_times(self) -> Floats:
        """Times in seconds of the points by which slow changes (envelopes, vibrato) are given."""
        return np.arange(int(np.ceil(self.n_samples * _CONTROL_HZ / self.sample_rate)) + 2) / _CONTROL_HZ

    def sample_times(self) -> Floats:
        """Times in seconds of the samples."""
        return np.arange(self.n_samples) / self.sample_rate

    def at_samples(self, control: Floats) -> Floats:
        """Interpolates a slow change from its control points to the samples."""
        return np.interp(self.sample_times(), self.control_times(), control)


@dataclass(frozen=True)
class Response:
    """A frequency response in decibels, tabled on a logarithmic axis.

    Attributes:
        db: values at `log_grid`.
    """

    db: Floats

    def __call__(self, hz: Floats) -> Floats:
        grid = log_grid()
        position = np.log2(np.maximum(hz, grid[0]) / grid[0]) * 24
        return np.asarray(np.interp(position, np.arange(len(grid)), self.db))


def body_response(player: Player, irregularity_db: float, peaks: Sequence[Resonance]) -> Response:
    """The response of a player's instrument: colour and resonances of its kind at its size, its own grain and tilt."""
    hz = log_grid()
    db = (
        Response(player.colour_db)(hz / player.size)
        + irregularity_db * player.grain
        + player.tilt_db * np.log2(hz / 1000)
    )
    for peak in peaks:
        db = db + peak.gain_db / (1 + ((hz / player.size - peak.hz) / (peak.width_hz / 2)) ** 2)
    return Response(db)


def fall_above(hz: Floats, corner_hz: Floats | float, db_per_octave: float) -> Floats:
    """Level in dB of a low-pass: flat below the corner, 3 dB (for 6 dB an octave) at it, then a straight fall."""
    return -0.5 * db_per_octave * np.log2(1 + (hz / corner_hz) ** 2)


def amplitude(db: Floats) -> Floats:
    """Decibels to amplitude."""
    return np.asarray(np.exp(db * (np.log(10) / 20)))


def rms(x: Floats) -> float:
    """Root mean square, never zero."""
    return float(np.sqrt(np.mean(x**2)) + 1e-12)


def coloured_noise(
    n_samples: int, sample_rate: int, level_db: Callable[[Floats], Floats], rng: np.random.Generator
) -> Floats:
    """White noise whose level in dB is a function of the frequency in Hz, scaled to unit rms."""
    size = fast_length(n_samples)
    gain = amplitude(level_db(np.fft.rfftfreq(size, 1 / sample_rate)))
    # The spectrum of white noise is white noise.
    spectrum = gain * rng.standard_normal((len(gain), 2)).view(np.complex128)[:, 0]
    noise = np.fft.irfft(spectrum, size)[:n_samples]
    return noise / rms(noise)


def band_db(hz: Floats, centre_hz: float, octaves: float = 1.2) -> Floats:
    """Level in dB of a band that is Gaussian on the logarithmic axis, ``octaves`` its standard deviation."""
    distance = np.log2(np.maximum(hz, 1.0) / centre_hz) / octaves
    return np.maximum(-4.34 * distance**2, -80.0)


def damped_sinusoids(hz: Floats, t60_s: Floats, amplitude: NDArray[np.complex128], note: Note) -> Floats:
    """Sum of exponentially damped partials, ``Re sum_m a_m exp((-r_m + i w_m) t)``.

    Writing sample ``t = b block + s`` splits every partial into a product of a factor of ``b`` and one of
    ``s``, so that the whole sum is one matrix product instead of a sine for every partial and sample.
    """
    block = int(np.ceil(np.sqrt(note.n_samples)))
    n_blocks = -(-note.n_samples // block)
    exponent = (-T60_NEPERS / t60_s + 2j * np.pi * hz) / note.sample_rate
    coarse = np.exp(np.outer(np.arange(n_blocks) * block, exponent)) * amplitude
    fine = np.exp(np.outer(exponent, np.arange(block)))
    total = coarse.real @ fine.real - coarse.imag @ fine.imag
    return np.asarray(total.reshape(-1)[: note.n_samples])


def slow_noise(times: Floats, hz: float, rng: np.random.Generator) -> Floats:
    """Random curve of about unit variance that changes at a rate of about ``hz``, at the given times."""
    n = int(times[-1] * hz) + 3
    phase = rng.uniform()
    return 1.2 * np.interp(times * hz + phase, np.arange(n + 1), rng.standard_normal(n + 1))


def recorded(dry: Floats, recording: Recording, peak_db: float, sample_rate: int, rng: np.random.Generator) -> Floats:
    """Room, microphone, level and background noise; values in [-1, 1]."""
    size = transfer_length(sample_rate)
    wave = np.fft.irfft(np.fft.rfft(dry, size) * recording.transfer, size)[: len(dry)]
    wave *= 10 ** (min(peak_db, -0.5) / 20) / (np.abs(wave).max() + 1e-9)
    slope_db = recording.noise_tilt
    noise = coloured_noise(len(dry), sample_rate, lambda hz: slope_db * np.log2(np.maximum(hz, 30.0) / 1000), rng)
    return np.clip(wave + 10 ** (recording.noise_db / 20) * noise, -1.0, 1.0)
