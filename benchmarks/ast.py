"""Short clips through an Audio Spectrogram Transformer: at their own length, and filled up to 1024 frames.

    python -m benchmarks ast            # speed, in the table of all measurements
    python -m benchmarks.ast FOLDER     # few-shot accuracy either way, on recordings with one sub-folder a class

transformers' preprocessor fills every clip up to 1024 frames (10.24 s), musicfsl takes it as it is. The second command
tells what that does to accuracy: a small network is trained from random weights on the first half of the classes
(sorted by name), once on filled clips, as transformers' preprocessor hands them over, and once on clips as they are;
each then embeds the clips of the other half filled up, as they are with interpolated position embeddings, and with the
first ones. All are measured on the very same episodes, so that their differences have intervals of their own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from benchmarks.rows import Row, best_of
from musicfsl import AstEncoder, AudioFolder, ClassConditionalDataset, EpisodeSampler, MusicfslError, PrototypicalHead
from musicfsl.evaluation import evaluate_episodes
from musicfsl.metrics import mean_ci95

__all__ = ["Comparison", "Line", "compare", "measure", "train"]

_FULL = 1024  # frames
_SPEAKERS = r"([^/_]+)_[^/]*$"  # the speaker of spoken-digits: what stands before "_" in a file's name


def measure(n_clips: int = 64, repeats: int = 2, encoder: AstEncoder | None = None) -> list[Row]:
    """The front end beside transformers', and the network on 1 s beside 1024 frames; ``encoder``: a smaller one."""
    encoder = AstEncoder().eval() if encoder is None else encoder
    waves = torch.randn(n_clips, 1, 16000, generator=torch.Generator().manual_seed(0)).mul_(0.1)
    return [_front_end_row(encoder, waves, repeats), _network_row(encoder, waves[:1], repeats)]


def _front_end_row(encoder: AstEncoder, waves: Tensor, repeats: int) -> Row:
    import transformers

    extractor = transformers.ASTFeatureExtractor(max_length=encoder.front_end.n_frames(waves.shape[-1]))
    clips = [wave.numpy() for wave in waves[:, 0]]
    pairs = [
        (
            best_of(1, lambda: encoder.front_end(waves)),
            best_of(1, lambda: extractor(clips, sampling_rate=16000, return_tensors="pt")),
        )
        for _ in range(repeats + 1)  # the first call of either also prepares things
    ]
    ours, theirs = (1000 * min(times) for times in zip(*pairs, strict=True))
    return Row(
        f"Kaldi filter bank of {len(waves)} clips of 1 s", f"{ours:.0f} ms", f"transformers: {theirs:.0f} ms",
        ours / theirs, "below 1", ours < theirs,
    )  # fmt: skip


def _network_row(encoder: AstEncoder, waves: Tensor, repeats: int) -> Row:
    short = encoder.features(waves)
    full = encoder.front_end.pad(short, _FULL)
    with torch.no_grad():
        encoder(short)  # prepares things
        pairs = [(best_of(1, lambda: encoder(short)), best_of(1, lambda: encoder(full))) for _ in range(repeats)]
    ours, theirs = (min(times) for times in zip(*pairs, strict=True))
    millions = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
    return Row(
        f"AST of {millions:.0f} million parameters on a clip of 1 s", f"{1000 * ours:.0f} ms",
        f"filled up to {_FULL} frames: {1000 * theirs:.0f} ms", ours / theirs, "at most 0.2", ours <= 0.2 * theirs,
    )  # fmt: skip


