from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl import FeatureStore, MultiBand
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.errors import InputError

SETTINGS = [
    {},
    {"sample_rate": 16000, "hop_length": 128},
    {"sample_rate": 44100, "windows": (4096, 2048, 512, 128), "edges": (300.0, 2000.0, 9000.0), "hop_length": 441},
    {"windows": (600,), "edges": (), "hop_length": 300, "floor": 1e-8},
    {"windows": (256, 1024), "edges": (5000.0,), "hop_length": 64},
]


@pytest.fixture
def noise() -> Tensor:
    return torch.randn(3, 1, 9000, generator=torch.Generator().manual_seed(0)).mul_(0.1)


def _written_out(wave: NDArray[np.float64], front_end: MultiBand) -> NDArray[np.float64]:
    """Power of every band, frame by frame, in double precision."""
    rate, hop = front_end.sample_rate, front_end.hop_length
    edges = [0.0, *front_end.edges, np.inf]
    columns = []
    for frame in range(1 + len(wave) // hop):
        column: list[float] = []
        for band, n in enumerate(front_end.windows):
            padded = np.pad(wave, n // 2, mode="reflect")  # frame 0 is centred at the first sample
            hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
            spectrum = np.fft.rfft(padded[frame * hop : frame * hop + n] * hann)
            for k, value in enumerate(spectrum):
                if edges[band] <= k * rate / n < edges[band + 1]:
                    mirrored = 1 if k in (0, n // 2) else 2
                    column.append((mirrored * abs(value) / hann.sum()) ** 2)
        columns.append(column)
    return np.array(columns).T


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("route", ["_product", "_transform"])
def test_equals_fourier_transforms_written_out(
    settings: dict, route: str, noise: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    front_end = MultiBand(**settings)
    monkeypatch.setattr(front_end, "_product", getattr(front_end, route))  # the route of processors, or of the others
    expected = _written_out(noise[1, 0].double().numpy(), front_end)
    assert front_end.n_features == len(expected)
    np.testing.assert_allclose(front_end.power(noise)[1].numpy(), expected, rtol=1e-4, atol=1e-11)
    decibels = 10 * np.log10(np.maximum(expected, front_end.floor))
    np.testing.assert_allclose(front_end(noise)[1].numpy(), decibels, atol=0.05)


@pytest.mark.parametrize("settings", SETTINGS)
def test_bands_are_the_bins_between_the_edges(settings: dict) -> None:
    front_end = MultiBand(**settings)
    edges = [0.0, *front_end.edges, front_end.sample_rate / 2]
    assert [band.stop for band in front_end.band_slices][:-1] == [band.start for band in front_end.band_slices][1:]
    assert front_end.band_slices[-1].stop == front_end.n_features
    for band, window, (low, high) in zip(front_end.band_slices, front_end.windows, pairwise(edges), strict=True):
        frequencies, width = front_end.frequencies[band], front_end.sample_rate / window
        torch.testing.assert_close(frequencies.diff(), torch.full((len(frequencies) - 1,), width))
        assert low <= frequencies[0] < low + width
        assert high - width <= frequencies[-1] <= high
    assert front_end.frequencies[0] == 0
    assert front_end.frequencies[-1] == front_end.sample_rate / 2


@pytest.mark.parametrize(("band", "k"), [(0, 21), (0, 46), (1, 24), (1, 60), (2, 47), (2, 110)])
@pytest.mark.parametrize("amplitude", [1.0, 0.1])
def test_a_tone_appears_in_its_band_and_bin_with_its_level(band: int, k: int, amplitude: float) -> None:
    front_end = MultiBand()
    hz = k * front_end.sample_rate / front_end.windows[band]
    wave = amplitude * torch.cos(2 * torch.pi * hz * torch.arange(22050, dtype=torch.float64) / 22050 + 0.4)
    middle = front_end(wave.float().unsqueeze(0))[:, 60:140]
    feature = int(torch.isclose(front_end.frequencies, torch.tensor(hz).float()).nonzero())
    assert front_end.band_slices[band].start <= feature < front_end.band_slices[band].stop
    level = 20 * np.log10(amplitude)
    torch.testing.assert_close(middle[feature], torch.full((80,), level), rtol=0.0, atol=0.01)
    assert (middle.argmax(dim=0) == feature).all()
    for other, slice_ in enumerate(front_end.band_slices):
        if other != band and abs(hz - front_end.frequencies[slice_]).min() > 200:
            assert middle[slice_].max() < level - 40


@pytest.mark.parametrize(("sign", "feature"), [(1.0, 0), (-1.0, -1)])
def test_a_constant_and_the_highest_frequency_keep_their_level(sign: float, feature: int) -> None:
    wave = 0.5 * torch.tensor([1.0, sign]).repeat(6000).unsqueeze(0)
    level = MultiBand()(wave)[feature, 20:-20]
    torch.testing.assert_close(level, torch.full_like(level, 20 * np.log10(0.5)), rtol=0.0, atol=0.01)


def test_a_click_is_shorter_in_higher_bands() -> None:
    wave = torch.zeros(1, 11025)
    wave[0, 5500] = 1.0
    front_end = MultiBand()
    sounding = (front_end.power(wave) > 0).any(dim=0)
    for window, band in zip(front_end.windows, front_end.band_slices, strict=True):
        n = int((front_end.power(wave)[band] > 0).all(dim=0).sum())
        assert n == 2 * ((window // 2 - 1) // front_end.hop_length) + 1
    assert not sounding[:40].any()


def test_long_and_many_waves_are_computed_in_parts(noise: Tensor) -> None:
    front_end = MultiBand()
    long = noise.flatten().repeat(10).unsqueeze(0)  # some 2,450 frames
    expected = torch.cat([front_end._transform(long, band) for band in range(3)], dim=1)[0]
    torch.testing.assert_close(front_end.power(long), expected, rtol=1e-3, atol=1e-9)
    many = noise[..., :600].repeat(1000, 1, 1)
    assert torch.equal(front_end(many)[:3], front_end(many)[-3:])


def test_waves_and_frames_move_together(noise: Tensor) -> None:
    front_end = MultiBand()
    moved = front_end(noise[..., 3 * front_end.hop_length :])
    torch.testing.assert_close(moved[..., 5:70], front_end(noise)[..., 8:73], rtol=0.0, atol=1e-3)


def test_polarity_makes_no_difference_and_loudness_decibels(noise: Tensor) -> None:
    front_end = MultiBand(floor=1e-20)
    torch.testing.assert_close(front_end(-noise), front_end(noise))
    louder = front_end(noise * 16) - front_end(noise)  # by a power of two, so that nothing is rounded otherwise
    torch.testing.assert_close(louder, torch.full_like(louder, 20 * np.log10(16)))


def test_silence_is_the_floor() -> None:
    front_end = MultiBand(floor=1e-8)
    assert torch.equal(front_end(torch.zeros(1, 4000)), torch.full((198, 37), front_end.silence))
    assert front_end.silence == pytest.approx(-80.0)


def test_batch_axes_and_number_of_frames(noise: Tensor) -> None:
    front_end = MultiBand()
    features = front_end(noise)
    assert features.shape == (3, front_end.n_features, front_end.n_frames(9000))
    torch.testing.assert_close(front_end(noise[1]), features[1], rtol=0.0, atol=1e-3)
    torch.testing.assert_close(front_end(noise.unsqueeze(0))[0], features)
    for n in (550, 551, 659, 660, 661):
        assert front_end(noise[..., :n]).shape[-1] == front_end.n_frames(n)


@pytest.mark.parametrize("route", ["_product", "_transform"])
def test_autocast_does_not_cost_precision(route: str, noise: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    front_end = MultiBand()
    monkeypatch.setattr(front_end, "_product", getattr(front_end, route))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = front_end(noise)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, front_end(noise))
    assert front_end(noise.bfloat16()).dtype == torch.float32


def test_gradients_of_both_routes_agree(noise: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    front_end = MultiBand()
    gradients = []
    for route in (front_end._product, front_end._transform):
        monkeypatch.setattr(front_end, "_product", route)
        wave = noise.clone().requires_grad_()
        front_end(wave).sum().backward()
        gradients.append(wave.grad)
    assert gradients[0].isfinite().all()
    assert (gradients[0] != 0).float().mean() > 0.99
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-2, atol=1e-2 * float(gradients[1].std()))


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_build_the_same_front_end(settings: dict, noise: Tensor) -> None:
    front_end = MultiBand(**settings)
    assert torch.equal(MultiBand(**front_end.settings())(noise), front_end(noise))


def test_features_can_be_stored(make_tones: Callable[..., ClassConditionalDataset]) -> None:
    tones, front_end = make_tones(n_classes=2, n_clips=2), MultiBand(sample_rate=16000)
    store = FeatureStore.build(tones, front_end, trim_db=None, progress=False)
    torch.testing.assert_close(store.read(3), front_end(tones.read(3)))
    assert store.front_end_settings == front_end.settings()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"windows": (1024, 511, 256)}, r"windows are \(1024, 511, 256\); expected even numbers"),
        ({"windows": (), "edges": ()}, r"windows are \(\); expected even numbers"),
        ({"edges": (1000.0,)}, "there are 3 windows and 1 edges; expected an edge between any two"),
        ({"edges": (4000.0, 1000.0)}, r"edges are \(4000.0, 1000.0\) Hz; expected ascending numbers between 0"),
        ({"edges": (1000.0, 12000.0)}, "expected ascending numbers between 0 and 11025.0"),
        ({"sample_rate": 8000}, r"edges are \(1000.0, 4000.0\) Hz; expected .* between 0 and 4000.0"),
        ({"edges": (1000.0, 1010.0)}, "window of 512 samples has no Fourier bin between 1000.0 and 1010.0 Hz"),
        ({"hop_length": 0}, "hop_length is 0"),
        ({"floor": 0.0}, "floor is 0.0"),
    ],
)
def test_settings_out_of_range(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MultiBand(**settings)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (torch.zeros(16000), r"shape \(16000,\); expected float"),
        (torch.zeros(4, 2, 16000), r"shape \(4, 2, 16000\); expected float .* mix stereo to mono"),
        (torch.zeros(1, 16000, dtype=torch.int16), "torch.int16"),
        (torch.zeros(1, 512), "512 samples; with a window of 1024 it needs more than 512"),
    ],
)
def test_waves_of_the_wrong_shape(wave: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MultiBand()(wave)
