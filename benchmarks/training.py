"""Training on stored features: how long it waits for data, and what reading costs."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.rows import Row, in_new_process
from musicfsl import ConvEncoder, EpisodeDataset, FeatureStore, PrototypicalHead, SyntheticInstruments
from musicfsl.augment import VirtualInstruments
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.training.loading import EpisodeLoader, Share

__all__ = ["measure", "read_store"]

_CLASSES = ["Cello", "Flute", "Oboe", "Harp", "Organ", "Piano", "Trombone", "Violin"]
_FRAMES = 63  # 1 s


def measure(n_steps: int = 60, megabytes: tuple[int, int] = (250, 600)) -> list[Row]:
    """The default recipe of `EpisodicData`, and stores of random features."""
    with tempfile.TemporaryDirectory() as folder:
        encoder = ConvEncoder()
        sounds = SyntheticInstruments(n_players=4, classes=_CLASSES, duration=None, progress=False)
        store = FeatureStore.build(sounds, encoder.front_end, n_frames=_FRAMES, cache_dir=folder, progress=False)
        waited, worked = _train(encoder, store, n_steps)
        share = waited / (waited + worked)
        hundred = EpisodeDataset(store, n_way=5, n_support=5, n_query=15, n_episodes=1000)
        read = statistics.median(_seconds_to_read(hundred, i) for i in range(min(200, 4 * n_steps)))
        small, large = (in_new_process("benchmarks.training:read_store", folder, size) for size in megabytes)
    growth = large - small
    what = f"memory for reading {megabytes[1]} MB, above {megabytes[0]} MB of features"
    limit = 16  # both stores are larger than the pages (about 100 MB) that are kept before they are handed back
    return [
        Row(
            "waiting for data, share of a training step",
            f"{1000 * waited:.1f} ms",
            f"step: {1000 * (waited + worked):.0f} ms",
            share,
            "at most 0.05",
            share <= 0.05,
        ),
        Row("reading an episode of 100 log-mels", f"{1000 * read:.2f} ms", target="below 5 ms", met=read < 0.005),
        Row(what, f"{growth:+.0f} MB", target=f"below {limit} MB", met=growth < limit),
    ]


def _train(encoder: ConvEncoder, store: ClassConditionalDataset, n_steps: int) -> tuple[float, float]:
    """Median seconds a step: for data, and for everything else."""
    episodes = EpisodeDataset(store, 20, 3, 3, n_episodes=n_steps + 3, class_augment=VirtualInstruments())
    loader = iter(EpisodeLoader(episodes, Share(n_steps + 3)))
    head = PrototypicalHead("cosine")
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-3)
    waited, worked = [], []
    encoder.train()
    for _ in range(n_steps + 3):
        start = time.perf_counter()
        episode = next(loader)
        ready = time.perf_counter()
        z: Tensor = encoder(torch.cat([episode.support[0], episode.query[0]]))
        n_support = episode.support.shape[1]
        logits = head(z[:n_support], episode.support_targets[0], z[n_support:], episode.classes[0])
        optimizer.zero_grad()
        torch.autograd.backward(head.loss(logits, episode.query_targets[0], episode.classes[0]))
        optimizer.step()
        waited.append(ready - start)
        worked.append(time.perf_counter() - ready)
    return statistics.median(waited[3:]), statistics.median(worked[3:])  # the first steps warm up


def _seconds_to_read(episodes: EpisodeDataset, index: int) -> float:
    start = time.perf_counter()
    episodes[index]
    return time.perf_counter() - start


class _RandomWaves(ClassConditionalDataset):
    """As many clips as asked for; the front end below ignores what they sound like."""

    def __init__(self, n_clips: int) -> None:
        self.name, self.classes = f"random-{n_clips}", ["a", "b", "c", "d", "e"]
        self.targets = np.arange(n_clips) % 5
        self.lengths = np.full(n_clips, 16000)
        self.sample_rate, self.is_synthetic, self.groups = 16000, True, None

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        return torch.ones(1, 16000)

    def fingerprint(self) -> str:
        return self.name


class _RandomFeatures:
    """A front end that makes 5 s of random log-mels of anything."""

    sample_rate, silence = 16000, 0.0

    def __call__(self, wave: Tensor) -> Tensor:
        return torch.randn(64, 5 * _FRAMES)

    def settings(self) -> dict[str, str]:
        return {"kind": "random"}


def read_store(folder: str, megabytes: int) -> float:
    """Resident memory, in MB above what was there before, after every clip of a store was read."""
    n_clips = max(100, megabytes * 2**20 // (4 * 64 * 5 * _FRAMES))
    store = FeatureStore.build(_RandomWaves(n_clips), _RandomFeatures(), cache_dir=folder, trim_db=None, progress=False)
    before = _resident_megabytes()
    highest = before
    for index in np.random.default_rng(0).permutation(n_clips):
        store.read(int(index))
        if index % 50 == 0:
            highest = max(highest, _resident_megabytes())
    return highest - before


def _resident_megabytes() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        raise RuntimeError("resident memory is read from /proc, which this system does not have")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
