"""`musicfsl tag evaluate`: measures a tagger on labelled excerpts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicfsl.commands.figures import FIGURES, checked_figure, write_figure
from musicfsl.commands.shared import CommandParser, Printed
from musicfsl.commands.tag_shared import add_tagging_options, thresholds_of, write_table
from musicfsl.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from musicfsl.datasets import ClassConditionalDataset
    from musicfsl.multilabel import TagReport
    from musicfsl.tagging import Tagger

__all__ = ["run"]

# Data sets with several labels an excerpt, which have a part for testing.
_DATASETS = ("irmas", "synthetic_mixtures")

_MEASURES = ("precision", "recall", "f1", "average_precision")


def run(arguments: Sequence[str]) -> Printed:
    """Runs the command; see `musicfsl.cli`."""
    options = _parser().parse_args(arguments)

    from musicfsl.annotation.writers import check_new
    from musicfsl.multilabel import report_tags
    from musicfsl.tagging import load_tagger, read_tagger_card, tag_dataset
    from musicfsl.tagging.decisions import check_decision

    # All that can be found wrong in an instant is found before anything that takes longer.
    figure_path = checked_figure(options.figure, options.overwrite)
    csv_path = None if options.csv is None else check_new(options.csv, options.overwrite)
    check_decision(options.decision)
    tagger = load_tagger(options.checkpoint)
    thresholds = thresholds_of(options.threshold, tagger)
    dataset = _open(options.data, tagger, options.vocabulary, options.empty_labels, options.subset)
    columns, targets = _common(tagger.classes, dataset)
    names = [tagger.classes[c] for c in columns]

    if read_tagger_card(options.checkpoint).data.get("fingerprint") == dataset.fingerprint():
        _note(f"this checkpoint was trained on {dataset.name}; the measures flatter it")
    probabilities = tag_dataset(
        tagger,
        dataset,
        hop=options.hop,
        decision=options.decision,
        device=options.device,
        progress=sys.stderr.isatty() and not options.json,
    )[:, columns]
    report = report_tags(
        probabilities,
        targets,
        names,
        thresholds[columns],
        n_resamples=options.bootstrap,
        seed=options.seed,
        groups=dataset.groups if options.by_song else None,
        is_synthetic=dataset.is_synthetic,
    )
    written = [] if csv_path is None else [write_table(_rows(report), csv_path)]
    if figure_path is not None:
        written.append(write_figure(_figure(report, dataset.name), figure_path, options.overwrite))
    result = {
        "checkpoint": str(options.checkpoint),
        "data": dataset.name,
        "decision": options.decision,
        **report.to_dict(),
        "files": [str(path) for path in written],
    }
    text = "\n".join([f"{dataset.name}: {report.table()}", *(f"written: {path}" for path in written)])
    return Printed(result, text, options.json)


def _parser() -> CommandParser:
    parser = CommandParser(
        "tag evaluate",
        "Measure a tagger on excerpts with any number of labels each. Every measure has its 95 % interval over "
        "excerpts, and what the best answer has that does not listen.",
        "musicfsl tag evaluate best.ckpt IRMAS-TestingData-Part1/ --threshold 0.6 --figure report.html",
    )
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="of musicfsl tag fit, or a .safetensors of save_tagger"
    )
    parser.add_argument(
        "data",
        metavar="FOLDER|NAME",
        help="recordings with a text file of labels beside each, one label a line; or a data set's name",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="NAME|FILE",
        help="what the folder's labels mean: irmas, openmic, or a YAML file (default: the checkpoint's classes)",
    )
    parser.add_argument("--subset", default="testing", help="of a named data set (default testing)")
    parser.add_argument(
        "--empty-labels",
        choices=("refuse", "negative"),
        default="refuse",
        help="whether an empty label file is a mistake, or says that no class sounds (default refuse)",
    )
    parser.add_argument("--bootstrap", type=int, default=1000, help="samples for the intervals (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of these samples (default 0)")
    parser.add_argument(
        "--by-song", action="store_true", help="draw whole songs for the intervals, where several excerpts are of one"
    )
    parser.add_argument(
        "--csv", metavar="FILE", help="write a row a class: support, precision, recall, F1, AP, intervals"
    )
    parser.add_argument(
        "--figure", metavar="FILE", help=f"draw the classes with their intervals ({', '.join(FIGURES)})"
    )
    add_tagging_options(parser)
    return parser


def _open(data: str, tagger: Tagger, vocabulary: str | None, empty_labels: str, subset: str) -> ClassConditionalDataset:
    """A folder of labelled excerpts, or a part of a named data set, at the tagger's rate and in full length."""
    from musicfsl.datasets import LabelledExcerpts, dataset_names, open_dataset

    if data in _DATASETS:
        return open_dataset(data, subset=subset, sample_rate=tagger.sample_rate, duration=None)
    expected = f"expected {' or '.join(_DATASETS)}, or a folder of recordings with a text file of labels beside each"
    if data in dataset_names():
        raise InputError(f"{data} has one class an item; {expected}")
    if not Path(data).expanduser().is_dir():
        raise InputError(f"'{data}' is no folder; {expected}.{did_you_mean(data, _DATASETS)}")
    return LabelledExcerpts(
        data,
        vocabulary=_vocabulary_of(tagger) if vocabulary is None else vocabulary,
        sample_rate=tagger.sample_rate,
        empty_labels="negative" if empty_labels == "negative" else "refuse",
    )


