"""The report of episodes that were answered one by one, on clips instead of embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from musicfsl.episodes import EpisodeDataset
from musicfsl.errors import InputError
from musicfsl.evaluation import EpisodeReport
from musicfsl.hierarchy_reports import HierarchyTally
from musicfsl.metrics import confusion_matrix, mean_ci95
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
        predicted = answers.cpu().numpy()  # (n_episodes, n_way, n_query)
        labels = np.unique(dataset.targets)
        names = [dataset.classes[label] for label in labels]
        numbers = np.searchsorted(labels, sampler.draw(0, len(predicted)).classes)  # (n_episodes, n_way)
        hierarchy = None if taxonomy is None else HierarchyTally(taxonomy, names)
        if hierarchy is not None:
            hierarchy.add(numbers, predicted)
        accuracies = (predicted == np.arange(sampler.n_way)[:, None]).mean(axis=(1, 2))
        mean, ci95 = mean_ci95(accuracies)
        answered = np.take_along_axis(numbers, predicted.reshape(len(numbers), -1), axis=1)
        return EpisodeReport(
            mean=mean,
            ci95=ci95,
            chance=1.0 / sampler.n_way,
            n_way=sampler.n_way,
            n_support=sampler.n_support,
            n_query=sampler.n_query,
            n_episodes=len(predicted),
            seed=sampler.seed,
            accuracies=accuracies,
            labels=labels.tolist(),
            class_names=names,
            confusion=confusion_matrix(np.repeat(numbers, sampler.n_query, axis=1), answered, len(labels)),
            grouped=sampler.is_grouped,
            is_synthetic=dataset.is_synthetic,
            hierarchy=None if hierarchy is None else hierarchy.report(),
            trained_on=trained_on,
        )
