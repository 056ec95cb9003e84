"""The contract of side information: names of classes in, one vector a name out.

Zero-shot learning recognises classes that nobody labelled by what else is known of them: attributes, words, texts,
pictures. Each kind is one class, in one file, and all of them are used alike.
"""

from __future__ import annotations

import difflib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import InputError

__all__ = ["SideInformation", "UnknownNameError"]


class UnknownNameError(InputError):
    """The side information knows nothing of a name."""


class SideInformation(ABC):
    """Vectors for class names. A concrete kind sets the attributes and implements `vector`.

    It never looks at sound, so a class's vector is the same whether or not a recording of it exists.

    Attributes:
        kind: short name for reports and the command line (``"attributes"``, ``"words"``, ...).
        dim: length of a vector.

    Reference:
        Y. Xian, C. H. Lampert, B. Schiele, Z. Akata, Zero-shot learning -- a comprehensive evaluation of the good,
        the bad and the ugly, IEEE TPAMI 41(9), 2019, section 2.
    """

    kind: str
    dim: int

    @abstractmethod
    def vector(self, name: str) -> NDArray[np.float32]:
        """The vector ``(dim,)`` of one name, finite and not all zero.

        Raises:
            UnknownNameError: nothing is known of the name; the message holds the nearest known ones.
        """

    @abstractmethod
    def known_names(self) -> list[str]:
        """Names that have a vector, as far as they can be listed (for messages and for ``--classes all``)."""

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Where the vectors come from (source, version or file name, licence, ...), as JSON can hold it."""

    def __call__(self, names: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of classes.

        Args:
            names: class names, at least one, each once.

        Returns:
            float32 ``(C, dim)``, a row a name in the order given; not normalised.

        Raises:
            InputError: there are no names, one is given twice, or two have the same vector (names of one instrument,
                for instance), so that nothing could tell them apart.
            UnknownNameError: nothing is known of a name.
        """
        if isinstance(names, str):
            raise InputError(f"names is the string '{names}'; expected a list of class names")
        names = list(names)
        if not names:
            raise InputError("there are no class names; give at least one")
        for name in names:
            if not isinstance(name, str) or not name.strip():
                raise InputError(f"{name!r} is no class name; expected a word or words")
            if names.count(name) > 1:
                raise InputError(f"class '{name}' is given twice; name every class once")
        vectors = np.stack([np.asarray(self.vector(name), dtype=np.float32) for name in names])
        _refuse_equal(names, vectors)
        return vectors

    def knows(self, name: str) -> bool:
        """Whether the name has a vector."""
        try:
            self.vector(name)
        except UnknownNameError:
            return False
        return True

    def fingerprint(self, names: Sequence[str]) -> str:
        """A hash of the vectors of these classes, for caches and for checkpoints."""
        vectors = self(names)
        digest = hashlib.sha256(f"{self.kind}:{vectors.shape}:{list(names)}".encode())
        digest.update(np.ascontiguousarray(vectors).tobytes())
        return digest.hexdigest()[:16]


def _refuse_equal(names: Sequence[str], vectors: NDArray[np.float32]) -> None:
    first: dict[bytes, str] = {}
    for name, vector in zip(names, vectors, strict=True):
        other = first.setdefault(vector.tobytes(), name)
        if other != name:
            raise InputError(
                f"classes '{other}' and '{name}' have the same vector, so nothing can tell them apart; keep one of them"
            )


def nearest_names(name: str, known: Iterable[str], n: int = 3) -> str:
    """``" The nearest known names are: a, b"`` for messages, or ``""`` where none is near.

    Example:
        >>> nearest_names("violine", ["Violin", "Viola", "Drum"], n=2)
        ' The nearest known names are: Violin, Viola.'
    """
    by_lower = {k.lower(): k for k in known}
    nearest = difflib.get_close_matches(name.lower(), by_lower, n=n, cutoff=0.5)
    return f" The nearest known names are: {', '.join(by_lower[k] for k in nearest)}." if nearest else ""
