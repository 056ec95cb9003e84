"""What the commands that train share: LightningCLI with short forms, shipped configurations and one-line mistakes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from musicfsl.commands.shared import Printed
from musicfsl.errors import InputError, MusicfslError
from musicfsl.training.logs import run_loggers

__all__ = ["CONFIGS", "TrainingCommand", "run_training"]

#: Folder of the configurations that come with the package.
CONFIGS = Path(__file__).parent.parent / "configs"


class TrainingCommand(LightningCLI):
    """Logs for TensorBoard and as CSV in one numbered folder a run, and keeps the results.

    A subclass says what there is, and fills ``results`` in `after_fit` and its like.
    """

    #: Sub-command of LightningCLI -> description and example.
    helps: ClassVar[dict[str, tuple[str, str]]]
    #: Short form -> the option that it stands for.
    short_forms: ClassVar[dict[str, str]]
    #: File in `CONFIGS` with the defaults.
    defaults: ClassVar[str]
    #: What the user types before the options, for the hint behind a mistake.
    called: ClassVar[str]

    results: dict[str, Any]

    @staticmethod
    def check_checkpoint(path: str) -> None:
        """Raises the error that says what is wrong with a checkpoint."""
        raise NotImplementedError

    @classmethod
    def subcommands(cls) -> dict[str, set[str]]:
        return {name: skipped for name, skipped in LightningCLI.subcommands().items() if name in cls.helps}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the results as JSON.")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Names a missing or damaged checkpoint before anything else is done."""
        path = self._get_early("ckpt_path")
        if path and path not in ("best", "last"):
            self.check_checkpoint(path)

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
        try:
            return super().instantiate_trainer(**kwargs)
        except MusicfslError:
            raise
        except (MisconfigurationException, ImportError, ValueError) as error:  # such as a GPU that is not there
            raise InputError(
                f"Lightning's trainer cannot be made as asked for: {' '.join(str(error).split())}"
            ) from error

    def best_checkpoint(self) -> str:
        """Path of the best checkpoint of a training; empty where none was kept."""
        kept = self.trainer.checkpoint_callback
        return kept.best_model_path if isinstance(kept, ModelCheckpoint) else ""

    def _get_early(self, key: str) -> Any:
        command = self.config.get("subcommand")
        return self.config[command].get(key) if command else None


def run_training(
    command: type[TrainingCommand],
    learner: type[pl.LightningModule],
    data: type[pl.LightningDataModule],
    name: str,
    arguments: Sequence[str],
) -> Printed:
    """Runs a sub-command of a training command.

    Args:
        command: says what there is.
        learner: whose arguments ``--model.`` takes.
        data: whose arguments ``--data.`` takes.
        name: of the sub-command.
        arguments: what stands behind it.

    Raises:
        InputError: the trainer cannot be made, or a checkpoint is of another network.
    """
    short = list(command.short_forms)
    forms = " and ".join([", ".join(short[:-1]), short[-1]]) if len(short) > 1 else short[0]
    try:
        command_line = command(
            learner,
            data,
            args=[name, *_expand_short_forms(arguments, command.short_forms)],
            parser_class=_parser(command.called),
            parser_kwargs={
                sub: {
                    "description": f"{description} {forms} are short for {', '.join(command.short_forms.values())}; "
                    "everything else by dotted flags or a YAML file.",
                    "epilog": f"example: {example}",
                    "default_config_files": [str(CONFIGS / command.defaults)],
                }
                for sub, (description, example) in command.helps.items()
            },
            save_config_kwargs={"overwrite": True},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )
    except RuntimeError as error:
        if not str(error).startswith("Error(s) in loading state_dict"):
            raise
        raise InputError(
            "the checkpoint given as --ckpt_path is of another network than these options describe; begin them with "
            "--config RUN/config.yaml, where RUN is the folder of the run that trained it"
        ) from error
    results = command_line.results
    lines = [f"{key}: {value['text'] if isinstance(value, dict) else value}" for key, value in results.items()]
    return Printed(results, "\n".join(lines), as_json=bool(command_line.config[name].get("json")))


def _expand_short_forms(arguments: Sequence[str], short_forms: Mapping[str, str]) -> list[str]:
    """``--data my_sounds/`` to ``--data.dataset my_sounds/``; a YAML file stays what LightningCLI makes of it.

    And ``--config NAME`` to the file of that name which comes with the package.
    """
    expanded: list[str] = []
    for i, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        value = value if equals else (arguments[i + 1] if i + 1 < len(arguments) else "")
        if option in short_forms and not value.endswith((".yaml", ".yml")):
            argument = short_forms[option] + equals + (value if equals else "")
        elif option == "--config" and equals:
            argument = f"--config={_shipped_or(value)}"
        elif expanded and expanded[-1] == "--config":
            argument = _shipped_or(argument)
        expanded.append(argument)
    return expanded


def _shipped_or(config: str) -> str:
    """The path of a shipped configuration by its name; anything else as it is."""
    shipped = CONFIGS / f"{config}.yaml"
    return str(shipped) if config.isidentifier() and shipped.is_file() else config


def _parser(called: str) -> type[LightningArgumentParser]:
    class Parser(LightningArgumentParser):
        """Answers a mistake with one line, and takes no option for another that begins alike."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, allow_abbrev=False, **kwargs)

        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            if not self.exit_on_error:  # the value is only tried as one of several types
                super().error(message, ex)
            reason = " ".join(message.split())
            print(f"musicfsl: {reason[:500]} (all options: musicfsl {called} --help)", file=sys.stderr)
            raise SystemExit(2)

    return Parser
