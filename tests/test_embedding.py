from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from musicfsl.backbones import ConvEncoder, MfccEncoder
from musicfsl.backbones.whitening import Whitening
from musicfsl.baselines import mfcc_embeddings
from musicfsl.embedding import ClipWindows, Standardizer, embed_dataset, fit_whitening
from musicfsl.errors import InputError
from musicfsl.features import FeatureStore


@pytest.fixture
def encoder() -> ConvEncoder:
    return ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))


def test_windows_cover_every_clip_evenly(make_tones) -> None:
    tones = make_tones(n_classes=2, n_clips=3)
    windows = ClipWindows(tones, length=2000, max_windows=100)
    spans: dict[int, list[int]] = {}
    for i in range(len(windows)):
        x, clip = windows[i]
        assert x.shape == (1, 2000)
        whole = tones.read(clip)
        offset = int((whole.unfold(1, 2000, 1)[0] == x[0]).all(dim=1).nonzero()[0])
        spans.setdefault(clip, []).append(offset)
    assert sorted(spans) == list(range(len(tones)))
    for clip, offsets in spans.items():
        assert offsets[0] == 0
        assert offsets[-1] + 2000 == tones.lengths[clip]
        assert all(b - a <= 1000 for a, b in pairwise(offsets))


def test_few_windows_and_short_clips(tones) -> None:
    assert len(ClipWindows(tones, length=2000, max_windows=3)) == 3 * len(tones)
    longer = int(tones.lengths.max()) + 10
    windows = ClipWindows(tones, length=longer)
    assert len(windows) == len(tones)
    assert (windows[0].x[:, int(tones.lengths[0]) :] == 0).all()
    with pytest.raises(IndexError, match="window 144 is out of range"):
        windows[144]
    with pytest.raises(InputError, match="length is 0"):
        ClipWindows(tones, length=0)


def test_is_the_mean_over_the_windows(tones, encoder: ConvEncoder) -> None:
    z = embed_dataset(encoder, tones, duration=0.2, max_windows=3, batch_size=7)
    assert z.shape == (len(tones), 32)
    windows = ClipWindows(tones, 3200, 3)
    with torch.no_grad():
        for clip in (0, 50, 143):
            of_clip = [windows[i].x for i in range(len(windows)) if windows[i].clip == clip]
            torch.testing.assert_close(z[clip], encoder.eval()(torch.stack(of_clip)).mean(0), rtol=1e-4, atol=1e-5)


def test_batch_size_and_workers_change_nothing(tones, encoder: ConvEncoder) -> None:
    z = embed_dataset(encoder, tones, duration=0.2, max_windows=2)
    torch.testing.assert_close(embed_dataset(encoder, tones, 0.2, 2, batch_size=5, n_workers=1), z)


def test_stored_features_embed_like_a_store_of_one_clip(tones, encoder: ConvEncoder, tmp_path) -> None:
    store = FeatureStore.build(tones, encoder.front_end, cache_dir=tmp_path, trim_db=None, progress=False)
    z = embed_dataset(encoder, store, duration=0.2, max_windows=1)
    n_frames = encoder.front_end.n_frames(3200)
    with torch.no_grad():
        expected = encoder.eval()(store.read(9, 0, n_frames).unsqueeze(0))
    torch.testing.assert_close(z[9:10], expected)


def test_encoder_is_left_as_it_was(tones, encoder: ConvEncoder) -> None:
    encoder.train()
    embed_dataset(encoder, tones.subset(classes=["tones-0"]), duration=0.2)
    assert encoder.training


def test_what_does_not_fit_is_refused(tones, encoder: ConvEncoder, tmp_path) -> None:
    store = FeatureStore.build(tones, ConvEncoder(n_mels=40).front_end, cache_dir=tmp_path, progress=False)
    with pytest.raises(
        InputError, match=r"another front end than the encoder's \(they differ in n_fft, n_mels, win_length\)"
    ):
        embed_dataset(encoder, store)
    with pytest.raises(InputError, match="sample rate of 16000 Hz, but the encoder expects 22050 Hz"):
        embed_dataset(ConvEncoder(sample_rate=22050), tones)


def test_whitening_is_fitted_to_embeddings_that_are_not_whitened(tones, encoder: ConvEncoder) -> None:
    known = tones.subset(classes=["tones-0", "tones-3", "tones-4"])
    raw = embed_dataset(encoder, known, 0.2, 2)  # before it is fitted the layer changes nothing
    expected = Whitening(encoder.dim).eval()
    expected.fit(raw, torch.as_tensor(known.targets))
    weights = {name: value.clone() for name, value in encoder.named_parameters()}
    encoder.train()
    for _ in range(2):  # the second time the encoder whitens already
        fit_whitening(encoder, known, 0.2, 2)
        torch.testing.assert_close(embed_dataset(encoder, known, 0.2, 2), expected(raw), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(expected(raw), raw, atol=0.1)
    assert encoder.training
    assert all(torch.equal(value, weights[name]) for name, value in encoder.named_parameters())


def test_an_encoder_without_whitening_is_refused(tones) -> None:
    with pytest.raises(InputError, match="MfccEncoder has no whitening layer"):
        fit_whitening(MfccEncoder(), tones)


def test_standardizer_takes_its_numbers_from_the_reference() -> None:
    g = torch.Generator().manual_seed(0)
    reference = torch.randn(500, 3, generator=g) * torch.tensor([1.0, 10.0, 100.0]) + 7
    z = Standardizer(reference)(reference)
    torch.testing.assert_close(z.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(0, unbiased=False), torch.ones(3))
    constant = Standardizer(torch.ones(4, 2))(torch.ones(1, 2))
    assert torch.equal(constant, torch.zeros(1, 2))


def test_mfcc_equals_librosas(tones) -> None:
    librosa = pytest.importorskip("librosa")
    encoder = MfccEncoder()
    wave = tones.read(30)
    mel = librosa.feature.melspectrogram(y=wave[0].numpy(), sr=16000, pad_mode="reflect")
    decibels = librosa.power_to_db(mel, amin=1e-10, top_db=None)
    expected = librosa.feature.mfcc(S=decibels, n_mfcc=20).mean(axis=1)
    np.testing.assert_allclose(encoder(wave.unsqueeze(0))[0].numpy(), expected, rtol=1e-3, atol=1e-2)


def test_mfcc_baseline_is_standardised_by_the_reference_alone(make_tones, tmp_path) -> None:
    reference = make_tones(n_classes=3, name="reference")
    z = mfcc_embeddings(reference, reference, duration=0.2, cache_dir=tmp_path, progress=False)
    torch.testing.assert_close(z.mean(0), torch.zeros(20), atol=1e-4, rtol=0)
    other = make_tones(n_classes=6)
    a = mfcc_embeddings(other, reference, duration=0.2, cache_dir=tmp_path, progress=False)
    some = other.subset(classes=other.classes[:2])
    b = mfcc_embeddings(some, reference, duration=0.2, cache_dir=tmp_path, progress=False)
    torch.testing.assert_close(a[: len(b)], b)
