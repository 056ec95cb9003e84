"""The table of instruments behind `SyntheticInstruments`: one row each, to be read and changed by hand.

Ranges are those of the orchestra's instruments (players of today, sounding pitch). The acoustics are
textbook values, not fits to any recording. Sources:

- Fletcher and Rossing, "The Physics of Musical Instruments", 2nd ed., Springer 1998: stiffness of strings,
  modes of bars, bells, drums and pans, cut-off frequencies of winds, body resonances.
- Meyer, "Acoustics and the Performance of Music", 5th ed., Springer 2009: formants, slopes, attack times and
  dynamics of the orchestra's instruments.
- Luce and Clark, "Physical correlates of brass-instrument tones", JASA 42, 1967: fixed cut-off of brass.
- Peterson and Barney, "Control methods used in a study of the vowels", JASA 24, 1952: vowels.
- Rossing, "Acoustics of percussion instruments", The Physics Teacher 14, 1976: bars, tubes, bells.
"""

from __future__ import annotations

from musicfsl.datasets._models import Driven, Instrument, Mode, PluckedOrStruck, Rank, Resonance, StruckBody

__all__ = ["INSTRUMENTS", "IRMAS_CODES"]

#: The eleven labels of IRMAS -> the class of this set that stands for each.
IRMAS_CODES: dict[str, str] = {
    "cel": "Cello",
    "cla": "Clarinet in Bb",
    "flu": "Flute",
    "gac": "Acoustic Guitar",
    "gel": "Electric Guitar",
    "org": "Organ",
    "pia": "Piano",
    "sax": "Alto Saxophone",
    "tru": "Trumpet in C",
    "vio": "Violin",
    "voi": "Voice",
}

_BOWED = ("sustained", "sustained", "sustained", "short", "accented", "swelling", "tremolo")
_WIND = ("sustained", "sustained", "sustained", "short", "accented", "swelling")
_FLUTTER = (*_WIND, "tremolo")
_KEPT = ("sustained", "sustained", "sustained", "short")
_PLUCKED = ("ringing", "ringing", "ringing", "short")
_PICKED = ("ringing", "ringing", "ringing", "short", "tremolo")
_STRUCK = ("ringing", "ringing", "ringing", "tremolo")


def _peaks(*peaks: tuple[float, float, float]) -> tuple[Resonance, ...]:
    return tuple(Resonance(*peak) for peak in peaks)


def _modes(*modes: tuple[float, float, float]) -> tuple[Mode, ...]:
    return tuple(Mode(*mode) for mode in modes)


# fmt: off
_VOWELS = (
    _peaks((730, 16, 160), (1090, 13, 180), (2440, 8, 260), (3300, 8, 400)),   # father
    _peaks((530, 16, 130), (1840, 12, 220), (2480, 10, 280), (3400, 7, 400)),  # bed
    _peaks((300, 16, 110), (2290, 13, 240), (3010, 11, 320), (3600, 7, 400)),  # see
    _peaks((560, 17, 140), (840, 14, 160), (2410, 6, 260), (3200, 7, 400)),    # saw
    _peaks((320, 16, 110), (870, 10, 160), (2240, 3, 240), (3200, 5, 400)),    # who
)

