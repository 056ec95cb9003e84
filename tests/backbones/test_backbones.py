from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from musicfsl import load_encoder, save_encoder
from musicfsl.backbones import ENCODERS, ConvEncoder, Encoder, build_encoder
from musicfsl.backbones.base import seeded_init
from musicfsl.errors import InputError

# Of networks that are large by default.
_SMALL: dict[str, dict[str, Any]] = {
    "ast": {"hidden_size": 32, "n_layers": 2, "n_heads": 2, "max_frames": 256},
    "clap": {"width": 8, "depths": [1, 1, 1, 1], "n_heads": [1, 1, 2, 2], "dim": 16},
    "cnn14": {"sample_rate": 16000, "widths": [4, 4, 8, 8, 16, 16], "dim": 32, "n_classes": 5},
    "panns_multiband": {"widths": [4, 4, 8, 8, 16, 16], "trunk_dim": 32, "dim": 24},
}


@pytest.fixture(params=sorted(ENCODERS))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """Every encoder keeps the contract; a new one is tested by being in the table."""
    return build_encoder(request.param, _SMALL.get(request.param, {})).eval()


@pytest.fixture
def waves() -> torch.Tensor:
    return torch.randn(3, 1, 16000, generator=torch.Generator().manual_seed(0)).mul_(0.1)


def test_composes_front_end_and_backbone(encoder: Encoder, waves: torch.Tensor) -> None:
    features = encoder.front_end(waves)
    with torch.no_grad():
        z = encoder(waves)
        assert z.shape == (3, encoder.dim)
        torch.testing.assert_close(encoder.backbone(features), z)
        torch.testing.assert_close(encoder(features), z)
    assert encoder.sample_rate == encoder.front_end.sample_rate


def test_a_clip_is_embedded_alike_alone_and_among_others(encoder: Encoder, waves: torch.Tensor) -> None:
    # Networks as published by others may normalise by batch while they are trained, but only then.
    published = any(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules())
    with torch.no_grad():
        together = encoder.train(not published)(waves)
        for i in range(3):
            torch.testing.assert_close(encoder(waves[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-5)


def test_settings_build_the_same_encoder(encoder: Encoder, waves: torch.Tensor) -> None:
    rebuilt = build_encoder(encoder.name, encoder.settings())
    rebuilt.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        assert torch.equal(rebuilt.eval()(waves), encoder(waves))


@pytest.mark.parametrize("shape", [(16000,), (3, 16000), (3, 2, 16000), (3, 1, 1, 16000), (3, 63, 40)])
def test_wrong_shapes(encoder: Encoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected float waves"):
        encoder(torch.zeros(shape))


def test_other_lengths_than_a_second_are_fine(encoder: Encoder) -> None:
    for seconds in (0.3, 2.0):
        assert encoder(torch.zeros(1, 1, int(seconds * 16000))).isfinite().all()


def test_frozen_parts_are_the_encoders_own(encoder: Encoder) -> None:
    parts = [parameter for part in encoder.pretrained_parts() for parameter in part.parameters()]
    assert {id(parameter) for parameter in parts} <= {id(parameter) for parameter in encoder.backbone.parameters()}
    assert len({id(parameter) for parameter in parts}) == len(parts)


def test_round_trip_through_a_file(encoder: Encoder, waves: torch.Tensor, tmp_path: Path) -> None:
    loaded = load_encoder(save_encoder(encoder, tmp_path / "encoder.safetensors"))
    assert type(loaded) is type(encoder)
    assert loaded.settings() == encoder.settings()
    with torch.no_grad():
        assert torch.equal(loaded(waves), encoder(waves))


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="no encoder 'convv'. Did you mean 'conv'"):
        build_encoder("convv", {})


class TestConvEncoder:
    def test_weights_come_from_the_seed(self) -> None:
        first, again, other = ConvEncoder(seed=1), ConvEncoder(seed=1), ConvEncoder(seed=2)
        for name, value in first.state_dict().items():
            assert torch.equal(value, again.state_dict()[name])
        assert not torch.equal(first.backbone.blocks[0].weight, other.backbone.blocks[0].weight)

    def test_loudness_is_taken_out(self, waves: torch.Tensor) -> None:
        encoder = ConvEncoder(floor=1e-12).eval()
        with torch.no_grad():
            torch.testing.assert_close(encoder(waves * 0.5), encoder(waves), rtol=1e-3, atol=1e-3)

    def test_every_parameter_learns(self, waves: torch.Tensor) -> None:
        encoder = ConvEncoder()
        g = torch.Generator().manual_seed(1)
        (encoder(waves) * torch.randn(3, encoder.dim, generator=g)).sum().backward()
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name

    def test_documented_size(self) -> None:
        encoder = ConvEncoder()
        n_parameters = sum(parameter.numel() for parameter in encoder.parameters())
        assert f"{n_parameters:,} parameters" in (ConvEncoder.__doc__ or "")

    def test_documented_multiply_adds(self) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        encoder = ConvEncoder()
        features = torch.zeros(1, encoder.front_end.n_mels, encoder.front_end.n_frames(16000))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            encoder(features)
        millions = counter.get_total_flops() / 2 / 1e6  # it counts a multiplication and an addition as two
        assert f"{millions:.0f} million multiply-adds" in (ConvEncoder.__doc__ or "")

    def test_bad_widths(self) -> None:
        with pytest.raises(InputError, match=r"widths are \(8, 12, 8, 8\); expected 4 multiples of 8"):
            ConvEncoder(widths=(8, 12, 8, 8))


def test_seeded_init_restores_the_global_state_after_an_error() -> None:
    before = torch.random.get_rng_state()
    with pytest.raises(RuntimeError, match="inside"), seeded_init(5):
        torch.nn.Linear(3, 3)
        raise RuntimeError("inside")
    assert torch.equal(torch.random.get_rng_state(), before)
