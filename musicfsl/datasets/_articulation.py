"""From the sounds of a word to what tongue, lips and glottis do in time, as tracks.

A sound is one span or two (a stop has a closure and a release) with a target each. Tracks jump from target to target
and are then smoothed, formants by a tongue's time, levels by a valve's: transitions are what is left between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from musicfsl.datasets._phonemes import Formants, Noise
from musicfsl.datasets._players import Floats
from musicfsl.datasets._speakers import Speaker
from musicfsl.datasets._tones import amplitude
from musicfsl.datasets._words import Segment, durations

__all__ = ["CONTOURS", "CONTROL_S", "Friction", "Span", "Take", "Tracks", "spans_of", "squeezed", "tracks_of"]

#: Seconds from one point of a track to the next.
CONTROL_S = 0.0025

#: Melodies of a word said alone: shares of its time, and semitones over the speaker's usual pitch.
CONTOURS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "falling": ((0.0, 0.25, 1.0), (1.5, 2.0, -5.0)),
    "peaked": ((0.0, 0.45, 1.0), (-1.0, 3.0, -4.0)),
    "level": ((0.0, 1.0), (0.5, -1.5)),
    "rising": ((0.0, 0.4, 1.0), (-1.0, -1.0, 5.0)),
}

_TONGUE_S, _VALVE_S = 0.018, 0.005  # standard deviations of the smoothing
_NASAL_S = 0.020
_UNSTRESSED_DB = -3.0
_BREATH_DB, _BREATH_IN_VOICE_DB = -15.0, -34.0  # of white noise below the voice, both before the tract
_ASPIRATION_WIDTH_HZ = 200.0  # the open glottis damps F1
_CLOSURE = 0.8  # of a stop's duration; the burst takes the rest


@dataclass(frozen=True)
class Take:
    """How a speaker says a word this time.

    Attributes:
        tempo: factor of all durations.
        semitones: pitch over the speaker's usual one.
        contour: a key of `CONTOURS`.
        start: where the word begins in the room that the clip leaves for it, 0 to 1.
        loudness_db: level over the speaker's usual one.
        is_released: whether a stop at the end is let go to be heard.
    """

    tempo: float
    semitones: float
    contour: str
    start: float
    loudness_db: float
    is_released: bool


@dataclass(frozen=True)
class Span:
    """A stretch of time with one target.

    Attributes:
        number: of its segment in the word.
        seconds: how long it lasts.
        hz: target of F1, F2, F3 at its beginning.
        ends_hz: ... and at its end.
        widths: bandwidths in Hz.
        voice_db: level of the voice; None for none.
        breath_db: level of the breath over the least there is; None for that.
        is_nasal: whether the way through the nose is open, and the mouth shut.
        noise: of friction.
        is_burst: whether that noise is set off once, at the beginning.
    """

    number: int
    seconds: float
    hz: Formants
    ends_hz: Formants
    widths: Formants
    voice_db: float | None
    breath_db: float | None = None
    is_nasal: bool = False
    noise: Noise | None = None
    is_burst: bool = False


@dataclass(frozen=True)
class Friction:
    """A noise and its amplitude in time.

    Attributes:
        noise: see `Noise`.
        envelope: ``(n,)``.
        is_voiced: whether the voice beats in it.
    """

    noise: Noise
    envelope: Floats
    is_voiced: bool


@dataclass(frozen=True)
class Tracks:
    """What changes in time, one value every `CONTROL_S`.

    Attributes:
        hz: F1, F2, F3, ``(n, 3)``.
        widths: their bandwidths, ``(n, 3)``.
        voice: amplitude of the voice, ``(n,)``; 1 in a stressed vowel.
        breath: amplitude of the breath, ``(n,)``.
        nasal: 0 where the way through the nose is shut, 1 where it is open, ``(n,)``.
        pitch_hz: fundamental frequency, ``(n,)``.
        vowels: where there is a vowel, ``(n,)``.
        frictions: noises made in the mouth.
    """

    hz: Floats
    widths: Floats
    voice: Floats
    breath: Floats
    nasal: Floats
    pitch_hz: Floats
    vowels: NDArray[np.bool_]
    frictions: tuple[Friction, ...]


def spans_of(segments: Sequence[Segment], speaker: Speaker, take: Take, rng: np.random.Generator) -> list[Span]:
    """What a speaker does to say a word, without the time at which it begins."""
    targets = [_target(segment, speaker, rng) for segment in segments]
    spans: list[Span] = []
    for number, (segment, seconds) in enumerate(zip(segments, durations(segments), strict=True)):
        seconds *= speaker.tempo * take.tempo * 2.0 ** rng.normal(0, 0.12)
        phoneme = segment.phoneme
        hz, ends_hz = targets[number]
        if phoneme.kind != "vowel":
            hz = ends_hz = _leaning(hz, phoneme.lean, targets, number, segments)
        voice_db = phoneme.voice_db
        if voice_db is not None and phoneme.kind == "vowel" and not segment.stress:
            voice_db += _UNSTRESSED_DB
        span = Span(number, seconds, hz, ends_hz, phoneme.widths, voice_db, is_nasal=phoneme.kind == "nasal")
        if phoneme.kind == "stop":
            spans += _stop_spans(span, segment, targets, speaker, take)
        elif phoneme.kind == "breath":
            spans.append(replace(span, breath_db=_BREATH_DB))
        else:
            spans.append(replace(span, noise=_noise_of(phoneme.noise, speaker)))
    return spans


def squeezed(spans: Sequence[Span], longest: float) -> list[Span]:
    """The same faster, where a word would take more than ``longest`` seconds."""
    factor = min(1.0, longest / sum(span.seconds for span in spans))
    return [replace(span, seconds=span.seconds * factor) for span in spans]


def tracks_of(
    spans: Sequence[Span], segments: Sequence[Segment], speaker: Speaker, take: Take, start_s: float, n: int
) -> Tracks:
    """The tracks of a word that begins at ``start_s``, ``n`` values each."""
    times = np.arange(n) * CONTROL_S
    ends = start_s + np.cumsum([span.seconds for span in spans])
    starts = np.concatenate([[start_s], ends[:-1]])
    span_of = np.clip(np.searchsorted(ends, times, side="right"), 0, len(spans) - 1)
    share = np.clip((times - starts[span_of]) / (ends - starts)[span_of], 0, 1)[:, None]
    inside = (times >= starts[0]) & (times < ends[-1])

    first = np.log([span.hz for span in spans])[span_of]
    last = np.log([span.ends_hz for span in spans])[span_of]
    glide = np.clip(1.6 * share - 0.4, 0, 1)  # diphthongs stay a while before they move
    is_vowel = np.array([segments[span.number].phoneme.kind == "vowel" for span in spans])
    voice_db = np.array([-np.inf if span.voice_db is None else span.voice_db for span in spans])[span_of]
    # The voice dies away towards the end.
    voice = amplitude(voice_db) * inside * np.interp(times, [starts[0], ends[-1] - 0.08, ends[-1]], [1.0, 0.8, 0.3])
    breath_db = np.array([-np.inf if span.breath_db is None else span.breath_db for span in spans])[span_of]
    voice = _smoothed(voice, _VALVE_S)
    breath = _smoothed(amplitude(breath_db) * inside, _VALVE_S)
    return Tracks(
        hz=np.exp(_smoothed(first + glide * (last - first), _TONGUE_S)),
        widths=_smoothed(np.array([span.widths for span in spans], dtype=np.float64)[span_of], _TONGUE_S),
        voice=voice,
        breath=breath + 10 ** ((_BREATH_IN_VOICE_DB + speaker.breath_db) / 20) * voice,
        nasal=_smoothed(np.array([float(span.is_nasal) for span in spans])[span_of], _NASAL_S),
        pitch_hz=_pitch(times, starts[0], ends[-1], speaker, take),
        vowels=is_vowel[span_of] & inside,
        frictions=tuple(
            Friction(span.noise, _envelope(span, times, start, end), span.voice_db is not None)
            for span, start, end in zip(spans, starts, ends, strict=True)
            if span.noise is not None
        ),
    )


def _target(segment: Segment, speaker: Speaker, rng: np.random.Generator) -> tuple[Formants, Formants]:
    """Formants at the beginning and the end of a sound, as this speaker means them this time."""
    phoneme = segment.phoneme
    octaves = np.array([*speaker.accent.get(segment.symbol, (0.0, 0.0)), 0.0]) + rng.normal(0, 0.035, 3)
    factors = speaker.size * 2.0**octaves
    hz, ends_hz = factors * phoneme.hz, factors * (phoneme.ends_hz or phoneme.hz)
    if phoneme.kind == "vowel" and not segment.stress:
        # Without stress the tongue stays nearer to its place of rest.
        rest = speaker.size * np.array([500.0, 1500.0, 2500.0])
        hz, ends_hz = 0.7 * hz + 0.3 * rest, 0.7 * ends_hz + 0.3 * rest
    return _formants(hz), _formants(ends_hz)


def _leaning(
    hz: Formants, lean: float, targets: Sequence[tuple[Formants, Formants]], number: int, segments: Sequence[Segment]
) -> Formants:
    """A consonant's F2 and F3 on their way to those of its vowel: the next one, or at the end the last one."""
    vowels = [other for other, segment in enumerate(segments) if segment.phoneme.kind == "vowel"]
    following = [other for other in vowels if other > number]
    vowel = targets[following[0]][0] if following else targets[vowels[-1]][1]
    leaned = np.array(hz)
    leaned[1:] += lean * (np.array(vowel) - leaned)[1:]
    if lean == 1.0:
        leaned[0] = vowel[0]  # a breath has no place of its own
    return _formants(leaned)


