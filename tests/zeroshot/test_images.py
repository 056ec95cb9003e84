"""ImageVectors: against a plain loop over torchvision; the cache; layouts; images of all kinds, good and bad."""

from __future__ import annotations

import json
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from musicfsl.errors import CacheError, CheckpointError, DatasetError, InputError
from musicfsl.zeroshot import _resnet
from musicfsl.zeroshot._image_files import load_image
from musicfsl.zeroshot.images import ImageVectors
from musicfsl.zeroshot.side_information import UnknownNameError

Image = pytest.importorskip("PIL.Image", reason="Pillow comes with the extra zeroshot")
models = pytest.importorskip("torchvision.models", reason="torchvision comes with the extra zeroshot")
transforms = pytest.importorskip("torchvision.transforms", reason="torchvision comes with the extra zeroshot")

WEIGHTS = "resnet18-f37072fd.pth"


@pytest.fixture(scope="module")
def network() -> Any:
    """A ResNet-18 with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.resnet18(weights=None).eval()


@pytest.fixture
def torch_home(network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those weights where torch.hub keeps the published ones, in the older format that these have."""
    home = tmp_path / "torch"
    (home / "hub" / "checkpoints").mkdir(parents=True)
    state = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    torch.save(state, home / "hub" / "checkpoints" / WEIGHTS, _use_new_zipfile_serialization=False)
    monkeypatch.setenv("TORCH_HOME", str(home))
    # Random weights cannot have the hash that the name of the published file promises.
    monkeypatch.setattr(_resnet, "_sha256", lambda path: path.stem.rpartition("-")[2] + "0" * 56)
    return home


def picture(seed: int, width: int = 40, height: int = 30) -> Any:
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 5, width // 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes: three images (one of them grey) and one."""
    root = tmp_path / "pictures"
    (root / "double_bass" / "more").mkdir(parents=True)
    (root / "Flute").mkdir()
    picture(0).save(root / "double_bass" / "a.png")
    picture(1, 300, 260).save(root / "double_bass" / "b.jpg")
    picture(2).convert("L").save(root / "double_bass" / "more" / "c.PNG")
    picture(3).save(root / "Flute" / "d.bmp")
    return root


@pytest.fixture
def open_images(tmp_path: Path, torch_home: Path) -> Callable[..., ImageVectors]:
    def open_with(folder: Path, **options: Any) -> ImageVectors:
        return ImageVectors(folder, **{"model": "resnet18", "cache_dir": tmp_path / "cache", **options})

    return open_with