@dataclass(frozen=True)
class Line:
    """Accuracy of one way to embed the clips of the tested classes.

    Attributes:
        trained: how the network was trained.
        embedded: how the clips are embedded.
        accuracy: mean over episodes.
        ci95: half the width of its 95 % interval.
        difference: to the same network on filled clips, on the same episodes; 0 for that one.
        difference_ci95: half the width of its 95 % interval.
    """

    trained: str
    embedded: str
    accuracy: float
    ci95: float
    difference: float
    difference_ci95: float


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        lines: one for each network and way to embed.
        about: data, protocol and training in a sentence.
    """

    lines: list[Line]
    about: str

    def __str__(self) -> str:
        rows = [["network", "clips are embedded", "accuracy", "minus filled clips"], ["---"] * 4]
        rows += [
            [
                r.trained,
                r.embedded,
                f"{r.accuracy:.3f} ± {r.ci95:.3f}",
                f"{r.difference:+.3f} ± {r.difference_ci95:.3f}",
            ]
            for r in self.lines
        ]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows) + f"\n\n{self.about}"


def compare(
    waves: ClassConditionalDataset,
    n_steps: int = 150,
    n_episodes: int = 1000,
    n_way: int = 5,
    n_support: int = 5,
    n_query: int = 15,
    hidden_size: int = 48,
    n_layers: int = 3,
    seed: int = 0,
    progress: bool = True,
) -> Comparison:
    """Trains small networks on half of the classes and measures them on the other half.

    Args:
        waves: clips of 1 s at 16 kHz; groups, where there are any, are kept apart in episodes.
        n_steps: training steps, an episode of up to 5 ways, 2 shots and 2 queries each.
        n_episodes: of the test.
        n_way: classes of a test episode.
        n_support: shots of a test episode.
        n_query: queries a class of a test episode.
        hidden_size: width of the networks.
        n_layers: their blocks.
        seed: of first weights and episodes.
        progress: say what is being done.
    """
    half = len(waves.classes) // 2
    train_part, test_part = waves.subset(waves.classes[:half]), waves.subset(waves.classes[half:])
    encoder = _network(hidden_size, n_layers, seed)
    known, unknown = (_features(encoder, part) for part in (train_part, test_part))
    lines = []
    for trained in ("untrained", "trained on filled clips", "trained on clips as they are"):
        start = time.perf_counter()
        encoder = _network(hidden_size, n_layers, seed)
        if trained != "untrained":
            features = encoder.front_end.pad(known, _FULL) if "filled" in trained else known
            train(encoder, features, train_part, n_steps, seed)
        z = _embeddings(encoder, unknown)
        reports = {
            way: evaluate_episodes(
                embeddings, test_part.targets, PrototypicalHead(), n_way, n_support, n_query, n_episodes, seed,
                test_part.groups, test_part.classes, test_part.is_synthetic,
            )
            for way, embeddings in z.items()
        }  # fmt: skip
        filled = reports["filled up"].accuracies
        for way, report in reports.items():
            difference = mean_ci95(report.accuracies - filled) if way != "filled up" else (0.0, 0.0)
            lines.append(Line(trained, way, report.mean, report.ci95, *difference))
        if progress:
            print(f"{trained}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    kind = "synthetic data" if waves.is_synthetic else "recordings"
    groups = "" if test_part.groups is None else ", support and query from different groups"
    return Comparison(
        lines,
        f"{waves.name}: trained on {', '.join(train_part.classes)} ({n_steps} episodes), tested on "
        f"{', '.join(test_part.classes)}; {n_way}-way {n_support}-shot, {n_query} queries a class{groups}, "
        f"{n_episodes} episodes, seed {seed}, chance {1 / n_way:.3f}, 95 % intervals over episodes, {kind}; AST of "
        f"{hidden_size} by {n_layers} blocks, patches of 16 by 16 without overlap.",
    )


def train(encoder: AstEncoder, features: Tensor, data: ClassConditionalDataset, n_steps: int, seed: int) -> None:
    """Trains by episodes (prototypical loss, Adam at 1e-3 with a rise and a fall), and ends in evaluation mode."""
    sampler = EpisodeSampler(data.targets, min(5, len(data.classes)), 2, 2, seed, data.groups)
    head = PrototypicalHead()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=max(8, n_steps), pct_start=0.2)
    encoder.train()
    for step in range(n_steps):
        drawn = sampler.draw(step, 1)
        support, query = (torch.from_numpy(indices[0].reshape(-1)) for indices in (drawn.support, drawn.query))
        z = encoder(features[torch.cat([support, query])])
        targets = torch.arange(sampler.n_way).repeat_interleave(2)
        loss, _ = head.episode_loss(z[: len(support)], targets, z[len(support) :], targets, None)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    encoder.eval()


def _network(hidden_size: int, n_layers: int, seed: int) -> AstEncoder:
    return AstEncoder.from_config(
        hidden_size=hidden_size, n_layers=n_layers, n_heads=3, frequency_stride=16, time_stride=16, seed=seed
    ).eval()


def _features(encoder: AstEncoder, waves: ClassConditionalDataset) -> Tensor:
    with torch.no_grad():
        return torch.stack([encoder.front_end(waves[i][0]) for i in range(len(waves))])


def _embeddings(encoder: AstEncoder, features: Tensor) -> dict[str, Tensor]:
    """How the clips are embedded -> embeddings ``(N, dim)``."""
    cropping = AstEncoder(**{**encoder.settings(), "positions": "crop"}).eval()
    cropping.load_state_dict(encoder.state_dict())
    pad = encoder.front_end.pad
    with torch.no_grad():
        batches = features.split(50)
        return {
            "filled up": torch.cat([encoder(pad(batch, _FULL)) for batch in batches]),
            "as they are, interpolated positions": torch.cat([encoder(batch) for batch in batches]),
            "as they are, the first positions": torch.cat([cropping(batch) for batch in batches]),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparison on a folder of recordings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ast", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="recordings, one sub-folder a class, at least 4 classes")
    parser.add_argument(
        "--groups", default=_SPEAKERS, metavar="PATTERN", help="what names a clip's speaker ('': there are none)"
    )
    parser.add_argument("--steps", type=int, default=150, help="training episodes (default 150)")
    parser.add_argument("--episodes", type=int, default=1000, help="test episodes (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the lines as JSON")
    options = parser.parse_args(arguments)
    try:
        waves = AudioFolder(options.folder, duration=1.0, group_pattern=options.groups or None)
        n_way = min(5, len(waves.classes) - len(waves.classes) // 2)
        result = compare(waves, options.steps, options.episodes, n_way, seed=options.seed)
    except MusicfslError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(asdict(result), ensure_ascii=False) if options.json else result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
