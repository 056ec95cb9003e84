"""How long it takes to find the class of one recording, from a cold start and warm, beside MFCCs made with librosa."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.rows import Row, best_of, in_new_process

__all__ = ["class_with_librosa", "measure", "warm_with_librosa", "write_sounds"]

_N_CLASSES, _N_CLIPS, _RATE = 5, 5, 44100
_COLD, _WARM = 3.0, 0.2


def write_sounds(folder: Path, seconds: float = 10.0) -> None:
    """Five classes of five noisy tones of 2 s under ``support``, and one of ``seconds`` as ``asked.wav``."""
    for k in range(_N_CLASSES):
        (folder / "support" / f"class {k}").mkdir(parents=True)
        for i in range(_N_CLIPS):
            soundfile.write(folder / "support" / f"class {k}" / f"{i}.wav", _tone(k, i, 2.0), _RATE)
    soundfile.write(folder / "asked.wav", _tone(0, _N_CLIPS, seconds), _RATE)


def measure(repeats: int = 5, seconds: float = 10.0) -> list[Row]:
    """The shortest time of each counts; cold starts take turns with the peer's."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_sounds(folder, seconds)
        ours, peer = [], []
        for _ in range(repeats):
            ours.append(_command(folder))
            peer.append(_timed(folder))
        warm = _warm(folder)
        warm_peer = in_new_process("benchmarks.classify:warm_with_librosa", str(folder))
    cold, cold_peer = min(ours), min(peer)
    return [
        Row(
            f"classifying {seconds:.0f} s, 5 classes of 5 clips of 2 s, from a cold start",
            f"{cold:.2f} s",
            f"librosa, nearest mean: {cold_peer:.2f} s",
            cold / cold_peer,
            f"below {_COLD:.0f} s",
            cold < _COLD,
        ),
        Row(
            "... one more recording, warm",
            f"{1000 * warm:.0f} ms",
            f"librosa, nearest mean: {1000 * warm_peer:.0f} ms",
            warm / warm_peer,
            f"below {1000 * _WARM:.0f} ms",
            warm < _WARM,
        ),
    ]


def class_with_librosa(folder: str) -> str:
    """The class of ``asked.wav`` by mean MFCCs and the nearest class mean, as one would write it otherwise."""
    return str(_with_librosa(Path(folder)).predict([_mfcc(Path(folder) / "asked.wav")])[0])


def warm_with_librosa(folder: str) -> float:
    """Seconds for one recording, once everything is loaded and fitted."""
    model = _with_librosa(Path(folder))
    return best_of(5, lambda: model.predict([_mfcc(Path(folder) / "asked.wav")]))


def _command(folder: Path) -> float:
    """Seconds of ``musicfsl classify`` as a process."""
    command = [sys.executable, "-m", "musicfsl", "classify", str(folder / "asked.wav"), "--support"]
    start = time.perf_counter()
    done = subprocess.run([*command, str(folder / "support"), "--json"], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    assert json.loads(done.stdout)["recordings"], "nothing was recognised"
    return seconds


def _timed(folder: Path) -> float:
    start = time.perf_counter()
    in_new_process("benchmarks.classify:class_with_librosa", str(folder))
    return time.perf_counter() - start


def _warm(folder: Path) -> float:
    from musicfsl import FewShotClassifier

    classifier = FewShotClassifier().fit(folder / "support")
    return best_of(5, lambda: classifier.predict_proba(folder / "asked.wav"))


def _with_librosa(folder: Path):  # type: ignore[no-untyped-def] # scikit-learn has no types
    from sklearn.neighbors import NearestCentroid

    files = sorted((folder / "support").rglob("*.wav"))
    return NearestCentroid().fit([_mfcc(path) for path in files], [path.parent.name for path in files])


def _mfcc(path: Path) -> np.ndarray:
    import librosa

    wave, rate = librosa.load(path, sr=16000)
    features = librosa.feature.mfcc(y=wave, sr=rate, n_mfcc=20)
    return np.concatenate([features.mean(axis=1), features.std(axis=1)])


def _tone(k: int, i: int, seconds: float) -> np.ndarray:
    rng = np.random.default_rng((k, i))
    t = np.arange(round(seconds * _RATE)) / _RATE
    partials = np.arange(1, 2 + 3 * k)[:, None]
    tone = np.sin(2 * np.pi * rng.uniform(180, 260) * partials * t).mean(axis=0)
    return 0.5 * tone + 0.01 * rng.normal(size=len(t))
