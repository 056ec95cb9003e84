"""`musicfsl demo`: the whole line on the embedded set, with what it has to beat beside it."""

from __future__ import annotations

from pathlib import Path

from musicfsl.backbones import ConvEncoder
from musicfsl.baselines import mfcc_embeddings
from musicfsl.checkpoints import load_encoder
from musicfsl.datasets import open_dataset
from musicfsl.embedding import embed_dataset
from musicfsl.evaluation import EpisodeReport
from musicfsl.heads import PrototypicalHead
from musicfsl.training.data import EpisodicData
from musicfsl.training.learner import EpisodicLearner
from musicfsl.training.logs import run_loggers
from musicfsl.training.reuse import fit_best

__all__ = ["run_demo"]


def run_demo(
    dataset: str = "synthetic",
    epochs: int = 6,
    seed: int = 0,
    output: str | Path = "runs",
    cache_dir: str | None = None,
    progress: bool = True,
) -> dict[str, EpisodeReport]:
    """Trains on some classes and tests on others, that no step of the training has seen.

    Args:
        dataset: a name or a folder.
        epochs: of 50 episodes.
        seed: of the class split, the first weights and the episodes.
        output: folder for logs and checkpoints.
        cache_dir: folder for caches; None is the usual place.
        progress: show progress bars.

    Returns:
        line of the comparison -> accuracy on the test classes, over the same episodes.
    """
    data = EpisodicData(dataset, split_seed=seed, seed=seed, cache_dir=cache_dir)
    learner = EpisodicLearner(ConvEncoder(seed=seed), PrototypicalHead("cosine"))
    loggers = run_loggers(output, "demo")
    best = fit_best(learner, data, epochs, Path(str(loggers[0].log_dir)) / "checkpoints", loggers, progress)

    test = data.part("test")
    waves = open_dataset(dataset, sample_rate=test.sample_rate, duration=None).originals()
    mfcc = mfcc_embeddings(
        waves.subset(classes=test.classes),
        waves.subset(classes=data.train_classes),
        cache_dir=cache_dir,
        progress=progress,
    )
    euclidean, cosine = PrototypicalHead(), PrototypicalHead("cosine")
    untrained, trained = ConvEncoder(seed=seed), load_encoder(best)
    return {
        "mean MFCC, nearest class mean": data.evaluate("test", mfcc, euclidean),
        "untrained network": data.evaluate("test", embed_dataset(untrained, test), cosine),
        "trained network": data.evaluate("test", embed_dataset(trained, test), cosine),
    }
