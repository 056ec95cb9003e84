"""easyfsl's methods on given episodes of stored embeddings; `run` is called inside easyfsl's environment."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

__all__ = ["PEERS", "run"]

#: Method of this library -> easyfsl's class, as it is called there, and the arguments that differ from its defaults.
#: Embeddings of length one are what the papers of these methods start from, and what easyfsl leaves to the user.
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "prototypical": ("PrototypicalNetworks", {}),
    "simpleshot": ("SimpleShot", {}),
    "fine-tuning": ("Finetune", {}),
    "bd-cspn": ("BDCSPN", {"feature_normalization": 2.0}),
    "laplacian-shot": ("LaplacianShot", {"feature_normalization": 2.0}),
    "tim": ("TIM", {"feature_normalization": 2.0}),
    "pt-map": ("PTMAP", {"feature_normalization": 2.0}),
    "transductive-fine-tuning": ("TransductiveFinetuning", {"feature_normalization": 2.0}),
}


def run(path: str, n_threads: int) -> dict[str, dict[str, Any]]:
    """Accuracy of each episode, and the seconds for all of them, by method.

    Args:
        path: a ``.npz`` file with ``z`` ``(N, dim)``, ``support`` ``(E, n_way, n_support)`` and ``query``
            ``(E, n_way, n_query)``, the latter two as rows of ``z``.
        n_threads: threads of torch.
    """
    from torch.utils.data import Sampler

    from benchmarks.easyfsl_peer import ignore_argument

    # easyfsl 1.5.0 hands over an argument that torch has since removed.
    Sampler.__init__ = ignore_argument  # type: ignore[method-assign]
    import easyfsl.methods

    torch.set_num_threads(n_threads)
    with np.load(path) as content:
        z, support, query = (torch.from_numpy(content[name]) for name in ("z", "support", "query"))
    found = {}
    for method, (name, arguments) in PEERS.items():
        start = time.perf_counter()
        accuracies = [
            _accuracy(getattr(easyfsl.methods, name)(torch.nn.Identity(), **arguments), z[s], z[q])
            for s, q in zip(support, query, strict=True)
        ]
        found[method] = {"accuracies": accuracies, "seconds": time.perf_counter() - start}
    return found


@torch.no_grad()
def _accuracy(classifier: Any, support: torch.Tensor, query: torch.Tensor) -> float:
    """Of an episode ``(n_way, n_support, dim)`` and ``(n_way, n_query, dim)``."""
    n_way, n_support, _ = support.shape
    classifier.process_support_set(support.flatten(0, 1), torch.arange(n_way).repeat_interleave(n_support))
    predicted = classifier(query.flatten(0, 1)).argmax(dim=1)
    return float((predicted == torch.arange(n_way).repeat_interleave(query.shape[1])).float().mean())
