"""Speech Commands on a small tree as the published archive unpacks, and torchaudio's reading of it beside ours."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from musicfsl.audio import load_audio
from musicfsl.cli import main
from musicfsl.datasets import SpeechCommands, speech_commands
from musicfsl.episodes import EpisodeSampler
from musicfsl.errors import DatasetError, InputError

ARCHIVE = "speech_commands_v0.02.tar.gz"


@pytest.fixture
def copied_root(speech_root: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(speech_root, tmp_path / "speech_commands"))


def test_published_numbers() -> None:
    """Warden (2018): 105,829 recordings of 35 words."""
    assert len(speech_commands.N_RECORDINGS) == 35 and sum(speech_commands.N_RECORDINGS.values()) == 105_829


@pytest.mark.parametrize("subset", ["training", "validation", "testing", None])
def test_is_read_as_torchaudio_reads_it(speech_root: Path, subset: Any) -> None:
    torchaudio = pytest.importorskip("torchaudio")
    reference = torchaudio.datasets.SPEECHCOMMANDS(
        speech_root.parent.parent, folder_in_archive=speech_root.parent.name, url=speech_root.name, subset=subset
    )
    rows = [reference.get_metadata(i) for i in range(len(reference))]
    expected = {"/".join(Path(row[0]).parts[-2:]): (row[2], row[3]) for row in rows}
    dataset = SpeechCommands(speech_root, subset=subset)
    assert dataset.groups is not None
    found = {
        path: (dataset.classes[dataset.targets[i]], dataset.group_names[dataset.groups[i]])
        for i, path in enumerate(dataset.paths)
    }
    assert found == expected and len(found) > 35
    if subset is not None:
        assert set(dataset.part) == {subset}


def test_checksum_is_the_one_that_torchaudio_has() -> None:
    pytest.importorskip("torchaudio")
    from torchaudio.datasets.speechcommands import _CHECKSUMS

    assert _CHECKSUMS[speech_commands._URL] == speech_commands._CHECKSUM


def test_subsets_share_no_speaker_and_miss_nothing(speech_root: Path) -> None:
    parts = [SpeechCommands(speech_root, subset=part) for part in ("training", "validation", "testing")]
    speakers = [{*part.group_names} for part in parts]
    assert not speakers[0] & speakers[1] | speakers[0] & speakers[2] | speakers[1] & speakers[2]
    together = SpeechCommands(speech_root)
    assert sorted(path for part in parts for path in part.paths) == together.paths
    assert len(together.classes) == 35 and not together.is_synthetic
    assert Counter(together.part) == {part.part[0]: len(part) for part in parts}


def test_episodes_keep_speakers_apart(speech_root: Path) -> None:
    dataset = SpeechCommands(speech_root)
    drawn = EpisodeSampler(dataset.targets, 5, 2, 3, 0, dataset.groups, dataset.classes).draw(0, 30)
    for support, query in zip(dataset.groups[drawn.support], dataset.groups[drawn.query], strict=True):
        assert all(not {*s} & {*q} for s, q in zip(support.tolist(), query.tolist(), strict=True))


def test_sound(speech_root: Path) -> None:
    dataset = SpeechCommands(speech_root)
    i = int(np.argmin(dataset.lengths))
    x, _ = dataset[i]
    wave = load_audio(dataset.path(i), 16000)
    assert x.shape == (1, 16000) and wave.shape[1] < 16000
    np.testing.assert_array_equal(x[:, : wave.shape[1]], wave)
    assert not x[:, wave.shape[1] :].any()
    with pytest.raises(DatasetError, match="shorter than 1 s"):
        SpeechCommands(speech_root, short="refuse")


class TestSilence:
    def test_is_cut_from_the_noise(self, speech_root: Path) -> None:
        without, dataset = SpeechCommands(speech_root), SpeechCommands(speech_root, silence=True)
        assert dataset.classes == ["_silence_", *without.classes]
        pieces = dataset.class_to_indices["_silence_"]
        assert len(pieces) == len(dataset) - len(without) == 10 + 11 + 12 + 13 + 14 + 15  # whole seconds of each
        for i in pieces[[0, 13, -1]]:
            noise, rate = soundfile.read(dataset.path(i), dtype="float32")
            start = int(dataset.starts[i])
            np.testing.assert_array_equal(dataset.read(int(i))[0], noise[start : start + rate])
        assert {dataset.item_name(int(i)).rpartition("/")[2] for i in pieces} == {
            path.name for path in (speech_root / "_background_noise_").glob("*.wav")
        }
        words = [i for i in range(len(dataset)) if i not in {*pieces.tolist()}]
        assert [dataset.paths[dataset.file_of[i]] for i in words] == without.paths

    def test_pieces_of_the_subsets_share_no_sound(self, speech_root: Path) -> None:
        places = {}
        for part in ("training", "validation", "testing", None):
            dataset = SpeechCommands(speech_root, subset=part, silence=True)
            pieces = dataset.class_to_indices["_silence_"]
            places[part] = {(dataset.paths[dataset.file_of[i]], int(dataset.starts[i])) for i in pieces}
            assert {dataset.part[i] for i in pieces} == ({part} if part else {"training", "validation", "testing"})
        everything = places.pop(None)
        assert sum(map(len, places.values())) == len(everything) == len(set().union(*places.values()))
        assert [len(places[part]) for part in ("training", "validation", "testing")] == [60, 9, 6]

    def test_follows_the_sample_rate_and_the_duration(self, speech_root: Path) -> None:
        dataset = SpeechCommands(speech_root, subset="testing", silence=True, sample_rate=8000, duration=None)
        pieces = dataset.class_to_indices["_silence_"]
        assert set(dataset.lengths[pieces]) == {8000} and dataset[pieces[0]][0].shape == (1, 8000)
        assert dataset.with_length(100)[int(pieces[-1])][0].shape == (1, 100)

    def test_needs_the_noise(self, copied_root: Path) -> None:
        shutil.rmtree(copied_root / "_background_noise_")
        SpeechCommands(copied_root)
        with pytest.raises(DatasetError, match="holds no recordings of background noise in _background_noise_"):
            SpeechCommands(copied_root, silence=True)
        soundfile_at = copied_root / "_background_noise_" / "white_noise.wav"
        soundfile_at.parent.mkdir()
        soundfile.write(soundfile_at, np.ones(8000) * 0.1, 16000)
        with pytest.raises(DatasetError, match="too short for pieces of 1 s for any subset; ask for silence=False"):
            SpeechCommands(copied_root, silence=True)


class TestMistakes:
    def test_settings(self, speech_root: Path) -> None:
        with pytest.raises(InputError, match="subset is 'test'; expected 'training', 'validation', 'testing', or None"):
            SpeechCommands(speech_root, subset="test")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="no class split 'few_shot'. Did you mean 'few-shot'"):
            SpeechCommands.class_split("few_shot")

    def test_nothing_there(self, tmp_path: Path) -> None:
        for root in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(DatasetError, match="speech_commands is not in .*; run 'musicfsl data prepare speech_c"):
                SpeechCommands(root)

    @pytest.mark.parametrize("name", ["validation_list.txt", "testing_list.txt"])
    def test_without_a_list(self, copied_root: Path, name: str) -> None:
        (copied_root / name).unlink()
        with pytest.raises(DatasetError, match=rf"without {name} nobody knows .*No such file.*data prepare"):
            SpeechCommands(copied_root)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (
                "bed\\0a7c2a8d_nohash_0.wav",
                r"validation_list.txt, line 2: 'bed\\0a7c2a8d_nohash_0.wav' is no recording",
            ),
            ("../bed/0a7c2a8d_nohash_0.wav", "line 2: .* is no recording of speech_commands; delete the file and run"),
            ("bed/0a7c2a8d.wav", "line 2: 'bed/0a7c2a8d.wav' is no recording"),
            ("{of the other list}", "stands in both lists"),
        ],
    )
    def test_damaged_list(self, copied_root: Path, line: str, message: str) -> None:
        other = (copied_root / "testing_list.txt").read_text().splitlines()[0]
        file = copied_root / "validation_list.txt"
        first = file.read_text().splitlines()[0]
        file.write_text(f"{first}\n{line.replace('{of the other list}', other)}\n")
        with pytest.raises(DatasetError, match=message):
            SpeechCommands(copied_root)

    def test_unknown_folders_and_names(self, copied_root: Path) -> None:
        (copied_root / "bed" / "noise.wav").write_bytes(b"")
        with pytest.raises(DatasetError, match="bed/noise.wav is not named like the recordings.*speaker is unknown"):
            SpeechCommands(copied_root)
        (copied_root / "bed" / "noise.wav").unlink()
        (copied_root / "sofa").mkdir()
        with pytest.raises(DatasetError, match="folders that are no words of speech_commands: sofa; move them"):
            SpeechCommands(copied_root)

    def test_missing_recordings_are_counted(self, copied_root: Path) -> None:
        listed = (copied_root / "testing_list.txt").read_text().splitlines()[3]
        (copied_root / listed).unlink()
        with pytest.warns(UserWarning, match=f"lacks 1 recordings of speech_commands .* such as {listed}"):
            dataset = SpeechCommands(copied_root, subset="testing")
        assert listed not in dataset.paths

    def test_subset_without_recordings(self, copied_root: Path) -> None:
        for name in ("validation_list.txt", "testing_list.txt"):
            (copied_root / name).write_text("\n")
        with pytest.raises(DatasetError, match="holds no recordings of the subset 'testing'"):
            SpeechCommands(copied_root, subset="testing")


def test_validate(copied_root: Path, published: None) -> None:
    n_recordings, problems = SpeechCommands.validate(copied_root)
    assert n_recordings == len(SpeechCommands(copied_root)) and problems == []
    listed = (copied_root / "testing_list.txt").read_text().splitlines()[0]
    (copied_root / listed).unlink()
    dataset = SpeechCommands(copied_root, subset="training")
    dataset.path(0).write_bytes(b"no recording")
    dataset.path(1).unlink()
    (copied_root / "_background_noise_" / "pink_noise.wav").write_bytes(b"")
    _, problems = SpeechCommands.validate(copied_root)
    assert [problem.path for problem in problems] == [
        listed, "backward", dataset.paths[0], "_background_noise_/pink_noise.wav"
    ]  # fmt: skip
    assert problems[0].reason == "is missing" and problems[1].reason == "9 of 11 recordings are there"


@pytest.fixture
def published(speech_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small tree is all that was published."""
    counts = {word: len([*(speech_root / word).iterdir()]) for word in speech_commands.N_RECORDINGS}
    monkeypatch.setattr(speech_commands, "N_RECORDINGS", counts)


