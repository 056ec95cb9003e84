from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from musicfsl.backbones import Cnn14
from musicfsl.errors import InputError

SMALL = {"widths": (4, 6, 8, 10, 12, 16), "dim": 20}


@pytest.fixture
def waves() -> Callable[[float, int], Tensor]:
    def make(seconds: float, rate: int) -> Tensor:
        g = torch.Generator().manual_seed(0)
        n = int(seconds * rate)
        tone = torch.sin(2 * torch.pi * 440 * torch.arange(n) / rate)
        return (0.1 * torch.randn(2, 1, n, generator=g) + 0.3 * tone).mul_(torch.tensor([1.0, 0.01]).reshape(2, 1, 1))

    return make


@pytest.mark.parametrize("sample_rate", [32000, 16000, 8000])
@pytest.mark.parametrize("seconds", [1.0, 0.501])
def test_equals_the_reference(
    sample_rate: int,
    seconds: float,
    published: Callable[..., Path],
    small_reference: Callable[[int], nn.Module],
    waves: Callable[[float, int], Tensor],
) -> None:
    x = waves(seconds, sample_rate)
    encoder = Cnn14.from_pretrained(published(sample_rate), **SMALL)
    assert encoder.sample_rate == sample_rate
    with torch.no_grad():
        expected = small_reference(sample_rate)(x[:, 0])
        torch.testing.assert_close(encoder(x), expected["embedding"], rtol=0.0, atol=1e-4)
        torch.testing.assert_close(encoder.tag(x), expected["clipwise_output"], rtol=0.0, atol=1e-4)
    # The two clips differ by hundreds of times the tolerance, so the comparison means something.
    assert (expected["embedding"][0] - expected["embedding"][1]).abs().max() > 0.02
    assert expected["clipwise_output"].std() > 0.05


def test_equals_the_reference_in_the_published_size(
    make_reference: Callable[..., nn.Module], tmp_path: Path, waves: Callable[[float, int], Tensor]
) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    reference = make_reference(32000, small=False)
    torch.save({"model": reference.state_dict()}, tmp_path / "Cnn14.pth")
    encoder = Cnn14.from_pretrained(tmp_path / "Cnn14.pth")
    x = waves(1.0, 32000)
    with torch.no_grad():
        expected = reference(x[:, 0])
        torch.testing.assert_close(encoder(x), expected["embedding"], rtol=0.0, atol=1e-4)
        torch.testing.assert_close(encoder.tag(x), expected["clipwise_output"], rtol=0.0, atol=1e-4)
    assert encoder.dim == 2048
    documented = " ".join((Cnn14.__doc__ or "").split())
    assert f"{sum(parameter.numel() for parameter in encoder.parameters()):,} parameters" in documented
    backbone = encoder.backbone.to("meta")
    with FlopCounterMode(display=False) as counter:
        backbone(torch.zeros(1, 64, encoder.front_end.n_frames(32000), device="meta"))
    billions = counter.get_total_flops() / 2 / 1e9  # it counts a multiplication and an addition as two
    assert f"{billions:.1f} billion multiply-adds for 1 s" in documented


def test_short_clips_are_repeated() -> None:
    encoder = Cnn14(16000, **SMALL).eval()
    g = torch.Generator().manual_seed(0)
    features = torch.randn(2, 64, 12, generator=g)
    with torch.no_grad():
        torch.testing.assert_close(encoder(features), encoder(features.repeat(1, 1, 3)[:, :, :32]))


class TestTraining:
    def test_the_backbone_learns_and_the_classifier_of_audioset_does_not(self) -> None:
        encoder = Cnn14(16000, **SMALL).train()
        x = torch.randn(3, 1, 16000, generator=torch.Generator().manual_seed(0)).requires_grad_()
        weight = torch.randn(3, encoder.dim, generator=torch.Generator().manual_seed(1))
        (encoder(x) * weight).sum().backward()
        for name, parameter in encoder.named_parameters():
            if name.startswith("backbone."):
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name
            else:
                assert parameter.grad is None, name
        assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().sum() > 0

    def test_dropout_depends_on_the_seed_and_goes_on_where_it_was_saved(self) -> None:
        features = torch.randn(4, 64, 64, generator=torch.Generator().manual_seed(0))
        first, again = Cnn14(16000, **SMALL, seed=3).train(), Cnn14(16000, **SMALL, seed=3).train()
        with torch.no_grad():
            one, two = first(features), first(features)
            assert torch.equal(again(features), one)
            assert not torch.equal(one, two)
            resumed = Cnn14(16000, **SMALL, seed=3).train()
            resumed.load_state_dict(again.state_dict())
            assert torch.equal(resumed(features), two)
            assert not torch.equal(Cnn14(16000, **SMALL, seed=4).train()(features), one)

    def test_running_statistics_stay_in_evaluation_mode(self) -> None:
        encoder = Cnn14(16000, **SMALL).eval()
        before = copy.deepcopy(encoder.state_dict())
        encoder(torch.randn(2, 1, 16000, generator=torch.Generator().manual_seed(0))).sum().backward()
        for name, value in encoder.state_dict().items():
            assert torch.equal(value, before[name]), name
        encoder.train()(torch.randn(2, 1, 16000, generator=torch.Generator().manual_seed(0)))
        assert not torch.equal(encoder.backbone.normalize.running_mean, before["backbone.normalize.running_mean"])

    def test_autocast(self) -> None:
        x = torch.randn(2, 1, 16000, generator=torch.Generator().manual_seed(0)).mul_(0.1)
        encoder = Cnn14(16000, **SMALL).eval()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            lower = encoder(x)
            lower.float().sum().backward()
        with torch.no_grad():
            full = encoder(x)
        # bfloat16 has 8 bits; the rounding of thirteen layers adds up to some per cent of the embedding.
        assert (lower.float() - full).abs().max() < 0.05 * full.abs().max()
        assert all(parameter.grad.isfinite().all() for parameter in encoder.backbone.parameters())


def test_weights_come_from_the_seed() -> None:
    first, again, other = (Cnn14(16000, **SMALL, seed=seed) for seed in (1, 1, 2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(first.backbone.trunk.last.weight, other.backbone.trunk.last.weight)


def test_without_a_classifier() -> None:
    encoder = Cnn14(16000, **SMALL, n_classes=None)
    assert all(name.startswith("backbone.") for name in encoder.state_dict())
    with pytest.raises(InputError, match="has no classifier; make it with n_classes=527"):
        encoder.tag(torch.zeros(1, 1, 16000))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate": 22050}, "the sample rate is 22050 Hz; PANNs has front ends for 32000, 16000, 8000 Hz"),
        ({"widths": (4, 4, 4)}, r"widths are \(4, 4, 4\); expected 6 positive"),
        ({"widths": (4, 4, 4, 4, 4, 0)}, "expected 6 positive"),
        ({"dim": 0}, "dim is 0"),
        ({"n_classes": 0}, "n_classes is 0; expected 1 or more, or None"),
        ({"dropout": 1.0}, "the probability of dropout is 1.0; expected 0 to below 1"),
        ({"embedding_dropout": -0.1}, "the probability of dropout is -0.1"),
    ],
)
def test_settings_out_of_range(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cnn14(**{"sample_rate": 16000, **SMALL, **settings})
