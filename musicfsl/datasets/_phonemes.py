"""The sounds of English that the words of Speech Commands need: what the mouth does, as numbers.

Formant frequencies are those of a man with a vocal tract of 17.5 cm. Sources:

- vowels that stay where they are: Peterson and Barney, "Control methods used in a study of the vowels", JASA 24, 1952,
  table II (means of 33 men);
- diphthongs, all bandwidths and all consonants: Klatt, "Software for a cascade/parallel formant synthesizer", JASA 67,
  1980, tables II and III;
- durations: the inherent durations of Allen, Hunnicutt and Klatt, "From text to speech: the MITalk system", 1987;
- times from the burst to the voice: Lisker and Abramson, "A cross-language study of voicing in initial stops", Word 20,
  1964; shortened for their being said without emphasis;
- noise of fricatives: peaks and levels after Jongman, Wayland and Wong, "Acoustic characteristics of English
  fricatives", JASA 108, 2000; bursts after Stevens, "Acoustic phonetics", 1998, chapter 7;
- how far consonants lean towards their vowel: rounded slopes of locus equations of Sussman, McCaffrey and Matthews, "An
  investigation of locus equations as a source of relational invariance for stop place categorization", JASA 90, 1991.

Symbols are those of the CMU Pronouncing Dictionary (ARPAbet).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PHONEMES", "VOWELS", "Noise", "Phoneme"]

Formants = tuple[float, float, float]
Kind = Literal["vowel", "glide", "nasal", "fricative", "stop", "breath"]


@dataclass(frozen=True)
class Noise:
    """Noise made in front of the tongue or lips, so that it passes by the formants of the tract behind.

    Attributes:
        hz: centre of its band, which is Gaussian on the logarithmic axis.
        octaves: standard deviation of the band.
        db: root mean square over that of the word's vowels, while it lasts.
    """

    hz: float
    octaves: float
    db: float


@dataclass(frozen=True)
class Phoneme:
    """One sound.

    Attributes:
        kind: how it is made.
        hz: F1, F2, F3 of a man; of a consonant, where its neighbours' formants point to.
        widths: their bandwidths in Hz.
        ms: its duration where nothing shortens or lengthens it.
        ends_hz: where a diphthong's formants end.
        voice_db: level of the voice over that of a stressed vowel; None where it is voiceless.
        noise: of friction, or of the burst of a stop.
        lean: share of the way from F2 and F3 of ``hz`` to those of the next vowel that a consonant takes.
        burst_ms: from the burst to the voice of the next vowel, if it is stressed.
    """

    kind: Kind
    hz: Formants
    widths: Formants
    ms: float
    ends_hz: Formants | None = None
    voice_db: float | None = 0.0
    noise: Noise | None = None
    lean: float = 0.0
    burst_ms: float = 0.0


def _vowel(hz: Formants, widths: Formants, ms: float, ends_hz: Formants | None = None) -> Phoneme:
    return Phoneme("vowel", hz, widths, ms, ends_hz)


def _glide(hz: Formants, widths: Formants) -> Phoneme:
    return Phoneme("glide", hz, widths, 80, voice_db=-5.0, lean=0.1)


def _fricative(
    hz: Formants, widths: Formants, ms: float, noise: Noise, lean: float, voice_db: float | None = None
) -> Phoneme:
    return Phoneme("fricative", hz, widths, ms, voice_db=voice_db, noise=noise, lean=lean)


def _stop(
    hz: Formants, widths: Formants, ms: float, noise: Noise, lean: float, burst_ms: float, voiced: bool
) -> Phoneme:
    return Phoneme(
        "stop", hz, widths, ms, voice_db=-22.0 if voiced else None, noise=noise, lean=lean, burst_ms=burst_ms
    )


_LABIAL, _LABIAL_WIDTHS = (340, 1100, 2080), (200, 120, 150)
_HISS, _HUSH, _BREATH_OF_LIPS = Noise(6300, 0.33, -9), Noise(3300, 0.4, -7), Noise(5500, 1.4, -23)

PHONEMES: dict[str, Phoneme] = {
    # ---- vowels
    "IY": _vowel((270, 2290, 3010), (60, 200, 400), 155),
    "IH": _vowel((390, 1990, 2550), (50, 100, 140), 135),
    "EH": _vowel((530, 1840, 2480), (60, 90, 200), 150),
    "AE": _vowel((660, 1720, 2410), (70, 150, 320), 230),
    "AA": _vowel((730, 1090, 2440), (130, 70, 160), 240),
    "AO": _vowel((570, 840, 2410), (90, 100, 80), 240),
    "AH": _vowel((640, 1190, 2390), (80, 50, 140), 140),
    "UW": _vowel((300, 870, 2240), (65, 110, 140), 210),
    "ER": _vowel((490, 1350, 1690), (100, 60, 110), 180),
    # ---- diphthongs
    "EY": _vowel((480, 1720, 2520), (70, 100, 200), 190, (330, 2020, 2600)),
    "AY": _vowel((660, 1200, 2550), (100, 70, 200), 250, (400, 1880, 2500)),
    "AW": _vowel((640, 1230, 2550), (80, 70, 140), 260, (420, 940, 2350)),
    "OW": _vowel((540, 1100, 2300), (80, 70, 70), 220, (450, 900, 2300)),
    # ---- glides and liquids
    "W": _glide((290, 610, 2150), (50, 80, 60)),
    "Y": _glide((260, 2070, 3020), (40, 250, 500)),
    "R": _glide((310, 1060, 1380), (70, 100, 120)),
    "L": _glide((310, 1050, 2880), (50, 100, 280)),
    # ---- nasals
    "M": Phoneme("nasal", (480, 1270, 2130), (40, 200, 200), 70, voice_db=-4.0, lean=0.4),
    "N": Phoneme("nasal", (480, 1340, 2470), (40, 300, 300), 60, voice_db=-4.0, lean=0.3),
    # ---- fricatives
    "F": _fricative(_LABIAL, _LABIAL_WIDTHS, 100, _BREATH_OF_LIPS, lean=0.6),
    "V": _fricative((220, 1100, 2080), (60, 90, 120), 60, Noise(5500, 1.4, -29), lean=0.6, voice_db=-10.0),
    "TH": _fricative((320, 1290, 2540), (200, 90, 200), 90, Noise(6500, 1.0, -25), lean=0.4),
    "S": _fricative((320, 1390, 2530), (200, 80, 200), 105, _HISS, lean=0.3),
    "Z": _fricative((240, 1390, 2530), (70, 60, 180), 75, Noise(6300, 0.33, -15), lean=0.3, voice_db=-14.0),
    "SH": _fricative((300, 1840, 2750), (200, 100, 300), 105, _HUSH, lean=0.2),
    "ZH": _fricative((270, 1840, 2750), (60, 100, 300), 70, Noise(3300, 0.4, -14), lean=0.2, voice_db=-14.0),
    "HH": Phoneme("breath", (500, 1500, 2500), (300, 160, 250), 80, voice_db=None, lean=1.0),
    # ---- stops
    "P": _stop((400, 1100, 2150), (300, 150, 220), 90, Noise(900, 1.2, -20), 0.7, burst_ms=50, voiced=False),
    "B": _stop((200, 1100, 2150), (60, 110, 130), 85, Noise(900, 1.2, -22), 0.7, burst_ms=8, voiced=True),
    "T": _stop((400, 1600, 2600), (300, 120, 250), 75, Noise(4300, 0.6, -10), 0.4, burst_ms=60, voiced=False),
    "D": _stop((200, 1600, 2600), (60, 100, 170), 75, Noise(4000, 0.6, -15), 0.4, burst_ms=12, voiced=True),
    "K": _stop((300, 1990, 2850), (250, 160, 330), 80, Noise(2000, 0.35, -12), 0.6, burst_ms=70, voiced=False),
    "G": _stop((200, 1990, 2850), (60, 150, 280), 80, Noise(1900, 0.35, -16), 0.6, burst_ms=22, voiced=True),
}  # fmt: skip

VOWELS: tuple[str, ...] = tuple(symbol for symbol, phoneme in PHONEMES.items() if phoneme.kind == "vowel")
