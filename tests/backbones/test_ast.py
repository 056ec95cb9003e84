"""The transformer against transformers' own forward, with random weights in the exact layout of the hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from musicfsl import FeatureStore, KaldiFilterBank, embed_dataset, load_encoder, save_encoder
from musicfsl.backbones import AstEncoder
from musicfsl.backbones._ast_backbone import _interpolation
from musicfsl.backbones._ast_checkpoints import published_name
from musicfsl.backbones.base import seeded_init
from musicfsl.errors import CheckpointError, InputError

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 40}
MEAN, STD = -6.845978, 5.5654526
HUB_NAME = "MIT/ast-finetuned-speech-commands-v2"


def make_reference(**changes: Any) -> nn.Module:
    """transformers' classifier with random weights; one left at 0 or 1 would hide that it is ignored."""
    with seeded_init(3):
        model = transformers.ASTForAudioClassification(transformers.ASTConfig(**{**SIZES, **changes}))
        for name, parameter in model.named_parameters():
            if "layernorm" in name and name.endswith("weight"):
                nn.init.uniform_(parameter, 0.5, 1.5)
            else:
                nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    """At 1024 frames."""
    return make_reference()


@pytest.fixture(scope="module")
def published(reference: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as it lies on the hub: config.json, preprocessor_config.json, model.safetensors."""
    folder = tmp_path_factory.mktemp("hub")
    reference.save_pretrained(folder)
    transformers.ASTFeatureExtractor(mean=MEAN, std=STD).save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip
    return folder


@pytest.fixture
def copied(published: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint that a test may spoil."""
    folder = tmp_path / "ast"
    folder.mkdir()
    for path in published.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def waves() -> Tensor:
    g = torch.Generator().manual_seed(0)
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(16000) / 16000)
    return (0.1 * torch.randn(2, 1, 16000, generator=g) + 0.3 * tone).mul_(torch.tensor([1.0, 0.05]).reshape(2, 1, 1))


def change(path: Path, **values: Any) -> None:
    """Sets fields of a JSON file; None takes one out."""
    content = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


