from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from musicfsl.backbones import Cnn14, PannsMultiBand, _panns_checkpoints
from musicfsl.backbones._panns_checkpoints import PANNS_CHECKPOINTS, PannsCheckpoint, read_panns
from musicfsl.errors import CheckpointError, InputError

SMALL = {"widths": (4, 6, 8, 10, 12, 16), "dim": 20}
# What the 16 kHz file holds beside its weights.
SAMPLER = {"indexes": np.arange(7), "pointer": np.int64(3), "queue": [np.zeros(2)]}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("beside", [{}, {"sampler": SAMPLER}])
def test_reads_both_kinds_of_file(
    zipped: bool, beside: dict, published: Callable[..., Path], small_reference: Callable[[int], nn.Module]
) -> None:
    before = torch.serialization.get_safe_globals()
    weights = read_panns(published(16000, zipped, **beside))
    assert set(torch.serialization.get_safe_globals()) == set(before)
    assert weights.sample_rate == 16000
    expected = small_reference(16000).state_dict()
    assert weights.state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in weights.state.items())


def test_reads_arrays_that_an_old_numpy_wrote(published: Callable[..., Path]) -> None:
    path = published(16000, zipped=False, sampler=SAMPLER)
    content = path.read_bytes()
    assert b"numpy._core.multiarray\n" in content or b"numpy.core.multiarray\n" in content
    for old, new in ((b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")):
        path.write_bytes(content.replace(old + b".multiarray\n", new + b".multiarray\n"))
        assert read_panns(path).sample_rate == 16000


def test_weights_alone_are_fine(small_reference: Callable[[int], nn.Module], tmp_path: Path) -> None:
    torch.save(small_reference(32000).state_dict(), tmp_path / "weights.pth")
    assert Cnn14.from_pretrained(tmp_path / "weights.pth", **SMALL).sample_rate == 32000


@pytest.mark.parametrize(("own", "wanted", "other"), [(16000, 32000, "Cnn14_mAP"), (32000, 16000, "Cnn14_16k_mAP")])
def test_the_wrong_rate(own: int, wanted: int, other: str, published: Callable[..., Path]) -> None:
    assert Cnn14.from_pretrained(published(own), sample_rate=own, **SMALL).sample_rate == own
    with pytest.raises(CheckpointError, match=rf"was trained on sound of {own} Hz, not {wanted} Hz; take {other}.* or"):
        Cnn14.from_pretrained(published(own), sample_rate=wanted, **SMALL)


def test_the_wrong_rate_of_a_name_is_found_before_a_download(no_download: None) -> None:
    with pytest.raises(CheckpointError, match=r"Cnn14_16k_mAP=0.438 was trained on sound of 16000 Hz, not 32000 Hz"):
        Cnn14.from_pretrained("Cnn14_16k_mAP=0.438", sample_rate=32000)
    with pytest.raises(CheckpointError, match="not 22050 Hz; take sample_rate=32000"):
        Cnn14.from_pretrained("Cnn14_mAP=0.431", sample_rate=22050)


def test_another_width(published: Callable[..., Path]) -> None:
    with pytest.raises(
        CheckpointError,
        match=r"holds a network of another size: 'conv_block1.conv1.weight' has the shape \(4, 1, 3, 3\), not \(8, 1",
    ):
        Cnn14.from_pretrained(published(), **{**SMALL, "widths": (8, 6, 8, 10, 12, 16)})
    with pytest.raises(CheckpointError, match=r"'fc_audioset.weight' has the shape \(527, 20\), not \(50, 20\)"):
        Cnn14.from_pretrained(published(), n_classes=50, **SMALL)


@pytest.mark.parametrize("missing", ["conv_block6.", "fc_audioset.", "bn0.running_var", "logmel_extractor.melW"])
def test_another_model(missing: str, published: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match=rf"pth holds no CNN14 of PANNs: '{missing}.* is missing; give"):
        Cnn14.from_pretrained(published(without=missing), **SMALL)


def _change(path: Path, name: str, change: Callable[[Tensor], Tensor]) -> Path:
    content = torch.load(path, weights_only=True)
    content["model"][name] = change(content["model"][name])
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("logmel_extractor.melW", lambda filters: filters.flip(1)),
        ("logmel_extractor.melW", lambda filters: filters[:-1]),
        ("spectrogram_extractor.stft.conv_real.weight", torch.ones_like),
        ("spectrogram_extractor.stft.conv_real.weight", lambda basis: basis[..., 1:]),
    ],
)
def test_another_front_end(name: str, change: Callable[[Tensor], Tensor], published: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match="has a front end of its own .* its sample rate cannot be told"):
        read_panns(_change(published(), name, change))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_is_cut_off(zipped: bool, share: float, published: Callable[..., Path]) -> None:
    path = published(zipped=zipped)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=r"checkpoint.pth is cut off, damaged, or no file of weights"):
        read_panns(path)


