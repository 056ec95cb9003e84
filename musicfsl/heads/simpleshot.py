"""SimpleShot: nearest class mean after centring and normalising."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from musicfsl.errors import InputError
from musicfsl.heads.base import Classes, Head, HeadState, check_finite, check_queries, class_members, mean_prototypes
from musicfsl.heads.prototypical import PrototypicalHead

__all__ = ["SimpleShotHead", "SimpleShotState"]


class SimpleShotState(NamedTuple):
    """What `SimpleShotHead` learned.

    Attributes:
        prototypes: ``(..., n_way, dim)``, means of transformed embeddings.
        center: ``(..., 1, dim)``, what is taken away from embeddings; None where they are not centred.
    """

    prototypes: Tensor
    center: Tensor | None


class SimpleShotHead(Head):
    r"""Takes a mean away from embeddings, brings them to length 1, and gives queries to the nearest class mean.

    With a centre :math:`m` every embedding becomes :math:`\hat z = (z - m) / \lVert z - m \rVert`; prototypes
    :math:`c_k` are means of these, and the logits are :math:`-\tau \lVert \hat z - c_k \rVert^2`. The paper's three
    variants are ``CL2N`` (both steps), ``L2N`` (``center=False``) and ``UN`` (neither: the prototypical head).

    The paper's centre is the mean embedding of the classes that the encoder was trained on (``base_mean``). Where it is
    not known, the mean of the support's class means takes its place, which asks nothing of the queries.

    Args:
        center: whether a mean is taken away.
        normalize: whether embeddings are brought to length 1.
        base_mean: :math:`m`, ``dim`` numbers; None takes it from each support set.
        temperature: :math:`\tau > 0`.
        learn_temperature: whether it is trained.

    Shape:
        - support_z: ``(..., n_support_total, dim)``; support_targets: ``(n_support_total,)``
        - query_z: ``(..., n_query_total, dim)``
        - output: ``(..., n_query_total, n_way)``

    Raises:
        InputError: see `Head.adapt`; ``base_mean`` has another size than the embeddings, or a setting is out of range.

    Reference:
        Y. Wang, W.-L. Chao, K. Q. Weinberger, L. van der Maaten, SimpleShot: revisiting nearest-neighbor classification
        for few-shot learning, arXiv:1911.04623, 2019, section 3.

    Example:
        >>> head = SimpleShotHead(base_mean=[10.0, 10.0], temperature=1.0)
        >>> support_z = torch.tensor([[10.0, 15.0], [12.0, 10.0]])
        >>> head(support_z, torch.tensor([0, 1]), torch.tensor([[10.0, 9.0]]))
        tensor([[-4., -2.]])
    """

    name = "simpleshot"

    def __init__(
        self,
        center: bool = True,
        normalize: bool = True,
        base_mean: list[float] | Tensor | None = None,
        temperature: float = 10.0,
        learn_temperature: bool = False,
    ) -> None:
        super().__init__()
        self.center, self.normalize = center, normalize
        self.nearest = PrototypicalHead("euclidean", temperature, learn_temperature)
        mean = None if base_mean is None else torch.as_tensor(base_mean, dtype=torch.float32).detach().clone()
        if mean is not None and (mean.dim() != 1 or not torch.isfinite(mean).all()):
            raise InputError(f"base_mean has shape {tuple(mean.shape)}; expected finite numbers of shape (dim,)")
        if mean is not None and not center:
            raise InputError("base_mean is given, but center=False takes no mean away; give only one of the two")
        self.register_buffer("base_mean", mean, persistent=False)  # it travels with the settings

    def settings(self) -> dict[str, Any]:
        mean = self.base_mean
        return {
            "center": self.center,
            "normalize": self.normalize,
            "base_mean": mean.tolist() if isinstance(mean, Tensor) else None,
            "temperature": float(self.nearest.log_temperature.detach().exp()),
            "learn_temperature": self.nearest.log_temperature.requires_grad,
        }

    def adapt(self, support_z: Tensor, support_targets: Tensor, classes: Classes = None) -> SimpleShotState:
        members = class_members(support_z, support_targets, classes)
        check_finite(support_z)
        center = self._center(support_z, members)
        return SimpleShotState(mean_prototypes(members, self._transformed(support_z, center)), center)

    def score(self, state: SimpleShotState, query_z: Tensor) -> Tensor:
        check_queries(query_z, state.prototypes.shape[-1])
        return self.nearest.score(HeadState(state.prototypes), self._transformed(query_z, state.center))

    def _center(self, support_z: Tensor, members: Tensor) -> Tensor | None:
        if not self.center:
            return None
        if not isinstance(self.base_mean, Tensor):
            return mean_prototypes(members, support_z).mean(dim=-2, keepdim=True)
        if len(self.base_mean) != support_z.shape[-1]:
            raise InputError(
                f"base_mean has {len(self.base_mean)} numbers, but embeddings have {support_z.shape[-1]}; give the "
                "mean embedding of the same encoder"
            )
        return self.base_mean.to(support_z.dtype).unsqueeze(0)

    def _transformed(self, z: Tensor, center: Tensor | None) -> Tensor:
        moved = z if center is None else z - center
        return nn.functional.normalize(moved, dim=-1) if self.normalize else moved
