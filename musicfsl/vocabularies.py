"""The labels that a multi-label data set may use: short codes in its files, full names in reports.

The published vocabularies stand in ``tables/vocabularies.yaml``, to be read and changed by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musicfsl._tables import embedded_table, read_mapping, read_nested
from musicfsl.errors import InputError, did_you_mean
from musicfsl.instruments import canonical, name_key

__all__ = ["Vocabulary", "open_vocabulary", "vocabulary_names"]


@dataclass(frozen=True)
class Vocabulary:
    """The classes of a multi-label data set, in order, and what its files call them.

    Attributes:
        name: short name for messages.
        codes: what label files call each class, such as "cel".
        names: the classes, such as "Cello", in the same order.

    Raises:
        InputError: there are no classes, a name is empty, or one label would mean two classes.

    Example:
        >>> irmas = open_vocabulary("irmas")
        >>> len(irmas.names), irmas.index("gac"), irmas.names[irmas.index("acoustic guitar")]
        (11, 3, 'Acoustic Guitar')
    """

    name: str
    codes: tuple[str, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise InputError(f"the vocabulary '{self.name}' has no classes; name at least one")
        for label in (*self.codes, *self.names):
            if not isinstance(label, str) or not name_key(label):
                raise InputError(f"the vocabulary '{self.name}' holds {label!r}; expected names with letters or digits")
        for labels in (self.codes, self.names):
            keys = [name_key(label) for label in labels]
            repeated = [label for label, key in zip(labels, keys, strict=True) if keys.count(key) > 1]
            if repeated:
                raise InputError(f"the vocabulary '{self.name}' holds '{repeated[0]}' twice; name every class once")
        for code, number in self._number_of_code.items():
            if self._number_of_name.get(code, number) != number:
                raise InputError(
                    f"the vocabulary '{self.name}' has '{self.codes[number]}' as a code of '{self.names[number]}', and "
                    "as the name of another class; change one of them"
                )

    def __len__(self) -> int:
        return len(self.names)

    def find(self, label: str) -> int | None:
        """The class that a label means: a code, a name, or another name of the same instrument; None if it is unknown.

        Upper and lower case, spaces around it, hyphens and underscores make no difference.
        """
        key = name_key(label)
        for numbers in (self._number_of_code, self._number_of_name):
            if key in numbers:
                return numbers[key]
        instrument = canonical(label)
        return None if instrument is None else self._number_of_instrument.get(instrument)

    def index(self, label: str) -> int:
        """The class that a label means; see `find`.

        Raises:
            InputError: the vocabulary lacks the label; the message names the nearest one.
        """
        number = self.find(label)
        if number is None:
            known = [*self.codes, *self.names]
            raise InputError(
                f"'{label}' is no label of the vocabulary '{self.name}'.{did_you_mean(label, known)} "
                f"It has: {', '.join(self.codes)}"
            )
        return number

    def multi_hot(self, labels: Sequence[Iterable[str]]) -> NDArray[np.uint8]:
        """Labels of every item as an array.

        Args:
            labels: for each item its codes or names, in any order; none means that no class sounds.

        Returns:
            uint8 ``(len(labels), n_classes)`` of 0 and 1.

        Raises:
            InputError: the vocabulary lacks a label.

        Example:
            >>> open_vocabulary(["Flute", "Oboe", "Harp"]).multi_hot([["harp", "flute"], []]).tolist()
            [[1, 0, 1], [0, 0, 0]]
        """
        targets = np.zeros((len(labels), len(self)), dtype=np.uint8)
        for row, of_item in zip(targets, labels, strict=True):
            if isinstance(of_item, str):
                raise InputError(f"the labels of an item are the string '{of_item}'; expected a list of labels")
            row[[self.index(label) for label in of_item]] = 1
        return targets

    @cached_property
    def _number_of_code(self) -> dict[str, int]:
        return {name_key(code): number for number, code in enumerate(self.codes)}

    @cached_property
    def _number_of_name(self) -> dict[str, int]:
        return {name_key(name): number for number, name in enumerate(self.names)}

    @cached_property
    def _number_of_instrument(self) -> dict[str, int]:
        """Canonical name -> class, where no other class has the same ("singer" and "vocals" are both Voice)."""
        instruments = [canonical(name) for name in self.names]
        return {
            instrument: number
            for number, instrument in enumerate(instruments)
            if instrument is not None and instruments.count(instrument) == 1
        }


def vocabulary_names() -> list[str]:
    """Names of the vocabularies that come with the package.

    Example:
        >>> vocabulary_names()
        ['irmas', 'openmic']
    """
    return list(_embedded())


def open_vocabulary(source: str | os.PathLike[str] | Sequence[str] | Vocabulary) -> Vocabulary:
    """Opens a vocabulary.

    Args:
        source: one of `vocabulary_names`; or a list of class names, which then are codes as well; or the path of a YAML
            file with one line ``code: Name`` a class. A `Vocabulary` is returned as it is.

    Raises:
        InputError: there is no such vocabulary or file, or it is not laid out as expected.

    Example:
        >>> open_vocabulary("openmic").codes[:3]
        ('accordion', 'banjo', 'bass')
    """
    if isinstance(source, Vocabulary):
        return source
    if not isinstance(source, (str, os.PathLike)):
        return Vocabulary("given", tuple(source), tuple(source))
    if str(source) in _embedded():
        return _embedded()[str(source)]
    path = Path(source).expanduser()
    if not path.is_file():
        raise InputError(
            f"there is no vocabulary '{source}', nor such a file.{did_you_mean(str(source), _embedded())} "
            f"Known: {', '.join(_embedded())}; or give a list of class names, or a YAML file with lines 'code: Name'"
        )
    return _from_mapping(path.stem, {code: entry.value for code, entry in read_mapping(path).items()}, path)


@lru_cache(maxsize=1)
def _embedded() -> dict[str, Vocabulary]:
    path = embedded_table("vocabularies.yaml")
    return {name: _from_mapping(name, content, path) for name, content in read_nested(path).items()}


def _from_mapping(name: str, content: Mapping[str, str], path: Path) -> Vocabulary:
    for code, class_name in content.items():
        if not isinstance(class_name, str):
            raise InputError(f"{path}: '{code}' stands for {class_name!r}; expected lines such as 'cel: Cello'")
    return Vocabulary(name, tuple(content), tuple(content.values()))
