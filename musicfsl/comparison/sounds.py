"""Every encoder and method on a user's own sounds."""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from musicfsl.backbones import Encoder
from musicfsl.backbones.named import PUBLISHED
from musicfsl.checkpoints import load_encoder, read_card
from musicfsl.classifier.examples import examples_of, named
from musicfsl.classifier.listening import listen
from musicfsl.classifier.sounds import Example
from musicfsl.comparison.methods import compare_methods
from musicfsl.comparison.reports import Comparison, Material
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.datasets.folder import captured_groups
from musicfsl.errors import InputError
from musicfsl.heads import Head
from musicfsl.instruments import canonical, name_key

__all__ = ["DEFAULT_ENCODERS", "compare_sounds"]

#: What is compared where nobody names encoders: the baseline, and the network that the package ships.
DEFAULT_ENCODERS = ("mfcc", "default")


def compare_sounds(
    sounds: Any,
    encoders: Sequence[str | os.PathLike[str]] | Mapping[str, Encoder] = DEFAULT_ENCODERS,
    methods: Mapping[str, Head] | None = None,
    *,
    window: float = 1.0,
    max_windows: int = 5,
    group_pattern: str | None = None,
    mix_groups: bool = False,
    strict: bool = False,
    n_way: int | None = None,
    n_support: int | None = None,
    n_query: int | None = None,
    n_episodes: int = 1000,
    seed: int = 0,
    query_imbalance: float | None = None,
    progress: bool = False,
) -> Comparison:
    """Finds out which encoder and which method tell your classes of sounds apart.

    All clips are embedded once by each encoder. Then the methods are cross-validated: an episode takes some clips of
    each class as the examples and asks for others, and this is repeated with other clips, the same for every line of
    the comparison (`compare_methods`). Embeddings of an encoder without a whitening layer, such as MFCCs, are brought
    to one scale by every episode's examples.

    Args:
        sounds: a folder with one sub-folder a class; a mapping of class names to files, arrays or tensors; or a data
            set of waves.
        encoders: names or checkpoints, as for `musicfsl.load_encoder`, the baseline first; or encoders by their names.
        methods: as for `compare_methods`.
        window: what an encoder hears at a time, in seconds.
        max_windows: windows of a clip that are averaged.
        group_pattern: regular expression whose parentheses catch the player, session or song in a file's path: no
            group then stands on both sides of an episode. None takes the groups of a data set, or of a table that
            ``musicfsl data windows`` wrote, where there are any.
        mix_groups: let groups stand on both sides all the same.
        strict: raise for the first sound that cannot be used, instead of going on without it and warning.
        n_way: as for `compare_methods`, like all that is not explained here.
        n_support: labelled clips a class.
        n_query: clips to recognise a class.
        n_episodes: number of episodes.
        seed: of the episodes.
        query_imbalance: unequal shares of the classes among the queries.
        progress: show progress bars.

    Returns:
        the comparison. Classes of a single clip (or group) are left out with a warning, and so are further copies of a
        recording, which would be recognised without an effort.

    Raises:
        AudioError: a sound cannot be used (where ``strict``).
        CheckpointError: an encoder cannot be opened.
        DatasetError: a folder is not laid out as expected.
        InputError: there are fewer than two classes of two clips, or see `compare_methods`.

    Example:
        >>> print(compare_sounds("my_sounds/"))  # doctest: +SKIP
        >>> rng, t = np.random.default_rng(0), np.arange(8000) / 16000
        >>> hum = [0.5 * np.sin(2 * np.pi * hertz * t) for hertz in (100, 110, 120, 130)]
        >>> hiss = [rng.uniform(-0.5, 0.5, len(t)) for _ in range(4)]
        >>> found = compare_sounds({"hum": hum, "hiss": hiss}, ["mfcc"], n_episodes=10)
        >>> found.best.report.mean
        1.0
    """
    opened = _opened(encoders)
    examples = examples_of(sounds)
    groups = _groups(examples, group_pattern, mix_groups)
    embeddings, seconds, examples, groups = _embedded(
        opened, examples, groups, window, max_windows, strict=strict, progress=progress
    )
    kept, left_out = _classes_to_divide(examples, groups)
    examples = [examples[i] for i in kept]
    class_names = sorted({example.label for example in examples})
    is_dataset = isinstance(sounds, ClassConditionalDataset)
    found = compare_methods(
        {name: z[kept] for name, z in embeddings.items()},
        np.array([class_names.index(example.label) for example in examples]),
        methods,
        standardize=[name for name, encoder in opened.items() if encoder.whitening is None],
        n_way=n_way,
        n_support=n_support,
        n_query=n_query,
        n_episodes=n_episodes,
        seed=seed,
        groups=None if groups is None else groups[kept],
        class_names=class_names,
        is_synthetic=sounds.is_synthetic if is_dataset else False if _are_files(examples) else None,
        query_imbalance=query_imbalance,
        trained_on={name: _not_new(name, class_names) for name in opened}
        if not isinstance(encoders, Mapping)
        else None,
        progress=progress,
    )
    name = sounds.name if is_dataset else os.fspath(sounds) if isinstance(sounds, str | os.PathLike) else "sounds"
    return replace(found, material=Material(name, len(kept), class_names, left_out, seconds))


