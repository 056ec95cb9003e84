"""`musicfsl compare`: which encoder and which method tell your own sounds apart."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from musicfsl.commands.figures import FIGURES, checked_figure, write_figure
from musicfsl.commands.shared import CommandParser, Printed, names_of
from musicfsl.commands.tag_shared import write_table

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from musicfsl.comparison import Comparison

__all__ = ["run"]


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    options = _parser().parse_args(arguments)

    from musicfsl.annotation.writers import check_new
    from musicfsl.comparison import DEFAULT_ENCODERS, compare_sounds, find_methods
    from musicfsl.datasets import dataset_names, open_dataset

    # All that can be found wrong in an instant is found before anything that takes longer.
    figure_path = checked_figure(options.figure, options.overwrite)
    csv_path = None if options.csv is None else check_new(options.csv, options.overwrite)
    methods = names_of(options.methods)
    heads = None if methods is None else find_methods(methods)
    sounds: Any = options.data
    if options.data in dataset_names():
        sounds = open_dataset(options.data, duration=None)
    with _warnings_as_lines():
        found = compare_sounds(
            sounds,
            DEFAULT_ENCODERS if options.encoders is None else names_of(options.encoders) or [],
            heads,
            window=options.duration,
            group_pattern=options.group_pattern,
            mix_groups=options.mix_groups,
            strict=options.strict,
            n_way=options.n_way,
            n_support=options.n_support,
            n_query=options.n_query,
            n_episodes=options.episodes,
            seed=options.seed,
            query_imbalance=options.query_imbalance,
            progress=sys.stderr.isatty() and not options.json,
        )
    written = [] if csv_path is None else [write_table(found.rows(), csv_path)]
    if figure_path is not None:
        written.append(write_figure(_figure(found), figure_path, options.overwrite))
    result = {**found.to_dict(), "files": [str(path) for path in written]}
    text = "\n".join([str(found), *(f"written: {path}" for path in written)])
    return Printed(result, text, options.json)


def _parser() -> CommandParser:
    parser = CommandParser(
        "compare",
        "Cross-validate every method on the embeddings of every encoder, on the very same episodes of your recordings, "
        "one sub-folder a class. The first line is the baseline: mean MFCCs and the nearest class mean.",
        "musicfsl compare my_sounds/ --n-support 5 --figure comparison.html",
    )
    parser.add_argument(
        "data", metavar="FOLDER|NAME", help="one sub-folder of recordings a class; or a data set's name"
    )
    parser.add_argument(
        "--encoders",
        metavar="NAMES",
        help="comma-separated: default, mfcc, cnn14, ast, clap, or checkpoints (default mfcc,default)",
    )
    parser.add_argument("--methods", metavar="NAMES", help="comma-separated (default: all that need no training)")
    parser.add_argument("--n-way", type=int, help="classes an episode (default: all, at most 10)")
    parser.add_argument("--n-support", type=int, help="labelled clips a class, the shots (default 5, or what there is)")
    parser.add_argument("--n-query", type=int, help="clips to recognise a class (default 15, or what there is)")
    parser.add_argument("--episodes", type=int, default=1000, help="number of episodes (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the episodes (default 0)")
    parser.add_argument(
        "--query-imbalance",
        type=float,
        metavar="ALPHA",
        help="draw unequal shares of the classes among the queries, from a Dirichlet distribution (2 is usual): shows "
        "what transductive methods owe to equal ones",
    )
    parser.add_argument(
        "--group-pattern",
        metavar="REGEX",
        help="its parentheses catch the player, session or song in a path, which then never stands on both sides",
    )
    parser.add_argument("--mix-groups", action="store_true", help="let support and query share a player or song")
    parser.add_argument(
        "--duration", type=float, default=1.0, help="seconds that an encoder hears at a time (default 1)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="fail for the first recording that cannot be used, instead of a warning"
    )
    parser.add_argument("--csv", metavar="FILE", help="write a row an encoder and method")
    parser.add_argument("--figure", metavar="FILE", help=f"draw the accuracies side by side ({', '.join(FIGURES)})")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _figure(found: Comparison) -> Figure:
    from musicfsl.plots import plot_comparison
    from musicfsl.plots.style import PALETTE

    encoders = list(dict.fromkeys(line.encoder for line in found.lines))
    reports = [line.report for line in found.lines]
    names = [
        line.method + (" (t)" if line.report.transductive else "") + (f", {line.encoder}" if len(encoders) > 1 else "")
        for line in found.lines
    ]
    assert found.material is not None, "compare_sounds says what it compared"
    return plot_comparison(
        names,
        [report.mean for report in reports],
        [report.ci95 for report in reports],
        reports[0].chance,
        [PALETTE[encoders.index(line.encoder) % len(PALETTE)] for line in found.lines],
        f"{found.material.name}: {reports[0].n_way}-way {reports[0].n_support}-shot",
    )


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Tells warnings as this command tells everything, in one line each and at once."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"musicfsl: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield
