"""Speech by rule, held against measurements that know nothing of how it is made."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter, resample_poly

from musicfsl.datasets._articulation import (
    CONTOURS,
    CONTROL_S,
    Friction,
    Take,
    Tracks,
    spans_of,
    squeezed,
    tracks_of,
)
from musicfsl.datasets._phonemes import PHONEMES, VOWELS, Noise
from musicfsl.datasets._speakers import Speaker, part_of_speaker, voice_of_speaker
from musicfsl.datasets._speech import clips_of_speaker, speaker_of
from musicfsl.datasets._vocal_tract import spoken, tract_polynomials
from musicfsl.datasets._words import WORDS, durations, parsed

RATE = 16000
MAN = replace(speaker_of(0, RATE, 0), size=1.0, accent={}, tilt_hz=5000.0, breath_db=-20.0, friction=1.0)
TAKE = Take(tempo=1.0, semitones=0.0, contour="level", start=0.5, loudness_db=0.0, is_released=True)


def sustained(symbol: str, pitch_hz: float = 100.0, voice: float = 1.0, speaker: Speaker = MAN) -> np.ndarray:
    """Half a second of a vowel that stays as it is; without voice it is whispered."""
    phoneme = PHONEMES[symbol]
    n = round(0.5 / CONTROL_S) + 1
    tracks = Tracks(
        hz=np.tile(np.array(phoneme.hz) * speaker.size, (n, 1)),
        widths=np.tile(np.array(phoneme.widths, dtype=float), (n, 1)),
        voice=np.full(n, voice),
        breath=np.full(n, 1.0 - voice),
        nasal=np.zeros(n),
        pitch_hz=np.full(n, pitch_hz),
        vowels=np.ones(n, dtype=bool),
        frictions=(),
    )
    return spoken(tracks, speaker, RATE // 2, RATE, np.random.default_rng(1))


def formants(wave: np.ndarray, emphasis: float = 0.95, top_hz: int = 5000, order: int = 12) -> np.ndarray:
    """Formants by linear prediction (Markel and Gray, 1976), from below 5 kHz: angles of the poles near the circle.

    ``emphasis`` evens out the fall of the voice's spectrum; a whisper has none.
    """
    low = resample_poly(wave, 2 * top_hz, RATE)
    low = np.append(low[0], low[1:] - emphasis * low[:-1]) * np.hamming(len(low))
    correlation = np.correlate(low, low, "full")[len(low) - 1 : len(low) + order]
    correlation[0] *= 1 + 1e-9
    coefficients = solve_toeplitz(correlation[:-1], correlation[1:])
    roots = np.roots(np.append(1, -coefficients))
    roots = roots[(roots.imag > 0) & (np.abs(roots) > 0.85)]
    hz = np.angle(roots) * top_hz / np.pi
    return np.sort(hz[(hz > 150) & (hz < 0.95 * top_hz)])


def level_db(wave: np.ndarray, low_hz: float, high_hz: float, rate: int = RATE) -> float:
    """Power within a band."""
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2 / len(wave)
    hz = np.fft.rfftfreq(len(wave), 1 / rate)
    return float(10 * np.log10(power[(hz >= low_hz) & (hz < high_hz)].sum() + 1e-12))


def dry(word: str, speaker: Speaker = MAN, take: Take = TAKE, seed: int = 3) -> tuple[np.ndarray, list[np.ndarray]]:
    """A word before any room, and the samples of each of its sounds."""
    segments = parsed(WORDS[word][0])
    rng = np.random.default_rng(seed)
    spans = spans_of(segments, speaker, take, rng)
    n = round(1.2 / CONTROL_S) + 1
    wave = spoken(tracks_of(spans, segments, speaker, take, 0.1, n), speaker, round(1.2 * RATE), RATE, rng)
    ends = 0.1 + np.cumsum([sum(span.seconds for span in spans if span.number == k) for k in range(len(segments))])
    bounds = np.round(np.append(0.1, ends) * RATE).astype(int)
    return wave, [wave[a:b] for a, b in itertools.pairwise(bounds)]


# ---- Source and filter


def test_the_poles_of_the_tract_are_the_formants_asked_for() -> None:
    hz, widths = np.array([[500.0, 1500.0, 2500.0], [270.0, 2290.0, 3010.0]]), np.array([[60.0, 90.0, 120.0]] * 2)
    numerators, denominators = tract_polynomials(hz, widths, np.zeros(2), 1.0, RATE)
    assert np.allclose(numerators.sum(axis=1), denominators.sum(axis=1))  # unit gain at 0 Hz
    for frame in range(2):
        roots = np.roots(denominators[frame])
        roots = roots[roots.imag > 0]
        frequencies, bandwidths = np.angle(roots) * RATE / 2 / np.pi, -np.log(np.abs(roots)) * RATE / np.pi
        expected = [*hz[frame], 270.0, *np.arange(3500.0, 7600.0, 1000.0)]
        assert np.allclose(np.sort(frequencies), np.sort(expected), atol=0.5)
        order = np.argsort(frequencies)
        for frequency, width in zip(hz[frame], widths[frame], strict=True):
            assert any(
                abs(f - frequency) < 0.5 and abs(b - width) < 0.5
                for f, b in zip(frequencies[order], bandwidths[order], strict=True)
            )


def test_a_tract_at_rest_filters_like_the_difference_equation() -> None:
    whispered = sustained("AH", voice=0.0)
    n = round(0.5 / CONTROL_S) + 1
    rng = np.random.default_rng(1)
    rng.standard_normal(n)  # the jitter of a voice that does not sound
    phoneme = PHONEMES["AH"]
    numerators, denominators = tract_polynomials(
        np.array([phoneme.hz], dtype=float), np.array([phoneme.widths], dtype=float), np.zeros(1), MAN.size, RATE
    )
    expected = lfilter(numerators[0], denominators[0], rng.standard_normal(RATE // 2))
    expected /= np.sqrt(np.mean(expected**2))
    assert np.sqrt(np.mean((whispered - expected) ** 2)) < 0.01


@pytest.mark.parametrize("symbol", [symbol for symbol in VOWELS if PHONEMES[symbol].ends_hz is None])
def test_whispered_vowels_have_the_formants_of_the_table(symbol: str) -> None:
    found = formants(sustained(symbol, voice=0.0), emphasis=0.0)
    assert found[:3] == pytest.approx(PHONEMES[symbol].hz, rel=0.06)


def test_vowels_said_aloud_can_be_told_apart_by_their_formants() -> None:
    """Peterson and Barney's vowels, measured as they measured them: the nearest of their means is the right one."""
    plain = [symbol for symbol in VOWELS if PHONEMES[symbol].ends_hz is None and symbol != "ER"]
    table = np.log2([PHONEMES[symbol].hz[:2] for symbol in plain])
    right = []
    for pitch_hz in (90, 110, 130):
        for number, symbol in enumerate(plain):
            found = np.log2(formants(sustained(symbol, pitch_hz))[:2])
            right.append(int(np.square(table - found).sum(axis=1).argmin()) == number)
    assert np.mean(right) > 0.85


