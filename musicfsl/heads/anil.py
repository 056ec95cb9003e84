"""ANIL: a linear classifier that learns where to begin, and takes a few gradient steps in every episode."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from musicfsl.errors import InputError
from musicfsl.heads._layers import check_size
from musicfsl.heads.base import Classes, Head, check_finite, check_queries, class_members

__all__ = ["AnilHead", "LinearState"]


class LinearState(NamedTuple):
    """A linear classifier of each episode.

    Attributes:
        weight: ``(..., n_way, dim)``.
        bias: ``(..., n_way)``.
    """

    weight: Tensor
    bias: Tensor


class AnilHead(Head):
    r"""A few steps of gradient descent on the support set, from first weights that are trained for just that.

    From its learned first weights :math:`\theta_0 = (W, b)`, a linear classifier descends the mean cross-entropy of the
    support set,

    .. math:: \theta_{t+1} = \theta_t - \alpha \nabla_\theta L_{\mathrm{support}}(\theta_t) ,

    and after ``n_steps`` of these it scores the queries. Training differentiates the loss of the queries through the
    steps, which teaches the encoder to make embeddings that a few steps can separate. The gradients of the inner loop
    are written out, so that many episodes take each step at once.

    By itself this is ANIL ("almost no inner loop"): MAML with an inner loop for the last layer only. For MAML proper,
    where the encoder takes part in the steps, this head goes into `musicfsl.training.MamlLearner`. It says little
    before it is trained, `musicfsl.EpisodicLearner` suffices for that.

    MAML's own classifier has first weights for each position in the list of classes, so the result depends on
    their order, and all episodes must have equally many (``n_way``). By default there is one row of first weights for
    all classes instead, as in UNICORN-MAML, which needs neither. The first step then tells the classes apart; in MAML
    the encoder moves from the second step on, since its gradient is 0 as long as all rows are the same.

    Args:
        dim: size of an embedding, the encoder's ``dim``.
        n_way: number of classes for first weights of each, as in MAML; None for one row that all classes share.
        n_steps: steps of the inner loop, 1 or more.
        eval_steps: steps in evaluation mode; None takes ``n_steps``. MAML's authors train with 5 and evaluate with 10.
        step_size: :math:`\alpha`, or where its learning starts. Steps diverge where it is far above 4 divided by the
            mean squared norm of the embeddings.
        learn_step_size: whether it is trained, as in Meta-SGD (there one for each weight).
        first_order: take the inner gradients for constants when the queries' loss is differentiated (first-order
            MAML). The encoder then learns from the queries alone.
        seed: of the first weights.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; embeddings have another size than ``dim``, or there are not ``n_way`` classes; or
            a setting is out of range.

    Reference:
        A. Raghu, M. Raghu, S. Bengio, O. Vinyals, Rapid learning or feature reuse? Towards understanding the
        effectiveness of MAML, ICLR 2020, section 4; C. Finn, P. Abbeel, S. Levine, Model-agnostic meta-learning for
        fast adaptation of deep networks, ICML 2017, algorithm 2; H.-J. Ye, W.-L. Chao, How to train your MAML to excel
        in few-shot classification, ICLR 2022 (one row for all classes); Z. Li, F. Zhou, F. Chen, H. Li, Meta-SGD,
        arXiv:1707.09835.

    Example:
        >>> head = AnilHead(dim=2, n_steps=20, step_size=0.5)
        >>> support_z, targets = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1])
        >>> head(support_z, targets, torch.tensor([[0.0, 2.0], [3.0, 0.0], [1.0, 0.5]])).argmax(-1)
        tensor([0, 1, 1])
    """

    name = "anil"
    needs_training: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        n_way: int | None = None,
        n_steps: int = 5,
        eval_steps: int | None = None,
        step_size: float = 0.01,
        learn_step_size: bool = False,
        first_order: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if dim < 1 or (n_way is not None and n_way < 2):
            raise InputError(f"dim is {dim} and n_way {n_way}; expected 1 or more, and 2 or more or None")
        if n_steps < 1 or (eval_steps is not None and eval_steps < 1):
            raise InputError(f"n_steps is {n_steps} and eval_steps {eval_steps}; expected 1 or more of both")
        if not (math.isfinite(step_size) and step_size > 0):
            raise InputError(f"step_size is {step_size}; expected a positive number")
        self.dim, self.n_way, self.seed = dim, n_way, seed
        self.n_steps, self.eval_steps, self.first_order = n_steps, eval_steps, first_order
        rows = 1 if n_way is None else n_way
        generator, bound = torch.Generator().manual_seed(seed), 1 / math.sqrt(dim)  # as torch's linear layers begin
        self.weight = nn.Parameter(torch.empty(rows, dim).uniform_(-bound, bound, generator=generator))
        self.bias = nn.Parameter(torch.zeros(rows))
        # Learned as a logarithm, the step stays positive.
        self.log_step_size = nn.Parameter(torch.tensor(math.log(step_size)), requires_grad=learn_step_size)

    @property
    def steps(self) -> int:
        """Steps of the inner loop in the present mode, training or evaluation."""
        return self.n_steps if self.training or self.eval_steps is None else self.eval_steps

    def settings(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "n_way": self.n_way,
            "n_steps": self.n_steps,
            "eval_steps": self.eval_steps,
            "learn_step_size": self.log_step_size.requires_grad,
            "first_order": self.first_order,
            "seed": self.seed,
        }

    def initial(self, n_way: int) -> LinearState:
        """The classifier before the first step: weight ``(n_way, dim)`` and bias ``(n_way,)``.

        Raises:
            InputError: the head has first weights for another number of classes.
        """
        if self.n_way not in (None, n_way):
            raise InputError(
                f"the episode has {n_way} classes, but AnilHead has first weights for {self.n_way}; draw episodes of "
                "that many, or build it with n_way=None, which takes any number"
            )
        return LinearState(self.weight.expand(n_way, -1), self.bias.expand(n_way))

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> LinearState:
        """The classifier after the last step, one for each episode."""
        members = class_members(support_z, support_targets, classes)  # (n_way, n_support_total)
        check_size(self, support_z, self.dim)
        check_finite(support_z)
        wanted = members.mT.to(support_z.dtype)  # (n_support_total, n_way)
        state, step_size = self.initial(len(members)), self.log_step_size.exp()
        for _ in range(self.steps):
            weight_gradient, bias_gradient = self._gradient(state, support_z, wanted)
            state = LinearState(state.weight - step_size * weight_gradient, state.bias - step_size * bias_gradient)
        return state

    def score(self, state: LinearState, query_z: Tensor) -> Tensor:
        check_queries(query_z, self.dim)
        return query_z @ state.weight.mT + state.bias.unsqueeze(-2)

    def _gradient(self, state: LinearState, support_z: Tensor, wanted: Tensor) -> LinearState:
        """Gradient of the mean cross-entropy of the support set: mean of (probability - wanted) times embedding."""
        if self.first_order:
            state, support_z = LinearState(*(part.detach() for part in state)), support_z.detach()
        excess = (functional.softmax(self.score(state, support_z), dim=-1) - wanted) / wanted.shape[0]
        return LinearState(excess.mT @ support_z, excess.sum(dim=-2))
