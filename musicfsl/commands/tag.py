"""`musicfsl tag`: the table of its sub-commands, a file each."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from musicfsl.commands.shared import Printed
from musicfsl.errors import InputError, did_you_mean

__all__ = ["run"]

_USAGE = """\
musicfsl tag fit|evaluate|predict ...

  fit         train a tagger: first its new layers, then all of it
  evaluate    measure a checkpoint on labelled excerpts, with intervals and chance levels
  predict     say which instruments sound in recordings

musicfsl tag COMMAND --help lists the options of a command.
example: musicfsl tag predict quartet.wav --checkpoint tagger.safetensors"""

_MODULES = {name: f"musicfsl.commands.tag_{name}" for name in ("fit", "evaluate", "predict")}


def run(arguments: Sequence[str]) -> Printed:
    """Runs one of the three commands; see `musicfsl.cli`."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        raise SystemExit(0 if arguments else 2)
    name = arguments[0]
    if name not in _MODULES:
        raise InputError(
            f"there is no command 'tag {name}'.{did_you_mean(name, _MODULES)} Expected one of {', '.join(_MODULES)}"
        )
    printed: Printed = importlib.import_module(_MODULES[name]).run(list(arguments[1:]))
    return printed
