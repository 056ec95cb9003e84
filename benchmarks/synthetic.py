"""The embedded set: making it once, and opening it afterwards."""

from __future__ import annotations

import tempfile
import time

from benchmarks.rows import Row, best_of
from musicfsl import SyntheticInstruments

__all__ = ["measure"]


def measure(n_classes: int = 28, n_players: int = 6) -> list[Row]:
    """28 instruments, 6 players and 10 notes each: 1,680 notes."""
    with tempfile.TemporaryDirectory() as folder:
        names = _names()[:n_classes]

        def make() -> SyntheticInstruments:
            return SyntheticInstruments(classes=names, n_players=n_players, cache_dir=folder, progress=False)

        start = time.perf_counter()
        n_notes = len(make())
        made = time.perf_counter() - start
        opened = best_of(3, make)
    return [
        Row(f"making {n_notes:,} notes", f"{made:.1f} s", target="below 30 s on two cores", met=made < 30),
        Row("opening them afterwards", f"{1000 * opened:.0f} ms", target="below 500 ms", met=opened < 0.5),
    ]


def _names() -> list[str]:
    from musicfsl.datasets._instruments import INSTRUMENTS

    return list(INSTRUMENTS)