@pytest.mark.parametrize("pitch_hz", [90.0, 140.0, 230.0, 310.0])
def test_the_pitch_is_the_one_asked_for(pitch_hz: float) -> None:
    wave = sustained("AA", pitch_hz)[2000:6000]
    correlation = np.correlate(wave, wave, "full")[len(wave) :]
    lags = np.arange(RATE // 500, RATE // 60)
    assert RATE / (lags[correlation[lags - 1].argmax()]) == pytest.approx(pitch_hz, rel=0.02)


def test_a_gliding_voice_keeps_its_highest_harmonics_and_folds_none_back() -> None:
    """An octave down, the voice still reaches as high, but for its slope; there is little between its harmonics."""
    n = round(0.5 / CONTROL_S) + 1
    tracks = Tracks(
        hz=np.tile([500.0, 1500.0, 2500.0], (n, 1)),
        widths=np.tile([60.0, 90.0, 120.0], (n, 1)),
        voice=np.ones(n),
        breath=np.zeros(n),
        nasal=np.zeros(n),
        pitch_hz=np.concatenate([np.full(n // 2, 400.0), np.full(n - n // 2, 200.0)]),
        vowels=np.ones(n, dtype=bool),
        frictions=(),
    )
    wave = spoken(tracks, MAN, RATE // 2, RATE, np.random.default_rng(0))
    high, low = wave[500:3500], wave[4500:7500]
    assert level_db(low, 6000, 7200) == pytest.approx(level_db(high, 6000, 7200) - 6, abs=4)
    for part in (high, low):
        assert level_db(part, 7700, 8000) < level_db(part, 6900, 7300) - 10
    assert level_db(high, 550, 650) < level_db(high, 350, 450) - 25


def test_a_shorter_tract_raises_all_formants() -> None:
    child = replace(MAN, size=1.33)
    man, small = (formants(sustained("EH", voice=0.0, speaker=speaker), emphasis=0.0) for speaker in (MAN, child))
    assert np.allclose(small[:3] / man[:3], 1.33, rtol=0.06)


def test_friction_lies_in_its_band_and_is_lost_above_half_the_sample_rate() -> None:
    n = round(0.5 / CONTROL_S) + 1
    vowel = np.arange(n) < n // 2
    level = {}
    for rate in (8000, 16000, 32000):
        tracks = Tracks(
            hz=np.tile([500.0, 1500.0, 2500.0], (n, 1)),
            widths=np.tile([60.0, 90.0, 120.0], (n, 1)),
            voice=vowel.astype(float),
            breath=np.zeros(n),
            nasal=np.zeros(n),
            pitch_hz=np.full(n, 120.0),
            vowels=vowel,
            frictions=(Friction(Noise(6300, 0.33, -9), (np.arange(n) > 0.6 * n).astype(float), False),),
        )
        wave = spoken(tracks, MAN, rate // 2, rate, np.random.default_rng(0))
        level[rate] = 10 * np.log10(np.mean(wave[round(0.62 * rate / 2) : round(0.98 * rate / 2)] ** 2))
    assert level[32000] == pytest.approx(-9, abs=0.5)
    assert level[16000] == pytest.approx(-10, abs=1)  # most of it lies below 8 kHz
    assert level[8000] < -17


# ---- Words


def test_all_sounds_of_all_words_are_known() -> None:
    used = {segment.symbol for variants in WORDS.values() for variant in variants for segment in parsed(variant)}
    assert used == set(PHONEMES)
    for word, variants in WORDS.items():
        for variant in variants:
            assert sum(token.endswith("1") for token in variant.split()) == 1, word


def test_hissing_is_high_and_voiceless_and_vowels_are_low() -> None:
    for seed in range(3):
        _, (hiss, vowel, _, last) = dry("six", seed=seed)
        for noise in (hiss[300:-300], last[300:-600]):
            assert level_db(noise, 4000, 8000) > level_db(noise, 50, 2000) + 15
            assert level_db(vowel, 50, 500) > level_db(noise, 50, 500) + 25
        assert level_db(vowel, 50, 1000) > level_db(vowel, 4000, 8000) + 15


def test_she_hushes_where_six_hisses() -> None:
    def centroid(noise: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(noise)) ** 2
        return float((power * np.fft.rfftfreq(len(noise), 1 / RATE)).sum() / power.sum())

    hiss, hush, lips = (dry(word)[1][0][300:-300] for word in ("six", "sheila", "five"))
    assert centroid(hush) < 4500 < 5500 < centroid(hiss)
    assert np.mean(lips**2) < np.mean(hush**2) / 10  # Jongman, Wayland and Wong: lips make the weakest noise


def test_stops_are_silent_before_they_burst() -> None:
    for word, number in (("stop", 1), ("happy", 2), ("cat", 0)):
        wave, sounds = dry(word)
        stop = sounds[number]
        energy = np.array([np.mean(stop[k : k + 80] ** 2) for k in range(0, len(stop) - 80, 80)])
        assert energy.min() < 1e-3 * np.mean(wave**2)
        assert energy[len(energy) // 2 :].max() > 50 * energy.min()


def test_the_voice_sets_in_later_after_a_voiceless_stop() -> None:
    """Seconds from the burst to the vowel: the release is what the closure leaves of the stop."""
    seconds = {}
    for word in ("two", "down", "stop"):
        segments = parsed(WORDS[word][0])
        spans = spans_of(segments, MAN, TAKE, np.random.default_rng(0))
        seconds[word] = next(span.seconds for span in spans if span.is_burst)
    assert seconds["two"] > 3 * seconds["down"]
    assert seconds["two"] > 2.5 * seconds["stop"]  # an S before takes the breath away


def test_diphthongs_go_where_the_table_says() -> None:
    _, (_, vowel, _) = dry("nine")
    quarter = len(vowel) // 4
    begins, ends = formants(vowel[quarter // 4 : quarter]), formants(vowel[-quarter:-100])
    assert ends[0] < begins[0] - 80
    assert ends[1] > begins[1] + 250


def test_r_lowers_the_third_formant() -> None:
    segments = parsed(WORDS["zero"][0])
    spans = spans_of(segments, MAN, TAKE, np.random.default_rng(0))
    tracks = tracks_of(spans, segments, MAN, TAKE, 0.1, 480)
    assert tracks.hz[:, 2].min() < 1900
    assert np.abs(np.diff(np.log2(tracks.hz), axis=0)).max() < 0.15  # a tongue does not jump


@pytest.mark.parametrize(
    ("pair", "same", "different"), [(("go", "no"), 1, 0), (("off", "on"), 0, 1), (("bed", "bird"), 0, 1)]
)
def test_minimal_pairs_differ_where_they_should(pair: tuple[str, str], same: int, different: int) -> None:
    def spectrum(sound: np.ndarray) -> np.ndarray:
        edges = np.geomspace(100, 8000, 17)
        return np.array([level_db(sound, *band) for band in itertools.pairwise(edges)])

    alike, unlike = [], []
    for seed in range(4):
        one, other = (dry(word, seed=seed)[1] for word in pair)
        alike.append(np.abs(spectrum(one[same]) - spectrum(other[same])).mean())
        unlike.append(np.abs(spectrum(one[different]) - spectrum(other[different])).mean())
    assert np.mean(unlike) > 1.5 * np.mean(alike)


def test_vowels_are_longer_before_voiced_sounds_and_in_the_last_syllable() -> None:
    def vowel(pronunciation: str, number: int = 1) -> float:
        return durations(parsed(pronunciation))[number]

    assert vowel("B EH1 D") > vowel("B EH1 T") > 0.08
    assert vowel("F AO1") > vowel("F AO1 R W ER0 D")
    assert all(0.2 < sum(durations(parsed(variant))) < 0.85 for variants in WORDS.values() for variant in variants)


def test_squeezing_keeps_proportions_and_leaves_short_words_alone() -> None:
    spans = spans_of(parsed(WORDS["visual"][0]), MAN, TAKE, np.random.default_rng(0))
    seconds = sum(span.seconds for span in spans)
    assert squeezed(spans, seconds + 0.1) == spans
    shorter = squeezed(spans, seconds / 2)
    assert [span.seconds * 2 for span in shorter] == pytest.approx([span.seconds for span in spans])


@pytest.mark.parametrize("contour", CONTOURS)
def test_melodies_rise_and_fall(contour: str) -> None:
    segments = parsed(WORDS["no"][0])
    take = replace(TAKE, contour=contour)
    spans = spans_of(segments, MAN, take, np.random.default_rng(0))
    tracks = tracks_of(spans, segments, MAN, take, 0.0, 400)
    last = int(sum(span.seconds for span in spans) / CONTROL_S)
    assert (tracks.pitch_hz[last] > tracks.pitch_hz[0]) == (contour == "rising")
    semitones = 12 * np.abs(np.log2(tracks.pitch_hz / MAN.pitch_hz)) / MAN.liveliness
    assert semitones.max() <= 5.001


# ---- Speakers


def test_every_part_has_men_women_and_children() -> None:
    for part in ("training", "validation", "testing"):
        voices = [voice_of_speaker(number) for number in range(25) if part_of_speaker(number) == part]
        assert set(voices) == {"man", "woman", "child"}
        assert len(voices) == {"training": 15, "validation": 5, "testing": 5}[part]


def test_children_speak_higher_than_women_and_women_than_men() -> None:
    speakers = [speaker_of(number, 8000, 0) for number in range(40)]
    for attribute in ("pitch_hz", "size"):
        man, woman, child = (
            np.mean([getattr(speaker, attribute) for speaker in speakers if speaker.voice == voice])
            for voice in ("man", "woman", "child")
        )
        assert man < woman < child
    assert len({speaker.pitch_hz for speaker in speakers}) == len(speakers)


def test_an_accent_is_heard_in_every_take() -> None:
    wide = replace(MAN, accent={"AA": (0.0, 0.3)})
    for seed in range(3):
        plain, moved = (formants(dry("stop", speaker, seed=seed)[1][2]) for speaker in (MAN, wide))
        assert np.log2(moved[1] / plain[1]) == pytest.approx(0.3, abs=0.12)


def test_another_process_makes_the_same_clips() -> None:
    program = (
        "import hashlib\n"
        "from musicfsl.datasets._speech import clips_of_speaker\n"
        "clips = [clip.tobytes() for _, clip in clips_of_speaker(3, ['six', 'go'], 2, 16000, 5)]\n"
        "print(hashlib.sha256(b''.join(clips)).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    there = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    here = [clip.tobytes() for _, clip in clips_of_speaker(3, ["six", "go"], 2, RATE, 5)]
    assert there.stdout.strip() == hashlib.sha256(b"".join(here)).hexdigest()


def test_the_times_of_the_sounds_are_those_of_the_clip() -> None:
    """Where the table says S, the clip hisses; before the word and long after it, it does not."""
    shares = []
    for number in range(6):
        record, clip = clips_of_speaker(number, ["yes"], 1, RATE, 2)[0]
        assert [symbol for symbol, _, _ in record.phonemes] == ["Y", "EH", "S"]
        _, start, end = record.phonemes[-1]
        assert 0 < record.phonemes[0][1] < start < end < 1
        wave = clip / 32768
        hiss = level_db(wave[round(start * RATE) + 200 : round(end * RATE)], 3500, 8000)
        shares.append(hiss - level_db(wave[: round(record.phonemes[0][1] * RATE)], 3500, 8000))
    assert np.median(shares) > 6
