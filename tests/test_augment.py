from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl import LogMel
from musicfsl.augment import VirtualInstruments
from musicfsl.kaldi import KaldiFilterBank


def test_is_a_function_of_the_generator() -> None:
    x = torch.randn(32, 20, generator=torch.Generator().manual_seed(0))
    draws = [VirtualInstruments()(np.random.default_rng(seed))(x, np.random.default_rng(9)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.allclose(draws[0], draws[2])


def test_one_change_for_all_clips_of_a_class() -> None:
    change = VirtualInstruments(shift=0)(np.random.default_rng(0))
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(32, 20, generator=g), torch.randn(32, 20, generator=g)
    rng = np.random.default_rng(1)
    torch.testing.assert_close(change(a, rng) - a, change(b, rng) - b)


def test_shift_moves_the_bands_and_repeats_the_outermost() -> None:
    x = torch.arange(10.0)[:, None].expand(10, 4)
    shifts = set()
    for seed in range(60):
        shifted = VirtualInstruments(3, 0.0, 0.0, 0.0)(np.random.default_rng(seed))(x, np.random.default_rng(0))
        shift = int(x[5, 0] - shifted[5, 0])
        shifts.add(shift)
        expected = np.clip(np.arange(10) - shift, 0, 9)
        np.testing.assert_array_equal(shifted[:, 0].numpy(), expected)
    assert shifts == set(range(-3, 4))


def test_tilt_and_decay_are_straight_lines_of_the_size_asked_for() -> None:
    x = torch.zeros(33, 21)
    ends = []
    for seed in range(400):
        change = VirtualInstruments(0, 0.0, 6.0, 2.0)(np.random.default_rng(seed))
        y = change(x, np.random.default_rng(0))
        torch.testing.assert_close(y[1:] - y[:-1], (y[1:2] - y[:1]).expand(32, 21), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(y[:, 1:] - y[:, :-1], (y[:, 1:2] - y[:, :1]).expand(33, 20), rtol=1e-3, atol=1e-4)
        ends.append((float(y[-1, 10]), float(y[16, -1])))
    tilt, decay = np.std(ends, axis=0)
    assert abs(tilt - 6.0) < 1.0
    assert abs(decay - 2.0) < 0.4


def test_the_clip_itself_is_not_changed() -> None:
    x = torch.randn(32, 20, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    VirtualInstruments()(np.random.default_rng(0))(x, np.random.default_rng(0))
    assert torch.equal(x, before)


def test_changes_are_as_strong_in_the_units_of_another_front_end() -> None:
    decibels, kaldi = LogMel(n_mels=64), KaldiFilterBank(n_mels=128)
    draw, other = (VirtualInstruments.for_front_end(front_end) for front_end in (decibels, kaldi))
    assert vars(draw) == vars(VirtualInstruments())  # LogMel gives decibels
    assert other.shift == 2 * draw.shift  # twice as many bands in the same range
    wave = 0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    step = (kaldi(wave * 10 ** (4.3 / 20)) - kaldi(wave)).median()  # 4.3 dB louder; one band always holds the floor
    for strength in (other.eq_db, other.tilt_db, other.decay_db):
        assert strength == pytest.approx(float(step), rel=1e-3)
