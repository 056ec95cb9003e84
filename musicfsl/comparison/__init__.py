"""Methods and encoders side by side, on the very same episodes."""

from musicfsl.comparison.methods import compare_methods, find_methods, largest_shape, untrained_methods
from musicfsl.comparison.reports import Compared, Comparison, Material
from musicfsl.comparison.sounds import DEFAULT_ENCODERS, compare_sounds

__all__ = [
    "DEFAULT_ENCODERS",
    "Compared",
    "Comparison",
    "Material",
    "compare_methods",
    "compare_sounds",
    "find_methods",
    "largest_shape",
    "untrained_methods",
]
