"""What every data set promises, checked over all of them. A new data set is one row of `ROWS`."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader

from musicfsl.datasets import (
    IRMAS,
    AudioFolder,
    ClassConditionalDataset,
    Katunog,
    LabelledExcerpts,
    MedleyDB,
    MedleySolosDB,
    Mixtures,
    SpeechCommands,
    SyntheticInstruments,
    SyntheticMixtures,
    SyntheticWords,
    TinySOL,
    WindowedRecordings,
)
from musicfsl.effects import RandomEffects
from musicfsl.errors import DatasetError


@dataclass
class Places:
    """Where the rows find their data."""

    mixed: Path
    tinysol: Path
    medley: Path
    medleydb: Path
    katunog: Path
    irmas: Path
    speech: Path
    excerpts: Path
    long: Path
    cache: Path


@dataclass(frozen=True)
class Row:
    """A data set under test.

    `make` opens it, the same whenever it is called; `changed` opens it so that items or their groups differ.
    """

    make: Callable[[Places], ClassConditionalDataset]
    changed: Callable[[Places], ClassConditionalDataset]
    is_wave: bool = True


def synthetic(places: Places, **settings: Any) -> ClassConditionalDataset:
    small = {"n_players": 2, "notes_per_player": 1, "classes": ["Flute", "Violin", "Oboe"], "progress": False}
    return SyntheticInstruments(**{**small, "cache_dir": places.cache, **settings})


def mixtures(places: Places, **settings: Any) -> ClassConditionalDataset:
    notes = AudioFolder(places.mixed, duration=None)
    small = {"n_excerpts": 5, "n_instruments": (1, 2), "progress": False}
    return Mixtures(notes, **{**small, "cache_dir": places.cache, **settings})


def synthetic_mixtures(places: Places, **settings: Any) -> ClassConditionalDataset:
    small = {"vocabulary": ["Flute", "Violin"], "n_validation": 3, "n_testing": 3, "sample_rate": 8000}
    return SyntheticMixtures(**{"subset": "validation", **small, "cache_dir": places.cache, **settings}, progress=False)


def synthetic_words(places: Places, **settings: Any) -> ClassConditionalDataset:
    small = {"n_speakers": 2, "takes": 2, "classes": ["yes", "no"], "sample_rate": 8000, "progress": False}
    return SyntheticWords(**{**small, "cache_dir": places.cache, **settings})


# Stored features and embeddings obey the same contract: add them here with is_wave=False.
ROWS = {
    "folder": Row(
        make=lambda at: AudioFolder(at.mixed),
        changed=lambda at: AudioFolder(at.mixed, sample_rate=22050),
    ),
    "folder, whole recordings": Row(
        make=lambda at: AudioFolder(at.mixed, duration=None),
        changed=lambda at: AudioFolder(at.mixed, duration=None, sample_rate=8000),
    ),
    "folder, windows": Row(
        make=lambda at: AudioFolder(at.mixed, duration=0.5, long="windows"),
        changed=lambda at: AudioFolder(at.mixed, duration=0.5, long="windows", hop=0.4),
    ),
    "folder, players": Row(
        make=lambda at: AudioFolder(at.mixed, group_pattern=r"player(\d)"),
        changed=lambda at: AudioFolder(at.mixed, group_pattern=r"take (\d)"),
    ),
    "tinysol": Row(
        make=lambda at: TinySOL(at.tinysol, version="small"),
        changed=lambda at: TinySOL(at.tinysol, version="small", folds=[0, 1, 2, 3]),
    ),
    "medley_solos_db": Row(
        make=lambda at: MedleySolosDB(at.medley, version="small"),
        changed=lambda at: MedleySolosDB(at.medley, version="small", subset="test"),
    ),
    "synthetic": Row(
        make=lambda at: synthetic(at),
        changed=lambda at: synthetic(at, seed=1),
    ),
    "mixtures": Row(
        make=lambda at: mixtures(at, seconds=(1.0, 2.0), duration=0.8),
        changed=lambda at: mixtures(at, seconds=(1.0, 2.0), duration=0.8, levels_db=(-3.0, 0.0)),
    ),
    "synthetic mixtures": Row(
        make=lambda at: synthetic_mixtures(at),
        changed=lambda at: synthetic_mixtures(at, seed=1),
    ),
    "synthetic mixtures, testing": Row(
        make=lambda at: synthetic_mixtures(at, subset="testing", duration=3.0),
        changed=lambda at: synthetic_mixtures(at, subset="testing", duration=3.0, vocabulary=["Violin", "Flute"]),
    ),
    "synthetic words": Row(
        make=lambda at: synthetic_words(at),
        changed=lambda at: synthetic_words(at, seed=1),
    ),
    "windows": Row(
        make=lambda at: WindowedRecordings.from_folder(at.long, hop_length=0.5),
        changed=lambda at: WindowedRecordings.from_folder(at.long, hop_length=0.5, silence_db=None),
    ),
    "windows and copies": Row(
        make=lambda at: WindowedRecordings.from_folder(at.long, n_copies=2, seed=1),
        changed=lambda at: WindowedRecordings.from_folder(at.long, n_copies=2, seed=2),
    ),
    "windows, cut": Row(
        make=lambda at: WindowedRecordings.from_folder(at.long, duration=0.5, n_copies=1),
        changed=lambda at: WindowedRecordings.from_folder(
            at.long, duration=0.5, n_copies=1, effects=RandomEffects(["gain"], n_effects=(1, 1))
        ),
    ),
    "windows of songs": Row(
        make=lambda at: WindowedRecordings.from_dataset(MedleySolosDB(at.medley, version="small")),
        changed=lambda at: WindowedRecordings.from_dataset(
            MedleySolosDB(at.medley, version="small"), example_length=0.9
        ),
    ),
    "medleydb": Row(
        make=lambda at: MedleyDB(at.medleydb),
        changed=lambda at: MedleyDB(at.medleydb, group="artist"),
    ),
    "katunog": Row(
        make=lambda at: Katunog(at.katunog, example_length=0.8, n_copies=1),
        changed=lambda at: Katunog(at.katunog, example_length=0.8, n_copies=1, group="record"),
    ),
    "irmas": Row(
        make=lambda at: IRMAS(at.irmas, version="small"),
        changed=lambda at: IRMAS(at.irmas, version="small", split_seed=1),
    ),
    "irmas, testing": Row(
        make=lambda at: IRMAS(at.irmas, version="small", subset="testing", duration=1.0),
        changed=lambda at: IRMAS(at.irmas, version="small", subset="testing", sample_rate=32000),
    ),
    "speech commands": Row(
        make=lambda at: SpeechCommands(at.speech, subset="testing"),
        changed=lambda at: SpeechCommands(at.speech, subset="validation"),
    ),
    "speech commands and silence": Row(
        make=lambda at: SpeechCommands(at.speech, silence=True, duration=0.5),
        changed=lambda at: SpeechCommands(at.speech, silence=False, duration=0.5),
    ),
    "labelled excerpts": Row(
        make=lambda at: LabelledExcerpts(at.excerpts, empty_labels="negative"),
        changed=lambda at: LabelledExcerpts(at.excerpts, empty_labels="negative", group_pattern=r"(take|solo|drums)"),
    ),
    "labelled excerpts, cut": Row(
        make=lambda at: LabelledExcerpts(at.excerpts, empty_labels="negative", duration=0.5),
        changed=lambda at: LabelledExcerpts(at.excerpts, empty_labels="negative", vocabulary=["voi", "pia", "cel"]),
    ),
    "some of several labels": Row(
        make=lambda at: IRMAS(at.irmas, version="small", subset="testing").subset(classes=["Voice", "Piano"]),
        changed=lambda at: IRMAS(at.irmas, version="small", subset="testing").subset(classes=["Piano", "Voice"]),
    ),
    "subset of classes": Row(
        make=lambda at: AudioFolder(at.mixed).subset(classes=["tenor", "alto"]),
        changed=lambda at: AudioFolder(at.mixed).subset(classes=["alto", "tenor"]),
    ),
    "subset of items": Row(
        make=lambda at: AudioFolder(at.mixed, long="windows").subset(indices=np.arange(1, 15, 2)),
        changed=lambda at: AudioFolder(at.mixed, long="windows").subset(indices=np.arange(0, 15, 2)),
    ),
    "subset of a subset": Row(
        make=lambda at: AudioFolder(at.mixed).subset(classes=["tenor", "alto"]).subset(indices=[7, 0, 3]),
        changed=lambda at: AudioFolder(at.mixed).subset(classes=["tenor", "alto"]).subset(indices=[7, 0, 4]),
    ),
}


@pytest.fixture(scope="module")
def places(
    mixed_folder: Path,
    tinysol_root: Path,
    medley_root: Path,
    medleydb_root: Path,
    katunog_root: Path,
    irmas_root: Path,
    speech_root: Path,
    excerpts_folder: Path,
    long_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Places:
    return Places(
        mixed_folder,
        tinysol_root,
        medley_root,
        medleydb_root,
        katunog_root,
        irmas_root,
        speech_root,
        excerpts_folder,
        long_folder,
        cache=tmp_path_factory.mktemp("cache"),
    )


@pytest.fixture(scope="module")
def opened(places: Places) -> dict[str, ClassConditionalDataset]:
    """Every data set, opened once."""
    return {}


@pytest.fixture(params=list(ROWS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dataset(name: str, places: Places, opened: dict[str, ClassConditionalDataset]) -> ClassConditionalDataset:
    if name not in opened:
        opened[name] = ROWS[name].make(places)
    return opened[name]


def some(dataset: ClassConditionalDataset) -> list[int]:
    """A few indices, the first and last among them."""
    return sorted({0, len(dataset) // 3, len(dataset) // 2, len(dataset) - 1})


def test_attributes(dataset: ClassConditionalDataset) -> None:
    n_items = len(dataset)
    assert n_items > 0
    assert isinstance(dataset.name, str) and dataset.name
    assert isinstance(dataset.classes, list) and len(set(dataset.classes)) == len(dataset.classes)
    assert all(isinstance(name, str) for name in dataset.classes)
    assert dataset.is_multilabel == (dataset.targets.ndim == 2)
    if dataset.is_multilabel:
        assert dataset.targets.shape == (n_items, len(dataset.classes)) and dataset.targets.dtype == np.uint8
        assert set(np.unique(dataset.targets)) <= {0, 1}
    else:
        assert dataset.targets.shape == (n_items,) and dataset.targets.dtype == np.int64
        assert set(dataset.targets) <= set(range(len(dataset.classes)))
    assert dataset.lengths.shape == (n_items,) and dataset.lengths.dtype == np.int64
    assert (dataset.lengths > 0).all()
    if dataset.is_copy is not None:
        assert dataset.is_copy.shape == (n_items,) and dataset.is_copy.dtype == np.bool_
    if dataset.groups is not None:
        assert dataset.groups.shape == (n_items,) and dataset.groups.dtype == np.int64
        assert (dataset.groups >= 0).all()
    assert isinstance(dataset.sample_rate, int) and dataset.sample_rate > 0
    assert dataset.length is None or dataset.length > 0


def test_items(dataset: ClassConditionalDataset, name: str) -> None:
    for index in some(dataset):
        x, target = dataset[index]
        if dataset.is_multilabel:
            assert target.dtype == torch.uint8 and target.tolist() == dataset.targets[index].tolist()
        else:
            assert isinstance(target, int) and target == dataset.targets[index]
        assert x.dtype == torch.float32 and x.ndim == 2
        assert x.shape[-1] == (dataset.lengths[index] if dataset.length is None else dataset.length)
        assert x.isfinite().all() and x.any()
        if ROWS[name].is_wave:
            assert x.shape[0] == 1 and x.abs().max() <= 1


def test_items_do_not_depend_on_when_they_are_read(dataset: ClassConditionalDataset, name: str, places: Places) -> None:
    again = ROWS[name].make(places)
    indices = some(dataset)
    first = {index: dataset[index][0] for index in indices}
    for index in reversed(indices):
        assert torch.equal(again[index][0], first[index])


def test_negative_index_counts_from_the_end(dataset: ClassConditionalDataset) -> None:
    assert torch.equal(dataset[-1][0], dataset[len(dataset) - 1][0])


def test_index_out_of_range(dataset: ClassConditionalDataset) -> None:
    for index in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError, match=str(index)):
            dataset[index]


def test_iteration_ends(dataset: ClassConditionalDataset) -> None:
    assert [torch.as_tensor(target).tolist() for _, target in dataset] == dataset.targets.tolist()


def test_labels_are_names_of_the_targets(dataset: ClassConditionalDataset) -> None:
    for index in range(len(dataset)):
        numbers = [dataset.classes.index(name) for name in dataset.labels_of(index)]
        if dataset.is_multilabel:
            assert numbers == np.flatnonzero(dataset.targets[index]).tolist()
        else:
            assert numbers == [dataset.targets[index]]


def test_lengths_and_excerpts_are_those_of_the_whole_item(dataset: ClassConditionalDataset) -> None:
    for index in some(dataset):
        whole = dataset.read(index)
        n_steps = int(dataset.lengths[index])
        assert whole.shape[-1] == n_steps
        for start, length in [(0, n_steps // 2), (n_steps // 3, n_steps // 4), (n_steps - 5, 50)]:
            excerpt = dataset.read(index, start, length)
            torch.testing.assert_close(excerpt, whole[..., start : start + length], rtol=0, atol=2e-6)


def test_draw_is_a_pure_function_of_the_generator(dataset: ClassConditionalDataset) -> None:
    for index in some(dataset):
        draws = [dataset.draw(index, np.random.default_rng(seed)) for seed in (7, 7, *range(20))]
        assert torch.equal(draws[0], draws[1])
        can_differ = dataset.length is not None and dataset.lengths[index] > dataset.length
        assert any(not torch.equal(draws[0], other) for other in draws) == can_differ


def test_with_length(dataset: ClassConditionalDataset) -> None:
    before = dataset.length
    shorter = dataset.with_length(7, seed=3)
    assert all(shorter[index][0].shape[-1] == 7 for index in some(dataset))
    assert dataset.length == before and shorter.fingerprint() == dataset.fingerprint()
    whole = dataset.with_length(None)
    assert torch.equal(whole[0][0], dataset.read(0))


def test_class_to_indices(dataset: ClassConditionalDataset) -> None:
    assert list(dataset.class_to_indices) == dataset.classes
    for number, indices in enumerate(dataset.class_to_indices.values()):
        name = dataset.classes[number]
        assert indices.tolist() == [i for i in range(len(dataset)) if name in dataset.labels_of(i)]


def test_subset_numbers_targets_anew(dataset: ClassConditionalDataset) -> None:
    kept = [dataset.classes[-1], dataset.classes[0]]
    part = dataset.subset(classes=kept)
    expected = [i for i in range(len(dataset)) if set(kept) & set(dataset.labels_of(i))]
    assert part.classes == kept and len(part) == len(expected)
    for position, i in enumerate(expected):
        assert set(part.labels_of(position)) == set(kept) & set(dataset.labels_of(i))
    assert part.lengths.tolist() == dataset.lengths[expected].tolist()
    assert (part.groups is None) == (dataset.groups is None)
    if part.groups is not None and dataset.groups is not None:
        assert part.groups.tolist() == dataset.groups[expected].tolist()
    for position in some(part):
        assert torch.equal(part[position][0], dataset[expected[position]][0])
    with pytest.raises(DatasetError, match="no class 'nothing of the kind'"):
        dataset.subset(classes=["nothing of the kind"])


def test_originals_are_all_items_but_the_copies(dataset: ClassConditionalDataset) -> None:
    originals = dataset.originals()
    if dataset.is_copy is None:
        assert originals is dataset
        return
    kept = np.flatnonzero(~dataset.is_copy)
    assert 0 < len(originals) == len(kept) < len(dataset)
    assert originals.originals() is originals and originals.classes == dataset.classes
    assert originals.targets.tolist() == dataset.targets[kept].tolist()
    assert torch.equal(originals[-1][0], dataset[int(kept[-1])][0])


def test_fingerprint(dataset: ClassConditionalDataset, name: str, places: Places) -> None:
    assert dataset.fingerprint() == ROWS[name].make(places).fingerprint()
    assert dataset.fingerprint() != ROWS[name].changed(places).fingerprint()
    assert dataset.fingerprint() != dataset.subset(classes=dataset.classes[:1]).fingerprint()


def test_describe_fits_json(dataset: ClassConditionalDataset) -> None:
    described = json.loads(json.dumps(dataset.describe()))
    assert described["n_items"] == len(dataset) and described["classes"] == dataset.classes


def test_pickles(dataset: ClassConditionalDataset) -> None:
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.fingerprint() == dataset.fingerprint()
    assert torch.equal(copy[0][0], dataset[0][0])


def test_loader_workers_read_the_same_items(places: Places) -> None:
    """All data sets go through one spawned worker together, because starting one takes seconds."""
    datasets = [row.make(places).subset(indices=[0, 1]) for row in ROWS.values()]
    together = ConcatDataset(datasets)
    loader = DataLoader(
        together, batch_size=None, num_workers=1, multiprocessing_context="spawn", generator=torch.Generator()
    )
    for (from_worker, target), (expected, expected_target) in zip(loader, together, strict=True):
        assert torch.equal(from_worker, expected)
        assert torch.equal(torch.as_tensor(target), torch.as_tensor(expected_target))
