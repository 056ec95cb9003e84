"""Trains the encoder that the package ships, and writes it with its card.

    python -m tools.train_default_encoder --recordings FOLDER --output musicfsl/weights/musicfsl-small.safetensors

Episodes come by turns from the embedded set and from the recordings: any number of folders, one sub-folder a class.
They are augmented twice: each way of an episode is a virtual instrument, and every clip has copies with filters, rooms,
noise and gains. The last layer, the whitening, is fitted to the recordings. Nothing is chosen by a score: the network
is taken as it is after the last step. The same folders, seed and release of torch give the same network.

What the recipe is worth on classes that it has not heard is measured by `benchmarks.default_encoder`, whose results
(``--json``) go into the card with ``--results``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.real import train
from musicfsl import (
    AudioFolder,
    ClassConditionalDataset,
    ConvEncoder,
    FeatureStore,
    LogMel,
    Merged,
    MusicfslError,
    PrototypicalHead,
    SyntheticInstruments,
    save_encoder,
)
from musicfsl.augment import VirtualInstruments
from musicfsl.effects import RandomEffects
from musicfsl.embedding import fit_whitening
from musicfsl.errors import InputError
from tools.augmented_copies import AugmentedCopies

__all__ = ["Recipe", "open_recordings", "open_synthetic", "write"]

_SECONDS = 1.0  # what the network sees of a clip at a time
_LARGEST = 2_000_000  # bytes that the file may have


@dataclass(frozen=True)
class Recipe:
    """How the encoder is trained.

    Attributes:
        n_steps: training steps, each an episode of 20 ways, 3 shots and 3 queries.
        learning_rate: the highest of a one-cycle schedule.
        copies_of_recordings: augmented copies of each recording.
        copies_of_synthetic: augmented copies of each note of the embedded set.
        whitened_copies: copies that the whitening is fitted to besides the recordings, as a share of their number. One
            in ten, spread over all, teaches it what noise and rooms change; many would cost accuracy on clean sound.
        seed: of first weights and episodes. Copies have one of their own, so that their features are computed once.
    """

    n_steps: int = 300
    learning_rate: float = 1e-3
    copies_of_recordings: int = 3
    copies_of_synthetic: int = 1
    whitened_copies: float = 0.1
    seed: int = 0

    def effects(self) -> RandomEffects:
        """What happens to copies: one to three of filters, a room, noise and another gain."""
        return RandomEffects(
            ["eq", "room", "noise", "gain"], n_effects=(1, 3), snr_db=(10.0, 40.0), gain_db=(-24.0, 6.0)
        )

    def front_end(self) -> LogMel:
        """The front end of the encoder."""
        return ConvEncoder().front_end

    def head(self) -> PrototypicalHead:
        """The head that the encoder is trained with."""
        return PrototypicalHead("cosine")

    def features(self, waves: ClassConditionalDataset, progress: bool = True) -> FeatureStore:
        """The features of all clips and their copies, computed once."""
        front_end = self.front_end()
        n_copies = self.copies_of_synthetic if waves.is_synthetic else self.copies_of_recordings
        return FeatureStore.build(
            AugmentedCopies(waves, self.effects(), n_copies),
            front_end,
            n_frames=front_end.n_frames(round(_SECONDS * front_end.sample_rate)),
            progress=progress,
        )

    def train(self, *sources: ClassConditionalDataset) -> ConvEncoder:
        """Trains on `features` of one or more sources by turns; the whitening is fitted to the last of them."""
        encoder = train(sources, self.n_steps, self.seed, self.head(), self.learning_rate)
        fit_whitening(encoder, self._whitening_part(sources[-1]), _SECONDS)
        return encoder

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {**asdict(self), "effects": self.effects().settings(), "class_augment": vars(VirtualInstruments())}

    def _whitening_part(self, source: ClassConditionalDataset) -> ClassConditionalDataset:
        """The clips of a source, and some of its copies."""
        assert source.is_copy is not None
        originals, copies = np.flatnonzero(~source.is_copy), np.flatnonzero(source.is_copy)
        n = min(round(self.whitened_copies * len(originals)), len(copies))
        return source.subset(indices=[*originals, *copies[np.arange(n) * len(copies) // max(n, 1)]])


def open_recordings(folders: Sequence[str]) -> ClassConditionalDataset:
    """The classes of all folders.

    Raises:
        DatasetError: a folder cannot be read, or two have a class of the same name.
        InputError: there is no folder.
    """
    if not folders:
        raise InputError("there is no folder of recordings; name one or more")
    opened = [AudioFolder(folder, duration=None) for folder in folders]
    return opened[0] if len(opened) == 1 else Merged(opened, "recordings")


def open_synthetic() -> SyntheticInstruments:
    """The embedded set."""
    return SyntheticInstruments(duration=None)


def write(
    path: Path,
    recipe: Recipe,
    recordings: ClassConditionalDataset,
    synthetic: ClassConditionalDataset,
    metrics: dict[str, float] | None = None,
    progress: bool = True,
) -> int:
    """Trains on all classes, and writes the encoder; gives the size of the file in bytes.

    Raises:
        InputError: the file would be too large to ship.
        CheckpointError: it cannot be written.
    """
    encoder = recipe.train(recipe.features(synthetic, progress), recipe.features(recordings, progress))
    save_encoder(
        encoder,
        path,
        head=recipe.head(),
        classes=[*recordings.classes, *(name for name in synthetic.classes if name not in recordings.classes)],
        data={"sources": [synthetic.describe(), recordings.describe()], "recipe": recipe.describe()},
        metrics=metrics,
        dtype=torch.float16,
    )
    size = path.stat().st_size
    if size > _LARGEST:
        path.unlink()
        raise InputError(f"{path} would have {size} bytes; at most {_LARGEST} are shipped")
    return size


def metrics_of(results: Path) -> dict[str, float]:
    """The figures that `benchmarks.default_encoder` found, by name."""
    rows = json.loads(results.read_text(encoding="utf-8"))["summary"]
    found = {}
    for row in rows:
        name = f"{row['data']}, {row['n_support']}-shot, {row['line']}"
        found |= {f"{name}: accuracy": row["mean"], f"{name}: 95 % interval over seeds, +-": row["over_seeds"]}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.train_default_encoder", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--recordings", nargs="+", required=True, metavar="FOLDER", help="one sub-folder a class")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a .safetensors to write")
    parser.add_argument("--steps", type=int, default=Recipe.n_steps, help="of the training (default %(default)s)")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="(default %(default)s)")
    parser.add_argument("--results", type=Path, metavar="FILE", help="of python -m benchmarks.default_encoder --json")
    options = parser.parse_args(arguments)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(1)  # another number adds up in another order, and trains another network
    try:
        metrics = None if options.results is None else metrics_of(options.results)
        recipe = Recipe(n_steps=options.steps, seed=options.seed)
        size = write(options.output, recipe, open_recordings(options.recordings), open_synthetic(), metrics)
    except (MusicfslError, OSError) as error:
        print(f"tools.train_default_encoder: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}: {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
