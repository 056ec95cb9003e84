"""The errors that musicfsl raises for its users' mistakes.

Every message is one sentence that names the file or value, says what was expected and what to do.
The command line prints the sentence and exits with code 2; a traceback therefore always means a
defect of the library.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

__all__ = [
    "AudioError",
    "CacheError",
    "CheckpointError",
    "DatasetError",
    "EpisodeError",
    "InputError",
    "MissingExtraError",
    "MusicfslError",
    "did_you_mean",
    "import_extra",
]


class MusicfslError(Exception):
    """Base class of all errors that a user of the library can mend."""


class InputError(MusicfslError, ValueError):
    """An argument has the wrong value, shape or type."""


class AudioError(MusicfslError, ValueError):
    """A recording cannot be read, or holds no usable sound."""


class DatasetError(MusicfslError, ValueError):
    """A data set is missing, incomplete or laid out in another way than expected."""


class EpisodeError(MusicfslError, ValueError):
    """Episodes of the requested shape cannot be drawn from the data set."""


class CacheError(MusicfslError, OSError):
    """A cache folder cannot be written, or what lies in it is damaged."""


class CheckpointError(MusicfslError, ValueError):
    """A checkpoint is damaged, unknown, or was made for another front end."""


class MissingExtraError(MusicfslError, ImportError):
    """An optional dependency is not installed."""


def import_extra(module: str, extra: str) -> ModuleType:
    """Imports an optional dependency where it is used.

    Args:
        module: dotted name of the module, such as ``"plotly.graph_objects"``.
        extra: the extra of musicfsl that installs it, such as ``"plots"``.

    Raises:
        MissingExtraError: the package is not installed; the message holds the command that installs it.

    Example:
        >>> import_extra("json", extra="plots").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top_level = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top_level:
            raise  # the package is there, but one of its own dependencies is not
        raise MissingExtraError(
            f"{top_level} is not installed; it comes with an extra: pip install 'musicfsl[{extra}]'"
        ) from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ``" Did you mean 'x'?"`` for the known name nearest to ``name``, or ``""``.

    Example:
        >>> did_you_mean("tinysool", ["tinysol", "synthetic"])
        " Did you mean 'tinysol'?"
    """
    by_lower = {k.lower(): k for k in known}
    nearest = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f" Did you mean '{by_lower[nearest[0]]}'?" if nearest else ""
