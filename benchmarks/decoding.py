"""Decoding and resampling a folder of MP3s, against soundfile and soxr alone."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.rows import Row
from musicfsl import AudioFolder, load_audio

__all__ = ["measure"]


def measure(n_files: int = 200, n_processes: int = 2, repeats: int = 5) -> list[Row]:
    """Both take turns over the same files; the shortest time of each counts."""
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_mp3s(Path(folder), n_files)
        dataset = AudioFolder(folder, duration=None)
        if len(dataset) != n_files:
            raise RuntimeError(f"the folder holds {len(dataset)} recordings, not {n_files}")
        with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as pool:
            for _ in range(repeats + 1):
                for function, times in ((_load, ours), (_load_plainly, theirs)):
                    start = time.perf_counter()
                    lengths = list(pool.map(function, paths, chunksize=10))
                    times.append(time.perf_counter() - start)
                    if lengths != dataset.lengths.tolist():
                        raise RuntimeError("the decoded lengths differ")
    ours_best, theirs_best = min(ours[1:]), min(theirs[1:])  # the first pass starts the processes
    ratio = ours_best / theirs_best
    what = f"decoding {n_files} MP3s of 3 s to 16 kHz, {n_processes} processes"
    peer = f"soundfile + soxr: {theirs_best:.2f} s"
    return [Row(what, f"{ours_best:.2f} s", peer, ratio, "at most 1.2", ratio <= 1.2)]


def _load(path: str) -> int:
    return load_audio(path, sample_rate=16000).shape[1]


def _load_plainly(path: str) -> int:
    import soundfile
    import soxr

    samples, rate = soundfile.read(path, dtype="float32")
    return len(soxr.resample(samples, rate, 16000, quality="HQ"))


def _write_mp3s(folder: Path, n_files: int) -> list[str]:
    import soundfile

    paths = []
    for i in range(n_files):
        path = folder / f"class {i % 4}" / f"{i:04d}.mp3"
        path.parent.mkdir(exist_ok=True)
        t = np.arange(3 * 44100) / 44100
        noise = np.random.default_rng(i).standard_normal(len(t))
        soundfile.write(path, 0.4 * np.sin(2 * np.pi * (110 + 5 * i) * t) + 0.05 * noise, 44100)
        paths.append(str(path))
    return sorted(paths)
