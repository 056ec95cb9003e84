"""Texts in the space of CLAP: class names score sounds that nobody has labelled, without any training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from musicfsl._clap_files import ClapText, read_clap_text
from musicfsl._hub_files import fitting
from musicfsl.errors import CheckpointError, InputError, import_extra
from musicfsl.instruments import canonical, canonical_names, name_key
from musicfsl.zeroshot._prompts import checked_prompts
from musicfsl.zeroshot.side_information import SideInformation

__all__ = ["CLAP_PROMPT", "ClapTexts"]

#: What is said of a class, unless the user says otherwise: the authors' words in their own zero-shot evaluation.
CLAP_PROMPT = "This is a sound of {name}."


class ClapTexts(SideInformation):
    """The embedding of a text on each class by CLAP, whose audio half hears sounds into the same space.

    `score` compares them with embeddings of `musicfsl.backbones.ClapEncoder`, of the same checkpoint: zero-shot
    recognition with no training at all, which is the baseline of models that are trained on seen classes. Its scores
    go where theirs go, into `musicfsl.zeroshot.evaluate_zeroshot`. It is side information like any other as well.

    CLAP has read captions of very many sounds, so no class is unseen to it in the strict sense. It takes any words: a
    name of an instrument or an alias is said by its usual name in lower case, any other as it is written, with spaces
    for underscores. Where several prompts are given, a class's vector is the mean of their unit vectors.

    Args:
        model: a name on the Hugging Face hub (see `CLAP_CHECKPOINTS` of `musicfsl.backbones.clap`), or a folder with
            config.json, tokenizer.json and model.safetensors as they lie there. Pickles are never read.
        prompts: one or more sentences in which ``{name}`` is filled in; None is "This is a sound of {name}."
        words: what is said of a class in place of its name, such as ``{"cel-piz": "a plucked cello"}``.
        cache_dir: folder under which files that were fetched by hand are looked for (``clap/owner--name``); see
            `musicfsl.caching.cache_root`.

    Attributes:
        prompts: as used.
        scale: factor of the cosine in a score, which was learned with the model.

    Raises:
        CheckpointError: the files cannot be downloaded (the message says how to fetch them by hand), are damaged,
            pickled or of another model, or do not fit one another.
        InputError: a prompt or what is said of a class is malformed, or the model is neither a folder nor a name.
        MissingExtraError: transformers is not installed.

    Reference:
        Y. Wu, K. Chen, T. Zhang, Y. Hui, T. Berg-Kirkpatrick, S. Dubnov, Large-scale contrastive language-audio
        pretraining with feature fusion and keyword-to-caption augmentation, ICASSP 2023;
        A. Radford et al., Learning transferable visual models from natural language supervision, ICML 2021, section
        3.1.4 (prompt ensembles).

    Example:
        >>> texts = ClapTexts("laion/clap-htsat-unfused")  # doctest: +SKIP
        >>> z = musicfsl.embed_dataset(encoder, dataset, duration=10.0)  # doctest: +SKIP
        >>> scores = texts.score(z, dataset.classes)  # doctest: +SKIP
        >>> evaluate_zeroshot(scores, dataset.targets, dataset.classes, unseen)  # doctest: +SKIP
    """

    kind = "clap"

    def __init__(
        self,
        model: str | os.PathLike[str] = "laion/clap-htsat-unfused",
        prompts: str | Sequence[str] | None = None,
        words: Mapping[str, str] | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.prompts = checked_prompts(prompts, CLAP_PROMPT, ["name"])
        self._words = _checked_words(words or {})
        checkpoint = read_clap_text(model, cache_dir)
        self._model_name = os.fspath(model)
        self._model = _Reader(checkpoint)
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self.scale = checkpoint.scale
        self.dim = int(checkpoint.settings["projection_dim"])

    def sentences(self, name: str) -> list[str]:
        """The texts that stand for a class, one a prompt."""
        return [prompt.format(name=self._said(name)) for prompt in self.prompts]

    def vector(self, name: str) -> NDArray[np.float32]:
        said = self._said(name)
        if said not in self._vectors:
            # One sentence at a time: in a batch, a text's last bits would depend on the length of its neighbours.
            vectors = [self._model.read(sentence) for sentence in self.sentences(name)]
            self._vectors[said] = np.mean(vectors, axis=0, dtype=np.float32)
        return self._vectors[said].copy()

    def score(self, embeddings: ArrayLike | Tensor, names: Sequence[str]) -> NDArray[np.float32]:
        """Scores of sounds for classes: their cosines times the learned `scale`.

        A softmax over the classes makes probabilities of them, as the contrastive loss that CLAP was trained with does.

        Args:
            embeddings: ``(N, dim)`` of `musicfsl.backbones.ClapEncoder`, of the same checkpoint and not whitened; their
                lengths do not count, so means over the windows of a clip will do.
            names: class names, each once.

        Returns:
            float32 ``(N, C)``, higher is more alike.

        Raises:
            InputError: the embeddings have another size or are not finite, or see `SideInformation`.
        """
        z = np.asarray(embeddings.detach().cpu() if isinstance(embeddings, Tensor) else embeddings, dtype=np.float32)
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise InputError(
                f"embeddings have shape {z.shape}; expected (N, {self.dim}), as ClapEncoder of {self._model_name} "
                "gives them"
            )
        if not np.isfinite(z).all():
            raise InputError("the embeddings hold NaN or infinite values; check the recordings")
        return np.float32(self.scale) * (_unit(z) @ _unit(self(names)).T)

    def known_names(self) -> list[str]:
        """The instruments that the library knows, and what ``words`` were given for; any other name will do as well."""
        return list(dict.fromkeys([*canonical_names(), *self._words]))

    def provenance(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "model": self._model_name,
            "prompts": self.prompts,
            "words": dict(self._words),
        }

    def _said(self, name: str) -> str:
        for key, words in self._words.items():
            if name_key(key) == name_key(name):
                return words
        known = canonical(name)
        return known.lower() if known else " ".join(name.replace("_", " ").split())


class _Reader:
    """CLAP's text half: a sentence to its unit vector, on the processor."""

    def __init__(self, checkpoint: ClapText) -> None:
        self._source = checkpoint.source
        self._tokenizer = _open_tokenizer(checkpoint)
        self._model = _open_model(checkpoint)
        # Positions are counted behind the number of the filling word.
        self._longest = checkpoint.settings["max_position_embeddings"] - checkpoint.settings["pad_token_id"] - 1

    def read(self, sentence: str) -> NDArray[np.float32]:
        """The vector ``(dim,)`` of length 1.

        Raises:
            InputError: the sentence is too long.
            CheckpointError: the vector is not finite.
        """
        tokens = self._tokenizer.encode(sentence).ids
        if len(tokens) > self._longest:
            raise InputError(
                f"the text '{sentence[:40]}...' has {len(tokens)} tokens, but CLAP reads up to {self._longest}; give a "
                "shorter one"
            )
        ids = torch.tensor([tokens])
        with torch.no_grad():
            z = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).text_embeds[0].numpy()
        if not np.isfinite(z).all() or not z.any():
            raise CheckpointError(f"{self._source} gives vectors that are not finite or 0; fetch its files again")
        return _unit(z)


