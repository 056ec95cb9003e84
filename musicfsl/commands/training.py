"""`musicfsl fit`, `validate` and `test`: training and evaluation on episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from musicfsl.checkpoints import read_card
from musicfsl.commands.lightning import TrainingCommand, run_training
from musicfsl.commands.shared import Printed
from musicfsl.evaluation import EpisodeReport
from musicfsl.training.data import EpisodicData
from musicfsl.training.learner import EpisodicLearner

__all__ = ["fit", "test", "validate"]


def fit(arguments: Sequence[str]) -> Printed:
    """Trains, then tests the best checkpoint; see `musicfsl.cli`."""
    return run_training(_Command, EpisodicLearner, EpisodicData, "fit", arguments)


def validate(arguments: Sequence[str]) -> Printed:
    """Runs the validation episodes; see `musicfsl.cli`."""
    return run_training(_Command, EpisodicLearner, EpisodicData, "validate", arguments)


def test(arguments: Sequence[str]) -> Printed:
    """Runs the test episodes; see `musicfsl.cli`."""
    return run_training(_Command, EpisodicLearner, EpisodicData, "test", arguments)


class _Command(TrainingCommand):
    helps: ClassVar = {
        "fit": (
            "Train an encoder on episodes.",
            "musicfsl fit --data my_sounds/ --output runs --trainer.max_epochs 20",
        ),
        "validate": (
            "Run the validation episodes.",
            "musicfsl validate --data my_sounds/ --ckpt_path best.ckpt",
        ),
        "test": ("Run the test episodes.", "musicfsl test --data my_sounds/ --ckpt_path best.ckpt"),
    }
    short_forms: ClassVar = {
        "--data": "--data.dataset",
        "--output": "--trainer.default_root_dir",
        "--partition": "--data.partition",
    }
    defaults = "fit.yaml"
    called = "fit"

    @staticmethod
    def check_checkpoint(path: str) -> None:
        read_card(path)

    def after_fit(self) -> None:
        """Tests the best checkpoint on the classes that neither training nor its choice has seen."""
        best = self.best_checkpoint()
        self.results = {"checkpoint": best or None, "log": self.trainer.log_dir}
        self.results["validation"] = _numbers(self.model.report)
        if best and "test" in self.datamodule.parts:
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)
            self.results["test"] = _numbers(self.model.report)

    def after_validate(self) -> None:
        self.results = {"validation": _numbers(self.model.report)}

    def after_test(self) -> None:
        self.results = {"test": _numbers(self.model.report)}


def _numbers(report: EpisodeReport | None) -> dict[str, Any] | None:
    return None if report is None else {**report.to_dict(), "text": str(report)}
