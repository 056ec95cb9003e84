"""`musicfsl data`: list, prepare and verify data sets, and cut long recordings into windows."""

from __future__ import annotations

from collections.abc import Sequence

from musicfsl.commands import windows
from musicfsl.commands.shared import CommandParser, Printed

__all__ = ["run"]


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    parser = CommandParser(
        "data", "List, prepare or verify data sets, or cut recordings into windows.", "musicfsl data prepare tinysol"
    )
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="list|prepare|verify|windows", parser_class=CommandParser
    )
    listing = actions.add_parser("list", description="All data sets by name.", epilog="musicfsl data list --json")
    prepare = actions.add_parser(
        "prepare", description="Download (or make) a data set, and check it.", epilog="musicfsl data prepare tinysol"
    )
    prepare.add_argument("name", help="see musicfsl data list")
    verify = actions.add_parser(
        "verify", description="Decode every recording, or compare checksums.", epilog="musicfsl data verify my_sounds/"
    )
    verify.add_argument("name", metavar="NAME|FOLDER")
    cut = actions.add_parser(
        "windows",
        description="Cut long recordings into windows, leave silence out, and count or write them.",
        epilog="musicfsl data windows my_stems/ --example-length 1 --hop-length 0.5 --output my_windows/",
    )
    windows.add_options(cut)
    for action in (prepare, verify, cut):
        action.add_argument("--root", help="folder of the data set (default: the usual place)")
    for action in (listing, prepare, verify, cut):
        action.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    if options.action == "windows":
        return windows.run(options)

    from dataclasses import asdict

    from musicfsl.datasets import dataset_info, dataset_names, prepare_dataset, verify_dataset

    if options.action == "list":
        infos = [dataset_info(name) for name in dataset_names()]
        width = max(len(info.name) for info in infos)
        lines = [f"{info.name:{width}}  {info.description} ({info.size}; {info.licence})" for info in infos]
        return Printed([asdict(info) for info in infos], "\n".join(lines), options.json)
    check = prepare_dataset if options.action == "prepare" else verify_dataset
    report = check(options.name, options.root, show_progress=not options.json)
    lines = [f"{problem.path}: {problem.reason}" for problem in report.problems]
    lines.append(f"{report.name}: {report.n_recordings} recordings, {len(report.problems)} with a problem")
    return Printed(report.to_dict(), "\n".join(lines), options.json, code=0 if report.ok else 2)
