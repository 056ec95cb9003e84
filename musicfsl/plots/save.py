"""Writes a figure to a file: interactive HTML, or a picture through kaleido."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from musicfsl.errors import InputError
from musicfsl.plots.sound import SpectrogramWithSound

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["save_figure"]

_PICTURES = (".png", ".svg", ".pdf")
_already_warned = False


def save_figure(figure: Figure | SpectrogramWithSound, path: str | os.PathLike[str], scale: float = 2.0) -> Path:
    """Writes a figure in the format that the file's name asks for.

    Pictures are drawn by Chrome or Chromium through kaleido. Where one of the two is missing, a warning
    says so (once), and the interactive figure is written beside it as HTML. The first picture
    takes some seconds; for many, call ``kaleido.start_sync_server()`` before.

    Args:
        figure: a plotly figure, or a spectrogram with its sound (which only HTML can keep).
        path: ends in ``.html`` (works without a network), ``.png``, ``.svg`` or ``.pdf``. Its folder is
            made where missing; an existing file is replaced.
        scale: pixels of a PNG for every pixel of the layout.

    Returns:
        the path of the file that was really written.

    Raises:
        InputError: the ending is another one.

    Example:
        >>> import plotly.graph_objects as go
        >>> save_figure(go.Figure(), tempfile.mkdtemp() + "/empty.html").name
        'empty.html'
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", *_PICTURES):
        raise InputError(
            f"{path} ends in '{path.suffix}'; expected .html, {', '.join(_PICTURES[:-1])} or {_PICTURES[-1]}"
        )
    if path.suffix.lower() in _PICTURES:
        chart = figure.figure if isinstance(figure, SpectrogramWithSound) else figure
        try:
            picture: bytes = chart.to_image(format=path.suffix.lower().lstrip("."), scale=scale)
        except (RuntimeError, ValueError) as error:
            # plotly reports a missing kaleido as ValueError; kaleido reports a missing Chrome as RuntimeError.
            if not _is_missing_renderer(error):
                raise
            path = path.with_suffix(".html")
            _warn_once(error, path)
        else:
            return _write(path, picture)
    return _write(path, figure.to_html(full_html=True, include_plotlyjs=True).encode("utf-8"))


def _is_missing_renderer(error: Exception) -> bool:
    return any(word in str(error).lower() for word in ("kaleido", "chrome", "browser"))


def _warn_once(error: Exception, path: Path) -> None:
    global _already_warned
    if not _already_warned:
        _already_warned = True
        no_browser = any(word in str(error).lower() for word in ("chrome", "browser"))
        missing = "Chrome or Chromium" if no_browser else "kaleido (pip install 'musicfsl[plots]')"
        warnings.warn(
            f"a picture needs {missing}, which is missing or does not start; {path} is written as an interactive "
            "page instead, and later pictures will be too (this is said once)",
            stacklevel=3,
        )


def _write(path: Path, content: bytes) -> Path:
    """Writes a file that appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp allows the owner only; give the usual permissions
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path
