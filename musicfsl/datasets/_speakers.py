"""What differs from one speaker to the next: the body, the habits, the room and the microphone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from musicfsl.datasets._phonemes import VOWELS
from musicfsl.datasets._players import Recording, draw_recording

__all__ = ["Part", "Speaker", "Voice", "draw_speaker", "part_of_speaker", "voice_of_speaker"]

Voice = Literal["man", "woman", "child"]
Part = Literal["training", "validation", "testing"]

# Mean fundamental frequency in Hz and formants over those of men: Peterson and Barney (1952), table II.
_PITCH_HZ: dict[Voice, float] = {"man": 132.0, "woman": 223.0, "child": 264.0}
_FORMANTS: dict[Voice, float] = {"man": 1.0, "woman": 1.16, "child": 1.33}

_VOICES: tuple[Voice, ...] = ("man", "woman", "child", "man", "woman")
_PARTS: tuple[Part, ...] = ("training", "training", "training", "validation", "testing")


@dataclass(frozen=True)
class Speaker:
    """One speaker in one room.

    Attributes:
        voice: man, woman or child.
        pitch_hz: usual fundamental frequency.
        size: factor of all formants; the longer the vocal tract, the less.
        accent: vowel -> octaves by which F1 and F2 differ from those of the table.
        pronunciation: a number from 0 to 1 that chooses among the pronunciations of a word.
        tempo: factor of all durations.
        breath_db: noise of breath in the voice over the usual.
        open_quotient: share of a period in which the glottis is open.
        tilt_hz: above it the voice falls by another 6 dB an octave.
        friction_db: level of the noise of consonants over the usual.
        friction: factor of the frequencies of that noise.
        burst: factor of the times from bursts to the voice.
        liveliness: factor of the changes of pitch within a word.
        recording: how the speaker was recorded.
    """

    voice: Voice
    pitch_hz: float
    size: float
    accent: dict[str, tuple[float, float]]
    pronunciation: float
    tempo: float
    breath_db: float
    open_quotient: float
    tilt_hz: float
    friction_db: float
    friction: float
    burst: float
    liveliness: float
    recording: Recording


def part_of_speaker(speaker: int) -> Part:
    """Of five speakers, three are for training, one for validation, one for testing, whatever their number.

    Example:
        >>> [part_of_speaker(number) for number in range(5)]
        ['training', 'training', 'training', 'validation', 'testing']
    """
    return _PARTS[speaker % len(_PARTS)]


def voice_of_speaker(speaker: int) -> Voice:
    """Two of five speakers are men, two women, one a child, in every part.

    Example:
        >>> [voice_of_speaker(number) for number in (4, 9, 14, 19, 24)]
        ['woman', 'man', 'woman', 'child', 'man']
    """
    return _VOICES[(speaker + speaker // len(_VOICES)) % len(_VOICES)]


def draw_speaker(number: int, rng: np.random.Generator, sample_rate: int) -> Speaker:
    """Draws a speaker; the sample rate is that of the room's impulse response."""
    voice = voice_of_speaker(number)
    size = _FORMANTS[voice] * 2.0 ** rng.normal(0, 0.06)
    return Speaker(
        voice=voice,
        pitch_hz=_PITCH_HZ[voice] * 2.0 ** rng.normal(0, 0.2),
        size=size,
        accent={vowel: (float(rng.normal(0, 0.08)), float(rng.normal(0, 0.06))) for vowel in VOWELS},
        pronunciation=rng.uniform(),
        tempo=2.0 ** rng.normal(0, 0.22),
        breath_db=rng.normal(0, 4.0),
        open_quotient=rng.uniform(0.45, 0.75),
        tilt_hz=2.0 ** rng.uniform(np.log2(900), np.log2(5000)),
        friction_db=rng.normal(0, 2.5),
        friction=size**0.5 * 2.0 ** rng.normal(0, 0.08),
        burst=2.0 ** rng.normal(0, 0.3),
        liveliness=2.0 ** rng.normal(0, 0.4),
        recording=replace(draw_recording(rng, sample_rate), noise_db=rng.uniform(-65, -36)),
    )
