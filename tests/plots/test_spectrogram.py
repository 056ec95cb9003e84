from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
import soundfile
import torch

from musicfsl.errors import InputError
from musicfsl.plots import AudioPlayer, SpectrogramWithSound, plot_spectrogram
from musicfsl.spectrogram import LogMel

SAMPLE_RATE = 16000


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return 0.5 * np.sin(2 * np.pi * frequency * t)


@pytest.mark.parametrize("mel_scale", ["htk", "slaney"])
@pytest.mark.parametrize("frequency", [500.0, 1000.0, 4000.0])
def test_the_loudest_row_of_a_pure_tone_lies_at_the_tick_of_its_frequency(mel_scale, frequency: float) -> None:
    front_end = LogMel(SAMPLE_RATE, n_fft=2048, n_mels=64, mel_scale=mel_scale)
    log_mel = front_end(torch.from_numpy(tone(frequency)).float()[None])
    figure = plot_spectrogram(log_mel, SAMPLE_RATE, hop_length=160, mel_scale=mel_scale)
    heatmap, axis = figure.data[0], figure.layout.yaxis
    label = f"{frequency / 1000:g}k" if frequency >= 1000 else f"{frequency:g}"
    tick = axis.tickvals[axis.ticktext.index(label)]
    loudest = int(np.argmax(np.mean(heatmap.z, axis=1)))
    half_band = (heatmap.y[1] - heatmap.y[0]) / 2
    assert abs(heatmap.y[loudest] - tick) <= half_band * 1.01
    assert heatmap.customdata[loudest, 0] == pytest.approx(frequency, rel=0.06)


def test_picture_and_time_axis_are_what_was_passed() -> None:
    log_mel = np.random.default_rng(0).normal(size=(40, 101)).astype(np.float32)
    heatmap = plot_spectrogram(log_mel, SAMPLE_RATE, hop_length=160).data[0]
    np.testing.assert_array_equal(heatmap.z, log_mel)
    assert heatmap.x0 + heatmap.dx * 100 == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"log_mel": np.zeros(5)}, r"log_mel has shape \(5,\); expected \(n_mels, n_frames\)"),
        ({"log_mel": np.zeros((2, 4, 5))}, "expected"),
        ({"log_mel": np.full((4, 5), np.inf)}, "infinite"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"hop_length": -1}, "hop_length is -1"),
        ({"f_min": 9000.0}, "f_min is 9000.0"),
        ({"f_max": 9000.0}, "f_max 9000.0"),
        ({"mel_scale": "bark"}, "'htk' or 'slaney'"),
        ({"wave": np.zeros((2, 100))}, "wave has shape"),
    ],
)
def test_bad_spectrograms_are_refused(changed: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_spectrogram(**{"log_mel": np.zeros((4, 5)), "sample_rate": SAMPLE_RATE, "hop_length": 160, **changed})


@pytest.mark.parametrize("seconds", [0.05, 1.0, 30.0])
def test_the_player_holds_about_the_same_wave(seconds: float) -> None:
    wave = tone(440, seconds)
    page = AudioPlayer(torch.from_numpy(wave)[None], SAMPLE_RATE, caption="A4")._repr_html_()
    encoded = re.search(r'src="data:audio/ogg;base64,([^"]+)"', page)
    assert encoded is not None
    decoded, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded[1])))
    assert (rate, decoded.shape) == (SAMPLE_RATE, wave.shape)
    assert np.sqrt(np.mean((decoded - wave) ** 2)) < 0.03 * np.sqrt(np.mean(wave**2))
    if seconds >= 30:
        assert len(encoded[1]) < 0.1 * 2 * len(wave)  # against 16-bit samples


def test_the_player_is_lazy_and_labelled_and_its_caption_cannot_break_the_page() -> None:
    page = AudioPlayer(tone(440), SAMPLE_RATE, caption='Flute <b>"A4"</b>').to_html()
    assert 'preload="none"' in page
    assert 'aria-label="Flute &lt;b&gt;&quot;A4&quot;&lt;/b&gt;"' in page
    assert "<b>" not in page
    assert 'aria-label="Sound of 1.0 seconds"' in AudioPlayer(tone(440), SAMPLE_RATE).to_html()


@pytest.mark.parametrize(
    ("wave", "rate", "message"),
    [
        ([0.0, 2.0], SAMPLE_RATE, "reaches 2; .*divide it by its peak"),
        ([], SAMPLE_RATE, "wave has shape"),
        ([0.0, float("nan")], SAMPLE_RATE, "NaN"),
        ([0.0], 0, "sample_rate is 0"),
    ],
)
def test_bad_waves_are_refused(wave, rate: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AudioPlayer(wave, rate)


def test_sound_stands_above_the_figure_and_is_captioned_once() -> None:
    shown = plot_spectrogram(np.zeros((4, 100)), SAMPLE_RATE, 160, wave=tone(440), title="A4")
    assert isinstance(shown, SpectrogramWithSound)
    page = shown._repr_html_()
    assert 0 < page.index("<audio") < page.index("plotly")
    assert "figcaption" not in page
    assert shown.figure.layout.title.text == "A4"


def test_notebooks_get_the_player_and_then_the_figure_by_its_own_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display", reason="IPython comes with musicfsl[book]")
    shown = plot_spectrogram(np.zeros((4, 100)), SAMPLE_RATE, 160, wave=tone(440))
    outputs: list = []
    monkeypatch.setattr(display, "display", outputs.append)
    shown._ipython_display_()
    assert "<audio" in outputs[0].data
    assert outputs[1] is shown.figure
    json.loads(outputs[1].to_json())  # what a notebook stores
