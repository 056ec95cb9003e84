"""Decaying tones: plucked and struck strings, struck bars, tubes, tines and membranes.

Such a body, once set off, is a sum of its modes, each a sinusoid with its own decay; which modes sound
depends on where and how hard it is touched.

References:
    Fletcher, Blackham and Stratton, "Quality of piano tones", JASA 34, 1962 (inharmonicity of stiff strings).
    Weinreich, "Coupled piano strings", JASA 62, 1977 (two-stage decay).
    Valette, "The mechanics of vibrating strings", in Mechanics of Musical Instruments, Springer 1995 (losses
    that rise with frequency; the curved bridge of Indian lutes).
    Fletcher and Rossing, "The Physics of Musical Instruments", Springer 1998 (plucking point, bars, bells).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from musicfsl.datasets._models import PluckedOrStruck, StruckBody
from musicfsl.datasets._players import Floats, Player, fast_length
from musicfsl.datasets._tones import (
    AUDIBLE,
    Note,
    Response,
    band_db,
    body_response,
    coloured_noise,
    damped_sinusoids,
    fall_above,
    rms,
)

__all__ = ["string_tone", "struck_tone"]

_MIDDLE_C = 261.63
_MOST_PARTIALS = 140
_INAUDIBLE_DB = -75.0
_CABINET_HZ = 4000.0  # a guitar loudspeaker passes little above
_ONSET_S = 0.0015


def string_tone(model: PluckedOrStruck, note: Note, player: Player, rng: np.random.Generator) -> Floats:
    """A plucked or struck string with its body, ``(n_samples,)`` of any level, before room and microphone."""
    response = body_response(player, model.irregularity_db, model.body)
    hz, t60, amplitude = _string_modes(model, note, player, response, rng)
    tone = damped_sinusoids(hz, t60, amplitude, note)
    loudness = rms(tone[: note.sample_rate // 5])
    tone += loudness * _thump(model, note, player, response, rng)
    tone = _stopped(_repeated(tone, note, rng), note, 0.03)
    return _amplified(tone, note, model.drive**player.drive) if model.drive else tone


def struck_tone(model: StruckBody, note: Note, player: Player, rng: np.random.Generator) -> Floats:
    """A struck bar, tube, tine or membrane, ``(n_samples,)`` of any level, before room and microphone."""
    ratio = np.array([mode.ratio for mode in model.modes])
    level_db = np.array([mode.level_db for mode in model.modes])
    relative = np.array([mode.t60 for mode in model.modes])
    spread = np.where(ratio == 1, 0.0, model.ratio_spread)
    hz = note.hz * ratio * (1 + spread * rng.standard_normal(len(ratio)))
    response = body_response(player, model.irregularity_db, ())
    corner = model.corner_hz * 2 ** (model.corner_octaves * (note.dynamics - 0.5) + player.hardness)
    level_db = level_db + fall_above(hz, corner, model.rolloff_db_per_octave) + response(hz)
    level_db = level_db + np.where(ratio == 1, 0, rng.normal(0, 2.5, len(ratio)))  # where it was struck
    t60 = model.t60_s * model.t60_octave ** np.log2(note.hz / _MIDDLE_C) * relative * player.decay
    # An uneven body has two forms of every mode, a beat apart; the stroke sets off both, not equally.
    apart = model.spread_cents * rng.uniform(0.3, 1.5, len(hz))
    share = rng.uniform(0.1, 0.6, len(hz))
    kept = hz < AUDIBLE * note.sample_rate
    amplitude = 10 ** (level_db / 20) * np.exp(2j * np.pi * rng.uniform(size=len(hz)))
    tone = damped_sinusoids(
        np.concatenate([hz[kept], (hz * 2 ** (apart / 1200))[kept]]),
        np.concatenate([t60[kept], t60[kept]]),
        np.concatenate([amplitude[kept], (amplitude * share)[kept]]),
        note,
    )
    click_db = model.click_db + player.noise_db + 8 * (note.dynamics - 0.5)
    click = coloured_noise(
        note.n_samples, note.sample_rate, lambda hz: band_db(hz, model.click_hz * 2**player.hardness), rng
    )
    click *= np.exp(-note.sample_times() / model.click_s)
    tone += rms(tone[: note.sample_rate // 5]) * 10 ** (click_db / 20) * 4 * click
    if model.motor_db and player.vibrato > 0.3:
        phase = 2 * np.pi * (5.0 * player.vibrato_rate * note.sample_times() + rng.uniform())
        tone *= 10 ** (model.motor_db * np.sin(phase) / 2 / 20)
    return _stopped(_repeated(tone, note, rng), note, 0.06)


def _string_modes(
    model: PluckedOrStruck, note: Note, player: Player, response: Response, rng: np.random.Generator
) -> tuple[Floats, Floats, NDArray[np.complex128]]:
    """Frequencies, decay times and complex amplitudes of everything that vibrates."""
    octaves = np.log2(note.hz / _MIDDLE_C)
    stiffness = model.stiffness * model.stiffness_octave**octaves * 2 ** rng.normal(0, 0.3)
    number = np.arange(1, _MOST_PARTIALS + 1, dtype=np.float64)
    hz = note.hz * number * np.sqrt((1 + stiffness * number**2) / (1 + stiffness))
    number, hz = (values[hz < AUDIBLE * note.sample_rate] for values in (number, hz))

    level_db = _excited_levels_db(model, note, player, number, hz, rng) + response(hz)
    audible = level_db > level_db.max() + _INAUDIBLE_DB
    number, hz, level_db = number[audible], hz[audible], level_db[audible]
    t60 = model.t60_s * model.t60_octave**octaves * player.decay / (1 + (hz / model.damping_hz) ** 1.5)
    amplitude = 10 ** (level_db / 20) * np.exp(2j * np.pi * rng.uniform(size=len(hz)))

    parts = [(hz, t60, amplitude)]
    for string in range(1, model.strings):
        detuned = hz * 2 ** (model.spread_cents * rng.normal(0, 1) / 1200)
        parts.append((detuned, t60 * (1 + 0.1 * string), amplitude * rng.uniform(0.6, 1.0)))
    if model.aftersound_db is not None:
        detuned = hz * 2 ** (0.5 * rng.standard_normal(len(hz)) / 1200)
        parts.append((detuned, 4 * t60, amplitude * 10 ** (model.aftersound_db / 20)))
    if model.octave_string_db is not None and player.ranks[0] < 0.6:
        kept = 2 * hz < AUDIBLE * note.sample_rate
        parts.append((2 * hz[kept] * 1.0007, 0.7 * t60[kept], amplitude[kept] * 10 ** (model.octave_string_db / 20)))
    if model.bloom_s:
        # A second exponential, subtracted, makes the partial rise first: the more, the higher it is.
        rising = 1 / (1 / t60 + 2 / (model.bloom_s * np.minimum(1, number / 8)))
        parts.append((hz, rising, -amplitude * np.minimum(0.95, number / 8)))
    if model.sympathetic_db is not None:
        parts.append(_sympathetic_modes(model.sympathetic_db, note, float(np.abs(amplitude).max()), rng))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]


def _excited_levels_db(
    model: PluckedOrStruck, note: Note, player: Player, number: Floats, hz: Floats, rng: np.random.Generator
) -> Floats:
    """What finger, plectrum or hammer gives to the partials, and what a pickup takes from them."""
    nearest, farthest = model.contact
    contact = nearest + (farthest - nearest) * np.clip(player.contact + rng.normal(0, 0.15), 0, 1)
    comb = np.abs(np.sin(np.pi * number * contact))
    if model.pickup is not None:
        comb = comb * np.abs(np.sin(np.pi * number * model.pickup * player.size))
    corner = model.corner_hz * 2 ** (model.corner_octaves * (note.dynamics - 0.5) + player.hardness + 0.3 * note.height)
    slope_db = -model.slope_db_per_octave * np.log2(number)
    comb_db: Floats = 20 * np.log10(comb + 0.02)
    return comb_db + slope_db + fall_above(hz, corner, model.rolloff_db_per_octave)


def _sympathetic_modes(
    level_db: float, note: Note, loudest: float, rng: np.random.Generator
) -> tuple[Floats, Floats, NDArray[np.complex128]]:
    """Strings of a scale that answer to the played one and last longer."""
    steps = np.array([-12, -5, 0, 4, 7, 12, 16, 19, 24])
    hz = note.hz * 2 ** ((steps + rng.normal(0, 0.04, len(steps))) / 12)
    hz = np.concatenate([hz, 2 * hz, 3 * hz])
    hz = hz[hz < AUDIBLE * note.sample_rate]
    amplitude = (
        loudest * 10 ** ((level_db - rng.uniform(0, 14, len(hz))) / 20) * np.exp(2j * np.pi * rng.uniform(size=len(hz)))
    )
    slow, fast = np.full(len(hz), 3.0), np.full(len(hz), 0.25)
    return np.concatenate([hz, hz]), np.concatenate([slow, fast]), np.concatenate([amplitude, -amplitude])


def _thump(model: PluckedOrStruck, note: Note, player: Player, response: Response, rng: np.random.Generator) -> Floats:
    """The noise of the touch, and the body's own modes that it sets off; the tone has unit rms."""
    level = 10 ** ((model.thump_db + player.noise_db) / 20)
    noise = coloured_noise(note.n_samples, note.sample_rate, response, rng)
    thump = 4 * level * noise * np.exp(-note.sample_times() / rng.uniform(0.004, 0.012))
    if model.body:
        hz = player.size * np.array([peak.hz for peak in model.body])
        gain = 10 ** (np.array([peak.gain_db for peak in model.body]) / 20)
        amplitude = level * gain * np.exp(2j * np.pi * rng.uniform(size=len(hz)))
        t60 = np.full(len(hz), model.body_t60_s * player.decay)
        thump = thump + damped_sinusoids(hz, t60, amplitude, note)
    return thump


