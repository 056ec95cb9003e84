"""Small data sets on disk, in the exact layout of the real ones."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

# mirdata's own index names the real files; a few of every class are made here.
_NOTES_PER_INSTRUMENT = 3
_CLIPS_PER_PART = 2
_TINYSOL_NAMES = {
    "BTb": "Bass Tuba",
    "Hn": "French Horn",
    "Tbn": "Trombone",
    "TpC": "Trumpet in C",
    "Acc": "Accordion",
    "Vc": "Cello",
    "Cb": "Contrabass",
    "Va": "Viola",
    "Vn": "Violin",
    "ASax": "Alto Saxophone",
    "Bn": "Bassoon",
    "ClBb": "Clarinet in Bb",
    "Fl": "Flute",
    "Ob": "Oboe",
}
_MEDLEY_NAMES = (
    "clarinet",
    "distorted electric guitar",
    "female singer",
    "flute",
    "piano",
    "tenor saxophone",
    "trumpet",
    "violin",
)
_DYNAMICS = ["pp", "p", "mf", "f", "ff"]


def make_tone(hz: float, seconds: float, sample_rate: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """A tone with a little noise, ``(n, channels)``, the channels at different levels."""
    n_samples = round(seconds * sample_rate)
    noise = np.random.default_rng(seed).standard_normal((n_samples, 1))
    tone = 0.4 * np.sin(2 * np.pi * hz * np.arange(n_samples)[:, None] / sample_rate) + 0.05 * noise
    return tone * np.linspace(1.0, 0.5, channels)


@pytest.fixture
def write_tone() -> Callable[..., Path]:
    """Writes a tone and makes the folders above it: ``write_tone(path, hz, seconds, sample_rate, channels)``."""

    def write(path: Path, hz: float = 440.0, seconds: float = 1.0, sample_rate: int = 16000, channels: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, make_tone(hz, seconds, sample_rate, channels), sample_rate)
        return path

    return write


@pytest.fixture(scope="session")
def mixed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes in four formats, several rates and numbers of channels, nested folders, short and long files."""
    root = tmp_path_factory.mktemp("data") / "mixed"
    kinds = [("wav", 44100, 2, 0.6), ("flac", 22050, 1, 2.35), ("ogg", 48000, 2, 1.4), ("mp3", 32000, 1, 3.1)]
    for number, name in enumerate(["alto", "bass", "tenor"]):
        for take, (suffix, rate, channels, seconds) in enumerate(kinds):
            path = root / name / f"player{take % 2}" / f"take {take}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, make_tone(220.0 * (number + 1), seconds, rate, channels, seed=take), rate)
    return root


@pytest.fixture(scope="session")
def tinysol_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """TinySOL with three notes an instrument; mirdata knows its checksums as the version "small"."""
    from mirdata.datasets import tinysol

    root = tmp_path_factory.mktemp("data") / "tinysol"
    taken: dict[str, list[str]] = {}
    for track in _full_index(tinysol)["tracks"].values():
        path = track["audio"][0]
        of_folder = taken.setdefault(path.rpartition("/")[0], [])
        # One note that was shifted in pitch ("R...") for each instrument that has any.
        shifted = "-R" in path or "_R" in path
        if len(of_folder) < _NOTES_PER_INSTRUMENT - 1 or (shifted and len(of_folder) < _NOTES_PER_INSTRUMENT):
            of_folder.append(path)
    paths = [path for of_folder in taken.values() for path in of_folder]
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, make_tone(200.0 + 10 * number, 0.8 + 0.05 * (number % 8), 44100), 44100)
    _write_tinysol_table(root / "annotation" / "TinySOL_metadata.csv", paths)
    with _known_to_mirdata(tinysol, root, {Path(path).stem: {"audio": path} for path in paths}, "TinySOL_metadata"):
        yield root