def _open_tokenizer(checkpoint: ClapText) -> Any:
    tokenizers = import_extra("tokenizers", extra="transformers")
    path = checkpoint.tokenizer
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain exceptions
        raise CheckpointError(f"{path} is damaged or no tokenizer ({error}); fetch it again") from None
    known = checkpoint.settings["vocab_size"]
    if tokenizer.get_vocab_size() > known:
        raise CheckpointError(
            f"{path} has {tokenizer.get_vocab_size()} tokens, but its config.json {known}; fetch both of one model"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _open_model(checkpoint: ClapText) -> Any:
    transformers = import_extra("transformers", extra="transformers")
    try:
        # No first weights are drawn, which would take seconds and change the global random state.
        with torch.device("meta"):
            model = transformers.ClapTextModelWithProjection(transformers.ClapTextConfig(**checkpoint.settings))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.source} describes no CLAP ({error}); fetch its files again") from None
    own = dict(model.named_parameters())
    weights = fitting(checkpoint.weights, own, checkpoint.source, "whole CLAP")
    model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False, assign=True)
    # Tables that no file needs to hold.
    embeddings, n = model.text_model.embeddings, checkpoint.settings["max_position_embeddings"]
    embeddings.position_ids = torch.arange(n).unsqueeze(0)
    embeddings.token_type_ids = torch.zeros(1, n, dtype=torch.long)
    return model.eval().requires_grad_(False)


def _checked_words(words: Mapping[str, str]) -> dict[str, str]:
    for name, said in words.items():
        if not isinstance(said, str) or not said.strip():
            raise InputError(f"words: what is said of '{name}' is {said!r}; expected a word or words")
    return {name: said.strip() for name, said in words.items()}


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
