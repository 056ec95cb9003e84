"""Networks for `benchmarks.methods`: one whose embeddings methods share, and one for each method with weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.real import fit_learner
from musicfsl import ClassConditionalDataset, ConvEncoder, EpisodeDataset, EpisodicLearner, Head, save_encoder
from musicfsl.augment import VirtualInstruments
from musicfsl.embedding import fit_whitening
from musicfsl.heads import AnilHead, FeatHead, MatchingHead, PrototypicalHead, RelationHead
from musicfsl.training import MamlLearner
from musicfsl.training.reuse import kept_file

__all__ = ["SHARED", "TRAINED", "trained"]

#: The network that methods share, trained with cosine prototypes and whitened.
SHARED = "shared"

#: Method -> the head that is trained with its network, for embeddings of a size, and a seed.
TRAINED: dict[str, Callable[[int, int], Head]] = {
    "matching": lambda dim, seed: MatchingHead(),
    "relation": lambda dim, seed: RelationHead(dim, seed=seed),
    "feat": lambda dim, seed: FeatHead(dim, seed=seed),
    "anil": lambda dim, seed: AnilHead(dim, learn_step_size=True, seed=seed),
    "maml": lambda dim, seed: AnilHead(dim, learn_step_size=True, seed=seed),
}


def trained(method: str, clips: ClassConditionalDataset, seed: int, n_steps: int, seconds: float) -> Path:
    """A network with its head, kept in the cache: a run that was interrupted goes on where it was.

    Args:
        method: `SHARED`, or one of `TRAINED`.
        clips: features to train on.
        seed: of first weights and episodes.
        n_steps: training steps, each an episode of 20 virtual instruments (5 for MAML, whose inner loop keeps the
            activations of every step), 3 shots and 3 queries.
        seconds: what the network hears of a clip at a time.
    """
    encoder = ConvEncoder(seed=seed)
    head = PrototypicalHead("cosine") if method == SHARED else TRAINED[method](encoder.dim, seed)
    decisive = {"method": method, "head": head.settings(), "steps": n_steps, "seed": seed}
    path = kept_file({"benchmark": "methods", "clips": clips.fingerprint(), **decisive}, None)
    if path.exists():
        return path
    learner = EpisodicLearner(encoder, head)
    if method == "maml":
        assert isinstance(head, AnilHead)
        learner = MamlLearner(encoder, head)
    n_way = 5 if method == "maml" else 20
    episodes = EpisodeDataset(clips, n_way, 3, 3, n_steps, seed=seed, class_augment=VirtualInstruments())
    fit_learner(learner, episodes, n_steps)
    if method == SHARED:  # the weights of other heads suit the embeddings that they were trained on
        fit_whitening(encoder, clips, seconds)
    return save_encoder(encoder, path, head=head)
