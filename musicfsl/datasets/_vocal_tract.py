"""Source and filter: a voice and noises, and the tract that they pass.

After Fant, "Acoustic theory of speech production", 1960, and Klatt, "Software for a cascade/parallel formant
synthesizer", JASA 67, 1980.

The voice is the derivative of the glottal flow of Klatt and Klatt (JASA 87, 1990), a polynomial while the glottis is
open, made of as many harmonics as lie below half the sample rate. The tract is Klatt's cascade of resonators with a
pole and a zero for the nose. It changes slowly, so the source is cut into short overlapping windows, each is filtered
by the tract of its moment, and the results are added; a tract at rest is filtered exactly.
"""

from __future__ import annotations

import numpy as np

from musicfsl.datasets._articulation import CONTROL_S, Friction, Tracks
from musicfsl.datasets._phonemes import Noise
from musicfsl.datasets._players import Floats, fast_length
from musicfsl.datasets._speakers import Speaker
from musicfsl.datasets._tones import amplitude, band_db, coloured_noise, rms

__all__ = ["spoken", "tract_polynomials"]

_CONTROLS_A_FRAME = 2  # a frame of the filter every 5 ms
_RINGING_S = 0.054  # in which the narrowest resonance dies away
_PERIOD = 2048  # samples of a tabled period
_AUDIBLE = 0.46  # highest harmonic as a share of the sample rate
_JITTER = 0.006
_NOSE_HZ, _OPEN_NOSE_HZ, _NOSE_WIDTH_HZ = 270.0, 450.0, 100.0
_HIGHEST_NOISE_HZ = 24000.0
_FLOOR_DB = -32.0  # of the noise outside its band


def spoken(tracks: Tracks, speaker: Speaker, n_samples: int, sample_rate: int, rng: np.random.Generator) -> Floats:
    """What leaves the mouth.

    Returns:
        ``(n_samples,)``, scaled so that the vowels have an rms of 1.
    """
    seconds = np.arange(n_samples) / sample_rate
    controls = np.arange(len(tracks.voice)) * CONTROL_S

    def at_samples(track: Floats) -> Floats:
        return np.interp(seconds, controls, track)

    voice = at_samples(tracks.voice)
    jitter = 1 + _JITTER * rng.standard_normal(len(controls))
    phase = np.cumsum(at_samples(tracks.pitch_hz * jitter)) / sample_rate
    beat = np.cos(2 * np.pi * phase)
    source = voice * _glottal(phase, at_samples(tracks.pitch_hz), speaker, sample_rate)
    source += at_samples(tracks.breath) * (1 - 0.5 * voice * beat) * rng.standard_normal(n_samples)
    wave = _filtered(source, tracks, speaker.size, sample_rate)
    wave /= rms(wave[at_samples(tracks.vowels.astype(np.float64)) > 0.5])
    for friction in tracks.frictions:
        envelope = at_samples(friction.envelope)
        if friction.is_voiced:
            envelope = envelope * (1 - 0.6 * voice * beat)
        _add_friction(wave, friction, envelope, sample_rate, rng)
    return wave


def tract_polynomials(
    hz: Floats, widths: Floats, nasal: Floats, size: float, sample_rate: int
) -> tuple[Floats, Floats]:
    """The tract as a rational function of 1/z, whose gain at 0 Hz is 1.

    Above F3 come the resonances of a tube without constriction, 1000 Hz apart in a tract of 17.5 cm.

    Args:
        hz: F1, F2, F3, ``(n, 3)``.
        widths: bandwidths in Hz, ``(n, 3)``.
        nasal: 0 to 1, ``(n,)``.
        size: factor of the resonances above F3.
        sample_rate: in Hz.

    Returns:
        numerators ``(n, 3)`` and denominators ``(n, order + 1)``.
    """
    higher = size * np.arange(3500.0, 0.49 * sample_rate / size, 1000.0)
    ones = np.ones(len(hz))
    poles = [(hz[:, k], widths[:, k]) for k in range(3)]
    poles += [(ones * frequency, ones * (0.06 * frequency)) for frequency in higher]
    poles.append((ones * _NOSE_HZ, ones * _NOSE_WIDTH_HZ))
    denominators = np.zeros((len(hz), 2 * len(poles) + 1))
    denominators[:, 0] = 1.0
    for frequency, width in poles:
        factor = _section(np.minimum(frequency, 0.49 * sample_rate), width, sample_rate)
        before = denominators.copy()
        denominators[:, 1:] += factor[:, 1:2] * before[:, :-1]
        denominators[:, 2:] += factor[:, 2:] * before[:, :-2]
    zero = _section(_NOSE_HZ + nasal * (_OPEN_NOSE_HZ - _NOSE_HZ), ones * _NOSE_WIDTH_HZ, sample_rate)
    gain = denominators.sum(axis=1, keepdims=True) / zero.sum(axis=1, keepdims=True)
    return gain * zero, denominators


