"""Heads: the methods that turn a few labelled embeddings into a classifier."""

from typing import Any

from musicfsl.errors import InputError, did_you_mean
from musicfsl.heads.anil import AnilHead
from musicfsl.heads.base import Head, HeadState, State
from musicfsl.heads.bd_cspn import BdCspnHead
from musicfsl.heads.binary_prototypes import BinaryPrototypeHead
from musicfsl.heads.cache_adapter import CacheAdapterHead
from musicfsl.heads.feat import FeatHead
from musicfsl.heads.fine_tuning import FineTuningHead
from musicfsl.heads.hierarchical import HierarchicalPrototypicalHead
from musicfsl.heads.label_combinations import LabelCombinationHead
from musicfsl.heads.laplacian_shot import LaplacianShotHead
from musicfsl.heads.lda import LdaHead
from musicfsl.heads.logistic import LogisticHead
from musicfsl.heads.matching import MatchingHead
from musicfsl.heads.multilabel import MultiLabelHead
from musicfsl.heads.nearest_neighbour import NearestNeighbourHead
from musicfsl.heads.prototypical import PrototypicalHead
from musicfsl.heads.pt_map import PtMapHead
from musicfsl.heads.relation import RelationHead
from musicfsl.heads.ridge import RidgeHead
from musicfsl.heads.simpleshot import SimpleShotHead
from musicfsl.heads.tim import TimHead
from musicfsl.heads.transductive import TransductiveHead
from musicfsl.heads.transductive_fine_tuning import TransductiveFineTuningHead

__all__ = [
    "HEADS",
    "AnilHead",
    "BdCspnHead",
    "BinaryPrototypeHead",
    "CacheAdapterHead",
    "FeatHead",
    "FineTuningHead",
    "Head",
    "HeadState",
    "HierarchicalPrototypicalHead",
    "LabelCombinationHead",
    "LaplacianShotHead",
    "LdaHead",
    "LogisticHead",
    "MatchingHead",
    "MultiLabelHead",
    "NearestNeighbourHead",
    "PrototypicalHead",
    "PtMapHead",
    "RelationHead",
    "RidgeHead",
    "SimpleShotHead",
    "State",
    "TimHead",
    "TransductiveFineTuningHead",
    "TransductiveHead",
    "build_head",
]

#: Name -> class. A new head is one file and one line here.
HEADS: dict[str, type[Head]] = {
    head.name: head
    for head in (
        PrototypicalHead,
        SimpleShotHead,
        NearestNeighbourHead,
        RidgeHead,
        LogisticHead,
        LdaHead,
        MatchingHead,
        CacheAdapterHead,
        RelationHead,
        FeatHead,
        AnilHead,
        FineTuningHead,
        BdCspnHead,
        LaplacianShotHead,
        TimHead,
        PtMapHead,
        TransductiveFineTuningHead,
        HierarchicalPrototypicalHead,
        LabelCombinationHead,
        BinaryPrototypeHead,
    )
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
