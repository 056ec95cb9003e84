"""What `musicfsl tag evaluate` and `musicfsl tag predict` share: options, thresholds, and tables."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from musicfsl._tables import write_text
from musicfsl.errors import InputError

if TYPE_CHECKING:
    from musicfsl.tagging import Tagger

__all__ = ["add_tagging_options", "thresholds_of", "write_table"]


def add_tagging_options(parser: argparse.ArgumentParser) -> None:
    """Options for how windows become answers."""
    parser.add_argument(
        "--threshold",
        default="0.6",
        metavar="P|tuned",
        help="least probability of an answer, 0 to 1, or 'tuned': those that were tuned on validation data, one a "
        "class, where the checkpoint has them (default 0.6)",
    )
    parser.add_argument(
        "--decision",
        default="mean",
        metavar="NAME",
        help="how the windows of a recording are joined: mean, max, both (halfway between), normalised (means over "
        "that of the most probable class) (default mean)",
    )
    parser.add_argument("--hop", type=float, metavar="S", help="seconds between windows (default half a window)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps (default cpu)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def thresholds_of(text: str, tagger: Tagger) -> NDArray[np.float64]:
    """The thresholds ``(C,)`` that ``--threshold`` asks for.

    Raises:
        InputError: it is neither a probability nor "tuned", or the checkpoint has no tuned thresholds.
    """
    if text == "tuned":
        if tagger.tuned_thresholds is None:
            raise InputError("the checkpoint has no tuned thresholds; give --threshold a number from 0 to 1")
        return tagger.tuned_thresholds.double().cpu().numpy()
    try:
        threshold = float(text)
    except ValueError:
        threshold = float("nan")
    if not 0 <= threshold <= 1:
        raise InputError(f"--threshold is '{text}'; expected a number from 0 to 1, or 'tuned'")
    return np.full(len(tagger.classes), threshold)


def write_table(rows: Iterable[Sequence[Any]], path: Path) -> Path:
    """Writes rows as CSV, the first of them the names of the columns."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return write_text(path, text.getvalue())
