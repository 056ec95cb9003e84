from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from musicfsl.annotation import embed_support, open_support
from musicfsl.backbones import ConvEncoder, MfccEncoder
from musicfsl.embedding import embed_dataset
from musicfsl.errors import AudioError, DatasetError, InputError

RATE = 16000


@pytest.fixture
def encoder() -> ConvEncoder:
    return ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes: three clips of different lengths, rates and formats; and one long one."""
    rng = np.random.default_rng(0)
    for name, seconds, rate in (
        ("low/a.wav", 0.3, 44100), ("low/b.flac", 1.7, 8000), ("low/c.ogg", 0.9, 22050), ("high/long.wav", 20.0, RATE),
    ):  # fmt: skip
        (tmp_path / "sounds" / name).parent.mkdir(parents=True, exist_ok=True)
        t = np.arange(round(seconds * rate)) / rate
        wave = np.sin(2 * np.pi * (1200 if "high" in name else 300) * t) + 0.1 * rng.normal(size=len(t))
        soundfile.write(tmp_path / "sounds" / name, 0.3 * wave, rate)
    return tmp_path / "sounds"


def test_clips_of_any_number_and_length_become_windows(folder: Path, encoder: ConvEncoder, tmp_path: Path) -> None:
    store = open_support(folder, encoder, cache_dir=tmp_path / "cache")
    support = embed_support(encoder, store, window=0.5)
    assert support.classes == ["high", "low"]
    assert support.targets.tolist() == [0, 1, 1, 1]
    counts = torch.bincount(support.clips).tolist()
    assert counts[0] == pytest.approx(79, abs=1)  # 20 s by halves of a window
    assert counts[1] == 1
    assert counts[2] > counts[3] > 1
    assert support.z.shape == (sum(counts), encoder.dim)
    assert (support.clips.diff() >= 0).all()
    assert len(embed_support(encoder, store, window=0.5, max_windows=3).z) == 3 + 1 + 3 + 3


def test_means_by_clip_are_those_of_embedding_a_data_set(folder: Path, encoder: ConvEncoder, tmp_path: Path) -> None:
    store = open_support(folder, encoder, cache_dir=tmp_path / "cache")
    support = embed_support(encoder, store, window=0.5, max_windows=4)
    expected = embed_dataset(encoder, store, duration=0.5, max_windows=4)
    torch.testing.assert_close(support.means(), expected, rtol=1e-4, atol=1e-5)


def test_the_encoder_is_left_as_it_was(folder: Path, encoder: ConvEncoder, tmp_path: Path) -> None:
    encoder.train()
    support = embed_support(encoder, open_support(folder, encoder, cache_dir=tmp_path / "cache"))
    assert encoder.training
    assert not support.z.requires_grad


def test_a_data_set_in_memory_will_do(tones) -> None:
    support = embed_support(MfccEncoder(), tones, window=0.2)
    assert support.z.shape[1] == 20
    assert support.targets.tolist() == tones.targets.tolist()
    assert support.window == 0.2


def test_one_class_is_none_to_choose_from(folder: Path, tones, encoder: ConvEncoder) -> None:
    with pytest.raises(InputError, match=r"tones has one class only \('tones-2'\), so there is nothing to choose"):
        embed_support(encoder, tones.subset(classes=["tones-2"]))
    with pytest.raises(InputError, match="class 'tones-1' of tones has no example"):
        embed_support(encoder, tones.subset(indices=np.flatnonzero(tones.targets != 1)))


def test_another_sample_rate_is_refused(tones) -> None:
    with pytest.raises(InputError, match="sample rate of 16000 Hz, but the encoder expects 22050 Hz"):
        embed_support(MfccEncoder(sample_rate=22050), tones)


def test_files_that_cannot_be_used_are_named(folder: Path, encoder: ConvEncoder, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        open_support(tmp_path / "nowhere", encoder)
    soundfile.write(folder / "low" / "silent.wav", np.zeros(RATE), RATE)
    with pytest.raises(AudioError, match=r"silent\.wav holds only silence"):
        open_support(folder, encoder, cache_dir=tmp_path / "cache")
    (folder / "low" / "silent.wav").write_text("no recording")
    with pytest.raises(DatasetError, match=r"1 of 5 recordings in .* cannot be used: .*silent\.wav cannot be read"):
        open_support(folder, encoder, cache_dir=tmp_path / "cache")