def _section(hz: Floats, width: Floats, sample_rate: int) -> Floats:
    """Klatt's resonator: the coefficients of ``1 - B / z - C / z**2``, ``(n, 3)``."""
    radius = np.exp(-np.pi * width / sample_rate)
    return np.stack([np.ones(len(hz)), -2 * radius * np.cos(2 * np.pi * hz / sample_rate), radius**2], axis=1)


def _filtered(source: Floats, tracks: Tracks, size: float, sample_rate: int) -> Floats:
    """Short windows of the source, filtered and added again."""
    hop = round(_CONTROLS_A_FRAME * CONTROL_S * sample_rate)
    length = fast_length(2 * hop + round(_RINGING_S * sample_rate))
    sounding = np.flatnonzero(source)
    first = int(sounding[0]) // hop  # nothing sounds before the word, nor behind it
    n_frames = int(sounding[-1]) // hop - first + 2
    moments = (first + np.arange(n_frames)) * hop / sample_rate
    at = np.minimum(np.round(moments / CONTROL_S).astype(int), len(tracks.voice) - 1)
    numerators, denominators = tract_polynomials(tracks.hz[at], tracks.widths[at], tracks.nasal[at], size, sample_rate)
    delay = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    response = (numerators @ np.stack([delay**0, delay, delay**2])) / np.fft.rfft(denominators, length)

    padded = np.zeros((n_frames + 1) * hop)
    word = source[first * hop : (first + n_frames) * hop]
    padded[hop : hop + len(word)] = word
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
    window = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)) ** 2
    ringing = np.fft.irfft(np.fft.rfft(frames * window, length) * response, length)
    total = np.zeros(len(source) + first * hop + (n_frames + 1) * hop + length)
    for frame in range(n_frames):
        begin = (first + frame) * hop
        total[begin : begin + length] += ringing[frame]
    return total[hop : hop + len(source)]


def _glottal(phase: Floats, pitch_hz: Floats, speaker: Speaker, sample_rate: int) -> Floats:
    """The derivative of the glottal flow, rms 1, with harmonics up to the limit of hearing at every moment.

    Periods are tabled for some numbers of harmonics, a semitone apart; the highest that fits is read.
    """
    fitting = _AUDIBLE * sample_rate / pitch_hz
    fewest, most = int(fitting.min()), int(fitting.max())
    highest = np.unique(np.geomspace(fewest, most, 2 + int(12 * np.log2(most / fewest))).astype(int))
    times = np.arange(_PERIOD) / _PERIOD / speaker.open_quotient
    spectrum = np.fft.rfft(np.where(times < 1, 2 * times - 3 * times**2, 0.0))
    harmonic = np.arange(len(spectrum))
    spectrum /= 1 + 1j * harmonic * np.median(pitch_hz) / speaker.tilt_hz
    spectrum[0] = 0
    periods = np.fft.irfft(np.where(harmonic <= highest[:, None], spectrum, 0), _PERIOD)
    periods /= rms(periods[-1])

    row = np.searchsorted(highest, np.maximum(fitting, fewest), side="right") - 1
    position = phase % 1.0 * _PERIOD
    left = position.astype(int)
    share = position - left
    return (1 - share) * periods[row, left % _PERIOD] + share * periods[row, (left + 1) % _PERIOD]


def _add_friction(
    wave: Floats, friction: Friction, envelope: Floats, sample_rate: int, rng: np.random.Generator
) -> None:
    """Adds a noise where it sounds; what it has above half the sample rate is lost."""
    sounding = np.flatnonzero(envelope > 1e-3)
    if len(sounding) == 0:
        return
    place = slice(int(sounding[0]), int(sounding[-1]) + 1)
    noise = friction.noise
    hz = np.linspace(0, _HIGHEST_NOISE_HZ, 481)
    power = amplitude(_noise_db(hz, noise)) ** 2
    kept = power[hz <= sample_rate / 2].sum() / power.sum()
    sound = coloured_noise(place.stop - place.start, sample_rate, lambda hz: _noise_db(hz, noise), rng)
    wave[place] += 10 ** (noise.db / 20) * np.sqrt(kept) * envelope[place] * sound


def _noise_db(hz: Floats, noise: Noise) -> Floats:
    return np.maximum(band_db(hz, noise.hz, noise.octaves), _FLOOR_DB)
