"""Effects that change a recording without changing its class, each with the numbers that made it.

Pitch, stretch, equaliser, gain and distortion are those of audiomentations (extra ``augment``). Room and noise are made
here, because audiomentations takes rooms from files or from a package of its own, and noise from the global random
state. A list of effects is plain data: drawn from a generator, it fits JSON, and suffices to make the same sound again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.errors import InputError, did_you_mean, import_extra

__all__ = ["EFFECT_NAMES", "RandomEffects", "apply_effects", "source_length"]

#: Names of the effects, in the order in which they follow one another: what the player does, the device, the place.
EFFECT_NAMES = ("pitch", "stretch", "distortion", "eq", "room", "noise", "gain")

#: Raised whenever the same parameters would make another sound.
_VERSION = 1

# Of the half sample rate; filters of the equaliser that lie higher would fold back.
_HIGHEST_CENTRE = 0.9

Wave = NDArray[np.float32]


class RandomEffects:
    """Draws effects and their parameters.

    Every range is a pair (lowest, highest), drawn from uniformly.

    Args:
        names: of the effects to choose from, out of `EFFECT_NAMES`.
        n_effects: how many different ones follow one another.
        semitones: of the pitch; two keep most instruments within their own range.
        rate: of the stretch: above 1 it is played faster, at the same pitch.
        distortion: share of the samples that a tanh curve bends, 0 to 1.
        eq_db: gain of each of the equaliser's seven bands.
        rt60: seconds in which the room's sound falls by 60 dB.
        direct_db: level of the direct sound above the room's.
        snr_db: level of the recording above the noise.
        noise_slope_db: of the noise's spectrum in decibels an octave: 0 is white, -3 pink, -6 brown.
        gain_db: of the whole.

    Raises:
        InputError: a name is unknown, or a range is empty or impossible.
        MissingExtraError: audiomentations is not installed.

    Example:
        >>> effects = RandomEffects(["gain", "noise"], n_effects=(1, 1))
        >>> drawn = effects.draw(np.random.default_rng(0), sample_rate=16000)
        >>> [effect["effect"] for effect in drawn]
        ['gain', 'limit']
        >>> apply_effects(torch.zeros(1, 16000), 16000, drawn).shape
        torch.Size([1, 16000])
    """

    def __init__(
        self,
        names: Sequence[str] = EFFECT_NAMES,
        n_effects: tuple[int, int] = (1, 3),
        semitones: tuple[float, float] = (-2.0, 2.0),
        rate: tuple[float, float] = (0.8, 1.25),
        distortion: tuple[float, float] = (0.05, 0.4),
        eq_db: tuple[float, float] = (-6.0, 6.0),
        rt60: tuple[float, float] = (0.2, 1.2),
        direct_db: tuple[float, float] = (0.0, 12.0),
        snr_db: tuple[float, float] = (15.0, 40.0),
        noise_slope_db: tuple[float, float] = (-6.0, 0.0),
        gain_db: tuple[float, float] = (-12.0, 6.0),
    ) -> None:
        if isinstance(names, str) or not names or len(set(names)) != len(names):
            raise InputError(f"names is {names!r}; expected different effects out of {', '.join(EFFECT_NAMES)}")
        for name in names:
            if name not in EFFECT_NAMES:
                raise InputError(
                    f"there is no effect '{name}'.{did_you_mean(name, EFFECT_NAMES)} Known: {', '.join(EFFECT_NAMES)}"
                )
        if not 1 <= n_effects[0] <= n_effects[1] <= len(names):
            raise InputError(
                f"n_effects is {n_effects}; expected a range within 1 and {len(names)}, the number of names"
            )
        self.names = tuple(names)
        self.n_effects = n_effects
        self.semitones = _checked("semitones", semitones, -24, 24)
        self.rate = _checked("rate", rate, 0.5, 2)
        self.distortion = _checked("distortion", distortion, 0, 1)
        self.eq_db = _checked("eq_db", eq_db, -40, 40)
        self.rt60 = _checked("rt60", rt60, 0.01, 20)
        self.direct_db = _checked("direct_db", direct_db, -40, 80)
        self.snr_db = _checked("snr_db", snr_db, -40, 120)
        self.noise_slope_db = _checked("noise_slope_db", noise_slope_db, -12, 12)
        self.gain_db = _checked("gain_db", gain_db, -120, 60)
        _audiomentations()  # what is missing is told before anything is computed

    def settings(self) -> dict[str, Any]:
        """All that decides what is drawn and how it sounds, as JSON can hold it."""
        return {"version": _VERSION, **{name: list(value) for name, value in vars(self).items()}}

    def draw(self, rng: np.random.Generator, sample_rate: int) -> list[dict[str, Any]]:
        """Draws some effects in the order of `EFFECT_NAMES`; the last entry, "limit", keeps the whole below full scale.

        Args:
            rng: every draw depends on it alone.
            sample_rate: of the recordings in Hz.

        Returns:
            one mapping an effect: its name under "effect", and its parameters; JSON can hold it.
        """
        number = int(rng.integers(self.n_effects[0], self.n_effects[1] + 1))
        chosen = {self.names[i] for i in rng.permutation(len(self.names))[:number]}

        def value(low: float, high: float) -> float:
            return round(float(rng.uniform(low, high)), 4)  # what is written is exactly what is used

        drawn: list[dict[str, Any]] = []
        for name in EFFECT_NAMES:
            if name not in chosen:
                continue
            if name == "pitch":
                parameters: dict[str, Any] = {"semitones": value(*self.semitones)}
            elif name == "stretch":
                parameters = {"rate": value(*self.rate)}
            elif name == "distortion":
                parameters = {"amount": value(*self.distortion)}
            elif name == "eq":
                parameters = _draw_bands(value, self.eq_db, sample_rate)
            elif name == "room":
                parameters = {"rt60": value(*self.rt60), "direct_db": value(*self.direct_db), "seed": _draw_seed(rng)}
            elif name == "noise":
                parameters = {"snr_db": value(*self.snr_db), "slope_db": value(*self.noise_slope_db)}
                parameters["seed"] = _draw_seed(rng)
            else:
                parameters = {"gain_db": value(*self.gain_db)}
            drawn.append({"effect": name, **parameters})
        return [*drawn, {"effect": "limit", "peak": 1.0}]


def apply_effects(wave: Tensor, sample_rate: int, effects: Sequence[dict[str, Any]]) -> Tensor:
    """Applies effects one after another.

    Args:
        wave: ``(1, n)``, values in [-1, 1].
        sample_rate: in Hz.
        effects: as `RandomEffects.draw` gives them; "limit" scales the whole down to its peak where it is above.

    Returns:
        float32 ``(1, m)``; ``m`` is ``n``, but for a stretch: ``n / rate``.

    Raises:
        InputError: there is no such effect.
        MissingExtraError: audiomentations is not installed.

    Example:
        >>> quieter = apply_effects(torch.ones(1, 4), 16000, [{"effect": "gain", "gain_db": -20.0}])
        >>> quieter.numpy().round(3)
        array([[0.1, 0.1, 0.1, 0.1]], dtype=float32)
    """
    samples: Wave = np.ascontiguousarray(wave[0].numpy(), dtype=np.float32)
    for effect in effects:
        if effect["effect"] not in _FUNCTIONS:
            raise InputError(f"there is no effect '{effect['effect']}'; known: {', '.join(_FUNCTIONS)}")
        parameters = {name: value for name, value in effect.items() if name != "effect"}
        samples = np.ascontiguousarray(_FUNCTIONS[effect["effect"]](samples, sample_rate, **parameters), np.float32)
    return torch.from_numpy(samples.copy()).unsqueeze(0)


def source_length(length: int, effects: Sequence[dict[str, Any]]) -> int:
    """Samples that must go into effects, so that ``length`` come out.

    Example:
        >>> source_length(16000, [{"effect": "stretch", "rate": 1.25}])
        20000
    """
    return math.ceil(length * math.prod(effect.get("rate", 1.0) for effect in effects))


def _pitch(x: Wave, sample_rate: int, semitones: float) -> Wave:
    return _frozen(_audiomentations().PitchShift(p=1.0), num_semitones=semitones)(x, sample_rate)


def _stretch(x: Wave, sample_rate: int, rate: float) -> Wave:
    return _frozen(_audiomentations().TimeStretch(leave_length_unchanged=False, p=1.0), rate=rate)(x, sample_rate)


def _distortion(x: Wave, sample_rate: int, amount: float) -> Wave:
    return _frozen(_audiomentations().TanhDistortion(p=1.0), distortion_amount=amount)(x, sample_rate)


def _eq(x: Wave, sample_rate: int, centres_hz: list[float], gains_db: list[float], q: list[float]) -> Wave:
    equaliser = _audiomentations().SevenBandParametricEQ(p=1.0)
    for band, centre, gain, quality in zip(_bands(equaliser), centres_hz, gains_db, q, strict=True):
        _frozen(band, center_freq=centre, gain_db=gain, q_factor=quality)
    return _frozen(equaliser)(x, sample_rate)


def _gain(x: Wave, sample_rate: int, gain_db: float) -> Wave:
    return _frozen(_audiomentations().Gain(p=1.0), amplitude_ratio=10 ** (gain_db / 20))(x, sample_rate)


def _room(x: Wave, sample_rate: int, rt60: float, direct_db: float, seed: int) -> Wave:
    """The direct sound, and noise that decays exponentially: a room's late reverberation (M. R. Schroeder, 1962)."""
    from scipy.signal import fftconvolve

    n = max(2, round(rt60 * sample_rate))
    response = np.random.default_rng(seed).standard_normal(n) * 10.0 ** (-3.0 * np.arange(n) / n)
    response[0] = 0.0
    response *= 10 ** (-direct_db / 20) / math.sqrt(float(np.square(response).sum()))
    response[0] = 1.0
    return fftconvolve(x, response)[: len(x)]


