"""Files written by gensim's ``KeyedVectors.save``, read without running what they may hold.

Such a file is a pickle, and a pickle can call any function of Python while it is loaded. Here it builds plain values
and inert stand-ins only: each class or function that it names must be in a short list of those that vectors need, and
even these are not imported, but recorded by name with what they were to be called with. The numbers are then taken
from the recorded bytes.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import InputError
from musicfsl.zeroshot._word_files import open_bytes

__all__ = ["is_gensim_file", "read_gensim"]

_CONVERT = (
    "open it with gensim where you trust it, and write it with vectors.save_word2vec_format('vectors.bin', binary=True)"
)
_VECTORS = {"KeyedVectors", "Word2VecKeyedVectors", "EuclideanKeyedVectors"}
_ARRAYS = {"_reconstruct", "_frombuffer"}
_NAMED = {
    **{f"gensim.models.keyedvectors.{name}": name for name in (*_VECTORS, "Vocab", "CompatVocab")},
    **{
        f"{module}.multiarray.{name}": name
        for module in ("numpy.core", "numpy._core")
        for name in ("_reconstruct", "scalar")
    },
    **{f"{module}.numeric._frombuffer": "_frombuffer" for module in ("numpy.core", "numpy._core")},
    **{f"numpy.{name}": name for name in ("ndarray", "dtype", "float32", "float64")},
    **{f"{module}.{name}": name for module in ("builtins", "__builtin__") for name in ("frozenset", "set", "bytes")},
    "_codecs.encode": "encode",
}
_FLOATS = {"f2", "f4", "f8"}


def is_gensim_file(path: Path) -> bool:
    """Whether a file begins as gensim's do."""
    with open_bytes(path) as file:
        start = file.read(2)
    return len(start) == 2 and start[0] == 0x80 and start[1] <= pickle.HIGHEST_PROTOCOL


def read_gensim(path: Path) -> tuple[list[str], NDArray[Any]]:
    """Words, and their vectors ``(n_words, dim)`` in the same order; large ones stay on disk, mapped into memory.

    Raises:
        InputError: the file is damaged, holds something else than word vectors, or names a class or function that
            vectors do not need.
    """
    with open_bytes(path) as file:
        state = _state(file, path)
    words = next((state[key] for key in ("index_to_key", "index2word", "index2entity") if key in state), None)
    attribute = "syn0" if "syn0" in state or "syn0" in state.get("__numpys", []) else "vectors"
    vectors = _array(state[attribute], path) if attribute in state else _beside(path, attribute, state)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(f"{path} holds vectors of something else than words; expected gensim's vectors of words")
    if vectors.ndim != 2 or len(vectors) != len(words) or vectors.dtype.kind != "f":
        raise InputError(
            f"{path} holds {len(words)} words and an array {vectors.shape} of {vectors.dtype}; expected a row of "
            "numbers a word, so the file is damaged"
        )
    if not words or not vectors.shape[1]:
        raise InputError(f"{path} has no words in it; expected at least one")
    _check_finite(words, vectors, path)
    return words, vectors


class _StandIn:
    """An object of a pickle that is not made: its class, what that was called with, and what was to be its state."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any, **_: Any) -> _StandIn:
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _InertUnpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file, encoding="latin1")  # as gensim reads those that Python 2 wrote
        self._path = path

    def find_class(self, module: str, name: str) -> type[_StandIn]:
        full_name = f"{module}.{name}"
        if full_name not in _NAMED:
            raise InputError(
                f"{self._path} is a pickle that names {full_name}, which vectors of words do not need, so it is not "
                f"loaded; {_CONVERT}"
            )
        return type(_NAMED[full_name], (_StandIn,), {})  # a new one each time, so that no file can change another's


def _state(file: BinaryIO, path: Path) -> dict[str, Any]:
    try:
        loaded = _InertUnpickler(file, path).load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise InputError(f"{path} is truncated or damaged ({error}); fetch it again") from None
    state = loaded.state if isinstance(loaded, _StandIn) and type(loaded).__name__ in _VECTORS else None
    if not isinstance(state, dict):
        raise InputError(f"{path} is a pickle, but not of gensim's KeyedVectors; {_CONVERT}")
    return state


def _array(recorded: Any, path: Path) -> NDArray[Any]:
    """The array that numpy would have made of what was recorded."""
    try:
        kind = type(recorded).__name__
        if kind == "_reconstruct":
            _, shape, dtype, is_fortran, data = recorded.state
            order = "F" if is_fortran else "C"
        elif kind == "_frombuffer":
            data, dtype, shape, order = recorded.args
        else:
            raise ValueError(f"it holds {kind} for an array")
        if isinstance(data, _StandIn):  # protocol 2 has no bytes: _codecs.encode(text, "latin1")
            data = data.args[0]
        raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
        return np.frombuffer(raw, dtype=_float_type(dtype)).reshape(shape, order="F" if order == "F" else "C")
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{path} holds no array of numbers where the vectors should be ({error}); {_CONVERT}"
        ) from None


def _float_type(recorded: Any) -> np.dtype[Any]:
    code, byte_order = recorded.args[0], recorded.state[1]
    if type(recorded).__name__ != "dtype" or code not in _FLOATS or byte_order not in ("<", ">", "=", "|"):
        raise ValueError(f"its values are of type {code!r}")
    return np.dtype(f"{byte_order}{code}")


def _beside(path: Path, attribute: str, state: dict[str, Any]) -> NDArray[Any]:
    """A large array, which gensim keeps in a file of its own."""
    if attribute not in state.get("__numpys", []):
        raise InputError(f"{path} holds no vectors; {_CONVERT}")
    is_packed = path.name.endswith((".gz", ".bz2"))
    array_path = path.with_name(f"{path.name}.{attribute}.{'npz' if is_packed else 'npy'}")
    if not array_path.is_file():
        raise InputError(f"{path} needs {array_path.name} beside it, where gensim put the vectors; copy both")
    try:
        if is_packed:
            with np.load(array_path, allow_pickle=False) as arrays:
                packed: NDArray[Any] = arrays["val"]
                return packed
        mapped: NDArray[Any] = np.load(array_path, mmap_mode="r", allow_pickle=False)
        return mapped
    except Exception as error:  # a damaged file, of numpy or zip, can raise nearly anything
        raise InputError(f"{array_path} is truncated or damaged ({error}); fetch it again") from None


def _check_finite(words: list[str], vectors: NDArray[Any], path: Path, n_rows: int = 65536) -> None:
    for start in range(0, len(words), n_rows):
        is_finite = np.isfinite(vectors[start : start + n_rows]).all(axis=1)
        if not is_finite.all():
            word = words[start + int(np.argmin(is_finite))]
            raise InputError(f"{path}: the vector of '{word}' holds NaN or infinite values; fetch it again")
