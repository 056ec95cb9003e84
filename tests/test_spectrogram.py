from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.spectrogram import LogMel, mel_filter_bank

SETTINGS = [
    {"n_fft": 1024, "hop_length": 160, "n_mels": 64, "f_min": 30.0},
    {"n_fft": 512, "win_length": 400, "hop_length": 200, "n_mels": 40, "f_min": 0.0, "f_max": 7000.0},
    {"n_fft": 2048, "hop_length": 512, "n_mels": 128, "f_min": 0.0, "mel_scale": "slaney", "norm": "slaney"},
    {"sample_rate": 44100, "n_fft": 2048, "hop_length": 441, "n_mels": 80, "f_min": 20.0, "norm": "slaney"},
]


@pytest.fixture
def noise() -> torch.Tensor:
    return torch.randn(3, 1, 20000, generator=torch.Generator().manual_seed(0)).mul_(0.1)


@pytest.mark.parametrize("settings", SETTINGS)
def test_equals_torchaudio(settings: dict, noise: torch.Tensor) -> None:
    transforms = pytest.importorskip("torchaudio.transforms")
    front_end = LogMel(**settings)
    given = {name: value for name, value in front_end.settings().items() if name != "floor"}
    expected = transforms.MelSpectrogram(**given, power=2.0)(noise)[:, 0]
    assert front_end.mel(noise).shape == expected.shape
    torch.testing.assert_close(front_end.mel(noise), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("settings", SETTINGS)
def test_equals_librosa(settings: dict, noise: torch.Tensor) -> None:
    librosa = pytest.importorskip("librosa")
    front_end = LogMel(**settings)
    s = front_end.settings()
    expected = librosa.feature.melspectrogram(
        y=noise[:, 0].numpy(),
        sr=s["sample_rate"],
        n_fft=s["n_fft"],
        win_length=s["win_length"],
        hop_length=s["hop_length"],
        pad_mode="reflect",
        n_mels=s["n_mels"],
        fmin=s["f_min"],
        fmax=s["f_max"],
        htk=s["mel_scale"] == "htk",
        norm=s["norm"],
    )
    # librosa builds its filters in float32, which costs it some digits where filters are narrow.
    np.testing.assert_allclose(front_end.mel(noise).numpy(), expected, rtol=2e-3, atol=1e-8)


def test_a_tone_falls_into_the_band_that_holds_its_frequency() -> None:
    front_end = LogMel(sample_rate=16000, n_fft=1024, hop_length=160, n_mels=64, f_min=0.0)
    t = torch.arange(16000) / 16000
    edges = torch.linspace(0, 2595 * np.log10(1 + 8000 / 700), 66)
    for hz in (440.0, 1000.0, 3000.0):
        band = int(front_end(torch.sin(2 * np.pi * hz * t).unsqueeze(0)).mean(dim=-1).argmax())
        mel = 2595 * np.log10(1 + hz / 700)
        assert edges[band] <= mel <= edges[band + 2]


def test_ten_times_louder_is_twenty_decibels_more(noise: torch.Tensor) -> None:
    front_end = LogMel(floor=1e-20)
    torch.testing.assert_close(front_end(noise * 10) - front_end(noise), torch.full_like(front_end(noise), 20.0))


def test_silence_is_the_floor() -> None:
    front_end = LogMel(floor=1e-5)
    assert torch.equal(front_end(torch.zeros(1, 4000)), torch.full((64, 26), front_end.silence))
    assert front_end.silence == pytest.approx(-50.0)


def test_batch_axes_and_number_of_frames(noise: torch.Tensor) -> None:
    front_end = LogMel(hop_length=160)
    features = front_end(noise)
    assert features.shape == (3, 64, front_end.n_frames(20000))
    torch.testing.assert_close(front_end(noise[1]), features[1])
    torch.testing.assert_close(front_end(noise.unsqueeze(0))[0], features)


def test_autocast_does_not_cost_precision(noise: torch.Tensor) -> None:
    front_end = LogMel()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = front_end(noise)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, front_end(noise))


def test_half_precision_waves_are_taken(noise: torch.Tensor) -> None:
    assert LogMel()(noise.half()).dtype == torch.float32


def test_settings_build_the_same_front_end(noise: torch.Tensor) -> None:
    front_end = LogMel(n_fft=512, n_mels=40, mel_scale="slaney", norm="slaney")
    assert torch.equal(LogMel(**front_end.settings())(noise), front_end(noise))


def test_filters_of_the_slaney_norm_have_the_same_area() -> None:
    filters = mel_filter_bank(44100, 8192, 40, 0.0, 22050.0, "slaney", "slaney")
    area = filters.sum(dim=1) * 44100 / 8192
    torch.testing.assert_close(area, torch.ones(40), rtol=0.02, atol=0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"win_length": 2000}, "win_length is 2000; expected 1 to n_fft"),
        ({"hop_length": 0}, "hop_length is 0"),
        ({"floor": 0.0}, "floor is 0.0"),
        ({"f_max": 9000.0}, "the band edges are 30.0 and 9000.0 Hz"),
        ({"mel_scale": "bark"}, "mel_scale is 'bark'"),
        ({"norm": "l2"}, "norm is 'l2'"),
        ({"n_fft": 256, "n_mels": 128}, "128 mel bands are too narrow for n_fft 256"),
    ],
)
def test_settings_out_of_range(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LogMel(**settings)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (torch.zeros(16000), r"shape \(16000,\); expected float"),
        (torch.zeros(4, 2, 16000), r"shape \(4, 2, 16000\); expected float .* mix stereo to mono"),
        (torch.zeros(1, 16000, dtype=torch.int16), "torch.int16"),
        (torch.zeros(1, 512), "512 samples; with n_fft 1024 it needs more than 512"),
    ],
)
def test_waves_of_the_wrong_shape(wave: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LogMel()(wave)
