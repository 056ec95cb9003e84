"""Side information by a short text, as the command line and checkpoints name it."""

from __future__ import annotations

from musicfsl.errors import InputError, did_you_mean
from musicfsl.zeroshot.side_information import SideInformation

__all__ = ["SIDE_KINDS", "open_side_information"]

#: Kind -> how it is written.
SIDE_KINDS = {
    "attributes": "attributes, or attributes:TABLE.csv",
    "words": "words:NAME_OR_FILE",
    "texts": "texts, or texts:MODEL",
    "images": "images:FOLDER",
    "drawings": "drawings",
    "clap": "clap, or clap:MODEL",
}


def open_side_information(text: str) -> SideInformation:
    """Opens side information that is named by its kind and, behind a colon, what it is made of.

    Args:
        text: ``"attributes"`` (the embedded table) or ``"attributes:TABLE.csv"``; ``"words:NAME_OR_FILE"`` (a name
            of gensim's downloader, or a file of word vectors); ``"texts"`` or ``"texts:MODEL"`` (a model of
            sentence-transformers); ``"images:FOLDER"``; ``"drawings"``; ``"clap"`` or ``"clap:MODEL"`` (the texts of
            a CLAP model).

    Raises:
        InputError: the kind is unknown, or what it needs is missing or too much.
        MissingExtraError: a package that the kind needs is not installed.

    Example:
        >>> open_side_information("attributes").kind
        'attributes'
    """
    kind, _, argument = text.strip().partition(":")
    if kind not in SIDE_KINDS:
        raise InputError(
            f"there is no side information '{kind}'.{did_you_mean(kind, SIDE_KINDS)} Expected one of: "
            f"{'; '.join(SIDE_KINDS.values())}"
        )
    if kind in ("words", "images") and not argument:
        raise InputError(f"'{text}' does not say which {kind} to take; write {SIDE_KINDS[kind]}")
    if kind == "drawings" and argument:
        raise InputError(f"'{text}': drawings come with the library; write 'drawings' alone")
    # Each kind brings its own packages, so only the one that is asked for is imported.
    if kind == "attributes":
        from musicfsl.zeroshot.attributes import Attributes

        return Attributes(argument or None)
    if kind == "words":
        from musicfsl.zeroshot.words import WordVectors

        return WordVectors(argument)
    if kind == "texts":
        from musicfsl.zeroshot.texts import TextVectors

        return TextVectors(argument) if argument else TextVectors()
    if kind == "images":
        from musicfsl.zeroshot.images import ImageVectors

        return ImageVectors(argument)
    if kind == "clap":
        from musicfsl.zeroshot.clap import ClapTexts

        return ClapTexts(argument) if argument else ClapTexts()
    from musicfsl.zeroshot.drawings import DrawingVectors

    return DrawingVectors()
