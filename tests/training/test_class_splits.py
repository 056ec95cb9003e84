from __future__ import annotations

import numpy as np
import pytest

from musicfsl.datasets.base import Subset
from musicfsl.embedding import embed_dataset
from musicfsl.errors import EpisodeError, InputError
from musicfsl.taxonomy import Taxonomy
from musicfsl.training._class_splits import enough_clips, split_by_seed

FAMILIES = Taxonomy({"a": [f"tones-{c}" for c in range(6)], "b": [f"tones-{c}" for c in range(6, 12)]})


def test_without_a_depth_all_classes_are_split_together() -> None:
    parts = split_by_seed("tones", FAMILIES.classes, (0.5, 0.25, 0.25), 3)
    assert [len(classes) for classes in parts.values()] == [6, 3, 3]
    assert sorted(c for classes in parts.values() for c in classes) == sorted(FAMILIES.classes)
    assert parts == split_by_seed("tones", FAMILIES.classes, (0.5, 0.25, 0.25), 3)


def test_with_a_depth_each_family_is_split_by_itself() -> None:
    for seed in range(10):
        parts = split_by_seed("tones", FAMILIES.classes, (0.5, 0.25, 0.25), seed, FAMILIES, depth=1)
        for classes in parts.values():
            assert {*FAMILIES.level(1, classes)} == {"a", "b"}
        assert len(parts["train"]) == 6
        assert min(len(classes) for classes in parts.values()) >= 2


def test_a_depth_needs_a_taxonomy() -> None:
    with pytest.raises(InputError, match="split_depth is 1, but there is no taxonomy"):
        split_by_seed("tones", FAMILIES.classes, (0.5, 0.5), 0, None, depth=1)


def test_classes_with_enough_clips(make_tones) -> None:
    tones = make_tones(n_classes=3, n_clips=12, n_groups=3)  # three recordings of four clips a class
    indices = np.flatnonzero((tones.targets != 1) | (tones.groups == tones.groups[tones.targets == 1][0]))
    clips = Subset(tones, indices=indices)  # of class 1 one recording only
    assert enough_clips(clips, 2, 2, split_groups=True) == (["tones-0", "tones-2"], ["tones-1"])
    assert enough_clips(clips, 2, 2, split_groups=False) == (["tones-0", "tones-1", "tones-2"], [])
    assert enough_clips(clips, 4, 9, split_groups=False) == ([], ["tones-0", "tones-1", "tones-2"])


class TestData:
    def test_is_split_by_families_without_small_classes(self, make_learner, make_data, make_tones) -> None:
        tones = make_tones(n_classes=12, n_clips=10, n_groups=2)
        few = Subset(tones, indices=np.flatnonzero((tones.targets != 4) | (np.arange(len(tones)) % 10 < 3)))
        settings = {"sizes": (0.4, 0.3, 0.3), "taxonomy": FAMILIES, "split_depth": 1, "leave_out_small": True}
        data = make_data(few, **settings)
        with pytest.warns(UserWarning, match=r"tones: left out, .*, were 1 of 12 classes: tones-4"):
            data.setup_for(make_learner().encoder)
        parts = [data.part(stage).classes for stage in ("train", "val", "test")]
        for classes in parts:
            assert {*FAMILIES.level(1, classes)} == {"a", "b"}
        assert sorted(c for classes in parts for c in classes) == sorted({*FAMILIES.classes} - {"tones-4"})
        assert data.left_out == data.describe()["left_out_classes"] == ["tones-4"]
        with pytest.raises(EpisodeError, match="tones-4"):  # where it is not left out, it is refused by name
            make_data(few, **{**settings, "leave_out_small": False}).setup_for(make_learner().encoder)

    def test_reports_say_how_bad_mistakes_are(self, make_learner, make_data, make_tones) -> None:
        encoder = make_learner().encoder
        data = make_data(make_tones(n_classes=12), taxonomy=FAMILIES, sizes=(6, 3, 3))
        data.setup_for(encoder)
        test = data.part("test")
        report = data.evaluate("test", embed_dataset(encoder, test, 0.2), make_learner().head)
        assert report.hierarchy is not None
        assert report.hierarchy.accuracy[0].mean == pytest.approx(report.mean)

    def test_what_decides_the_split_is_among_the_settings(self, make_data) -> None:
        def settings(**changes) -> dict:
            return make_data(**changes).settings()

        plain = settings()
        assert settings(taxonomy=FAMILIES) == plain  # it decides nothing but the report
        by_families = settings(taxonomy=FAMILIES, split_depth=1)
        assert by_families != plain
        assert settings(taxonomy=FAMILIES.shuffled(0), split_depth=1) != by_families
        assert settings(leave_out_small=True) != plain

    def test_a_class_that_the_taxonomy_lacks_is_told_before_training(self, make_learner, make_data) -> None:
        with pytest.raises(InputError, match="is not in the taxonomy"):
            make_data(taxonomy={"a": ["tones-0", "tones-1"]}).setup_for(make_learner().encoder)
