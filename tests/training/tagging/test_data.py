from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.training.tagging import TagBatches, TaggingData
from musicfsl.training.tagging.batches import multi_hot


def test_an_epoch_holds_every_excerpt_once(make_chords) -> None:
    clips = make_chords(n=17)
    batches = TagBatches(clips, batch_size=5, seed=3)
    assert batches.batches_per_epoch == 4
    epochs = []
    for epoch in range(2):
        steps = [batches[epoch * 4 + place] for place in range(4)]
        assert sorted(len(step.x) for step in steps) == [4, 4, 4, 5]
        assert [step.number for step in steps] == [epoch * 4 + place for place in range(4)]
        epochs.append(torch.cat([step.x for step in steps]))
        for step in steps:
            for x, y in zip(step.x, step.targets, strict=True):
                (index,) = [i for i in range(17) if torch.equal(clips.read(i), x)]
                assert y.tolist() == clips.targets[index].tolist()
    levels = [sorted(epoch.abs().sum(dim=(1, 2)).tolist()) for epoch in epochs]
    assert levels[0] == levels[1] and len(set(levels[0])) == 17  # the same excerpts,
    assert not torch.equal(*epochs)  # in another order
    assert torch.equal(TagBatches(clips, 5, seed=3)[6].x, batches[6].x)
    assert not torch.equal(TagBatches(clips, 5, seed=4)[6].x, batches[6].x)


def test_single_labels_become_one_hot(tones) -> None:
    targets = multi_hot(tones)
    assert targets.dtype == np.uint8 and (targets.sum(axis=1) == 1).all()
    assert (targets.argmax(axis=1) == tones.targets).all()


def test_validation_excerpts_are_of_other_songs(make_chords, make_data, make_encoder) -> None:
    clips = make_chords(n=90)
    data = make_data(clips, validation_share=0.3)
    data.setup_for(make_encoder())
    train, val = data.part("train"), data.part("val")
    assert not set(train.groups) & set(val.groups)
    assert len(train) + len(val) == 90 and data.parts == ["train", "val"]
    # Every class gives up about its share: 30 excerpts of 10 songs each.
    assert val.targets.sum(axis=0).tolist() == pytest.approx([9, 9, 9], abs=3)
    other = make_data(clips, validation_share=0.3, seed=1)
    other.setup_for(make_encoder())
    assert set(other.part("val").groups) != set(val.groups)


def test_named_data_sets_come_in_their_subsets(monkeypatch, tmp_path, make_chords, make_encoder) -> None:
    from musicfsl import datasets

    asked = []
    sizes = {"training": 12, "validation": 9, "testing": 9}

    def opened(name: str, **settings: object):
        asked.append((name, settings.pop("subset")))
        assert settings == {"sample_rate": 8000, "duration": None, "n_testing": 9}
        return make_chords(sizes[asked[-1][1]], seconds=0.5 if asked[-1][1] == "training" else 1.2)

    monkeypatch.setattr(datasets, "open_dataset", opened)
    data = TaggingData("synthetic_mixtures", duration=0.4, dataset_settings={"n_testing": 9}, cache_dir=str(tmp_path))
    data.setup_for(make_encoder())
    assert asked == [("synthetic_mixtures", part) for part in ("training", "validation", "testing")]
    assert [len(data.part(stage)) for stage in data.parts] == [12, 9, 9]
    assert data.part("train").length == 13 and data.part("test").length is None  # frames of 0.4 s; whole excerpts
    assert sum(len(batch.x) for batch in data.test_dataloader()) == 9 * 6  # 38 frames, 13 a window, 6 a step


def test_what_does_not_fit_is_told(make_chords, make_data, make_encoder, tones) -> None:
    fewer = make_chords().subset(classes=["low", "middle"])
    with pytest.raises(
        InputError, match="'test' have the classes low, middle, but those for training low, middle, high"
    ):
        make_data(testing=fewer).setup_for(make_encoder())
    one_song = make_chords(n=3)
    with pytest.raises(InputError, match="cannot be divided by song"):
        make_data(one_song).setup_for(make_encoder())
    with pytest.raises(InputError, match="sample rate of 16000 Hz"):
        make_data(tones).setup_for(make_encoder())
    with pytest.raises(InputError, match="call setup_for"):
        make_data().part("train")
    with pytest.raises(InputError, match="there are no excerpts for 'test'; give a data set for it"):
        data = make_data()
        data.setup_for(make_encoder())
        data.part("test")


def test_a_class_without_an_excerpt_is_named(make_chords, make_data, make_encoder) -> None:
    without = make_chords(n=18, seed=1)
    without.targets[:, 2] = 0  # excerpts without any label are data, too
    with pytest.warns(UserWarning, match="for 'test' has the class 'high'; the test says nothing of it"):
        make_data(testing=without).setup_for(make_encoder())
    with pytest.warns(UserWarning, match="for 'train' has the class 'high'; it will never be recognised"):
        make_data(without, validation=make_chords(seed=2)).setup_for(make_encoder())
    with pytest.warns(UserWarning, match="for 'val' has the class 'high'; its threshold cannot be tuned"):
        make_data(validation=without).setup_for(make_encoder())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"duration": 0}, "duration is 0"),
        ({"hop": 0.5}, "hop 0.5"),
        ({"validation_share": 1.0}, "validation_share is 1"),
    ],
)
def test_numbers_out_of_range(make_data, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_data(**arguments)
