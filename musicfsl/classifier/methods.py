"""Which head a method is."""

from __future__ import annotations

from musicfsl.checkpoints import load_head, read_card
from musicfsl.errors import CheckpointError, InputError, did_you_mean
from musicfsl.heads import HEADS, Head, MultiLabelHead

__all__ = ["METHODS", "open_method"]

#: Heads that a classifier can use by their names alone, without weights or further settings.
METHODS = tuple(
    name
    for name, head in HEADS.items()
    if not head.needs_training and not issubclass(head, MultiLabelHead) and name != "hierarchical_prototypical"
)


def open_method(method: str | Head, encoder_name: str | None) -> Head:
    """A head by its name; one that has to be trained comes from the encoder's checkpoint.

    Args:
        method: a name, or a head.
        encoder_name: name or path of the encoder's checkpoint; None where an encoder was given.

    Raises:
        InputError: there is no such head, it decides on several labels, or it has not been trained with this encoder.

    Example:
        >>> open_method("simpleshot", None).name
        'simpleshot'
    """
    if isinstance(method, Head):
        if isinstance(method, MultiLabelHead):
            raise InputError(
                f"the method '{method.name}' decides on each of several labels; a classifier chooses one class"
            )
        return method.eval()
    if method in METHODS:
        return HEADS[method]().eval()
    trained = _trained_head(method, encoder_name) if method in HEADS else None
    if trained is not None:
        return trained
    if method in HEADS:
        raise InputError(
            f"the method '{method}' needs settings or weights of its own; give a head, or the checkpoint of an encoder "
            f"that was trained with it. By name alone: {', '.join(METHODS)}"
        )
    raise InputError(f"there is no method '{method}'.{did_you_mean(method, METHODS)} Known: {', '.join(METHODS)}")


def _trained_head(method: str, encoder_name: str | None) -> Head | None:
    if encoder_name is None:
        return None
    try:
        head = read_card(encoder_name).head
    except CheckpointError:  # a published encoder has no card
        return None
    return load_head(encoder_name) if head is not None and head["name"] == method else None
