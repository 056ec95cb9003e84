"""The `musicfsl` command.

Every command is a file in `musicfsl.commands`, imported when it is called, so that ``musicfsl --help`` answers at once.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from musicfsl._version import __version__
from musicfsl.errors import InputError, MusicfslError, did_you_mean

__all__ = ["main"]

_USAGE = """\
musicfsl COMMAND ...

  fit         train an encoder on a data set or a folder of recordings
  validate    run the validation episodes of a checkpoint
  test        run the test episodes of a checkpoint
  evaluate    few-shot accuracy of a checkpoint on any data, with its interval
  compare     find the best encoder and method for your own sounds
  embed       write the embeddings of all clips to a file
  zeroshot    recognise classes that have no recordings: fit, evaluate, predict
  tag         recognise every instrument that sounds together: fit, evaluate, predict
  classify    which class a recording belongs to, from a few examples of each
  annotate    find out what sounds when in a long recording
  data        list, prepare or verify data sets; cut recordings into windows
  partition   split classes so that each part has some of every family
  demo        train on the embedded set and compare with the baseline

musicfsl COMMAND --help lists the options of a command.
example: musicfsl fit --data my_sounds/"""

# Command -> the function that does the work.
_FUNCTIONS = {
    "fit": "musicfsl.commands.training:fit",
    "validate": "musicfsl.commands.training:validate",
    "test": "musicfsl.commands.training:test",
    "evaluate": "musicfsl.commands.evaluate:run",
    "compare": "musicfsl.commands.compare:run",
    "embed": "musicfsl.commands.embed:run",
    "zeroshot": "musicfsl.commands.zeroshot:run",
    "tag": "musicfsl.commands.tag:run",
    "classify": "musicfsl.commands.classify:run",
    "annotate": "musicfsl.commands.annotate:run",
    "data": "musicfsl.commands.data:run",
    "partition": "musicfsl.commands.partition:run",
    "demo": "musicfsl.commands.demo:run",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: what stands behind ``musicfsl``; None takes ``sys.argv``.

    Returns:
        the exit code, which is 0, or 2 for a mistake of the user's that is told in one line.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"musicfsl {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    try:
        if name not in _FUNCTIONS:
            raise InputError(f"there is no command '{name}'.{did_you_mean(name, _FUNCTIONS)} See musicfsl --help")
        _quieten_lightning()
        module, _, function = _FUNCTIONS[name].partition(":")
        printed = getattr(importlib.import_module(module), function)(rest)
        text = json.dumps(printed.result, ensure_ascii=False) if printed.as_json else printed.text
        print(text, flush=True)
        return int(printed.code)
    except MusicfslError as error:
        print(f"musicfsl: {error}", file=sys.stderr)
        return 2
    except SystemExit as stop:  # from a parser, which has said why
        return stop.code if isinstance(stop.code, int) else 2
    except BrokenPipeError:  # what reads our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("musicfsl: stopped", file=sys.stderr)
        return 130


def _quieten_lightning() -> None:
    """Silences what Lightning tells every user and no user of this command can change."""
    # It calls names that newer jsonargparse versions warn of.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    # It advises more workers by the number of processors; reading stored features takes a few milliseconds a step.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # It calls a function that torch has renamed.
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    # It advertises a service in a log message.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()
    )
