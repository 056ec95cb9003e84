from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from musicfsl.annotation import RecordingWindows, stream_audio
from musicfsl.audio import load_audio
from musicfsl.errors import AudioError, InputError

RATE = 16000


def all_of(windows: RecordingWindows) -> tuple[torch.Tensor, np.ndarray]:
    batches = list(windows)
    return torch.cat([b.waves for b in batches]), np.concatenate([b.levels for b in batches])


@pytest.mark.parametrize(
    ("rate", "channels", "ending"),
    [(44100, 2, "wav"), (16000, 1, "wav"), (8000, 1, "flac"), (48000, 1, "ogg"), (22050, 2, "mp3"), (11025, 1, "wav")],
)
def test_windows_are_cut_from_what_loading_the_whole_gives(write_recording, rate, channels, ending) -> None:
    path = write_recording(23.7, rate, channels, f"a.{ending}")  # more than two blocks
    whole = load_audio(path, RATE)
    windows = RecordingWindows(path, RATE, window=0.9, hop=0.35, batch_size=7)
    waves, _ = all_of(windows)
    assert waves.shape == (len(windows), 1, round(0.9 * RATE))
    for start, wave in zip(windows.starts, waves, strict=True):
        torch.testing.assert_close(wave, whole[:, start : start + wave.shape[1]], rtol=0, atol=1e-4)
    assert windows.starts[-1] + waves.shape[-1] == whole.shape[1]
    assert (np.diff(windows.starts)[:-1] == round(0.35 * RATE)).all()
    assert 0 < np.diff(windows.starts)[-1] <= round(0.35 * RATE)


@pytest.mark.parametrize("block", [0.01, 0.33, 100])
def test_the_stream_is_the_whole_recording_whatever_the_blocks(write_recording, block: float) -> None:
    path = write_recording(2.3, 44100)
    streamed = np.concatenate(list(stream_audio(path, RATE, block)))
    np.testing.assert_allclose(streamed, load_audio(path, RATE)[0].numpy(), atol=1e-4)


def test_batch_size_changes_nothing(write_recording) -> None:
    path = write_recording(12.1)
    one, other = (all_of(RecordingWindows(path, RATE, 1.0, 0.5, batch_size)) for batch_size in (1, 1000))
    assert torch.equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(("window", "hop"), [(1.0, 0.5), (1.0, 1.0), (0.5, 0.15), (7.3, 1.0)])
def test_parts_tile_the_recording_and_lie_in_their_windows(write_recording, window: float, hop: float) -> None:
    windows = RecordingWindows(write_recording(7.3), RATE, window, hop)
    assert windows.bounds[0] == 0
    assert windows.bounds[-1] == windows.duration == pytest.approx(7.3)
    assert (np.diff(windows.bounds) > 0).all()
    starts = windows.starts / RATE
    assert (windows.bounds[:-1] >= starts - 1e-9).all()
    assert (windows.bounds[1:] <= starts + window + 1e-3).all()
    for moment in np.random.default_rng(0).uniform(0, 7.3, 200):  # each speaks for what is nearest to its middle
        distances = np.abs(starts + window / 2 - moment)
        of = np.searchsorted(windows.bounds[1:], moment, side="right")
        assert distances[of] <= distances.min() + 1e-4


def test_levels_are_those_of_the_parts(write_recording) -> None:
    path = write_recording(6.4, RATE)
    whole = load_audio(path, RATE)[0].double()
    windows = RecordingWindows(path, RATE, 1.0, 0.5, batch_size=3)
    _, levels = all_of(windows)
    edges = (windows.bounds * RATE).round().astype(int)
    for level, a, b in zip(levels, edges[:-1], edges[1:], strict=True):
        assert level == pytest.approx(10 * torch.log10(whole[a:b].square().mean()).item(), abs=1e-3)


def test_level_of_a_full_scale_square_and_of_silence(tmp_path: Path) -> None:
    wave = np.concatenate([np.tile([1.0, -1.0], RATE), np.zeros(2 * RATE)])
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    _, levels = all_of(RecordingWindows(tmp_path / "a.wav", RATE, 1.0, 1.0))
    np.testing.assert_allclose(levels, [0, 0, -200, -200], atol=1e-6)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    peaks = []
    for minutes in (5, 20):
        path = tmp_path / f"{minutes}.wav"
        rng = np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", 8000, 1) as file:
            for _ in range(minutes):
                file.write(rng.uniform(-0.5, 0.5, 8000 * 60))
        windows = RecordingWindows(path, RATE)
        tracemalloc.start()
        n = sum(len(batch.levels) for batch in windows)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n == len(windows) == minutes * 120 - 1
    # The longer one is 77 MB as samples.
    assert peaks[1] < 1.05 * peaks[0] < 20e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 0}, "window is 0; expected seconds"),
        ({"window": float("nan")}, "window is nan"),
        ({"hop": 0.0}, "hop is 0.0; expected seconds"),
        ({"hop": 1.5}, r"hop is 1.5; expected seconds, at least one sample and at most a window \(1\)"),
        ({"batch_size": 0}, "batch_size 0; expected 1 or more"),
        ({"sample_rate": 0}, "sample_rate is 0"),
    ],
)
def test_numbers_out_of_range_are_refused(write_recording, change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RecordingWindows(**{"path": write_recording(), "sample_rate": RATE, **change})


def test_recordings_that_cannot_be_used_are_named(write_recording, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"no\.wav does not exist"):
        RecordingWindows(tmp_path / "no.wav", RATE)
    (tmp_path / "text.wav").write_text("this is no recording")
    with pytest.raises(AudioError, match=r"text\.wav cannot be read as audio"):
        RecordingWindows(tmp_path / "text.wav", RATE)
    with pytest.raises(AudioError, match=r"short\.wav is 0\.400 s long, which is shorter than a window of 1 s"):
        RecordingWindows(write_recording(0.4, name="short.wav"), RATE)
    path = write_recording(5, name="cut.wav")
    path.write_bytes(path.read_bytes()[:-40000])
    with pytest.raises(AudioError, match=r"cut\.wav is truncated"):
        RecordingWindows(path, RATE)
    path = write_recording(20, name="cut.flac")  # only decoding shows this
    path.write_bytes(path.read_bytes()[:-400000])
    with pytest.raises(AudioError, match=r"cut\.flac (is truncated|cannot be decoded)"):
        list(RecordingWindows(path, RATE))


def test_a_file_that_changes_while_it_is_read(write_recording) -> None:
    path = write_recording(30)
    windows = RecordingWindows(path, RATE, batch_size=4)
    write_recording(12)
    with pytest.raises(AudioError, match=r"recording\.wav became shorter while it was read"):
        list(windows)