def _opened(encoders: Sequence[str | os.PathLike[str]] | Mapping[str, Encoder]) -> dict[str, Encoder]:
    if isinstance(encoders, str | os.PathLike):
        encoders = [encoders]
    if not encoders:
        raise InputError(f"there is no encoder to compare; give names, such as {', '.join(DEFAULT_ENCODERS)}, or files")
    if isinstance(encoders, Mapping):
        return dict(encoders)
    return {os.fspath(name): load_encoder(name) for name in encoders}


def _groups(examples: Sequence[Example], group_pattern: str | None, mix_groups: bool) -> NDArray[np.int64] | None:
    """A number for the group of each example; None where none is known, or they may be mixed."""
    if group_pattern is not None:
        names: Sequence[str | None] = captured_groups(group_pattern, [example.sound.name for example in examples])
    else:
        names = [example.group for example in examples]
    if mix_groups or all(name is None for name in names):
        return None
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(i if name is None else name, len(numbers)) for i, name in enumerate(names)])


def _embedded(
    encoders: Mapping[str, Encoder],
    examples: list[Example],
    groups: NDArray[np.int64] | None,
    window: float,
    max_windows: int,
    *,
    strict: bool,
    progress: bool,
) -> tuple[dict[str, Tensor], dict[str, float], list[Example], NDArray[np.int64] | None]:
    """Embeddings by each encoder, the seconds that it took, and what all of them could use."""
    embeddings: dict[str, Tensor] = {}
    seconds: dict[str, float] = {}
    for name, encoder in encoders.items():
        start = time.perf_counter()
        heard = listen(
            [example.sound for example in examples],
            encoder,
            window,
            max_windows,
            strict=strict,
            progress=progress,
            warn_of_clipping=not embeddings,
        )
        seconds[name] = time.perf_counter() - start
        if heard.unusable:
            warnings.warn(
                f"{len(heard.unusable)} of {len(examples)} sounds cannot be used and were left out: "
                f"{named([each.reason for each in heard.unusable])}",
                stacklevel=3,
            )
        usable = heard.positions
        if not embeddings:
            usable = [heard.positions[i] for i in _firsts(heard.contents, [examples[p] for p in heard.positions])]
        at = {position: row for row, position in enumerate(heard.positions)}
        embeddings = {other: z[usable] for other, z in embeddings.items()}
        embeddings[name] = heard.z[[at[position] for position in usable]]
        examples = [examples[position] for position in usable]
        groups = None if groups is None else groups[usable]
    return embeddings, seconds, examples, groups


def _firsts(contents: Sequence[str], examples: Sequence[Example]) -> list[int]:
    """The first of each recording in its class; copies in other classes stay, for nobody knows which is right."""
    first: dict[tuple[str, str], int] = {}
    for i, (content, example) in enumerate(zip(contents, examples, strict=True)):
        first.setdefault((content, example.label), i)
    copies = [examples[i].sound.name for i in sorted(set(range(len(examples))) - set(first.values()))]
    if copies:
        warnings.warn(
            f"{len(copies)} sounds are copies of others in their class and were left out: {named(copies)}", stacklevel=4
        )
    classes = Counter(content for content, _ in first)
    contradictions = [examples[i].sound.name for (content, _), i in first.items() if classes[content] > 1]
    if contradictions:
        warnings.warn(
            f"the same recordings stand in several classes, so that no method can be right about them: "
            f"{named(contradictions)}",
            stacklevel=4,
        )
    return sorted(first.values())


def _classes_to_divide(examples: Sequence[Example], groups: NDArray[np.int64] | None) -> tuple[list[int], list[str]]:
    """The examples whose class has two clips (or groups) or more, and the names of the other classes."""
    what = "recordings" if groups is None else "groups"
    members = {(example.label, i if groups is None else int(groups[i])) for i, example in enumerate(examples)}
    counts = Counter(label for label, _ in members)
    small = sorted(label for label, count in counts.items() if count < 2)
    if len(counts) - len(small) < 2:
        raise InputError(
            f"{len(counts) - len(small)} classes have two {what} or more; a comparison needs two such classes, since "
            "it takes some as examples and asks for others"
        )
    if small:
        warnings.warn(f"classes of fewer than two {what} were left out: {named(small)}", stacklevel=3)
    return [i for i, example in enumerate(examples) if example.label not in small], small


def _are_files(examples: Sequence[Example]) -> bool:
    return all(isinstance(example.sound.source, Path) for example in examples)


def _not_new(encoder: str, classes: Sequence[str]) -> list[str]:
    """Those of the classes that a checkpoint's card says it was trained on, under whatever name."""
    if encoder in PUBLISHED:
        return []
    known = {canonical(name) or name_key(name) for name in read_card(encoder).classes}
    return [name for name in classes if (canonical(name) or name_key(name)) in known]
