"""Heads: the methods that turn a few labelled embeddings into a classifier."""

from typing import Any

from musicfsl.errors import InputError, did_you_mean
from musicfsl.heads.base import Head, HeadState
from musicfsl.heads.binary_prototypes import BinaryPrototypeHead
from musicfsl.heads.hierarchical import HierarchicalPrototypicalHead
from musicfsl.heads.label_combinations import LabelCombinationHead
from musicfsl.heads.multilabel import MultiLabelHead
from musicfsl.heads.prototypical import PrototypicalHead

__all__ = [
    "HEADS",
    "BinaryPrototypeHead",
    "Head",
    "HeadState",
    "HierarchicalPrototypicalHead",
    "LabelCombinationHead",
    "MultiLabelHead",
    "PrototypicalHead",
    "build_head",
]

#: Name -> class. A new head is one file and one line here.
HEADS: dict[str, type[Head]] = {
    head.name: head
    for head in (PrototypicalHead, HierarchicalPrototypicalHead, LabelCombinationHead, BinaryPrototypeHead)
}


def build_head(name: str, settings: dict[str, Any]) -> Head:
    """Builds a head from what its ``name`` and ``settings()`` were.

    Raises:
        InputError: the name is unknown.

    Example:
        >>> build_head("prototypical", {"distance": "cosine"}).distance
        'cosine'
    """
    if name not in HEADS:
        raise InputError(f"there is no head '{name}'.{did_you_mean(name, HEADS)} Known: {', '.join(HEADS)}")
    return HEADS[name](**settings)
