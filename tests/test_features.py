from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from musicfsl import features
from musicfsl.audio import trim_silence
from musicfsl.errors import AudioError, CacheError, InputError
from musicfsl.features import FeatureStore
from musicfsl.spectrogram import LogMel


@pytest.fixture
def front_end() -> LogMel:
    return LogMel(n_fft=512, hop_length=160, n_mels=20, f_min=0.0)


@pytest.fixture
def store(tones, front_end: LogMel, tmp_path: Path) -> FeatureStore:
    return FeatureStore.build(tones, front_end, cache_dir=tmp_path, progress=False)


def stores_in(folder: Path) -> list[Path]:
    return sorted((folder / "features").iterdir()) if (folder / "features").is_dir() else []


def test_holds_what_the_front_end_computes(tones, front_end: LogMel, store: FeatureStore) -> None:
    assert len(store) == len(tones)
    for i in (0, 17, len(tones) - 1):
        expected = front_end(trim_silence(tones.read(i), 16000))
        assert torch.equal(store.read(i), expected)
        assert store.lengths[i] == expected.shape[-1]
    assert store.classes == tones.classes
    np.testing.assert_array_equal(store.targets, tones.targets)
    np.testing.assert_array_equal(store.groups, tones.groups)
    assert (store.sample_rate, store.is_synthetic, store.name) == (16000, True, "tones")


def test_number_of_workers_changes_nothing(tones, front_end: LogMel, store: FeatureStore, tmp_path: Path) -> None:
    alone = FeatureStore.build(tones, front_end, cache_dir=tmp_path / "alone", n_workers=1, progress=False)
    assert (alone.folder / "features.npy").read_bytes() == (store.folder / "features.npy").read_bytes()


def test_second_build_computes_nothing(
    tones, front_end: LogMel, store: FeatureStore, tmp_path: Path, monkeypatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(features, "_compute", fail)
    again = FeatureStore.build(tones, front_end, cache_dir=tmp_path, progress=False)
    assert again.folder == store.folder


@pytest.mark.parametrize("change", ["data", "front end", "trim", "version"])
def test_the_key_covers_all_that_matters(
    change: str, make_tones, tones, front_end, store, tmp_path, monkeypatch
) -> None:
    dataset, arguments = tones, {}
    if change == "data":
        dataset = make_tones(n_clips=25)
    elif change == "front end":
        front_end = LogMel(n_fft=512, hop_length=161, n_mels=20, f_min=0.0)
    elif change == "trim":
        arguments = {"trim_db": 50.0}
    else:
        monkeypatch.setattr(features, "FEATURE_VERSION", features.FEATURE_VERSION + 1)
    other = FeatureStore.build(dataset, front_end, cache_dir=tmp_path, progress=False, **arguments)
    assert other.folder != store.folder


def test_cut_and_fill(store: FeatureStore) -> None:
    n = int(store.lengths[3])
    whole = store.read(3)
    filled = store.with_length(2 * n + 5)[3][0]
    # Short clips are repeated, so that statistics over time stay the clip's own.
    assert torch.equal(filled, torch.cat([whole, whole, whole[:, :5]], dim=1))
    cut = store.with_length(10)
    assert torch.equal(cut[3][0], cut[3][0])
    assert any(torch.equal(cut[3][0], whole[:, o : o + 10]) for o in range(n - 9))


def test_items_do_not_change_under_the_reader(store: FeatureStore, monkeypatch) -> None:
    monkeypatch.setattr(features, "_RESIDENT_BYTES", 1)  # pages are handed back after every read
    first = store.read(0)
    copy = first.clone()
    for i in range(len(store)):
        store.read(i)
    assert torch.equal(first, copy)


def test_goes_to_other_processes_without_its_content(store: FeatureStore) -> None:
    as_bytes = pickle.dumps(store)
    assert len(as_bytes) < (store.folder / "features.npy").stat().st_size / 4
    assert torch.equal(pickle.loads(as_bytes).read(5), store.read(5))


def test_wrong_sample_rate(tones) -> None:
    with pytest.raises(InputError, match="tones has a sample rate of 16000 Hz, but the front end expects 22050 Hz"):
        FeatureStore.build(tones, LogMel(sample_rate=22050))


class _Broken:
    """A data set with one bad clip."""

    def __init__(self, tones, wave: torch.Tensor | Exception) -> None:
        self._tones, self._wave = tones, wave

    def __getattr__(self, name: str):
        return getattr(self._tones, name)

    def __len__(self) -> int:
        return len(self._tones)

    def read(self, index: int) -> torch.Tensor:
        if index != 40:
            return self._tones.read(index)
        if isinstance(self._wave, Exception):
            raise self._wave
        return self._wave


@pytest.mark.parametrize(
    ("wave", "error", "message"),
    [
        (torch.zeros(1, 8000), AudioError, "item 40 of tones \\(tones-1\\) holds only silence"),
        (
            torch.full((1, 8000), torch.nan),
            AudioError,
            "item 40 of tones \\(tones-1\\) gives features that are not finite",
        ),
        (AudioError("a.wav vanished"), AudioError, "a.wav vanished"),
        (torch.ones(1, 100), InputError, "the wave has 100 samples"),
    ],
)
def test_a_bad_clip_is_named_and_leaves_nothing(tones, front_end, tmp_path, wave, error, message) -> None:
    with pytest.raises(error, match=message):
        FeatureStore.build(_Broken(tones, wave), front_end, cache_dir=tmp_path, progress=False)
    assert stores_in(tmp_path) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "about.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "about.json").write_text("{}"), "is damaged .*do not fit"),
        (lambda folder: (folder / "items.npz").write_bytes(b"PK"), "is damaged"),
        (lambda folder: (folder / "items.npz").unlink(), "is damaged"),
        (lambda folder: os.truncate(folder / "features.npy", 5000), "is damaged .*features.npy"),
        (lambda folder: (folder / "features.npy").unlink(), "is damaged .*features.npy"),
        (lambda folder: np.save(folder / "features.npy", np.zeros((3, 20), np.float32)), "3 frames"),
    ],
)
def test_a_damaged_store(tones, front_end, store: FeatureStore, tmp_path: Path, damage, message: str) -> None:
    damage(store.folder)
    with pytest.raises(CacheError, match=message) as caught:
        FeatureStore.build(tones, front_end, cache_dir=tmp_path, progress=False)
    assert str(store.folder) in str(caught.value)
    assert "delete the folder" in str(caught.value)