def _vocabulary_of(tagger: Tagger) -> str | list[str]:
    """The published vocabulary with the tagger's very classes, so that its codes are understood; else their names."""
    from musicfsl.vocabularies import open_vocabulary, vocabulary_names

    for name in vocabulary_names():
        if set(open_vocabulary(name).names) == set(tagger.classes):
            return name
    return tagger.classes


def _common(classes: list[str], dataset: ClassConditionalDataset) -> tuple[list[int], Any]:
    """The tagger's columns that the data has labels for, and the data's targets in the same order.

    What only one of the two knows is left out, and named.
    """
    columns = [c for c, name in enumerate(classes) if name in dataset.classes]
    if not columns:
        raise InputError(
            f"{dataset.name} shares no class with the checkpoint, which knows {', '.join(classes)}; see --vocabulary"
        )
    unknown = [name for name in dataset.classes if name not in classes]
    unlabelled = [name for name in classes if name not in dataset.classes]
    if unknown:
        _note(f"not measured, since the checkpoint does not know them: {', '.join(unknown)}")
    if unlabelled:
        _note(f"not measured, since {dataset.name} has no labels for them: {', '.join(unlabelled)}")
    return columns, dataset.targets[:, [dataset.classes.index(classes[c]) for c in columns]]


def _rows(report: TagReport) -> Iterator[list[Any]]:
    """A row a class; what does not exist is empty."""
    yield ["class", "threshold", "support", "answered"] + [
        f"{name}{end}" for name in _MEASURES for end in ("", "_low", "_high", "_chance")
    ]
    for row in report.classes:
        numbers: list[Any] = [row.name, f"{row.threshold:.4f}", row.support, row.n_answered]
        for name in _MEASURES:
            measure = getattr(row, name)
            numbers += [""] * 4 if measure is None else [f"{value:.6f}" for value in measure]
        yield numbers


def _figure(report: TagReport, title: str) -> Figure:
    from musicfsl.plots import plot_tag_report

    shown = {"precision": "precision", "recall": "recall", "F1": "f1", "average precision": "average_precision"}
    rows = report.classes
    chance = {
        label: [float("nan") if getattr(row, name) is None else getattr(row, name).chance for row in rows]
        for label, name in shown.items()
        if name in ("f1", "average_precision")
    }
    scores = {label: report.by_class(name) for label, name in shown.items()}
    return plot_tag_report([row.name for row in rows], scores, [row.support for row in rows], chance, title)


def _note(text: str) -> None:
    print(f"musicfsl: {text}", file=sys.stderr)
