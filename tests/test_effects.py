"""Effects, each measured on sounds whose change is known."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from musicfsl.effects import EFFECT_NAMES, RandomEffects, apply_effects, source_length
from musicfsl.errors import InputError, MissingExtraError

RATE = 16000


def sine(hz: float, seconds: float = 1.0, amplitude: float = 0.3) -> Tensor:
    t = torch.arange(round(seconds * RATE)) / RATE
    return amplitude * torch.sin(2 * torch.pi * hz * t)[None]


def loudest_hz(wave: Tensor) -> float:
    """The frequency of the highest peak, between bins by a parabola through their logarithms."""
    samples = wave[0].double().numpy()
    spectrum = np.log(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) + 1e-12)
    peak = int(spectrum.argmax())
    left, mid, right = spectrum[peak - 1 : peak + 2]
    return (peak + 0.5 * (left - right) / (left - 2 * mid + right)) * RATE / len(samples)


def rms_db(wave: Tensor) -> float:
    return 10 * float(wave.double().square().mean().log10())


def apply(wave: Tensor, name: str, **parameters: Any) -> Tensor:
    return apply_effects(wave, RATE, [{"effect": name, **parameters}])


@pytest.mark.parametrize("semitones", [-2.0, 0.7, 12.0])
def test_pitch_multiplies_the_frequency(semitones: float) -> None:
    changed = apply(sine(440), "pitch", semitones=semitones)
    assert changed.shape == (1, RATE)
    assert loudest_hz(changed[:, 3000:-3000]) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.003)


@pytest.mark.parametrize("rate", [0.8, 1.25])
def test_stretch_changes_the_length_and_keeps_the_pitch(rate: float) -> None:
    n_source = source_length(RATE, [{"effect": "stretch", "rate": rate}, {"effect": "limit", "peak": 1.0}])
    assert n_source == RATE * rate
    changed = apply(sine(440, seconds=rate), "stretch", rate=rate)
    assert abs(changed.shape[1] - RATE) <= 1
    assert loudest_hz(changed[:, 2000:-2000]) == pytest.approx(440, rel=0.003)
    click = torch.zeros(1, RATE)
    click[0, 6000] = 1.0
    # A stretched click is smeared over a window, but it stays at its time.
    assert abs(int(apply(click, "stretch", rate=rate).abs().argmax()) - 6000 / rate) < 300


@pytest.mark.parametrize("band", range(7))
def test_eq_has_its_gain_at_the_centre_of_a_band(band: int) -> None:
    """The gain of a peaking filter at its centre is its own; that of a shelf is half of it there, all of it beyond."""
    centres = [60.0, 150.0, 300.0, 700.0, 1500.0, 3000.0, 6000.0]
    gains = [0.0] * 7
    gains[band] = 6.0
    wave = sine(centres[band], seconds=2.0)
    changed = apply(wave, "eq", centres_hz=centres, gains_db=gains, q=[0.7] + [1.0] * 5 + [0.7])
    gain = rms_db(changed[:, RATE:]) - rms_db(wave[:, RATE:])
    assert gain == pytest.approx(3.0 if band in (0, 6) else 6.0, abs=0.1)


def test_gain_is_in_decibels() -> None:
    assert rms_db(apply(sine(440), "gain", gain_db=-7.5)) - rms_db(sine(440)) == pytest.approx(-7.5, abs=1e-3)


def test_room_decays_by_60_db_in_its_time() -> None:
    """The slope of the energy that is left (Schroeder's integral) of the response to a click."""
    click = torch.zeros(1, 2 * RATE)
    click[0, 0] = 1.0
    response = apply(click, "room", rt60=0.8, direct_db=6.0, seed=3)[0].double()
    assert response[0] == pytest.approx(1.0, abs=1e-5)
    energy = float(response[1:].square().sum())
    assert 10 * np.log10(1 / energy) == pytest.approx(6.0, abs=0.01)
    left = 10 * torch.log10(response.square().flip(0).cumsum(0).flip(0)[: round(0.4 * RATE)]).numpy()
    t = np.arange(len(left)) / RATE
    slope = np.polyfit(t[200:], left[200:], 1)[0]
    assert -60 / slope == pytest.approx(0.8, rel=0.05)
    assert not response[round(0.8 * RATE) + 1 :].abs().max() > 1e-6


@pytest.mark.parametrize(("slope_db", "expected"), [(0.0, 0.0), (-3.0, -3.0), (-6.0, -6.0)])
def test_noise_has_its_level_and_slope(slope_db: float, expected: float) -> None:
    wave = sine(440, seconds=4.0)
    noise = apply(wave, "noise", snr_db=20.0, slope_db=slope_db, seed=5) - wave
    assert rms_db(wave) - rms_db(noise) == pytest.approx(20.0, abs=0.01)
    power = np.abs(np.fft.rfft(noise[0].double().numpy())) ** 2
    octaves = [power[low : 2 * low].mean() for low in (500, 1000, 2000, 4000, 8000, 16000)]
    assert np.polyfit(range(6), 10 * np.log10(octaves), 1)[0] == pytest.approx(expected, abs=0.2)


def test_noise_of_silence_is_silence() -> None:
    assert not apply(torch.zeros(1, 100), "noise", snr_db=20.0, slope_db=-3.0, seed=0).any()


def test_distortion_adds_odd_harmonics_at_the_same_level() -> None:
    wave = sine(500)
    changed = apply(wave, "distortion", amount=0.6)
    assert rms_db(changed) == pytest.approx(rms_db(wave), abs=0.05)
    spectrum = np.abs(np.fft.rfft(changed[0].numpy()))
    assert spectrum[1500] > 0.05 * spectrum[500] > 100 * spectrum[1000]


def test_limit_scales_and_never_clips() -> None:
    loud = apply_effects(sine(440), RATE, [{"effect": "gain", "gain_db": 30.0}, {"effect": "limit", "peak": 1.0}])
    assert loud.abs().max() == 1.0
    torch.testing.assert_close(loud, sine(440) / sine(440).abs().max())
    assert torch.equal(apply(sine(440), "limit", peak=1.0), sine(440))


def test_every_drawn_chain_stays_in_range_and_in_order() -> None:
    effects = RandomEffects(n_effects=(1, 7))
    wave = sine(440, amplitude=0.99) + 0.01 * torch.from_numpy(np.random.default_rng(0).normal(size=(1, RATE))).float()
    seen = set()
    for seed in range(25):
        drawn = effects.draw(np.random.default_rng(seed), RATE)
        names = [effect["effect"] for effect in drawn]
        assert names[-1] == "limit" and names[:-1] == [name for name in EFFECT_NAMES if name in names]
        seen.update(names)
        changed = apply_effects(wave.clamp(-1, 1), RATE, drawn)
        assert changed.isfinite().all() and changed.abs().max() <= 1 and changed.dtype == torch.float32
        assert not torch.equal(changed[:, :1000], wave[:, :1000])
    assert seen == {*EFFECT_NAMES, "limit"}


def test_parameters_lie_in_their_ranges() -> None:
    effects = RandomEffects(semitones=(1.0, 1.5), rate=(0.9, 0.95), snr_db=(30.0, 31.0), n_effects=(7, 7))
    for seed in range(20):
        by_name = {effect["effect"]: effect for effect in effects.draw(np.random.default_rng(seed), 8000)}
        assert 1.0 <= by_name["pitch"]["semitones"] <= 1.5
        assert 0.9 <= by_name["stretch"]["rate"] <= 0.95
        assert 30.0 <= by_name["noise"]["snr_db"] <= 31.0
        assert max(by_name["eq"]["centres_hz"]) <= 0.9 * 4000


def test_a_draw_is_a_pure_function_of_its_generator_and_enough_to_make_the_sound_again() -> None:
    effects, wave = RandomEffects(n_effects=(3, 7)), sine(330)
    for seed in range(5):
        drawn = effects.draw(np.random.default_rng(seed), RATE)
        assert drawn == effects.draw(np.random.default_rng(seed), RATE)
        written = json.loads(json.dumps(drawn))
        assert torch.equal(apply_effects(wave, RATE, drawn), apply_effects(wave, RATE, written))
    assert effects.draw(np.random.default_rng(0), RATE) != effects.draw(np.random.default_rng(1), RATE)


def test_python_s_global_random_state_is_left_alone() -> None:
    """As numpy's and torch's, which a fixture checks after every test."""
    before = random.getstate()
    effects = RandomEffects(n_effects=(7, 7))
    apply_effects(sine(440), RATE, effects.draw(np.random.default_rng(0), RATE))
    assert random.getstate() == before


def test_settings_fit_json_and_tell_effects_apart() -> None:
    settings = RandomEffects().settings()
    assert json.loads(json.dumps(settings)) == settings
    assert settings != RandomEffects(semitones=(-1.0, 1.0)).settings()
    assert settings == RandomEffects().settings()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"names": []}, "expected different effects"),
        ({"names": "pitch"}, "expected different effects"),
        ({"names": ["pitch", "pitch"]}, "expected different effects"),
        ({"names": ["reverb"]}, "no effect 'reverb'"),
        ({"names": ["pich"]}, "Did you mean 'pitch'"),
        ({"n_effects": (0, 2)}, r"n_effects is \(0, 2\)"),
        ({"n_effects": (1, 8)}, "within 1 and 7"),
        ({"rate": (1.2, 0.8)}, r"rate is \(1.2, 0.8\)"),
        ({"rt60": (0.0, 1.0)}, "rt60 is"),
        ({"gain_db": (0.0, float("nan"))}, "gain_db is"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RandomEffects(**settings)


def test_unknown_effect() -> None:
    with pytest.raises(InputError, match="no effect 'echo'"):
        apply(sine(440), "echo")


def test_audiomentations_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from musicfsl import effects

    monkeypatch.setitem(sys.modules, "audiomentations", None)
    effects._audiomentations.cache_clear()
    try:
        with pytest.raises(MissingExtraError, match=r"pip install 'musicfsl\[augment\]'"):
            RandomEffects()
    finally:
        monkeypatch.undo()
        effects._audiomentations.cache_clear()