def test_a_missing_store(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="nowhere does not exist; make it with FeatureStore.build"):
        FeatureStore(tmp_path / "nowhere")


def test_an_unwritable_cache(tones, front_end, tmp_path: Path) -> None:
    (tmp_path / "features").write_text("a file where the folder should be")
    with pytest.raises(CacheError, match="cannot be written"):
        FeatureStore.build(tones, front_end, cache_dir=tmp_path, progress=False)


def test_a_full_disk_leaves_nothing(tones, front_end, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(CacheError, match="No space left on device.*MUSICFSL_CACHE"):
        FeatureStore.build(tones, front_end, cache_dir=tmp_path, progress=False)
    assert stores_in(tmp_path) == []


def _build_slowly(tones, cache: str) -> None:
    class Slow(LogMel):
        def forward(self, wave: torch.Tensor) -> torch.Tensor:
            time.sleep(0.02)
            return super().forward(wave)

    torch.set_num_threads(1)
    FeatureStore.build(tones, Slow(n_fft=512, n_mels=20, f_min=0.0), cache_dir=cache, n_workers=1, progress=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that begin with what is in memory")
class TestProcesses:
    def test_killed_at_any_moment_nothing_is_there_under_the_final_name(self, tones, tmp_path: Path) -> None:
        context = multiprocessing.get_context("fork")
        process = context.Process(target=_build_slowly, args=(tones, str(tmp_path)))
        process.start()
        deadline = time.monotonic() + 30
        while not stores_in(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert stores_in(tmp_path), "the process was killed before it began"
        assert all(path.name.startswith(".") for path in stores_in(tmp_path))

    def test_two_at_once_leave_one_whole_store(self, tones, tmp_path: Path) -> None:
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=_build_slowly, args=(tones, str(tmp_path))) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        (folder,) = stores_in(tmp_path)
        assert len(FeatureStore(folder)) == len(tones)
        assert json.loads((folder / "about.json").read_text())["name"] == "tones"
