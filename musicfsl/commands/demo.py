"""`musicfsl demo`: train on the embedded set and compare with the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from musicfsl.commands.shared import CommandParser, Printed

__all__ = ["run"]


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    parser = CommandParser(
        "demo",
        "Train on some instruments of the embedded synthetic set, and test on others: a few minutes on two cores.",
        "musicfsl demo --json",
    )
    parser.add_argument("--epochs", type=int, default=6, help="epochs of training (default 6)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the class split, the weights and the episodes (default 0)"
    )
    parser.add_argument("--output", default="runs", help="folder for logs and checkpoints (default runs)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)

    from musicfsl.training.demo import run_demo

    reports = run_demo(epochs=options.epochs, seed=options.seed, output=options.output)
    width = max(len(name) for name in reports)
    text = "\n".join(f"{name:{width}}  {report}" for name, report in reports.items())
    return Printed({name: report.to_dict() for name, report in reports.items()}, text, options.json)
