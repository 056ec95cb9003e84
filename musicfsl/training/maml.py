"""MAML: an encoder that is trained to be trained, on a few sounds, by a few gradient steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import functional_call, grad
from torch.nn.modules.batchnorm import _BatchNorm

from musicfsl._progress import progress_bar
from musicfsl.backbones.base import Encoder
from musicfsl.embedding import Window, check_fits
from musicfsl.episodes import Episode, EpisodeDataset
from musicfsl.errors import InputError
from musicfsl.evaluation import EpisodeReport
from musicfsl.heads import AnilHead
from musicfsl.heads.anil import LinearState
from musicfsl.heads.base import Classes, class_members, mean_cross_entropy
from musicfsl.training._episode_tally import EpisodeTally
from musicfsl.training._weights import is_frozen
from musicfsl.training.data import Stage
from musicfsl.training.learner import EpisodicLearner

__all__ = ["AdaptedWeights", "MamlLearner"]

#: Weights after an inner loop, under their names in the learner: ``encoder.*``, ``head.weight`` and ``head.bias``.
AdaptedWeights = dict[str, Tensor]


class MamlLearner(EpisodicLearner):
    r"""Model-agnostic meta-learning: finds weights from which a few steps on a support set lead to a good classifier.

    In every episode the weights of encoder and linear classifier take a few steps down the cross-entropy of the
    support set, :math:`\theta_{t+1} = \theta_t - \alpha \nabla L_{\mathrm{support}}(\theta_t)`, all from the same
    :math:`\theta_0`. The loss of the queries under the last weights, averaged over the episodes of a training step, is
    what :math:`\theta_0` is trained by. The head (`AnilHead`) holds the classifier's first weights, number and size of
    the steps, and whether second derivatives are taken (MAML) or left out (``first_order``, which needs less time and
    memory).

    With ``inner="head"`` the steps change the classifier alone (ANIL). This is what `EpisodicLearner` does with an
    `AnilHead`, evaluation on embeddings of clips included, and many times as fast.

    Otherwise validation and test adapt to the sounds of every episode (``eval_episodes`` of `EpisodicData`; a few
    hundred suffice for a choice), of each clip to one window. Their episodes are those of other heads, so results can
    be compared episode by episode. `evaluate` does the same without a trainer.

    MAML's authors normalise over the batch, queries included, so that these tell of one another. Here each item is
    normalised by itself, and encoders with batch normalisation are refused. Whitening is reset when training begins.

    A checkpoint holds encoder and head as for any other training, and
    ``MamlLearner(load_encoder(path), load_head(path))`` is the learner again.

    Args:
        encoder: a small network; an episode keeps its activations of every step.
        head: None is ``AnilHead(encoder.dim)``.
        inner: what the inner loop changes, ``"all"`` weights that require a gradient, or those of the ``"head"`` alone.
        learning_rate: of the outer loop, as for `EpisodicLearner`.
        weight_decay: likewise.

    Raises:
        InputError: the encoder has batch normalisation, the head is no `AnilHead`, or a setting is out of range.

    Reference:
        C. Finn, P. Abbeel, S. Levine, Model-agnostic meta-learning for fast adaptation of deep networks, ICML 2017,
        algorithm 2 and section 5.2 (first order); A. Raghu, M. Raghu, S. Bengio, O. Vinyals, Rapid learning or feature
        reuse? Towards understanding the effectiveness of MAML, ICLR 2020; on the authors' batch normalisation:
        J. Bronskill et al., TaskNorm: rethinking batch normalization for meta-learning, ICML 2020.

    Example:
        >>> from musicfsl.backbones import ConvEncoder
        >>> encoder = ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))
        >>> learner = MamlLearner(encoder, AnilHead(encoder.dim, n_steps=2))
        >>> tones = torch.sin(torch.outer(torch.tensor([0.1, 0.2, 0.3]), torch.arange(3200.0))).unsqueeze(1)
        >>> weights = learner.adapt(tones, torch.arange(3), ["low", "middle", "high"])
        >>> learner.score(weights, tones).shape
        torch.Size([3, 3])
    """

    head: AnilHead

    def __init__(
        self,
        encoder: Encoder,
        head: AnilHead | None = None,
        inner: Literal["all", "head"] = "all",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        head = AnilHead(encoder.dim) if head is None else head
        if not isinstance(head, AnilHead):
            raise InputError(
                f"the head is a {type(head).__name__}; MAML takes an AnilHead, which holds its first weights"
            )
        if head.dim != encoder.dim:
            raise InputError(
                f"the head was made for embeddings of size {head.dim}, but the encoder's have {encoder.dim}; build it "
                f"with dim={encoder.dim}"
            )
        if inner not in ("all", "head"):
            raise InputError(f"inner is '{inner}'; expected 'all' or 'head'")
        if any(isinstance(module, _BatchNorm) for module in encoder.modules()):
            raise InputError(
                f"{type(encoder).__name__} normalises over the batch, through which the queries of an episode tell of "
                "one another; take an encoder that normalises each item by itself, such as ConvEncoder"
            )
        super().__init__(encoder, head, learning_rate, weight_decay)
        self.inner = inner

    def setup(self, stage: str) -> None:
        """Prepares a training.

        Raises:
            InputError: nothing is to be trained, or the inner loop has nothing of the encoder to change.
        """
        super().setup(stage)
        if stage == "fit" and self.inner == "all" and is_frozen(self.encoder):
            raise InputError(
                "the encoder is frozen, so the inner loop can change the head alone; train some of the encoder "
                "(trainable_blocks=, requires_grad_), or take inner='head'"
            )

    @property
    def evaluates_on_episodes(self) -> bool:
        """Whether validation and test take episodes of clips, since the embeddings differ by episode."""
        return self.inner == "all"

    def adapt(self, support: Tensor, support_targets: Tensor, classes: Classes = None) -> AdaptedWeights:
        """The inner loop of one episode, from the first weights.

        Args:
            support: waves ``(n_support_total, 1, n_samples)``, or features ``(n_support_total, n_features, n_frames)``.
            support_targets: int64 ``(n_support_total,)``.
            classes: as for `Head.adapt`.

        Returns:
            the weights after the last step, differentiable with respect to the first ones.

        Raises:
            InputError: see `Head.adapt`.
        """
        members = class_members(support.flatten(1), support_targets, classes)  # (n_way, n_support_total)
        positions = members.argmax(dim=0)
        weights = self._first_weights(n_way=len(members))
        step_size = self.head.log_step_size.exp()

        def support_loss(weights: AdaptedWeights) -> Tensor:
            return mean_cross_entropy(self.score(weights, support), positions)

        for _ in range(self.head.steps):
            at = {name: value.detach() for name, value in weights.items()} if self.head.first_order else weights
            gradient = grad(support_loss)(at)
            weights = {name: value - step_size * gradient[name] for name, value in weights.items()}
        return weights

    def score(self, weights: AdaptedWeights, query: Tensor) -> Tensor:
        """Logits ``(n_query_total, n_way)`` of one episode's queries.

        Args:
            weights: what `adapt` gave.
            query: waves ``(n_query_total, 1, n_samples)``, or features ``(n_query_total, n_features, n_frames)``.
        """
        of_encoder = {name.removeprefix("encoder."): w for name, w in weights.items() if name.startswith("encoder.")}
        z: Tensor = functional_call(self.encoder, of_encoder, (query,))
        return self.head.score(LinearState(weights["head.weight"], weights["head.bias"]), z)

    def evaluate(self, episodes: EpisodeDataset, progress: bool = False) -> EpisodeReport:
        """Adapts to every episode of a data set, without a trainer.

        Args:
            episodes: of waves or features that fit the encoder; the learner is used in evaluation mode and left as it
                was.
            progress: show a progress bar.

        Returns:
            accuracy with its interval, as from `musicfsl.evaluate_episodes`.

        Raises:
            InputError: there are fewer than two episodes, or they do not fit the encoder.

        Example:
            >>> episodes = EpisodeDataset(store.with_length(63), 5, 5, 15, n_episodes=200)  # doctest: +SKIP
            >>> print(learner.evaluate(episodes))  # doctest: +SKIP
        """
        check_fits(self.encoder, episodes.dataset)
        tally, was_training = EpisodeTally(episodes), self.training
        self.eval()
        try:
            for i in progress_bar(range(len(episodes)), desc="adapting", unit="episode", show=progress):
                tally.add(i, self._predicted(episodes[i]))
        finally:
            self.train(was_training)
        report = tally.report()
        assert report is not None, "every episode was added"
        return report

    def on_validation_epoch_start(self) -> None:
        if self.evaluates_on_episodes:
            self._start_tally("val")
        else:
            super().on_validation_epoch_start()

    def validation_step(self, batch: Episode | Window, batch_idx: int, dataloader_idx: int = 0) -> None:
        if isinstance(batch, Window):
            super().validation_step(batch, batch_idx, dataloader_idx)
        else:
            self._answer(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        if self.evaluates_on_episodes:
            self._report_tally("val")
        else:
            super().on_validation_epoch_end()

    def on_test_epoch_start(self) -> None:
        if self.evaluates_on_episodes:
            self._start_tally("test")
        else:
            super().on_test_epoch_start()

    def test_step(self, batch: Episode | Window, batch_idx: int) -> None:
        if isinstance(batch, Window):
            super().test_step(batch, batch_idx)
        else:
            self._answer(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        if self.evaluates_on_episodes:
            self._report_tally("test")
        else:
            super().on_test_epoch_end()

    def _first_weights(self, n_way: int) -> AdaptedWeights:
        head = self.head.initial(n_way)
        encoder = {f"encoder.{name}": p for name, p in self.encoder.named_parameters() if p.requires_grad}
        return {**encoder, "head.weight": head.weight, "head.bias": head.bias}

    def _episode_losses(self, batch: Episode) -> Iterator[tuple[Tensor, Tensor]]:
        if self.inner == "head":
            yield from super()._episode_losses(batch)
            return
        for i, classes in enumerate(batch.classes):
            weights = self.adapt(batch.support[i], batch.support_targets[i], classes)
            logits = self.score(weights, batch.query[i])
            yield self.head.loss(logits, batch.query_targets[i], classes), logits

    def _predicted(self, episode: Episode) -> Tensor:
        """Positions ``(n_query_total,)`` of the classes that the queries of one episode are taken for."""
        # What was made in inference mode, as Lightning's batches are, can be used in no gradient until it is copied.
        with torch.inference_mode(False), torch.no_grad():
            support, targets, query = (part.to(self.device, copy=True) for part in episode[:3])
            return self.score(self.adapt(support, targets, episode.classes), query).argmax(dim=-1)

    def _start_tally(self, stage: Stage) -> None:
        self._tally = EpisodeTally(self._data().evaluation_episodes(stage), self.device)

    def _answer(self, batch: Episode, batch_idx: int) -> None:
        """Answers one episode; the processes take turns, as `Share` deals them out."""
        number = batch_idx * self.trainer.world_size + self.trainer.global_rank
        support, support_targets, query, query_targets, (classes,) = batch
        episode = Episode(support[0], support_targets[0], query[0], query_targets[0], classes)  # type: ignore[arg-type]
        self._tally.add(number, self._predicted(episode))

    def _report_tally(self, stage: Stage) -> None:
        data = self._data()
        report = self._tally.report(self.trainer.strategy.reduce, data.taxonomy, data.trained_on(stage))
        if report is not None:  # else only some were seen: Lightning's check before training, or limit_val_batches
            self._log_report(stage, report)

    def _describe_data(self) -> dict[str, Any]:
        return {**super()._describe_data(), "inner_loop": self.inner}
