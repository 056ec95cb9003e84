"""Classifiers on disk: embeddings and weights as safetensors, everything else as JSON in the same file's header."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from musicfsl._version import __version__
from musicfsl._weight_files import fill, read_safetensors, weights_of, write_safetensors
from musicfsl.backbones.base import Encoder
from musicfsl.checkpoints import Card, EncoderCard, encoder_of, load_encoder
from musicfsl.classifier.classifier import FewShotClassifier
from musicfsl.classifier.known import Known
from musicfsl.classifier.listening import Unusable
from musicfsl.errors import CheckpointError, InputError
from musicfsl.heads import HEADS, build_head

__all__ = ["ClassifierCard", "load_classifier", "save_classifier"]

_ENCODER_KEY, _KEY = "musicfsl", "musicfsl_classifier"

# Weights of encoders that have a name are left out of the file where they take more than this many bytes.
_LARGE = 32 << 20


@dataclass(frozen=True)
class ClassifierCard(Card):
    """What is known of a saved classifier.

    Attributes:
        encoder: name of the encoder whose weights are not in the file; None where they are.
        encoder_hash: of its weights, so that no other ones are taken for them.
        head: name and settings of the method.
        settings: keyword arguments of the classifier.
        examples: name, class, hash and group of each example, in the order of their embeddings.
        unusable: examples that were left out, and why.
        version: of musicfsl when it was saved.
    """

    encoder: str | None
    encoder_hash: str
    head: dict[str, Any]
    settings: dict[str, Any]
    examples: list[dict[str, str | None]]
    unusable: list[dict[str, str]]
    version: str = __version__

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return sorted({str(example["label"]) for example in self.examples})


def save_classifier(
    classifier: FewShotClassifier, path: str | os.PathLike[str], include_encoder: bool | None = None
) -> Path:
    """Saves a classifier with all that is needed to use it elsewhere; of the recordings it holds the names only.

    The file is an encoder's checkpoint too, where the encoder's weights are in it: `musicfsl.load_encoder` opens it.

    Args:
        classifier: one that knows examples.
        path: file to write; the ending should be ``.safetensors``. It appears only when complete.
        include_encoder: whether the encoder's weights go into the file. None leaves out those of encoders that were
            opened by their names and take more than 32 MiB; they are opened by that name again.

    Returns:
        the path.

    Raises:
        CheckpointError: the file cannot be written.
        InputError: there is nothing to save, or encoder or head are none that could be loaded again.
    """
    if not classifier._known:
        raise InputError("the classifier knows no classes yet; call fit before save")
    encoder, head = classifier.encoder, classifier.head
    if HEADS.get(head.name) is not type(head):
        raise InputError(f"{type(head).__name__} is not in musicfsl.heads.HEADS, so it could not be loaded again")
    weights = weights_of(encoder, "encoder.")
    named = classifier.encoder_name if _is_name(classifier.encoder_name) else None
    if include_encoder is None:
        include_encoder = named is None or sum(w.numel() * w.element_size() for w in weights.values()) <= _LARGE
    if named is None and not include_encoder:
        raise InputError("the encoder has no name by which it could be opened again; save it with include_encoder=True")
    card = ClassifierCard(
        encoder=None if include_encoder else named,
        encoder_hash=_hash(weights),
        head={"name": head.name, "settings": head.settings()},
        settings={
            "window": classifier.window,
            "max_windows": classifier.max_windows,
            "unknown": classifier.unknown,
            "false_rejections": classifier.false_rejections,
            "temperature": classifier.temperature,
            "strict": classifier.strict,
        },
        examples=[
            {"sound": each.sound, "label": each.label, "content": each.content, "group": each.group}
            for each in classifier._known
        ],
        unusable=[each._asdict() for each in classifier.unusable],
    )
    header = {_KEY: card.to_json()}
    tensors = {"examples.z": torch.stack([each.z for each in classifier._known]), **weights_of(head, "head.")}
    if include_encoder:
        header[_ENCODER_KEY] = EncoderCard.of(encoder).to_json()
        tensors |= weights
    return write_safetensors(path, tensors, header)


def load_classifier(path: str | os.PathLike[str], encoder: Encoder | None = None) -> FewShotClassifier:
    """Loads a classifier that `save_classifier` wrote.

    Args:
        path: the file.
        encoder: the encoder that it was saved with, where that is neither in the file nor known by a name.

    Raises:
        CheckpointError: the file is missing, damaged or no classifier; or the encoder is another one than it was saved
            with.

    Example:
        >>> import tempfile
        >>> hum, whistle = torch.sin(torch.outer(torch.tensor([0.05, 0.5]), torch.arange(8000.0))) / 2
        >>> classifier = FewShotClassifier("mfcc").fit({"hum": hum, "whistle": whistle})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_classifier(classifier, f"{folder}/mine.safetensors")
        ...     load_classifier(path).predict(whistle)
        'whistle'
    """
    path = Path(path)
    header, weights = read_safetensors(path)
    if _KEY not in header:
        raise CheckpointError(f"{path} is no classifier; give a file that FewShotClassifier.save wrote")
    card = ClassifierCard.from_json(header[_KEY], path)
    opened = _encoder(card, header, weights, path) if encoder is None else encoder
    if _hash(weights_of(opened, "encoder.")) != card.encoder_hash:
        raise CheckpointError(
            f"{path} was saved with other weights of the encoder than these, so its examples mean nothing to them; "
            "fit a classifier again"
        )
    z = weights.get("examples.z")
    if z is None or z.shape != (len(card.examples), opened.dim):
        raise CheckpointError(f"{path} is damaged (its embeddings do not fit its examples); fit a classifier again")
    try:
        head = build_head(card.head["name"], card.head["settings"])
        fill(head, weights, "head.", path)
        classifier = FewShotClassifier(opened, head, **card.settings)
        classifier._known = [Known(row, **example) for row, example in zip(z, card.examples, strict=True)]  # type: ignore[arg-type]
        classifier.unusable = [Unusable(**each) for each in card.unusable]
    except (KeyError, TypeError, InputError) as error:
        raise CheckpointError(f"{path} holds settings that build no classifier: {error}") from None
    classifier.encoder_name = card.encoder
    return classifier


def _encoder(card: ClassifierCard, header: Mapping[str, str], weights: Mapping[str, Tensor], path: Path) -> Encoder:
    if card.encoder is not None:
        return load_encoder(card.encoder)
    if _ENCODER_KEY not in header:
        raise CheckpointError(f"{path} holds no encoder; give the one that it was saved with")
    encoder = encoder_of(EncoderCard.from_json(header[_ENCODER_KEY], path), path)
    fill(encoder, weights, "encoder.", path)
    return encoder.eval()


def _is_name(name: str | None) -> bool:
    from musicfsl.backbones.named import ENCODER_NAMES

    return name in ENCODER_NAMES


def _hash(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