_ROWS = (
    # ---- Bowed strings: a sawtooth from the bow, coloured by air, plate and bridge modes of the body.
    Instrument("Violin", "bowed strings", 55, 96, Driven(
        slope_db_per_octave=6, corner_hz=3400, corner_octaves=1.4, rolloff_db_per_octave=12, irregularity_db=5,
        formants=(_peaks((275, 7, 60), (450, 6, 70), (550, 8, 80), (900, -6, 300), (2600, 9, 1600)),),
        attack_s=(0.09, 0.05), release_s=0.07, noise_db=-33, noise_hz=3500, chiff_db=10,
        vibrato_cents=22, vibrato_db=1, vibrato_hz=5.8, jitter_cents=4), _BOWED),
    Instrument("Viola", "bowed strings", 48, 88, Driven(
        slope_db_per_octave=6, corner_hz=2500, corner_octaves=1.4, rolloff_db_per_octave=12, irregularity_db=5,
        formants=(_peaks((225, 7, 50), (370, 6, 60), (450, 8, 70), (750, -5, 250), (1900, 8, 1200)),),
        attack_s=(0.11, 0.06), release_s=0.08, noise_db=-32, noise_hz=2800, chiff_db=10,
        vibrato_cents=20, vibrato_db=1, vibrato_hz=5.6, jitter_cents=4), _BOWED),
    Instrument("Cello", "bowed strings", 36, 76, Driven(
        slope_db_per_octave=6, corner_hz=1800, corner_octaves=1.4, rolloff_db_per_octave=12, irregularity_db=5,
        formants=(_peaks((102, 7, 25), (185, 7, 35), (225, 6, 40), (450, -5, 150), (1300, 7, 900)),),
        attack_s=(0.13, 0.07), release_s=0.10, noise_db=-31, noise_hz=2200, chiff_db=10,
        vibrato_cents=18, vibrato_db=1, vibrato_hz=5.3, jitter_cents=4), _BOWED),
    Instrument("Contrabass", "bowed strings", 28, 67, Driven(
        slope_db_per_octave=6, corner_hz=1100, corner_octaves=1.4, rolloff_db_per_octave=13, irregularity_db=5,
        formants=(_peaks((62, 7, 18), (105, 6, 25), (165, 6, 40), (300, -4, 120), (700, 6, 500)),),
        attack_s=(0.17, 0.09), release_s=0.14, noise_db=-29, noise_hz=1600, chiff_db=11,
        vibrato_cents=14, vibrato_db=0.8, vibrato_hz=5.0, jitter_cents=5), _BOWED),

    # ---- Plucked strings.
    Instrument("Acoustic Guitar", "plucked strings", 40, 83, PluckedOrStruck(
        contact=(0.10, 0.28), corner_hz=2200, corner_octaves=2, rolloff_db_per_octave=9, t60_s=4.0, stiffness=6e-5,
        damping_hz=1300, body=_peaks((102, 9, 22), (205, 9, 30), (390, 6, 60), (560, 4, 100)), thump_db=-22), _PICKED),
    Instrument("Electric Guitar", "plucked strings", 40, 86, PluckedOrStruck(
        contact=(0.06, 0.22), corner_hz=3200, corner_octaves=1.5, rolloff_db_per_octave=9, t60_s=9.0, stiffness=6e-5,
        t60_octave=0.75, damping_hz=1800, irregularity_db=1.5, thump_db=-34, pickup=0.16, drive=40.0), _PICKED),
    Instrument("Electric Bass", "plucked strings", 28, 60, PluckedOrStruck(
        contact=(0.12, 0.3), corner_hz=900, corner_octaves=2, rolloff_db_per_octave=10, t60_s=6.0, stiffness=1.2e-4,
        t60_octave=0.8, damping_hz=900, irregularity_db=1.5, thump_db=-28, pickup=0.18), _PLUCKED),
    Instrument("Banjo", "plucked strings", 48, 86, PluckedOrStruck(
        contact=(0.05, 0.16), corner_hz=4200, corner_octaves=1.5, rolloff_db_per_octave=10, t60_s=1.3, stiffness=4e-5,
        t60_octave=0.7, damping_hz=2600, body=_peaks((290, 7, 90), (620, 9, 160), (1050, 7, 260), (2400, 6, 900)),
        body_t60_s=0.05, irregularity_db=5, thump_db=-18), _PICKED),
    Instrument("Mandolin", "plucked strings", 55, 88, PluckedOrStruck(
        contact=(0.08, 0.2), corner_hz=3400, corner_octaves=1.5, rolloff_db_per_octave=10, t60_s=2.6, stiffness=8e-5,
        damping_hz=2000, strings=2, spread_cents=4, thump_db=-20,
        body=_peaks((205, 7, 35), (410, 7, 60), (550, 6, 80), (950, 4, 200))), (*_PICKED, "tremolo")),
    Instrument("Ukulele", "plucked strings", 60, 81, PluckedOrStruck(
        contact=(0.2, 0.4), corner_hz=1500, corner_octaves=1.8, rolloff_db_per_octave=11, t60_s=1.5, stiffness=3e-5,
        damping_hz=900, body=_peaks((210, 8, 35), (390, 8, 60), (560, 5, 90)), body_t60_s=0.1, thump_db=-19), _PICKED),
    Instrument("Harp", "plucked strings", 31, 100, PluckedOrStruck(
        contact=(0.28, 0.5), corner_hz=1300, corner_octaves=2, rolloff_db_per_octave=10, t60_s=6.5, stiffness=5e-5,
        damping_hz=1100, irregularity_db=3, thump_db=-30,
        body=_peaks((155, 5, 50), (220, 5, 60), (360, 4, 90))), _PLUCKED),
    Instrument("Harpsichord", "plucked strings", 36, 86, PluckedOrStruck(
        contact=(0.08, 0.22), corner_hz=4500, corner_octaves=0.8, rolloff_db_per_octave=9, t60_s=5.5, stiffness=3e-5,
        damping_hz=2800, strings=2, spread_cents=1.5, octave_string_db=-5, body=_peaks((250, 4, 120), (900, 4, 500)),
        thump_db=-20), _PLUCKED),
    Instrument("Sitar", "plucked strings", 48, 77, PluckedOrStruck(
        contact=(0.05, 0.12), corner_hz=4500, corner_octaves=1, rolloff_db_per_octave=8, t60_s=4.5,
        slope_db_per_octave=3, damping_hz=3000, bloom_s=0.12, sympathetic_db=-16,
        body=_peaks((180, 5, 60), (420, 5, 100), (1400, 5, 700)), thump_db=-22), _PICKED),
    Instrument("Koto", "plucked strings", 43, 79, PluckedOrStruck(
        contact=(0.03, 0.09), corner_hz=2600, corner_octaves=1.6, rolloff_db_per_octave=10, t60_s=3.2, stiffness=3e-5,
        damping_hz=1500, body=_peaks((100, 4, 40), (340, 7, 80), (760, 5, 200)), thump_db=-18), _PICKED),

    # ---- Struck strings: hammers, several strings a note, a second stage of decay.
    Instrument("Piano", "struck strings", 28, 103, PluckedOrStruck(
        contact=(0.11, 0.13), corner_hz=1500, corner_octaves=2.4, rolloff_db_per_octave=11, t60_s=9.0,
        slope_db_per_octave=3, stiffness=3.5e-4, stiffness_octave=2.1, t60_octave=0.62, damping_hz=1800,
        aftersound_db=-13, strings=2, spread_cents=0.8, body=_peaks((95, 3, 60), (200, 3, 120), (1100, 3, 1200)),
        body_t60_s=0.12, irregularity_db=3, thump_db=-24), _PLUCKED),
    Instrument("Hammered Dulcimer", "struck strings", 50, 86, PluckedOrStruck(
        contact=(0.10, 0.22), corner_hz=3200, corner_octaves=1.6, rolloff_db_per_octave=10, t60_s=5.0,
        slope_db_per_octave=4, stiffness=1.2e-4, damping_hz=2200, aftersound_db=-16, strings=3, spread_cents=3,
        body=_peaks((180, 5, 60), (420, 5, 100), (800, 4, 300)), thump_db=-20), _STRUCK),
    Instrument("Clavichord", "struck strings", 41, 84, PluckedOrStruck(
        contact=(0.02, 0.06), corner_hz=2400, corner_octaves=1.4, rolloff_db_per_octave=9, t60_s=2.2,
        slope_db_per_octave=4, stiffness=6e-5, damping_hz=2000, strings=2, spread_cents=2.5,
        body=_peaks((300, 6, 90), (650, 6, 160), (1300, 4, 500)), thump_db=-15), _PLUCKED),

    # ---- Flutes: few harmonics, and the breath.
    Instrument("Flute", "flutes", 60, 96, Driven(
        slope_db_per_octave=7, corner_hz=1500, corner_octaves=1.6, rolloff_db_per_octave=14, corner_follows=0.5,
        irregularity_db=2, attack_s=(0.11, 0.05), noise_db=-28, noise_hz=2200, noise_comb=0.6, chiff_db=9,
        vibrato_cents=8, vibrato_db=3.0, vibrato_hz=5.2, tremolo_hz=24), _FLUTTER),
    Instrument("Piccolo", "flutes", 74, 105, Driven(
        slope_db_per_octave=9, corner_hz=2400, corner_octaves=1.2, rolloff_db_per_octave=14, corner_follows=0.5,
        irregularity_db=2, attack_s=(0.07, 0.03), noise_db=-26, noise_hz=4200, noise_comb=0.5, chiff_db=9,
        vibrato_cents=9, vibrato_db=2.5, vibrato_hz=5.6, tremolo_hz=24), _FLUTTER),
    Instrument("Recorder", "flutes", 65, 91, Driven(
        slope_db_per_octave=11, corner_hz=1500, corner_octaves=1.4, rolloff_db_per_octave=14, corner_follows=0.7,
        even_loss_db=7, even_cutoff_hz=3000, attack_s=(0.04, 0.025), noise_db=-31, noise_hz=3000, noise_comb=0.7,
        chiff_db=14, vibrato_cents=5, vibrato_db=1.5, vibrato_hz=4.8, tremolo_hz=24), _WIND),
    Instrument("Pan Flute", "flutes", 60, 91, Driven(
        slope_db_per_octave=9, corner_hz=1500, corner_octaves=1.7, rolloff_db_per_octave=14, corner_follows=0.6,
        even_loss_db=22, even_cutoff_hz=6000, attack_s=(0.07, 0.04), noise_db=-16, noise_hz=2400, noise_comb=0.75,
        chiff_db=14, vibrato_cents=14, vibrato_db=3.5, vibrato_hz=5.0, jitter_cents=4, scoop_cents=15), _FLUTTER),
    Instrument("Shakuhachi", "flutes", 62, 86, Driven(
        slope_db_per_octave=8, corner_hz=1700, corner_octaves=1.8, rolloff_db_per_octave=13, corner_follows=0.4,
        attack_s=(0.14, 0.08), noise_db=-17, noise_hz=3200, noise_comb=0.4, chiff_db=10, vibrato_cents=28,
        vibrato_db=3, vibrato_hz=4.4, jitter_cents=7, scoop_cents=70, tremolo_hz=20), _FLUTTER),

    # ---- Single reeds: a closed cylinder lacks even harmonics below its cut-off; a cone does not.
    Instrument("Clarinet in Bb", "single reeds", 50, 91, Driven(
        slope_db_per_octave=4, corner_hz=1500, corner_octaves=1.6, rolloff_db_per_octave=13, even_loss_db=30,
        even_cutoff_hz=1500, attack_s=(0.06, 0.04), noise_db=-41, noise_hz=2500, jitter_cents=1.5, tremolo_hz=24,
        formants=(_peaks((3200, 4, 1200)),)), _WIND),
    Instrument("Bass Clarinet", "single reeds", 34, 77, Driven(
        slope_db_per_octave=4, corner_hz=850, corner_octaves=1.6, rolloff_db_per_octave=11, even_loss_db=30,
        even_cutoff_hz=800, attack_s=(0.07, 0.05), noise_db=-38, noise_hz=1800, jitter_cents=1.5, tremolo_hz=24,
        formants=(_peaks((1800, 5, 900)),)), _WIND),
    Instrument("Alto Saxophone", "single reeds", 49, 81, Driven(
        slope_db_per_octave=3, corner_hz=1300, corner_octaves=1.8, rolloff_db_per_octave=10, irregularity_db=2.5,
        formants=(_peaks((650, 6, 350), (1500, 5, 600), (3300, 4, 1200)),), attack_s=(0.05, 0.035), noise_db=-34,
        noise_hz=2600, vibrato_cents=18, vibrato_db=2, vibrato_hz=5.2, scoop_cents=25, tremolo_hz=24), _FLUTTER),

    # ---- Double reeds: cones with strong formants and a weak fundamental.
    Instrument("Oboe", "double reeds", 58, 91, Driven(
        slope_db_per_octave=1, corner_hz=1500, corner_octaves=1.0, rolloff_db_per_octave=13,
        formants=(_peaks((1100, 11, 500), (2900, 10, 900)),), attack_s=(0.04, 0.03), noise_db=-43, noise_hz=3500,
        vibrato_cents=12, vibrato_db=2, vibrato_hz=5.4, tremolo_hz=24), _WIND),
    Instrument("Cor Anglais", "double reeds", 52, 81, Driven(
        slope_db_per_octave=1.5, corner_hz=1150, corner_octaves=1.0, rolloff_db_per_octave=13,
        formants=(_peaks((930, 11, 420), (2300, 9, 800)),), attack_s=(0.05, 0.035), noise_db=-42, noise_hz=2800,
        vibrato_cents=12, vibrato_db=2, vibrato_hz=5.2, tremolo_hz=24), _WIND),
    Instrument("Bassoon", "double reeds", 34, 74, Driven(
        slope_db_per_octave=0.5, corner_hz=600, corner_octaves=1.3, rolloff_db_per_octave=11,
        formants=(_peaks((470, 13, 220), (1150, 6, 450), (2200, 4, 700)),), attack_s=(0.05, 0.035), noise_db=-40,
        noise_hz=1800, vibrato_cents=8, vibrato_db=1.5, vibrato_hz=5.0, tremolo_hz=22), _WIND),
    Instrument("Contrabassoon", "double reeds", 22, 57, Driven(
        slope_db_per_octave=0, corner_hz=380, corner_octaves=1.3, rolloff_db_per_octave=9,
        formants=(_peaks((240, 9, 130), (440, 11, 200), (900, 5, 400)),), attack_s=(0.08, 0.06), noise_db=-34,
        noise_hz=1300, jitter_cents=4, tremolo_hz=20), _WIND),

    # ---- Free reeds: bright, several reeds a note.
    Instrument("Accordion", "free reeds", 41, 96, Driven(
        slope_db_per_octave=3, corner_hz=2400, corner_octaves=0.9, rolloff_db_per_octave=10, irregularity_db=4,
        attack_s=(0.09, 0.04), release_s=0.03, noise_db=-39, noise_hz=2500, vibrato_db=0.4, jitter_cents=1,
        ranks=(Rank(1), Rank(1, -1, 11), Rank(1, -3, -10, optional=True), Rank(0.5, -3, optional=True))), _KEPT),
    Instrument("Harmonica", "free reeds", 60, 96, Driven(
        slope_db_per_octave=2, corner_hz=2600, corner_octaves=1.0, rolloff_db_per_octave=11, irregularity_db=3,
        formants=(_peaks((700, 7, 300), (1900, 8, 500)), _peaks((450, 7, 250), (1300, 8, 400))),
        attack_s=(0.05, 0.03), noise_db=-30, noise_hz=3000, vibrato_cents=8, vibrato_db=4, vibrato_hz=5.5,
        jitter_cents=3, scoop_cents=20), _WIND),
    Instrument("Harmonium", "free reeds", 41, 84, Driven(
        slope_db_per_octave=2, corner_hz=1300, corner_octaves=0.8, rolloff_db_per_octave=11, irregularity_db=4,
        formants=(_peaks((500, 5, 250), (1200, 4, 400)),), attack_s=(0.16, 0.07), release_s=0.05, noise_db=-32,
        noise_hz=1500, ranks=(Rank(1), Rank(2, -7, 2, optional=True), Rank(0.5, -5, -2, optional=True))), _KEPT),

    # ---- Brass: flat up to a fixed cut-off that rises steeply with loudness.
    Instrument("Trumpet in C", "brass", 54, 84, Driven(
        slope_db_per_octave=1, corner_hz=1500, corner_octaves=2.6, rolloff_db_per_octave=15,
        formants=(_peaks((1250, 5, 700), (2300, 3, 900)),), attack_s=(0.045, 0.03), noise_db=-39, noise_hz=3000,
        vibrato_cents=8, vibrato_db=1, vibrato_hz=5.3, scoop_cents=20, tremolo_hz=25), _FLUTTER),
    Instrument("Trombone", "brass", 40, 72, Driven(
        slope_db_per_octave=1, corner_hz=720, corner_octaves=2.7, rolloff_db_per_octave=12,
        formants=(_peaks((560, 5, 320), (1500, 3, 600)),), attack_s=(0.06, 0.04), noise_db=-39, noise_hz=2000,
        vibrato_cents=8, vibrato_db=1, vibrato_hz=5.0, scoop_cents=30, tremolo_hz=24), _FLUTTER),
    Instrument("French Horn", "brass", 34, 77, Driven(
        slope_db_per_octave=1.5, corner_hz=430, corner_octaves=2.4, rolloff_db_per_octave=14,
        formants=(_peaks((340, 5, 220), (750, 3, 350)),), attack_s=(0.08, 0.045), noise_db=-37, noise_hz=1500,
        vibrato_cents=3, vibrato_db=0.5, vibrato_hz=4.8, scoop_cents=35, tremolo_hz=24), _FLUTTER),
    Instrument("Bass Tuba", "brass", 29, 65, Driven(
        slope_db_per_octave=1.5, corner_hz=260, corner_octaves=2.2, rolloff_db_per_octave=14,
        formants=(_peaks((220, 5, 130), (420, 3, 200)),), attack_s=(0.10, 0.06), release_s=0.06, noise_db=-34,
        noise_hz=900, vibrato_cents=3, vibrato_db=0.5, scoop_cents=25, tremolo_hz=22), _FLUTTER),

    # ---- Pitched percussion: modes of bars (1 : 2.76 : 5.40 where uniform), tubes, tines, membranes.
    Instrument("Marimba", "pitched percussion", 45, 96, StruckBody(
        modes=_modes((1, 0, 1), (3.93, -13, 0.3), (9.4, -24, 0.12), (16.5, -34, 0.06)), t60_s=1.5, corner_hz=900,
        corner_octaves=2, rolloff_db_per_octave=10, click_db=-22, click_hz=500, click_s=0.012), _STRUCK),
    Instrument("Xylophone", "pitched percussion", 65, 108, StruckBody(
        modes=_modes((1, 0, 1), (3.0, -4, 0.55), (6.1, -9, 0.35), (10.2, -16, 0.2)), t60_s=1.3, corner_hz=3500,
        corner_octaves=1.5, rolloff_db_per_octave=9, click_db=-12, click_hz=2500, click_s=0.006), _STRUCK),
    Instrument("Vibraphone", "pitched percussion", 53, 89, StruckBody(
        modes=_modes((1, 0, 1), (3.98, -11, 0.3), (9.8, -24, 0.12)), t60_s=9.0, corner_hz=1100, corner_octaves=2,
        rolloff_db_per_octave=10, t60_octave=0.7, click_db=-30, click_hz=800, motor_db=5), _PICKED),
    Instrument("Glockenspiel", "pitched percussion", 79, 108, StruckBody(
        modes=_modes((1, 0, 1), (2.76, -9, 0.6), (5.4, -15, 0.35), (8.93, -22, 0.2)), t60_s=12.0, corner_hz=5000,
        corner_octaves=1.5, rolloff_db_per_octave=8, click_db=-17, click_hz=5000, click_s=0.004), _STRUCK),
    Instrument("Celesta", "pitched percussion", 60, 108, StruckBody(
        modes=_modes((1, 0, 1), (2.76, -13, 0.4), (4.0, -16, 0.4), (5.4, -20, 0.2)), t60_s=4.5, corner_hz=1500,
        corner_octaves=1.8, rolloff_db_per_octave=9, t60_octave=0.65, click_db=-22, click_hz=700, click_s=0.02),
        _PLUCKED),
    Instrument("Tubular Bells", "pitched percussion", 60, 77, StruckBody(
        modes=_modes((0.224, -26, 1), (0.617, -16, 1), (1.21, -9, 1), (2.0, 0, 1), (2.99, -1, 0.7), (4.17, -5, 0.5),
                     (5.56, -9, 0.35), (7.1, -14, 0.25)), t60_s=11.0, corner_hz=2600, corner_octaves=1.6,
        rolloff_db_per_octave=9, spread_cents=3, click_db=-22, click_hz=2500), _PLUCKED),
    Instrument("Steelpan", "pitched percussion", 60, 88, StruckBody(
        modes=_modes((1, 0, 1), (2.0, -3, 0.8), (3.01, -13, 0.5), (4.0, -12, 0.5), (5.1, -22, 0.3), (6.3, -25, 0.3)),
        t60_s=2.2, corner_hz=1500, corner_octaves=2.2, rolloff_db_per_octave=9, spread_cents=9, ratio_spread=0.006,
        click_db=-24, click_hz=1200), _STRUCK),
    Instrument("Kalimba", "pitched percussion", 60, 88, StruckBody(
        modes=_modes((1, 0, 1), (2.0, -26, 0.5), (5.9, -11, 0.2), (15.8, -22, 0.08)), t60_s=2.2, corner_hz=1700,
        corner_octaves=1.5, rolloff_db_per_octave=9, ratio_spread=0.05, click_db=-13, click_hz=450, click_s=0.02),
        _PLUCKED),
    Instrument("Timpani", "pitched percussion", 38, 57, StruckBody(
        modes=_modes((0.85, -14, 0.12), (1, 0, 1), (1.5, -3, 0.9), (1.98, -7, 0.7), (2.44, -11, 0.5), (2.9, -15, 0.4),
                     (3.4, -19, 0.3)), t60_s=2.0, corner_hz=420, corner_octaves=1.8, rolloff_db_per_octave=9,
        t60_octave=0.8, ratio_spread=0.008, click_db=-13, click_hz=220, click_s=0.03), _STRUCK),

    # ---- Voice and organ.
    Instrument("Voice", "voice", 43, 81, Driven(
        slope_db_per_octave=6, corner_hz=2200, corner_octaves=1.4, rolloff_db_per_octave=6, formants=_VOWELS,
        irregularity_db=2, attack_s=(0.09, 0.07), release_s=0.07, noise_db=-33, noise_hz=3500, chiff_db=3,
        vibrato_cents=45, vibrato_db=1.5, vibrato_hz=5.6, jitter_cents=9, scoop_cents=60),
        _WIND),
    Instrument("Organ", "organ", 36, 96, Driven(
        slope_db_per_octave=8, corner_hz=3000, corner_octaves=0.8, rolloff_db_per_octave=12, corner_follows=0.4,
        irregularity_db=2, attack_s=(0.06, 0.02), release_s=0.05, noise_db=-38, noise_hz=2500, noise_comb=0.6,
        chiff_db=16, jitter_cents=0.5, ranks=(
            Rank(1), Rank(2, -4, 1), Rank(3, -9, 0, optional=True), Rank(4, -7, -1, optional=True),
            Rank(0.5, -6, 1, optional=True))), _KEPT),
)
# fmt: on

#: Class name -> instrument, in the order of the table.
INSTRUMENTS: dict[str, Instrument] = {row.name: row for row in _ROWS}
