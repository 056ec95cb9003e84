from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from musicfsl.errors import InputError
from musicfsl.zeroshot.evaluation import evaluate_classes, evaluate_splits, evaluate_zeroshot
from musicfsl.zeroshot.intervals import balanced_weights, bootstrap_weights, mean_ci95_of_few
from musicfsl.zeroshot.reports import MEASURES, chance_levels
from musicfsl.zeroshot.splits import ClassSplit, split_seen_unseen

NAMES = ["oboe", "harp", "flute", "organ", "banjo"]
UNSEEN = ["harp", "banjo"]


@pytest.fixture
def case():
    """Five classes of 4 to 40 clips, one of them recognised much better than the others."""
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(5), [40, 4, 10, 30, 12])
    scores = rng.normal(size=(len(targets), 5)) + np.array([3.0, 1, 1, 1, 1])[targets][:, None] * np.eye(5)[targets]
    return scores, targets


def test_every_measure_is_a_loop_over_classes(case) -> None:
    scores, targets = case
    report = evaluate_zeroshot(scores, targets, NAMES, UNSEEN, calibration=0.8, n_bootstrap=2)

    def accuracy(classes: list[int], among: list[int], calibration: float = 0.0) -> float:
        recalls = []
        for c in classes:
            right = 0
            for i in np.flatnonzero(targets == c):
                raised = {k: scores[i, k] + (calibration if NAMES[k] in UNSEEN else 0) for k in among}
                right += max(raised, key=lambda k: raised[k]) == c
            recalls.append(right / int((targets == c).sum()))
        return sum(recalls) / len(recalls)

    seen, unseen, both = [0, 2, 3], [1, 4], [0, 1, 2, 3, 4]
    assert report.seen.value == pytest.approx(accuracy(seen, seen))
    assert report.zero_shot.value == pytest.approx(accuracy(unseen, unseen))
    a, b = accuracy(seen, both), accuracy(unseen, both)
    assert (report.generalised_seen.value, report.generalised_unseen.value) == pytest.approx((a, b))
    assert report.harmonic.value == pytest.approx(2 * a * b / (a + b))
    a, b = accuracy(seen, both, 0.8), accuracy(unseen, both, 0.8)
    assert (report.calibrated_seen.value, report.calibrated_unseen.value) == pytest.approx((a, b))
    assert report.calibrated_harmonic.value == pytest.approx(2 * a * b / (a + b))
    assert report.area.value == report.curve.area
    assert list(report.measures) == list(MEASURES)


def test_confusion_and_classes_stand_seen_first(case) -> None:
    scores, targets = case
    report = evaluate_zeroshot(scores, targets, NAMES, UNSEEN, n_bootstrap=2)
    assert report.seen_classes == ["oboe", "flute", "organ"]
    assert report.unseen_classes == UNSEEN
    assert report.n_clips == (80, 16)
    order = [0, 2, 3, 1, 4]
    predicted = scores.argmax(axis=1)
    for i, true in enumerate(order):
        for j, answer in enumerate(order):
            assert report.confusion[i, j] == ((targets == true) & (predicted == answer)).sum()
    assert report.unseen_confusion.sum(axis=1).tolist() == [4, 12]
    assert np.mean(list(report.per_class.values())) == pytest.approx(report.zero_shot.value)
    assert np.mean(report.confusion.diagonal()[3:] / [4, 12]) == pytest.approx(report.generalised_unseen.value)


def test_guessing_gives_chance() -> None:
    """Scores that know nothing, many clips: every measure comes to its chance level, or below the best guesser's."""
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(10), 3000)
    names, unseen = list("abcdefghij"), list("ghij")
    report = evaluate_zeroshot(rng.normal(size=(30000, 10)), targets, names, unseen, n_bootstrap=2)
    for name in ("seen", "zero_shot", "generalised_seen", "generalised_unseen", "area"):
        measure = report.measures[name]
        assert measure.value == pytest.approx(measure.chance, abs=0.01), name
    assert report.curve.harmonic.max() == pytest.approx(report.harmonic.chance, abs=0.005)
    assert report.harmonic.value <= report.harmonic.chance + 0.005


@pytest.mark.parametrize(("n_seen", "n_unseen"), [(37, 10), (4, 4), (9, 5), (2, 20)])
def test_chance_of_the_harmonic_mean_is_that_of_the_best_guesser(n_seen: int, n_unseen: int) -> None:
    p = np.linspace(0, 1, 100_001)[1:-1]  # how often a seen class is guessed
    seen, unseen = p / n_seen, (1 - p) / n_unseen
    levels = chance_levels(n_seen, n_unseen)
    assert levels.harmonic == pytest.approx((2 * seen * unseen / (seen + unseen)).max(), rel=1e-6)
    assert levels.harmonic >= levels.generalised - 1e-12
    steps = np.diff(seen) * (unseen[1:] + unseen[:-1]) / 2  # under the guesser's line
    assert levels.area == pytest.approx(steps.sum(), rel=1e-3)