def test_equals_a_plain_loop(folder: Path, network: Any, open_images: Callable[..., ImageVectors]) -> None:
    """Image by image, through transforms put together by hand and the network's own layers."""
    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    layers = torch.nn.Sequential(*list(network.children())[:-1])
    features = []
    for path in ("a.png", "b.jpg", "more/c.PNG"):
        with Image.open(folder / "double_bass" / path) as image, torch.no_grad():
            features.append(layers(prepare(image.convert("RGB")).unsqueeze(0)).flatten().numpy())
    images = open_images(folder, batch_size=2)
    np.testing.assert_allclose(images.image_vectors("Contrabass"), features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(images.vector("double bass"), np.mean(features, axis=0), rtol=1e-4, atol=1e-5)
    assert images(["flute", "contrabass"]).shape == (2, images.dim) == (2, 512)


def test_names_provenance_and_knows(folder: Path, open_images: Callable[..., ImageVectors], tmp_path: Path) -> None:
    images = open_images(folder)
    assert images.known_names() == ["Flute", "Contrabass"]
    assert images.knows("upright bass") and not images.knows("Oboe")
    about = images.provenance()
    json.dumps(about)
    assert about["n_images"] == {"Flute": 1, "Contrabass": 3} and about["weights"] == WEIGHTS
    assert not (tmp_path / "cache").exists()  # nothing was computed for all that
    with pytest.raises(UnknownNameError, match=r"no images of 'Fluete X'; add a folder .* nearest known .* Flute"):
        images.vector("Fluete X")


def test_stored_vectors_need_no_weights_and_follow_the_content(
    folder: Path, open_images: Callable[..., ImageVectors], torch_home: Path, tmp_path: Path
) -> None:
    first = open_images(folder).image_vectors("Contrabass")
    shutil.rmtree(torch_home)
    np.testing.assert_array_equal(open_images(folder, batch_size=1).image_vectors("Contrabass"), first)
    # Another name changes nothing but the order of the files, ...
    (folder / "double_bass" / "a.png").rename(folder / "double_bass" / "z.png")
    np.testing.assert_array_equal(open_images(folder).image_vectors("Contrabass"), first[[1, 2, 0]])
    # ... and another content is computed anew, which needs the weights.
    picture(9).save(folder / "double_bass" / "z.png")
    with pytest.raises(CheckpointError, match=WEIGHTS):
        _without_network(open_images(folder).image_vectors, "Contrabass")
    assert len(list((tmp_path / "cache" / "images").iterdir())) == 1


def test_the_same_image_twice_counts_twice(folder: Path, open_images: Callable[..., ImageVectors]) -> None:
    shutil.copy(folder / "Flute" / "d.bmp", folder / "Flute" / "e.bmp")
    vectors = open_images(folder).image_vectors("Flute")
    assert vectors.shape == (2, 512)
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_damaged_cache(folder: Path, open_images: Callable[..., ImageVectors], tmp_path: Path) -> None:
    open_images(folder).vector("Flute")
    (stored,) = (tmp_path / "cache" / "images").iterdir()
    (stored / "vectors.npy").write_bytes((stored / "vectors.npy").read_bytes()[:100])
    with pytest.raises(CacheError, match="are damaged .* delete the folder"):
        open_images(folder).vector("Flute")


def test_an_interrupted_computation_leaves_nothing(
    folder: Path, open_images: Callable[..., ImageVectors], tmp_path: Path
) -> None:
    (folder / "Flute" / "e.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"e\.png is no image"):
        open_images(folder).vector("Flute")
    assert not (tmp_path / "cache").exists()


def test_ppmi(tmp_path: Path, open_images: Callable[..., ImageVectors]) -> None:
    """Its layout once unpacked: norm_image/{play,with}_instrument/<instrument>/{train,test}/*.jpg, and a README."""
    root = tmp_path / "ppmi"
    for kind, shift in (("play_instrument", 0), ("with_instrument", 100)):
        for i, name in enumerate(("bassoon", "erhu", "frenchhorn", "saxophone")):
            for part, seed in (("train", i), ("test", 50 + i)):
                path = root / "norm_image" / kind / name / part
                path.mkdir(parents=True)
                picture(shift + seed, 258, 258).save(path / f"{seed}.jpg")
    (root / "README").write_text("about", encoding="utf-8")
    played = open_images(root)
    assert played.known_names() == ["Bassoon", "Erhu", "French Horn", "Alto Saxophone"]
    assert [path.parent.name for path in played.files["French Horn"]] == ["test", "train"]
    assert played.folder.name == "play_instrument" and open_images(root / "norm_image").folder == played.folder
    held = open_images(root / "norm_image" / "with_instrument")
    assert not np.allclose(held.vector("french horn"), played.vector("French Horn"))


def test_weights_that_cannot_be_had(
    folder: Path, open_images: Callable[..., ImageVectors], torch_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = torch_home / "hub" / "checkpoints"
    path = checkpoints / WEIGHTS
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=f"{WEIGHTS} cannot be read .* download it again"):
        open_images(folder).vector("Flute")

    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(CheckpointError, match=f"{WEIGHTS} does not hold the weights of resnet18"):
        open_images(folder).vector("Flute")

    monkeypatch.undo()
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    with pytest.raises(CheckpointError, match="is not the published file, whose SHA-256 begins with f37072fd"):
        open_images(folder).vector("Flute")

    path.unlink()
    with pytest.raises(CheckpointError) as caught:
        _without_network(open_images(folder).vector, "Flute")
    message = str(caught.value)
    assert f"https://download.pytorch.org/models/{WEIGHTS}" in message and str(checkpoints) in message
    assert "No route" in message and "\n" not in message


def _without_network(function: Callable[[str], object], name: str) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise URLError("No route to host")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "download_url_to_file", fail)
        function(name)


@pytest.mark.parametrize("name", list(_resnet.RESNETS))
def test_dimensions_are_those_of_torchvision(name: str) -> None:
    with torch.device("meta"):
        network = models.get_model(name)
    assert _resnet.ResNet(name).dim == network.fc.in_features


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "vgg16"}, "model is 'vgg16'; expected one of resnet18"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"device": "gpu"}, "device 'gpu' is unknown"),
    ],
)
def test_bad_settings(
    folder: Path, open_images: Callable[..., ImageVectors], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_images(folder, **options)


def test_bad_folders(folder: Path, open_images: Callable[..., ImageVectors], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere is not a folder"):
        open_images(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DatasetError, match="bare has no sub-folders"):
        open_images(tmp_path / "bare")
    (folder / "Oboe").mkdir()
    with pytest.raises(DatasetError, match="class folder .*Oboe holds no image"):
        open_images(folder)
    shutil.rmtree(folder / "Oboe")
    shutil.copytree(folder / "Flute", folder / "transverse flute")
    with pytest.raises(DatasetError, match="'Flute' and 'transverse flute' .* both mean Flute"):
        open_images(folder)


def test_other_files_are_left_out_with_a_warning(folder: Path, open_images: Callable[..., ImageVectors]) -> None:
    (folder / "Flute" / "notes.txt").write_text("x", encoding="utf-8")
    (folder / "README").write_text("x", encoding="utf-8")
    (folder / "Flute" / ".DS_Store").write_bytes(b"x")
    (folder / ".git").mkdir()
    with pytest.warns(UserWarning, match=r"2 files in .* left out: \.txt \(1\), no suffix \(1\); such as README"):
        images = open_images(folder)
    assert [path.name for path in images.files["Flute"]] == ["d.bmp"]


# ---- Reading single files


def pixels(path: Path) -> np.ndarray:
    image = load_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_grey_cmyk_palette_and_transparency_become_rgb(tmp_path: Path) -> None:
    def written(image: Any, name: str, **options: Any) -> list[int]:
        image.save(tmp_path / name, **options)
        return pixels(tmp_path / name)[0, 0].tolist()

    assert written(Image.new("L", (8, 8), 77), "grey.png") == [77, 77, 77]
    assert written(Image.new("1", (8, 8), 1), "line.png") == [255, 255, 255]
    deep = np.full((8, 8), 0x8080, dtype=np.uint16)
    assert written(Image.fromarray(deep), "deep.png") == [128, 128, 128]
    assert written(Image.fromarray(deep), "deep.tiff") == [128, 128, 128]
    # Cyan, magenta and yellow absorb red, green and blue: no cyan, all magenta and yellow is red.
    assert written(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "red.tiff") == [255, 0, 0]
    assert written(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "black.tiff") == [0, 0, 0]
    # In a JPEG file, inks are stored inverted, and a little is lost.
    np.testing.assert_allclose(written(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "cyan.jpg"), [0, 255, 255], atol=3)
    assert written(Image.new("RGBA", (8, 8), (200, 0, 0, 0)), "clear.png") == [255, 255, 255]
    half = written(Image.new("RGBA", (8, 8), (200, 0, 0, 128)), "half.png")
    np.testing.assert_allclose(half, [255 - 55 * 128 / 255, 127, 127], atol=1)
    assert written(Image.new("LA", (8, 8), (0, 0)), "grey_clear.png") == [255, 255, 255]
    coloured = Image.new("P", (8, 8), 1)
    coloured.putpalette([1, 2, 3, 10, 200, 30])
    assert written(coloured, "palette.png") == [10, 200, 30]
    assert written(coloured, "palette.gif") == [10, 200, 30]
    assert written(coloured, "hole.png", transparency=1) == [255, 255, 255]


def test_the_first_picture_of_an_animation_and_the_cameras_upside(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert pixels(tmp_path / "moving.gif")[0, 0].tolist() == [255, 0, 0]
    image = Image.new("RGB", (8, 4), "white")
    image.paste("black", (0, 0, 4, 4))
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned a quarter clockwise
    image.save(tmp_path / "camera.png", exif=turned)
    assert pixels(tmp_path / "camera.png").shape == (8, 4, 3)
    assert pixels(tmp_path / "camera.png")[:, 0, 0].tolist() == [0] * 4 + [255] * 4


def png_header(width: int, height: int) -> bytes:
    """A PNG file that promises many pixels and holds hardly any bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


def test_bad_files_are_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    picture(0, 200, 200).save(whole)
    picture(0, 200, 200).save(tmp_path / "whole.png")
    float_image = Image.fromarray(np.ones((8, 8), dtype=np.float32))
    float_image.save(tmp_path / "float.tiff")
    Image.fromarray(np.full((8, 8), 70000, dtype=np.int32)).save(tmp_path / "wide.tiff")
    bad = {
        "empty.jpg": (b"", r"is empty \(0 bytes\)"),
        "text.jpg": (b"just words", "is no image .*; remove it"),
        "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image"),
        "cut.jpg": (whole.read_bytes()[:-500], "cannot be read as an image .*truncated"),
        "cut.png": ((tmp_path / "whole.png").read_bytes()[:-500], "cannot be read as an image"),
        "bomb.png": (png_header(100_000, 100_000), "has more than 89 million pixels; make it smaller"),
        "large.png": (png_header(10_000, 10_000), "has more than 89 million pixels; make it smaller"),
        "ribbon.png": (png_header(50_000, 2), "is 50000 x 2 pixels; expected at most 20 times as long as wide"),
        "float.tiff": ((tmp_path / "float.tiff").read_bytes(), "cannot be read as an image .*floating-point"),
        "wide.tiff": ((tmp_path / "wide.tiff").read_bytes(), "cannot be read as an image .*32-bit"),
    }
    for name, (content, message) in bad.items():
        (tmp_path / name).write_bytes(content)
        with warnings.catch_warnings(), pytest.raises(DatasetError, match=f"{name} {message}"):
            warnings.simplefilter("error")
            load_image(tmp_path / name)
    with pytest.raises(DatasetError, match=r"gone\.jpg cannot be read as an image \(.*No such file"):
        load_image(tmp_path / "gone.jpg")
