"""Fine-tuning: a new classifier on frozen embeddings, trained by gradient descent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import normalize

from musicfsl.errors import InputError
from musicfsl.heads.base import Classes, Head, check_finite, check_queries, class_members

__all__ = ["Classifier", "FineTunedState", "FineTuningHead"]

#: Weights and a bias for each class ("Baseline"), or cosines with a vector for each class ("Baseline++").
Classifier: TypeAlias = Literal["linear", "cosine"]

_MOMENTUM = _DAMPENING = 0.9


class FineTunedState(NamedTuple):
    """What training on a support set gave.

    Attributes:
        weights: ``(..., n_way, dim)``.
        bias: ``(..., n_way)``; None for cosines.
    """

    weights: Tensor
    bias: Tensor | None


class FineTuningHead(Head):
    r"""Trains a classifier on the support set with cross-entropy, weight decay and momentum.

    ``"linear"``: logits :math:`W z + b` from :math:`W = 0`. The embeddings are centred and divided by one number, so
    that the mean of their squared lengths is 1; that changes nothing a linear classifier could not undo, but one step
    size then fits embeddings of any scale. ``"cosine"``: logits :math:`\tau \cos(w_k, z)` from the class means on.

    The whole support set makes each step, so that the order of the examples does not matter; the paper draws batches
    of four. The steps are few on purpose: stopping early is what keeps the classifier simple.

    Args:
        classifier: ``"linear"`` or ``"cosine"``.
        n_steps: steps of gradient descent.
        learning_rate: their size; None for 1 (linear) or 0.03 (cosine).
        weight_decay: factor of half the squared length of the weights.
        temperature: :math:`\tau` of the cosines.

    Shape:
        as `Head`.

    Raises:
        InputError: see `Head.adapt`; or an argument is out of range.

    Reference:
        W.-Y. Chen, Y.-C. Liu, Z. Kira, Y.-C. F. Wang, J.-B. Huang, A closer look at few-shot classification, ICLR 2019,
        "Baseline" and "Baseline++" (100 steps; momentum, dampening and weight decay as in their code).

    Example:
        >>> head = FineTuningHead()
        >>> support_z = torch.tensor([[0.0, 5.0], [1.0, 5.0], [9.0, 5.0]])
        >>> head(support_z, torch.tensor([0, 0, 1]), torch.tensor([[2.0, 5.0], [8.0, 5.0]]), ["low", "high"]).argmax(-1)
        tensor([0, 1])
    """

    name = "fine-tuning"

    def __init__(
        self,
        classifier: Classifier = "linear",
        n_steps: int = 100,
        learning_rate: float | None = None,
        weight_decay: float = 0.001,
        temperature: float = 10.0,
    ) -> None:
        super().__init__()
        if classifier not in ("linear", "cosine"):
            raise InputError(f"classifier is '{classifier}'; expected 'linear' or 'cosine'")
        if learning_rate is None:
            learning_rate = 1.0 if classifier == "linear" else 0.03
        for name, value in (("n_steps", n_steps), ("learning_rate", learning_rate), ("temperature", temperature)):
            if not value > 0:
                raise InputError(f"{name} is {value}; expected a positive number")
        if not weight_decay >= 0:
            raise InputError(f"weight_decay is {weight_decay}; expected 0 or more")
        self.classifier: Classifier = classifier
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.temperature = temperature

    def settings(self) -> dict[str, Any]:
        return {
            "classifier": self.classifier,
            "n_steps": self.n_steps,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "temperature": self.temperature,
        }

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> FineTunedState:
        members = class_members(support_z, support_targets, classes)
        check_finite(support_z)
        dtype = torch.promote_types(support_z.dtype, torch.float32)
        with torch.autocast(device_type=support_z.device.type, enabled=False):
            z, targets = support_z.to(dtype), members.T.to(dtype)
            return self._linear(z, targets) if self.classifier == "linear" else self._cosine(z, targets)

    def score(self, state: FineTunedState, query_z: Tensor) -> Tensor:
        check_queries(query_z, state.weights.shape[-1])
        with torch.autocast(device_type=query_z.device.type, enabled=False):
            z = query_z.to(state.weights.dtype)
            if state.bias is None:
                return self.temperature * normalize(z, dim=-1) @ normalize(state.weights, dim=-1).mT
            return z @ state.weights.mT + state.bias.unsqueeze(-2)

    def _linear(self, z: Tensor, targets: Tensor) -> FineTunedState:
        mean = z.mean(dim=-2, keepdim=True)
        # Of examples that are all the same nothing is left; the small number keeps the gradient finite there.
        scale = ((z - mean).square().sum(dim=-1).mean(dim=-1) + 1e-12).sqrt()[..., None, None]
        inputs = (z - mean) / scale
        products = inputs @ inputs.mT
        start = z.new_zeros(*z.shape[:-2], targets.shape[1], len(targets) + 1)

        def gradient(parameters: Tensor) -> Tensor:
            mixture, bias = parameters[..., :-1], parameters[..., -1:]
            errors = (mixture @ products + bias).softmax(dim=-2) - targets.T  # (..., n_way, n_support_total)
            of_mixture = errors / len(targets) + self.weight_decay * mixture
            return torch.cat([of_mixture, errors.mean(dim=-1, keepdim=True)], dim=-1)

        parameters = self._descend(start, gradient)
        mixture, bias = parameters[..., :-1], parameters[..., -1:]
        weights = mixture @ inputs / scale
        return FineTunedState(weights, (bias - weights @ mean.mT).squeeze(-1))

    def _cosine(self, z: Tensor, targets: Tensor) -> FineTunedState:
        unit = normalize(z, dim=-1)
        products = unit @ unit.mT

        def inner(mixture: Tensor) -> tuple[Tensor, Tensor]:
            """Inner products with the items, and lengths, of the vectors that a mixture stands for."""
            with_items = mixture @ products
            squares = (with_items * mixture).sum(dim=-1, keepdim=True)
            return with_items, squares.clamp(min=1e-12).sqrt()

        def gradient(mixture: Tensor) -> Tensor:
            with_items, lengths = inner(mixture)
            cosines = with_items / lengths
            errors = self.temperature * ((self.temperature * cosines).softmax(dim=-2) - targets.T) / len(targets)
            along = (errors * cosines).sum(dim=-1, keepdim=True)
            return (errors - along * mixture / lengths) / lengths + self.weight_decay * mixture

        start = (targets / targets.sum(dim=0)).T.expand(*z.shape[:-2], targets.shape[1], len(targets))
        start = start / inner(start)[1]
        return FineTunedState(self._descend(start, gradient) @ unit, None)

    def _descend(self, parameters: Tensor, gradient: Callable[[Tensor], Tensor]) -> Tensor:
        """Gradient descent with momentum, as torch.optim.SGD does it.

        Weights are sums of the support set's embeddings, ``mixture @ z``, for the gradient is such a sum. Descending on
        the mixture is the same thing, and asks for the inner products of the examples only, which are few. The
        gradients are written out, so that no graph is needed where none is kept, and can be differentiated again.
        """
        velocity = gradient(parameters)
        parameters = parameters - self.learning_rate * velocity
        for _ in range(self.n_steps - 1):
            velocity = _MOMENTUM * velocity + (1 - _DAMPENING) * gradient(parameters)
            parameters = parameters - self.learning_rate * velocity
        return parameters