def test_no_transfer_is_what_guessing_among_the_unseen_classes_gives(case) -> None:
    """Each clip's scores of unseen classes are dealt out anew: how high the best is stays, which it is does not."""
    scores, targets = case
    report = evaluate_zeroshot(scores, targets, NAMES, UNSEEN, calibration=0.8, n_bootstrap=2)
    names = ["generalised_unseen", "harmonic", "calibrated_unseen", "calibrated_harmonic", "area"]
    rng = np.random.default_rng(0)
    found = {name: [] for name in (*names, "seen", "generalised_seen")}
    for _ in range(300):
        dealt = scores.copy()
        dealt[:, [1, 4]] = rng.permuted(dealt[:, [1, 4]], axis=1)
        again = evaluate_zeroshot(dealt, targets, NAMES, UNSEEN, calibration=0.8, n_bootstrap=2)
        for name, values in found.items():
            values.append(again.measures[name].value)
    for name in names:
        # The harmonic mean of means is a little above the mean of harmonic means.
        tolerance = 0.03 if "harmonic" in name else 0.01
        assert report.measures[name].no_transfer == pytest.approx(np.mean(found[name]), abs=tolerance), name
    assert found["seen"] == [report.seen.value] * 300
    assert report.zero_shot.no_transfer is None
    assert report.generalised_seen.no_transfer is None
    assert report.area.no_transfer < report.area.value


class TestIntervals:
    def test_weights_give_every_class_the_same_say(self, case) -> None:
        _, targets = case
        is_unseen = np.array([name in UNSEEN for name in NAMES])
        rng = np.random.default_rng(0)
        for weights in [balanced_weights(targets, is_unseen), *bootstrap_weights(targets, is_unseen, None, 20, rng)]:
            for c in range(5):
                assert weights[targets == c].sum() == pytest.approx(1 / (2 if is_unseen[c] else 3))

    def test_the_interval_is_that_of_a_binomial(self) -> None:
        """Two classes alike: the standard error of their mean is known."""
        targets = np.repeat(np.arange(4), 100)
        scores = np.zeros((400, 4))
        right = np.tile(np.arange(100) < 70, 4)
        scores[np.arange(400), np.where(right, targets, targets ^ 1)] = 1  # within the pair seen, or the pair unseen
        report = evaluate_zeroshot(scores, targets, list("abcd"), ["c", "d"], n_bootstrap=4000)
        standard_error = math.sqrt(0.7 * 0.3 / 100 / 2)
        for measure in (report.seen, report.zero_shot):
            assert measure.value == pytest.approx(0.7)
            assert (measure.high - measure.low) / 2 == pytest.approx(1.96 * standard_error, rel=0.08)

    def test_whole_groups_are_drawn(self, case) -> None:
        _, targets = case
        groups = np.arange(len(targets)) // 4
        weights = bootstrap_weights(targets, np.zeros(5, dtype=bool), groups, 50, np.random.default_rng(0))
        for c in (0, 2, 3, 4):
            for group in np.unique(groups[targets == c]):
                assert (np.ptp(weights[:, (groups == group) & (targets == c)], axis=1) == 0).all()
        # Class 1 is one group, so its clips are drawn.
        assert (np.ptp(weights[:, targets == 1], axis=1) > 0).any()

    def test_clips_of_a_group_that_are_alike_widen_the_interval(self) -> None:
        rng = np.random.default_rng(0)
        targets = np.repeat(np.arange(4), 120)
        groups = np.arange(480) // 20
        hard = rng.uniform(size=24)[groups] < 0.5
        scores = np.eye(4)[np.where(hard, targets ^ 1, targets)]
        by_clip = evaluate_zeroshot(scores, targets, list("abcd"), ["c", "d"]).zero_shot
        by_group = evaluate_zeroshot(scores, targets, list("abcd"), ["c", "d"], groups=groups).zero_shot
        assert by_group.high - by_group.low > 2.5 * (by_clip.high - by_clip.low)  # the square root of 20 is 4.5

    def test_the_same_seed_gives_the_same_interval(self, case) -> None:
        reports = [evaluate_zeroshot(*case, NAMES, UNSEEN, n_bootstrap=50, seed=s) for s in (1, 1, 2)]
        assert reports[0].measures == reports[1].measures
        assert reports[0].measures != reports[2].measures

    def test_blocks_do_not_show(self, case, monkeypatch) -> None:
        from musicfsl.zeroshot import evaluation

        whole = evaluate_zeroshot(*case, NAMES, UNSEEN, n_bootstrap=3)
        monkeypatch.setattr(evaluation, "_CELLS_PER_BLOCK", 2 * len(case[1]))
        assert evaluate_zeroshot(*case, NAMES, UNSEEN, n_bootstrap=3).seen.value == whole.seen.value

    def test_few_values_by_students_t(self) -> None:
        values = [0.31, 0.42, 0.37, 0.44, 0.29]
        interval = ttest_1samp(values, 0).confidence_interval(0.95)
        mean, ci95 = mean_ci95_of_few(values)
        assert (mean - ci95, mean + ci95) == pytest.approx((interval.low, interval.high))
        with pytest.raises(InputError, match="at least 2 values"):
            mean_ci95_of_few([0.5])
        with pytest.raises(InputError, match="NaN"):
            mean_ci95_of_few([0.5, math.nan])