class TestEqualsTransformers:
    def test_at_full_length_from_the_wave(self, reference: nn.Module, published: Path, waves: Tensor) -> None:
        extractor = transformers.ASTFeatureExtractor.from_pretrained(published)
        values = extractor([wave.numpy() for wave in waves[:, 0]], sampling_rate=16000, return_tensors="pt")
        assert values.input_values.shape == (2, 1024, 128)
        encoder = AstEncoder.from_pretrained(published)
        features = encoder.front_end.pad(encoder.features(waves), 1024)
        with torch.no_grad():
            output = reference.audio_spectrogram_transformer(**values)
            tokens = encoder.backbone.tokens(features)
            torch.testing.assert_close(tokens, output.last_hidden_state, rtol=0.0, atol=1e-3)
            torch.testing.assert_close(encoder(features), output.pooler_output, rtol=0.0, atol=1e-3)
        # The two clips differ by hundreds of times the tolerance, so the comparison means something.
        assert (output.pooler_output[0] - output.pooler_output[1]).abs().max() > 0.1

    def test_at_full_length_from_the_same_features(self, reference: nn.Module, published: Path) -> None:
        features = torch.randn(1, 128, 1024, generator=torch.Generator().manual_seed(0))
        encoder = AstEncoder.from_pretrained(published, positions="crop")
        with torch.no_grad():
            expected = reference.audio_spectrogram_transformer(features.transpose(1, 2)).last_hidden_state
            torch.testing.assert_close(encoder.backbone.tokens(features), expected, rtol=0.0, atol=1e-5)

    @pytest.mark.parametrize("positions", ["interpolate", "crop"])
    def test_at_the_clips_own_length(
        self, positions: str, reference: nn.Module, published: Path, waves: Tensor
    ) -> None:
        """As if transformers' model had been made for 98 frames, with position embeddings brought to that length."""
        state = reference.state_dict()
        name = next(name for name in state if name.endswith("position_embeddings"))
        grid = state[name][:, 2:].reshape(12, 101, 24)
        if positions == "crop":
            shorter = grid[:, :9]
        else:
            along_time = grid.permute(0, 2, 1)  # (bands, hidden, times)
            shorter = nn.functional.interpolate(along_time, size=9, mode="linear").permute(0, 2, 1)
        state[name] = torch.cat([state[name][:, :2], shorter.reshape(1, -1, 24)], dim=1)
        short = make_reference(max_length=98)
        short.load_state_dict(state)
        encoder = AstEncoder.from_pretrained(published, positions=positions)  # type: ignore[arg-type]
        features = encoder.features(waves)
        assert features.shape == (2, 128, 98)
        with torch.no_grad():
            expected = short.audio_spectrogram_transformer(features.transpose(1, 2))
            torch.testing.assert_close(encoder(waves), expected.pooler_output, rtol=0.0, atol=1e-5)
            padded = encoder(encoder.front_end.pad(features, 1024))
        assert (expected.pooler_output - padded).abs().max() > 0.01  # the length does matter

    @pytest.mark.parametrize("changes", [
        {"frequency_stride": 16, "time_stride": 8, "max_length": 200}, {"patch_size": 8, "num_mel_bins": 64},
    ])  # fmt: skip
    def test_with_another_patch_grid(self, changes: dict[str, int], tmp_path: Path) -> None:
        model = make_reference(**changes)
        model.save_pretrained(tmp_path)
        frames, bands = changes.get("max_length", 1024), changes.get("num_mel_bins", 128)
        transformers.ASTFeatureExtractor(max_length=frames, num_mel_bins=bands).save_pretrained(tmp_path)
        encoder = AstEncoder.from_pretrained(tmp_path)
        features = torch.randn(1, bands, frames, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = model.audio_spectrogram_transformer(features.transpose(1, 2)).pooler_output
            torch.testing.assert_close(encoder(features), expected, rtol=0.0, atol=1e-5)
            assert encoder(features[..., :50]).shape == (1, 24)

    def test_poolings(self, published: Path, waves: Tensor) -> None:
        z = {}
        for pooling in ("class", "distillation", "both", "mean"):
            encoder = AstEncoder.from_pretrained(published, pooling=pooling)  # type: ignore[arg-type]
            with torch.no_grad():
                z[pooling] = encoder(waves)
                tokens = encoder.backbone.tokens(encoder.features(waves))
        assert tokens.shape == (2, 2 + 12 * 9, 24)
        torch.testing.assert_close(z["class"], tokens[:, 0])
        torch.testing.assert_close(z["distillation"], tokens[:, 1])
        torch.testing.assert_close(z["both"], (tokens[:, 0] + tokens[:, 1]) / 2)
        torch.testing.assert_close(z["mean"], tokens[:, 2:].mean(dim=1))


class TestPositions:
    @pytest.mark.parametrize(("n", "m"), [(101, 9), (101, 1), (12, 9), (101, 100), (5, 5)])
    def test_interpolation_is_torchs(self, n: int, m: int) -> None:
        values = torch.randn(3, n, generator=torch.Generator().manual_seed(0))
        expected = nn.functional.interpolate(values.unsqueeze(0), size=m, mode="linear")[0]
        torch.testing.assert_close(values @ _interpolation(n, m).T, expected, rtol=0.0, atol=1e-4)

    @pytest.mark.parametrize("positions", ["interpolate", "crop"])
    def test_at_full_length_they_are_the_learned_ones(self, positions: str) -> None:
        embeddings = AstEncoder.from_config(positions=positions).backbone.model.embeddings
        assert torch.equal(embeddings._position_embeddings(101), embeddings.position_embeddings)
        assert embeddings._position_embeddings(9).shape == (1, 2 + 12 * 9, 64)

    def test_a_cropped_clip_has_the_tokens_of_the_padded_one(self) -> None:
        encoder = AstEncoder.from_config(positions="crop")
        features = torch.randn(2, 128, 98, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            short = encoder.backbone.model.embeddings(features.transpose(1, 2))
            padded = encoder.backbone.model.embeddings(encoder.front_end.pad(features, 1024).transpose(1, 2))
        torch.testing.assert_close(short[:, :2], padded[:, :2])
        grid = padded[:, 2:].reshape(2, 12, 101, 64)
        torch.testing.assert_close(short[:, 2:].reshape(2, 12, 9, 64), grid[:, :, :9])

    def test_interpolated_positions_learn(self) -> None:
        encoder = AstEncoder.from_config(hidden_size=16, n_layers=1)
        encoder(torch.randn(1, 128, 98, generator=torch.Generator().manual_seed(0)))[:, 0].sum().backward()
        gradient = encoder.backbone.model.embeddings.position_embeddings.grad
        assert gradient is not None
        # Nine places along time, each between two learned ones.
        assert int((gradient[0, 2:].reshape(12, 101, 16).abs().sum(dim=(0, 2)) > 0).sum()) in range(9, 19)


class TestTraining:
    def test_every_parameter_learns(self) -> None:
        encoder = AstEncoder.from_config(hidden_size=16, n_layers=2)
        features = torch.randn(3, 128, 40, generator=torch.Generator().manual_seed(0))
        weights = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))
        (encoder(features) * weights).sum().backward()
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            if "key.bias" not in name and "k_proj.bias" not in name:  # adds the same to all scores of a query
                assert parameter.grad.abs().sum() > 0, name

    @pytest.mark.parametrize("blocks", [0, 1, 3])
    def test_only_the_last_blocks_train(self, blocks: int, published: Path, waves: Tensor) -> None:
        encoder = AstEncoder.from_pretrained(published, trainable_blocks=blocks).train()
        trainable = {published_name(n.removeprefix("backbone.model.")) for n, p in encoder.named_parameters()
                     if p.requires_grad}  # fmt: skip
        expected = {f"encoder.layer.{i}" for i in range(3 - blocks, 3)} | ({"layernorm"} if blocks else set())
        assert {".".join(name.split(".")[:3]) if name.startswith("encoder") else "layernorm" for name in trainable} == (
            expected
        )
        parts = [p for part in encoder.pretrained_parts() for p in part.parameters()]
        assert {id(p) for p in parts} == {id(p) for p in encoder.parameters() if p.requires_grad}
        z = encoder(waves)
        assert z.requires_grad == (blocks > 0)
        with torch.no_grad():
            torch.testing.assert_close(z.detach(), AstEncoder.from_pretrained(published)(waves))

    def test_everything_trains_by_default(self) -> None:
        assert all(parameter.requires_grad for parameter in AstEncoder.from_config().parameters())

    @pytest.mark.parametrize("blocks", [None, 1])
    def test_gradient_checkpointing_changes_no_gradient(self, blocks: int | None, waves: Tensor) -> None:
        plain = AstEncoder.from_config(trainable_blocks=blocks).train()
        saving = AstEncoder.from_config(trainable_blocks=blocks, gradient_checkpointing=True).train()
        calls = []
        layer = saving.backbone.last_blocks(1)[0]
        layer.layernorm_before.register_forward_hook(lambda *_: calls.append(1))
        for encoder in (plain, saving):
            encoder(waves).square().sum().backward()
        assert len(calls) == 2, "the block is computed again in the backward pass"
        for (name, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None), name
            if one.grad is not None:
                torch.testing.assert_close(other.grad, one.grad, msg=name)

    def test_autocast_to_bfloat16(self, waves: Tensor) -> None:
        encoder = AstEncoder.from_config().train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            lower = encoder(waves)
            lower.square().sum().backward()
        with torch.no_grad():
            full = encoder(waves)
        assert lower.dtype == torch.float32
        # bfloat16 has 8 bits; the rounding of four blocks adds up to a few per cent of the embedding.
        assert 0 < (lower - full).abs().max() < 0.1 * full.abs().max()
        gradients = [p.grad for p in encoder.parameters()]
        assert all(g is not None and g.isfinite().all() for g in gradients)

    def test_a_network_in_bfloat16(self, waves: Tensor) -> None:
        encoder = AstEncoder.from_config().eval()
        with torch.no_grad():
            full = encoder(waves)
            lower = encoder.bfloat16()(waves)
        assert lower.dtype == torch.float32
        assert 0 < (lower - full).abs().max() < 0.1 * full.abs().max()

    def test_weights_come_from_the_seed_and_the_two_tokens_differ(self) -> None:
        first, again, other = (AstEncoder.from_config(seed=seed) for seed in (1, 1, 2))
        for name, value in first.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name
        name = "backbone.model.embeddings.patch_embeddings.projection.weight"
        assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
        embeddings = first.backbone.model.embeddings
        assert not torch.equal(embeddings.cls_token, embeddings.distillation_token)

    def test_whitening_is_fitted_behind_the_network(self, waves: Tensor) -> None:
        encoder = AstEncoder.from_config(whitening=True).eval()
        plain = AstEncoder.from_config().eval()
        assert plain.whitening is None and encoder.whitening is not None
        with torch.no_grad():
            torch.testing.assert_close(encoder.raw(waves), plain(waves))
            z = torch.randn(20, 64, generator=torch.Generator().manual_seed(0))
            encoder.whitening.fit(z, torch.arange(20) % 4)
            torch.testing.assert_close(encoder(waves), encoder.whitening(plain(waves)))


