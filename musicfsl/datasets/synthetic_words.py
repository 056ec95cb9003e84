"""Words said by rule: a stand-in for Speech Commands, with no sample and no download."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicfsl._progress import progress_bar
from musicfsl.caching import cache_root
from musicfsl.class_splits import NamedSplit, class_split
from musicfsl.datasets._arguments import checked_classes, checked_length, checked_whole_number
from musicfsl.datasets._cached_samples import CachedSamples, damaged_cache, made_in_order, read_cache, write_cache
from musicfsl.datasets._speakers import Part, part_of_speaker
from musicfsl.datasets._speech import CLIP_S, SPEECH_VERSION, ClipRecord, clips_of_speaker
from musicfsl.datasets._words import WORDS
from musicfsl.errors import InputError

__all__ = ["SyntheticWords"]

_NAME, _TABLE = "synthetic_words", "words"
_LOWEST_RATE = 8000
# As many clips take as long in one process as it takes to start several.
_FEWEST_CLIPS_FOR_PROCESSES = 300


class SyntheticWords(CachedSamples):
    """The 35 words of Speech Commands, each said by many virtual speakers.

    A word is a row of sounds with targets for the formants, for the voice and for noise. Tracks that go from target to
    target steer a voice, breath and friction through a vocal tract made of resonances: formant synthesis by rule, as
    of the 1980s. The numbers are published ones, and stand with their sources in ``_phonemes``; the rules stand in
    ``_words``, ``_articulation`` and ``_vocal_tract``. This is no speech technology, and nobody would take it for a
    human voice. It is a stand-in for recordings, which lets methods be tried and compared where none may be shipped.

    A speaker, which is the group, is a man, a woman or a child with a vocal tract of some length, a pitch, a breathy or
    a sharp voice, a tempo, an accent (vowels that lie a little elsewhere, always), a room, a microphone, a noise floor
    and a level. Every speaker says all words. A take of a word has its own melody, tempo, beginning and level.

    The first construction makes all clips, in as many processes as there are cores, and writes them to a cache; later
    ones open it. A clip is a function of the seed, its word, the numbers of its speaker and take, and the sample rate:
    it does not depend on how many others are made.

    Args:
        n_speakers: how many; of five in a row, three are for training, one for validation and one for testing.
        takes: clips of a word by a speaker.
        sample_rate: in Hz, 8000 or more.
        duration: seconds of what ``ds[i]`` gives. Clips are 1 s long: more is filled with zeros, less is cut at a
            random place. None gives whole clips.
        classes: the words to make, in the order wanted; None makes all.
        subset: make only the speakers for "training", "validation" or "testing"; None makes all.
        seed: of the clips, and of the places where ``ds[i]`` cuts; 0 or more.
        cache_dir: folder for the cache; see `musicfsl.caching.cache_root`.
        progress: whether to show a progress bar while clips are made.

    Attributes:
        part: one an item: "training", "validation" or "testing".
        voices: array of names ``(N,)``: man, woman, child.
        take_numbers: int64 array ``(N,)``: number of the clip among those of its word by its speaker.
        pitches_hz: float64 array ``(N,)``: median fundamental frequency of the vowels.
        phonemes: one an item: symbol (ARPAbet), first and last second of every sound. Then the room rings on.
        cache_folder: where the clips lie.

    Raises:
        InputError: an argument is out of range, or there is no speaker in the subset.
        DatasetError: a word is unknown, or named twice.
        CacheError: the cache cannot be written, or is damaged.

    Example:
        >>> import tempfile
        >>> ds = SyntheticWords(
        ...     n_speakers=5, takes=1, classes=["yes", "no"], cache_dir=tempfile.mkdtemp(), progress=False
        ... )
        >>> wave, target = ds[0]
        >>> wave.shape, ds.classes[target], [symbol for symbol, _, _ in ds.phonemes[0]]
        (torch.Size([1, 16000]), 'yes', ['Y', 'EH', 'S'])
        >>> ds.groups.tolist(), ds.part[8]
        ([0, 0, 1, 1, 2, 2, 3, 3, 4, 4], 'testing')
    """

    def __init__(
        self,
        *,
        n_speakers: int = 30,
        takes: int = 2,
        sample_rate: int = 16000,
        duration: float | None = 1.0,
        classes: Sequence[str] | None = None,
        subset: Part | None = None,
        seed: int = 0,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> None:
        self.name = _NAME
        self.is_synthetic = True
        self.classes = checked_classes(_NAME, classes, WORDS)
        self.sample_rate = checked_whole_number("sample_rate", sample_rate, least=_LOWEST_RATE)
        self.length = checked_length(duration, sample_rate, "clips")
        self.seed = checked_whole_number("seed", seed, least=0)
        # All that decides the clips, and so the name of the cache. The duration does not: clips are kept whole.
        self._arguments: dict[str, Any] = {
            "speakers": _speakers(checked_whole_number("n_speakers", n_speakers, least=1), subset),
            "takes": checked_whole_number("takes", takes, least=1),
            "sample_rate": sample_rate,
            "classes": self.classes,
            "seed": seed,
            "speech_version": SPEECH_VERSION,
        }
        self.cache_folder = cache_root(cache_dir) / self.name / self.fingerprint()
        if not self.cache_folder.exists():
            write_cache(self.cache_folder, _TABLE, self._arguments, lambda _: _clips(self._arguments, progress))
        self._samples, records = self._open()

        self.targets = np.array([self.classes.index(record.word) for record in records], dtype=np.int64)
        self.groups = np.array([record.speaker for record in records], dtype=np.int64)
        self.lengths = np.full(len(records), round(CLIP_S * sample_rate), dtype=np.int64)
        self.part: list[str] = [part_of_speaker(record.speaker) for record in records]
        self.voices = np.array([record.voice for record in records], dtype=np.str_)
        self.take_numbers = np.array([record.take for record in records], dtype=np.int64)
        self.pitches_hz = np.array([record.pitch_hz for record in records], dtype=np.float64)
        self.phonemes = [record.phonemes for record in records]
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])

    @classmethod
    def class_split(cls, name: str) -> NamedSplit:
        """A split of the words: the same as `SpeechCommands.class_split` gives.

        Raises:
            InputError: there is no such split.

        Example:
            >>> SyntheticWords.class_split("few-shot").parts["val"]
            ('bed', 'bird', 'left', 'nine', 'up')
        """
        return class_split(_NAME, name)

    def _open(self) -> tuple[NDArray[np.int16], list[ClipRecord]]:
        n_samples = round(CLIP_S * self.sample_rate)
        samples, rows = read_cache(self.cache_folder, _TABLE, self._arguments, lambda _: n_samples)
        try:
            return samples, [ClipRecord.of_row(row) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise damaged_cache(self.cache_folder, str(error)) from None

    def _mapped_samples(self) -> NDArray[np.int16]:
        return self._open()[0]


def _speakers(n_speakers: int, subset: Part | None) -> list[int]:
    """Numbers of the speakers of a subset."""
    if subset not in ("training", "validation", "testing", None):
        raise InputError(f"subset is '{subset}'; expected 'training', 'validation', 'testing', or None for all")
    speakers = [number for number in range(n_speakers) if subset in (None, part_of_speaker(number))]
    if not speakers:
        raise InputError(f"n_speakers is {n_speakers}, of which none is for {subset}; give 5 or more")
    return speakers


def _clips(arguments: dict[str, Any], progress: bool) -> Iterator[tuple[dict[str, Any], NDArray[np.int16]]]:
    """Row and samples of one clip after the other, speaker by speaker."""
    words, n_takes, speakers = arguments["classes"], arguments["takes"], arguments["speakers"]
    tasks = [(speaker, words, n_takes, arguments["sample_rate"], arguments["seed"]) for speaker in speakers]
    total = len(speakers) * len(words) * n_takes
    with progress_bar(total=total, desc="synthesising words", unit="word", show=progress) as bar:
        for clips in made_in_order(clips_of_speaker, tasks, total >= _FEWEST_CLIPS_FOR_PROCESSES):
            for record, wave in clips:
                yield asdict(record), wave
            bar.update(len(clips))
