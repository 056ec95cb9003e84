"""Prints one table of speed and memory, from one run: ``python -m benchmarks [MEASUREMENT ...]``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.rows import Row, as_table

MEASUREMENTS = (
    "imports",
    "episodes",
    "training",
    "decoding",
    "synthetic",
    "spectrogram",
    "multiband",
    "ast",
    "annotate",
    "classify",
    "methods",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the measurements; the exit code is 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "measurements", nargs="*", metavar="MEASUREMENT", help=f"{', '.join(MEASUREMENTS)} (default all)"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.measurements if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"there is no measurement '{unknown[0]}'; expected some of {', '.join(MEASUREMENTS)}")
    rows: list[Row] = []
    for name in options.measurements or MEASUREMENTS:
        print(f"measuring {name} ...", file=sys.stderr)
        rows += importlib.import_module(f"benchmarks.{name}").measure()
    print(json.dumps([asdict(row) for row in rows]) if options.json else as_table(rows))
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
