"""Sentences with fields, in which names of classes are filled in."""

from __future__ import annotations

import string
from collections.abc import Sequence

from musicfsl.errors import InputError

__all__ = ["checked_prompts"]


def checked_prompts(prompts: str | Sequence[str] | None, default: str, fields: Sequence[str]) -> list[str]:
    """Prompts as a list.

    Args:
        prompts: one or more, or None.
        default: taken for None.
        fields: that may stand in them, at least one in each.

    Raises:
        InputError: there are none, or one is malformed or has other fields.

    Example:
        >>> checked_prompts("a {name}", default="", fields=["name"])
        ['a {name}']
    """
    if prompts is None:
        return [default]
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not prompts:
        raise InputError("there are no prompts; give at least one, or None for the usual one")
    written = [f"{{{field}}}" for field in fields]
    for prompt in prompts:
        try:
            found = [part[1:] for part in string.Formatter().parse(prompt) if part[1] is not None]
        except ValueError as error:
            raise InputError(f"the prompt '{prompt}' is malformed ({error}); write braces as {{name}}") from None
        if not found:
            raise InputError(f"the prompt '{prompt}' says the same of all classes; use {' or '.join(written)}")
        if any(field not in [(name, "", None) for name in fields] for field in found):
            raise InputError(
                f"the prompt '{prompt}' has other fields than {' and '.join(written)}; use "
                f"{'this one' if len(fields) == 1 else 'these'}"
            )
    return prompts