class TestFiles:
    def test_weights_are_saved_under_the_published_names(self, published: Path) -> None:
        from safetensors import safe_open

        with safe_open(published / "model.safetensors", "pt") as file:
            names = {name.removeprefix("audio_spectrogram_transformer.") for name in file.keys()}  # noqa: SIM118
        state = AstEncoder.from_pretrained(published).state_dict()
        assert {name.removeprefix("backbone.model.") for name in state} == {
            name for name in names if not name.startswith("classifier")
        }

    def test_round_trip_with_the_learned_settings(self, published: Path, waves: Tensor, tmp_path: Path) -> None:
        encoder = AstEncoder.from_pretrained(
            published, pooling="mean", positions="crop", trainable_blocks=1, whitening=True, gradient_checkpointing=True
        )
        loaded = load_encoder(save_encoder(encoder, tmp_path / "encoder.safetensors"))
        assert isinstance(loaded, AstEncoder)
        assert loaded.settings() == encoder.settings()
        assert (loaded.front_end.mean, loaded.front_end.std) == (MEAN, STD)
        with torch.no_grad():
            assert torch.equal(loaded(waves), encoder(waves))

    def test_a_lone_model_without_classifier(self, reference: nn.Module, published: Path, copied: Path) -> None:
        reference.audio_spectrogram_transformer.save_pretrained(copied)
        state = AstEncoder.from_pretrained(copied).state_dict()
        for name, value in AstEncoder.from_pretrained(published).state_dict().items():
            assert torch.equal(value, state[name]), name

    def test_weights_in_half_precision_become_float32(self, reference: nn.Module, copied: Path) -> None:
        import copy

        copy.deepcopy(reference).half().save_pretrained(copied)
        assert all(value.dtype == torch.float32 for value in AstEncoder.from_pretrained(copied).state_dict().values())

    def test_without_normalisation(self, copied: Path, waves: Tensor) -> None:
        change(copied / "preprocessor_config.json", do_normalize=False)
        expected = KaldiFilterBank(mean=0.0, std=0.5)(waves)
        assert torch.equal(AstEncoder.from_pretrained(copied).features(waves), expected)

    def test_features_of_another_normalisation_are_refused(
        self, make_tones: Callable[..., Any], published: Path, tmp_path: Path
    ) -> None:
        tones = make_tones(n_classes=2, n_clips=2)
        encoder = AstEncoder.from_pretrained(published)
        store = FeatureStore.build(tones, encoder.front_end, cache_dir=tmp_path, progress=False)
        torch.testing.assert_close(
            embed_dataset(encoder, store, duration=0.3), embed_dataset(encoder, store, duration=0.3, batch_size=1)
        )
        other = FeatureStore.build(tones, KaldiFilterBank(), cache_dir=tmp_path, progress=False)
        with pytest.raises(InputError, match=r"they differ in mean, std"):
            embed_dataset(encoder, other, duration=0.3)