@pytest.fixture(scope="session")
def medley_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Medley-solos-DB with two clips a class and part; mirdata knows its checksums as the version "small"."""
    from mirdata.datasets import medley_solos_db

    root = tmp_path_factory.mktemp("data") / "medley_solos_db"
    taken: dict[str, list[tuple[str, str]]] = {}
    for uuid, track in _full_index(medley_solos_db)["tracks"].items():
        path = track["audio"][0]
        of_part = taken.setdefault(path.rpartition("_")[0], [])
        if len(of_part) < _CLIPS_PER_PART:
            of_part.append((uuid, path))
    clips = [clip for of_part in taken.values() for clip in of_part]
    rows = []
    for number, (uuid, path) in enumerate(clips):
        part, _, instrument_id = Path(path).stem.split("_")[1].partition("-")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, make_tone(200.0 + 5 * number, 65536 / 22050, 22050), 22050)
        rows.append([part, _MEDLEY_NAMES[int(instrument_id)], instrument_id, 200 + number // 3, uuid])
    table = root / "annotation" / "Medley-solos-DB_metadata.csv"
    table.parent.mkdir(parents=True)
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["subset", "instrument", "instrument_id", "song_id", "uuid4"], *rows])
    with _known_to_mirdata(
        medley_solos_db, root, {uuid: {"audio": path} for uuid, path in clips}, "Medley-solos-DB_metadata"
    ):
        yield root


# Test excerpts of recordings of every part; the last has five labels, the most there are.
_IRMAS_TEST_RECORDINGS = (
    "02 - And The Body Will Die",
    "01 - Canto das três raças",
    "07. Buddy DeFranco & Tommy Gumina - Scrapple from the Apple",
    "08 My favorite game",
    "Lisa Germano - From a Shell",
    "agw_-_03_-_st. elmo's fire",
)
_IRMAS_CODES = ("cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi")


@pytest.fixture(scope="session")
def irmas_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """IRMAS with some excerpts a class and part; mirdata knows their checksums as the version "small".

    Names are the published ones, and so are the label files: what they hold follows from the published checksums. The
    recordings 0672 (acoustic guitar) and 0757 (electric guitar) are the same, as in the published set, and one training
    excerpt is not in mirdata's list.
    """
    from mirdata.datasets import irmas

    root = tmp_path_factory.mktemp("data") / "irmas"
    index = _full_index(irmas)["tracks"]
    taken: dict[str, dict[str, str]] = {}
    counts: Counter[str] = Counter()
    for track_id, files in index.items():
        path = files["audio"][0]
        kind = path.rpartition("/")[0] + ("" if "__[" in path else " without drums")
        song = unicodedata.normalize("NFC", Path(path).stem.rpartition("-")[0])
        wanted = track_id.startswith(("0672__", "0757__"))
        if "Training" in path:
            wanted |= counts[kind] < 5 and not track_id.endswith("__3")
        else:
            wanted |= song in _IRMAS_TEST_RECORDINGS and counts[song] < 3
            kind = song
        if wanted:
            counts[kind] += 1
            taken[track_id] = {"audio": path, "annotation": files["annotation"][0]}
    label_files = _published_irmas_label_files({index[track_id]["annotation"][1] for track_id in taken})
    for number, (track_id, files) in enumerate(taken.items()):
        (root / files["audio"]).parent.mkdir(parents=True, exist_ok=True)
        copied = track_id.partition("__")[0] in ("0672", "0757")
        seed = int(track_id[-1]) if copied else number
        seconds = 1.0 if "__" in track_id else 0.5 + 0.1 * (number % 9)
        tone = make_tone(200.0 + 5 * seed, seconds, 44100, channels=2, seed=seed)
        soundfile.write(root / files["audio"], tone, 44100, subtype="PCM_16")
        if files["annotation"].endswith(".txt"):
            (root / files["annotation"]).write_bytes(label_files[index[track_id]["annotation"][1]])
    unlisted = root / "IRMAS-TrainingData" / "vio" / "[vio][pop_roc]0672__1.wav"
    soundfile.write(unlisted, make_tone(700.0, 1.0, 44100, channels=2), 44100)
    with _known_to_mirdata(irmas, root, taken):
        yield root


def _published_irmas_label_files(checksums: set[str]) -> dict[str, bytes]:
    """Checksum -> what the file holds: up to five codes, each followed by a tab and the end of the line."""
    orders = itertools.chain.from_iterable(itertools.permutations(_IRMAS_CODES, k) for k in range(1, 6))
    texts = ("".join(f"{code}\t\n" for code in codes).encode() for codes in orders)
    by_checksum = ((hashlib.md5(text).hexdigest(), text) for text in texts)
    return {checksum: text for checksum, text in by_checksum if checksum in checksums}


@pytest.fixture(scope="session")
def excerpts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Excerpts in several formats, rates and folders with label files beside them, one of these empty."""
    root = tmp_path_factory.mktemp("data") / "excerpts"
    kinds = {
        "duo/take-1.wav": (44100, 2, 1.3, "cel\t\npia\t\n"),
        "duo/take-2.flac": (22050, 1, 0.4, "Piano\r\n\r\ncello\r\n"),
        "duo/take-10.ogg": (48000, 2, 0.9, " pia "),
        "solo (2)-1.wav": (11025, 1, 1.1, "\ufeffvoi\n"),
        "drums only.wav": (44100, 1, 1.0, " \n\t\n"),
    }
    for number, (path, (rate, channels, seconds, labels)) in enumerate(kinds.items()):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, make_tone(200.0 + 50 * number, seconds, rate, channels, seed=number), rate)
        (root / path).with_suffix(".txt").write_bytes(labels.encode())
    return root


