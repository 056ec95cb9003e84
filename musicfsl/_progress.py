"""Progress bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["progress_bar"]


def progress_bar(*arguments: Any, show: bool, **options: Any) -> tqdm[Any]:
    """A tqdm bar, drawn by the notebook where it can, else as text.

    Args:
        arguments: as for ``tqdm.tqdm``.
        show: draw it, unless the environment variable ``TQDM_DISABLE`` forbids all bars.
        options: as for ``tqdm.tqdm``.

    Example:
        >>> list(progress_bar([1, 2], show=False))
        [1, 2]
    """
    from tqdm.auto import tqdm

    return tqdm(*arguments, **({} if show else {"disable": True}), **options)
