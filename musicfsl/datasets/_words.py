"""The 35 words of Speech Commands as sounds, and how long each sound lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from musicfsl.datasets._phonemes import PHONEMES, Phoneme

__all__ = ["WORDS", "Segment", "durations", "parsed"]

#: Word -> its pronunciations, with 1 after the stressed vowel and 0 after the others, as in the CMU Pronouncing
#: Dictionary. Where there are several, a speaker's accent says which.
WORDS: dict[str, tuple[str, ...]] = {
    "backward": ("B AE1 K W ER0 D",),
    "bed": ("B EH1 D",),
    "bird": ("B ER1 D",),
    "cat": ("K AE1 T",),
    "dog": ("D AO1 G",),
    "down": ("D AW1 N",),
    "eight": ("EY1 T",),
    "five": ("F AY1 V",),
    "follow": ("F AA1 L OW0",),
    "forward": ("F AO1 R W ER0 D",),
    "four": ("F AO1 R",),
    "go": ("G OW1",),
    "happy": ("HH AE1 P IY0",),
    "house": ("HH AW1 S",),
    "learn": ("L ER1 N",),
    "left": ("L EH1 F T",),
    "marvin": ("M AA1 R V IH0 N",),
    "nine": ("N AY1 N",),
    "no": ("N OW1",),
    "off": ("AO1 F",),
    "on": ("AA1 N", "AO1 N"),
    "one": ("W AH1 N",),
    "right": ("R AY1 T",),
    "seven": ("S EH1 V AH0 N",),
    "sheila": ("SH IY1 L AH0",),
    "six": ("S IH1 K S",),
    "stop": ("S T AA1 P",),
    "three": ("TH R IY1",),
    "tree": ("T R IY1",),
    "two": ("T UW1",),
    "up": ("AH1 P",),
    "visual": ("V IH1 ZH AH0 W AH0 L",),
    "wow": ("W AW1",),
    "yes": ("Y EH1 S",),
    "zero": ("Z IH1 R OW0", "Z IY1 R OW0"),
}

# Sounds are shortened towards this share of their inherent duration, but not below it.
_LEAST = 0.45


@dataclass(frozen=True)
class Segment:
    """A sound of a word.

    Attributes:
        symbol: a key of `PHONEMES`.
        stress: of a vowel; of a consonant, that of the vowel that follows, and 0 where none does.
        is_first: nothing stands before it.
        is_last: nothing stands behind it.
        after_s: it follows an S without a break, which takes the breath from a stop.
    """

    symbol: str
    stress: int
    is_first: bool
    is_last: bool
    after_s: bool

    @property
    def phoneme(self) -> Phoneme:
        """Its row in the table."""
        return PHONEMES[self.symbol]


def parsed(pronunciation: str) -> list[Segment]:
    """The sounds of a pronunciation.

    Example:
        >>> [(segment.symbol, segment.stress) for segment in parsed("HH AE1 P IY0")]
        [('HH', 1), ('AE', 1), ('P', 0), ('IY', 0)]
    """
    tokens = pronunciation.split()
    segments: list[Segment] = []
    stress = 0
    for number in reversed(range(len(tokens))):
        if tokens[number][-1].isdigit():
            stress = int(tokens[number][-1])
        symbol = tokens[number].rstrip("012")
        after_s = number > 0 and tokens[number - 1] == "S"
        segments.append(Segment(symbol, stress, number == 0, number == len(tokens) - 1, after_s))
    return segments[::-1]


def durations(segments: Sequence[Segment]) -> list[float]:
    """Seconds that each sound lasts in a word said alone, at an ordinary tempo.

    Rules of Klatt, "Synthesis by rule of segmental durations in English sentences", 1979, in the form of MITalk: the
    last syllable is lengthened, vowels without stress and vowels of words of several syllables are shortened, vowels
    are shorter before voiceless sounds than before voiced ones, and consonants are shorter beside one another.

    Example:
        >>> [round(seconds, 2) for seconds in durations(parsed("B EH1 D"))]
        [0.09, 0.21, 0.08]
    """
    vowels = [number for number, segment in enumerate(segments) if segment.phoneme.kind == "vowel"]
    seconds = []
    for number, segment in enumerate(segments):
        factor = 1.0
        following = segments[number + 1] if number + 1 < len(segments) else None
        if number in vowels:
            factor *= 1.4 if number == vowels[-1] else 1.0
            factor *= 0.8 if len(vowels) > 1 else 1.0
            factor *= 1.0 if segment.stress else 0.7
            factor *= _before(following)
        elif following is not None and number + 1 not in vowels:
            factor *= 0.7
        elif segment.is_last:
            factor *= 1.1
        seconds.append(segment.phoneme.ms / 1000 * (_LEAST + (1 - _LEAST) * factor))
    return seconds


def _before(following: Segment | None) -> float:
    """How long a vowel is before a sound."""
    if following is None:
        return 1.1
    kind, voiced = following.phoneme.kind, following.phoneme.voice_db is not None
    if kind == "stop":
        return 1.2 if voiced else 0.7
    if kind == "fricative":
        return 1.4 if voiced else 0.85
    return 0.85 if kind == "nasal" else 1.0
