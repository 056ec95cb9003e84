"""From a word to recordings of it: who speaks, how it is said this time, and how it sounds.

Every draw comes from a generator seeded by (seed, speaker) or (seed, speaker, word, take), so that a clip is the same
whatever else is made, in whatever process.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl.datasets._articulation import CONTOURS, CONTROL_S, Span, Take, spans_of, squeezed, tracks_of
from musicfsl.datasets._speakers import Speaker, draw_speaker
from musicfsl.datasets._tones import recorded
from musicfsl.datasets._vocal_tract import spoken
from musicfsl.datasets._words import WORDS, Segment, parsed

__all__ = ["CLIP_S", "SPEECH_VERSION", "ClipRecord", "clips_of_speaker", "speaker_of"]

#: Raised whenever the sound of any clip changes; caches of another version are not used.
SPEECH_VERSION = 2

#: Seconds of a clip, as in Speech Commands.
CLIP_S = 1.0

_SPEAKER, _TAKE = 0, 1  # keep the streams of random numbers apart
_MARGIN_S = 0.03  # before the word and behind it
_CONTOUR_SHARES = {"falling": 0.45, "peaked": 0.25, "level": 0.2, "rising": 0.1}


@dataclass(frozen=True)
class ClipRecord:
    """What is known of a clip without hearing it.

    Attributes:
        word: what is said.
        speaker: number of the speaker.
        take: number of the clip among those of this word by this speaker.
        voice: man, woman or child.
        pitch_hz: median fundamental frequency where there is a vowel.
        phonemes: ARPAbet symbol, first and last second of every sound.
    """

    word: str
    speaker: int
    take: int
    voice: str
    pitch_hz: float
    phonemes: tuple[tuple[str, float, float], ...]

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> ClipRecord:
        """A record from what JSON makes of it."""
        return cls(**{**row, "phonemes": tuple((symbol, start, end) for symbol, start, end in row["phonemes"])})


def speaker_of(number: int, sample_rate: int, seed: int) -> Speaker:
    """Draws a speaker."""
    return draw_speaker(number, np.random.default_rng([seed, _SPEAKER, number]), sample_rate)


def clips_of_speaker(
    number: int, words: Sequence[str], n_takes: int, sample_rate: int, seed: int
) -> list[tuple[ClipRecord, NDArray[np.int16]]]:
    """Draws a speaker, who says all words; what one process does at a time."""
    speaker = speaker_of(number, sample_rate, seed)
    return [_clip(speaker, number, word, take, sample_rate, seed) for word in words for take in range(n_takes)]


def _clip(
    speaker: Speaker, number: int, word: str, take_number: int, sample_rate: int, seed: int
) -> tuple[ClipRecord, NDArray[np.int16]]:
    rng = np.random.default_rng([seed, _TAKE, number, zlib.crc32(word.encode()), take_number])
    variants = WORDS[word]
    segments = parsed(variants[int(speaker.pronunciation * len(variants))])
    take = _draw_take(rng)
    longest = CLIP_S - 2 * _MARGIN_S
    spans = squeezed(spans_of(segments, speaker, take, rng), longest)
    start = _MARGIN_S + take.start * (longest - sum(span.seconds for span in spans))
    n_samples = round(CLIP_S * sample_rate)
    tracks = tracks_of(spans, segments, speaker, take, start, math.ceil(CLIP_S / CONTROL_S) + 1)
    dry = spoken(tracks, speaker, n_samples, sample_rate, rng)
    wave = recorded(dry, speaker.recording, speaker.recording.peak_db + take.loudness_db, sample_rate, rng)
    record = ClipRecord(
        word=word,
        speaker=number,
        take=take_number,
        voice=speaker.voice,
        pitch_hz=round(float(np.median(tracks.pitch_hz[tracks.vowels])), 1),
        phonemes=_timed(spans, segments, start),
    )
    return record, np.round(wave * 32767).astype(np.int16)


def _draw_take(rng: np.random.Generator) -> Take:
    return Take(
        tempo=2.0 ** rng.normal(0, 0.18),
        semitones=rng.normal(0, 1.2),
        contour=str(rng.choice(list(CONTOURS), p=[_CONTOUR_SHARES[name] for name in CONTOURS])),
        start=float(rng.beta(2, 2)),
        loudness_db=rng.normal(0, 2.5),
        is_released=bool(rng.uniform() < 0.6),
    )


def _timed(spans: Sequence[Span], segments: Sequence[Segment], start: float) -> tuple[tuple[str, float, float], ...]:
    """Symbol, first and last second of every sound."""
    timed, end = [], start
    for number, segment in enumerate(segments):
        begin, end = end, end + sum(span.seconds for span in spans if span.number == number)
        timed.append((segment.symbol, round(begin, 4), round(end, 4)))
    return tuple(timed)
