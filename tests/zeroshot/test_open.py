from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from musicfsl import zeroshot
from musicfsl.errors import InputError
from musicfsl.zeroshot.open import open_side_information


def test_attributes_embedded_and_own(tmp_path: Path) -> None:
    assert open_side_information("attributes").dim > 20
    table = tmp_path / "mine.csv"
    table.write_text("name, loud, high\nkazoo, 1, 0.5\n")
    assert open_side_information(f"attributes:{table}")(["kazoo"]).tolist() == [[1.0, 0.5]]


def test_words_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("oboe 1 0\nharp 0 1\n")
    assert open_side_information(f"words:{path}")(["oboe"]).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("atributes", r"no side information 'atributes'\. Did you mean 'attributes'\?"),
        ("", "no side information ''"),
        ("words", "does not say which words to take; write words:NAME_OR_FILE"),
        ("images:", "does not say which images to take; write images:FOLDER"),
        ("drawings:mine", "drawings come with the library"),
    ],
)
def test_texts_that_mean_nothing(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_side_information(text)


def test_public_names_are_there_and_cost_nothing() -> None:
    for name in zeroshot.__all__:
        assert getattr(zeroshot, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = zeroshot.nonsense
    heavy = ["torch", "gensim", "torchvision", "sentence_transformers", "skimage", "PIL", "pytorch_lightning", "scipy"]
    code = f"import sys, musicfsl.zeroshot; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
