"""Data sets, all under the contract of `musicfsl.datasets.base`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musicfsl.datasets.base import ClassConditionalDataset, Subset, split_classes
    from musicfsl.datasets.folder import AudioFolder
    from musicfsl.datasets.irmas import IRMAS
    from musicfsl.datasets.katunog import Katunog
    from musicfsl.datasets.labelled_excerpts import LabelledExcerpts
    from musicfsl.datasets.medley_solos import MedleySolosDB
    from musicfsl.datasets.medleydb import MedleyDB
    from musicfsl.datasets.merged import Merged
    from musicfsl.datasets.mixtures import Mixtures, split_players
    from musicfsl.datasets.registry import (
        DatasetInfo,
        VerificationReport,
        dataset_info,
        dataset_names,
        open_dataset,
        prepare_dataset,
        verify_dataset,
    )
    from musicfsl.datasets.speech_commands import SpeechCommands
    from musicfsl.datasets.synthetic import SyntheticInstruments
    from musicfsl.datasets.synthetic_mixtures import SyntheticMixtures
    from musicfsl.datasets.synthetic_words import SyntheticWords
    from musicfsl.datasets.tinysol import TinySOL
    from musicfsl.datasets.windowed import Recording, WindowedRecordings

__all__ = [
    "IRMAS",
    "AudioFolder",
    "ClassConditionalDataset",
    "DatasetInfo",
    "Katunog",
    "LabelledExcerpts",
    "MedleyDB",
    "MedleySolosDB",
    "Merged",
    "Mixtures",
    "Recording",
    "SpeechCommands",
    "Subset",
    "SyntheticInstruments",
    "SyntheticMixtures",
    "SyntheticWords",
    "TinySOL",
    "VerificationReport",
    "WindowedRecordings",
    "dataset_info",
    "dataset_names",
    "open_dataset",
    "prepare_dataset",
    "split_classes",
    "split_players",
    "verify_dataset",
]

_MODULE_OF = {
    "IRMAS": "irmas",
    "AudioFolder": "folder",
    "ClassConditionalDataset": "base",
    "DatasetInfo": "registry",
    "Katunog": "katunog",
    "LabelledExcerpts": "labelled_excerpts",
    "MedleyDB": "medleydb",
    "MedleySolosDB": "medley_solos",
    "Merged": "merged",
    "Mixtures": "mixtures",
    "Recording": "windowed",
    "SpeechCommands": "speech_commands",
    "Subset": "base",
    "SyntheticInstruments": "synthetic",
    "SyntheticMixtures": "synthetic_mixtures",
    "SyntheticWords": "synthetic_words",
    "TinySOL": "tinysol",
    "VerificationReport": "registry",
    "WindowedRecordings": "windowed",
    "dataset_info": "registry",
    "dataset_names": "registry",
    "open_dataset": "registry",
    "prepare_dataset": "registry",
    "split_classes": "base",
    "split_players": "mixtures",
    "verify_dataset": "registry",
}


def __getattr__(name: str) -> Any:
    """Imports a public name where it is first used, so that importing the package costs nothing."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
