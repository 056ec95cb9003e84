from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from musicfsl import ConvEncoder, MfccEncoder, load_audio
from musicfsl.checkpoints import save_encoder
from musicfsl.comparison import compare_sounds, find_methods
from musicfsl.errors import AudioError, CheckpointError, InputError

METHODS = find_methods(["prototypical", "simpleshot"])
SMALL = {"methods": METHODS, "n_episodes": 20}


def small_encoder() -> ConvEncoder:
    return ConvEncoder(n_mels=32, n_fft=512, widths=(8, 8, 8, 8))


def test_names_files_and_objects(folder: Path, tmp_path: Path) -> None:
    path = save_encoder(small_encoder(), tmp_path / "mine.safetensors", classes=["Zither", "trumpet"])
    found = compare_sounds(folder, ["mfcc", path], **SMALL)
    assert [(line.encoder, line.method) for line in found.lines] == [
        (encoder, method) for encoder in ("mfcc", str(path)) for method in METHODS
    ]
    report = found.lines[0].report
    assert (report.n_way, report.n_support, report.n_query) == (4, 3, 3)  # the flute has six recordings
    assert report.is_synthetic is False and report.mean > 0.5
    assert found.lines[0].report.trained_on == [] and found.lines[2].report.trained_on == ["zither"]
    assert f"not new to {path}, which saw classes of these names: zither" in str(found)
    assert found.material is not None
    assert (found.material.n_clips, found.material.classes) == (30, ["flute", "oud", "saz", "zither"])
    assert set(found.material.seconds) == {"mfcc", str(path)}

    objects = compare_sounds(folder, {"mfcc": MfccEncoder(), "conv": small_encoder()}, **SMALL)
    assert [line.report.mean for line in objects.lines] == [line.report.mean for line in found.lines]


def test_a_mapping_of_arrays(folder: Path) -> None:
    sounds = {
        name: [(load_audio(path)[0].numpy(), 16000) for path in sorted((folder / name).iterdir())]
        for name in ("oud", "saz")
    }
    found = compare_sounds(sounds, ["mfcc"], **SMALL)
    assert found.lines[0].report.n_way == 2 and found.lines[0].report.is_synthetic is None


def test_a_data_set_keeps_its_groups(tones) -> None:
    found = compare_sounds(tones, ["mfcc"], **SMALL)
    assert found.lines[0].report.grouped and found.lines[0].report.is_synthetic
    assert not compare_sounds(tones, ["mfcc"], mix_groups=True, **SMALL).lines[0].report.grouped


def test_groups_by_pattern(folder: Path) -> None:
    found = compare_sounds(folder, ["mfcc"], group_pattern=r"(player\d)", **SMALL)
    assert found.lines[0].report.grouped
    assert "support and query from different groups" in str(found)


def test_a_broken_file_among_good_ones(folder: Path) -> None:
    (folder / "oud" / "broken.wav").write_bytes(b"RIFF of nothing")
    soundfile.write(folder / "saz" / "silent.wav", np.zeros(8000), 16000)
    with pytest.warns(
        UserWarning, match=r"2 of 32 sounds cannot be used and were left out: .*broken.*silent"
    ) as caught:
        found = compare_sounds(folder, {"mfcc": MfccEncoder(), "again": MfccEncoder()}, **SMALL)
    assert len(caught) == 1
    assert found.material is not None and found.material.n_clips == 30
    with pytest.raises(AudioError, match=r"broken\.wav"):
        compare_sounds(folder, ["mfcc"], strict=True, **SMALL)


def test_a_clipped_recording_is_named_once_for_all_encoders(folder: Path) -> None:
    square = np.clip(5 * np.sin(np.arange(16000) / 10), -1, 1)
    soundfile.write(folder / "oud" / "clipped.wav", square, 16000)
    with pytest.warns(UserWarning, match="clipped") as said:
        compare_sounds(folder, {"mfcc": MfccEncoder(), "conv": small_encoder()}, **SMALL)
    assert ["clipped.wav" in str(each.message) for each in said] == [True]


def test_copies(folder: Path) -> None:
    first, second = sorted((folder / "oud").iterdir())[:2]
    shutil.copy(first, folder / "oud" / "copy.wav")
    shutil.copy(second, folder / "saz" / "other_class.wav")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = compare_sounds(folder, ["mfcc"], **SMALL)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert "1 sounds are copies of others in their class and were left out: " in messages[0]
    assert "stand in several classes" in messages[1] and "other_class.wav" in messages[1]
    assert found.material is not None and found.material.n_clips == 31  # one copy is gone, the contradiction stays


def test_a_class_of_one_recording_is_left_out(folder: Path) -> None:
    for path in sorted((folder / "flute").iterdir())[1:]:
        path.unlink()
    with pytest.warns(UserWarning, match="classes of fewer than two recordings were left out: flute"):
        found = compare_sounds(folder, ["mfcc"], **SMALL)
    assert found.material is not None
    assert found.material.left_out == ["flute"] and found.material.classes == ["oud", "saz", "zither"]
    for name in ("oud", "saz"):
        shutil.rmtree(folder / name)
    with pytest.raises(InputError, match="1 classes have two recordings or more"):
        compare_sounds(folder, ["mfcc"], **SMALL)


def test_embeddings_without_whitening_are_standardized(folder: Path) -> None:
    """A factor for one coefficient changes nothing of any account."""

    class Loud(MfccEncoder):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * torch.tensor([*[1.0] * 19, 10.0])

    found = compare_sounds(
        folder, {"plain": MfccEncoder(), "loud": Loud()}, find_methods(["prototypical"]), n_episodes=20
    )
    plain, loud = (line.report.mean for line in found.lines)
    assert plain == pytest.approx(loud, abs=0.05) and plain > 0.5


def test_mistakes(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no encoder to compare"):
        compare_sounds(folder, [], **SMALL)
    with pytest.raises(CheckpointError, match="nowhere"):
        compare_sounds(folder, ["nowhere.safetensors"], **SMALL)
