"""CLAP's text half against transformers' own, and its scores, with random weights in the exact layout of the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from musicfsl.errors import CheckpointError, InputError
from musicfsl.instruments import canonical_names
from musicfsl.zeroshot import ClapTexts, ZeroShotModel, evaluate_zeroshot, open_side_information
from musicfsl.zeroshot.evaluation import evaluate_classes

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def texts(clap: tuple[Path, nn.Module]) -> ClapTexts:
    return ClapTexts(clap[0])


@pytest.fixture
def copied(clap: tuple[Path, nn.Module], tmp_path: Path) -> Path:
    """A copy of the checkpoint that a test may spoil."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in clap[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def change(path: Path, part: str, **values: Any) -> None:
    content = json.loads(path.read_text())
    content[part].update(values)
    path.write_text(json.dumps(content))


def read_by_transformers(folder: Path, model: nn.Module, sentences: list[str]) -> Tensor:
    """Its own tokenizer and its own forward, all sentences at once and filled up."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        output = model.get_text_features(**tokenizer(sentences, padding=True, return_tensors="pt"))  # type: ignore[operator]
    return getattr(output, "pooler_output", output)


class TestEqualsTransformers:
    def test_vectors(self, clap: tuple[Path, nn.Module], texts: ClapTexts) -> None:
        names = ["Violin", "oud", "a creaking door", "Blech & Röhre"]
        said = ["violin", "oud", "a creaking door", "Blech & Röhre"]
        expected = read_by_transformers(*clap, [f"This is a sound of {words}." for words in said])
        vectors = torch.from_numpy(texts(names))
        assert vectors.shape == (4, texts.dim) == (4, 20)
        torch.testing.assert_close(vectors, expected, rtol=0.0, atol=1e-5)
        # The texts differ by hundreds of times the tolerance, so the comparison means something.
        assert min((expected[i] - expected[j]).abs().max() for i in range(4) for j in range(i)) > 0.01

    def test_scores(self, clap: tuple[Path, nn.Module], texts: ClapTexts) -> None:
        folder, model = clap
        features = -50 + 20 * torch.randn(3, 1, 1001, 64, generator=torch.Generator().manual_seed(0))
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        sentences = ["This is a sound of oud.", "This is a sound of banjo."]
        with torch.no_grad():
            output = model(input_features=features, **tokenizer(sentences, padding=True, return_tensors="pt"))
        scores = texts.score(3.0 * output.audio_embeds, ["oud", "banjo"])  # lengths do not count
        assert scores.shape == (3, 2) and scores.dtype == np.float32
        torch.testing.assert_close(torch.from_numpy(scores), output.logits_per_audio, rtol=0.0, atol=1e-4)
        assert texts.scale == pytest.approx(np.exp(2.0))

    def test_weights_in_half_precision(self, copied: Path, texts: ClapTexts) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(copied / "model.safetensors")
        save_file(
            {n: v.half() if v.is_floating_point() else v for n, v in weights.items()}, copied / "model.safetensors"
        )
        np.testing.assert_allclose(ClapTexts(copied).vector("oud"), texts.vector("oud"), atol=0.02)

    def test_it_needs_none_of_the_half_that_hears(self, copied: Path, texts: ClapTexts) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(copied / "model.safetensors")
        save_file({n: v for n, v in weights.items() if not n.startswith("audio_")}, copied / "model.safetensors")
        (copied / "preprocessor_config.json").unlink()
        np.testing.assert_array_equal(ClapTexts(copied).vector("oud"), texts.vector("oud"))


class TestSentences:
    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("vc", "cello"),
            ("Violoncello", "cello"),
            ("Bass_Clarinet", "bass clarinet"),
            ("my_own__Thing", "my own Thing"),
        ],
    )
    def test_names(self, name: str, said: str, texts: ClapTexts) -> None:
        assert texts.sentences(name) == [f"This is a sound of {said}."]

    def test_words_in_place_of_a_name(self, clap: tuple[Path, nn.Module]) -> None:
        own = ClapTexts(clap[0], words={"cel-piz": "a plucked cello ", "Violin": "a fiddle"}, prompts="hear {name}")
        assert own.sentences("CEL PIZ") == ["hear a plucked cello"]
        assert own.sentences("violin") == ["hear a fiddle"]
        assert own.sentences("Oboe") == ["hear oboe"]
        assert "cel-piz" in own.known_names() and set(canonical_names()) <= set(own.known_names())

    def test_a_class_is_the_mean_over_prompts(self, clap: tuple[Path, nn.Module]) -> None:
        both = ClapTexts(clap[0], prompts=["a {name}", "the {name}, played softly"]).vector("oud")
        single = [
            ClapTexts(clap[0], prompts=prompt).vector("oud") for prompt in ("a {name}", "the {name}, played softly")
        ]
        np.testing.assert_allclose(both, np.mean(single, axis=0), rtol=1e-6)
        np.testing.assert_allclose([np.linalg.norm(vector) for vector in single], 1.0, rtol=1e-5)

    def test_names_of_one_instrument_cannot_be_told_apart(self, texts: ClapTexts) -> None:
        with pytest.raises(InputError, match="classes 'Cello' and 'violoncello' have the same vector"):
            texts(["Cello", "violoncello"])

    @pytest.mark.parametrize(
        ("prompts", "message"),
        [
            ([], "no prompts"),
            ("a sound", r"says the same of all classes; use \{name\}$"),
            ("a {name}: {description}", r"has other fields than \{name\}; use this one"),
            ("a {name", "malformed"),
        ],
    )
    def test_bad_prompts(self, prompts: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            ClapTexts("nothing is read before", prompts=prompts)

    def test_bad_words(self) -> None:
        with pytest.raises(InputError, match="what is said of 'Oboe' is ' '; expected a word or words"):
            ClapTexts("nothing is read before", words={"Oboe": " "})

    def test_a_text_that_is_too_long(self, texts: ClapTexts) -> None:
        with pytest.raises(
            InputError, match=r"the text 'This is a sound of z+ z.*' has \d+ tokens, but CLAP reads up to 64"
        ):
            texts.vector("zzzz " * 40)


class TestUse:
    def test_scores_stand_beside_those_of_other_models(self, texts: ClapTexts) -> None:
        names = ["Violin", "Oboe", "oud", "banjo"]
        targets = np.repeat(np.arange(4), 6)
        # Sounds that lie near the text of their class.
        noise = np.random.default_rng(0).normal(scale=0.01, size=(24, texts.dim))
        z = texts(names)[targets] + noise.astype(np.float32)
        scores = texts.score(z, names)
        report = evaluate_zeroshot(
            scores, targets, names, unseen=["oud", "banjo"], n_bootstrap=10, side_information=texts.kind
        )
        assert report.zero_shot.value == evaluate_classes(
            texts.score(z[12:], names[2:]), targets[12:] - 2, names[2:], n_bootstrap=10
        ).accuracy.value  # fmt: skip
        assert report.harmonic.value > 0.5
        assert "clap" in str(report)

    def test_tensors_and_bad_embeddings(self, texts: ClapTexts) -> None:
        z = torch.randn(2, 20, generator=torch.Generator().manual_seed(0))
        scores = texts.score(z.clone().requires_grad_(), ["oud", "banjo"])
        np.testing.assert_array_equal(scores, texts.score(z.numpy(), ["oud", "banjo"]))
        assert np.isfinite(texts.score(torch.zeros(1, 20), ["oud", "banjo"])).all()
        with pytest.raises(InputError, match=r"embeddings have shape \(2, 19\); expected \(N, 20\), as ClapEncoder of"):
            texts.score(z[:, :19], ["oud", "banjo"])
        with pytest.raises(InputError, match="the embeddings hold NaN or infinite values"):
            texts.score(z / 0, ["oud", "banjo"])
        with pytest.raises(InputError, match="class 'oud' is given twice"):
            texts.score(z, ["oud", "oud"])

    def test_as_side_information(self, clap: tuple[Path, nn.Module], texts: ClapTexts) -> None:
        side = open_side_information(f"clap:{clap[0]}")
        assert isinstance(side, ClapTexts) and side.knows("anything at all")
        assert side.fingerprint(["oud", "Oboe"]) == texts.fingerprint(["oud", "Oboe"])
        assert side.fingerprint(["oud", "Oboe"]) != ClapTexts(clap[0], prompts="a {name}").fingerprint(["oud", "Oboe"])
        assert json.loads(json.dumps(side.provenance())) == {
            "kind": "clap", "model": str(clap[0]), "prompts": ["This is a sound of {name}."], "words": {},
        }  # fmt: skip
        encoder = nn.Identity()
        encoder.dim = 4  # type: ignore[assignment]
        classes = ZeroShotModel(encoder, side.dim, dim=8).embed_classes(torch.from_numpy(side(["oud", "Oboe"])))
        assert classes.shape == (2, 8)


class TestHub:
    def test_only_what_reads_is_looked_up(self, clap: tuple[Path, nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[tuple[str, str]] = []

        def download(name: str, file: str, local_files_only: bool = False) -> str:
            if local_files_only:
                raise FileNotFoundError(file)
            asked.append((name, file))
            return str(clap[0] / file)

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
        assert open_side_information("clap").dim == 20
        name = "laion/clap-htsat-unfused"
        assert asked == [(name, "config.json"), (name, "tokenizer.json"), (name, "model.safetensors")]

    def test_the_files_by_hand(
        self, clap: tuple[Path, nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def download(name: str, file: str, **_: Any) -> str:
            raise ConnectionError("Name or service not known")

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
        folder = tmp_path / "clap" / "laion--clap-htsat-unfused"
        with pytest.raises(CheckpointError, match=f"fetch .*tokenizer.json from https://.* the folder {folder}, where"):
            ClapTexts(cache_dir=tmp_path)
        folder.mkdir(parents=True)
        for path in clap[0].iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        assert ClapTexts(cache_dir=tmp_path).dim == 20


class TestBadCheckpoints:
    @pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
    def test_a_missing_file(self, missing: str, copied: Path) -> None:
        (copied / missing).unlink()
        with pytest.raises(CheckpointError, match=f"has no {missing}; a CLAP checkpoint consists of config.json"):
            ClapTexts(copied)

    def test_pickled_weights_are_never_read(self, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
        monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
        with pytest.raises(CheckpointError, match=r"pytorch_model.bin is a pickle, .* fetch model.safetensors"):
            ClapTexts(copied)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"hidden_size": 48}, r"'text_model.embeddings.word_embeddings.weight' has the shape \(300, 24\), not"),
            ({"num_attention_heads": 5}, "describes no CLAP .*; fetch its files again"),
            ({"num_hidden_layers": 3}, "no whole CLAP: 'text_model.encoder.layer.2"),
            ({"num_hidden_layers": 0}, "num_hidden_layers 0; expected a whole number of 1 or more"),
            ({"hidden_act": "relu"}, "hidden_act 'relu'; ClapTexts takes models with 'gelu'"),
            ({"vocab_size": 20}, r"tokenizer.json has \d+ tokens, but its config.json 20; fetch both of one model"),
        ],
    )
    def test_networks_that_do_not_fit(self, changes: dict[str, Any], message: str, copied: Path) -> None:
        change(copied / "config.json", "text_config", **changes)
        with pytest.raises(CheckpointError, match=message):
            ClapTexts(copied)

    def test_files_that_were_cut_off_or_lack_the_scale(self, copied: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(copied / "model.safetensors")
        del weights["logit_scale_a"]
        save_file(weights, copied / "model.safetensors")
        with pytest.raises(CheckpointError, match="holds no whole CLAP: 'logit_scale_a' is missing"):
            ClapTexts(copied)
        (copied / "tokenizer.json").write_bytes((copied / "tokenizer.json").read_bytes()[:100])
        save_file({**weights, "logit_scale_a": torch.tensor(2.0)}, copied / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"tokenizer.json is damaged or no tokenizer \(.*\); fetch it again"):
            ClapTexts(copied)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (float("nan"), "NaN or infinite values in 'text_projection.linear2.weight'"),
            (1e38, "gives vectors that are not finite"),
        ],
    )
    def test_weights_that_are_not_finite(self, value: float, message: str, copied: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(copied / "model.safetensors")
        weights["text_projection.linear2.weight"].fill_(value)
        weights["text_projection.linear2.bias"].fill_(value)
        save_file(weights, copied / "model.safetensors")
        with pytest.raises(CheckpointError, match=message):
            ClapTexts(copied).vector("oud")
