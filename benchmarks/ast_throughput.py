"""Training steps of the Audio Spectrogram Transformer a second, in bfloat16 and in float32.

    python -m benchmarks.ast_throughput                 # on the GPU, or a small network where there is none
    python -m benchmarks.ast_throughput --device cuda --size base

A step is an episode of 5 ways, 5 shots and 15 queries a class, 100 clips of 1 s: reading what is stored, the network
forward and backward, and AdamW. Three ways to train are measured: all blocks; the last two; and none, where steps read
stored embeddings and a temperature is all that is learned. In each, both precisions take turns in one run, and the
shortest of their turns counts. bfloat16 means autocast, as with Lightning's ``precision="bf16-mixed"``: weights and
their updates stay float32.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from benchmarks.rows import Row, as_table, best_of
from musicfsl import AstEncoder, EpisodeDataset, FeatureStore, MusicfslError, PrototypicalHead
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import InputError
from musicfsl.training.embeddings import stored_embeddings
from musicfsl.training.loading import EpisodeLoader, Share

__all__ = ["PRECISIONS", "SIZES", "Training", "measure"]

#: Name -> makes the network, given how many blocks are trained.
SIZES = {
    "base": lambda blocks: AstEncoder(trainable_blocks=blocks),
    "small": lambda blocks: AstEncoder.from_config(trainable_blocks=blocks),
}

PRECISIONS = ("bf16", "fp32")

_WAYS_TO_TRAIN = {"all blocks": None, "the last two blocks": 2, "none, stored embeddings": 0}
_N_WAY, _N_SUPPORT, _N_QUERY = 5, 5, 15
_ENDLESS = 2**62


def measure(
    device: torch.device | str = "cpu", size: str = "small", n_steps: int = 2, repeats: int = 3, n_clips: int = 30
) -> list[Row]:
    """One row for each way to train: steps a second in either precision, and their quotient.

    Args:
        device: where the network is.
        size: one of `SIZES`.
        n_steps: steps of a turn.
        repeats: turns of either precision.
        n_clips: of each of eight classes.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for what, blocks in _WAYS_TO_TRAIN.items():
            encoder = SIZES[size](blocks).to(device)
            clips = _clips(encoder, n_clips, folder)
            trainings = {name: Training(SIZES[size](blocks).to(device), clips, name) for name in PRECISIONS}
            for training in trainings.values():
                training.steps(2)  # prepares things
            seconds: dict[str, list[float]] = {name: [] for name in PRECISIONS}
            for _ in range(repeats):
                for name, training in trainings.items():
                    seconds[name].append(best_of(1, lambda training=training: training.steps(n_steps)))
            rate = {name: n_steps / min(times) for name, times in seconds.items()}
            rows.append(
                Row(
                    f"AST of {_size(encoder)} parameters, trained: {what}",
                    f"bf16: {rate['bf16']:.3g} episodes/s",
                    f"fp32: {rate['fp32']:.3g} episodes/s",
                    rate["bf16"] / rate["fp32"],
                )
            )
    return rows


