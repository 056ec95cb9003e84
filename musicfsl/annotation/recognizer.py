"""From windows of sound to probabilities of classes that are known from a few examples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.backbones.base import Encoder, device_of
from musicfsl.embedding import Standardizer
from musicfsl.errors import InputError
from musicfsl.heads.base import Head
from musicfsl.support import Support, calibrated_temperature

__all__ = ["Recognizer"]


class Recognizer:
    r"""Gives each window a probability of each class: :math:`p = \mathrm{softmax}(s / T)` of a head's logits :math:`s`.

    Logits of heads differ in scale, so the temperature :math:`T` is fitted to the examples (`calibrated_temperature`)
    unless it is given. The probabilities speak of the given classes alone: a sound of none of them is given to one
    of them all the same.

    Args:
        encoder: is put into evaluation mode.
        head: any head; is put into evaluation mode.
        support: the examples, embedded by this encoder.
        temperature: None fits it.
        standardize: bring each dimension of the embeddings to mean 0 and deviation 1 over the examples; None does so
            where the encoder has no whitening layer, which would otherwise do this and more.

    Attributes:
        classes: names of the classes, in the order of the probabilities.
        window: length of a window in seconds.
        temperature: as given or fitted.

    Raises:
        InputError: the temperature is not positive, or see `Head.adapt`.

    Example:
        >>> from musicfsl import MfccEncoder, PrototypicalHead
        >>> support = Support(torch.eye(20)[:4], torch.arange(4), torch.tensor([0, 0, 1, 1]), ["oboe", "oud"], 1.0)
        >>> recognizer = Recognizer(MfccEncoder(), PrototypicalHead(), support)
        >>> recognizer.probabilities(torch.zeros(3, 1, 16000)).shape
        (3, 2)
    """

    def __init__(
        self,
        encoder: Encoder,
        head: Head,
        support: Support,
        temperature: float | None = None,
        standardize: bool | None = None,
    ) -> None:
        if temperature is not None and not 0 < temperature < float("inf"):
            raise InputError(f"temperature is {temperature}; expected a positive number, or None to fit it")
        self.encoder, self.head = encoder.eval(), head.eval()
        self._standardizer = None
        if encoder.whitening is None if standardize is None else standardize:
            self._standardizer = Standardizer(support.z)
            support = support._replace(z=self._standardizer(support.z))
        self.classes = support.classes
        self.window = support.window
        with torch.no_grad():
            self._state = head.adapt(support.means(), support.targets, support.classes)
        self.temperature = calibrated_temperature(head, support) if temperature is None else temperature

    def probabilities(self, waves: Tensor) -> NDArray[np.float32]:
        """Probabilities ``(B, C)`` of windows ``(B, 1, n_samples)`` at the encoder's sample rate.

        Raises:
            InputError: the encoder gives NaN or infinite values.
        """
        with torch.no_grad():
            z = self.encoder(waves.to(device_of(self.encoder))).float().cpu()
            if self._standardizer is not None:
                z = self._standardizer(z)
            probabilities = (self.head.score(self._state, z) / self.temperature).softmax(dim=-1)
        if not torch.isfinite(probabilities).all():
            raise InputError("the encoder gives NaN or infinite embeddings; check it, or train it again")
        return probabilities.numpy()