class TestReports:
    def test_the_text_says_what_must_not_be_left_out(self, case) -> None:
        text = str(
            evaluate_zeroshot(
                *case, NAMES, UNSEEN, calibration=0.25, n_bootstrap=20, is_synthetic=True, side_information="words"
            )
        )
        for part in (
            "seen: 3 classes, 80 clips", "unseen: 2 classes, 16 clips", "chance 0.500", "calibrated by +0.250",
            "[95 % interval over 20 bootstrap samples of clips within classes, seed 0]", "synthetic data", "from words",
        ):  # fmt: skip
            assert part in text
        assert "calibration" not in str(evaluate_zeroshot(*case, NAMES, UNSEEN, n_bootstrap=20))

    def test_json_holds_everything(self, case) -> None:
        report = evaluate_zeroshot(*case, NAMES, UNSEEN, n_bootstrap=20, groups=np.arange(96))
        content = json.loads(json.dumps(report.to_dict()))
        assert content["zero_shot"] == report.zero_shot._asdict()
        assert "calibrated_seen" not in content
        assert content["unseen_classes"] == UNSEEN
        assert content["grouped"] is True
        assert content["is_synthetic"] is None

    def test_over_splits(self, case) -> None:
        scores, targets = case
        splits = [split_seen_unseen(NAMES, 2, seed) for seed in range(3)]

        def run(split: ClassSplit):
            return evaluate_zeroshot(scores, targets, NAMES, split.unseen, n_bootstrap=5)

        report = evaluate_splits(splits, run)
        values = [run(split).zero_shot.value for split in splits]
        assert report.means()["zero_shot"] == pytest.approx(mean_ci95_of_few(values))
        assert report.chances()["zero_shot"] == 0.5
        levels = [run(split).area.no_transfer for split in splits]
        assert report.no_transfer()["area"] == pytest.approx(np.mean(levels))
        assert "seen" not in report.no_transfer()
        assert "calibrated_seen" not in report.means()
        assert len(json.loads(json.dumps(report.to_dict()))["splits"]) == 3
        assert "mean of 3 class splits +- half a 95 % interval over them" in str(report)
        with pytest.raises(InputError, match="1 class splits"):
            evaluate_splits(splits[:1], run)

    def test_among_given_classes(self, case) -> None:
        scores, targets = case
        report = evaluate_classes(scores, targets, NAMES, unseen=UNSEEN, n_bootstrap=200, is_synthetic=False)
        recalls = [np.mean(scores[targets == c].argmax(axis=1) == c) for c in range(5)]
        assert report.accuracy.value == pytest.approx(np.mean(recalls))
        assert report.accuracy.low < report.accuracy.value < report.accuracy.high
        assert report.accuracy.chance == 0.2
        assert "5 classes (2 unseen), 96 clips" in str(report)
        assert "recordings" in str(report)
        assert json.loads(json.dumps(report.to_dict()))["accuracy"]["chance"] == 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unseen": ["harp", "lute"]}, "the unseen class 'lute' is not among the class names"),
        ({"unseen": ["harp"]}, "has 1 unseen classes"),
        ({"unseen": NAMES[:4]}, "has 1 seen classes"),
        ({"targets": np.zeros(96)}, "targets must be whole numbers from 0 to 4"),
        ({"targets": np.full(96, 7)}, "targets must be whole numbers from 0 to 4"),
        ({"targets": np.zeros(96, dtype=int)}, "class 'harp' has no clip to evaluate"),
        ({"targets": np.zeros(95, dtype=int)}, "expected \\(N, 5\\)"),
        ({"scores": np.full((96, 5), np.nan)}, "the scores of clip 0 hold NaN"),
        ({"groups": [1, 2]}, "groups have shape \\(2,\\)"),
        ({"n_bootstrap": 1}, "an interval needs 2 or more"),
    ],
)
def test_bad_input(case, change, message: str) -> None:
    arguments = {"scores": case[0], "targets": case[1], "class_names": NAMES, "unseen": UNSEEN, **change}
    with pytest.raises(InputError, match=message):
        evaluate_zeroshot(**arguments)
