"""What the commands share: their parser, their answer, and the options for a checkpoint and data."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from musicfsl.datasets import ClassConditionalDataset

__all__ = ["CommandParser", "Printed", "add_checkpoint_and_data", "embedded", "names_of", "quick_imports"]


class Printed(NamedTuple):
    """What a command has to say.

    Attributes:
        result: as JSON can hold it.
        text: the same for a reader.
        as_json: which of them was asked for.
        code: exit code of the command.
    """

    result: Any
    text: str
    as_json: bool
    code: int = 0


class CommandParser(argparse.ArgumentParser):
    """Shows an example in its help, and answers a mistake with one line."""

    def __init__(self, name: str = "", description: str = "", epilog: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("prog", f"musicfsl {name}")
        super().__init__(description=description, epilog=f"example: {epilog}", allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        print(f"musicfsl: {message} (options: {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Imports torch and what stands on it without collecting garbage, a fifth of the time of a short command.

    Modules stay until the end: looking for garbage among them, again and again and once more at exit, finds nothing.
    Where torch is there already, nothing is changed, for then somebody else's program goes on afterwards.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def add_checkpoint_and_data(parser: argparse.ArgumentParser) -> None:
    """Options of commands that run a checkpoint on data; see `embedded`."""
    parser.add_argument("checkpoint", help="a .ckpt of musicfsl fit, or a .safetensors of save_encoder")
    parser.add_argument("--data", required=True, metavar="NAME|FOLDER", help="a data set's name, or a folder")
    parser.add_argument(
        "--classes",
        help="comma-separated class names (default: the test classes, where the data is what the checkpoint was "
        "trained on, else all)",
    )
    parser.add_argument(
        "--duration", type=float, default=1.0, help="seconds that the network sees at a time (default 1)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps (default cpu)")


def embedded(options: argparse.Namespace, default_classes: list[str] | None) -> tuple[ClassConditionalDataset, Any]:
    """The data set that the options name, some of its classes, and the embeddings of their clips."""
    from musicfsl.checkpoints import load_encoder, read_card
    from musicfsl.datasets import open_dataset
    from musicfsl.embedding import embed_dataset
    from musicfsl.features import FeatureStore

    encoder = load_encoder(options.checkpoint)
    source = open_dataset(options.data, sample_rate=encoder.sample_rate, duration=None)
    store = FeatureStore.build(source, encoder.front_end).originals()
    if options.classes:
        store = store.subset(classes=[name.strip() for name in options.classes.split(",")])
    elif default_classes and read_card(options.checkpoint).data.get("name") == store.name:
        store = store.subset(classes=default_classes)
    return store, embed_dataset(
        encoder, store, duration=options.duration, device=options.device, progress=sys.stderr.isatty()
    )


def names_of(text: str | None) -> list[str] | None:
    """Comma-separated names as a list, empty ones left out; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
