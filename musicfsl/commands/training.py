"""`musicfsl fit`, `validate` and `test`: LightningCLI, with short forms for what is asked most."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from musicfsl.checkpoints import read_card
from musicfsl.commands.shared import Printed
from musicfsl.errors import MusicfslError
from musicfsl.evaluation import EpisodeReport
from musicfsl.training.data import EpisodicData
from musicfsl.training.learner import EpisodicLearner
from musicfsl.training.logs import run_loggers

__all__ = ["fit", "test", "validate"]

_CONFIGS = Path(__file__).parent.parent / "configs"
_DEFAULTS = _CONFIGS / "fit.yaml"

_HELP = {
    "fit": ("Train an encoder on episodes.", "musicfsl fit --data my_sounds/ --output runs --trainer.max_epochs 20"),
    "validate": ("Run the validation episodes.", "musicfsl validate --data my_sounds/ --ckpt_path best.ckpt"),
    "test": ("Run the test episodes.", "musicfsl test --data my_sounds/ --ckpt_path best.ckpt"),
}

# Short form -> the option that it stands for.
_SHORT_FORMS = {
    "--data": "--data.dataset",
    "--output": "--trainer.default_root_dir",
    "--partition": "--data.partition",
}


def fit(arguments: Sequence[str]) -> Printed:
    """Trains, then tests the best checkpoint; see `musicfsl.cli`."""
    return _run("fit", arguments)


def validate(arguments: Sequence[str]) -> Printed:
    """Runs the validation episodes; see `musicfsl.cli`."""
    return _run("validate", arguments)


def test(arguments: Sequence[str]) -> Printed:
    """Runs the test episodes; see `musicfsl.cli`."""
    return _run("test", arguments)


def _run(command: str, arguments: Sequence[str]) -> Printed:
    command_line = _Command(
        EpisodicLearner,
        EpisodicData,
        args=[command, *_expand_short_forms(arguments)],
        parser_class=_Parser,
        parser_kwargs={
            name: {
                "description": f"{description} --data NAME|FOLDER, --partition FILE and --output DIR are short for "
                "--data.dataset, --data.partition and --trainer.default_root_dir; everything else by dotted flags or a "
                "YAML file.",
                "epilog": f"example: {example}",
                "default_config_files": [str(_DEFAULTS)],
            }
            for name, (description, example) in _HELP.items()
        },
        save_config_kwargs={"overwrite": True},
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
    )
    results = command_line.results
    lines = [f"{name}: {value['text'] if isinstance(value, dict) else value}" for name, value in results.items()]
    return Printed(results, "\n".join(lines), as_json=bool(command_line.config[command].get("json")))


def _expand_short_forms(arguments: Sequence[str]) -> list[str]:
    """``--data my_sounds/`` to ``--data.dataset my_sounds/``; a YAML file stays what LightningCLI makes of it.

    And ``--config NAME`` to the file of that name which comes with the package.
    """
    expanded: list[str] = []
    for i, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        value = value if equals else (arguments[i + 1] if i + 1 < len(arguments) else "")
        if option in _SHORT_FORMS and not value.endswith((".yaml", ".yml")):
            argument = _SHORT_FORMS[option] + equals + (value if equals else "")
        elif option == "--config" and equals:
            argument = f"--config={_shipped_or(value)}"
        elif expanded and expanded[-1] == "--config":
            argument = _shipped_or(argument)
        expanded.append(argument)
    return expanded


def _shipped_or(config: str) -> str:
    """The path of a shipped configuration by its name; anything else as it is."""
    shipped = _CONFIGS / f"{config}.yaml"
    return str(shipped) if config.isidentifier() and shipped.is_file() else config


class _Parser(LightningArgumentParser):
    """Answers a mistake with one line, and takes no option for another that begins alike."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # the value is only tried as one of several types
            super().error(message, ex)
        reason = " ".join(message.split())
        print(f"musicfsl: {reason[:500]} (all options: musicfsl fit --help)", file=sys.stderr)
        raise SystemExit(2)


class _Command(LightningCLI):
    """Logs for TensorBoard and as CSV in one numbered folder a run, and keeps the results."""

    results: dict[str, Any]

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {name: skipped for name, skipped in LightningCLI.subcommands().items() if name in _HELP}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the results as JSON.")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Names a missing or damaged checkpoint before anything else is done."""
        path = self._get_early("ckpt_path")
        if path and path not in ("best", "last"):
            read_card(path)

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:  # the parser's, wrapped around what a constructor of ours has said
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, MusicfslError):
                cause = cause.__cause__ or cause.__context__
            raise (cause or error) from None

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        if self._get(self.config_init, "trainer.logger") in (None, True):
            kwargs["logger"] = run_loggers(self._get(self.config_init, "trainer.default_root_dir") or "runs")
        return super().instantiate_trainer(**kwargs)

    def after_fit(self) -> None:
        """Tests the best checkpoint on the classes that neither training nor its choice has seen."""
        kept = self.trainer.checkpoint_callback
        best = kept.best_model_path if isinstance(kept, ModelCheckpoint) else ""
        self.results = {"checkpoint": best or None, "log": self.trainer.log_dir}
        self.results["validation"] = _numbers(self.model.report)
        if best and "test" in self.datamodule.parts:
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)
            self.results["test"] = _numbers(self.model.report)

    def after_validate(self) -> None:
        self.results = {"validation": _numbers(self.model.report)}

    def after_test(self) -> None:
        self.results = {"test": _numbers(self.model.report)}

    def _get_early(self, key: str) -> Any:
        command = self.config.get("subcommand")
        return self.config[command].get(key) if command else None


def _numbers(report: EpisodeReport | None) -> dict[str, Any] | None:
    return None if report is None else {**report.to_dict(), "text": str(report)}
