"""Image files of all kinds, as users have them, read as plain RGB."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musicfsl.errors import DatasetError, import_extra

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["IMAGE_SUFFIXES", "load_image", "walk_files"]

#: Files that count as images.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")

# The readers that Pillow may use, whatever a file's name ends in: among its others are some that call outside programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")

# Longer strips would fill the memory when their shorter side is scaled to a network's input.
_LARGEST_RATIO = 20


def load_image(path: str | os.PathLike[str]) -> Image.Image:
    """Reads an image file as 8-bit RGB.

    Grey (8 and 16 bit), palette, CMYK and black-and-white images are converted; what is transparent becomes white;
    the camera's note on which side is up is followed; of an animation the first picture is taken.

    Args:
        path: a file of one of the kinds in `IMAGE_SUFFIXES`; what it is, its content decides.

    Returns:
        a Pillow image of mode "RGB".

    Raises:
        DatasetError: the file is empty, damaged, no image, or too large to be read safely.
        MissingExtraError: Pillow is not installed.
    """
    images = import_extra("PIL.Image", extra="zeroshot")
    operations = import_extra("PIL.ImageOps", extra="zeroshot")
    try:
        if os.path.getsize(path) == 0:
            raise DatasetError(f"{path} is empty (0 bytes); remove it, or copy it again")
        with warnings.catch_warnings():
            # Pillow warns of images above some 90 million pixels, before it reads them, and refuses twice as many.
            warnings.simplefilter("error", images.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)  # remarks on camera data, which nothing here uses
            with images.open(path, formats=_FORMATS) as image:
                _check_size(path, *image.size)
                image.load()
                return _rgb(operations.exif_transpose(image), images)
    except DatasetError:
        raise
    except (images.DecompressionBombWarning, images.DecompressionBombError):
        raise DatasetError(
            f"{path} has more than {images.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels; make it smaller"
        ) from None
    except images.UnidentifiedImageError:
        raise DatasetError(f"{path} is no image ({', '.join(_FORMATS)}); remove it") from None
    except Exception as error:  # each of Pillow's readers raises its own kinds for damaged bytes
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DatasetError(f"{path} cannot be read as an image ({reason[0]}); mend or remove it") from None


def walk_files(folder: Path) -> Iterator[Path]:
    """All files in a folder and its sub-folders; hidden ones left out, links followed, but not in circles."""

    def fail(error: OSError) -> None:
        raise DatasetError(f"{error.filename} cannot be listed ({error.strerror}); check its permissions") from None

    seen: set[str] = set()
    for parent, subfolders, names in os.walk(folder, followlinks=True, onerror=fail):
        real = os.path.realpath(parent)
        subfolders[:] = [] if real in seen else [name for name in subfolders if not name.startswith(".")]
        if real not in seen:
            yield from (Path(parent, name) for name in names if not name.startswith("."))
        seen.add(real)


def _check_size(path: str | os.PathLike[str], width: int, height: int) -> None:
    if max(width, height) > _LARGEST_RATIO * min(width, height):
        raise DatasetError(
            f"{path} is {width} x {height} pixels; expected at most {_LARGEST_RATIO} times as long as wide, so cut it"
        )


def _rgb(image: Any, images: Any) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = images.new("RGBA", image.size, "white")
        return images.alpha_composite(white, image).convert("RGB")
    if image.mode == "I" or image.mode.startswith("I;16"):  # 16 bits of grey, of which Pillow would cut off the upper
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("32-bit values")
        image = images.fromarray((values // 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point values")
    return image.convert("RGB")
