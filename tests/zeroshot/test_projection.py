from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from musicfsl.backbones import ConvEncoder, MfccEncoder
from musicfsl.errors import InputError
from musicfsl.zeroshot.projection import Standardize, ZeroShotModel


class Flat(nn.Module):
    """Any module with a dim is an encoder."""

    dim = 6

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


@pytest.fixture
def model() -> ZeroShotModel:
    return ZeroShotModel(Flat(), side_dim=4, dim=3, temperature=5.0).eval()


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_scores_are_cosines_of_the_two_projections_times_the_temperature(model: ZeroShotModel) -> None:
    audio, side = numbers(5, 2, 3), numbers(7, 4, seed=1)
    model.side_scale.fit(side)
    model.audio_scale.fit(audio.flatten(1))
    scores = model(audio, side)
    z, mean, std = audio.flatten(1), audio.flatten(1).mean(0), audio.flatten(1).std(0, unbiased=False)
    s_mean, s_std = side.mean(0), side.std(0, unbiased=False)
    for b in range(5):
        a = model.audio_projection.weight @ ((z[b] - mean) / std) + model.audio_projection.bias
        for c in range(7):
            k = model.side_projection.weight @ ((side[c] - s_mean) / s_std) + model.side_projection.bias
            assert scores[b, c].item() == pytest.approx(5 * torch.cosine_similarity(a, k, dim=0).item(), abs=1e-5)


def test_embeddings_take_the_place_of_audio(model: ZeroShotModel) -> None:
    audio = numbers(5, 2, 3)
    torch.testing.assert_close(model.embed_audio(audio), model.embed_audio(model.encoder(audio)))


@pytest.mark.parametrize("encoder", [ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8)), MfccEncoder()])
def test_the_librarys_encoders_on_waves_and_features(encoder) -> None:
    model = ZeroShotModel(encoder.eval(), 4, dim=8)
    wave = numbers(2, 1, 4000)
    vectors = model.embed_audio(wave)
    assert vectors.shape == (2, 8)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(model.embed_audio(encoder.features(wave)), vectors)


def test_class_vectors_come_from_the_side_branch_alone(model: ZeroShotModel) -> None:
    """Nothing that happens to audio, or to its branch, moves them."""
    side = numbers(7, 4)
    before = model.embed_classes(side)
    model.embed_audio(numbers(50, 2, 3))
    with torch.no_grad():
        model.audio_projection.weight.zero_()
    assert torch.equal(model.embed_classes(side), before)
    torch.testing.assert_close(model.embed_classes(side[2:3]), before[2:3])  # nor do other classes


def test_first_weights_hang_on_the_seed_alone() -> None:
    """And not on the global random state, which a fixture watches."""
    weights = [ZeroShotModel(Flat(), 4, seed=seed).side_projection.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].abs().max() <= 0.5  # 1 / sqrt(4)
    assert weights[0].std() > 0.2


def test_temperature_is_learned_or_fixed() -> None:
    assert ZeroShotModel(Flat(), 4).log_temperature.requires_grad
    fixed = ZeroShotModel(Flat(), 4, temperature=7.0, learn_temperature=False)
    assert not fixed.log_temperature.requires_grad
    assert fixed.log_temperature.exp().item() == pytest.approx(7)


def test_perturbations_reach_the_standardised_inputs(model: ZeroShotModel) -> None:
    side = numbers(7, 4) * 100
    model.side_scale.fit(side)
    seen: list[Tensor] = []

    def record(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    torch.testing.assert_close(model.embed_classes(side, record), model.embed_classes(side))
    torch.testing.assert_close(seen[0].std(dim=0, unbiased=False), torch.ones(4))


def test_side_vectors_of_another_length(model: ZeroShotModel) -> None:
    with pytest.raises(InputError, match=r"shape \(7, 300\), but the model was built for \(C, 4\)"):
        model.embed_classes(torch.zeros(7, 300))
    with pytest.raises(InputError, match=r"shape \(4,\)"):
        model.embed_classes(torch.zeros(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.embed_audio(torch.zeros(2, 5)), r"embeddings have shape \(2, 5\); expected \(B, 6\)"),
        (lambda m: m.score(torch.zeros(2, 4), torch.zeros(2, 3)), r"the audio vectors have shape \(2, 4\)"),
        (lambda m: m.score(torch.zeros(2, 3), torch.zeros(3)), r"the class vectors have shape \(3,\)"),
        (lambda _: ZeroShotModel(nn.ReLU(), 4), "ReLU does not say the size of its embeddings"),
        (lambda _: ZeroShotModel(Flat(), 0), "side_dim is 0"),
        (lambda _: ZeroShotModel(Flat(), 4, temperature=0), "temperature is 0"),
    ],
)
def test_bad_input(model: ZeroShotModel, call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(model)


class TestStandardize:
    def test_changes_nothing_before_it_is_fitted(self) -> None:
        x = numbers(3, 2)
        assert torch.equal(Standardize(2)(x), x)

    def test_what_was_constant_becomes_nothing(self) -> None:
        scale = Standardize(3)
        scale.fit(torch.tensor([[0.1, 1.0, 0.0], [0.1, 3.0, 0.0]]))
        assert scale(torch.tensor([[5.0, 4.0, 1.0]])).tolist() == [[0.0, 2.0, 0.0]]

    @pytest.mark.parametrize("rows", [torch.zeros(1, 3), torch.zeros(4, 2), torch.full((4, 3), torch.nan)])
    def test_bad_rows(self, rows: Tensor) -> None:
        with pytest.raises(InputError, match="the rows"):
            Standardize(3).fit(rows)
