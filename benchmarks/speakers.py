"""Episodes in which no speaker is heard on both sides, of whatever words.

By default the library divides the groups of each class by themselves, which is all that there is to do where a player
plays one instrument. Speakers say all words: one could be a support of "one" and a query of "two" in the same episode,
and draw the query to the wrong word. Here all speakers of an episode are divided at once; ``groups_apart="episode"``
divides those of all words at once, which needs more of them.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl import EpisodeSampler, Head
from musicfsl.errors import InputError

__all__ = ["accuracies_across_speakers", "divisions"]

# Speakers, up to which every way to divide them is taken in turn.
_FEW = 4
_N_RANDOM = 16
_EPISODES_AT_ONCE = 200


def divisions(speakers: NDArray[np.int64], seed: int = 0) -> list[NDArray[np.int64]]:
    """The speakers of the support side, for each way to divide them.

    Args:
        speakers: int64 ``(N,)``, of each clip.
        seed: of the choice, where there are many speakers: halves then.

    Raises:
        InputError: there is one speaker only.

    Example:
        >>> [side.tolist() for side in divisions(np.array([4, 4, 7, 9]))]
        [[4], [7], [9], [4, 7], [4, 9], [7, 9]]
    """
    known = np.unique(speakers)
    if len(known) < 2:
        raise InputError("all clips are of one speaker; support and query need different ones")
    if len(known) <= _FEW:
        sizes = range(1, len(known))
        return [np.array(side) for size in sizes for side in itertools.combinations(known.tolist(), size)]
    rng = np.random.default_rng(seed)
    return [np.sort(rng.permutation(known)[: len(known) // 2]) for _ in range(_N_RANDOM)]


def accuracies_across_speakers(
    embeddings: Tensor,
    targets: NDArray[np.int64],
    speakers: NDArray[np.int64],
    head: Head,
    n_way: int,
    n_support: int,
    n_query: int,
    n_episodes: int,
    seed: int,
    class_names: list[str],
) -> NDArray[np.float64]:
    """Accuracy of each episode, as `musicfsl.evaluate_episodes` runs them, but for the speakers.

    Args:
        embeddings: ``(N, dim)``.
        targets: int64 ``(N,)``.
        speakers: int64 ``(N,)``.
        head: without a state of its own.
        n_way: classes an episode.
        n_support: labelled clips a class.
        n_query: clips to recognise a class.
        n_episodes: shared out among the divisions of the speakers.
        seed: of divisions and episodes.
        class_names: names by label, for messages.

    Raises:
        EpisodeError: the speakers of one side have not enough clips of a class.
        InputError: there is one speaker only.
    """
    sides = divisions(speakers, seed)
    accuracies = []
    for number, side in enumerate(sides):
        is_support = np.isin(speakers, side)
        clips = [np.flatnonzero(is_support), np.flatnonzero(~is_support)]
        # Of one seed and shape, they draw the same classes.
        samplers = [EpisodeSampler(targets[c], n_way, n_support, n_query, seed, None, class_names) for c in clips]
        first, last = (n_episodes * k // len(sides) for k in (number, number + 1))
        for start in range(first, last, _EPISODES_AT_ONCE):
            count = min(_EPISODES_AT_ONCE, last - start)
            support, query = (sampler.draw(start, count) for sampler in samplers)
            assert (support.classes == query.classes).all()
            accuracies.append(_run(embeddings, head, clips[0][support.support], clips[1][query.query]))
    return np.concatenate(accuracies)


@torch.no_grad()
def _run(z: Tensor, head: Head, support: NDArray[np.int64], query: NDArray[np.int64]) -> NDArray[np.float64]:
    """Accuracies of episodes of clips ``(episodes, n_way, k)``."""
    n_episodes, n_way, n_support = support.shape
    support_targets = torch.arange(n_way).repeat_interleave(n_support)
    logits = head(z[support.reshape(n_episodes, -1)], support_targets, z[query.reshape(n_episodes, -1)], None)
    predicted = logits.argmax(-1).numpy().reshape(query.shape)
    accuracies: NDArray[np.float64] = (predicted == np.arange(n_way)[:, None]).mean(axis=(1, 2))
    return accuracies