def _repeated(stroke: Floats, note: Note, rng: np.random.Generator) -> Floats:
    """Gives the wave its onset; a tremolo starts it anew several times a second, which stops what sounded."""
    onset = max(2, int(_ONSET_S * note.sample_rate))
    stroke[:onset] *= np.linspace(0, 1, onset)
    if note.articulation != "tremolo":
        return stroke
    rate = rng.uniform(8, 14)
    starts = (np.arange(int(note.sounding_s * rate) + 1) / rate * note.sample_rate).astype(int)
    starts[1:] += (rng.normal(0, 0.006, len(starts) - 1) * note.sample_rate).astype(int)
    total = np.zeros_like(stroke)
    fade = np.linspace(1, 0, int(0.008 * note.sample_rate))
    for start, stop in zip(starts, [*starts[1:], note.n_samples], strict=True):
        if start >= note.n_samples:
            break
        length = min(stop + len(fade), note.n_samples) - start
        segment = stroke[:length] * 10 ** (rng.normal(0, 1.5) / 20)
        if start + length < note.n_samples:
            segment[-len(fade) :] *= fade
        total[start : start + length] += segment
    return total


def _stopped(tone: Floats, note: Note, damping_s: float) -> Floats:
    """Damps the note when it is let go."""
    return np.asarray(tone * np.exp(-np.maximum(note.sample_times() - note.sounding_s, 0) / damping_s))


def _amplified(tone: Floats, note: Note, gain: float) -> Floats:
    """An overdriven amplifier at twice the sample rate, so that the new harmonics do not fold back, and its cabinet."""
    size = fast_length(note.n_samples)
    twice = 2 * np.fft.irfft(np.fft.rfft(tone / (np.abs(tone).max() + 1e-9), size), 2 * size)
    driven = np.fft.rfft(np.tanh(gain * twice + 0.1 * gain) - np.tanh(0.1 * gain))[: size // 2 + 1]
    hz = np.fft.rfftfreq(size, 1 / note.sample_rate)
    cabinet = 10 ** (fall_above(hz, _CABINET_HZ, 18) / 20) * (hz > 40)
    return np.fft.irfft(driven * cabinet, size)[: note.n_samples]
