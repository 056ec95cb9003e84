"""CLAP's audio half against transformers' own, with random weights in the exact layout of the hub."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from musicfsl import FeatureStore, LogMel, embed_dataset, load_encoder, save_encoder
from musicfsl.backbones import ClapEncoder
from musicfsl.backbones.clap import ClapFrontEnd
from musicfsl.embedding import fit_whitening
from musicfsl.errors import CheckpointError, InputError

transformers = pytest.importorskip("transformers")

SMALL: dict[str, Any] = {"width": 8, "depths": (2, 1, 1, 1), "n_heads": (1, 2, 2, 4), "dim": 20}
HUB_NAME = "laion/clap-htsat-unfused"
FILES = ("config.json", "preprocessor_config.json", "model.safetensors")


@pytest.fixture
def copied(clap: tuple[Path, nn.Module], tmp_path: Path) -> Path:
    """A copy of the checkpoint that a test may spoil."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in clap[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def waves() -> Tensor:
    """Two clips of 1.4 s, of which the second is soft."""
    g = torch.Generator().manual_seed(0)
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(70001) / 48000)
    return (0.1 * torch.randn(2, 1, 70001, generator=g) + 0.3 * tone).mul_(torch.tensor([1.0, 0.05]).reshape(2, 1, 1))


def change(path: Path, part: str | None = None, **values: Any) -> None:
    """Sets fields of a JSON file, or of a part of it; None takes one out."""
    content = json.loads(path.read_text())
    inner = content if part is None else content[part]
    inner.update(values)
    for name in [name for name, value in inner.items() if value is None]:
        del inner[name]
    path.write_text(json.dumps(content))


def extracted(folder: Path, waves: Tensor) -> Any:
    extractor = transformers.ClapFeatureExtractor.from_pretrained(folder)
    return extractor([wave.numpy() for wave in waves[:, 0]], sampling_rate=48000, return_tensors="pt")


def embedded(model: nn.Module, **inputs: Tensor) -> Tensor:
    """transformers' embeddings, which release 5 wraps and release 4 does not."""
    with torch.no_grad():
        output = model.get_audio_features(**inputs)  # type: ignore[operator]
    return getattr(output, "pooler_output", output)


