from __future__ import annotations

import numpy as np
import pytest

from musicfsl.errors import InputError
from musicfsl.plots import PALETTE, plot_training

NAN = float("nan")
# As Lightning's CSV log has it: training and validation of one epoch stand in rows of their own.
HISTORY = {
    "epoch": [0, 0, 1, 1],
    "train/loss": [NAN, 1.5, NAN, 0.5],
    "train/accuracy": [NAN, 0.4, NAN, 0.8],
    "val/accuracy": [0.5, NAN, 0.6, NAN],
    "val/ci95": [0.01, NAN, 0.02, NAN],
}


def test_every_curve_has_a_point_an_epoch_counted_from_one() -> None:
    loss, train, val = plot_training(HISTORY).data
    for curve, values in ((loss, [1.5, 0.5]), (train, [0.4, 0.8]), (val, [0.5, 0.6])):
        np.testing.assert_array_equal(curve.x, [1, 2])
        np.testing.assert_array_equal(curve.y, values)
    np.testing.assert_array_equal(val.error_y.array, [0.01, 0.02])
    assert (loss.xaxis, train.xaxis, val.xaxis) == ("x", "x2", "x2")
    assert (train.line.color, val.line.color) == PALETTE[:2]


def test_the_interval_may_be_missing() -> None:
    figure = plot_training({name: column for name, column in HISTORY.items() if name != "val/ci95"})
    assert figure.data[2].error_y.array is None


def test_bad_history_is_refused() -> None:
    with pytest.raises(InputError, match="no column 'val/accuracy'"):
        plot_training({name: HISTORY[name] for name in ("epoch", "train/loss", "train/accuracy")})
    with pytest.raises(InputError, match=r"column 'train/loss' has shape \(1,\)"):
        plot_training({**HISTORY, "train/loss": [1.0]})
