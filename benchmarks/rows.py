"""What every measurement shares: a row of the table, clocks, and processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Row", "as_table", "best_of", "in_new_process"]

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what is measured.
        ours: the library's figure, with its unit.
        peer: what it is compared with, and that one's figure; "" where there is none.
        ratio: the quotient that the target speaks of; None where there is none.
        target: in words; "" for a row that only informs.
        met: whether the target is met; None where there is none, or where it could not be measured.
    """

    what: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


def as_table(rows: list[Row]) -> str:
    """The rows as a table that is also Markdown."""
    answers = {True: "yes", False: "NO", None: ""}
    cells = [["what", "ours", "peer", "ratio", "target", "met"]]
    cells += [
        [r.what, r.ours, r.peer, "" if r.ratio is None else f"{r.ratio:.2f}", r.target, answers[r.met]] for r in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    )


def best_of(n: int, function: Callable[[], object]) -> float:
    """The shortest of ``n`` times in seconds: what else the machine does can only lengthen a time."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def in_new_process(function: str, *arguments: Any, python: str | Path = sys.executable) -> Any:
    """Calls ``"benchmarks.module:function"`` in a fresh interpreter; arguments and answer travel as JSON."""
    module, _, name = function.partition(":")
    code = f"import json, sys; from {module} import {name}; print(json.dumps({name}(*json.loads(sys.argv[1]))))"
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(
        [str(python), "-c", code, json.dumps(arguments)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{function} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
