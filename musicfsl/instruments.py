"""One canonical name for each instrument, whatever a data set, a folder or a user calls it.

The names and their aliases stand in ``tables/instruments.yaml``, to be read and changed by hand.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from musicfsl._tables import embedded_table, read_mapping
from musicfsl.errors import InputError

__all__ = ["canonical", "canonical_names", "name_key"]


def canonical(name: str) -> str | None:
    """The one name of the instrument that a name means.

    Args:
        name: of an instrument, in any case, with spaces, hyphens or underscores.

    Returns:
        the canonical name; None where the table knows nothing of the instrument.

    Example:
        >>> canonical("double_bass"), canonical("English Horn"), canonical("cel")
        ('Contrabass', 'Cor Anglais', 'Cello')
        >>> canonical("kazoo") is None
        True
    """
    return _canonical_of_key().get(name_key(name))


def canonical_names() -> list[str]:
    """All canonical names, in the order of the table.

    Example:
        >>> canonical_names()[:3]
        ['Violin', 'Viola', 'Cello']
    """
    return list(_table())


def name_key(name: str) -> str:
    """What two spellings of one name have in common: without case, accents and signs.

    Example:
        >>> name_key(" Cor-Anglais "), name_key("clarinet_in_B♭"), name_key("Cajón")
        ('cor anglais', 'clarinet in bb', 'cajon')
    """
    decomposed = unicodedata.normalize("NFKD", name.replace("♭", "b").replace("♯", "#").casefold())
    letters = (c if c.isalnum() or c == "#" else " " for c in decomposed if not unicodedata.combining(c))
    return " ".join("".join(letters).split())


@lru_cache(maxsize=1)
def _table() -> dict[str, list[str]]:
    return {name: entry.value for name, entry in read_mapping(embedded_table("instruments.yaml")).items()}


@lru_cache(maxsize=1)
def _canonical_of_key() -> dict[str, str]:
    canonical_of: dict[str, str] = {}
    for name, aliases in _table().items():
        for alias in (name, *aliases):
            other = canonical_of.setdefault(name_key(alias), name)
            if other != name:
                raise InputError(f"instruments.yaml: '{alias}' stands for both '{other}' and '{name}'; leave it in one")
    return canonical_of