def _stop_spans(
    closure: Span, segment: Segment, targets: Sequence[tuple[Formants, Formants]], speaker: Speaker, take: Take
) -> list[Span]:
    """A closure, and the release with its burst and, without voice, breath until the voice sets in."""
    phoneme, number = segment.phoneme, closure.number
    shut = replace(closure, seconds=closure.seconds * _CLOSURE)
    if segment.is_last and not take.is_released:
        return [shut]
    is_voiced = phoneme.voice_db is not None
    seconds = phoneme.burst_ms / 1000 * speaker.burst * take.tempo
    if segment.after_s:
        seconds *= 0.3
    elif not segment.stress:
        seconds *= 0.6
    open_hz = closure.hz if segment.is_last else targets[number + 1][0]
    widths = (closure.widths[0] + _ASPIRATION_WIDTH_HZ, *closure.widths[1:])
    release = replace(
        closure,
        seconds=max(seconds, 2 * CONTROL_S),
        hz=open_hz,
        ends_hz=open_hz,
        widths=widths,
        voice_db=None,
        breath_db=None if is_voiced else _BREATH_DB - (6.0 if segment.is_last else 0.0),
        noise=_noise_of(phoneme.noise, speaker),
        is_burst=True,
    )
    return [shut, release]


def _noise_of(noise: Noise | None, speaker: Speaker) -> Noise | None:
    if noise is None:
        return None
    return Noise(noise.hz * speaker.friction, noise.octaves, noise.db + speaker.friction_db)


