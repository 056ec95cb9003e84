"""Recognising every instrument of a recording: taggers, their checkpoints, and decisions over windows."""

from musicfsl.tagging.checkpoints import TaggerCard, load_tagger, read_tagger_card, save_tagger
from musicfsl.tagging.decisions import DECISIONS, Decision, WindowVotes
from musicfsl.tagging.tag import tag_dataset, tag_recording
from musicfsl.tagging.tagger import DEFAULT_THRESHOLD, Tagger
from musicfsl.tagging.windows import TagWindows

__all__ = [
    "DECISIONS",
    "DEFAULT_THRESHOLD",
    "Decision",
    "TagWindows",
    "Tagger",
    "TaggerCard",
    "WindowVotes",
    "load_tagger",
    "read_tagger_card",
    "save_tagger",
    "tag_dataset",
    "tag_recording",
]
