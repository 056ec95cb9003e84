"""The tables written by hand in ``musicfsl/tables`` and users' own: YAML mappings, read so that no line is lost."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from musicfsl.errors import InputError

__all__ = ["Entry", "embedded_table", "read_mapping", "read_nested", "read_text", "write_text"]


class Entry(NamedTuple):
    """One entry of a table.

    Attributes:
        value: as YAML reads it.
        line: where its name stands, from 1.
    """

    value: Any
    line: int


def embedded_table(name: str) -> Path:
    """Path of a table that comes with the package.

    Example:
        >>> embedded_table("instruments.yaml").name
        'instruments.yaml'
    """
    return Path(str(resources.files("musicfsl") / "tables" / name))


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file; a byte-order mark at its start, as spreadsheets write it, is left out.

    Raises:
        InputError: there is no such file, it cannot be read, or it is not UTF-8.
    """
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); expected a text file") from None


def read_mapping(path: str | os.PathLike[str]) -> dict[str, Entry]:
    """A YAML file with one entry a name.

    Raises:
        InputError: the file cannot be read, is no YAML, is empty, holds something else than a mapping from names, or
            has a name twice (which YAML itself would pass over).
    """
    with _clear_errors(path):
        loader = yaml.SafeLoader(read_text(path))
        root = loader.get_single_node()
        _check_root(path, root)
        entries: dict[str, Entry] = {}
        for key_node, value_node in root.value:
            name, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(name, str):
                raise InputError(f"{path}, line {line}: {name!r} is no text; put the name into quotes")
            if name in entries:
                raise InputError(f"{path}, line {line}: '{name}' stands in line {entries[name].line} too; merge them")
            entries[name] = Entry(loader.construct_object(value_node, deep=True), line)
    return entries


def read_nested(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """A YAML file of mappings within mappings.

    Raises:
        InputError: the file cannot be read, is no YAML, is empty, holds something else than a mapping, or a mapping in
            it has a name twice (which YAML itself would pass over).
    """
    with _clear_errors(path):
        loader = yaml.SafeLoader(read_text(path))
        root = loader.get_single_node()
        _check_root(path, root)
        _refuse_names_twice(path, root, set())
        content: dict[Any, Any] = loader.construct_document(root)
    return content


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes a UTF-8 file that appears under its name only when it is complete; its folder is made where missing.

    Raises:
        InputError: the file cannot be written.
    """
    final = Path(path).expanduser()
    temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex}.tmp")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, final)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}); name another file") from None
    finally:
        with suppress(OSError):  # it has its final name, or was never written
            temporary.unlink()
    return final


@contextmanager
def _clear_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what the YAML parser raises into one sentence."""
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(f"{path}{where} is not valid YAML ({problem}); mend it") from None
    except RecursionError:
        raise InputError(f"{path} is nested too deeply; expected a few levels") from None


def _check_root(path: str | os.PathLike[str], root: Any) -> None:
    if root is None or root.value == []:
        raise InputError(f"{path} is empty; expected lines such as 'Name: value'")
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{path} is a YAML {root.id}; expected a mapping with lines such as 'Name: value'")


def _refuse_names_twice(path: str | os.PathLike[str], node: Any, seen: set[int]) -> None:
    """Looks at every mapping below a node, at each once, however often an alias leads there."""
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    lines: dict[str, int] = {}
    for child in node.value:
        if not isinstance(node, yaml.MappingNode):
            _refuse_names_twice(path, child, seen)
            continue
        key, value = child
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in lines:
                raise InputError(
                    f"{path}, line {line}: '{key.value}' stands in line {lines[key.value]} too; merge them"
                )
            lines[key.value] = line
        _refuse_names_twice(path, value, seen)
