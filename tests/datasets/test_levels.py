"""Levels of recordings: measured, compared with what is known of the sound, and kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicfsl.datasets import _levels
from musicfsl.datasets._levels import Levels, read_levels, stored_levels
from musicfsl.errors import AudioError, CacheError


def write_steps(path: Path, amplitudes: list[float], rate: int = 16000, channels: int = 1) -> Path:
    """Levels of 20 ms each, the sign turning from sample to sample; the mean of the channels is as asked."""
    frame = rate // 50
    wave = np.repeat(amplitudes, frame) * np.where(np.arange(frame * len(amplitudes)) % 2, 1, -1)
    spread = np.linspace(0.5, 1.5, channels) if channels > 1 else np.ones(1)
    soundfile.write(path, wave[:, None] * spread, rate, subtype="FLOAT")
    return path


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (8000, 3), (11025, 1)])
def test_power_of_each_frame(tmp_path: Path, rate: int, channels: int) -> None:
    amplitudes = [0.0, 0.5, 0.001, 0.25, 0.0]
    levels = read_levels(write_steps(tmp_path / "a.wav", amplitudes, rate, channels))
    assert levels.sample_rate == rate and levels.frame == rate // 50
    np.testing.assert_allclose(levels.powers, np.square(amplitudes), rtol=1e-5)


def test_blocks_meet_without_a_seam_and_the_last_frame_may_be_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = np.random.default_rng(0).uniform(-1, 1, 320 * 7 + 100).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    expected = [float(np.square(part).mean()) for part in np.split(wave, range(320, len(wave), 320))]
    for per_block in (1, 2, 3, 512):
        monkeypatch.setattr(_levels, "_FRAMES_PER_BLOCK", per_block)
        np.testing.assert_allclose(read_levels(tmp_path / "a.wav").powers, expected, rtol=1e-5)


def test_sounding_share_counts_frames_by_their_middle() -> None:
    """20 frames of 10 samples; from frame 5 to 9 it sounds, at 20 dB below the loudest frame in 15 to 19."""
    powers = np.zeros(20, dtype=np.float32)
    powers[5:10], powers[15:20] = 0.01, 1.0
    levels = Levels(powers, frame=10, sample_rate=500)
    # The middles of frames are at 5, 15, 25, ...: from 45 on the first is 45 itself, from 46 on it is 55.
    starts = np.array([0, 50, 45, 46, 0, 150, 56])
    lengths = np.array([50, 50, 50, 50, 200, 50, 2])

    def shares(silence_db: float) -> list[float]:
        return levels.sounding_shares(starts, lengths, 500, silence_db).tolist()

    assert shares(30) == [0.0, 1.0, 0.8, 1.0, 0.5, 1.0, 1.0]
    assert shares(10) == [0.0, 0.0, 0.0, 0.0, 0.25, 1.0, 0.0]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_sounding_share_at_another_rate_than_the_recording_s(tmp_path: Path, rate: int) -> None:
    levels = read_levels(write_steps(tmp_path / "a.wav", [0.0] * 50 + [0.5] * 50, 44100))
    starts = np.round(np.array([0.0, 0.5, 1.0]) * rate).astype(np.int64)
    shares = levels.sounding_shares(starts, np.full(3, rate), rate, 60)
    np.testing.assert_allclose(shares, [0.0, 0.5, 1.0], atol=0.021)


def test_silent_throughout() -> None:
    levels = Levels(np.zeros(10, dtype=np.float32), 10, 500)
    assert levels.sounding_shares(np.array([0]), np.array([100]), 500, 60).tolist() == [0.0]


def stamps_of(paths: list[Path]) -> list[tuple[int, int]]:
    return [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def test_levels_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write_steps(tmp_path / f"{k}.wav", [0.1 * (k + 1)] * 5) for k in range(3)]
    measured = []

    def counted(path: Path) -> Levels:
        measured.append(path)
        return read_levels(path)

    monkeypatch.setattr(_levels, "read_levels", counted)
    first = list(stored_levels(paths, stamps_of(paths), tmp_path / "cache", progress=False))
    again = list(stored_levels(paths, stamps_of(paths), tmp_path / "cache", progress=False))
    assert sorted(measured) == paths
    for levels, other, amplitude in zip(first, again, (0.1, 0.2, 0.3), strict=True):
        np.testing.assert_allclose(levels.powers, amplitude**2, rtol=1e-5)
        assert levels.powers.tolist() == other.powers.tolist() and levels[1:] == other[1:]
    # One that changed, and it alone, is measured anew.
    write_steps(paths[1], [0.5] * 7)
    changed = list(stored_levels(paths, stamps_of(paths), tmp_path / "cache", progress=False))
    assert measured[3:] == [paths[1]] and len(changed[1].powers) == 7
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name.startswith(".")]


def test_what_cannot_be_read_is_named_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(4000, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a.wav holds NaN"):
        list(stored_levels([path], stamps_of([path]), tmp_path / "cache", progress=False))
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_damaged_cache(tmp_path: Path) -> None:
    path = write_steps(tmp_path / "a.wav", [0.1] * 5)
    list(stored_levels([path], stamps_of([path]), tmp_path / "cache", progress=False))
    kept = next((tmp_path / "cache").rglob("*.npz"))
    kept.write_bytes(kept.read_bytes()[:50])
    with pytest.raises(CacheError, match=f"{kept} in the cache is damaged .* delete it"):
        list(stored_levels([path], stamps_of([path]), tmp_path / "cache", progress=False))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """Peak memory of a process that measures 30 s, and of one that measures 10 min: 210 MB, if it were read at once."""
    block = np.random.default_rng(0).uniform(-0.5, 0.5, (44100 * 10, 2))
    peaks = []
    for name, n_blocks in [("short", 3), ("long", 60)]:
        with soundfile.SoundFile(tmp_path / f"{name}.wav", "w", 44100, 2) as file:
            for _ in range(n_blocks):
                file.write(block)
        code = (
            "import resource; from musicfsl.datasets._levels import read_levels; "
            f"read_levels(r'{tmp_path / name}.wav'); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        peaks.append(int(run.stdout) / (1024**2 if sys.platform == "darwin" else 1024))
    assert peaks[1] - peaks[0] < 8  # MiB
