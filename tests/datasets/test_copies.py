"""Augmented copies stay marked whatever is made of a data set: parts, unions, stored features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musicfsl.datasets import AudioFolder, Merged, WindowedRecordings
from musicfsl.features import FeatureStore
from musicfsl.spectrogram import LogMel


@pytest.fixture
def windows(long_folder: Path) -> WindowedRecordings:
    return WindowedRecordings.from_folder(long_folder, n_copies=1)


def test_subset(windows: WindowedRecordings) -> None:
    part = windows.subset(classes=["low"], indices=np.arange(5, 20))
    expected = [bool(windows.copy_number[i]) for i in range(5, 20) if windows.targets[i] == 1]
    assert part.is_copy is not None and part.is_copy.tolist() == expected
    assert len(part.originals()) == expected.count(False)
    assert part.originals().subset(classes=["low"]).is_copy is not None


def test_merged(windows: WindowedRecordings, mixed_folder: Path) -> None:
    plain = AudioFolder(mixed_folder, duration=1.0)
    both = Merged([plain, windows])
    assert both.is_copy is not None and both.is_copy.tolist() == [False] * 12 + (windows.copy_number > 0).tolist()
    assert len(both.originals()) == 12 + 14
    assert Merged([plain]).is_copy is None


def test_stored_features(windows: WindowedRecordings, tmp_path: Path) -> None:
    store = FeatureStore.build(windows, LogMel(n_mels=20), cache_dir=tmp_path, progress=False)
    again = FeatureStore(store.folder)
    assert again.is_copy is not None and again.is_copy.tolist() == (windows.copy_number > 0).tolist()
    assert len(again.originals()) == 14
    plain = FeatureStore.build(windows.originals(), LogMel(n_mels=20), cache_dir=tmp_path, progress=False)
    assert plain.is_copy is not None and not plain.is_copy.any()


def test_with_length(windows: WindowedRecordings) -> None:
    assert windows.with_length(100).is_copy is windows.is_copy
