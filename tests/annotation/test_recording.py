from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch

from musicfsl import ConvEncoder, MfccEncoder, PrototypicalHead, SyntheticInstruments
from musicfsl.annotation import (
    SILENCE,
    UNKNOWN,
    Annotation,
    Recognizer,
    Segment,
    annotate_recording,
    embed_support,
)
from musicfsl.errors import AudioError, InputError
from musicfsl.heads import HierarchicalPrototypicalHead
from musicfsl.taxonomy import Taxonomy

CLASSES = ["Flute", "Violin", "Harp", "Organ", "Trumpet in C"]
TREE = Taxonomy({"winds": ["Flute", "Trumpet in C"], "strings": ["Violin", "Harp"], "keyboards": ["Organ"]})
RATE = 16000


class Piece(NamedTuple):
    """A recording of which it is known what sounds when.

    Attributes:
        path: of the recording.
        truth: start, end and label.
        examples: five notes a class, of another player than any in the recording.
    """

    path: Path
    truth: list[tuple[float, float, str]]
    examples: SyntheticInstruments


@pytest.fixture(scope="module")
def piece(own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Piece:
    """Every instrument plays five notes, then every one again with another player; then there is silence."""
    notes = SyntheticInstruments(classes=CLASSES, n_players=3, notes_per_player=6, duration=None, progress=False)
    rng = np.random.default_rng(0)
    waves, truth, now = [], [], 0.0
    for player in (1, 2):
        for c in rng.permutation(5):
            of_player = np.flatnonzero((notes.targets == c) & (notes.players == player))
            waves += [notes.read(int(i))[0].numpy() for i in rng.permutation(of_player)[:5]]
            end = sum(map(len, waves)) / RATE
            truth.append((now, end, CLASSES[c]))
            now = end
    waves.append(np.zeros(3 * RATE, dtype=np.float32))
    truth.append((now, now + 3, SILENCE))
    path = tmp_path_factory.mktemp("piece") / "piece.wav"
    soundfile.write(path, np.concatenate(waves), RATE)
    of_first_player = [of_class[notes.players[of_class] == 0][:5] for of_class in notes.class_to_indices.values()]
    return Piece(path, truth, notes.subset(indices=np.concatenate(of_first_player)))


@pytest.fixture(scope="module")
def recognizer(piece: Piece) -> Recognizer:
    encoder = ConvEncoder()  # its first weights suffice to tell these instruments apart, somewhat
    return Recognizer(encoder, PrototypicalHead("cosine"), embed_support(encoder, piece.examples))


def accuracy(annotation: Annotation, piece: Piece) -> float:
    """Share of the moments, a hundred a second, at which the label is right."""
    moments = np.arange(0.005, piece.truth[-1][1], 0.01)
    ends = [end for _, end, _ in piece.truth]
    truth = [piece.truth[i][2] for i in np.searchsorted(ends, moments, side="right")]
    return float(np.mean([annotation.label_at(moment) == label for moment, label in zip(moments, truth, strict=True)]))


def test_instruments_of_unknown_players_are_found_in_a_long_recording(piece: Piece, recognizer: Recognizer) -> None:
    annotation = annotate_recording(piece.path, recognizer)
    assert accuracy(annotation, piece) > 0.5  # of six labels
    unsmoothed = annotate_recording(piece.path, recognizer, penalty=0)
    assert accuracy(annotation, piece) > accuracy(unsmoothed, piece)
    assert len(annotation.segments) < 20 < len(unsmoothed.segments)
    assert annotation.segments[-1].label == SILENCE
    assert annotation.segments[-1].start == pytest.approx(piece.truth[-1][0], abs=0.5)


def test_examples_under_wrong_names_find_nothing(piece: Piece) -> None:
    encoder = ConvEncoder()
    support = embed_support(encoder, piece.examples)
    wrong = support._replace(targets=(support.targets + 1) % 5)
    annotation = annotate_recording(piece.path, Recognizer(encoder, PrototypicalHead("cosine"), wrong))
    assert accuracy(annotation, piece) < 0.25


def test_the_baseline_is_above_chance_too(piece: Piece) -> None:
    recognizer = Recognizer(MfccEncoder(), PrototypicalHead(), embed_support(MfccEncoder(), piece.examples))
    assert accuracy(annotate_recording(piece.path, recognizer), piece) > 0.35


def test_what_an_annotation_holds(piece: Piece, recognizer: Recognizer) -> None:
    annotation = annotate_recording(piece.path, recognizer, min_duration=2.0)
    assert annotation.recording == str(piece.path)
    assert annotation.duration == pytest.approx(piece.truth[-1][1])
    assert annotation.names == [*CLASSES, SILENCE]
    assert annotation.probabilities.shape == (len(annotation.bounds) - 1, 6)
    np.testing.assert_allclose(annotation.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert set(annotation.labels) <= set(annotation.names)
    assert annotation.segments[0].start == 0
    assert annotation.segments[-1].end == annotation.duration
    assert all(segment.end - segment.start >= 1.75 for segment in annotation.segments)  # the last window ends early
    written = annotation.to_dict()
    assert written["segments"][0].keys() == {"start", "end", "label", "confidence"}
    assert [annotation.label_at(t) for t in (-1.0, 0.0, 1e6)] == [
        annotation.segments[0].label, annotation.segments[0].label, annotation.segments[-1].label,
    ]  # fmt: skip


def test_batches_change_nothing_and_threads_are_put_back(piece: Piece, recognizer: Recognizer) -> None:
    threads = torch.get_num_threads()
    one, other = (annotate_recording(piece.path, recognizer, batch_size=size) for size in (7, 64))
    assert torch.get_num_threads() == threads
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)
    assert [s[:3] for s in one.segments] == [s[:3] for s in other.segments]


def test_any_head_will_do(piece: Piece, recognizer: Recognizer) -> None:
    head = HierarchicalPrototypicalHead(TREE, height=1, distance="cosine")
    other = Recognizer(recognizer.encoder, head, embed_support(recognizer.encoder, piece.examples))
    found = annotate_recording(piece.path, other)
    assert found.segments == annotate_recording(piece.path, recognizer).segments  # its classes are recognised alike


def test_silence_can_be_left_out(piece: Piece, recognizer: Recognizer) -> None:
    annotation = annotate_recording(piece.path, recognizer, silence_db=None)
    assert annotation.names == CLASSES
    assert SILENCE not in annotation.labels


def test_a_threshold_without_a_tree_leaves_the_unsure_unknown(piece: Piece, recognizer: Recognizer) -> None:
    plain = annotate_recording(piece.path, recognizer)
    threshold = float(np.median([s.confidence for s in plain.segments]))
    some = annotate_recording(piece.path, recognizer, threshold=threshold)
    assert {UNKNOWN} < set(some.labels)
    for segment in plain.segments:
        if segment.label == SILENCE:
            continue
        of_classes = inside(plain, segment)[:, :5].astype(np.float64).mean(axis=0)
        is_sure = of_classes.max() / of_classes.sum() >= threshold
        assert (some.label_at((segment.start + segment.end) / 2) == UNKNOWN) is not is_sure
    assert all(s.confidence == 1 for s in some.segments if s.label == UNKNOWN)
    everything = annotate_recording(piece.path, recognizer, threshold=1.0)
    assert set(everything.labels) == {UNKNOWN, SILENCE}


def test_with_a_tree_the_unsure_are_named_after_their_family(piece: Piece, recognizer: Recognizer) -> None:
    plain = annotate_recording(piece.path, recognizer, threshold=0.5)
    backed_off = annotate_recording(piece.path, recognizer, taxonomy=TREE)  # 0.5 is the default
    families = {"winds", "strings", "keyboards"}
    assert families & set(backed_off.labels)
    assert all(s.confidence >= 0.5 for s in backed_off.segments)

    def unknown(annotation: Annotation) -> float:
        return sum(s.end - s.start for s in annotation.segments if s.label == UNKNOWN)

    assert unknown(backed_off) < unknown(plain)
    for segment in backed_off.segments:  # a family's probability is that of its classes together
        if segment.label in families:
            columns = [CLASSES.index(leaf) for leaf in TREE.leaves(segment.label)]
            together = inside(backed_off, segment)[:, columns].sum(axis=1).mean()
            assert segment.confidence == pytest.approx(together, abs=2e-3)  # silence takes a thousandth


def inside(annotation: Annotation, segment: Segment) -> np.ndarray:
    """Probabilities of a segment's windows."""
    middles = (annotation.bounds[1:] + annotation.bounds[:-1]) / 2
    return annotation.probabilities[(middles > segment.start) & (middles < segment.end)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_duration": -1.0}, "min_duration is -1.0; expected seconds, 0 or more"),
        ({"penalty": -1.0}, "penalty is -1.0"),
        ({"silence_db": 0.0}, "silence_db is 0.0"),
        ({"threshold": 1.5}, "threshold is 1.5; expected a probability, 0 to 1"),
        ({"hop": 2.0}, "hop is 2.0"),
        ({"taxonomy": Taxonomy({"strings": ["Violin", "Harp"]})}, "class 'Flute' is not in"),
        ({"taxonomy": Taxonomy({"silence": CLASSES})}, "'silence' is a label of its own"),
    ],
)
def test_what_makes_no_sense_is_refused(piece: Piece, recognizer: Recognizer, change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        annotate_recording(piece.path, recognizer, **change)


def test_a_class_must_not_bear_another_labels_name(piece: Piece) -> None:
    encoder = ConvEncoder()
    support = embed_support(encoder, piece.examples)._replace(classes=[*CLASSES[:4], "silence"])
    recognizer = Recognizer(encoder, PrototypicalHead("cosine"), support)
    with pytest.raises(InputError, match="'silence' is a label of its own"):
        annotate_recording(piece.path, recognizer)
    assert "silence" in annotate_recording(piece.path, recognizer, silence_db=None).names


def test_recordings_without_sound_are_refused(recognizer: Recognizer, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(3 * RATE), RATE)
    with pytest.raises(AudioError, match=r"silent\.wav holds only silence; there is nothing to annotate"):
        annotate_recording(tmp_path / "silent.wav", recognizer)
    soundfile.write(tmp_path / "nan.wav", np.full(3 * RATE, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav holds NaN"):
        annotate_recording(tmp_path / "nan.wav", recognizer)
