"""What a classifier keeps of its examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from musicfsl.classifier.examples import named
from musicfsl.classifier.listening import Unusable
from musicfsl.support import Support

__all__ = ["Known", "support_of", "without_copies"]


class Known(NamedTuple):
    """What a classifier keeps of an example.

    Attributes:
        z: its embedding ``(dim,)``.
        sound: its name.
        label: its class.
        content: a hash of its samples.
        group: the recording or player that it came from; None makes it its own.
    """

    z: Tensor
    sound: str
    label: str
    content: str
    group: str | None


def support_of(known: Sequence[Known], window: float) -> Support:
    """Examples as heads take them, one row each."""
    classes = sorted({each.label for each in known})
    groups = [f"of {i}" if each.group is None else f"group {each.group}" for i, each in enumerate(known)]
    number_of = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return Support(
        torch.stack([each.z for each in known]),
        torch.arange(len(known)),
        torch.tensor([classes.index(each.label) for each in known]),
        classes,
        window,
        torch.tensor([number_of[group] for group in groups]),
    )


def without_copies(known: Sequence[Known]) -> tuple[list[Known], list[Unusable]]:
    """Leaves out copies of a sound: all but the first within a class, and all of them where classes contradict."""
    labels: dict[str, set[str]] = {}
    for each in known:
        labels.setdefault(each.content, set()).add(each.label)
    first: dict[str, Known] = {}
    kept, left_out = [], []
    for each in known:
        original = first.setdefault(each.content, each)
        if len(labels[each.content]) > 1:
            others = [other.sound for other in known if other.content == each.content and other is not each]
            reason = (
                f"{each.sound} is also an example of another class ({named(others)}); keep it in the one it belongs to"
            )
        elif original is not each:
            reason = f"{each.sound} is a copy of {original.sound}; remove it"
        else:
            kept.append(each)
            continue
        left_out.append(Unusable(each.sound, reason))
    return kept, left_out
