"""The figures that commands draw into files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from musicfsl.errors import InputError, import_extra

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["FIGURES", "checked_figure", "write_figure"]

#: Endings of the figures that can be written.
FIGURES = (".html", ".png", ".svg", ".pdf")


def checked_figure(path: str | None, overwrite: bool, option: str = "--figure") -> Path | None:
    """Where a figure goes, once nothing stands in its way.

    Raises:
        InputError: its name ends otherwise than a figure's, or it exists.
        MissingExtraError: plotly is not installed.
    """
    if path is None:
        return None
    import_extra("plotly", extra="plots")
    if Path(path).suffix.lower() not in FIGURES:
        raise InputError(f"{option} is {path}; expected a name that ends in {', '.join(FIGURES)}")
    from musicfsl.annotation.writers import check_new

    return check_new(path, overwrite)


def write_figure(figure: Figure, path: Path, overwrite: bool) -> Path:
    """Writes a figure; where no picture can be made, it is a page, which must not replace another one either."""
    from musicfsl.annotation.writers import check_new
    from musicfsl.plots import save_figure

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".figure.") as folder:
            drawn = save_figure(figure, Path(folder) / path.name)
            final = check_new(path.with_suffix(drawn.suffix), overwrite)
            os.replace(drawn, final)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}); name another file") from None
    return final
