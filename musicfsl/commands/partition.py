"""`musicfsl partition`: split the classes of a data set so that each part has some of every family."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from musicfsl.commands.shared import CommandParser, Printed

__all__ = ["run"]


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    parser = CommandParser(
        "partition",
        "Split the classes of a data set into parts, under each node of a taxonomy on its own: siblings stand on both "
        "sides. Prints the tree with the part and the number of clips of each class.",
        "musicfsl partition --taxonomy families --data tinysol --depth 1 --output partition.json",
    )
    parser.add_argument("--taxonomy", required=True, metavar="NAME|FILE", help="hornbostel-sachs, families, or a YAML")
    parser.add_argument("--data", required=True, metavar="NAME|FOLDER", help="a data set's name, or a folder")
    parser.add_argument("--partitions", nargs="+", default=["train", "val", "test"], metavar="PART", help="their names")
    parser.add_argument("--sizes", nargs="+", type=float, metavar="SHARE", help="of each part (default 0.6 0.2 0.2)")
    parser.add_argument("--depth", type=int, default=1, help="of the nodes; 1 is right below the root (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default 0)")
    parser.add_argument("--output", metavar="JSON", help="file to keep the partition in, for musicfsl fit --partition")
    parser.add_argument("--figure", metavar="FILE", help="file to draw the tree in: .html, .png, .svg or .pdf")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)

    from musicfsl.datasets import open_dataset
    from musicfsl.errors import InputError
    from musicfsl.partition import partition_classes
    from musicfsl.taxonomy import Taxonomy

    if options.sizes is None and len(options.partitions) != 3:
        raise InputError(f"there are {len(options.partitions)} partitions without sizes; give one a part with --sizes")
    taxonomy = Taxonomy.load(options.taxonomy)
    dataset = open_dataset(options.data, duration=None).originals()
    counts = {name: len(indices) for name, indices in dataset.class_to_indices.items()}
    partition = partition_classes(
        taxonomy, dataset.classes, options.partitions, options.sizes or (0.6, 0.2, 0.2), options.depth, options.seed
    )
    lines = [partition.draw(taxonomy, counts, color=_is_terminal() and not options.json)]
    files = {}
    if options.output:
        files["output"] = str(partition.save(options.output))
        lines.append(f"written to {files['output']}")
    if options.figure:
        from musicfsl.plots import plot_taxonomy, save_figure

        files["figure"] = str(save_figure(plot_taxonomy(taxonomy, partition.part_of, counts), options.figure))
        lines.append(f"drawn in {files['figure']}")
    result = {**partition.to_dict(), "data": dataset.name, "clips": counts, **files}
    return Printed(result, "\n".join(lines), options.json)


def _is_terminal() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
