"""From a row of the table to recordings: who plays, which notes, and how they sound.

Every draw comes from a generator seeded by (seed, instrument, player) or (seed, instrument, player, note), so
that a note is the same whatever else is made, in whatever process.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicfsl.datasets._decaying import string_tone, struck_tone
from musicfsl.datasets._driven import driven_tone
from musicfsl.datasets._instruments import INSTRUMENTS
from musicfsl.datasets._models import Driven, Instrument, PluckedOrStruck
from musicfsl.datasets._players import LONGEST_NOTE_S, Floats, Player, Recording, draw_player
from musicfsl.datasets._tones import Note, recorded

__all__ = ["SYNTHESIS_VERSION", "NoteRecord", "notes_of_player", "player_of", "record_note", "records_of"]

#: Raised whenever the sound of any note changes; caches of another version are not used.
SYNTHESIS_VERSION = 1

_PLAYER, _NOTE, _SOUND = 0, 1, 2  # keep the streams of random numbers apart
_SHORT_S, _LONG_S = (0.6, 1.0), (0.9, LONGEST_NOTE_S)  # lengths of the recordings of short and other notes
_SOFTEST_DB = -15.0


@dataclass(frozen=True)
class NoteRecord:
    """What is known of a note without hearing it.

    Attributes:
        player: number of the player within the instrument.
        note: number of the note within the player.
        pitch: MIDI note number.
        dynamics: 0 (pianissimo) to 1 (fortissimo).
        articulation: a key of `ARTICULATIONS`.
        n_samples: length.
    """

    player: int
    note: int
    pitch: int
    dynamics: float
    articulation: str
    n_samples: int


def records_of(instrument: Instrument, player: int, n_notes: int, sample_rate: int, seed: int) -> list[NoteRecord]:
    """Draws what a player plays."""
    records = []
    for note in range(n_notes):
        rng = _generator(seed, instrument, _NOTE, player, note)
        articulation = instrument.articulations[int(rng.integers(len(instrument.articulations)))]
        shortest, longest = _SHORT_S if articulation == "short" else _LONG_S
        # Players keep to the middle of the range, and reach its ends now and then.
        height = rng.beta(4, 4)
        records.append(
            NoteRecord(
                player=player,
                note=note,
                pitch=round(instrument.lowest + height * (instrument.highest - instrument.lowest)),
                dynamics=round(float(rng.uniform()), 3),
                articulation=articulation,
                n_samples=round(float(rng.uniform(shortest, longest)) * sample_rate),
            )
        )
    return records


def player_of(instrument: Instrument, player: int, sample_rate: int, seed: int) -> Player:
    """Draws a player."""
    kind = np.random.default_rng(_number_of(instrument))
    return draw_player(kind, _generator(seed, instrument, _PLAYER, player), sample_rate)


def record_note(
    instrument: Instrument, player: Player, record: NoteRecord, sample_rate: int, seed: int
) -> NDArray[np.int16]:
    """Synthesises a note and records it.

    Returns:
        16-bit samples, ``(record.n_samples,)``.
    """
    rng = _generator(seed, instrument, _SOUND, record.player, record.note)
    length_s = record.n_samples / sample_rate
    short = record.articulation == "short"
    span = max(1, instrument.highest - instrument.lowest)
    note = Note(
        hz=440.0 * 2 ** ((record.pitch - 69 + (player.cents + rng.normal(0, 3)) / 100) / 12),
        height=(record.pitch - instrument.lowest) / span,
        dynamics=record.dynamics,
        articulation=record.articulation,
        sounding_s=rng.uniform(0.12, 0.3) if short else length_s * rng.uniform(0.8, 0.97),
        n_samples=record.n_samples,
        sample_rate=sample_rate,
    )
    model = instrument.model
    if isinstance(model, Driven):
        dry = driven_tone(model, note, player, rng)
    elif isinstance(model, PluckedOrStruck):
        dry = string_tone(model, note, player, rng)
    else:
        dry = struck_tone(model, note, player, rng)
    wave = _recorded(dry, note, player.recording, rng)
    return np.round(wave * 32767).astype(np.int16)


def notes_of_player(name: str, player: int, n_notes: int, sample_rate: int, seed: int) -> list[NDArray[np.int16]]:
    """Draws a player and makes all the notes; what one process does at a time."""
    instrument = INSTRUMENTS[name]
    drawn = player_of(instrument, player, sample_rate, seed)
    records = records_of(instrument, player, n_notes, sample_rate, seed)
    return [record_note(instrument, drawn, record, sample_rate, seed) for record in records]


def _recorded(dry: Floats, note: Note, recording: Recording, rng: np.random.Generator) -> Floats:
    """Loud notes come out louder, up to what the recording allows; values in [-1, 1]."""
    peak_db = recording.peak_db + _SOFTEST_DB * (1 - note.dynamics) + rng.normal(0, 1.5)
    return recorded(dry, recording, peak_db, note.sample_rate, rng)


def _generator(seed: int, instrument: Instrument, *stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, _number_of(instrument), *stream])


def _number_of(instrument: Instrument) -> int:
    """A number that belongs to the name, and does not change when the table grows."""
    return zlib.crc32(instrument.name.encode())