class Training:
    """Training steps of a prototypical head with a learned temperature, as `EpisodicLearner` takes them.

    Args:
        encoder: on its device; put into training mode. Where no weight of it is trained, ``clips`` are embeddings.
        clips: stored features, or stored embeddings.
        precision: one of `PRECISIONS`.
        learning_rate: of AdamW.
        seed: of the episodes.
    """

    def __init__(
        self,
        encoder: AstEncoder,
        clips: ClassConditionalDataset,
        precision: str,
        learning_rate: float = 1e-4,
        seed: int = 0,
    ) -> None:
        self.encoder, self.precision = encoder.train(), precision
        self.device = next(encoder.parameters()).device
        self.head = PrototypicalHead("cosine", learn_temperature=True).to(self.device)
        weights = [p for part in (encoder, self.head) for p in part.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(weights, lr=learning_rate)
        self._embed = any(p.requires_grad for p in encoder.parameters())
        episodes = EpisodeDataset(clips, _N_WAY, _N_SUPPORT, _N_QUERY, n_episodes=_ENDLESS, seed=seed)
        self._episodes = iter(EpisodeLoader(episodes, Share(_ENDLESS)))

    def steps(self, n: int) -> Tensor:
        """The losses ``(n,)`` of the next steps, on the CPU and so complete."""
        return torch.stack([self._step() for _ in range(n)]).cpu()

    def _step(self) -> Tensor:
        episode = next(self._episodes)
        items = torch.cat([episode.support[0], episode.query[0]]).to(self.device)
        support_targets, query_targets = episode.support_targets[0], episode.query_targets[0]
        n_support = len(support_targets)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            z = self.encoder(items) if self._embed else items.flatten(1)
            loss, _ = self.head.episode_loss(
                z[:n_support],
                support_targets.to(self.device),
                z[n_support:],
                query_targets.to(self.device),
                episode.classes[0],
            )
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return loss.detach()


class _Noise(ClassConditionalDataset):
    """Clips of 1 s of noise: what they sound like makes no step longer or shorter."""

    def __init__(self, n_clips: int) -> None:
        self.name, self.classes = f"noise-{n_clips}", [f"class {c}" for c in range(8)]
        self.targets = np.repeat(np.arange(8), n_clips)
        self.lengths = np.full(8 * n_clips, 16000)
        self.sample_rate, self.is_synthetic, self.groups = 16000, True, None

    def read(self, index: int, offset: int = 0, length: int | None = None) -> Tensor:
        return torch.randn(1, 16000, generator=torch.Generator().manual_seed(index)).mul_(0.1)

    def fingerprint(self) -> str:
        return self.name


def _clips(encoder: AstEncoder, n_clips: int, folder: str) -> ClassConditionalDataset:
    """Stored filter banks, or what a frozen encoder makes of them."""
    store = FeatureStore.build(_Noise(n_clips), encoder.front_end, trim_db=None, cache_dir=folder, progress=False)
    features = store.with_length(encoder.front_end.n_frames(16000))
    if any(p.requires_grad for p in encoder.parameters()):
        return features
    return stored_embeddings(features, encoder, cache_dir=folder, progress=False)


def _size(encoder: AstEncoder) -> str:
    n = sum(parameter.numel() for parameter in encoder.parameters())
    return f"{n / 1e6:.0f} million" if n >= 1e6 else f"{n:,}"


def _device(name: str | None) -> torch.device:
    """The device of this name; None is a GPU where there is one.

    Raises:
        InputError: this machine has none.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: torch finds no such device here; give cpu, or leave it out") from error


def _about(device: torch.device, size: str, n_steps: int, repeats: int) -> str:
    """Machine, settings and what they mean, in a few sentences."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({platform.machine()})"
    text = (
        f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}; {_N_WAY}-way {_N_SUPPORT}-shot, "
        f"{_N_QUERY} queries a class, clips of 1 s; the best of {repeats} turns of {n_steps} steps; float32 products "
        f"in torch's precision '{torch.get_float32_matmul_precision()}'."
    )
    if device.type == "cpu":
        text += (
            f" This is the {size} network on a CPU; many CPUs emulate bfloat16, so the ratio says nothing of a GPU's."
        )
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ast_throughput", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", help="cuda, mps or cpu (default: a CUDA GPU where there is one)")
    parser.add_argument(
        "--size", choices=[*SIZES], help="the published network or a small one (default: base on a GPU, else small)"
    )
    parser.add_argument("--steps", type=int, help="steps of a turn (default 20 on a GPU, else 2)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of either precision (default 3)")
    parser.add_argument("--json", action="store_true", help="print rows and settings as JSON")
    options = parser.parse_args(arguments)
    for name in ("steps", "repeats"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} is {value}; expected 1 or more")
    try:
        device = _device(options.device)
        size = options.size or ("small" if device.type == "cpu" else "base")
        n_steps = options.steps or (2 if device.type == "cpu" else 20)
        rows = measure(device, size, n_steps, options.repeats)
    except MusicfslError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    about = _about(device, size, n_steps, options.repeats)
    answer = {"rows": [asdict(row) for row in rows], "about": about}
    print(json.dumps(answer, ensure_ascii=False) if options.json else f"{as_table(rows)}\n\n{about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