class TestFrontEnd:
    @pytest.mark.parametrize("n_samples", [480000, 480000 // 3, 70001, 240001, 700])
    def test_equals_the_extractor(self, n_samples: int) -> None:
        wave = 0.1 * torch.randn(2, 1, n_samples, generator=torch.Generator().manual_seed(0))
        extractor = transformers.ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
        values = extractor([w.numpy() for w in wave[:, 0]], sampling_rate=48000, return_tensors="pt").input_features
        features = ClapFrontEnd()(wave)
        assert features.shape == (2, 64, 1001) and features.dtype == torch.float32
        torch.testing.assert_close(features.transpose(1, 2), values[:, 0], rtol=0.0, atol=1e-3)

    def test_of_models_with_feature_fusion(self, waves: Tensor, restored_global_random_state: None) -> None:
        extractor = transformers.ClapFeatureExtractor(frequency_max=12000, truncation="fusion")
        values = extractor([w.numpy() for w in waves[:, 0]], sampling_rate=48000, return_tensors="pt").input_features
        features = ClapFrontEnd(mel_scale="htk", f_min=0, f_max=12000)(waves)
        torch.testing.assert_close(features.transpose(1, 2), values[:, 0], rtol=0.0, atol=1e-3)
        assert (features - ClapFrontEnd()(waves)).abs().max() > 1.0

    def test_a_longer_recording_keeps_its_length(self) -> None:
        wave = torch.randn(1, 12 * 48000 + 7, generator=torch.Generator().manual_seed(0))
        front_end = ClapFrontEnd()
        extractor = transformers.ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
        expected = extractor._np_extract_fbank_features(wave[0].double().numpy(), extractor.mel_filters_slaney)
        features = front_end(wave)
        assert features.shape == (64, 1201) == (64, front_end.n_frames(wave.shape[-1]))
        torch.testing.assert_close(features.T, torch.from_numpy(expected), rtol=0.0, atol=1e-3)

    @pytest.mark.parametrize("n_samples", [1, 48000, 479999, 480000, 480480, 500000])
    def test_number_of_frames(self, n_samples: int) -> None:
        front_end = ClapFrontEnd()
        assert front_end.n_frames(n_samples) == front_end(torch.zeros(1, n_samples)).shape[-1]

    def test_silence_and_settings(self) -> None:
        front_end = ClapFrontEnd(mel_scale="htk", f_min=20.0)
        assert bool((front_end(torch.zeros(1, 5000)) == front_end.silence).all())
        again = ClapFrontEnd(**json.loads(json.dumps(front_end.settings())))
        assert again.settings() == front_end.settings()
        assert torch.equal(again.filters, front_end.filters)

    @pytest.mark.parametrize("shape", [(48000,), (2, 48000), (0,), ()])
    def test_wrong_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match=r"expected float \(..., 1, n_samples\)|the wave has no samples"):
            ClapFrontEnd()(torch.zeros(shape))

    def test_an_empty_wave(self) -> None:
        with pytest.raises(InputError, match="the wave has no samples; give a longer one"):
            ClapFrontEnd()(torch.zeros(1, 0))


class TestEqualsTransformers:
    def test_from_the_wave(self, clap: tuple[Path, nn.Module], waves: Tensor) -> None:
        folder, model = clap
        expected = embedded(model, **extracted(folder, waves))
        encoder = ClapEncoder.from_pretrained(folder)
        assert not encoder.training and encoder.dim == 20
        with torch.no_grad():
            torch.testing.assert_close(encoder(waves), expected, rtol=0.0, atol=1e-4)
            torch.testing.assert_close(encoder(encoder.features(waves)), expected, rtol=0.0, atol=1e-4)
        # The two clips differ by hundreds of times the tolerance, so the comparison means something.
        assert (expected[0] - expected[1]).abs().max() > 0.05

    def test_with_feature_fusion(self, make_clap: Callable[..., nn.Module], tmp_path: Path, waves: Tensor) -> None:
        """On clips of up to 10 s, none of which is marked as longer."""
        model = make_clap(tmp_path, truncation="fusion", enable_fusion=True, fusion_type="aff_2d")
        encoder = ClapEncoder.from_pretrained(tmp_path)
        assert encoder.front_end.mel_scale == "htk"
        features = encoder.features(waves)
        four = features.transpose(1, 2).unsqueeze(1).expand(-1, 4, -1, -1)
        expected = embedded(model, input_features=four, is_longer=torch.zeros(2, 1, dtype=torch.bool))
        with torch.no_grad():
            torch.testing.assert_close(encoder(waves), expected, rtol=0.0, atol=1e-5)

    def test_weights_are_saved_under_their_published_names(self, clap: tuple[Path, nn.Module]) -> None:
        from safetensors import safe_open

        with safe_open(clap[0] / "model.safetensors", "pt") as file:
            names = {name for name in file.keys() if name.startswith("audio_")}  # noqa: SIM118
        state = ClapEncoder.from_pretrained(clap[0]).state_dict()
        assert {name.removeprefix("backbone.model.") for name in state} == names

    def test_weights_in_half_precision_become_float32(self, copied: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(copied / "model.safetensors")
        halves = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
        save_file(halves, copied / "model.safetensors")
        encoder = ClapEncoder.from_pretrained(copied)
        assert all(parameter.dtype == torch.float32 for parameter in encoder.parameters())
        weight = encoder.backbone.model.audio_projection.linear1.weight
        assert torch.equal(weight, weights["audio_projection.linear1.weight"].half().float())

    def test_round_trip_with_the_learned_settings(
        self, make_clap: Callable[..., nn.Module], waves: Tensor, tmp_path: Path
    ) -> None:
        make_clap(tmp_path, truncation="fusion")
        encoder = ClapEncoder.from_pretrained(tmp_path, whitening=True)
        loaded = load_encoder(save_encoder(encoder, tmp_path / "encoder.safetensors"))
        assert loaded.settings() == encoder.settings()
        assert loaded.front_end.settings() == {
            "sample_rate": 48000, "mel_scale": "htk", "f_min": 50.0, "f_max": 14000.0,
        }  # fmt: skip
        with torch.no_grad():
            assert torch.equal(loaded(waves), encoder(waves))


class TestLengths:
    def test_fewer_frames_are_repeated(self) -> None:
        encoder = ClapEncoder(**SMALL).eval()
        features = -50 + 20 * torch.randn(1, 64, 300, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = encoder(torch.cat([features] * 4, dim=-1)[..., :1001])
            assert torch.equal(encoder(features), expected)

    def test_longer_clips_are_refused(self) -> None:
        encoder = ClapEncoder(**SMALL).eval()
        assert encoder(torch.zeros(1, 1, 480479)).shape == (1, 20)
        with pytest.raises(
            InputError, match=r"1002 frames, but CLAP takes up to 1001, which are 10 s; .* shorter duration="
        ):
            encoder(torch.zeros(1, 1, 480480))

    def test_windows_of_waves_and_of_stored_features(self, make_tones: Callable[..., Any], tmp_path: Path) -> None:
        tones = make_tones(n_classes=2, n_clips=2)
        tones.sample_rate = 48000
        encoder = ClapEncoder(**SMALL)
        z = embed_dataset(encoder, tones, duration=10.0)
        store = FeatureStore.build(tones, encoder.front_end, trim_db=None, cache_dir=tmp_path, progress=False)
        assert store.lengths.tolist() == [1001] * 4
        # As waves, clips are filled up to the window by zeros; as features they are repeated.
        with torch.no_grad():
            whole = torch.cat([encoder.eval()(tones.read(i).unsqueeze(0)) for i in range(4)])
        torch.testing.assert_close(embed_dataset(encoder, store, duration=1.0), whole, rtol=0.0, atol=1e-5)
        assert z.shape == (4, 20) and torch.isfinite(z).all()
        other = FeatureStore.build(tones, LogMel(48000), cache_dir=tmp_path, progress=False)
        with pytest.raises(InputError, match="stored with another front end"):
            embed_dataset(encoder, other)


class TestTraining:
    def test_every_parameter_learns(self, waves: Tensor) -> None:
        encoder = ClapEncoder(**SMALL).train()
        g = torch.Generator().manual_seed(1)
        (encoder(waves) * torch.randn(2, 20, generator=g)).sum().backward()
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            if "key.bias" not in name:  # adds the same to all scores of a query
                assert parameter.grad.abs().sum() > 0, name

    def test_in_training_mode_a_clip_does_not_depend_on_its_neighbours(
        self, clap: tuple[Path, nn.Module], waves: Tensor
    ) -> None:
        encoder = ClapEncoder.from_pretrained(clap[0])
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        with torch.no_grad():
            expected = encoder(waves)
            z = encoder.train()(waves)
        assert encoder.training and encoder.backbone.model.training
        torch.testing.assert_close(z, expected, rtol=0.0, atol=1e-6)
        for name, value in encoder.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_autocast_to_bfloat16(self, waves: Tensor) -> None:
        encoder = ClapEncoder(**SMALL).train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            lower = encoder(waves)
            lower[:, 0].sum().backward()
        with torch.no_grad():
            full = encoder(waves)
        assert lower.dtype == torch.float32
        # bfloat16 has 8 bits; the rounding of five blocks adds up to a few per cent of the embedding.
        assert 0 < (lower - full).abs().max() < 0.1
        assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())

    def test_embeddings_lie_on_the_sphere_and_are_whitened_behind_it(self, make_tones: Callable[..., Any]) -> None:
        tones = make_tones(n_classes=2, n_clips=3)
        tones.sample_rate = 48000
        encoder = ClapEncoder(**SMALL, whitening=True).eval()
        plain = embed_dataset(encoder, tones, duration=0.5, max_windows=1)
        torch.testing.assert_close(plain.norm(dim=1), torch.ones(6))
        fit_whitening(encoder, tones, duration=0.5, max_windows=1)
        whitened = embed_dataset(encoder, tones, duration=0.5, max_windows=1)
        assert encoder.whitening is not None
        torch.testing.assert_close(whitened, encoder.whitening(plain))
        assert (whitened.norm(dim=1) - 1).abs().max() > 0.1

    def test_weights_come_from_the_seed(self) -> None:
        first, again, other = (ClapEncoder(**SMALL, seed=seed) for seed in (1, 1, 2))
        for name, value in first.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name
        name = "backbone.model.audio_projection.linear1.weight"
        assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


class TestHub:
    def test_a_name_is_looked_up_small_files_first(
        self, clap: tuple[Path, nn.Module], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[str, str]] = []

        def download(name: str, file: str, local_files_only: bool = False) -> str:
            if local_files_only:
                raise FileNotFoundError(file)
            asked.append((name, file))
            return str(clap[0] / file)

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
        assert ClapEncoder.from_pretrained(HUB_NAME).dim == 20
        assert asked == [(HUB_NAME, file) for file in FILES]

    def test_another_model_or_rate_is_refused_before_weights_are_downloaded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "clip"}')
        asked: list[str] = []

        def download(name: str, file: str, **_: Any) -> str:
            asked.append(file)
            return str(tmp_path / file)

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
        with pytest.raises(CheckpointError, match=r"a model of type 'clip', not CLAP \('clap'\); give one, such as"):
            ClapEncoder.from_pretrained("openai/clip-vit-base-patch32")
        with pytest.raises(InputError, match="the sample rate is 16000 Hz, but CLAP is made for 48000 Hz"):
            ClapEncoder.from_pretrained(HUB_NAME, sample_rate=16000)
        assert asked == ["config.json"]

    def test_no_network_and_the_files_by_hand(
        self, clap: tuple[Path, nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def download(name: str, file: str, **_: Any) -> str:
            raise ConnectionError("Name or service not known.\nmore lines")

        monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
        with pytest.raises(CheckpointError) as raised:
            ClapEncoder.from_pretrained(HUB_NAME, cache_dir=tmp_path)
        folder = tmp_path / "clap" / "laion--clap-htsat-unfused"
        message = str(raised.value)
        assert "\n" not in message
        for part in ("(Name or service not known)", f"https://huggingface.co/{HUB_NAME}/tree/main", str(folder),
                     ", ".join([*FILES, "tokenizer.json"])):  # fmt: skip
            assert part in message
        folder.mkdir(parents=True)
        for path in clap[0].iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        assert ClapEncoder.from_pretrained(HUB_NAME, cache_dir=tmp_path).dim == 20


class TestBadCheckpoints:
    @pytest.mark.parametrize("missing", FILES)
    def test_a_missing_file(self, missing: str, copied: Path) -> None:
        (copied / missing).unlink()
        with pytest.raises(CheckpointError, match=f"has no {missing}; a CLAP checkpoint consists of config.json"):
            ClapEncoder.from_pretrained(copied)

    @pytest.mark.parametrize("given", ["folder", "file"])
    def test_pickled_weights_are_never_read(self, given: str, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (copied / "model.safetensors").unlink()
        pickled = copied / "pytorch_model.bin"
        pickled.write_bytes(b"\x80\x04 would run code")
        monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was read"))
        with pytest.raises(CheckpointError, match=r"pytorch_model.bin is a pickle, .* ClapModel.from_pretrained"):
            ClapEncoder.from_pretrained(copied if given == "folder" else pickled)

    @pytest.mark.parametrize(
        ("part", "changes", "message"),
        [
            (None, {"model_type": None}, "a model of type 'None'"),
            (None, {"audio_config": None}, "has no audio_config, so it does not describe a whole CLAP"),
            (None, {"projection_dim": 24}, r"linear1.weight' has the shape \(20, 64\), not \(24, 64\)"),
            (None, {"projection_hidden_act": "gelu"}, "hidden_act 'gelu'; musicfsl takes models with 'relu'"),
            ("audio_config", {"window_size": 4}, "window_size 4; ClapEncoder takes models with 8"),
            ("audio_config", {"num_mel_bins": 128}, "num_mel_bins 128"),
            ("audio_config", {"depths": [2, 1, 1]}, r"describes no CLAP \(depths is \[2, 1, 1\]; expected 4 numbers"),
            ("audio_config", {"depths": [2, 1, 1, 2]}, "no whole CLAP: 'audio_model.*layers.3.blocks.1"),
            ("audio_config", {"depths": 6}, "depths 6; expected a list of whole numbers"),
            ("audio_config", {"num_attention_heads": [3, 3, 3, 3]}, "stage 1 is 8 wide, which is no multiple of its 3"),
            ("audio_config", {"patch_embeds_hidden_size": "8"}, "patch_embeds_hidden_size '8'; expected a whole"),
        ],
    )  # fmt: skip
    def test_networks_that_do_not_fit(
        self, part: str | None, changes: dict[str, Any], message: str, copied: Path
    ) -> None:
        change(copied / "config.json", part, **changes)
        with pytest.raises(CheckpointError, match=message):
            ClapEncoder.from_pretrained(copied)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sampling_rate": 44100}, "sampling_rate 44100; ClapEncoder takes models with 48000"),
            ({"hop_length": 320}, "hop_length 320"),
            ({"padding": "repeat"}, "padding 'repeat'; ClapEncoder takes models with 'repeatpad'"),
            ({"truncation": "first"}, "truncation 'first'; expected one of rand_trunc, fusion"),
            ({"frequency_min": "low"}, "a frequency 'low'; expected a number"),
            ({"frequency_max": 30000}, r"describes no CLAP \(the band edges are 50.0 and 30000.0 Hz"),
            ({"feature_extractor_type": "ASTFeatureExtractor"}, "feature_extractor_type 'ASTFeatureExtractor'"),
        ],
    )
    def test_preprocessors_that_do_not_fit(self, changes: dict[str, Any], message: str, copied: Path) -> None:
        change(copied / "preprocessor_config.json", **changes)
        with pytest.raises(CheckpointError, match=message):
            ClapEncoder.from_pretrained(copied)

    def test_damaged_weights(self, copied: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(copied / "model.safetensors")
        weights["audio_projection.linear1.bias"].fill_(float("nan"))
        save_file(weights, copied / "model.safetensors")
        with pytest.raises(CheckpointError, match=r"NaN or infinite values in 'audio_projection.linear1.bias'"):
            ClapEncoder.from_pretrained(copied)

    @pytest.mark.parametrize(
        ("file", "message"),
        [("config.json", "cannot be read"), ("model.safetensors", "is damaged or no safetensors file")],
    )
    def test_a_file_that_was_cut_off(self, file: str, message: str, copied: Path) -> None:
        (copied / file).write_bytes((copied / file).read_bytes()[:100])
        with pytest.raises(CheckpointError, match=message):
            ClapEncoder.from_pretrained(copied)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "width is 0 and dim 20; expected 1 or more of both"),
        ({"dim": 0}, "width is 8 and dim 0"),
        ({"n_heads": (1, 2, 2)}, r"n_heads is \[1, 2, 2\]; expected 4 numbers of 1 or more, one a stage"),
        ({"depths": (1, 1, 0, 1)}, r"depths is \[1, 1, 0, 1\]"),
        ({"n_heads": (1, 3, 2, 4)}, "stage 2 is 16 wide, which is no multiple of its 3 heads"),
        ({"sample_rate": 44100}, "the sample rate is 44100 Hz, .* open the data set with sample_rate=48000"),
        ({"mel_scale": "bark"}, "mel_scale is 'bark'"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClapEncoder(**{**SMALL, **settings})


def test_documented_size_and_multiply_adds() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    encoder = ClapEncoder().eval()
    documented = " ".join((ClapEncoder.__doc__ or "").split())
    assert f"{sum(parameter.numel() for parameter in encoder.parameters()):,} parameters" in documented
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder.backbone(torch.zeros(1, 64, 1001))
    billions = counter.get_total_flops() / 2 / 1e9  # it counts a multiplication and an addition as two
    assert f"{billions:.1f} billion multiply-adds" in documented


@pytest.mark.parametrize("made_by", ["", ".from_config", ".from_pretrained"])
def test_a_configuration_file_can_name_it(made_by: str, clap: tuple[Path, nn.Module]) -> None:
    """As LightningCLI reads them: every argument is typed and known."""
    from jsonargparse import ArgumentParser

    from musicfsl.backbones import Encoder

    parser = ArgumentParser()
    parser.add_argument("--encoder", type=Encoder)
    own = {"name_or_path": str(clap[0])} if made_by == ".from_pretrained" else {**SMALL, "depths": [2, 1, 1, 1]}
    content = {"encoder": {"class_path": f"musicfsl.backbones.ClapEncoder{made_by}", "init_args": own}}
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # its name in older releases
    encoder = instantiate(parser.parse_object(content)).encoder
    assert (encoder.dim, encoder.depths) == (20, (2, 1, 1, 1))


def test_the_small_one_differs_from_the_constructor_in_size_alone() -> None:
    small, full = (inspect.signature(make).parameters for make in (ClapEncoder.from_config, ClapEncoder))
    assert list(small) == list(full)
    assert {name for name in small if small[name].default != full[name].default} == {
        "width",
        "depths",
        "n_heads",
        "dim",
    }
    encoder = ClapEncoder.from_config()
    documented = " ".join((ClapEncoder.from_config.__doc__ or "").split())
    assert f"({sum(parameter.numel() for parameter in encoder.parameters()):,} parameters)" in documented
