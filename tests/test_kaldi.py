"""The front end against transformers' own preprocessor, which computes with torchaudio where it is installed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.features import FeatureStore
from musicfsl.kaldi import KaldiFilterBank, kaldi_mel_filters

# transformers' own, of the band that covers no Fourier bin
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")


@pytest.fixture(params=["torchaudio", "numpy"])
def extract(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tensor]:
    """``ASTFeatureExtractor``: waves ``(B, 1, n)`` to ``(B, 1024, 128)``, by either of the libraries that it knows."""
    transformers = pytest.importorskip("transformers")
    if request.param == "torchaudio":
        pytest.importorskip("torchaudio")
    module = pytest.importorskip(transformers.ASTFeatureExtractor.__module__)
    monkeypatch.setattr(module, "is_speech_available", lambda: request.param == "torchaudio")

    def extracted(waves: Tensor, **settings: object) -> Tensor:
        extractor = transformers.ASTFeatureExtractor(**settings)
        clips = [clip.numpy() for clip in waves[:, 0]]
        values: Tensor = extractor(clips, sampling_rate=16000, return_tensors="pt").input_values
        return values

    return extracted


def clips(n_samples: int = 16000) -> Tensor:
    """Loud and quiet, with an offset, clipped, and nearly silent."""
    g = torch.Generator().manual_seed(0)
    t = torch.arange(n_samples) / 16000
    noise = torch.randn(5, 1, n_samples, generator=g)
    waves = 0.1 * noise + 0.3 * torch.sin(2 * torch.pi * 440 * t)
    gains = torch.tensor([1.0, 1e-2, 1e-4, 5.0, 1e-6]).reshape(5, 1, 1)
    return (waves * gains + torch.tensor([0.0, 0.2, 0.0, 0.0, 0.0]).reshape(5, 1, 1)).clamp(-1, 1)


@pytest.mark.parametrize("n_samples", [400, 16000, 16101])
def test_equals_the_feature_extractor(n_samples: int, extract: Callable[..., Tensor]) -> None:
    front_end, waves = KaldiFilterBank(), clips(n_samples)
    features = front_end(waves)
    assert features.shape == (5, 128, front_end.n_frames(n_samples))
    expected = extract(waves).transpose(1, 2)
    torch.testing.assert_close(front_end.pad(features, 1024), expected, rtol=0.0, atol=1e-4)
    assert features.std() > 0.1, "a comparison of constants would mean nothing"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"mean": -6.845978, "std": 5.5654526}, {"mean": -6.845978, "std": 5.5654526}),
        ({"do_normalize": False}, {"mean": 0.0, "std": 0.5}),
    ],
)
def test_equals_the_feature_extractor_with_other_normalisations(
    theirs: dict, ours: dict, extract: Callable[..., Tensor]
) -> None:
    waves, front_end = clips(), KaldiFilterBank(**ours)
    expected = extract(waves, **theirs).transpose(1, 2)
    torch.testing.assert_close(front_end.pad(front_end(waves), 1024), expected, rtol=0.0, atol=1e-3)


def test_clips_that_are_too_long_are_cut(extract: Callable[..., Tensor]) -> None:
    waves, front_end = clips(32000)[:1], KaldiFilterBank()
    padded = front_end.pad(front_end(waves), 128)
    torch.testing.assert_close(padded, extract(waves, max_length=128).transpose(1, 2), rtol=0.0, atol=1e-4)


def test_equals_torchaudio_at_other_rates_and_sizes() -> None:
    kaldi = pytest.importorskip("torchaudio.compliance.kaldi")
    front_end = KaldiFilterBank(22050, 40, 551, 220, f_min=50.0, f_max=9000.0, preemphasis=0.9, mean=0.0, std=0.5)
    waves = clips()
    for wave, features in zip(waves, front_end(waves), strict=True):
        expected = kaldi.fbank(
            wave, sample_frequency=22050, num_mel_bins=40, window_type="hanning", low_freq=50.0, high_freq=9000.0,
            preemphasis_coefficient=0.9,
        )  # fmt: skip
        torch.testing.assert_close(features.T, expected, rtol=0.0, atol=1e-3)


def test_a_batch_a_clip_and_a_long_recording_give_the_same() -> None:
    front_end, waves = KaldiFilterBank(), clips()
    together = front_end(waves)
    torch.testing.assert_close(front_end(waves[1]), together[1], rtol=0.0, atol=1e-5)
    torch.testing.assert_close(front_end(waves.unsqueeze(0))[0], together, rtol=0.0, atol=1e-5)
    long = waves.reshape(1, 1, -1).repeat(1, 1, 8)  # more frames than are computed at once
    assert front_end.n_frames(long.shape[-1]) > 2048
    torch.testing.assert_close(front_end(long)[0, :, :98], together[0], rtol=0.0, atol=1e-5)
    last = front_end(long[..., 160 * 3000 :])
    torch.testing.assert_close(front_end(long)[..., 3000:], last, rtol=0.0, atol=1e-5)


def test_frames_samples_silence_and_padding() -> None:
    front_end = KaldiFilterBank()
    for n_frames in (1, 98, 1024):
        assert front_end.n_frames(front_end.n_samples(n_frames)) == n_frames
        assert front_end.n_frames(front_end.n_samples(n_frames) - 1) == n_frames - 1
    assert front_end.n_frames(10) == 0
    silent = front_end(torch.zeros(1, 1, 400))
    torch.testing.assert_close(silent, torch.full_like(silent, front_end.silence))
    assert front_end.padding == pytest.approx((0 + 4.2677393) / (2 * 4.5689974))


def test_a_constant_is_silence_since_the_offset_is_removed() -> None:
    front_end = KaldiFilterBank()
    assert (front_end(torch.full((1, 1, 1000), 0.5)) == front_end.silence).all()


def test_a_tone_shows_in_its_band() -> None:
    front_end = KaldiFilterBank()
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000).reshape(1, 1, -1)
    mel = [1127 * math.log(1 + hz / 700) for hz in (20, 1000, 8000)]
    expected = (mel[1] - mel[0]) / ((mel[2] - mel[0]) / 129) - 1
    assert abs(front_end(tone).mean(dim=-1).argmax().item() - expected) < 1


def test_half_precision_changes_nothing() -> None:
    waves, front_end = clips(), KaldiFilterBank()
    expected = front_end(waves)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(front_end(waves), expected)
    assert torch.equal(torch.nn.Sequential(front_end).bfloat16()(waves), expected)


def test_gradients_reach_the_wave() -> None:
    waves = clips()[:2].requires_grad_()
    KaldiFilterBank()(waves).sum().backward()
    assert waves.grad is not None and waves.grad.isfinite().all() and (waves.grad[0] != 0).any()


def test_settings_build_the_same_front_end_and_travel_with_a_store(tones, tmp_path) -> None:  # type: ignore[no-untyped-def]
    front_end = KaldiFilterBank(mean=-6.845978, std=5.5654526)
    again = KaldiFilterBank(**front_end.settings())
    assert torch.equal(again(clips()), front_end(clips()))
    store = FeatureStore.build(tones, front_end, cache_dir=tmp_path, progress=False, trim_db=None)
    assert store.front_end_settings == front_end.settings()
    torch.testing.assert_close(store.read(3), front_end(tones.read(3)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"win_length": 1}, "win_length is 1 and hop_length 160"),
        ({"hop_length": 0}, "hop_length 0"),
        ({"preemphasis": 1.5}, "preemphasis is 1.5; expected 0 to 1"),
        ({"std": 0.0}, "std 0.0; expected finite numbers, std above 0"),
        ({"mean": float("nan")}, "mean is nan"),
        ({"f_max": 9000.0}, r"the band edges are 20.0 and 9000.0 Hz; expected .* <= 8000.0"),
        ({"n_mels": 0}, "n_mels is 0"),
    ],
)
def test_settings_out_of_range(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        KaldiFilterBank(**settings)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (torch.zeros(1, 2, 16000), "mix stereo to mono"),
        (torch.zeros(16000), "expected float"),
        (torch.zeros(1, 1, 16000, dtype=torch.int16), "torch.int16"),
        (torch.zeros(1, 1, 399), "the wave has 399 samples, but a frame of Kaldi's filter bank 400"),
    ],
)
def test_wrong_waves(wave: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        KaldiFilterBank()(wave)


def test_filters_meet_at_half_height() -> None:
    filters = kaldi_mel_filters(16000, 8192, 40, 100.0, 7900.0)
    inner = slice(int(filters[0].argmax()) + 1, int(filters[-1].argmax()))  # between the outermost peaks
    torch.testing.assert_close(filters[:, inner].sum(dim=0), torch.ones(inner.stop - inner.start))