def _envelope(span: Span, times: Floats, start: float, end: float) -> Floats:
    """A burst dies away by itself; friction lasts as long as its span."""
    if span.is_burst:
        since = times - start
        return np.where(since >= 0, np.exp(-np.maximum(since, 0) / (0.006 + 0.15 * span.seconds)), 0.0)
    return _smoothed(((times >= start) & (times < end)).astype(np.float64), 1.5 * _VALVE_S)


def _pitch(times: Floats, start: float, end: float, speaker: Speaker, take: Take) -> Floats:
    shares, semitones = CONTOURS[take.contour]
    melody = np.interp((times - start) / (end - start), shares, semitones)
    return speaker.pitch_hz * 2.0 ** ((speaker.liveliness * melody + take.semitones) / 12)


def _smoothed(track: Floats, seconds: float) -> Floats:
    """Convolution along the first axis with a Gaussian whose standard deviation is ``seconds``."""
    reach = int(np.ceil(3 * seconds / CONTROL_S))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * CONTROL_S / seconds) ** 2)
    kernel /= kernel.sum()
    padded = np.concatenate([track[:1].repeat(reach, axis=0), track, track[-1:].repeat(reach, axis=0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return np.asarray(windows @ kernel)


def _formants(hz: Floats) -> Formants:
    return float(hz[0]), float(hz[1]), float(hz[2])