def _full_index(module: Any) -> dict[str, Any]:
    path = module.Dataset(data_home="/nowhere").index_path
    if not Path(path).exists():
        pytest.skip(f"this mirdata downloads its index ({Path(path).name})")
    index: dict[str, Any] = json.loads(Path(path).read_text())
    return index


def _write_tinysol_table(path: Path, audio_paths: list[str]) -> None:
    """The published table's columns, filled from what the file names say."""
    header = "Path,Fold,Family,Instrument (abbr.),Instrument (in full),Technique (abbr.),Technique (in full),Pitch,"
    header += "Pitch ID,Dynamics,Dynamics ID,Instance ID,String ID,Resampled"
    rows = [header.split(",")]
    for number, audio_path in enumerate(audio_paths):
        _, family, _, technique, _ = audio_path.split("/")
        short, abbreviated, pitch, dynamics, string, tuning = Path(audio_path).stem.split("-", 5)
        string_id = string[0] if string.endswith("c") else ""
        row = [audio_path.removeprefix("audio/"), number % 5, family, short, _TINYSOL_NAMES[short], abbreviated]
        row += [technique, pitch, 60, dynamics, _DYNAMICS.index(dynamics), 0, string_id, str("R" in tuning).upper()]
        rows.append(row)
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@contextmanager
def _known_to_mirdata(
    module: Any, root: Path, tracks: dict[str, dict[str, str]], table: str | None = None
) -> Iterator[None]:
    """Adds an index of the small tree to a mirdata module, with the checksums of the files as they are now."""
    from mirdata import core

    def entry(path: str) -> list[str]:
        return [path, hashlib.md5((root / path).read_bytes()).hexdigest()]

    index = {
        "version": "small",
        "tracks": {track_id: {kind: entry(path) for kind, path in files.items()} for track_id, files in tracks.items()},
        **({} if table is None else {"metadata": {table: entry(f"annotation/{table}.csv")}}),
    }
    index_path = root.parent / f"{root.name}_index.json"
    index_path.write_text(json.dumps(index))
    module.INDEXES["small"] = core.Index(filename=str(index_path))
    yield
    del module.INDEXES["small"]


@pytest.fixture(scope="session")
def long_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of two stereo recordings, of 3.3 s, and of 5 s with silence in between."""
    root = tmp_path_factory.mktemp("data") / "long"
    for name, hz in [("high", 880.0), ("low", 110.0)]:
        (root / name).mkdir(parents=True)
        for piece, seconds in enumerate([3.3, 5.0]):
            wave = make_tone(hz, seconds, 22050, channels=2, seed=piece)
            if piece == 1:
                wave[1 * 22050 : 3 * 22050] = 0.0
            soundfile.write(root / name / f"piece {piece}.wav", wave, 22050)
    return root


#: Track -> (has_bleed, labels of its stems), as in MedleyDB's metadata, where one stem may have several labels.
_MEDLEYDB_TRACKS: dict[str, tuple[str, list[str | list[str]]]] = {
    "AimeeNorwich_Child": ("no", ["violin", "piano", "fx/processed sound"]),
    "AimeeNorwich_Flying": ("yes", ["violin section", ["male singer", "vocalists"], "tack piano"]),
    "MusicDelta_Vivaldi": ("no", ["double bass", "viola section", "violin section", "Main System"]),
}


@pytest.fixture(scope="session")
def medleydb_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MedleyDB with three tracks: two with metadata beside the audio, as first published, one with it in Metadata/."""
    import yaml

    root = tmp_path_factory.mktemp("data") / "MedleyDB"
    for number, (track, (bleed, labels)) in enumerate(_MEDLEYDB_TRACKS.items()):
        folder = root / ("V2" if number == 2 else "Audio") / track
        (folder / f"{track}_STEMS").mkdir(parents=True)
        (folder / f"{track}_RAW").mkdir()
        stems: dict[str, Any] = {}
        for k, label in enumerate(labels, start=1):
            file = f"{track}_STEM_{k:02}.wav"
            tone = make_tone(150.0 + 40 * k + 7 * number, 2.5, 22050, channels=2, seed=k)
            soundfile.write(folder / f"{track}_STEMS" / file, tone, 22050)
            raw = f"{track}_RAW_{k:02}_01.wav"
            soundfile.write(folder / f"{track}_RAW" / raw, tone[:22050], 22050)
            raws = {"R01": {"filename": raw, "instrument": label}}
            stems[f"S{k:02}"] = {"component": "", "filename": file, "instrument": label, "raw": raws}
        soundfile.write(folder / f"{track}_MIX.wav", make_tone(100.0, 2.5, 22050), 22050)
        content = {
            "album": "",
            "artist": track.partition("_")[0],
            "has_bleed": bleed,
            "mix_filename": f"{track}_MIX.wav",
            "raw_dir": f"{track}_RAW",
            "stem_dir": f"{track}_STEMS",
            "stems": stems,
            "title": track.partition("_")[2],
            "version": 1.2,
        }
        described = root / "Metadata" if number == 2 else folder
        described.mkdir(exist_ok=True)
        (described / f"{track}_METADATA.yaml").write_text(yaml.safe_dump(content))
        (described / f"._{track}_METADATA.yaml").write_bytes(b"\x00\x05\x16\x07 made by a Mac")
    return root


