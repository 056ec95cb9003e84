"""The whole way from a long recording to its segments."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musicfsl._progress import progress_bar
from musicfsl.annotation.recognizer import Recognizer
from musicfsl.annotation.segments import SILENCE, UNKNOWN, Decision, Segment, find_segments
from musicfsl.annotation.smoothing import log_probabilities, viterbi, with_silence
from musicfsl.annotation.windows import LOWEST_LEVEL, RecordingWindows, WindowBatch
from musicfsl.backbones.base import device_of
from musicfsl.backoff import back_off
from musicfsl.errors import AudioError, InputError
from musicfsl.taxonomy import Taxonomy

__all__ = ["Annotation", "annotate_recording"]

#: The probability that a node must reach where a taxonomy is given and no threshold.
THRESHOLD = 0.5


@dataclass(frozen=True)
class Annotation:
    """What was found in a recording.

    Attributes:
        recording: its path.
        duration: its length in seconds.
        segments: they tile the recording, in order.
        names: names of the columns of ``probabilities``: the classes, and `SILENCE` as the last where it was asked for.
        bounds: float64 ``(N + 1,)`` in seconds: window ``i`` speaks for ``bounds[i]`` to ``bounds[i + 1]``.
        probabilities: float32 ``(N, K)``, before smoothing; rows sum to 1.
    """

    recording: str
    duration: float
    segments: list[Segment]
    names: list[str]
    bounds: NDArray[np.float64]
    probabilities: NDArray[np.float32]

    @property
    def labels(self) -> list[str]:
        """The labels that occur, in the order of their first segments."""
        return list(dict.fromkeys(segment.label for segment in self.segments))

    def label_at(self, seconds: float) -> str:
        """The label at one moment; that of the nearest end outside the recording."""
        ends = [segment.end for segment in self.segments]
        return self.segments[min(int(np.searchsorted(ends, seconds, side="right")), len(ends) - 1)].label

    def to_dict(self) -> dict[str, Any]:
        """Recording, duration and segments, as JSON can hold them."""
        return {
            "recording": self.recording,
            "duration": self.duration,
            "segments": [
                {
                    "start": round(segment.start, 6),
                    "end": round(segment.end, 6),
                    "label": segment.label,
                    "confidence": round(segment.confidence, 4),
                }
                for segment in self.segments
            ],
        }


def annotate_recording(
    path: str | os.PathLike[str],
    recognizer: Recognizer,
    hop: float = 0.5,
    *,
    silence_db: float | None = 50.0,
    penalty: float = 3.0,
    min_duration: float = 0.0,
    taxonomy: Taxonomy | None = None,
    threshold: float | None = None,
    batch_size: int = 32,
    progress: bool = False,
) -> Annotation:
    """Finds out what sounds when in a recording of any length.

    The recording is read, embedded and scored window by window; neither sound nor embeddings pile up. What is kept
    of a window is its place, its level and a probability a class, with what smoothing adds less than 30 bytes a
    class: two megabytes for an hour with ten classes. Then the labels are smoothed (`viterbi`, in which each window
    counts ``hop`` over window length, since neighbours hear the same sound), joined to segments, and named.

    Args:
        path: the recording.
        recognizer: knows the classes, and the length of a window.
        hop: seconds between the starts of windows, at most the length of one.
        silence_db: what is further than this below the loudest window is labelled as silence; None labels everything as
            a class.
        penalty: of a change of label in smoothing, see `viterbi`; 0 does not smooth.
        min_duration: the shortest segment in seconds, rounded up to whole hops; 0 sets no bound.
        taxonomy: a tree that holds the classes: a segment is then named after the deepest node whose probability
            reaches the threshold.
        threshold: 0 to 1. Without a taxonomy, a segment whose class does not reach it is `UNKNOWN`. None is 0.5 with a
            taxonomy, and 0 without.
        batch_size: windows that are embedded at a time.
        progress: show a progress bar.

    Returns:
        the segments and the probabilities.

    Raises:
        AudioError: the recording is missing, not audio, truncated, shorter than a window, or all silence.
        InputError: a number is out of range, the taxonomy lacks a class, or a class bears the name of another label.

    Example:
        >>> annotation = annotate_recording("concert.flac", recognizer)  # doctest: +SKIP
        >>> annotation.segments[0]  # doctest: +SKIP
        Segment(start=0.0, end=4.25, label='oboe', confidence=0.87)
    """
    if threshold is None:
        threshold = 0.0 if taxonomy is None else THRESHOLD
    _check_numbers(silence_db, penalty, min_duration, threshold)
    decide = _decision(recognizer.classes, taxonomy, threshold, has_silence=silence_db is not None)
    names = recognizer.classes + ([] if silence_db is None else [SILENCE])

    windows = RecordingWindows(path, recognizer.encoder.sample_rate, recognizer.window, hop, batch_size)
    probabilities = np.empty((len(windows), len(recognizer.classes)), dtype=np.float32)
    levels = np.empty(len(windows))
    done = 0
    with progress_bar(total=len(windows), desc=f"annotating {os.path.basename(path)}", show=progress) as bar:
        for of_classes, of_sound in _scored(windows, recognizer):
            now = slice(done, done + len(of_sound))
            probabilities[now], levels[now] = of_classes, of_sound
            done = now.stop
            bar.update(len(of_sound))
    if levels.max() <= LOWEST_LEVEL:
        raise AudioError(f"{path} holds only silence; there is nothing to annotate")
    if silence_db is not None:
        probabilities = with_silence(probabilities, levels, silence_db)
    weight = hop / recognizer.window
    labels = viterbi(log_probabilities(probabilities) * weight, penalty, max(1, math.ceil(min_duration / hop - 1e-9)))
    segments = find_segments(labels, probabilities, windows.bounds, names, decide)
    return Annotation(os.fspath(path), windows.duration, segments, names, windows.bounds, probabilities)


def _scored(
    windows: RecordingWindows, recognizer: Recognizer
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """Probabilities and levels batch by batch, in order, while the next batches are read and computed.

    On a processor, as many threads as torch would use embed a batch each, alone: they wait for one another less than
    when they share each of its many small steps.
    """

    def score(batch: WindowBatch) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        return recognizer.probabilities(batch.waves), batch.levels

    n_threads = torch.get_num_threads()
    n_workers = n_threads if device_of(recognizer.encoder).type == "cpu" else 1
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_workers) as pool:
            under_way: deque[Future[tuple[NDArray[np.float32], NDArray[np.float64]]]] = deque()
            for batch in windows:
                under_way.append(pool.submit(score, batch))
                if len(under_way) > n_workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
    finally:
        torch.set_num_threads(n_threads)


def _check_numbers(silence_db: float | None, penalty: float, min_duration: float, threshold: float) -> None:
    """Refuses at once what would be refused only when all of the recording has been heard."""
    if silence_db is not None and not silence_db > 0:
        raise InputError(f"silence_db is {silence_db}; expected a positive number of decibels, or None for no silence")
    if not penalty >= 0:
        raise InputError(f"penalty is {penalty}; expected 0 or more")
    if not (math.isfinite(min_duration) and min_duration >= 0):
        raise InputError(f"min_duration is {min_duration}; expected seconds, 0 or more")
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}; expected a probability, 0 to 1")


def _decision(classes: list[str], taxonomy: Taxonomy | None, threshold: float, has_silence: bool) -> Decision | None:
    """How segments are named in the end; None where each keeps the class that smoothing gave it."""
    if taxonomy is not None:
        tree: Taxonomy | None = taxonomy.prune(classes)
    else:
        tree = Taxonomy(dict.fromkeys(classes)) if threshold > 0 else None  # all classes right below the root
    taken = classes if tree is None else tree.nodes
    for label in ([SILENCE] if has_silence else []) + ([] if tree is None else [UNKNOWN]):
        if label in taken:
            hint = ", or turn silence off" if label == SILENCE else ""
            raise InputError(
                f"'{label}' is a label of its own, but a class or family is called so too; rename it{hint}"
            )
    if tree is None:
        return None
    return partial(_named, tree=tree, classes=classes, threshold=threshold)


def _named(means: NDArray[np.float64], tree: Taxonomy, classes: list[str], threshold: float) -> list[tuple[str, float]]:
    """The deepest nodes that reach the threshold, by the probabilities among the classes, silence aside."""
    of_classes = means[:, : len(classes)]
    answers = back_off(of_classes / of_classes.sum(axis=1, keepdims=True), tree, classes, threshold)
    labels = [node or UNKNOWN for node in answers.nodes]
    return list(zip(labels, answers.probability.tolist(), strict=True))