class _Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_no_code_is_run(tmp_path: Path) -> None:
    torch.save({"model": _Runs(tmp_path / "ran")}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match=r"bad.pth is cut off, .* no file of weights \(UnpicklingError\)"):
        read_panns(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1, 2], {"model": [1]}, {"model": {"a": 1}}, {}, torch.zeros(2)])
def test_no_weights(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="other.pth holds no weights of PANNs: expected a dictionary"):
        read_panns(tmp_path / "other.pth")


def test_neither_a_file_nor_a_name() -> None:
    with pytest.raises(InputError, match="'Cnn14_mAP=0.43' is neither .*Did you mean 'Cnn14_mAP=0.431'"):
        Cnn14.from_pretrained("Cnn14_mAP=0.43")


def test_the_blocks_of_several_bands_are_the_published_ones(
    published: Callable[..., Path], small_reference: Callable[[int], nn.Module]
) -> None:
    encoder = PannsMultiBand.from_pretrained(published(16000), widths=SMALL["widths"], trunk_dim=20, dim=8)
    reference = small_reference(16000)
    x = torch.randn(2, 1, 40, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # The reference behind its own normalisation of the input: blocks, pooling, last layer.
        y = x
        for i in range(1, 7):
            y = getattr(reference, f"conv_block{i}")(y, pool_size=(1, 1) if i == 6 else (2, 2))
        y = y.mean(dim=3)
        expected = torch.relu(reference.fc1(y.max(dim=2).values + y.mean(dim=2)))
        torch.testing.assert_close(encoder.backbone.trunk(x), expected, rtol=0.0, atol=1e-4)
    assert expected.std() > 0.05


class TestDownload:
    def test_by_name_once(
        self, server: str, published: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        _publish(monkeypatch, f"{server}/checkpoint.pth", published().read_bytes())
        encoder = Cnn14.from_pretrained("Cnn14_mAP=0.431", **SMALL, cache_dir=tmp_path / "cache", progress=False)
        assert [path.name for path in (tmp_path / "cache" / "panns").iterdir()] == ["Cnn14_mAP=0.431.pth"]
        _publish(monkeypatch, "http://127.0.0.1:9/none", published().read_bytes())  # the file is there now
        again = Cnn14.from_pretrained("Cnn14_mAP=0.431.pth", **SMALL, cache_dir=tmp_path / "cache", progress=False)
        assert torch.equal(encoder.backbone.trunk.last.weight, again.backbone.trunk.last.weight)

    def test_a_wrong_checksum_leaves_nothing(
        self, server: str, published: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        published()
        _publish(monkeypatch, f"{server}/checkpoint.pth", b"what was published")
        with pytest.raises(CheckpointError, match=r"Cnn14_mAP=0.431 cannot be downloaded \(.*hash.*\); fetch http"):
            read_panns("Cnn14_mAP=0.431", cache_dir=tmp_path / "cache", progress=False)
        assert not list((tmp_path / "cache" / "panns").iterdir())

    def test_no_network(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: str) -> None:
        _publish(monkeypatch, f"{server}/nothing.pth", b"")
        with pytest.raises(CheckpointError, match=r"be downloaded \(404.* put it at .*panns/Cnn14_mAP=0.431.pth"):
            read_panns("Cnn14_mAP=0.431", cache_dir=tmp_path, progress=False)


@pytest.mark.parametrize("name", PANNS_CHECKPOINTS)
def test_the_table(name: str) -> None:
    published = PANNS_CHECKPOINTS[name]
    assert f"/3987831/files/{name.replace('=', '%3D')}.pth" in published.url
    assert len(bytes.fromhex(published.md5)) == 16
    assert ("16k" in name) == (published.sample_rate == 16000)


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise AssertionError("a download was begun")

    monkeypatch.setattr(_panns_checkpoints, "_download", refuse)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serves the test's folder on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    folder = str(tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=folder)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def _publish(monkeypatch: pytest.MonkeyPatch, url: str, content: bytes) -> None:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    monkeypatch.setitem(PANNS_CHECKPOINTS, "Cnn14_mAP=0.431", PannsCheckpoint(32000, url, md5, len(content)))
