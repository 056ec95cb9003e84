"""Which episodes or batches a process sees, in which order, also after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from musicfsl.backbones.base import Encoder
from musicfsl.episodes import Episode, collate_episodes
from musicfsl.errors import InputError

__all__ = ["EpisodeLoader", "ResumableData", "ResumableLoader", "Share"]


class Share(DistributedSampler[Any]):
    """The numbers ``rank``, ``rank + n_processes``, ... below ``n``: one process's share, nothing dealt out twice.

    With ``fresh`` every epoch goes on where the last one ended: epoch 1 begins at ``n``, epoch 2 at ``2 n``. Lightning
    takes the class for one of torch's own samplers, and so leaves it in place when it trains on several processes.

    Args:
        n: numbers an epoch, over all processes.
        n_processes: how many there are.
        rank: which one this is.
        fresh: whether epochs differ. Each process then gets equally many (``n // n_processes``), since
            processes that train together must take equally many steps.

    Example:
        >>> share = Share(6, n_processes=2, rank=1, fresh=True)
        >>> share.set_epoch(1)
        >>> list(share)
        [7, 9, 11]
    """

    def __init__(self, n: int, n_processes: int = 1, rank: int = 0, fresh: bool = False) -> None:
        super().__init__(range(n), num_replicas=n_processes, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self._n = n
        self._fresh = fresh
        self.skip = 0

    def _numbers(self) -> range:
        n = self._n - self._n % self.num_replicas if self._fresh else self._n
        first = self.epoch * self._n if self._fresh else 0
        return range(first + self.rank, first + n, self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers()[self.skip :])

    def __len__(self) -> int:
        return len(self._numbers())


class ResumableLoader(DataLoader[Any]):
    """A loader that knows how far it came, so that training resumes at the very next step.

    Lightning saves ``state_dict()`` in its checkpoints and hands it back when it resumes.

    Args:
        items: a data set long enough for all epochs.
        share: numbers of the items of this process.
        batch_size: items a step; None where an item is a whole step.
        num_workers: processes that prepare items.
        collate_fn: makes a step of items; None is torch's own.
    """

    def __init__(
        self,
        items: Dataset[Any],
        share: Share,
        batch_size: int | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        super().__init__(
            items,
            batch_size=batch_size,
            sampler=share,
            num_workers=num_workers,
            collate_fn=collate_fn,
            drop_last=batch_size is not None,
            generator=torch.Generator(),  # else it would take a number from the global random state
        )
        self._share = share
        self._steps_done = 0
        self._resumed: dict[str, int] = {}

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        # All of this happens when the first step is asked for: after a resume Lightning makes the iterator first,
        # and says only then which epoch it is for.
        same_epoch = self._resumed.get("epoch") == self._share.epoch
        self._steps_done = self._resumed.get("steps", 0) if same_epoch else 0
        self._resumed = {}
        self._share.skip = self._steps_done * (self.batch_size or 1)
        for step in _prepared_ahead(super().__iter__()):
            self._steps_done += 1
            yield step
        self._share.skip = 0

    def state_dict(self) -> dict[str, int]:
        """How far this epoch came."""
        return {"epoch": self._share.epoch, "steps": self._steps_done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Makes the next pass begin where the saved one had come to."""
        self._resumed = dict(state)


class EpisodeLoader(ResumableLoader):
    """Steps of episodes.

    Args:
        episodes: a data set long enough for all epochs.
        share: numbers of the episodes of this process.
        episodes_per_step: stacked to one batch.
        num_workers: processes that prepare episodes.
    """

    def __init__(
        self, episodes: Dataset[Episode], share: Share, episodes_per_step: int = 1, num_workers: int = 0
    ) -> None:
        super().__init__(episodes, share, episodes_per_step, num_workers, collate_episodes)


class ResumableData(pl.LightningDataModule):
    """A data module whose training goes on, after an interruption, at the very next step.

    It prepares the data for the encoder of the learner, or for a given one where nothing is trained.
    """

    def __init__(self) -> None:
        super().__init__()
        self._loader: ResumableLoader | None = None
        self._resumed: dict[str, int] = {}
        self._standalone: Encoder | None = None

    def state_dict(self) -> dict[str, int]:
        """How far training came, for Lightning's checkpoints."""
        return {} if self._loader is None else self._loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes on there.

        Lightning restores the loader by itself, but only where nobody has asked for the loader before.
        """
        self._resumed = state_dict
        if self._loader is not None:
            self._loader.load_state_dict(state_dict)

    def _resuming(self, loader: ResumableLoader) -> ResumableLoader:
        """The training loader, told how far an earlier run came."""
        self._loader = loader
        loader.load_state_dict(self._resumed)
        return loader

    def _learner(self) -> pl.LightningModule | None:
        return None if self.trainer is None else self.trainer.lightning_module

    def _encoder(self) -> Encoder:
        encoder = getattr(self._learner(), "encoder", self._standalone)
        if not isinstance(encoder, Encoder):
            raise InputError(
                f"{type(self).__name__} takes its front end from the learner; call trainer.fit(learner, "
                "datamodule=...), or setup_for(encoder) where nothing is trained"
            )
        return encoder

    def _process(self) -> tuple[int, int]:
        """Number of processes, and which one this is."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer is not None else (1, 0)


def _prepared_ahead(steps: Iterator[Any]) -> Iterator[Any]:
    """The same steps; a thread prepares the next one while the network, outside Python's lock, learns from the last."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(next, steps, None)
        while (step := ahead.result()) is not None:
            ahead = pool.submit(next, steps, None)
            yield step
