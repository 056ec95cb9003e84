"""`musicfsl embed`: embeddings to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from musicfsl.commands.shared import CommandParser, Printed, add_checkpoint_and_data, embedded
from musicfsl.errors import InputError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    parser = CommandParser(
        "embed",
        "Write the embedding, class and group of every clip to a NumPy .npz file.",
        "musicfsl embed best.ckpt --data my_sounds/ --output embeddings.npz",
    )
    add_checkpoint_and_data(parser)
    parser.add_argument("--output", required=True, help="file to write (.npz)")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    options = parser.parse_args(arguments)
    output = Path(options.output)
    if output.suffix != ".npz":
        raise InputError(f"--output is {output}; expected a file name that ends in .npz")

    import numpy as np

    dataset, embeddings = embedded(options, default_classes=None)
    content = {"embeddings": embeddings.numpy(), "targets": dataset.targets, "classes": np.array(dataset.classes)}
    if dataset.groups is not None:
        content["groups"] = dataset.groups
    temporary = output.with_name(f".{output.name}.tmp.npz")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        np.savez(temporary, **content)
        temporary.replace(output)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}); choose another --output") from None
    result = {"output": str(output), "n_clips": len(dataset), "dim": embeddings.shape[1], "classes": dataset.classes}
    return Printed(result, f"{len(dataset)} embeddings of size {embeddings.shape[1]} in {output}", options.json)
