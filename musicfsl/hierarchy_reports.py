"""The measures of `musicfsl.hierarchy_metrics` over episodes, with intervals and chance levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicfsl.errors import InputError
from musicfsl.hierarchy_metrics import Relations, hierarchical_f1
from musicfsl.metrics import macro_f1, mean_ci95
from musicfsl.taxonomy import Taxonomy

__all__ = ["HierarchyReport", "HierarchyTally", "Measure"]


class Measure(NamedTuple):
    """A mean over episodes.

    Attributes:
        mean: the value.
        ci95: half the width of its 95 % interval over episodes.
        chance: what guessing among an episode's classes gives (see `HierarchyReport`).
    """

    mean: float
    ci95: float
    chance: float


@dataclass(frozen=True)
class HierarchyReport:
    """The measures of `HierarchyScores` over episodes. ``print`` it for a table.

    Each but ``mistake_height`` is computed episode by episode and averaged. ``mistake_height`` is the mean over all
    mistakes of all episodes, each mistake counting alike; its interval is that of a ratio of means over episodes.

    Chance is that of guessing among the classes of an episode, each equally likely: exactly what is expected of a
    guesser, from the tree, the classes that were drawn and the number of queries. Only for hierarchical precision and
    F1, whose denominators depend on the guesses, it is what they are for a guesser's expected counts.

    Attributes:
        taxonomy: its name, or "".
        depth: of the tree of these classes.
        n_groups: for each height below ``depth``, the number of nodes there.
        n_episodes: number of episodes.
        accuracy: for each height below ``depth``.
        precision: hierarchical precision.
        recall: hierarchical recall.
        f1: hierarchical F1.
        macro_f1: mean over the classes of an episode of the plain F1.
        mistake_height: mean height of a mistake's lowest common ancestor; None where there was no mistake.
        episodes: the values by episode under the names of the measures, float64 ``(n_episodes,)``, for comparisons of
            methods on the same episodes; those of "mistake_height" are linearised, so that their mean and interval are
            those of the ratio. And "heights", int64 ``(n_episodes, depth + 1)``: queries by the height of the lowest
            common ancestor of their true and their predicted class.

    Reference:
        the interval of a ratio: W. G. Cochran, Sampling techniques, 3rd edition, Wiley 1977, section 2.11.
    """

    taxonomy: str
    depth: int
    n_groups: list[int]
    n_episodes: int
    accuracy: list[Measure]
    precision: Measure
    recall: Measure
    f1: Measure
    macro_f1: Measure
    mistake_height: Measure | None
    episodes: dict[str, NDArray[Any]]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the values by episode, as JSON can hold it."""
        return {
            "taxonomy": self.taxonomy,
            "depth": self.depth,
            "n_groups": self.n_groups,
            "accuracy": [measure._asdict() for measure in self.accuracy],
            "precision": self.precision._asdict(),
            "recall": self.recall._asdict(),
            "f1": self.f1._asdict(),
            "macro_f1": self.macro_f1._asdict(),
            "mistake_height": None if self.mistake_height is None else self.mistake_height._asdict(),
        }

    def __str__(self) -> str:
        rows: list[tuple[str, Measure | None]] = [
            (f"accuracy at height {h} ({n} {'classes' if h == 0 else 'groups'})", measure)
            for h, (n, measure) in enumerate(zip(self.n_groups, self.accuracy, strict=True))
        ]
        rows += [
            ("macro F1", self.macro_f1),
            ("hierarchical precision", self.precision),
            ("hierarchical recall", self.recall),
            ("hierarchical F1", self.f1),
            (f"mean height of a mistake (1 to {self.depth})", self.mistake_height),
        ]
        name = f" '{self.taxonomy}'" if self.taxonomy else ""
        lines = [f"by the taxonomy{name}, +- half a 95 % interval over {self.n_episodes} episodes"]
        for text, measure in rows:
            value = (
                "no mistakes"
                if measure is None
                else f"{measure.mean:.3f} +- {measure.ci95:.3f}, chance {measure.chance:.3f}"
            )
            lines.append(f"  {text:36} {value}")
        return "\n".join(lines)


