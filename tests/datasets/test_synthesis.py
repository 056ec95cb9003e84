"""The sound of the embedded instruments: what the table says is measured in the notes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from musicfsl.datasets._driven import harmonic_levels_db
from musicfsl.datasets._instruments import INSTRUMENTS
from musicfsl.datasets._models import Driven, PluckedOrStruck
from musicfsl.datasets._players import Player, transfer_length
from musicfsl.datasets._synthesis import NoteRecord, player_of, record_note
from musicfsl.datasets._tones import Note, damped_sinusoids

SAMPLE_RATE = 16000


def ideal_player(name: str, number: int = 0) -> Player:
    """A player in tune, without vibrato, in an anechoic and silent room, with an even instrument."""
    player = player_of(INSTRUMENTS[name], number, SAMPLE_RATE, 0)
    anechoic = dataclasses.replace(
        player.recording, transfer=np.ones(transfer_length(SAMPLE_RATE) // 2 + 1, dtype=complex), noise_db=-110.0
    )
    flat = np.zeros_like(player.grain)
    return dataclasses.replace(
        player, recording=anechoic, cents=0.0, vibrato=0.0, tilt_db=0.0, colour_db=flat, grain=flat, size=1.0
    )


def play(name: str, player: Player, pitch: int, dynamics: float = 0.5, note: int = 0) -> np.ndarray:
    """1.5 s of a note that is held, or left to ring."""
    articulation = "sustained" if "sustained" in INSTRUMENTS[name].articulations else "ringing"
    record = NoteRecord(0, note, pitch, dynamics, articulation, round(1.5 * SAMPLE_RATE))
    return record_note(INSTRUMENTS[name], player, record, SAMPLE_RATE, seed=0) / 32768.0


def spectrum(wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies 0.25 Hz apart, and magnitudes."""
    size = 4 * SAMPLE_RATE
    return np.fft.rfftfreq(size, 1 / SAMPLE_RATE), np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size))


def peak_near(wave: np.ndarray, hz: float, cents: float) -> tuple[float, float]:
    """Frequency and magnitude of the strongest component within an interval around ``hz``."""
    frequencies, magnitudes = spectrum(wave)
    near = np.abs(1200 * np.log2(np.maximum(frequencies, 1) / hz)) < cents
    best = int(np.argmax(np.where(near, magnitudes, 0)))
    return float(frequencies[best]), float(magnitudes[best])


@pytest.mark.parametrize("name", list(INSTRUMENTS))
def test_a_note_has_the_pitch_asked_for(name: str) -> None:
    instrument = INSTRUMENTS[name]
    pitch = (instrument.lowest + instrument.highest) // 2
    # A bell's strike tone is heard an octave below the strongest of its modes, and is no mode itself.
    hz = 440 * 2 ** ((pitch - 69) / 12) * (2 if name == "Tubular Bells" else 1)
    wave = play(name, ideal_player(name), pitch)
    found, strength = peak_near(wave, hz, cents=90)
    assert abs(1200 * np.log2(found / hz)) < 25
    frequencies, magnitudes = spectrum(wave)
    assert strength > 0.03 * magnitudes[frequencies > 20].max()


@pytest.mark.parametrize("name", [n for n, i in INSTRUMENTS.items() if isinstance(i.model, Driven)])
def test_driven_tones_repeat_with_the_period_of_their_pitch(name: str) -> None:
    instrument = INSTRUMENTS[name]
    pitch = (instrument.lowest + instrument.highest) // 2
    wave = play(name, ideal_player(name), pitch)[4000:16000]
    correlation = np.fft.irfft(np.abs(np.fft.rfft(wave, 32768)) ** 2)
    period = SAMPLE_RATE / (440 * 2 ** ((pitch - 69) / 12))
    sixteen_foot = any(rank.ratio == 0.5 for rank in instrument.model.ranks)  # type: ignore[union-attr]
    lags = np.arange(int(0.6 * period), int((2.4 if sixteen_foot else 1.4) * period) + 2)
    best = lags[np.argmax(correlation[lags])]
    assert min(abs(best - period), abs(best - 2 * period) if sixteen_foot else np.inf) < 0.03 * period + 1


