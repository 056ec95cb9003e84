"""What a recording's container says of its length, where libsndfile keeps quiet or only guesses.

libsndfile opens a WAV, AIFF or OGG file that lost its end as if it were a shorter one, without a word,
so a broken copy would enter a data set unnoticed; and it estimates the length of an MP3 file that has no
"Xing" header from its size. Nothing is decoded here, and little is read. FLAC needs no check: libsndfile
itself refuses to decode a FLAC file that lost its end.
"""

from __future__ import annotations

import io
import os
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from musicfsl.errors import AudioError

__all__ = ["check_container", "mp3_with_length"]

# Programs that write to a pipe cannot go back to fill in the length, and leave a value near the largest
# that fits (0x7FFFF000 by SoX, 0x7FFFFFFF and 0xFFFFFFFF by others) or 0: the real length is then unknown.
_UNKNOWN_LENGTH_FROM = 0x7FFFF000

_LARGEST_OGG_PAGE = 65307

# MPEG layer III: kbit/s by bit rate index, Hz by version and rate index (version 3 is MPEG-1, 2 MPEG-2, 0 MPEG-2.5).
_KBITS_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_TAGS_AT_THE_END = (b"TAG", b"APETAGEX", b"LYRICS", b"ID3", b"3DI")


def check_container(path: Path) -> int | None:
    """Finds out whether a recording was cut off, as far as that can be known without decoding.

    Args:
        path: an existing file of any kind.

    Returns:
        samples a channel, where libsndfile's own number is a guess; None where it can be trusted.

    Raises:
        AudioError: the end is missing.
    """
    length = None
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            problem = _chunk_shortage(file, status.st_size, b"data", big_endian=False)
        elif head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
            problem = _chunk_shortage(file, status.st_size, b"SSND", big_endian=True)
        elif head[:4] == b"OggS":
            problem = _ogg_shortage(file, status.st_size)
        elif head[:3] == b"ID3" or (head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0):
            length, problem = _mpeg_length(path, status.st_size, status.st_mtime_ns)
        else:
            problem = None
    if problem is not None:
        raise AudioError(f"{path} is truncated or damaged ({problem}); copy it again")
    return length


def mp3_with_length(path: Path, n_frames: int) -> io.BytesIO:
    """Puts the "Xing" header before an MP3 file that has none, in memory, so that libsndfile reads it to its end.

    Args:
        path: an MP3 file whose frames `check_container` counted.
        n_frames: samples a channel, as counted.
    """
    data = path.read_bytes()
    sound = data[_sound_start(io.BytesIO(data)) :]
    # Like the first frame, but without a checksum and at the highest bit rate, so that there is room for the header.
    first = bytes([0xFF, sound[1] | 0x01, 0xE0 | sound[2] & 0x0D, sound[3]])
    tag = b"Xing" + (1).to_bytes(4, "big") + (n_frames // _samples_per_frame(first)).to_bytes(4, "big")
    frame = (first + bytes(_side_info_size(first)) + tag).ljust(_frame_size(first) or 0, b"\0")
    return io.BytesIO(frame + sound)


def _chunk_shortage(file: BinaryIO, size: int, sound_chunk: bytes, big_endian: bool) -> str | None:
    """WAV and AIFF: compares the length of the chunk that holds the samples with the bytes behind its start."""
    position = 12
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        length = int.from_bytes(header[4:], "big" if big_endian else "little")
        if header[:4] == sound_chunk:
            unknown = length == 0 or length >= _UNKNOWN_LENGTH_FROM
            return None if unknown else _shortage(length, size - position - 8)
        position += 8 + length + length % 2  # chunks start at even bytes
    return None


def _ogg_shortage(file: BinaryIO, size: int) -> str | None:
    """OGG (RFC 3533): the last page must be whole, and carry the flag that ends the stream."""
    file.seek(max(0, size - _LARGEST_OGG_PAGE))
    tail = file.read()
    page = tail.rfind(b"OggS")
    segments_end = page + 27 + tail[page + 26] if 0 <= page <= len(tail) - 27 else len(tail) + 1
    if segments_end > len(tail) or segments_end + sum(tail[page + 27 : segments_end]) > len(tail):
        return "its last page is incomplete"
    return None if tail[page + 5] & 0x04 else "its stream has no end mark"


@lru_cache(maxsize=4096)  # an excerpt of a long file must not walk through all of it each time
def _mpeg_length(path: Path, size: int, mtime_ns: int) -> tuple[int | None, str | None]:
    """MP3: trusts a "Xing", "Info" or "VBRI" header once its number of bytes is there, else counts the frames."""
    with path.open("rb") as file:
        start = _sound_start(file)
        file.seek(start)
        first = file.read(64)
        if _frame_size(first) is None or first[36:40] == b"VBRI":
            return None, None  # something else than MP3, padding that only the decoder can skip, or a rarer header
        header = first[4 + _side_info_size(first) :]
        if header[:4] in (b"Xing", b"Info"):
            return None, _xing_shortage(header, size - start)
        file.seek(start)
        return _count_frames(file.read(), start)


def _sound_start(file: BinaryIO) -> int:
    """First byte behind the ID3 tags at the start of the file."""
    start = 0
    while (tag := file.read(10))[:3] == b"ID3" and len(tag) == 10:
        start += 10 + sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
        file.seek(start)
    return start


def _xing_shortage(header: bytes, present: int) -> str | None:
    flags = int.from_bytes(header[4:8], "big")
    if not flags & 2:
        return None
    promised = int.from_bytes(header[12:16] if flags & 1 else header[8:12], "big")
    # Encoders disagree on a few bytes; a file that lost less than this is found out when its end is decoded.
    return _shortage(promised, present) if present < 0.99 * promised else None


def _count_frames(data: bytes, start: int) -> tuple[int | None, str | None]:
    """Walks from frame to frame; ``data`` begins with the first one, at byte ``start`` of the file."""
    position, samples = 0, 0
    while (step := _frame_size(data[position : position + 4])) is not None:
        samples += _samples_per_frame(data[position : position + 4])
        position += step
    if position > len(data):
        return None, "its last frame is incomplete"
    rest = data[position:]
    if rest and not rest.startswith(_TAGS_AT_THE_END) and rest.strip(b"\0"):
        return None, f"byte {start + position} should start a frame of sound, but does not"
    return samples, None


def _frame_size(header: bytes) -> int | None:
    """Bytes of the MPEG layer III frame that begins with these four; None where none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, kbits_index, rate_index = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or kbits_index in (0, 15) or rate_index == 3:
        return None
    kbits = (_KBITS_MPEG_1 if version == 3 else _KBITS_MPEG_2)[kbits_index]
    slots = 144 if version == 3 else 72
    return slots * kbits * 1000 // _RATES[version][rate_index] + (header[2] >> 1 & 1)


def _samples_per_frame(header: bytes) -> int:
    return 1152 if header[1] & 0x18 == 0x18 else 576


def _side_info_size(header: bytes) -> int:
    """Bytes between a frame's header and what would be its "Xing" header."""
    is_mono = header[3] & 0xC0 == 0xC0
    return (17 if is_mono else 32) if header[1] & 0x18 == 0x18 else (9 if is_mono else 17)


def _shortage(promised: int, present: int) -> str | None:
    if present >= promised:
        return None
    return f"its header promises {promised} bytes of sound, but {present} are there"