def _noise(x: Wave, sample_rate: int, snr_db: float, slope_db: float, seed: int) -> Wave:
    """Gaussian noise whose spectrum falls by ``-slope_db`` an octave, at a level below that of the recording."""
    white = np.random.default_rng(seed).standard_normal(len(x))
    bins = np.maximum(np.arange(len(x) // 2 + 1), 1)
    noise = np.fft.irfft(np.fft.rfft(white) * bins ** (slope_db / (20 * math.log10(2))), n=len(x))
    level = math.sqrt(float(np.square(x).mean()) / max(float(np.square(noise).mean()), 1e-30))
    return x + (noise * level * 10 ** (-snr_db / 20)).astype(np.float32)


def _limit(x: Wave, sample_rate: int, peak: float) -> Wave:
    loudest = float(np.abs(x).max(initial=0.0))
    # float32 could round the loudest sample up again.
    return x if loudest <= peak else np.clip(x * (peak / loudest), -peak, peak)


_FUNCTIONS: dict[str, Callable[..., Wave]] = {
    "pitch": _pitch,
    "stretch": _stretch,
    "distortion": _distortion,
    "eq": _eq,
    "room": _room,
    "noise": _noise,
    "gain": _gain,
    "limit": _limit,
}


def _frozen(transform: Any, **parameters: Any) -> Any:
    """A transform of audiomentations that draws nothing, and so leaves the global random state alone."""
    transform.parameters = {"should_apply": True, **parameters}
    transform.freeze_parameters()
    return transform


def _bands(equaliser: Any) -> list[Any]:
    return [equaliser.low_shelf_filter, *equaliser.peaking_filters, equaliser.high_shelf_filter]


def _draw_bands(
    value: Callable[[float, float], float], eq_db: tuple[float, float], sample_rate: int
) -> dict[str, list[float]]:
    """Where the equaliser's bands lie (evenly over the octaves), their gains and their widths."""
    bands = _bands(_audiomentations().SevenBandParametricEQ(p=1.0))
    highest = _HIGHEST_CENTRE * sample_rate / 2
    octaves = [value(math.log2(band.min_center_freq), math.log2(band.max_center_freq)) for band in bands]
    return {
        "centres_hz": [round(min(2.0**octave, highest), 4) for octave in octaves],
        "gains_db": [value(*eq_db) for _ in bands],
        "q": [value(band.min_q, band.max_q) for band in bands],
    }


def _draw_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _checked(name: str, bounds: tuple[float, float], least: float, most: float) -> tuple[float, float]:
    low, high = bounds
    if not least <= low <= high <= most:
        raise InputError(f"{name} is {bounds}; expected a range (lowest, highest) within {least} and {most}")
    return float(low), float(high)


@lru_cache(maxsize=1)
def _audiomentations() -> ModuleType:
    with warnings.catch_warnings():
        # A docstring of it holds a backslash that Python complains of when it first compiles the file.
        warnings.simplefilter("ignore")
        return import_extra("audiomentations", "augment")
