"""Episodes on stored embeddings: time against easyfsl, and memory."""

from __future__ import annotations

import resource
import sys

import numpy as np
import torch

from benchmarks.rows import Row, best_of, in_new_process
from musicfsl import PrototypicalHead, evaluate_episodes

__all__ = ["embeddings", "measure", "peak_megabytes"]

_CLASSES, _CLIPS, _DIM = 14, 500, 512


def measure(n_episodes: int = 10_000, n_peer: int = 1_000, repeats: int = 3) -> list[Row]:
    """5-way, 5-shot, 15 queries, on 7,000 embeddings of size 512, with two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    z, targets = embeddings()
    try:
        seconds = best_of(
            repeats, lambda: evaluate_episodes(z, targets, PrototypicalHead(), 5, 5, 15, n_episodes, seed=0)
        )
    finally:
        torch.set_num_threads(threads)
    a_second = n_episodes / seconds
    rows = [
        Row(f"{n_episodes:,} episodes", f"{seconds:.2f} s", target="at most 1 s for 10,000", met=a_second >= 10_000),
        _against_easyfsl(a_second, n_peer, repeats),
    ]
    few, many = (in_new_process("benchmarks.episodes:peak_megabytes", n) for n in (n_episodes // 10, 2 * n_episodes))
    what = f"peak memory, {2 * n_episodes:,} against {n_episodes // 10:,} episodes"
    rows.append(Row(what, f"{many:.0f} MB", f"{few:.0f} MB", many / few, "at most 1.02", many <= 1.02 * few))
    return rows


def embeddings() -> tuple[torch.Tensor, np.ndarray]:
    """Noisy points around a centre a class."""
    targets = np.repeat(np.arange(_CLASSES), _CLIPS)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((_CLASSES, _DIM), dtype=np.float32)
    return torch.from_numpy(centres[targets] + 4 * rng.standard_normal((len(targets), _DIM), dtype=np.float32)), targets


def peak_megabytes(n_episodes: int) -> float:
    """Peak resident memory of a process that runs so many episodes."""
    z, targets = embeddings()
    evaluate_episodes(z, targets, PrototypicalHead(), 5, 5, 15, n_episodes)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _against_easyfsl(ours: float, n_tasks: int, repeats: int) -> Row:
    from benchmarks.easyfsl_peer import environment

    what = "episodes a second"
    try:
        answer = in_new_process("benchmarks.easyfsl_peer:run", n_tasks, repeats, python=environment())
    except (OSError, RuntimeError) as error:
        return Row(what, f"{ours:,.0f}", f"easyfsl could not be measured ({error})", target="at least 20")
    theirs = n_tasks / answer["seconds"]
    return Row(what, f"{ours:,.0f}", f"easyfsl 1.5.0: {theirs:,.0f}", ours / theirs, "at least 20", ours >= 20 * theirs)
