"""Validation and test: the clips to embed, and the episodes on their embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.embedding import ClipWindows, Window
from musicfsl.episodes import Episode, EpisodeDataset, EpisodeSampler, collate_episodes
from musicfsl.evaluation import EpisodeReport, evaluate_episodes
from musicfsl.heads import Head
from musicfsl.taxonomy import Taxonomy
from musicfsl.training.loading import Share

__all__ = ["Evaluation", "clip_loader", "episode_loader", "whitening_clips"]

_CLIPS_PER_BATCH = 64

# Clips, at most, that the whitening is fitted to.
_WHITENING_CLIPS = 600


@dataclass(frozen=True)
class Evaluation:
    """The episodes of validation and test.

    Attributes:
        n_way: ways; None is 5, or all classes of a part that has fewer.
        n_support: shots.
        n_query: queries a class.
        n_episodes: how many.
        split_groups: keep recordings apart between support and query.
        taxonomy: by which reports say how bad mistakes are; None for none.
        groups_apart: as in `musicfsl.EpisodeSampler`.
    """

    n_way: int | None
    n_support: int
    n_query: int
    n_episodes: int
    split_groups: bool
    taxonomy: Taxonomy | None
    groups_apart: Literal["class", "episode"] = "class"

    def check(self, part: ClassConditionalDataset) -> None:
        """Raises the error that names what is missing before training rather than after its first epoch."""
        EpisodeSampler(
            part.targets,
            self._ways(part),
            self.n_support,
            self.n_query,
            groups=part.groups if self.split_groups else None,
            class_names=part.classes,
            groups_apart=self.groups_apart,
        )
        if self.taxonomy is not None:
            self.taxonomy.prune(part.classes)

    def run(self, part: ClassConditionalDataset, embeddings: Tensor, head: Head, seed: int) -> EpisodeReport:
        """Runs the episodes on the embeddings ``(N, dim)`` of a part's clips."""
        return evaluate_episodes(
            embeddings,
            part.targets,
            head,
            self._ways(part),
            self.n_support,
            self.n_query,
            self.n_episodes,
            seed=seed,
            groups=part.groups if self.split_groups else None,
            class_names=part.classes,
            is_synthetic=part.is_synthetic,
            taxonomy=self.taxonomy,
            groups_apart=self.groups_apart,
        )

    def episodes(self, part: ClassConditionalDataset, seed: int) -> EpisodeDataset:
        """The same episodes as `run` takes, of clips instead of embeddings; of each clip one window."""
        return EpisodeDataset(
            part,
            self._ways(part),
            self.n_support,
            self.n_query,
            self.n_episodes,
            seed=seed,
            split_groups=self.split_groups,
            groups_apart=self.groups_apart,
        )

    def _ways(self, part: ClassConditionalDataset) -> int:
        return min(5, len(part.classes)) if self.n_way is None else self.n_way


def clip_loader(
    part: ClassConditionalDataset, max_windows: int, process: tuple[int, int], num_workers: int = 0
) -> DataLoader[Window]:
    """A loader of every clip's windows, at most ``max_windows`` of each.

    Args:
        part: clips with a length, of which a window is as long.
        max_windows: as for `ClipWindows`.
        process: number of processes that share the windows, and which one this is.
        num_workers: processes that prepare batches.
    """
    windows = ClipWindows(part, int(part.length or 0), max_windows)
    return DataLoader(
        windows,
        batch_size=_CLIPS_PER_BATCH,
        sampler=Share(len(windows), *process),
        num_workers=num_workers,
        generator=torch.Generator(),  # else it would take a number from the global random state
    )


def episode_loader(episodes: EpisodeDataset, process: tuple[int, int], num_workers: int = 0) -> DataLoader[Episode]:
    """A loader of episodes to evaluate on, which processes share; the arguments are as for `clip_loader`."""
    return DataLoader(
        episodes,
        sampler=Share(len(episodes), *process),
        num_workers=num_workers,
        collate_fn=collate_episodes,
        generator=torch.Generator(),
    )


def whitening_clips(train: ClassConditionalDataset) -> ClassConditionalDataset:
    """A few hundred clips, spread over all classes: recordings, where there are any, and no copies."""
    train = train.originals()
    if train.recorded_classes:
        train = train.subset(classes=train.recorded_classes)
    stride = -(-len(train) // _WHITENING_CLIPS)
    return train.subset(indices=np.argsort(train.targets, kind="stable")[::stride])
