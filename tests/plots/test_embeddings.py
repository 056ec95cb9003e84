from __future__ import annotations

import itertools
import random
import re
import sys

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError, MissingExtraError
from musicfsl.plots import class_colors, plot_episode, project

METHODS = ["pca", "tsne", pytest.param("umap", marks=pytest.mark.slow)]  # umap is compiled on its first use, 15 s


def test_pca_equals_scikit_learn_up_to_signs() -> None:
    from sklearn.decomposition import PCA

    z = np.random.default_rng(0).normal(size=(40, 12)) * np.linspace(3, 1, 12)
    expected = PCA(n_components=2).fit_transform(z)
    actual = project(z, "pca")
    signs = np.sign((actual * expected).sum(axis=0))
    np.testing.assert_allclose(actual, expected * signs, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (3, 5), (6, 1), (4, 2)])
def test_pca_keeps_distances_that_fit_into_the_plane(shape: tuple[int, int]) -> None:
    z = np.random.default_rng(1).normal(size=shape)
    plane = project(z, "pca")
    assert plane.shape == (shape[0], 2)
    for i, j in itertools.combinations(range(shape[0]), 2):
        assert np.linalg.norm(plane[i] - plane[j]) == pytest.approx(np.linalg.norm(z[i] - z[j]), abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_points", [1, 2, 4, 7])
def test_fewer_points_than_the_usual_neighbourhood_work(method: str, n_points: int) -> None:
    plane = project(np.random.default_rng(2).normal(size=(n_points, 16)), method)  # type: ignore[arg-type]
    assert plane.shape == (n_points, 2)
    assert np.isfinite(plane).all()


@pytest.mark.parametrize("method", METHODS)
def test_equal_points_work(method: str) -> None:
    assert np.isfinite(project(np.ones((9, 4)), method)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_separate_clusters_stay_separate(method: str) -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], 12)
    plane = project(20 * np.eye(3, 10)[labels] + rng.normal(size=(36, 10)), method)  # type: ignore[arg-type]
    centers = np.stack([plane[labels == c].mean(axis=0) for c in range(3)])
    nearest = np.linalg.norm(plane[:, None] - centers, axis=-1).argmin(axis=1)
    np.testing.assert_array_equal(nearest, labels)


@pytest.mark.parametrize("method", METHODS)
def test_projection_depends_on_the_seed_alone_and_leaves_global_random_state(method: str) -> None:
    z = np.random.default_rng(4).normal(size=(30, 6))
    first = project(z, method, seed=7)  # type: ignore[arg-type]
    outer, before = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global state is watched here
    try:
        np.random.seed(99)  # noqa: NPY002
        second = project(z, method, seed=7)  # type: ignore[arg-type]
    finally:
        np.random.set_state(outer)  # noqa: NPY002
    np.testing.assert_array_equal(first, second)
    assert random.getstate() == before


@pytest.mark.slow
def test_umap_uses_its_seed() -> None:
    z = np.random.default_rng(4).normal(size=(30, 6))
    assert not np.allclose(project(z, "umap", seed=0), project(z, "umap", seed=1))


def test_missing_umap_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'musicfsl[plots]'")):
        project(np.eye(5), "umap")


def test_missing_plotly_is_named(monkeypatch: pytest.MonkeyPatch, episode) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(MissingExtraError, match="plotly is not installed"):
        plot_episode(*episode)


@pytest.mark.parametrize(
    ("z", "method", "message"),
    [
        (np.zeros((2, 3, 4)), "pca", r"embeddings has shape \(2, 3, 4\); expected \(N, D\)"),
        (np.zeros((0, 3)), "pca", r"shape \(0, 3\)"),
        ([[1.0, float("nan")]], "pca", "NaN"),
        ([[1.0], [1.0, 2.0]], "pca", "rows of different lengths"),
        ([["a", "b"]], "pca", "real numbers"),
        (np.eye(3), "tnse", "method is 'tnse'.*Did you mean 'tsne'"),
    ],
)
def test_bad_embeddings_are_refused(z, method: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        project(z, method)  # type: ignore[arg-type]


def test_episode_figure_shows_every_point_where_the_joint_projection_puts_it(episode) -> None:
    figure = plot_episode(*episode)
    plane = project(np.concatenate([episode.support_z, episode.query_z, episode.prototypes]))
    colors = class_colors(episode.classes)
    targets = np.concatenate([episode.support_targets, episode.query_targets, np.arange(3)])
    kinds = ["support"] * 6 + ["query"] * 4 + ["prototype"] * 3
    symbols = {"support": "circle", "query": "x", "prototype": "star"}
    drawn = {
        (trace.name, trace.marker.symbol, round(x, 9), round(y, 9))
        for trace in figure.data
        if "markers" in trace.mode and trace.x[0] is not None
        for x, y in zip(trace.x, trace.y, strict=True)
        if trace.marker.color == colors[trace.name]
    }
    expected = {
        (episode.classes[c], symbols[kind], round(x, 9), round(y, 9))
        for c, kind, (x, y) in zip(targets, kinds, plane.tolist(), strict=True)
    }
    assert drawn == expected


def test_spokes_lead_from_support_to_prototypes(episode) -> None:
    spokes = [trace for trace in plot_episode(*episode).data if trace.mode == "lines"]
    plane = project(np.concatenate([episode.support_z, episode.query_z, episode.prototypes]))
    assert [trace.name for trace in spokes] == episode.classes
    flute = [(x, y) for x, y in zip(spokes[1].x, spokes[1].y, strict=True) if x is not None]
    expected = [point for i in (2, 3, 4) for point in (plane[i], plane[11])]
    np.testing.assert_allclose(flute, expected)


def test_legends_explain_colours_and_markers(episode) -> None:
    figure = plot_episode(*episode[:5])
    entries = [(trace.name, trace.legend) for trace in figure.data if trace.showlegend is not False]
    assert entries == [("oboe", None), ("flute", None), ("harp", None), ("support", "legend2"), ("query", "legend2")]
    assert not [trace for trace in figure.data if trace.mode == "lines"]


def test_tensors_that_carry_gradients_are_accepted(episode) -> None:
    tensors = [torch.from_numpy(array) for array in episode[:4]]
    tensors[0].requires_grad_()
    assert plot_episode(*tensors, episode.classes).data[0].name == "oboe"


def test_given_colours_are_used_and_must_cover_every_class(episode) -> None:
    figure = plot_episode(*episode, colors={"oboe": "#000001", "flute": "#000002", "harp": "#000003"})
    assert {trace.marker.color for trace in figure.data if trace.name == "flute" and trace.marker.color} == {"#000002"}
    with pytest.raises(InputError, match="no entry for class 'flute'"):
        plot_episode(*episode, colors={"oboe": "red"})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("support_z", np.full((6, 8), np.nan), "support_z holds NaN"),
        ("query_z", np.zeros((4, 7)), r"query_z has shape \(4, 7\); expected \(Q, 8\)"),
        ("support_targets", [0, 1], r"support_targets has shape \(2,\); expected \(6,\)"),
        ("query_targets", [0, 1, 2, 3], "from 0 to 3, but there are 3 classes"),
        ("query_targets", [0.0, 1.0, 2.0, 0.0], "whole numbers"),
        ("prototypes", np.zeros((2, 8)), r"prototypes has shape \(2, 8\); expected \(3, 8\)"),
        ("classes", ["oboe", "oboe", "harp"], "class 'oboe' is given twice"),
        ("classes", "abc", "expected a list of class names"),
    ],
)
def test_bad_episodes_are_refused(episode, field: str, value, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_episode(*episode._replace(**{field: value}))
