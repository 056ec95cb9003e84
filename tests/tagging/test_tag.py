from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from musicfsl.audio import load_audio
from musicfsl.datasets import AudioFolder
from musicfsl.errors import AudioError, InputError
from musicfsl.features import FeatureStore
from musicfsl.tagging import Tagger, TagWindows, tag_dataset, tag_recording


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings of 0.15 s (shorter than a window), 0.2 s and 0.75 s, of other rates and formats."""
    rng = np.random.default_rng(0)
    for name, seconds, rate, subtype in (
        ("a", 0.15, 16000, "PCM_16"),
        ("b", 0.2, 16000, "FLOAT"),
        ("c", 0.75, 16000, "PCM_24"),
        ("d", 0.75, 44100, "PCM_16"),
    ):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        t = np.arange(round(seconds * rate)) / rate
        wave = 0.3 * np.sin(2 * np.pi * 300 * (1 + t) * t) + 0.05 * rng.standard_normal(len(t))
        soundfile.write(tmp_path / "sounds" / name / "x.wav", wave, rate, subtype=subtype)
    return tmp_path / "sounds"


def windows_by_hand(wave: torch.Tensor, length: int, hop: int) -> list[torch.Tensor]:
    starts = list(range(0, wave.shape[-1] - length + 1, hop))
    if starts[-1] + length < wave.shape[-1]:
        starts.append(wave.shape[-1] - length)
    return [wave[..., start : start + length] for start in starts]


def test_windows_cover_every_clip_to_its_end(tones) -> None:
    windows = TagWindows(tones, length=3200, hop=1000)
    for clip in range(0, len(tones), 17):
        offsets = windows.offsets[windows.clips == clip]
        expected = windows_by_hand(tones.read(clip), 3200, 1000)
        assert len(offsets) == len(expected)
        first = int(np.flatnonzero(windows.clips == clip)[0])
        for place, window in enumerate(expected):
            assert torch.equal(windows[first + place].x, window)
    assert (np.diff(windows.clips) >= 0).all() and set(windows.clips) == set(range(len(tones)))


@pytest.mark.parametrize(("decision", "join"), [("mean", torch.mean), ("max", torch.amax)])
def test_a_data_set_of_waves_is_its_windows_joined(tagger: Tagger, folder: Path, decision: str, join) -> None:
    dataset = AudioFolder(folder, sample_rate=16000, duration=None)
    found = tag_dataset(tagger, dataset, hop=0.15, decision=decision, batch_size=3)
    assert found.dtype == np.float32 and found.shape == (4, 3)
    for clip in (1, 2, 3):
        windows = torch.stack(windows_by_hand(dataset.read(clip), 3200, 2400))
        expected = join(tagger.probabilities(windows), dim=0)
        np.testing.assert_allclose(found[clip], expected.detach().numpy(), atol=1e-5)


def test_a_recording_is_tagged_as_in_a_data_set(tagger: Tagger, folder: Path) -> None:
    dataset = AudioFolder(folder, sample_rate=16000, duration=None)
    whole = tag_dataset(tagger, dataset, decision="both")
    for clip, name in enumerate("bcd", start=1):
        found = tag_recording(tagger, folder / name / "x.wav", decision="both")
        assert found.shape == (3,)
        np.testing.assert_allclose(found, whole[clip], atol=2e-4)  # resampling as a stream rounds a little otherwise
    short = load_audio(folder / "a" / "x.wav", 16000).unsqueeze(0)
    expected = tagger.probabilities(short)[0].detach().numpy()
    np.testing.assert_allclose(tag_recording(tagger, folder / "a" / "x.wav"), expected, atol=1e-6)


def test_stored_features_serve_as_well(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    dataset = AudioFolder(folder, sample_rate=16000, duration=None)
    store = FeatureStore.build(dataset, tagger.encoder.front_end, trim_db=None, cache_dir=tmp_path, progress=False)
    found = tag_dataset(tagger, store, hop=0.1)  # 13 frames a window, 6 a step
    for clip in (1, 2, 3):
        windows = torch.stack(windows_by_hand(store.read(clip), 13, 6))
        expected = tagger.probabilities(windows).mean(dim=0)
        np.testing.assert_allclose(found[clip], expected.detach().numpy(), atol=1e-5)
    repeated = torch.cat([store.read(0), store.read(0)], dim=1)[:, :13]  # a clip that is shorter than a window
    np.testing.assert_allclose(found[0], tagger.probabilities(repeated[None])[0].detach().numpy(), atol=1e-5)


def test_the_tagger_is_left_as_it_was(tagger: Tagger, folder: Path) -> None:
    tagger.train()
    tagger.encoder.backbone.eval()
    modes = [module.training for module in tagger.modules()]
    tag_recording(tagger, folder / "c" / "x.wav")
    assert [module.training for module in tagger.modules()] == modes


def test_windows_are_as_long_as_in_training(make_tagger, folder: Path) -> None:
    dataset = AudioFolder(folder, sample_rate=16000, duration=None).subset(classes=["c", "d"])
    long, short = make_tagger(duration=0.5), make_tagger(duration=0.2)
    assert np.array_equal(tag_dataset(long, dataset), tag_dataset(short, dataset, duration=0.5))
    assert not np.array_equal(tag_dataset(long, dataset), tag_dataset(short, dataset))


def test_mistakes(tagger: Tagger, folder: Path, tmp_path: Path) -> None:
    dataset = AudioFolder(folder, sample_rate=8000, duration=None)
    with pytest.raises(InputError, match="sample rate of 8000 Hz, but the encoder expects 16000"):
        tag_dataset(tagger, dataset)
    with pytest.raises(InputError, match="hop is 0.3"):
        tag_recording(tagger, folder / "c" / "x.wav", hop=0.3)
    with pytest.raises(InputError, match="no decision 'median'"):
        tag_recording(tagger, folder / "c" / "x.wav", decision="median")
    with pytest.raises(AudioError, match="does not exist"):
        tag_recording(tagger, tmp_path / "no.wav")
    soundfile.write(tmp_path / "blip.wav", np.ones(100) * 0.1, 16000)
    with pytest.raises(AudioError, match="too short for a single frame"):
        tag_recording(tagger, tmp_path / "blip.wav")
