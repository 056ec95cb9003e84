"""Driven tones: bowed strings, winds, brass, free reeds, organ pipes and voices.

The wave of a driven oscillator is periodic, so its partials are exact harmonics; what tells instruments
apart are the envelope of their levels, how it opens with loudness and in the attack, the vibrato, the noise.

References:
    McIntyre, Schumacher and Woodhouse, "On the oscillations of musical instruments", JASA 74, 1983.
    Risset and Mathews, "Analysis of musical-instrument tones", Physics Today 22, 1969 (brass: brightness
    follows loudness, harmonic by harmonic, during the attack).
    Benade and Kouzoupis, "The clarinet spectrum", JASA 83, 1988 (even harmonics and the cut-off frequency).
    Fant, "Acoustic Theory of Speech Production", Mouton 1960 (source and formants).
"""

from __future__ import annotations

import numpy as np

from musicfsl.datasets._models import Driven
from musicfsl.datasets._players import Floats, Player
from musicfsl.datasets._tones import (
    AUDIBLE,
    Note,
    Response,
    amplitude,
    band_db,
    body_response,
    coloured_noise,
    fall_above,
    rms,
    slow_noise,
)

__all__ = ["driven_tone", "harmonic_levels_db"]

_SPECTRA_HZ = 50  # how often the spectrum is computed anew
_MOST_HARMONICS = 160
_DYNAMIC_RANGE_DB = 36.0  # between the softest and the loudest note, as far as the corner is concerned


def driven_tone(model: Driven, note: Note, player: Player, rng: np.random.Generator) -> Floats:
    """A tone of a driven instrument, ``(n_samples,)`` of any level, before room and microphone."""
    times = note.control_times()
    vibrato = _vibrato(model, player, times, rng)
    level = _level(model, note, player, times, rng) * 10 ** (model.vibrato_db * player.vibrato * vibrato / 20)
    cents = _cents(model, player, times, vibrato, rng)
    response = body_response(player, model.irregularity_db, model.formants[int(rng.integers(len(model.formants)))])
    sounding = [rank for rank, u in zip(model.ranks, player.ranks, strict=False) if not rank.optional or u < 0.5]
    tone = np.zeros(note.n_samples)
    for rank in sounding:
        detune = rank.detune_cents * (0.4 + 1.2 * player.drive) + rng.normal(0, 1.0) * (len(sounding) > 1)
        hz = note.hz * rank.ratio * 2 ** ((cents + detune) / 1200)
        tone += 10 ** (rank.level_db / 20) * _harmonics(model, note, player, hz, level, response, rng)
    tone *= note.at_samples(level)
    return tone + rms(tone) * _excitation_noise(model, note, player, level, response, rng)


def harmonic_levels_db(
    model: Driven, number: Floats, hz: Floats, dynamics: Floats, corner_octaves: float = 0.0
) -> Floats:
    """Levels of harmonics as the source gives them, before the body.

    Args:
        model: the instrument.
        number: harmonic numbers from 1, ``(K,)``.
        hz: their frequencies, ``(..., K)``.
        dynamics: momentary dynamics, 0 to 1 (more or less than that in an accent or an attack), ``(..., 1)``.
        corner_octaves: by how much this player's corner lies higher.

    Returns:
        decibels, ``(..., K)``.
    """
    fundamental = hz[..., :1]
    corner = model.corner_hz * (fundamental / 440.0) ** model.corner_follows
    corner = corner * 2 ** (model.corner_octaves * (dynamics - 0.5) + corner_octaves)
    db = fall_above(hz, corner, model.rolloff_db_per_octave) - model.slope_db_per_octave * np.log2(number)
    if model.even_loss_db:
        db = db - np.where(number % 2 == 0, model.even_loss_db / (1 + (hz / model.even_cutoff_hz) ** 3), 0.0)
    return db


def _level(model: Driven, note: Note, player: Player, times: Floats, rng: np.random.Generator) -> Floats:
    """Amplitude over time, 1 when fully sounding."""
    low, high = model.attack_s
    attack = (low + (high - low) * note.height) * player.attack * (1.3 - 0.6 * note.dynamics) * 2 ** rng.normal(0, 0.3)
    end = note.sounding_s
    shape = 10 ** (0.7 * slow_noise(times, 3.0, rng) / 20)
    if note.articulation == "accented":
        attack *= 0.5
        shape = shape * (rng.uniform(0.25, 0.5) + np.exp(-times / rng.uniform(0.08, 0.2)))
    elif note.articulation == "swelling":
        peak = end * rng.uniform(0.4, 0.8)
        shape = shape * 10 ** (-rng.uniform(12, 20) / 20 * np.abs(times - peak) / max(peak, end - peak))
    elif note.articulation == "tremolo":
        rate = model.tremolo_hz * rng.uniform(0.8, 1.2)
        shape = shape * 10 ** (-rng.uniform(6, 14) / 20 * (0.5 + 0.5 * np.cos(2 * np.pi * rate * times)))
    rise = np.sin(0.5 * np.pi * np.clip(times / max(attack, 0.008), 0, 1)) ** 2
    release = model.release_s * 2 ** rng.normal(0, 0.3)
    return rise * shape * np.exp(-np.maximum(times - end, 0) / release)


