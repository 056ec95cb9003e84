from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from musicfsl import FeatureStore, MultiBandCNN, PannsMultiBand, embed_dataset
from musicfsl.backbones import Encoder
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import InputError

SMALL = {"widths": (4, 6, 8, 10, 12, 16), "trunk_dim": 20, "dim": 12}


@pytest.fixture
def waves() -> Tensor:
    return torch.randn(3, 1, 22050, generator=torch.Generator().manual_seed(0)).mul_(0.1)


@pytest.fixture(params=["multiband_cnn", "panns_multiband"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return MultiBandCNN() if request.param == "multiband_cnn" else PannsMultiBand(**SMALL)


def test_every_parameter_learns(encoder: Encoder, waves: Tensor) -> None:
    x = waves.requires_grad_()
    weight = torch.randn(3, encoder.dim, generator=torch.Generator().manual_seed(1))
    (encoder.train()(x) * weight).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name
    assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_autocast(encoder: Encoder, waves: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lower = encoder.eval()(waves)
        lower.float().sum().backward()
    with torch.no_grad():
        full = encoder(waves)
    # bfloat16 has 8 bits; the rounding of all layers adds up to some per cent of the embedding.
    assert (lower.float() - full).abs().max() < 0.05 * full.abs().max()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_loudness_is_taken_out(waves: Tensor) -> None:
    for encoder in (MultiBandCNN(floor=1e-20), PannsMultiBand(**SMALL, floor=1e-20)):
        with torch.no_grad():
            torch.testing.assert_close(encoder.eval()(waves * 0.5), encoder(waves), rtol=1e-3, atol=1e-3)


def test_every_band_counts(encoder: Encoder, waves: Tensor) -> None:
    with torch.no_grad():
        features = encoder.eval().features(waves)
        z = encoder(features)
        for band in encoder.front_end.band_slices:
            changed = features.clone()
            changed[:, band, 50:60] += 40.0  # a loud moment
            assert (encoder(changed) - z).abs().max() > 1e-3 * z.abs().max()


def test_the_same_store_serves_both(make_tones: Callable[..., ClassConditionalDataset]) -> None:
    tones = make_tones(n_classes=2, n_clips=2)
    first, second = MultiBandCNN(sample_rate=16000), PannsMultiBand(sample_rate=16000, **SMALL)
    store = FeatureStore.build(tones, first.front_end, progress=False)
    for encoder in (first, second):
        stored = embed_dataset(encoder, store, duration=0.3, progress=False)
        assert stored.shape == (4, encoder.dim)


def test_what_is_frozen_and_what_is_new() -> None:
    for encoder, frozen, new in (
        (MultiBandCNN(), {"branches"}, {"fusion"}),
        (PannsMultiBand(**SMALL), {"trunk"}, {"weight", "bias", "fusion"}),
    ):
        parts = {id(p) for part in encoder.pretrained_parts() for p in part.parameters()}
        named = {True: set(), False: set()}
        for name, parameter in encoder.backbone.named_parameters():
            named[id(parameter) in parts].add(name.partition(".")[0])
        assert named == {True: frozen, False: new}


class TestMultiBandCNN:
    def test_documented_size(self) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        encoder = MultiBandCNN()
        documented = " ".join((MultiBandCNN.__doc__ or "").split())
        assert f"{sum(parameter.numel() for parameter in encoder.parameters()):,} parameters" in documented
        features = torch.zeros(1, encoder.front_end.n_features, encoder.front_end.n_frames(22050))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            encoder(features)
        millions = counter.get_total_flops() / 2 / 1e6  # it counts a multiplication and an addition as two
        assert f"{millions:.0f} million multiply-adds for 1 s" in documented

    def test_a_branch_sees_its_band_alone(self, waves: Tensor) -> None:
        encoder = MultiBandCNN()
        seen: list[Tensor] = []
        for branch in encoder.backbone.branches:
            branch.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        features = encoder.features(waves)
        encoder(features)
        normalised = (features - features.mean(dim=(1, 2), keepdim=True)) / 15.0
        for band, x in zip(encoder.front_end.band_slices, seen, strict=True):
            torch.testing.assert_close(x[:, 0], normalised[:, band])

    def test_weights_come_from_the_seed(self) -> None:
        first, again, other = MultiBandCNN(seed=1), MultiBandCNN(seed=1), MultiBandCNN(seed=2)
        for name, value in first.state_dict().items():
            assert torch.equal(value, again.state_dict()[name])
        assert not torch.equal(first.backbone.fusion[0].weight, other.backbone.fusion[0].weight)

    def test_any_number_of_bands_and_blocks(self) -> None:
        encoder = MultiBandCNN(16000, windows=(512, 128), edges=(2000.0,), widths=(8, 16), dim=5)
        assert encoder(torch.zeros(2, 1, 8000)).shape == (2, 5)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"widths": (8, 12)}, r"widths are \(8, 12\); expected multiples of 8"),
            ({"widths": ()}, r"widths are \(\); expected multiples of 8"),
            ({"dim": 0}, "dim is 0; expected 1 or more"),
        ],
    )
    def test_settings_out_of_range(self, settings: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            MultiBandCNN(**settings)


class TestPannsMultiBand:
    def test_written_out_band_by_band(self, waves: Tensor) -> None:
        encoder = PannsMultiBand(**SMALL).eval()
        backbone = encoder.backbone
        g = torch.Generator().manual_seed(2)
        with torch.no_grad():
            backbone.weight.add_(torch.randn(backbone.weight.shape, generator=g) * 0.2)
            backbone.bias.add_(torch.randn(backbone.bias.shape, generator=g) * 0.2)
            features = encoder.features(waves)[..., :200]
            parts = []
            for i, band in enumerate(encoder.front_end.band_slices):
                x = (features[:, band] - features.mean(dim=(1, 2), keepdim=True)) / 15.0
                x = (x[..., 0::2] + x[..., 1::2]) / 2
                position = torch.linspace(0, x.shape[1] - 1, 64)
                low = position.long().clamp(max=x.shape[1] - 2)
                share = (position - low)[None, :, None]
                x = x[:, low] * (1 - share) + x[:, low + 1] * share  # (B, 64, frames)
                x = x.transpose(1, 2) * backbone.weight[i] + backbone.bias[i]
                parts.append(backbone.trunk(x.unsqueeze(1)))
            expected = torch.relu(nn.functional.linear(torch.cat(parts, 1), *backbone.fusion[0].parameters()))
            torch.testing.assert_close(encoder(features), expected, rtol=1e-4, atol=1e-4)
        assert expected.std() > 0.01

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"frames_averaged": 0}, "frames_averaged is 0; expected 1 or more"),
            ({"dim": 0}, "dim is 0"),
            ({"trunk_dim": 0}, "dim is 0"),
            ({"widths": (4, 4)}, r"widths are \(4, 4\); expected 6"),
        ],
    )
    def test_settings_out_of_range(self, settings: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            PannsMultiBand(**{**SMALL, **settings})
