"""The report of episodes that were answered one by one, on clips instead of embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from musicfsl._episode_reports import AnswerTally
from musicfsl.episodes import EpisodeDataset
from musicfsl.errors import InputError
from musicfsl.evaluation import EpisodeReport
from musicfsl.taxonomy import Taxonomy

__all__ = ["EpisodeTally"]


class EpisodeTally:
    """Collects the answers to all queries of a data set's episodes, over several processes where there are.

    Args:
        episodes: which are answered.
        device: where the answers lie.

    Raises:
        InputError: there are fewer than two episodes.
    """

    def __init__(self, episodes: EpisodeDataset, device: str | torch.device = "cpu") -> None:
        if len(episodes) < 2:
            raise InputError(f"there are {len(episodes)} episodes; an interval needs 2 or more")
        self._episodes = episodes
        sampler = episodes.sampler
        self._predicted = torch.zeros(len(episodes), sampler.n_way, sampler.n_query, dtype=torch.int64, device=device)
        self._seen = torch.zeros(len(episodes), dtype=torch.int64, device=device)

    def add(self, number: int, predicted: Tensor) -> None:
        """Adds the answers ``(n_way * n_query,)`` to an episode's queries, as positions among its classes."""
        self._predicted[number] = predicted.reshape(self._predicted.shape[1:])
        self._seen[number] = 1

    def report(
        self,
        reduce: Callable[..., Tensor] | None = None,
        taxonomy: Taxonomy | None = None,
        trained_on: Sequence[str] | None = None,
    ) -> EpisodeReport | None:
        """What came of it, or None where an episode is missing.

        Args:
            reduce: sums a tensor over all processes (called with ``reduce_op="sum"``), where each has answered a share
                of the episodes.
            taxonomy: as for `musicfsl.evaluate_episodes`.
            trained_on: as in `EpisodeReport`.
        """
        answers, seen = self._predicted, self._seen
        if reduce is not None:
            answers, seen = reduce(answers, reduce_op="sum"), reduce(seen, reduce_op="sum")
        if bool((seen == 0).any()):
            return None
        dataset, sampler = self._episodes.dataset, self._episodes.sampler
        drawn = sampler.draw(0, len(answers)).flattened()
        labels = np.unique(dataset.targets)
        names = [dataset.classes[label] for label in labels]
        tally = AnswerTally(sampler, labels, names, len(answers), taxonomy)
        tally.add(0, drawn, answers.cpu().numpy().reshape(len(answers), -1))
        return tally.report(is_synthetic=dataset.is_synthetic, trained_on=trained_on)
