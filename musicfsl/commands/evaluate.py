"""`musicfsl evaluate`: few-shot accuracy of a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from musicfsl.commands.shared import CommandParser, Printed, add_checkpoint_and_data, embedded

__all__ = ["run"]


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    parser = CommandParser(
        "evaluate",
        "Few-shot accuracy of a checkpoint on a data set or a folder of recordings, one sub-folder a class.",
        "musicfsl evaluate best.ckpt --data my_sounds/ --n-way 5 --n-support 5 --json",
    )
    add_checkpoint_and_data(parser)
    parser.add_argument("--n-way", type=int, help="classes an episode (default 5)")
    parser.add_argument("--n-support", type=int, help="labelled clips a class, the shots (default 5)")
    parser.add_argument("--n-query", type=int, help="clips to recognise a class (default 15)")
    parser.add_argument("--episodes", type=int, help="number of episodes (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the episodes (default 0)")
    parser.add_argument("--mix-groups", action="store_true", help="let support and query share a player or song")
    parser.add_argument(
        "--taxonomy",
        metavar="NAME|FILE",
        help="a tree over the classes (families, hornbostel-sachs, or a YAML file): measures how bad mistakes are",
    )
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help="a published evaluation, with its ways, numbers of shots, queries and episodes: music-trees",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)

    from musicfsl.checkpoints import load_head, read_card
    from musicfsl.evaluation import EpisodeReport, evaluate_episodes
    from musicfsl.protocols import ProtocolReport, find_protocol, run_protocol
    from musicfsl.taxonomy import Taxonomy

    taxonomy = None if options.taxonomy is None else Taxonomy.load(options.taxonomy)
    if options.protocol is not None:
        find_protocol(options.protocol)  # a wrong name is told before the work
    card = read_card(options.checkpoint)
    dataset, embeddings = embedded(options, default_classes=card.data.get("test_classes"))
    head = load_head(options.checkpoint)
    given: dict[str, Any] = {
        "seed": options.seed,
        "groups": None if options.mix_groups else dataset.groups,
        "class_names": dataset.classes,
        "is_synthetic": dataset.is_synthetic,
        "taxonomy": taxonomy,
    }
    shape = {"n_way": options.n_way, "n_query": options.n_query, "n_episodes": options.episodes}
    report: EpisodeReport | ProtocolReport
    if options.protocol is None:
        given |= {name: value for name, value in {**shape, "n_support": options.n_support}.items() if value is not None}
        report = evaluate_episodes(embeddings, dataset.targets, head, **given)
    else:
        shots = None if options.n_support is None else [options.n_support]
        report = run_protocol(options.protocol, embeddings, dataset.targets, head, shots=shots, **shape, **given)
    not_new = sorted(set(dataset.classes) & {*card.classes, *card.data.get("val_classes", ())})
    if not_new:
        print(
            f"musicfsl: not new to this checkpoint, which saw classes of these names: {', '.join(not_new)}",
            file=sys.stderr,
        )
    result = {**report.to_dict(), "data": dataset.name, "classes": dataset.classes, "classes_not_new": not_new}
    return Printed(result, f"{dataset.name}, {len(dataset.classes)} classes: {report}", options.json)
