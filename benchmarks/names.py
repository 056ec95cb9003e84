"""Which class of the embedded set is the same instrument as a folder's class of another name."""

from __future__ import annotations

from collections.abc import Iterable

from musicfsl.datasets.synthetic import IRMAS_CODES

__all__ = ["same_instrument", "without_instruments"]

# A folder's name -> the embedded classes that it may mean. Doubt leaves a class out: a "guitar" may be electric.
_OTHER_NAMES = {
    "acoustic bass guitar": ("electric bass",),
    "alto sax": ("alto saxophone",),
    "bass": ("contrabass", "electric bass"),
    "bass guitar": ("electric bass",),
    "button accordion": ("accordion",),
    "celeste": ("celesta",),
    "chimes": ("tubular bells",),
    "clarinet": ("clarinet in bb",),
    "classical guitar": ("acoustic guitar",),
    "concert flute": ("flute",),
    "contra bassoon": ("contrabassoon",),
    "contrebass": ("contrabass",),
    "double bass": ("contrabass",),
    "double bassoon": ("contrabassoon",),
    "dulcimer": ("hammered dulcimer",),
    "english horn": ("cor anglais",),
    "fiddle": ("violin",),
    "grand piano": ("piano",),
    "guitar": ("acoustic guitar", "electric guitar"),
    "horn": ("french horn",),
    "kettledrum": ("timpani",),
    "kettledrums": ("timpani",),
    "male voice": ("voice",),
    "female voice": ("voice",),
    "mbira": ("kalimba",),
    "mouth organ": ("harmonica",),
    "nylon guitar": ("acoustic guitar",),
    "panpipes": ("pan flute",),
    "pipe organ": ("organ",),
    "sax": ("alto saxophone",),
    "saxophone": ("alto saxophone",),
    "singer": ("voice",),
    "singing": ("voice",),
    "steel drum": ("steelpan",),
    "steel guitar": ("acoustic guitar", "electric guitar"),
    "string bass": ("contrabass",),
    "thumb piano": ("kalimba",),
    "tenor trombone": ("trombone",),
    "trumpet": ("trumpet in c",),
    "tuba": ("bass tuba",),
    "upright bass": ("contrabass",),
    "vibes": ("vibraphone",),
    "violoncello": ("cello",),
    "vocals": ("voice",),
} | {code: (name.lower(),) for code, name in IRMAS_CODES.items()}


def same_instrument(name: str, embedded: str) -> bool:
    """Says whether a folder's class name means (or may mean) a class of the embedded set.

    Example:
        >>> same_instrument("double-bass", "Contrabass"), same_instrument("oboe", "Flute")
        (True, False)
    """
    plain, embedded = _plain(name), _plain(embedded)
    return plain == embedded or embedded in _OTHER_NAMES.get(plain, ())


def without_instruments(embedded: Iterable[str], names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Divides classes of the embedded set into those that none of the names means, and the others."""
    embedded, names = list(embedded), list(names)
    same = [e for e in embedded if any(same_instrument(name, e) for name in names)]
    return [e for e in embedded if e not in same], same


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").replace("_", " ").split())
