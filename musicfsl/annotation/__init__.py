"""Annotation of long recordings with classes that are known from a few examples.

    recording -> windows -> embeddings -> probabilities -> labels -> segments -> files and figure

Each step is a file: `windows` reads block by block, `support` embeds the examples, `recognizer` scores, `smoothing` and
`segments` join, `writers` write; `recording` is the whole way.
"""

from musicfsl.annotation.encoders import OpenedEncoder, default_encoder, open_encoder
from musicfsl.annotation.recognizer import Recognizer
from musicfsl.annotation.recording import Annotation, annotate_recording
from musicfsl.annotation.segments import SILENCE, UNKNOWN, Segment, find_segments
from musicfsl.annotation.smoothing import viterbi, with_silence
from musicfsl.annotation.support import embed_support, open_support
from musicfsl.annotation.windows import RecordingWindows, WindowBatch, stream_audio
from musicfsl.annotation.writers import write_audacity, write_csv, write_jams
from musicfsl.support import Support, calibrated_temperature

__all__ = [
    "SILENCE",
    "UNKNOWN",
    "Annotation",
    "OpenedEncoder",
    "Recognizer",
    "RecordingWindows",
    "Segment",
    "Support",
    "WindowBatch",
    "annotate_recording",
    "calibrated_temperature",
    "default_encoder",
    "embed_support",
    "find_segments",
    "open_encoder",
    "open_support",
    "stream_audio",
    "viterbi",
    "with_silence",
    "write_audacity",
    "write_csv",
    "write_jams",
]
