"""Side information from a table: acoustical and physical attributes of instruments, written by hand.

The embedded table (``tables/attributes.csv``, whose head says what each column means and where it comes from) needs no
download, and every number in it can be read, questioned and changed.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl._tables import embedded_table, read_text
from musicfsl.errors import InputError
from musicfsl.instruments import canonical, name_key
from musicfsl.zeroshot.side_information import SideInformation, UnknownNameError, nearest_names

__all__ = ["Attributes"]

_NAME = "name"


class Attributes(SideInformation):
    """Vectors of attributes in [0, 1]: what vibrates and how, bore and reed, attack, brightness, compass and so on.

    Names are matched without regard to case, hyphens and underscores; a name that is not in the table is looked for
    under the other names of the same instrument (`musicfsl.instruments`).

    Args:
        table: a CSV file of one's own in the form of the embedded one: a line of column names that begins with
            ``name``, then one line an instrument. The attributes may be others; values lie in [0, 1]. Lines that
            start with ``#`` are remarks. None takes the embedded table.
        standardize: gives every attribute mean 0 and standard deviation 1 over the table, so that a rare one (double
            reed) weighs as much as a common one. An attribute that is the same for all becomes 0.

    Attributes:
        attribute_names: one a component of the vectors.

    Raises:
        InputError: the table cannot be read, is empty, lacks a column, has a name twice, or a value is missing, no
            number, or outside [0, 1].

    Reference:
        C. H. Lampert, H. Nickisch, S. Harmeling, Attribute-based classification for zero-shot visual object
        categorization, IEEE TPAMI 36(3), 2014. The sources of the values stand in the table's head.

    Example:
        >>> attributes = Attributes()
        >>> vectors = attributes(["Clarinet in Bb", "oboe"])
        >>> vectors.shape == (2, attributes.dim)
        True
        >>> column = attributes.attribute_names.index
        >>> vectors[:, [column("single_reed"), column("double_reed")]].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    kind = "attributes"

    def __init__(self, table: str | os.PathLike[str] | None = None, standardize: bool = False) -> None:
        self._path = Path(table) if table is not None else embedded_table("attributes.csv")
        self._is_embedded = table is None
        text = read_text(self._path)
        self._sha256 = hashlib.sha256(text.encode()).hexdigest()
        self.attribute_names, self._rows = _parse(text, self._path)
        self.dim = len(self.attribute_names)
        self.standardize = standardize
        if standardize:
            self._rows = _standardized(self._rows, self._path)
        self._name_of_key = {name_key(name): name for name in self._rows}

    def vector(self, name: str) -> NDArray[np.float32]:
        key = name_key(name)
        if key not in self._name_of_key:
            self._name_of_key[key] = self._other_name(name)
        return self._rows[self._name_of_key[key]].copy()

    def known_names(self) -> list[str]:
        return list(self._rows)

    def provenance(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "source": "musicfsl, tables/attributes.csv" if self._is_embedded else self._path.name,
            "licence": "MIT" if self._is_embedded else None,
            "sha256": self._sha256,
            "attributes": list(self.attribute_names),
            "n_instruments": len(self._rows),
            "standardize": self.standardize,
        }

    def _other_name(self, name: str) -> str:
        """The row of the same instrument under another name."""
        instrument = canonical(name)
        same = [row for row in self._rows if instrument is not None and canonical(row) == instrument]
        if len(same) == 1 or instrument in same:
            return instrument if instrument in same else same[0]
        if same:
            raise UnknownNameError(f"'{name}' may be any of {', '.join(same)} in {self._path.name}; name one of them")
        raise UnknownNameError(
            f"no attributes are known of '{name}'.{nearest_names(name, self._rows)} Use a name that {self._path.name} "
            "has, or a table of your own: Attributes(table='mine.csv')"
        )


def _parse(text: str, path: Path) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
    """Attribute names, and each instrument's values."""
    columns: list[str] | None = None
    rows: dict[str, NDArray[np.float32]] = {}
    line_of_key: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}, line {number}"
        cells = _cells(line, where)
        if columns is None:
            columns = _checked_columns(cells, where)
            continue
        name, values = _row(cells, columns, where)
        earlier = line_of_key.setdefault(name_key(name), number)
        if earlier != number:
            raise InputError(f"{where}: '{name}' stands in line {earlier} too; leave one of the two")
        rows[name] = values
    if columns is None or not rows:
        raise InputError(
            f"{path} is empty; expected a line of column names that begins with '{_NAME}', then instruments"
        )
    return columns[1:], rows


def _cells(line: str, where: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True, strict=True))]
    except csv.Error as error:
        raise InputError(f"{where}: it is no line of CSV ({error}); mend the quotes") from None


def _checked_columns(columns: list[str], where: str) -> list[str]:
    if columns[0] != _NAME:
        raise InputError(
            f"{where}: the first column is '{columns[0]}'; expected a line of column names, separated by commas, "
            f"that begins with '{_NAME}'"
        )
    if len(columns) < 2:
        raise InputError(
            f"{where}: there is no column of attributes; expected some behind '{_NAME}', with commas between"
        )
    for position, column in enumerate(columns):
        if not column:
            raise InputError(f"{where}: column {position + 1} has no name; name every column")
        if column in columns[:position]:
            raise InputError(f"{where}: column '{column}' stands there twice; name every attribute once")
    return columns


def _row(cells: list[str], columns: list[str], where: str) -> tuple[str, NDArray[np.float32]]:
    name = cells[0]
    if not name_key(name):
        raise InputError(f"{where}: the instrument has no name; expected one in the first column")
    if len(cells) < len(columns):
        raise InputError(f"{where} ('{name}'): the value of '{columns[len(cells)]}' is missing; give one a column")
    if len(cells) > len(columns):
        raise InputError(
            f"{where} ('{name}'): there are {len(cells)} cells for {len(columns)} columns; give one a column"
        )
    values = [
        _value(cell, f"{where} ('{name}', {column})") for cell, column in zip(cells[1:], columns[1:], strict=True)
    ]
    if not any(values):
        raise InputError(
            f"{where} ('{name}'): all values are 0, which tells nothing of the instrument; give it one attribute"
        )
    return name, np.array(values, dtype=np.float32)


def _value(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise InputError(f"{where}: '{cell}' is no number; expected one from 0 to 1") from None
    if math.isnan(value) or not 0 <= value <= 1:
        raise InputError(f"{where}: the value is {cell}; expected a number from 0 to 1")
    return value


def _standardized(rows: dict[str, NDArray[np.float32]], path: Path) -> dict[str, NDArray[np.float32]]:
    table = np.stack(list(rows.values())).astype(np.float64)
    is_constant = (table == table[0]).all(axis=0)
    if is_constant.all():
        raise InputError(
            f"{path} gives all its instruments the same values, so they cannot be standardised; give others"
        )
    scale = np.where(is_constant, 1, table.std(axis=0))
    return dict(zip(rows, ((table - table.mean(axis=0)) / scale).astype(np.float32), strict=True))
