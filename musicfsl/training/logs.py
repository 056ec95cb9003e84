"""Where a run writes its logs."""

from __future__ import annotations

from pathlib import Path

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

__all__ = ["run_loggers"]


def run_loggers(root: str | Path, name: str = "") -> list[Logger]:
    """Logs for TensorBoard and as CSV, in one folder that is numbered anew for each run.

    Args:
        root: folder of all runs.
        name: folder in it; empty for none.

    Returns:
        the loggers, which write events for TensorBoard to ``root/name/version_0`` and ``metrics.csv`` to ``csv`` below.
    """
    tensorboard = TensorBoardLogger(root, name=name, default_hp_metric=False)
    return [tensorboard, CSVLogger(tensorboard.log_dir, name="", version="csv")]
