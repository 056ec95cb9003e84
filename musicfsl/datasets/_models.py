"""The parameters of an instrument: what one row of the table in `_instruments` may say.

Three models cover all instruments, after the way that energy enters the vibrating body:

- `Driven`: fed as long as the note lasts (bow, breath, reed, lips, bellows). One periodic wave, so its
  partials are exact harmonics, with noise of the excitation around it.
- `PluckedOrStruck`: a string set off once. Slightly inharmonic partials that each decay at their own rate.
- `StruckBody`: a bar, plate, tube, tine or membrane set off once. A few partials at the ratios of its modes.

Frequencies are in Hz, levels in decibels, times in seconds, pitches in MIDI note numbers (A4 = 69 = 440 Hz).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resonance:
    """A peak (or dip) of a frequency response: a formant of a voice or horn, a mode of a body.

    Attributes:
        hz: centre frequency.
        gain_db: height over the surroundings; negative for a dip.
        width_hz: full width at half of ``gain_db``.
    """

    hz: float
    gain_db: float
    width_hz: float


@dataclass(frozen=True)
class Rank:
    """One set of reeds or pipes that sounds together with the others of a note.

    Attributes:
        ratio: its fundamental over the note's (2 for a 4-foot stop).
        level_db: its level over the first rank's.
        detune_cents: how far it is tuned off on purpose (the tremolo of an accordion).
        optional: players may leave it out, as an organist does with a stop.
    """

    ratio: float
    level_db: float = 0.0
    detune_cents: float = 0.0
    optional: bool = False


@dataclass(frozen=True)
class Driven:
    """A tone that is fed while it lasts.

    Harmonic ``k`` at frequency ``f`` has the level ``-slope log2 k`` from the source, loses
    ``rolloff_db_per_octave`` above a corner that rises with loudness, is ``even_loss_db`` weaker where ``k``
    is even (closed cylindrical pipe) and passes the formants.

    Attributes:
        slope_db_per_octave: fall of the source's spectrum below the corner; 6 is a sawtooth.
        corner_hz: where the fall becomes steeper, for an A4 at middle dynamics.
        corner_octaves: how far the corner moves from the softest to the loudest note.
        corner_follows: how much of a change of pitch the corner follows: 0 is a fixed cut-off (brass, reeds:
            the bell or tone holes fix it), 1 keeps the same harmonic (flue pipes).
        rolloff_db_per_octave: fall above the corner.
        even_loss_db: what even harmonics lack far below ``even_cutoff_hz``; the loss fades out around it.
        even_cutoff_hz: cut-off frequency of the tone-hole lattice.
        formants: alternatives, one of which every note takes (the vowels of a voice); mostly just one.
        irregularity_db: spread of the fine structure of the body's response, which differs between players.
        attack_s: time to the full level, for the lowest and the highest pitch.
        release_s: time constant of the end.
        noise_db: level of the breath or bow noise over the tone's.
        noise_hz: centre of the noise's band, which is about two octaves wide.
        noise_comb: share of that noise that the pipe's own resonances turn into bands around the harmonics.
        chiff_db: how much louder the noise is during the attack.
        vibrato_cents: usual half width of the frequency vibrato.
        vibrato_db: usual half width of the loudness vibrato.
        vibrato_hz: its rate.
        jitter_cents: irregularity of the pitch.
        scoop_cents: how far below its pitch a note starts.
        tremolo_hz: rate of a bowed tremolo, or of flutter tonguing.
        ranks: reeds or pipes that sound together.
    """

    slope_db_per_octave: float
    corner_hz: float
    corner_octaves: float
    rolloff_db_per_octave: float
    corner_follows: float = 0.0
    even_loss_db: float = 0.0
    even_cutoff_hz: float = 1500.0
    formants: tuple[tuple[Resonance, ...], ...] = ((),)
    irregularity_db: float = 1.5
    attack_s: tuple[float, float] = (0.06, 0.04)
    release_s: float = 0.04
    noise_db: float = -42.0
    noise_hz: float = 2000.0
    noise_comb: float = 0.0
    chiff_db: float = 6.0
    vibrato_cents: float = 0.0
    vibrato_db: float = 0.0
    vibrato_hz: float = 5.5
    jitter_cents: float = 2.0
    scoop_cents: float = 0.0
    tremolo_hz: float = 9.0
    ranks: tuple[Rank, ...] = (Rank(1.0),)


@dataclass(frozen=True)
class PluckedOrStruck:
    """A string set off by a finger, plectrum, quill or hammer, and left to itself.

    Attributes:
        contact: where the string is set off, as a share of its length (least, greatest); harmonics with a
            node there are missing.
        slope_db_per_octave: fall of the excited spectrum: 6 for the force of a plucked string on its bridge.
        corner_hz: above it the width and softness of finger or hammer take ``rolloff_db_per_octave``.
        corner_octaves: how far the corner moves from the softest to the loudest note.
        rolloff_db_per_octave: fall above the corner.
        stiffness: inharmonicity coefficient B at middle C: ``f_k = k f_1 sqrt(1 + B k^2)``.
        stiffness_octave: factor of B an octave higher.
        t60_s: time in which the first partial of middle C falls by 60 dB.
        t60_octave: factor of that time an octave higher.
        damping_hz: partials lose twice as fast at this frequency as the lowest ones.
        aftersound_db: level of the slow second stage of the decay over the first; None where there is none.
        strings: strings a note; ``spread_cents`` is how far they are apart.
        spread_cents: see ``strings``.
        octave_string_db: level of an additional string an octave higher (a 4-foot stop); None for none.
        bloom_s: the upper partials reach their peak only after this time (the curved bridge of a sitar).
        sympathetic_db: level of strings that are not played but sound along; None where there are none.
        body: resonances of the body, which colour the tone and are heard themselves in the attack.
        body_t60_s: time in which those resonances die away.
        irregularity_db: spread of the fine structure of the body's response, which differs between players.
        thump_db: level of the attack noise (finger, quill, key, hammer) over the tone's.
        pickup: where a magnetic pickup senses the string, as a share of its length; None for a body's sound.
        drive: greatest gain of the amplifier that a player may set; 0 where there is none.
    """

    contact: tuple[float, float]
    corner_hz: float
    corner_octaves: float
    rolloff_db_per_octave: float
    t60_s: float
    slope_db_per_octave: float = 6.0
    stiffness: float = 5e-5
    stiffness_octave: float = 1.6
    t60_octave: float = 0.65
    damping_hz: float = 1500.0
    aftersound_db: float | None = None
    strings: int = 1
    spread_cents: float = 1.0
    octave_string_db: float | None = None
    bloom_s: float = 0.0
    sympathetic_db: float | None = None
    body: tuple[Resonance, ...] = ()
    body_t60_s: float = 0.15
    irregularity_db: float = 4.0
    thump_db: float = -25.0
    pickup: float | None = None
    drive: float = 0.0


@dataclass(frozen=True)
class Mode:
    """One way in which a body vibrates.

    Attributes:
        ratio: its frequency over the note's.
        level_db: its level at a hard stroke.
        t60: its decay time over the body's ``t60_s``.
    """

    ratio: float
    level_db: float
    t60: float


@dataclass(frozen=True)
class StruckBody:
    """A bar, tube, tine, plate or membrane struck by a mallet, or a tine plucked by a thumb.

    Attributes:
        modes: see `Mode`.
        t60_s: decay time of a mode with ``t60=1`` at middle C.
        corner_hz: above it the softness of the mallet takes ``rolloff_db_per_octave``.
        corner_octaves: how far the corner moves from the softest to the loudest note.
        rolloff_db_per_octave: fall above the corner.
        t60_octave: factor of the decay time an octave higher.
        ratio_spread: relative spread of the modes' ratios from one bar to the next.
        spread_cents: distance between the two halves of a mode that an uneven body splits.
        click_db: level of the stroke's noise over the tone's.
        click_hz: centre of the band of that noise.
        click_s: its time constant.
        motor_db: depth of the motor-driven tremolo; 0 for none.
        irregularity_db: spread of the resonators' response, which differs between players.
    """

    modes: tuple[Mode, ...]
    t60_s: float
    corner_hz: float
    corner_octaves: float
    rolloff_db_per_octave: float
    t60_octave: float = 0.6
    ratio_spread: float = 0.004
    spread_cents: float = 2.0
    click_db: float = -22.0
    click_hz: float = 1500.0
    click_s: float = 0.008
    motor_db: float = 0.0
    irregularity_db: float = 2.0


@dataclass(frozen=True)
class Instrument:
    """One row of the table.

    Attributes:
        name: the class name.
        family: its family.
        lowest: lowest MIDI pitch.
        highest: highest MIDI pitch.
        model: how it sounds.
        articulations: the ways of playing that its notes are drawn from; see `ARTICULATIONS`.
    """

    name: str
    family: str
    lowest: int
    highest: int
    model: Driven | PluckedOrStruck | StruckBody
    articulations: tuple[str, ...]


#: Ways of playing, and what each means for the sound.
ARTICULATIONS: dict[str, str] = {
    "sustained": "held at one level",
    "short": "stopped soon after it began",
    "accented": "begun fast and loud, held softer",
    "swelling": "growing and fading away again",
    "tremolo": "repeated fast",
    "ringing": "set off once and left to decay",
}
