"""Labels and probabilities for new sounds, from a few recordings of each class."""

from __future__ import annotations

import math
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from musicfsl.backbones.base import Encoder
from musicfsl.checkpoints import load_encoder
from musicfsl.classifier.answers import UNKNOWN, Classification, classification
from musicfsl.classifier.examples import examples_of, named, sounds_of_class
from musicfsl.classifier.known import Known, support_of, without_copies
from musicfsl.classifier.listening import Unusable, listen
from musicfsl.classifier.methods import open_method
from musicfsl.classifier.model import ExampleModel
from musicfsl.classifier.sounds import Example, class_name, is_one_sound, sounds_of
from musicfsl.errors import DatasetError, InputError
from musicfsl.heads import Head

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FewShotClassifier"]


class FewShotClassifier:
    """Recognises sounds of your own classes, from a few examples of each.

    Every sound becomes one embedding: it is decoded, mixed to mono and resampled, silence at both ends is cut off, and
    the embeddings of its windows are averaged. A method that learns from a few embeddings, a head, then gives
    probabilities. One example a class is enough to start, and classes may have different numbers of them.

    *Sounds* may be given as paths of recordings of any rate, length and number of channels; as arrays or tensors
    ``(n,)`` or ``(channels, n)`` with values in [-1, 1] (or int16, int32) at the encoder's sample rate; or as pairs
    ``(array, sample rate)``.

    A sound is ``"unknown"`` where it is farther from the nearest example of its most probable class than examples of a
    class are from each other (see `musicfsl.classifier.calibrated_distance`, which also tells what is done where there
    is one example a class).

    Args:
        encoder: what makes embeddings: a name (``"default"``, ``"mfcc"``, ``"cnn14"``, ``"ast"``, ``"clap"``; see
            `musicfsl.load_encoder`), the path of a checkpoint, or an encoder.
        method: the name of a head (see `musicfsl.heads.HEADS`), or a head. The ridge probe is as accurate as any of
            them, and its probabilities are sensible with one example a class too, when nothing can be fitted. A method
            that has to be trained is given as a head, or by its name together with the checkpoint of an encoder that
            was trained with it. A transductive one looks at all sounds of a call together.
        window: seconds of sound that the encoder hears at a time.
        max_windows: windows a sound at most, 1 or more, spread evenly over it.
        unknown: whether sounds may fit no class; a number is the threshold itself, a distance from 0 to 2.
        false_rejections: share of sounds of known classes that may be called unknown, above 0 and below 1; the
            threshold is calibrated for it.
        temperature: of the probabilities, positive; None fits it to the examples.
        strict: fail for examples that cannot be used, instead of leaving them out with a warning that names them.
        device: to compute on; None is where the encoder's weights lie. An encoder that is given is moved there.
        progress: show a progress bar while examples are embedded.

    Attributes:
        encoder: the encoder.
        head: the method.
        unusable: examples that were left out, with reasons.

    Raises:
        CheckpointError: the encoder cannot be opened.
        InputError: a setting is out of range, or the method is unknown or has to be trained first.
        MissingExtraError: the encoder needs an extra that is not installed.

    Example:
        >>> import numpy as np
        >>> t = np.arange(8000) / 16000
        >>> low, high = ([np.sin(2 * np.pi * hz * t) * 0.5 for hz in hertz] for hertz in ([100, 110], [2000, 2100]))
        >>> classifier = FewShotClassifier(encoder="mfcc").fit({"low": low, "high": high})
        >>> classifier.predict(np.sin(2 * np.pi * 105 * t) * 0.5)
        'low'
    """

    def __init__(
        self,
        encoder: str | os.PathLike[str] | Encoder = "default",
        method: str | Head = "ridge",
        *,
        window: float = 1.0,
        max_windows: int = 100,
        unknown: bool | float = True,
        false_rejections: float = 0.1,
        temperature: float | None = None,
        strict: bool = False,
        device: str | torch.device | None = None,
        progress: bool = False,
    ) -> None:
        if not (math.isfinite(window) and window > 0) or max_windows < 1:
            raise InputError(
                f"window is {window} and max_windows {max_windows}; expected seconds above 0, and 1 or more"
            )
        if not 0 < false_rejections < 1:
            raise InputError(f"false_rejections is {false_rejections}; expected a share between 0 and 1")
        if not isinstance(unknown, bool) and not 0 <= unknown <= 2:
            raise InputError(f"unknown is {unknown}; expected True, False, or a distance from 0 to 2")
        if temperature is not None and not 0 < temperature < math.inf:
            raise InputError(f"temperature is {temperature}; expected a positive number, or None to fit it")
        self.encoder_name = None if isinstance(encoder, Encoder) else os.fspath(encoder)
        self.encoder = encoder if isinstance(encoder, Encoder) else load_encoder(encoder)
        self.head = open_method(method, self.encoder_name)
        if device is not None:
            self.encoder.to(device)
        self.window, self.max_windows = window, max_windows
        self.unknown, self.false_rejections, self.temperature = unknown, false_rejections, temperature
        self.strict, self.progress = strict, progress
        self.unusable: list[Unusable] = []
        self._known: list[Known] = []
        self._fitted: ExampleModel | None = None

    @property
    def classes(self) -> list[str]:
        """Names of the classes, sorted; the order of the columns of everything."""
        return sorted({known.label for known in self._known})

    @property
    def unknown_threshold(self) -> float | None:
        """The distance beyond which a sound is unknown; None where every sound is given to a class."""
        return None if self.unknown is False else self._model().threshold

    @property
    def counts(self) -> dict[str, int]:
        """How many examples each class has."""
        counts = Counter(known.label for known in self._known)
        return {name: counts[name] for name in self.classes}

    def fit(self, sounds: Any, group_pattern: str | None = None) -> Self:
        r"""Learns from examples; what was learned before is forgotten.

        Examples of one group, such as a player or a day of recording, are more alike than a new sound is to any of
        them. They are left out together when temperature and threshold are fitted. Data sets know their groups.

        Args:
            sounds: a folder with one sub-folder a class (recordings may lie in folders within), a dict of class names
                to lists of sounds (or of folders), or a data set of waves.
            group_pattern: for a folder, a regular expression whose parentheses catch the group in a path below it, such
                as ``r"/(\w+)/"`` for folders within the classes; see `musicfsl.datasets.AudioFolder`.

        Returns:
            the classifier itself.

        Raises:
            DatasetError: the folder is not laid out like this; or no example of a class can be used.
            InputError: there are fewer than two classes, or a sound is given in a way that is not known.
            AudioError: where ``strict``, an example cannot be used.
        """
        before = self._known, self.unusable
        self._known, self.unusable, self._fitted = [], [], None
        try:
            self._learn(examples_of(sounds, group_pattern))
            self._model()
        except Exception:
            (self._known, self.unusable), self._fitted = before, None
            raise
        return self

    def add(self, name: str, sounds: Any, group: str | None = None) -> Self:
        """Adds examples of a class, a new one or one that is known; only these are embedded.

        Args:
            name: of the class.
            sounds: a sound, a list of sounds, or a folder of recordings.
            group: that all of them belong to; None makes each its own.

        Returns:
            the classifier itself.

        Raises:
            DatasetError: none of them can be used.
            InputError: a sound is given in a way that is not known.
            AudioError: where ``strict``, one of them cannot be used.
        """
        name = class_name(name)
        self._learn([Example(sound, name, group) for sound in sounds_of_class(sounds, name)])
        return self

    def classify(self, x: Any, n_nearest: int = 3) -> Any:
        """All that can be said of a sound, a `Classification`; a list of sounds, or a data set, gives a list.

        Args:
            x: what to recognise.
            n_nearest: nearest examples that are named.

        Raises:
            AudioError: a sound cannot be read, is silent, or shorter than 50 ms.
            InputError: the classifier knows fewer than two classes, or ``x`` is no sound.
        """
        model = self._model()
        sounds = sounds_of(x)
        if not sounds:
            return []
        z = listen(sounds, self.encoder, self.window, self.max_windows).z
        probabilities, similarities = model.probabilities(z), model.similarities(z)
        distances = model.distances(similarities, probabilities.argmax(dim=-1))
        classes = model.support.classes
        found = [
            classification(classes, probable, self._known, similar, distance, model.threshold, n_nearest)
            for probable, similar, distance in zip(probabilities, similarities, distances.tolist(), strict=True)
        ]
        return found[0] if is_one_sound(x) else found

    def predict(self, x: Any) -> Any:
        """The name of a sound's class, or ``"unknown"``; a list of sounds gives a list. See `classify`."""
        said = self.classify(x, 0)
        return said.label if isinstance(said, Classification) else [each.label for each in said]

    def predict_proba(self, x: Any) -> Any:
        """Class -> probability, the most probable first, for a sound; a list of sounds gives a list. See `classify`.

        They sum to 1 over the known classes, also for a sound that is unknown.
        """
        said = self.classify(x, 0)
        return said.probabilities if isinstance(said, Classification) else [each.probabilities for each in said]

    def explain(self, x: Any, n_nearest: int = 5) -> Any:
        """The examples nearest to a sound, of all classes, as a list of `Neighbour`, the nearest first.

        A list of sounds gives a list of lists. See `classify`.
        """
        said = self.classify(x, n_nearest)
        return said.nearest if isinstance(said, Classification) else [each.nearest for each in said]

    def save(self, path: str | os.PathLike[str], include_encoder: bool | None = None) -> Path:
        """Saves the classifier; see `musicfsl.classifier.save_classifier`."""
        from musicfsl.classifier.checkpoints import save_classifier

        return save_classifier(self, path, include_encoder)

    @staticmethod
    def load(path: str | os.PathLike[str], encoder: Encoder | None = None) -> FewShotClassifier:
        """Loads a saved classifier; see `musicfsl.classifier.load_classifier`."""
        from musicfsl.classifier.checkpoints import load_classifier

        return load_classifier(path, encoder)

    def __repr__(self) -> str:
        known = f"{len(self._known)} examples of {len(self.classes)} classes"
        return f"FewShotClassifier({self.encoder_name or type(self.encoder).__name__}, {self.head.name}: {known})"

    def _learn(self, examples: Sequence[Example]) -> None:
        """Embeds examples and keeps them, once it is sure that every one of their classes has one."""
        heard = listen(
            [example.sound for example in examples],
            self.encoder,
            self.window,
            self.max_windows,
            strict=self.strict,
            progress=self.progress,
        )
        new = [
            Known(z, examples[i].sound.name, examples[i].label, content, examples[i].group)
            for z, i, content in zip(heard.z, heard.positions, heard.contents, strict=True)
        ]
        known, copies = without_copies([*self._known, *new])
        unusable = [*heard.unusable, *copies]
        reasons = named([each.reason for each in unusable])
        if unusable and self.strict:
            raise DatasetError(unusable[0].reason)
        wanted = {*(example.label for example in examples), *self.classes}
        lost = sorted(wanted - {each.label for each in known})
        if lost:
            raise DatasetError(f"no example of class '{lost[0]}' can be used: {reasons}")
        if unusable:
            warnings.warn(f"left out of the examples: {reasons}", stacklevel=3)
        self._known, self._fitted = known, None
        self.unusable = [*self.unusable, *unusable]

    def _model(self) -> ExampleModel:
        """What the examples taught, found out when it is first needed."""
        if self._fitted is None:
            classes = self.classes
            if len(classes) < 2:
                raise InputError(
                    f"there is one class only ('{classes[0]}'), so there is nothing to choose from; give examples of "
                    "two classes or more"
                    if classes
                    else "the classifier knows no classes yet; call fit first"
                )
            if UNKNOWN in classes and self.unknown is not False:
                raise InputError(
                    f"a class is called '{UNKNOWN}', which is what sounds that fit no class are called; rename it, or "
                    "pass unknown=False"
                )
            self._fitted = ExampleModel(
                self.head,
                support_of(self._known, self.window),
                standardize=self.encoder.whitening is None,
                temperature=self.temperature,
                threshold=None if self.unknown is True else math.inf if self.unknown is False else self.unknown,
                false_rejections=self.false_rejections,
            )
        return self._fitted
