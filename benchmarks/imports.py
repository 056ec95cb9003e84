"""How long `import musicfsl` takes, and what it brings along."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.rows import Row

__all__ = ["measure"]

_NEVER = (
    "pytorch_lightning",
    "lightning",
    "transformers",
    "mirdata",
    "librosa",
    "gensim",
    "plotly",
    "torchvision",
    "sklearn",
)
_TORCH = "import torch"
_PACKAGE = "import musicfsl"
# Names are imported where they are first used, so the package alone says little.
_NAMES = "from musicfsl import ConvEncoder, FeatureStore, PrototypicalHead, evaluate_episodes, load_audio, AudioFolder"


def measure(repeats: int = 7) -> list[Row]:
    """Fresh interpreters take turns; the shortest time of each statement counts."""
    times: dict[str, list[float]] = {_TORCH: [], _PACKAGE: [], _NAMES: []}
    for _ in range(repeats):
        for statement, measured in times.items():
            measured.append(_seconds(statement))
    torch, package, names = (min(times[statement]) for statement in (_TORCH, _PACKAGE, _NAMES))
    rows = [
        Row(what, f"{ours:.2f} s", f"import torch: {torch:.2f} s", ours / torch, "at most 1.15", ours <= 1.15 * torch)
        for what, ours in (("import musicfsl", package), ("... and the names of the main job", names))
    ]
    loaded = _loaded(_NAMES)
    return [*rows, Row("modules that it must not import", ", ".join(loaded) or "none", target="none", met=not loaded)]


def _seconds(statement: str) -> float:
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return float(_run(code))


def _loaded(statement: str) -> list[str]:
    return _run(f"import sys; {statement}; print(*(name for name in {_NEVER!r} if name in sys.modules))").split()


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
