from __future__ import annotations

import numpy as np
import pytest
import torch

from musicfsl.errors import InputError
from musicfsl.tagging import DECISIONS, WindowVotes

WINDOWS = {0: [[0.2, 0.8], [0.6, 0.4], [0.1, 0.9]], 1: [[0.3, 0.1]]}


@pytest.fixture
def votes() -> WindowVotes:
    made = WindowVotes(2, 2)
    made.add(torch.tensor([0, 1]), torch.tensor([WINDOWS[0][0], WINDOWS[1][0]]))
    made.add(torch.tensor([0, 0]), torch.tensor(WINDOWS[0][1:]))
    return made


def by_hand(decision: str, windows: list[list[float]]) -> list[float]:
    columns = [[window[c] for window in windows] for c in range(2)]
    means = [sum(column) / len(column) for column in columns]
    if decision == "mean":
        return means
    if decision == "normalised":
        return [mean / max(means) for mean in means]
    if decision == "max":
        return [max(column) for column in columns]
    return [(mean + max(column)) / 2 for mean, column in zip(means, columns, strict=True)]


@pytest.mark.parametrize("decision", DECISIONS)
def test_decisions_by_hand(votes: WindowVotes, decision: str) -> None:
    expected = [by_hand(decision, WINDOWS[clip]) for clip in (0, 1)]
    np.testing.assert_allclose(votes.decide(decision), expected, rtol=1e-6)


@pytest.mark.parametrize("decision", DECISIONS)
def test_processes_are_joined(votes: WindowVotes, decision: str) -> None:
    one, other = WindowVotes(2, 2), WindowVotes(2, 2)
    one.add(torch.tensor([0, 0]), torch.tensor(WINDOWS[0][:2]))
    other.add(torch.tensor([0, 1]), torch.tensor([WINDOWS[0][2], WINDOWS[1][0]]))
    parts = {"_sums": 0, "_counts": 0, "_highest": 0}

    def reduce(value: torch.Tensor, reduce_op: str) -> torch.Tensor:
        (name,) = [name for name in parts if getattr(one, name) is value]
        return {"sum": torch.add, "max": torch.maximum}[reduce_op](value, getattr(other, name))

    torch.testing.assert_close(one.decide(decision, reduce), votes.decide(decision))


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_clip_without_a_window_is_no_number(decision: str) -> None:
    votes = WindowVotes(2, 2)
    votes.add(torch.tensor([1]), torch.tensor([[0.5, 0.5]]))
    assert torch.isnan(votes.decide(decision)).tolist() == [[True, True], [False, False]]


def test_all_zero_is_not_divided_by_zero() -> None:
    votes = WindowVotes(1, 2)
    votes.add(torch.tensor([0]), torch.zeros(1, 2))
    assert votes.decide("normalised").tolist() == [[0.0, 0.0]]


def test_unknown_decision(votes: WindowVotes) -> None:
    with pytest.raises(InputError, match="no decision 'meen'. Did you mean 'mean'"):
        votes.decide("meen")
