"""Reading recordings: excerpts, resampling, channels, and every kind of bad file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from musicfsl.audio import (
    AudioInfo,
    audio_info,
    check_recording,
    crop_or_pad,
    is_silent,
    load_audio,
    trim_silence,
)
from musicfsl.errors import AudioError, InputError

FORMATS = ["wav", "flac", "ogg", "mp3"]
MAX_EXCERPT_ERROR = 1e-6  # measured: at most 4e-7, the rounding of float32


def noise(n_samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.clip(0.2 * np.random.default_rng(seed).standard_normal((n_samples, channels)), -0.9, 0.9)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, samples: np.ndarray, sample_rate: int = 16000, **options: object) -> Path:
        soundfile.write(tmp_path / name, samples, sample_rate, **options)
        return tmp_path / name

    return write


# --- what is read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("native", [8000, 11025, 16000, 22050, 44100, 48000])
def test_excerpt_equals_slice_of_the_whole(write: Callable[..., Path], suffix: str, native: int) -> None:
    path = write(f"a.{suffix}", noise(int(2.37 * native), channels=2), native)
    whole = load_audio(path)
    for start in (0, 1, 7, 400, 1000, 12345, 20001):
        excerpt = load_audio(path, offset=start / 16000, duration=0.5)
        expected = whole[:, start : start + 8000]
        assert excerpt.shape == expected.shape == (1, 8000)
        assert (excerpt - expected).abs().max() < MAX_EXCERPT_ERROR
    tail = load_audio(path, offset=2.0, duration=10.0)
    assert (tail - whole[:, 32000:]).abs().max() < MAX_EXCERPT_ERROR


@pytest.mark.parametrize("sample_rate", [7919, 16000, 22050, 96000])
def test_excerpt_at_unusual_rates(write: Callable[..., Path], sample_rate: int) -> None:
    path = write("a.wav", noise(3 * 44100), 44100)
    whole = load_audio(path, sample_rate)
    excerpt = load_audio(path, sample_rate, offset=1.7, duration=0.3)
    start = round(1.7 * sample_rate)
    assert (excerpt - whole[:, start : start + round(0.3 * sample_rate)]).abs().max() < MAX_EXCERPT_ERROR


@pytest.mark.parametrize("suffix", FORMATS)
def test_whole_equals_soundfile_and_soxr(write: Callable[..., Path], suffix: str) -> None:
    path = write(f"a.{suffix}", noise(30000, channels=2), 44100)
    samples, _ = soundfile.read(path, dtype="float32")
    expected = soxr.resample(samples.mean(axis=1), 44100, 16000, quality="HQ")
    np.testing.assert_array_equal(load_audio(path)[0].numpy(), expected)


@pytest.mark.parametrize(("native", "sample_rate"), [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 32000)])
@pytest.mark.parametrize("hz", [60.0, 440.0, 2500.0])
def test_pure_tone_survives_resampling(write: Callable[..., Path], native: int, sample_rate: int, hz: float) -> None:
    path = write("tone.wav", 0.5 * np.sin(2 * np.pi * hz * np.arange(native) / native), native, subtype="FLOAT")
    wave = load_audio(path, sample_rate)[0].numpy()
    expected = 0.5 * np.sin(2 * np.pi * hz * np.arange(sample_rate) / sample_rate)
    inside = slice(sample_rate // 10, -sample_rate // 10)  # the filter rings where the tone starts and ends
    np.testing.assert_allclose(wave[inside], expected[inside], atol=1e-4)


def test_tone_above_half_the_new_rate_vanishes(write: Callable[..., Path]) -> None:
    path = write("tone.wav", 0.5 * np.sin(2 * np.pi * 9000 * np.arange(44100) / 44100), 44100, subtype="FLOAT")
    assert load_audio(path, 16000)[0, 1600:-1600].abs().max() < 1e-4


def test_channels_are_averaged(write: Callable[..., Path]) -> None:
    left, right = noise(1000, seed=1), noise(1000, seed=2)
    path = write("a.wav", np.hstack([left, right]), subtype="DOUBLE")
    np.testing.assert_allclose(load_audio(path)[0].numpy(), ((left + right) / 2)[:, 0], atol=1e-7)


def test_values_beyond_full_scale_are_clipped(write: Callable[..., Path]) -> None:
    path = write("loud.wav", np.array([0.5, 3.0, -2.0, 0.1]), subtype="FLOAT")
    assert load_audio(path)[0].tolist() == pytest.approx([0.5, 1.0, -1.0, 0.1])


@pytest.mark.parametrize("native", [8000, 22050, 44100, 16000])
def test_length_is_known_from_the_header(write: Callable[..., Path], native: int) -> None:
    for n_frames in (100, 4001, 4002, 4003, 30011):
        path = write("a.wav", noise(n_frames), native)
        for sample_rate in (16000, 22050):
            assert load_audio(path, sample_rate).shape[1] == audio_info(path).n_samples(sample_rate)


def test_info(write: Callable[..., Path]) -> None:
    info = audio_info(write("a.flac", noise(11025, channels=2), 22050))
    assert info == AudioInfo(sample_rate=22050, n_frames=11025, channels=2) and info.duration == 0.5


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"sample_rate": 0}, InputError, "sample_rate is 0"),
        ({"offset": -0.1}, InputError, "offset is -0.1"),
        ({"offset": float("nan")}, InputError, "offset is nan"),
        ({"duration": 0}, InputError, "duration is 0"),
        ({"duration": 1e-5}, InputError, "at least one sample"),
        ({"duration": float("inf")}, InputError, "duration is inf"),
        ({"offset": 1.0}, AudioError, "a.wav is 1.000 s long; an excerpt from 1.000 s on"),
    ],
)
def test_bad_arguments(
    write: Callable[..., Path], settings: dict[str, float], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_audio(write("a.wav", noise(16000)), **settings)  # type: ignore[arg-type]


# --- bad files ----------------------------------------------------------------------------------------------------

READERS = [audio_info, load_audio, check_recording, is_silent]


@pytest.mark.parametrize("reader", READERS)
def test_missing_empty_or_no_audio(reader: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"nowhere.wav does not exist"):
        reader(tmp_path / "nowhere.wav")
    with pytest.raises(AudioError, match="does not exist or is not a file"):
        reader(tmp_path)
    for suffix in FORMATS:
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(b"")
        with pytest.raises(AudioError, match=rf"a.{suffix} is empty \(0 bytes\)"):
            reader(path)
        for content in (b"not a sound " * 500, np.random.default_rng(0).bytes(5000), b"\xff\xfb", b"RIFF"):
            path.write_bytes(content)
            with pytest.raises(
                AudioError, match=rf"a.{suffix} cannot be read as audio .*expected WAV, FLAC, OGG or MP3"
            ):
                reader(path)


def test_unreadable(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.wav", noise(100))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match=r"a.wav cannot be read \(Permission denied\); check the file"):
        load_audio(path)


@pytest.mark.parametrize("suffix", ["wav", "ogg"])  # libsndfile writes no file at all for an empty FLAC or MP3
def test_zero_length(write: Callable[..., Path], suffix: str) -> None:
    with pytest.raises(AudioError, match="holds no samples"):
        audio_info(write(f"a.{suffix}", np.zeros(0)))


@pytest.mark.parametrize("suffix", [*FORMATS, "aiff"])
@pytest.mark.parametrize("kept", [0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
def test_truncated(write: Callable[..., Path], suffix: str, kept: float) -> None:
    """libsndfile alone reads a truncated WAV, AIFF or OGG without complaint."""
    path = write(f"a.{suffix}", noise(2 * 44100), 44100)
    check_recording(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    for reader in (load_audio, check_recording):
        with pytest.raises(AudioError, match=rf"a.{suffix} (is truncated|cannot be decoded|cannot be read as audio)"):
            reader(path)
    if suffix in ("wav", "aiff", "ogg"):  # found without decoding, so no excerpt of such a file is used either
        with pytest.raises(AudioError, match="is truncated or damaged"):
            audio_info(path)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_damaged_inside(write: Callable[..., Path], suffix: str) -> None:
    path = write(f"a.{suffix}", noise(2 * 44100), 44100)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(content)
    with pytest.raises(AudioError, match="damaged"):
        check_recording(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinite(write: Callable[..., Path], value: float) -> None:
    sound = noise(16000)[:, 0]
    sound[9000] = value
    path = write("a.wav", sound, subtype="FLOAT")
    for reader in (load_audio, check_recording):
        with pytest.raises(AudioError, match=r"a.wav holds NaN or infinite samples"):
            reader(path)
    assert load_audio(path, duration=0.5).isfinite().all()


@pytest.mark.parametrize("suffix", FORMATS)
def test_silence(write: Callable[..., Path], suffix: str) -> None:
    path = write(f"a.{suffix}", np.zeros(20000))
    assert is_silent(path)
    with pytest.raises(AudioError, match="holds only silence"):
        check_recording(path)


def test_silence_is_that_of_the_mono_mix(write: Callable[..., Path]) -> None:
    tone = noise(1000)
    assert is_silent(write("a.wav", np.hstack([tone, -tone]), subtype="FLOAT"))
    late = np.zeros(20000)
    late[-1] = 0.1
    assert not is_silent(write("b.wav", late))


# --- containers ---------------------------------------------------------------------------------------------------


def test_wav_written_to_a_pipe_has_no_length(write: Callable[..., Path]) -> None:
    path = write("a.wav", noise(1000))
    expected = load_audio(path)
    content = bytearray(path.read_bytes())
    data = content.index(b"data")
    for unknown in (0xFFFFFFFF, 0x7FFFFFFF):
        content[4:8] = content[data + 4 : data + 8] = unknown.to_bytes(4, "little")
        path.write_bytes(content)
        assert torch.equal(load_audio(path), expected)


def test_flac_written_to_a_pipe_has_no_length(write: Callable[..., Path]) -> None:
    path = write("a.flac", noise(1000))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples fills 36 bits of the first metadata block
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"a.flac does not tell its length in its header; export it again"):
        load_audio(path)


def test_wav_with_other_chunks(write: Callable[..., Path]) -> None:
    path = write("a.wav", noise(1000))
    content = path.read_bytes()
    data = content.index(b"data")
    odd_chunk = b"note" + (3).to_bytes(4, "little") + b"abc\0"
    path.write_bytes(content[:data] + odd_chunk + content[data:] + odd_chunk)
    assert audio_info(path).n_frames == 1000
    path.write_bytes(content[:data] + odd_chunk + content[data:-10])
    with pytest.raises(AudioError, match="promises 2000 bytes of sound, but 1990 are there"):
        audio_info(path)


@pytest.fixture(params=[(44100, 1), (48000, 2), (22050, 1), (16000, 2), (11025, 1)], ids=str)
def mp3_without_header(request: pytest.FixtureRequest, write: Callable[..., Path]) -> Path:
    """An MP3 of constant bit rate without the first frame, which tells the length; libsndfile guesses such lengths."""
    rate, channels = request.param
    path = write("a.mp3", noise(2 * rate, channels), rate, bitrate_mode="CONSTANT", compression_level=0.5)
    content = path.read_bytes()
    assert b"Info" in content[:64]
    sync = content[:2]
    path.write_bytes(content[content.index(sync, 4) :])
    return path


def test_length_of_mp3_without_header(mp3_without_header: Path) -> None:
    content = mp3_without_header.read_bytes()
    tag = b"ID3\x03\0\0" + bytes([0, 0, 16, 0]) + bytes(16 * 128)
    mp3_without_header.write_bytes(tag + content + b"TAG" + bytes(125))
    samples, _ = soundfile.read(mp3_without_header, always_2d=True)
    assert audio_info(mp3_without_header).n_frames == len(samples)
    check_recording(mp3_without_header)
    whole = load_audio(mp3_without_header)
    assert (load_audio(mp3_without_header, offset=1.9) - whole[:, 30400:]).abs().max() < MAX_EXCERPT_ERROR


def test_truncated_mp3_without_header(mp3_without_header: Path) -> None:
    content = mp3_without_header.read_bytes()
    mp3_without_header.write_bytes(content[:-20])
    with pytest.raises(AudioError, match="its last frame is incomplete"):
        audio_info(mp3_without_header)
    mp3_without_header.write_bytes(content + b"something that is no frame")
    with pytest.raises(AudioError, match=f"byte {len(content)} should start a frame"):
        audio_info(mp3_without_header)


@pytest.mark.parametrize("native", [44100, 22050])
def test_mp3_of_variable_rate_without_header(write: Callable[..., Path], native: int) -> None:
    """libsndfile alone stops reading far too early, so part of the sound would be lost without a word."""
    quiet_then_loud = np.concatenate([noise(native) * 1e-3, noise(native), noise(native)])
    path = write("a.mp3", quiet_then_loud, native, bitrate_mode="VARIABLE")
    samples, _ = soundfile.read(path, dtype="float32")  # its header says where encoder delay and padding lie
    content = path.read_bytes()
    path.write_bytes(content[content.index(content[:2], 4) :])
    assert soundfile.info(path).frames < len(samples)
    assert audio_info(path).n_frames >= len(samples)
    check_recording(path)
    wave = load_audio(path, native)[0].numpy()
    # Without its header nothing says that the encoder (LAME) put 576 samples before the sound.
    np.testing.assert_allclose(wave[576 : 576 + len(samples)], samples, atol=1e-6)


def test_file_is_counted_again_when_it_changes(mp3_without_header: Path) -> None:
    content = mp3_without_header.read_bytes()
    before = audio_info(mp3_without_header).n_frames
    second_frame = content.index(content[:2], 4)
    mp3_without_header.write_bytes(content[second_frame:])
    assert audio_info(mp3_without_header).n_frames < before


def test_ogg_without_end_mark(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write("a.ogg", noise(44100), 44100)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"OggS")])
    with pytest.raises(AudioError, match=r"its stream has no end mark|its last page is incomplete"):
        audio_info(path)
    shutil.copy(path, tmp_path / "a.wav")  # what a file is, is seen in its content, not in its name
    with pytest.raises(AudioError, match=r"its stream has no end mark|its last page is incomplete"):
        audio_info(tmp_path / "a.wav")


# --- waves in memory ----------------------------------------------------------------------------------------------


def test_crop_or_pad() -> None:
    x = torch.arange(1.0, 11.0).reshape(2, 5)
    assert crop_or_pad(x, 3).tolist() == [[1, 2, 3], [6, 7, 8]]
    assert crop_or_pad(x, 2, offset=3).tolist() == [[4, 5], [9, 10]]
    assert crop_or_pad(x, 4, offset=3).tolist() == [[4, 5, 0, 0], [9, 10, 0, 0]]
    assert crop_or_pad(x, 3).data_ptr() == x.data_ptr()


def test_trim_silence() -> None:
    wave = torch.zeros(1, 16000)
    wave[0, 4000:8000] = 0.5
    wave[0, 9000:12000] = 0.5
    trimmed = trim_silence(wave, 16000)
    start, stop = 4000 // 320 * 320, -(-12000 // 320) * 320  # whole frames of 20 ms
    assert torch.equal(trimmed, wave[:, start:stop])
    assert torch.equal(trim_silence(torch.zeros(1, 100), 16000), torch.zeros(1, 100))


def test_trim_silence_threshold() -> None:
    wave = torch.cat([torch.full((1, 3200), 0.01), torch.full((1, 3200), 1.0)], dim=1)  # 40 dB apart
    assert trim_silence(wave, 16000, below_peak_db=39).shape[1] == 3200
    assert trim_silence(wave, 16000, below_peak_db=41).shape[1] == 6400
    with pytest.raises(InputError, match="below_peak_db is 0"):
        trim_silence(wave, 16000, below_peak_db=0)
