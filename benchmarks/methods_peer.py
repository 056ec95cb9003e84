"""The methods that easyfsl has, in both libraries, on the same episodes of the same embeddings."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.easyfsl_methods import PEERS
from benchmarks.easyfsl_peer import environment
from benchmarks.methods_results import PeerRun
from benchmarks.rows import in_new_process
from musicfsl import ClassConditionalDataset, EpisodeSampler, Head, PrototypicalHead, evaluate_episodes
from musicfsl.comparison import untrained_methods
from musicfsl.heads import (
    BdCspnHead,
    FineTuningHead,
    LaplacianShotHead,
    PtMapHead,
    TimHead,
    TransductiveFineTuningHead,
)

__all__ = ["LIKE_EASYFSL", "beside_easyfsl"]

#: Method -> the head with the settings that come nearest to easyfsl's.
LIKE_EASYFSL: dict[str, Head] = {
    "prototypical": PrototypicalHead(),
    "simpleshot": PrototypicalHead("cosine"),
    "fine-tuning": FineTuningHead("cosine", n_steps=200, learning_rate=1e-4, weight_decay=0.0, temperature=1.0),
    "bd-cspn": BdCspnHead(scale=1.0, n_pseudo=None, centre=False),
    "laplacian-shot": LaplacianShotHead(smoothing=0.7, scale=100.0, centre=False),
    "tim": TimHead(centre=False),
    "pt-map": PtMapHead(n_steps=10),
    "transductive-fine-tuning": TransductiveFineTuningHead(centre=False),
}


def beside_easyfsl(
    z: Tensor,
    tested: ClassConditionalDataset,
    shape: tuple[int, int, int],
    n_episodes: int,
    seed: int,
    n_threads: int,
) -> list[PeerRun]:
    """Both libraries' accuracies and times, method by method; none, and a message, where easyfsl cannot be installed.

    Args:
        z: embeddings ``(N, dim)`` of the tested clips.
        tested: the clips.
        shape: ways, shots, and queries a class.
        n_episodes: the first so many of the seed.
        seed: of the episodes.
        n_threads: threads of either library.
    """
    drawn = EpisodeSampler(tested.targets, *shape, seed, tested.groups).draw(0, n_episodes)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "episodes.npz")
        np.savez(path, z=z.numpy(), support=drawn.support, query=drawn.query)
        try:
            theirs = in_new_process("benchmarks.easyfsl_methods:run", path, n_threads, python=environment())
        except (OSError, RuntimeError) as error:
            print(f"easyfsl could not be measured ({error})", file=sys.stderr)
            return []

    def ours(head: Head) -> NDArray[np.float64]:
        return evaluate_episodes(z, tested.targets, head, *shape, n_episodes, seed, groups=tested.groups).accuracies

    methods = untrained_methods()
    found = []
    for method in PEERS:
        start = time.perf_counter()
        accuracies = ours(methods[method])
        seconds = time.perf_counter() - start
        found.append(
            PeerRun(
                method,
                accuracies,
                ours(LIKE_EASYFSL[method]),
                np.array(theirs[method]["accuracies"]),
                seconds,
                theirs[method]["seconds"],
            )
        )
    return found