class TestPrepare:
    @pytest.fixture
    def shelf(self, speech_root: Path, file_server: Any, published: None, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The small tree as an archive on a server, whose members begin with "./" as the published one's do."""
        with tarfile.open(file_server.folder / ARCHIVE, "w:gz", compresslevel=1) as packed:
            packed.add(speech_root, ".")
        publish(file_server, monkeypatch)
        return file_server

    def test_downloads_unpacks_and_checks(self, shelf: Any, speech_root: Path, tmp_path: Path, capsys: Any) -> None:
        root = tmp_path / "new"
        code, printed = prepare(root, capsys)
        assert code == 0 and json.loads(printed)["ok"]
        assert SpeechCommands(root, silence=True).paths == SpeechCommands(speech_root, silence=True).paths
        assert sorted(path.name for path in root.iterdir()) == sorted(path.name for path in speech_root.iterdir())
        asked = len(shelf.asked)
        assert prepare(root, capsys)[0] == 0 and len(shelf.asked) == asked  # all is there

    def test_what_was_interrupted_goes_on(self, shelf: Any, tmp_path: Path, capsys: Any) -> None:
        root = tmp_path / "new"
        shelf.ends_after[ARCHIVE] = 10_000
        code, printed = prepare(root, capsys)
        assert code == 2 and "speech_commands could not be downloaded" in printed and "after 10000 of" in printed
        assert "run 'musicfsl data prepare speech_commands' again, or unpack http" in printed
        assert [path.name for path in root.iterdir()] == [".download"]  # nothing half-way is in place
        shelf.ends_after.clear()
        shelf.asked.clear()
        assert prepare(root, capsys)[0] == 0
        assert shelf.asked == [(ARCHIVE, "bytes=10000-")]

    def test_another_archive_is_not_used(self, shelf: Any, tmp_path: Path, capsys: Any) -> None:
        content = bytearray((shelf.folder / ARCHIVE).read_bytes())
        content[len(content) // 2] ^= 1
        (shelf.folder / ARCHIVE).write_bytes(content)
        code, printed = prepare(tmp_path / "new", capsys)
        assert code == 2 and "SHA-256 checksum is not the published one" in printed
        assert [path for path in (tmp_path / "new").rglob("*") if path.is_file()] == []

    @pytest.mark.parametrize("name", ["./../escaped.wav", "/{root}/escaped.wav", "./bed/../../escaped.wav"])
    def test_what_leads_outside_is_refused(
        self, shelf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str
    ) -> None:
        add(shelf, monkeypatch, tarfile.TarInfo(name.replace("{root}", str(tmp_path))), b"gotcha")
        code, printed = prepare(tmp_path / "new", capsys)
        assert code == 2 and "which leads outside its folder" in printed
        assert not [*tmp_path.rglob("escaped.wav")] and not [*(tmp_path / "new").glob("*_list.txt")]

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
    def test_links_are_refused(
        self, shelf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, kind: bytes
    ) -> None:
        member = tarfile.TarInfo("./bed/0a7c2a8d_nohash_0.wav")
        member.type, member.linkname = kind, "/etc/hostname"
        add(shelf, monkeypatch, member, b"")
        code, printed = prepare(tmp_path / "new", capsys)
        assert code == 2 and "which is a link or a device" in printed
        assert not [*(tmp_path / "new").glob("*_list.txt")]


def add(server: Any, monkeypatch: pytest.MonkeyPatch, member: tarfile.TarInfo, content: bytes) -> None:
    """Puts a member at the end of the archive, which is then published like this."""
    path = server.folder / ARCHIVE
    with tarfile.open(path) as packed:
        members = [(m, packed.extractfile(m).read() if m.isfile() else b"") for m in packed]  # type: ignore[union-attr]
    member.size = len(content)
    with tarfile.open(path, "w:gz", compresslevel=1) as packed:
        for info, data in [*members, (member, content)]:
            packed.addfile(info, io.BytesIO(data))
    publish(server, monkeypatch)


def publish(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (server.folder / ARCHIVE).read_bytes()
    monkeypatch.setattr(speech_commands, "_URL", f"{server.url}/{ARCHIVE}")
    monkeypatch.setattr(speech_commands, "_CHECKSUM", hashlib.sha256(content).hexdigest())


def prepare(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["data", "prepare", "speech_commands", "--root", str(root), "--json"])
    captured = capsys.readouterr()
    return code, captured.out + captured.err
