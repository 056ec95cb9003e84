"""`musicfsl tag fit`: trains a tagger, and tests the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from musicfsl.commands.lightning import TrainingCommand, run_training
from musicfsl.commands.shared import Printed
from musicfsl.multilabel import TagReport
from musicfsl.tagging import read_tagger_card
from musicfsl.training.tagging.data import TaggingData
from musicfsl.training.tagging.learner import TaggingLearner

__all__ = ["run"]


def run(arguments: Sequence[str]) -> Printed:
    """Trains, then tests the best checkpoint; see `musicfsl.cli`."""
    return run_training(_Command, TaggingLearner, TaggingData, "fit", arguments)


class _Command(TrainingCommand):
    helps: ClassVar = {
        "fit": (
            "Train a tagger: a network that says which of several instruments are heard.",
            "musicfsl tag fit --config irmas_panns --output runs",
        )
    }
    short_forms: ClassVar = {"--data": "--data.dataset", "--output": "--trainer.default_root_dir"}
    defaults = "tag_fit.yaml"
    called = "tag fit"

    @staticmethod
    def check_checkpoint(path: str) -> None:
        read_tagger_card(path)

    def after_fit(self) -> None:
        """Tests the best checkpoint on excerpts that neither training nor its choice has seen."""
        best = self.best_checkpoint()
        self.results = {"checkpoint": best or None, "log": self.trainer.log_dir}
        self.results |= {name: round(value, 4) for name, value in _best_validation(self.model.history).items()}
        if best and "test" in self.datamodule.parts:
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)
            self.results["test"] = _numbers(self.model.report)
            if self.model.tuned_report is not None:
                self.results["test with thresholds tuned on validation"] = _numbers(self.model.tuned_report)


def _best_validation(history: Sequence[dict[str, float]]) -> dict[str, float]:
    return {} if not history else max(history, key=lambda found: found["val/map"])


def _numbers(report: TagReport) -> dict[str, Any]:
    return {**report.to_dict(), "text": report.table()}