class TestHub:
    def test_a_name_is_looked_up_small_files_first(self, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[tuple[str, str]] = []

        def download(name: str, file: str, local_files_only: bool = False) -> str:
            if local_files_only:
                raise FileNotFoundError(file)
            asked.append((name, file))
            return str(published / file)

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
        encoder = AstEncoder.from_pretrained(HUB_NAME)
        files = ("config.json", "preprocessor_config.json", "model.safetensors")
        assert asked == [(HUB_NAME, file) for file in files]
        assert encoder.front_end.mean == MEAN

    def test_another_model_is_refused_before_its_weights_are_downloaded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
        asked: list[str] = []

        def download(name: str, file: str, **_: Any) -> str:
            asked.append(file)
            return str(tmp_path / file)

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
        with pytest.raises(CheckpointError, match="a model of type 'wav2vec2', not an Audio Spectrogram Transformer"):
            AstEncoder.from_pretrained("facebook/wav2vec2-base")
        assert asked == ["config.json"]

    def test_no_network_and_the_files_by_hand(
        self, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def download(name: str, file: str, **_: Any) -> str:
            raise ConnectionError("Name or service not known.\nmore lines")

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
        with pytest.raises(CheckpointError) as raised:
            AstEncoder.from_pretrained(HUB_NAME, cache_dir=tmp_path)
        folder = tmp_path / "ast" / "MIT--ast-finetuned-speech-commands-v2"
        message = str(raised.value)
        assert "\n" not in message
        for part in ("(Name or service not known)", f"https://huggingface.co/{HUB_NAME}/tree/main", str(folder),
                     "config.json, preprocessor_config.json, model.safetensors"):  # fmt: skip
            assert part in message
        folder.mkdir(parents=True)
        for path in published.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        assert AstEncoder.from_pretrained(HUB_NAME, cache_dir=tmp_path).front_end.std == STD

    def test_no_network_is_noticed_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A download tries again and again, and says so in many lines."""
        asked: list[str] = []

        def download(name: str, file: str, local_files_only: bool = False) -> str:
            assert local_files_only, "it was tried without a connection"
            raise FileNotFoundError(file)

        def metadata(url: str) -> None:
            asked.append(url)
            raise ConnectionError("[Errno 111] Connection refused")

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
        with pytest.raises(CheckpointError, match=r"cannot be downloaded \(\[Errno 111\] Connection refused\)"):
            AstEncoder.from_pretrained(HUB_NAME, cache_dir=tmp_path)
        (url,) = asked
        assert url.endswith(f"/{HUB_NAME}/resolve/main/config.json")

    def test_a_name_that_the_hub_does_not_know(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from huggingface_hub.utils import RepositoryNotFoundError

        def metadata(url: str) -> None:
            raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)  # made in full, it wants the hub's answer

        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
        with pytest.raises(CheckpointError, match=r"the hub has no such model"):
            AstEncoder.from_pretrained("MIT/ast", cache_dir=tmp_path)


class TestBadCheckpoints:
    @pytest.mark.parametrize("missing", ["config.json", "preprocessor_config.json", "model.safetensors"])
    def test_a_missing_file(self, missing: str, copied: Path) -> None:
        (copied / missing).unlink()
        with pytest.raises(CheckpointError, match=f"has no {missing}; an AST checkpoint consists of config.json"):
            AstEncoder.from_pretrained(copied)

    @pytest.mark.parametrize("given", ["folder", "file"])
    def test_pickled_weights_are_never_read(self, given: str, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (copied / "model.safetensors").unlink()
        pickled = copied / "pytorch_model.bin"
        pickled.write_bytes(b"\x80\x04 would run code")
        monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
        with pytest.raises(CheckpointError, match=r"pytorch_model.bin is a pickle, .* fetch model.safetensors"):
            AstEncoder.from_pretrained(copied if given == "folder" else pickled)

    @pytest.mark.parametrize("name", ["nothing-here", "./no/such/folder", "a/b/c", ""])
    def test_neither_a_folder_nor_a_name(self, name: str) -> None:
        with pytest.raises(InputError, match=r"neither a folder nor the name of a model on the hub \(owner/name\)"):
            AstEncoder.from_pretrained(name or "owner/")

    def test_a_file_instead_of_its_folder(self, copied: Path) -> None:
        with pytest.raises(InputError, match=r"model.safetensors is a file; give the folder"):
            AstEncoder.from_pretrained(copied / "model.safetensors")

    @pytest.mark.parametrize("changes", [{"max_length": 128}, {"frequency_stride": 16}, {"patch_size": 8}])
    def test_a_patch_grid_that_does_not_fit(self, changes: dict[str, int], copied: Path) -> None:
        change(copied / "config.json", **changes)
        change(copied / "preprocessor_config.json", max_length=changes.get("max_length", 1024))
        with pytest.raises(
            CheckpointError, match=r"position embeddings for 1212 patches, but its config.json .* a grid"
        ):
            AstEncoder.from_pretrained(copied)

    @pytest.mark.parametrize(
        ("file", "changes", "message"),
        [
            ("config.json", {"model_type": "vit"}, "a model of type 'vit', not an Audio Spectrogram Transformer"),
            ("config.json", {"model_type": None}, "a model of type 'None'"),
            ("config.json", {"hidden_act": "relu"}, "hidden_act 'relu'; AstEncoder takes models with 'gelu'"),
            ("config.json", {"qkv_bias": False}, "qkv_bias False"),
            ("config.json", {"patch_size": [16, 16]}, r"patch_size \[16, 16\]; expected a whole number"),
            ("config.json", {"num_attention_heads": 5}, "a hidden size of 24, which is no multiple of its 5 heads"),
            ("config.json", {"intermediate_size": 48}, r"'encoder.layer.0.intermediate.dense.weight' has .* \(40"),
            ("config.json", {"num_hidden_layers": 4}, "no whole AST: 'encoder.layer.3"),
            ("preprocessor_config.json", {"sampling_rate": 22050}, "sampling_rate 22050, but .* sound of 16000 Hz"),
            ("preprocessor_config.json", {"num_mel_bins": 64}, "num_mel_bins 64, but its config.json has 128 mel"),
            ("preprocessor_config.json", {"max_length": 128}, "max_length 128, but its config.json has 1024 frames"),
            ("preprocessor_config.json", {"mean": None}, "mean None; expected a number"),
            ("preprocessor_config.json", {"std": 0}, "preprocessor_config.json has std 0; expected .* above 0"),
            ("preprocessor_config.json", {"mean": float("inf")}, "has mean inf; expected a finite number, so"),
            ("config.json", {"patch_size": 500}, "patches of 500 by 500, but 128 bands and 1024 frames"),
            (
                "preprocessor_config.json",
                {"feature_extractor_type": "Wav2Vec2FeatureExtractor"},
                "'Wav2Vec2FeatureExtractor', but that is no preprocessor of an AST",
            ),
        ],
    )  # fmt: skip
    def test_settings_that_do_not_fit(self, file: str, changes: dict[str, Any], message: str, copied: Path) -> None:
        change(copied / file, **changes)
        with pytest.raises(CheckpointError, match=message):
            AstEncoder.from_pretrained(copied)

    @pytest.mark.parametrize(
        ("file", "message"),
        [("config.json", "cannot be read"), ("model.safetensors", "is damaged or no safetensors file")],
    )
    def test_a_file_that_was_cut_off(self, file: str, message: str, copied: Path) -> None:
        (copied / file).write_bytes((copied / file).read_bytes()[:100])
        with pytest.raises(CheckpointError, match=message):
            AstEncoder.from_pretrained(copied)

    def test_weights_of_something_else(self, copied: Path) -> None:
        from safetensors.torch import save_file

        save_file({"weight": torch.zeros(2)}, copied / "model.safetensors")
        with pytest.raises(CheckpointError, match="holds no AST: 'embeddings.position_embeddings' is missing"):
            AstEncoder.from_pretrained(copied)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda tensor: tensor[0], r"holds no AST: 'embeddings.position_embeddings' has the shape \(1214, 24\)"),
            (lambda tensor: tensor.to(torch.int8), "whole numbers, NaN or infinite values in '.*position_embeddings'"),
            (lambda tensor: tensor * torch.nan, "whole numbers, NaN or infinite values in '.*position_embeddings'"),
        ],
    )
    def test_damaged_weights(self, damage: Callable[[Tensor], Tensor], message: str, copied: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = copied / "model.safetensors"
        weights = load_file(path)
        (name,) = (name for name in weights if name.endswith("position_embeddings"))
        save_file({**weights, name: damage(weights[name]).contiguous()}, path)
        with pytest.raises(CheckpointError, match=message):
            AstEncoder.from_pretrained(copied)


class TestBadInput:
    @pytest.mark.parametrize("make", [AstEncoder, AstEncoder.from_config])
    def test_another_sample_rate(self, make: Callable[..., AstEncoder]) -> None:
        with pytest.raises(
            InputError, match=r"the sample rate is 22050 Hz, .* open the data set with sample_rate=16000"
        ):
            make(sample_rate=22050)

    def test_another_sample_rate_than_a_checkpoints(self, published: Path) -> None:
        with pytest.raises(InputError, match="the sample rate is 44100 Hz"):
            AstEncoder.from_pretrained(published, sample_rate=44100)

    def test_clips_longer_than_the_models_maximum(self) -> None:
        encoder = AstEncoder.from_config(max_frames=128).eval()
        longest = encoder.front_end.n_samples(128)
        with torch.no_grad():
            assert encoder(torch.zeros(1, 1, longest + 159)).shape == (1, 64)
        with pytest.raises(
            InputError, match=r"129 frames, .* position embeddings for 128, which are 1.295 s; .* windows"
        ):
            encoder(torch.zeros(1, 1, longest + 160))

    def test_clips_shorter_than_a_patch(self) -> None:
        encoder = AstEncoder.from_config()
        with pytest.raises(InputError, match=r"15 frames, but a patch of the model covers 16, which are 0.175 s"):
            encoder(torch.zeros(1, 1, encoder.front_end.n_samples(15)))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"hidden_size": 30, "n_heads": 4}, r"hidden_size is 30; expected a multiple of n_heads \(4\)"),
            ({"n_layers": 0}, "n_layers is 0; expected 1 or more"),
            ({"time_stride": 0}, "time_stride is 0"),
            ({"max_frames": 10}, "n_mels is 128 and max_frames 10; expected 16 or more"),
            ({"pooling": "max"}, "pooling is 'max'; expected one of both, class, distillation, mean"),
            ({"positions": "stretch"}, "positions is 'stretch'; expected one of interpolate, crop"),
            ({"trainable_blocks": 5}, r"trainable_blocks is 5; expected 0 \(train nothing\) to 4"),
            ({"trainable_blocks": -1}, "trainable_blocks is -1"),
            ({"std": -1.0}, "std -1.0"),
        ],
    )
    def test_settings_out_of_range(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            AstEncoder.from_config(**settings)


def test_documented_size_and_multiply_adds() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        encoder = AstEncoder()
    documented = " ".join((AstEncoder.__doc__ or "").split())
    assert f"{sum(parameter.numel() for parameter in encoder.parameters()):,} parameters" in documented
    for n_frames in (encoder.front_end.n_frames(16000), 1024):
        n_times = (n_frames - 16) // 10 + 1
        with FlopCounterMode(display=False) as counter:
            encoder.backbone(torch.zeros(1, 128, n_frames, device="meta"))
        billions = counter.get_total_flops() / 2 / 1e9  # it counts a multiplication and an addition as two
        assert f"12 by {n_times} patches" in documented
        assert f"{billions:.1f} billion" in documented


@pytest.mark.parametrize("made_by", ["", ".from_config", ".from_pretrained"])
def test_a_configuration_file_can_name_it(made_by: str, published: Path) -> None:
    """As LightningCLI reads them: every argument is typed and known."""
    from jsonargparse import ArgumentParser

    from musicfsl.backbones import Encoder

    parser = ArgumentParser()
    parser.add_argument("--encoder", type=Encoder)
    own = {"name_or_path": str(published)} if made_by == ".from_pretrained" else {"hidden_size": 24, "n_heads": 3}
    arguments = {"pooling": "mean", "trainable_blocks": 1, **own, **({} if made_by else {"n_layers": 1})}
    content = {"encoder": {"class_path": f"musicfsl.backbones.AstEncoder{made_by}", "init_args": arguments}}
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # its name in older releases
    encoder = instantiate(parser.parse_object(content)).encoder
    assert (encoder.dim, encoder.backbone.pooling, encoder.trainable_blocks) == (24, "mean", 1)


def test_the_small_one_differs_from_the_constructor_in_size_alone() -> None:
    import inspect

    small, full = (inspect.signature(make).parameters for make in (AstEncoder.from_config, AstEncoder))
    assert list(small) == list(full)
    assert {name for name in small if small[name].default != full[name].default} == {
        "hidden_size", "n_layers", "n_heads",
    }  # fmt: skip
    encoder = AstEncoder.from_config()
    documented = " ".join((AstEncoder.from_config.__doc__ or "").split())
    assert f"({sum(parameter.numel() for parameter in encoder.parameters()):,} parameters)" in documented