@pytest.mark.parametrize("name", list(INSTRUMENTS))
def test_brightness_follows_loudness(name: str) -> None:
    instrument, player = INSTRUMENTS[name], ideal_player(name)
    pitch = round(instrument.lowest + 0.4 * (instrument.highest - instrument.lowest))

    def centroid(dynamics: float) -> float:
        frequencies, magnitudes = spectrum(np.concatenate([play(name, player, pitch, dynamics, n) for n in range(2)]))
        return float(np.sum(frequencies * magnitudes**2) / np.sum(magnitudes**2))

    assert centroid(0.95) > 1.02 * centroid(0.05)


def test_low_clarinets_lack_even_harmonics_and_saxophones_do_not() -> None:
    def even_over_odd_db(name: str, pitch: int) -> float:
        hz = 440 * 2 ** ((pitch - 69) / 12)
        wave = play(name, ideal_player(name), pitch)
        even, odd = ([peak_near(wave, k * hz, 40)[1] for k in ks] for ks in ((2, 4), (3, 5)))
        return float(20 * np.log10(np.mean(even) / np.mean(odd)))

    assert even_over_odd_db("Clarinet in Bb", 53) < -15
    assert even_over_odd_db("Bass Clarinet", 41) < -15
    assert abs(even_over_odd_db("Alto Saxophone", 53)) < 10


def test_even_harmonics_return_above_the_cut_off() -> None:
    model = INSTRUMENTS["Clarinet in Bb"].model
    assert isinstance(model, Driven)
    for hz, least, most in ((150.0, 25.0, 31.0), (6000.0, 0.0, 1.0)):
        harmonics = np.array([2.0])
        levels = harmonic_levels_db(model, harmonics, np.array([[hz]]), np.array([[0.5]]))
        without = harmonic_levels_db(
            dataclasses.replace(model, even_loss_db=0.0), harmonics, np.array([[hz]]), np.array([[0.5]])
        )
        assert least <= (without - levels).item() <= most


def test_a_sawtooth_falls_by_six_decibels_an_octave() -> None:
    model = Driven(slope_db_per_octave=6.0206, corner_hz=1e9, corner_octaves=1, rolloff_db_per_octave=12)
    number = np.arange(1.0, 9.0)
    levels = harmonic_levels_db(model, number, 100 * number[None], np.array([[0.5]]))
    np.testing.assert_allclose(10 ** (levels[0] / 20), 1 / number, rtol=1e-4)


def test_stiff_strings_are_stretched_and_bowed_ones_are_not() -> None:
    pitch, number = 60, 10
    hz = 440 * 2 ** ((pitch - 69) / 12)

    def stretch(name: str) -> float:
        wave = play(name, ideal_player(name), pitch, dynamics=0.9)
        first, _ = peak_near(wave, hz, 50)
        tenth, _ = peak_near(wave, number * first * 1.012, 60)
        return (tenth / (number * first)) ** 2 - 1

    model = INSTRUMENTS["Piano"].model
    assert isinstance(model, PluckedOrStruck)
    expected = model.stiffness * (number**2 - 1)  # (f_n / n f_1)^2 - 1, for small B; pianos differ by 2 ** 0.3
    assert expected / 2 < stretch("Piano") < expected * 2
    assert abs(stretch("Violin")) < 0.3 * expected


def test_high_partials_of_a_string_die_first() -> None:
    wave = play("Acoustic Guitar", ideal_player("Acoustic Guitar"), 52, dynamics=0.8)
    early, late = wave[800:6400], wave[12000:17600]

    def share_above(part: np.ndarray, hz: float) -> float:
        frequencies, magnitudes = spectrum(part)
        return float(np.sum(magnitudes[frequencies > hz] ** 2) / np.sum(magnitudes**2))

    assert share_above(late, 1000) < 0.5 * share_above(early, 1000)


def test_damped_sinusoids_are_their_sum() -> None:
    note = Note(440.0, 0.5, 0.5, "ringing", 1.0, 1003, SAMPLE_RATE)
    rng = np.random.default_rng(0)
    hz, t60 = rng.uniform(50, 7000, 5), rng.uniform(0.05, 3, 5)
    amplitude = rng.standard_normal(5) + 1j * rng.standard_normal(5)
    t = np.arange(1003) / SAMPLE_RATE
    plainly = sum(
        abs(a) * 10 ** (-3 * t / s) * np.cos(2 * np.pi * f * t + np.angle(a))
        for f, s, a in zip(hz, t60, amplitude, strict=True)
    )
    np.testing.assert_allclose(damped_sinusoids(hz, t60, amplitude, note), plainly, atol=2e-3)
