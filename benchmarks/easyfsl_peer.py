"""easyfsl's `evaluate`, in an environment of its own that shares this one's torch."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from musicfsl.caching import cache_root

__all__ = ["environment", "ignore_argument", "run"]


def environment() -> Path:
    """The interpreter of the environment, made on first use.

    Raises:
        RuntimeError: easyfsl cannot be installed.
    """
    folder = cache_root() / "benchmarks" / f"easyfsl-1.5.0-py{sys.version_info.major}{sys.version_info.minor}"
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if python.exists() and subprocess.run([python, "-c", "import easyfsl.utils"], capture_output=True).returncode == 0:
        return python
    venv.create(folder, with_pip=True, clear=True)
    # Through this file the environment sees the packages of the running one, and pip finds torch installed.
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(own) / "running.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "easyfsl==1.5.0"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"pip: {done.stderr.strip().splitlines()[-1]}")
    return python


def run(n_tasks: int, repeats: int) -> dict[str, float]:
    """Seconds for so many tasks on the vectors that `benchmarks.episodes` uses; called inside that environment."""
    import torch
    from torch.utils.data import DataLoader, Sampler

    # easyfsl 1.5.0 hands over an argument that torch has since removed.
    Sampler.__init__ = ignore_argument  # type: ignore[method-assign]
    from easyfsl.datasets import FeaturesDataset
    from easyfsl.methods import PrototypicalNetworks
    from easyfsl.samplers import TaskSampler
    from easyfsl.utils import evaluate

    from benchmarks.episodes import embeddings
    from benchmarks.rows import best_of

    torch.set_num_threads(2)
    z, targets = embeddings()
    dataset = FeaturesDataset(targets.tolist(), z, [str(label) for label in sorted(set(targets.tolist()))])
    sampler = TaskSampler(dataset, n_way=5, n_shot=5, n_query=15, n_tasks=n_tasks)
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=sampler.episodic_collate_fn)
    model = PrototypicalNetworks(torch.nn.Identity())
    accuracy = evaluate(model, loader, device="cpu", use_tqdm=False)
    return {"accuracy": accuracy, "seconds": best_of(repeats, lambda: evaluate(model, loader, "cpu", use_tqdm=False))}


def ignore_argument(self: object, data_source: object = None) -> None:
    """What stands in for the constructor of torch's samplers, whose argument torch has removed."""
