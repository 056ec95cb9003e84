"""Zero-shot learning: recognising classes that have no recordings, from what else is known of them.

Side information gives every class a vector; a model projects sounds and these vectors into one space, where a sound
lies near its class. What is named here is imported where it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musicfsl.zeroshot.attributes import Attributes
    from musicfsl.zeroshot.clap import ClapTexts
    from musicfsl.zeroshot.closed_form import ESZSL
    from musicfsl.zeroshot.curve import SeenUnseenCurve
    from musicfsl.zeroshot.drawings import DrawingVectors
    from musicfsl.zeroshot.evaluation import evaluate_splits, evaluate_zeroshot
    from musicfsl.zeroshot.hubs import hubness, k_occurrences
    from musicfsl.zeroshot.images import ImageVectors
    from musicfsl.zeroshot.losses import softmax_loss, triplet_loss
    from musicfsl.zeroshot.open import open_side_information
    from musicfsl.zeroshot.projection import ZeroShotModel
    from musicfsl.zeroshot.reports import Measure, SplitsReport, ZeroShotReport, chance_levels
    from musicfsl.zeroshot.side_information import SideInformation, UnknownNameError
    from musicfsl.zeroshot.splits import ClassSplit, named_split, split_seen_unseen
    from musicfsl.zeroshot.texts import TextVectors
    from musicfsl.zeroshot.words import WordVectors

_MODULE_OF = {
    "ESZSL": "closed_form",
    "Attributes": "attributes",
    "ClapTexts": "clap",
    "ClassSplit": "splits",
    "DrawingVectors": "drawings",
    "ImageVectors": "images",
    "Measure": "reports",
    "SeenUnseenCurve": "curve",
    "SideInformation": "side_information",
    "SplitsReport": "reports",
    "TextVectors": "texts",
    "UnknownNameError": "side_information",
    "WordVectors": "words",
    "ZeroShotModel": "projection",
    "ZeroShotReport": "reports",
    "chance_levels": "reports",
    "evaluate_splits": "evaluation",
    "evaluate_zeroshot": "evaluation",
    "hubness": "hubs",
    "k_occurrences": "hubs",
    "named_split": "splits",
    "open_side_information": "open",
    "softmax_loss": "losses",
    "split_seen_unseen": "splits",
    "triplet_loss": "losses",
}

__all__ = [
    "ESZSL",
    "Attributes",
    "ClapTexts",
    "ClassSplit",
    "DrawingVectors",
    "ImageVectors",
    "Measure",
    "SeenUnseenCurve",
    "SideInformation",
    "SplitsReport",
    "TextVectors",
    "UnknownNameError",
    "WordVectors",
    "ZeroShotModel",
    "ZeroShotReport",
    "chance_levels",
    "evaluate_splits",
    "evaluate_zeroshot",
    "hubness",
    "k_occurrences",
    "named_split",
    "open_side_information",
    "softmax_loss",
    "split_seen_unseen",
    "triplet_loss",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