def _vibrato(model: Driven, player: Player, times: Floats, rng: np.random.Generator) -> Floats:
    """A sine of slightly unsteady rate that sets in after the attack."""
    rate = model.vibrato_hz * player.vibrato_rate * (1 + 0.05 * slow_noise(times, 2.0, rng))
    phase = 2 * np.pi * (np.cumsum(rate) * (times[1] - times[0]) + rng.uniform())
    onset = rng.uniform(0.05, 0.3)
    fade_in: Floats = np.clip((times - 0.3 * onset) / onset, 0, 1)
    return np.sin(phase) * fade_in * rng.uniform(0.5, 1.3)


def _cents(model: Driven, player: Player, times: Floats, vibrato: Floats, rng: np.random.Generator) -> Floats:
    """Deviation of the pitch over time."""
    scoop = model.scoop_cents * abs(rng.normal(0, 0.7)) * np.exp(-times / (0.05 * player.attack))
    return model.vibrato_cents * player.vibrato * vibrato + model.jitter_cents * slow_noise(times, 12.0, rng) - scoop


def _harmonics(
    model: Driven, note: Note, player: Player, hz: Floats, level: Floats, response: Response, rng: np.random.Generator
) -> Floats:
    """The periodic wave, of steady level: one period is computed for every spectrum and read at the phase.

    This is additive synthesis: the inverse Fourier transform adds the harmonics of one period at once.
    """
    times = note.control_times()
    step = max(1, round(1 / (_SPECTRA_HZ * (times[1] - times[0]))))
    n_harmonics = int(np.clip(AUDIBLE * note.sample_rate / hz.max(), 1, _MOST_HARMONICS))
    number = np.arange(1, n_harmonics + 1, dtype=np.float64)
    frequencies = hz[::step, None] * number
    momentary = note.dynamics + np.maximum(20 * np.log10(level[::step, None] + 1e-6) / _DYNAMIC_RANGE_DB, -1.0)
    db = harmonic_levels_db(model, number, frequencies, momentary, player.hardness) + response(frequencies)
    db = db + rng.normal(0, 1.5, n_harmonics)
    spectra = amplitude(db) * np.exp(2j * np.pi * rng.uniform(size=n_harmonics))
    spectra /= np.sqrt(np.mean(np.sum(np.abs(spectra) ** 2, axis=1)))

    size = 64
    while size < 12 * n_harmonics:
        size *= 2
    periods = np.fft.irfft(np.pad(spectra, ((0, 0), (1, size // 2 - n_harmonics))), size, norm="forward")
    phase = np.cumsum(note.at_samples(hz)) / note.sample_rate + rng.uniform()
    return _read_periods(periods, phase, note.sample_times() / times[step])


def _read_periods(periods: Floats, phase: Floats, row: Floats) -> Floats:
    """Reads ``periods[row, phase]`` with linear interpolation on both axes; the phase is in periods and wraps."""
    size, last = periods.shape[1], len(periods) - 1
    samples = periods.ravel()
    column = (phase % 1.0) * size
    left = column.astype(np.int64)
    a = column - left
    left %= size  # rounding may have given the size itself
    right = (left + 1) % size
    above = np.minimum(row.astype(np.int64), last)
    b = row - above
    upper, lower = above * size, np.minimum(above + 1, last) * size
    early = samples[upper + left] * (1 - a) + samples[upper + right] * a
    late = samples[lower + left] * (1 - a) + samples[lower + right] * a
    return np.asarray(early + (late - early) * np.minimum(b, 1.0))


def _excitation_noise(
    model: Driven, note: Note, player: Player, level: Floats, response: Response, rng: np.random.Generator
) -> Floats:
    """Breath or bow noise over a tone of unit rms; soft notes hold more of it, and attacks most."""
    # Air and bow move faster in a loud note, and their noise is brighter.
    centre_hz = model.noise_hz * 2 ** (0.7 * model.corner_octaves * (note.dynamics - 0.5))

    def colour_db(hz: Floats) -> Floats:
        db = band_db(hz, centre_hz) + 0.6 * response(hz)
        if not model.noise_comb:
            return db
        distance = np.abs((hz / note.hz + 0.5) % 1.0 - 0.5)
        around_harmonics = np.where(hz < 0.5 * note.hz, 0.0, 3.0 / (1 + (distance / 0.06) ** 2))
        comb: Floats = 20 * np.log10(1 - model.noise_comb + model.noise_comb * around_harmonics)
        return db + comb

    times = note.control_times()
    gain_db = model.noise_db + player.noise_db + rng.normal(0, 1.5) + 3 * (0.5 - note.dynamics)
    attack = model.attack_s[0] * player.attack
    envelope = level**0.7 * (1 + (10 ** (model.chiff_db / 20) - 1) * np.exp(-times / attack))
    noise = coloured_noise(note.n_samples, note.sample_rate, colour_db, rng)
    return 10 ** (gain_db / 20) * noise * note.at_samples(envelope)
