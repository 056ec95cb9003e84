"""Annotating long recordings: speed against real time, and memory against length."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.rows import Row, in_new_process

__all__ = ["annotate_once", "measure"]

_RATE = 44100  # of the recording, which has to be resampled
_CLASSES = 10


def measure(minutes: tuple[float, ...] = (1, 10, 60), n_threads: int = 2) -> list[Row]:
    """FLAC at 44.1 kHz, ten classes, the conv encoder, windows of 1 s every 0.5 s; a process for each length."""
    rows, peaks = [], []
    with tempfile.TemporaryDirectory() as folder:
        for length in minutes:
            path = Path(folder) / "recording.flac"
            _write(path, length)
            found = in_new_process("benchmarks.annotate:annotate_once", str(path), n_threads)
            ratio = length * 60 / found["seconds"]
            peaks.append(found["megabytes"])
            what = f"annotating {length:g} min with {n_threads} threads"
            ours = f"{found['seconds']:.1f} s ({found['busy']:.1f} s of processor time)"
            others = f"others on the machine: load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
            rows.append(Row(what, ours, others, ratio, "at least 50 times real time", ratio >= 50))
    growth = peaks[-1] / peaks[0]
    what = f"peak memory, {minutes[-1]:g} against {minutes[0]:g} min"
    rows.append(Row(what, f"{peaks[-1]:.0f} MB", f"{peaks[0]:.0f} MB", growth, "at most 1.1", growth <= 1.1))
    return rows


def annotate_once(path: str, n_threads: int) -> dict[str, Any]:
    """Time and peak resident memory of annotating one recording, without what is done once for all recordings.

    Returns:
        ``seconds`` that passed, ``busy`` seconds of processor time, and ``megabytes``.
    """
    from musicfsl import ConvEncoder, PrototypicalHead
    from musicfsl.annotation import Recognizer, Support, annotate_recording

    torch.set_num_threads(n_threads)
    encoder = ConvEncoder()
    z = torch.randn(5 * _CLASSES, encoder.dim, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(_CLASSES).repeat_interleave(5)
    support = Support(z, torch.arange(len(z)), targets, [f"class {c}" for c in range(_CLASSES)], 1.0)
    recognizer = Recognizer(encoder, PrototypicalHead("cosine"), support)
    start, busy = time.perf_counter(), time.process_time()
    annotate_recording(path, recognizer, hop=0.5)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
    return {"seconds": seconds, "busy": busy, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}


def _write(path: Path, minutes: float) -> None:
    """Tones that change twice a second, in noise, written piece by piece."""
    import soundfile

    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", _RATE, 1) as file:
        t = np.arange(_RATE // 2) / _RATE
        for _ in range(round(minutes * 120)):
            tone = np.sin(2 * np.pi * rng.uniform(100, 2000) * t) * np.exp(-4 * t)
            file.write(0.5 * tone + 0.01 * rng.normal(size=len(t)))
