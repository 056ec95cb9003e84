"""Heads as scikit-learn classifiers: on embeddings, in pipelines, in cross-validation, in a search of settings."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from musicfsl.errors import InputError
from musicfsl.heads import HEADS, Head, MultiLabelHead, build_head

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["HeadClassifier"]


class HeadClassifier(ClassifierMixin, BaseEstimator):
    """Any head as a scikit-learn classifier: each row of ``X`` is an embedding.

    It computes in float64. An inductive head passes scikit-learn's ``check_estimator``. A transductive one looks at all
    rows of ``X`` together, so what it says of a row depends on the others; the checks that a row's answer must not
    change when rows are given one by one therefore fail for it, as they should. Cross-validate it on folds whose
    classes are in the proportions that its documentation asks for.

    Args:
        head: a head's name (``"prototypical"``, ``"ridge"``, ...; see `musicfsl.heads.HEADS`), or a head. One that
            has to be trained first, such as ``"relation"``, must be given as a trained head.
        settings: keyword arguments that build the head, where a name is given.

    Attributes:
        classes_: labels seen in `fit`, sorted.
        head_: the head that is used, a copy of the one given.
        n_features_in_: size of an embedding.
        state_: what the head learned.

    Raises:
        InputError: (in `fit`) the head is unknown, decides on several labels or has not been trained; or there is one
            class only.

    Example:
        >>> classifier = HeadClassifier("ridge").fit([[0.0, 1.0], [1.0, 0.0], [0.9, 0.1]], ["oboe", "oud", "oud"])
        >>> classifier.predict([[0.1, 0.8]]).tolist()
        ['oboe']
    """

    def __init__(self, head: str | Head = "prototypical", settings: Mapping[str, Any] | None = None) -> None:
        self.head = head
        self.settings = settings

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learns from embeddings ``(N, dim)`` and their labels ``(N,)``, of any type that scikit-learn takes."""
        rows, labels = _validated(self, X, y, reset=True)
        check_classification_targets(labels)
        self.classes_, targets = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"y holds one class only ({self.classes_[0]!r}); give examples of two classes or more")
        self.head_ = self._built_head()
        with torch.no_grad():
            self.state_ = self.head_.adapt(
                _tensor(rows), torch.from_numpy(targets.astype(np.int64)), self._class_names()
            )
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logits ``(N, n_classes)``; with two classes ``(N,)``, how much more the second is favoured."""
        logits: NDArray[np.float64] = self._logits(X).numpy()
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities ``(N, n_classes)``, the softmax of the logits; how well they are calibrated is the head's."""
        probabilities: NDArray[np.float64] = self._logits(X).softmax(dim=-1).numpy()
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label of each row, ``(N,)``."""
        columns = self._logits(X).argmax(dim=-1).numpy()
        best: NDArray[Any] = self.classes_[columns]
        return best

    def _logits(self, X: ArrayLike) -> Tensor:
        check_is_fitted(self)
        rows = _validated(self, X, reset=False)
        with torch.no_grad():
            return self.head_.score(self.state_, _tensor(rows)).double()

    def _class_names(self) -> list[str] | None:
        """The labels where they are names, which a head with a taxonomy looks up."""
        names = self.classes_.tolist()
        return names if all(isinstance(name, str) for name in names) else None

    def _built_head(self) -> Head:
        if isinstance(self.head, Head):
            if self.settings:
                raise InputError("settings are given along with a head, which has its own; give a name, or no settings")
            head = copy.deepcopy(self.head)
        else:
            known = HEADS.get(self.head)
            if known is not None and known.needs_training:
                raise InputError(
                    f"the head '{self.head}' knows nothing before it is trained; train one (musicfsl.EpisodicLearner) "
                    "and give the head itself (musicfsl.load_head opens a checkpoint's)"
                )
            try:
                head = build_head(self.head, dict(self.settings or {}))
            except TypeError as error:
                raise InputError(f"the head '{self.head}' cannot be built from the settings given: {error}") from None
        if isinstance(head, MultiLabelHead):
            raise InputError(f"the head '{head.name}' decides on each of several labels; expected one of classes")
        return head.double().eval()  # in the precision of the embeddings


def _validated(estimator: HeadClassifier, *arguments: Any, reset: bool) -> Any:
    """What scikit-learn's own estimators check, by whatever name its release calls that."""
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:  # before 1.6
        return estimator._validate_data(*arguments, reset=reset, dtype=np.float64)
    return validate_data(estimator, *arguments, reset=reset, dtype=np.float64)


def _tensor(rows: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.array(rows))  # a copy: the rows may be read-only
