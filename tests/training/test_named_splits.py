"""Training by a split that comes with the data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from musicfsl.class_splits import class_split
from musicfsl.datasets.base import ClassConditionalDataset
from musicfsl.datasets.speech_commands import N_RECORDINGS
from musicfsl.embedding import embed_dataset
from musicfsl.errors import InputError
from musicfsl.features import FeatureStore

SUBSETS = ("training", "validation", "testing")


@pytest.fixture
def words(make_tones) -> ClassConditionalDataset:
    """Tones that go by the names of Speech Commands' words, 12 of each, in the three official subsets by turns."""
    tones = make_tones(n_classes=35, n_clips=12, n_groups=6, seconds=0.3, name="speech_commands")
    tones.classes = sorted(N_RECORDINGS)
    tones.groups = np.tile(np.arange(12) % 6, 35)  # speakers say all words
    tones.part = [SUBSETS[group % 3] for group in tones.groups]
    return tones


SMALL = {"n_way": 5, "n_support": 1, "n_query": 1, "eval_n_support": 1, "eval_n_query": 1, "eval_episodes": 20}


@pytest.mark.parametrize("name", ["few-shot", "overlapping"])
def test_classes_and_clips_of_each_part(words, name: str, make_data, make_learner) -> None:
    data = make_data(words, partition=name, sizes=(0.6, 0.2, 0.2), **SMALL)
    data.setup_for(make_learner().encoder)
    split = class_split("speech_commands", name)
    for stage, subset in zip(("train", "val", "test"), SUBSETS, strict=True):
        part = data.part(stage)
        assert part.classes == list(split.parts[stage])
        speakers = {g for g in range(6) if SUBSETS[g % 3] == subset}
        assert {*part.groups.tolist()} == speakers
        assert len(part) == 4 * len(part.classes)  # all clips of these speakers
    assert data.describe()["split"] == name


def test_reports_say_what_was_trained_on(words, make_data, make_learner) -> None:
    learner = make_learner()
    for name, known in (("few-shot", []), ("overlapping", sorted(N_RECORDINGS))):
        data = make_data(words, partition=name, **SMALL)
        data.setup_for(learner.encoder)
        report = data.evaluate("test", embed_dataset(learner.encoder, data.part("test"), 0.2), learner.head)
        assert report.trained_on == known
        assert json.loads(json.dumps(report.to_dict()))["trained_on"] == known
        assert ("NOT few-shot: all classes were trained on" in str(report)) == bool(known)


def test_what_divides_the_clips_is_among_the_settings(words, make_data) -> None:
    by_name = make_data(words, partition="few-shot").settings()
    parts = class_split("speech_commands", "few-shot").parts
    by_classes = make_data(words, **{f"{stage}_classes": list(labels) for stage, labels in parts.items()}).settings()
    assert by_name.pop("split") == "few-shot" and by_name == by_classes


def test_unknown_name(words, tmp_path: Path, make_data) -> None:
    with pytest.raises(
        InputError, match="'fewshot' is neither a file nor a split that comes with speech_commands. Did"
    ):
        make_data(words, partition="fewshot")
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(InputError, match="is no partition"):  # files are read as before
        make_data(words, partition=str(tmp_path / "mine.json"))
    with pytest.raises(InputError, match="leave the classes or the partition out"):
        make_data(words, partition="few-shot", train_classes=["no"], val_classes=["go"])


def test_a_data_set_without_splits(make_data) -> None:
    with pytest.raises(InputError, match=r"'few-shot' is neither a file nor .* comes with my_sounds/. It has none"):
        make_data("my_sounds/", partition="few-shot")


@pytest.mark.parametrize("lacking", ["a word", "a word in one subset", "a subset"])
def test_a_data_set_that_lacks_something(words, lacking: str, make_data, make_learner) -> None:
    word = np.array(words.classes)[words.targets] == "bed"
    if lacking == "a word":
        words.targets[word] = words.classes.index("cat")
    else:
        gone = np.array(words.part) == "validation"
        words.part = np.where(gone & word if "word" in lacking else gone, "training", words.part).tolist()
    named = "bed, bird, left, nine, up" if lacking == "a subset" else "bed"
    expected = (
        f"speech_commands has no clips of {named} in the official subset 'validation', which the split 'few-shot'"
    )
    with pytest.raises(InputError, match=expected):
        make_data(words, partition="few-shot", **SMALL).setup_for(make_learner().encoder)


def test_stored_features_do_not_tell_the_subsets(words, tmp_path: Path, make_data, make_learner) -> None:
    encoder = make_learner().encoder
    store = FeatureStore.build(words, encoder.front_end, cache_dir=tmp_path, progress=False)
    for source in (store, words.subset(indices=np.arange(200))):
        with pytest.raises(
            InputError, match="goes by the official subsets, which stored features and parts of the data"
        ):
            make_data(source, partition="few-shot", **SMALL).setup_for(encoder)