@pytest.fixture(scope="session")
def katunog_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of the Katunog collection as they are downloaded, in folders of Hornbostel's and Sachs' classes."""
    root = tmp_path_factory.mktemp("data") / "katunog"
    recordings = {
        "idiophones/PIISD02606__kulintang/gong 1.wav": 0.6,
        "idiophones/PIISD02606__kulintang/Reference performance.wav": 2.2,
        "idiophones/PIISD02611__Kolintang (Maranao)/gong 1.wav": 1.2,
        "idiophones/Balingbing/first/a.wav": 1.4,
        "idiophones/Balingbing/first/b.wav": 1.1,
        "idiophones/Balingbing/second/a.wav": 1.3,
        "chordophones/bamboo_zither/a.wav": 1.7,
    }
    for number, (path, seconds) in enumerate(recordings.items()):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, make_tone(200.0 + 30 * number, seconds, 16000, seed=number), 16000)
    return root


_SPEECH_WORDS = (
    "backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four", "go", "happy",
    "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven", "sheila", "six", "stop",
    "three", "tree", "two", "up", "visual", "wow", "yes", "zero",
)  # fmt: skip
_NOISES = ("doing_the_dishes", "dude_miaowing", "exercise_bike", "pink_noise", "running_tap", "white_noise")


def speech_subset(speaker: str) -> str:
    """The rule that made the official lists, as the data set's README gives it: a hash of the speaker decides."""
    share = (int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27) * 100 / (2**27 - 1)
    return "validation" if share < 10 else "testing" if share < 20 else "training"


@pytest.fixture(scope="session")
def speech_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech Commands as its archive unpacks: all words, each by 8 speakers, some of them twice, and noise."""
    root = tmp_path_factory.mktemp("data") / "speech_commands"
    wanted = {"training": 4, "validation": 2, "testing": 2}
    speakers: list[str] = []
    for number in itertools.count():
        speaker = hashlib.md5(str(number).encode()).hexdigest()[:8]
        if wanted[speech_subset(speaker)] > 0:
            wanted[speech_subset(speaker)] -= 1
            speakers.append(speaker)
        if not any(wanted.values()):
            break
    lists: dict[str, list[str]] = {"validation": [], "testing": []}
    for w, word in enumerate(_SPEECH_WORDS):
        (root / word).mkdir(parents=True)
        for s, speaker in enumerate(speakers):
            for take in range(1 + (s % 3 == 0)):
                path = f"{word}/{speaker}_nohash_{take}.wav"
                tone = make_tone(120.0 + 25 * w + 3 * s, 1.0 if s == 0 else 0.2 + 0.01 * s, 16000, seed=take)
                soundfile.write(root / path, tone, 16000, subtype="PCM_16")
                if speech_subset(speaker) != "training":
                    lists[speech_subset(speaker)].append(path)
    (root / "_background_noise_").mkdir()
    for n, name in enumerate(_NOISES):
        tone = make_tone(50.0 + n, 10.4 + n, 16000, seed=n)
        soundfile.write(root / "_background_noise_" / f"{name}.wav", tone, 16000, subtype="PCM_16")
    for part, paths in lists.items():
        (root / f"{part}_list.txt").write_text("\n".join(paths) + "\n")
    for name in ("README.md", "LICENSE", ".DS_Store", "_background_noise_/README.md"):
        (root / name).write_text("...")
    return root


@dataclass
class FileServer:
    """What a test knows of the server.

    Attributes:
        folder: what lies there is served.
        url: of the folder.
        ends_after: name -> number of bytes after which the connection ends.
        ranges: whether the server gives parts of files.
        asked: name and range of every request.
    """

    folder: Path
    url: str = ""
    ends_after: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def file_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Files by HTTP on this machine, parts of them too, with connections that end early where a test says so."""
    server = FileServer(tmp_path / "served")
    server.folder.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.lstrip("/"), self.headers.get("Range")
            server.asked.append((name, wanted))
            if not (server.folder / name).is_file():
                self.send_error(404)
                return
            content = (server.folder / name).read_bytes()
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
            if start > len(content) or (start and start == len(content)):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            self.wfile.write(content[start : server.ends_after.get(name)])

        def log_message(self, *_: object) -> None:
            pass

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.url = f"http://127.0.0.1:{http_server.server_address[1]}"
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    http_server.shutdown()
    http_server.server_close()
    thread.join()