class HierarchyTally:
    """Counts what `HierarchyReport` needs, many episodes at a time.

    Args:
        taxonomy: in which all classes are.
        classes: C names.

    Raises:
        InputError: a class is not in the taxonomy, or two mean the same one.

    Example:
        >>> tree = Taxonomy({"strings": ["Violin", "Harp"], "winds": ["Oboe"]})
        >>> tally = HierarchyTally(tree, tree.classes)
        >>> ways = np.array([[0, 1, 2], [2, 1, 0]])
        >>> tally.add(ways, predicted=np.array([[[0, 0], [0, 1], [2, 2]], [[0, 1], [1, 1], [2, 0]]]))
        >>> round(tally.report().accuracy[1].mean, 3), round(tally.report().mistake_height.mean, 3)
        (0.833, 1.667)
    """

    def __init__(self, taxonomy: Taxonomy, classes: Sequence[str]) -> None:
        self._name = taxonomy.name
        self._relations = Relations.of(taxonomy, classes)
        self._added: list[dict[str, NDArray[Any]]] = []

    def add(self, ways: NDArray[np.int64], predicted: NDArray[np.int64]) -> None:
        """Counts episodes.

        Args:
            ways: int64 ``(E, n_way)``, the classes of each episode by number.
            predicted: int64 ``(E, n_way, n_query)``, for the queries of each class the position of the answer in
                ``ways``.
        """
        n, n_way = ways.shape
        cells = (np.arange(n * n_way) * n_way).reshape(n, n_way, 1) + predicted
        confusion = np.bincount(cells.ravel(), minlength=n * n_way**2).reshape(n, n_way, n_way)
        pairs = ways[:, :, None], ways[:, None, :]
        heights, shared = self._relations.heights[pairs], self._relations.shared[pairs]  # (E, n_way, n_way)
        own = self._relations.shared.diagonal()[ways]  # (E, n_way)
        n_heights = self._relations.depth + 1
        bins = (np.arange(n) * n_heights)[:, None, None] + heights
        found = (confusion * shared).sum(axis=(1, 2))
        precision = found / (confusion.sum(axis=1) * own).sum(axis=1)
        recall = found / (confusion.sum(axis=2) * own).sum(axis=1)
        self._added.append(
            {
                "heights": np.bincount(bins.ravel(), confusion.ravel(), minlength=n * n_heights).reshape(n, n_heights),
                "guessed": np.bincount(bins.ravel(), minlength=n * n_heights).reshape(n, n_heights),
                "precision": precision,
                "recall": recall,
                "f1": hierarchical_f1(precision, recall),
                "guessed_f1": shared.sum(axis=(1, 2)) / (n_way * own.sum(axis=1)),
                "macro_f1": macro_f1(confusion),
                "guessed_macro_f1": np.full(n, _guessed_macro_f1(n_way, predicted.shape[2])),
            }
        )

    def report(self) -> HierarchyReport:
        """The measures over all episodes that were added.

        Raises:
            InputError: there are fewer than two episodes.
        """
        if not self._added:
            raise InputError("no episodes were added; an interval needs 2 or more")
        found = {name: np.concatenate([part[name] for part in self._added]) for name in self._added[0]}
        heights, guessed = found["heights"].astype(np.int64), found["guessed"]
        of_mistakes = _height_of_mistakes(heights)
        by_guessing = float((guessed @ np.arange(guessed.shape[1])).sum() / guessed[:, 1:].sum())

        def measure(name: str, guess: str) -> Measure:
            return Measure(*mean_ci95(found[name]), float(found[guess].mean()))

        def accuracy(h: int) -> Measure:
            right, guessed_right = (counts[:, : h + 1].sum(1) / counts.sum(1) for counts in (heights, guessed))
            return Measure(*mean_ci95(right), float(guessed_right.mean()))

        return HierarchyReport(
            taxonomy=self._name,
            depth=self._relations.depth,
            n_groups=self._relations.n_groups,
            n_episodes=len(heights),
            accuracy=[accuracy(h) for h in range(self._relations.depth)],
            precision=measure("precision", "guessed_f1"),
            recall=measure("recall", "guessed_f1"),
            f1=measure("f1", "guessed_f1"),
            macro_f1=measure("macro_f1", "guessed_macro_f1"),
            mistake_height=None if of_mistakes is None else Measure(*mean_ci95(of_mistakes), by_guessing),
            episodes={
                **{name: found[name] for name in ("precision", "recall", "f1", "macro_f1")},
                **({} if of_mistakes is None else {"mistake_height": of_mistakes}),
                "heights": heights,
            },
        )


@lru_cache(maxsize=64)
def _guessed_macro_f1(n_way: int, n_query: int) -> float:
    r"""Expected macro F1 of guessing among classes with equally many queries.

    Hits and false alarms of a class are independent binomial counts, and :math:`F_1 = 2 tp / (tp + fp + n_{query})`.
    """
    from scipy.stats import binom

    hits, alarms = np.arange(n_query + 1), np.arange((n_way - 1) * n_query + 1)
    f1 = 2 * hits[:, None] / (hits[:, None] + alarms + n_query)
    return float(binom.pmf(hits, n_query, 1 / n_way) @ f1 @ binom.pmf(alarms, alarms[-1], 1 / n_way))


def _height_of_mistakes(heights: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """From queries by height ``(E, depth + 1)`` to a value an episode whose mean is that of all mistakes.

    With T the sum of heights of an episode's mistakes, M their number and R the ratio of the sums of both, the value is
    R + (T - R M) / mean(M); the spread of these values is that of R in first order.
    """
    totals, mistakes = heights @ np.arange(heights.shape[1]), heights[:, 1:].sum(axis=1)
    if mistakes.sum() == 0:
        return None
    ratio = totals.sum() / mistakes.sum()
    values: NDArray[np.float64] = ratio + (totals - ratio * mistakes) / mistakes.mean()
    return values
