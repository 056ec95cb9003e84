"""Few-shot and zero-shot learning for music.

From a folder of sounds to a few-shot accuracy that can be trusted: data sets, episodes, encoders, heads,
training and evaluation, each a plain object with one job. What is named here is the public interface;
it is imported where it is first used, so that ``import musicfsl`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from musicfsl._version import __version__

if TYPE_CHECKING:
    from musicfsl.audio import load_audio
    from musicfsl.backbones import (
        AstEncoder,
        ClapEncoder,
        Cnn14,
        ConvEncoder,
        Encoder,
        MfccEncoder,
        MultiBandCNN,
        PannsMultiBand,
    )
    from musicfsl.checkpoints import load_encoder, load_head, read_card, save_encoder
    from musicfsl.classifier import FewShotClassifier
    from musicfsl.datasets import (
        IRMAS,
        AudioFolder,
        ClassConditionalDataset,
        Katunog,
        LabelledExcerpts,
        MedleyDB,
        MedleySolosDB,
        Merged,
        Mixtures,
        SpeechCommands,
        SyntheticInstruments,
        SyntheticMixtures,
        SyntheticWords,
        TinySOL,
        WindowedRecordings,
        open_dataset,
        split_classes,
    )
    from musicfsl.embedding import Standardizer, embed_dataset
    from musicfsl.episodes import Episode, EpisodeDataset, EpisodeSampler
    from musicfsl.errors import MusicfslError
    from musicfsl.estimators import HeadClassifier
    from musicfsl.evaluation import EpisodeReport, evaluate_episodes
    from musicfsl.features import FeatureStore
    from musicfsl.heads import (
        AnilHead,
        BdCspnHead,
        BinaryPrototypeHead,
        FeatHead,
        FineTuningHead,
        Head,
        HierarchicalPrototypicalHead,
        LabelCombinationHead,
        LaplacianShotHead,
        MultiLabelHead,
        PrototypicalHead,
        PtMapHead,
        RelationHead,
        TimHead,
        TransductiveFineTuningHead,
        TransductiveHead,
    )
    from musicfsl.kaldi import KaldiFilterBank
    from musicfsl.multiband import MultiBand
    from musicfsl.multilabel_episodes import MultiLabelEpisodeSampler
    from musicfsl.multilabel_evaluation import MultiLabelEpisodeReport, evaluate_multilabel_episodes
    from musicfsl.partition import Partition, partition_classes
    from musicfsl.spectrogram import LogMel
    from musicfsl.tagging import Tagger, load_tagger, save_tagger, tag_dataset, tag_recording
    from musicfsl.taxonomy import Taxonomy
    from musicfsl.training import EpisodicData, EpisodicLearner, MamlLearner, TaggingData, TaggingLearner

_MODULE_OF = {
    "AnilHead": "heads",
    "AstEncoder": "backbones",
    "AudioFolder": "datasets",
    "BdCspnHead": "heads",
    "BinaryPrototypeHead": "heads",
    "ClapEncoder": "backbones",
    "ClassConditionalDataset": "datasets",
    "Cnn14": "backbones",
    "ConvEncoder": "backbones",
    "Encoder": "backbones",
    "Episode": "episodes",
    "EpisodeDataset": "episodes",
    "EpisodeReport": "evaluation",
    "EpisodeSampler": "episodes",
    "EpisodicData": "training",
    "EpisodicLearner": "training",
    "FeatHead": "heads",
    "FeatureStore": "features",
    "FewShotClassifier": "classifier",
    "FineTuningHead": "heads",
    "Head": "heads",
    "HeadClassifier": "estimators",
    "HierarchicalPrototypicalHead": "heads",
    "IRMAS": "datasets",
    "KaldiFilterBank": "kaldi",
    "Katunog": "datasets",
    "LabelCombinationHead": "heads",
    "LabelledExcerpts": "datasets",
    "LaplacianShotHead": "heads",
    "LogMel": "spectrogram",
    "MamlLearner": "training",
    "MedleyDB": "datasets",
    "MedleySolosDB": "datasets",
    "Merged": "datasets",
    "Mixtures": "datasets",
    "MfccEncoder": "backbones",
    "MultiBand": "multiband",
    "MultiBandCNN": "backbones",
    "MultiLabelEpisodeReport": "multilabel_evaluation",
    "MultiLabelEpisodeSampler": "multilabel_episodes",
    "MultiLabelHead": "heads",
    "MusicfslError": "errors",
    "PannsMultiBand": "backbones",
    "Partition": "partition",
    "PrototypicalHead": "heads",
    "PtMapHead": "heads",
    "RelationHead": "heads",
    "SpeechCommands": "datasets",
    "Standardizer": "embedding",
    "SyntheticInstruments": "datasets",
    "SyntheticMixtures": "datasets",
    "SyntheticWords": "datasets",
    "Tagger": "tagging",
    "TaggingData": "training",
    "TaggingLearner": "training",
    "Taxonomy": "taxonomy",
    "TimHead": "heads",
    "TinySOL": "datasets",
    "TransductiveFineTuningHead": "heads",
    "TransductiveHead": "heads",
    "WindowedRecordings": "datasets",
    "embed_dataset": "embedding",
    "evaluate_episodes": "evaluation",
    "evaluate_multilabel_episodes": "multilabel_evaluation",
    "load_audio": "audio",
    "load_encoder": "checkpoints",
    "load_head": "checkpoints",
    "load_tagger": "tagging",
    "open_dataset": "datasets",
    "partition_classes": "partition",
    "read_card": "checkpoints",
    "save_encoder": "checkpoints",
    "save_tagger": "tagging",
    "split_classes": "datasets",
    "tag_dataset": "tagging",
    "tag_recording": "tagging",
}

__all__ = [
    "IRMAS",
    "AnilHead",
    "AstEncoder",
    "AudioFolder",
    "BdCspnHead",
    "BinaryPrototypeHead",
    "ClapEncoder",
    "ClassConditionalDataset",
    "Cnn14",
    "ConvEncoder",
    "Encoder",
    "Episode",
    "EpisodeDataset",
    "EpisodeReport",
    "EpisodeSampler",
    "EpisodicData",
    "EpisodicLearner",
    "FeatHead",
    "FeatureStore",
    "FewShotClassifier",
    "FineTuningHead",
    "Head",
    "HeadClassifier",
    "HierarchicalPrototypicalHead",
    "KaldiFilterBank",
    "Katunog",
    "LabelCombinationHead",
    "LabelledExcerpts",
    "LaplacianShotHead",
    "LogMel",
    "MamlLearner",
    "MedleyDB",
    "MedleySolosDB",
    "Merged",
    "MfccEncoder",
    "Mixtures",
    "MultiBand",
    "MultiBandCNN",
    "MultiLabelEpisodeReport",
    "MultiLabelEpisodeSampler",
    "MultiLabelHead",
    "MusicfslError",
    "PannsMultiBand",
    "Partition",
    "PrototypicalHead",
    "PtMapHead",
    "RelationHead",
    "SpeechCommands",
    "Standardizer",
    "SyntheticInstruments",
    "SyntheticMixtures",
    "SyntheticWords",
    "Tagger",
    "TaggingData",
    "TaggingLearner",
    "Taxonomy",
    "TimHead",
    "TinySOL",
    "TransductiveFineTuningHead",
    "TransductiveHead",
    "WindowedRecordings",
    "__version__",
    "embed_dataset",
    "evaluate_episodes",
    "evaluate_multilabel_episodes",
    "load_audio",
    "load_encoder",
    "load_head",
    "load_tagger",
    "open_dataset",
    "partition_classes",
    "read_card",
    "save_encoder",
    "save_tagger",
    "split_classes",
    "tag_dataset",
    "tag_recording",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
