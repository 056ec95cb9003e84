from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from musicfsl.errors import InputError
from musicfsl.estimators import HeadClassifier
from musicfsl.heads import (
    HEADS,
    FeatHead,
    HierarchicalPrototypicalHead,
    MultiLabelHead,
    PrototypicalHead,
    RelationHead,
    RidgeHead,
)
from musicfsl.taxonomy import Taxonomy

BY_NAME = [
    name
    for name, head in HEADS.items()
    if not head.needs_training and not issubclass(head, MultiLabelHead) and head is not HierarchicalPrototypicalHead
]

ITERATING = {"fine-tuning", "laplacian-shot", "pt-map", "tim", "transductive-fine-tuning"}

#: What a transductive head must fail: it is asked for a row alone, and for the same row among others.
EXPECTED = {"check_methods_subset_invariance": "looks at all rows together, so a row alone is another question"}


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(["oboe", "oud", "harp"], [12, 15, 9])
    centers = {name: rng.normal(size=6) for name in ("oboe", "oud", "harp")}
    return np.stack([centers[name] for name in y]) + 0.5 * rng.normal(size=(36, 6)), y


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in ITERATING else []) for n in BY_NAME])
def test_passes_the_checks_of_scikit_learn(name: str, restored_global_random_state: None) -> None:
    expected = EXPECTED if HEADS[name].is_transductive else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks warn of what scikit-learn itself does
        results = check_estimator(HeadClassifier(name), expected_failed_checks=expected)
    failed = {result["check_name"] for result in results if result["status"] == "xfail"}
    assert failed == set(expected)


@pytest.mark.parametrize(
    ("head", "settings", "other"),
    [
        ("prototypical", {}, NearestCentroid()),
        (
            "lda",
            {"shrinkage": 0.3, "normalize": False},
            LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3, priors=[1 / 3] * 3),
        ),
        ("ridge", {"normalize": False, "balanced": False}, RidgeClassifier()),
    ],
)
def test_says_what_scikit_learns_own_says(head: str, settings: dict[str, Any], other: Any, data) -> None:
    X, y = data
    rng = np.random.default_rng(1)
    queries = X + rng.normal(size=X.shape)
    mine = HeadClassifier(head, settings).fit(X, y)
    assert np.mean(mine.predict(queries) == other.fit(X, y).predict(queries)) > 0.9


def test_says_what_the_head_says(data) -> None:
    X, y = data
    estimator = HeadClassifier(PrototypicalHead("cosine")).fit(X, y)
    z, targets = torch.from_numpy(X), torch.tensor([["harp", "oboe", "oud"].index(name) for name in y])
    logits = PrototypicalHead("cosine")(z, targets, z)
    np.testing.assert_allclose(estimator.decision_function(X), logits.detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(estimator.predict_proba(X), logits.detach().softmax(-1).numpy(), rtol=1e-5)
    assert estimator.classes_.tolist() == ["harp", "oboe", "oud"]


@pytest.mark.parametrize("head", [RelationHead(dim=6, seed=0), FeatHead(dim=6, seed=0)])
def test_a_head_that_was_trained_is_given_itself(head: Any, data) -> None:
    """`check_estimator` does not apply: weights are of one embedding size, and the checks come in many."""
    X, y = data
    estimator = HeadClassifier(head).fit(X, y)
    assert estimator.head_ is not head
    with pytest.raises(InputError, match=f"'{head.name}' knows nothing before it is trained"):
        HeadClassifier(head.name).fit(X, y)
    z, targets = torch.from_numpy(X), torch.tensor([["harp", "oboe", "oud"].index(name) for name in y])
    with torch.no_grad():
        expected = copy.deepcopy(head).double().eval()(z, targets, z)
    np.testing.assert_allclose(estimator.decision_function(X), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_a_head_with_a_tree_knows_classes_by_their_names(data) -> None:
    X, y = data
    head = HierarchicalPrototypicalHead(Taxonomy.load("hornbostel-sachs").prune(["Oboe", "Harp", "Oud"]))
    names = np.array([name.capitalize() for name in y])
    assert HeadClassifier(head).fit(X, names).score(X, names) > 0.8


def test_works_in_pipelines_searches_and_cross_validation(data) -> None:
    X, y = data
    pipeline = make_pipeline(StandardScaler(), HeadClassifier("lda"))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.8
    search = GridSearchCV(HeadClassifier(), {"head": ["prototypical", RidgeHead(), "nearest-neighbour"]}, cv=3).fit(
        X, y
    )
    assert search.best_score_ > 0.8
    assert clone(HeadClassifier("ridge", {"normalize": False})).settings == {"normalize": False}


def test_fitting_leaves_the_given_head_alone(data) -> None:
    head = PrototypicalHead("cosine").train()
    HeadClassifier(head).fit(*data)
    assert head.training


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (HeadClassifier("prototypcal"), "there is no head 'prototypcal'. Did you mean 'prototypical'"),
        (HeadClassifier("binary_prototypes"), "decides on each of several labels"),
        (HeadClassifier("hierarchical_prototypical"), "cannot be built from the settings given"),
        (HeadClassifier("prototypical", {"metric": "cosine"}), "cannot be built from the settings given"),
        (HeadClassifier(PrototypicalHead(), {"distance": "cosine"}), "settings are given along with a head"),
    ],
)
def test_what_is_wrong_with_a_head_is_said_when_it_is_fitted(estimator: HeadClassifier, message: str, data) -> None:
    with pytest.raises(InputError, match=message):
        estimator.fit(*data)


def test_one_class_is_no_choice() -> None:
    with pytest.raises(InputError, match="y holds one class only"):
        HeadClassifier().fit([[0.0], [1.0]], ["oud", "oud"])
