"""Voting to a lead of k, against the chain that it is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins import PolicyError
from coord_plugins.stats import first_to_ahead, votes_needed


def walked(p: float, k: int) -> tuple[float, float]:
    """The random walk from 0 to k or -k, step by step."""
    at, won, votes = {0: 1.0}, 0.0, 0.0
    while sum(at.values()) > 1e-14:
        votes += sum(at.values())
        following: dict[int, float] = {}
        for lead, mass in at.items():
            for to, share in ((lead + 1, p), (lead - 1, 1 - p)):
                if to == k:
                    won += mass * share
                elif to != -k:
                    following[to] = following.get(to, 0.0) + mass * share
        at = following
    return won, votes


@pytest.mark.parametrize("p", [0.05, 0.4, 0.5, 0.5000001, 0.6, 0.9, 0.97])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_closed_form_is_the_walk(p: float, k: int) -> None:
    assert first_to_ahead(p, k) == pytest.approx(walked(p, k), abs=1e-9)


@given(st.floats(0, 1), st.integers(1, 40))
def test_right_and_wrong_mirror(p: float, k: int) -> None:
    wins, votes = first_to_ahead(p, k)
    loses, same = first_to_ahead(1 - p, k)
    assert wins + loses == pytest.approx(1.0)
    assert votes == pytest.approx(same)
    assert k - 1e-9 <= votes <= k * k + 1e-9


def test_ends() -> None:
    assert first_to_ahead(1.0, 4) == (1.0, 4.0)
    assert first_to_ahead(0.0, 4) == (0.0, 4.0)
    assert first_to_ahead(0.5, 3) == (0.5, 9.0)
    assert first_to_ahead(1e-300, 9)[0] == 0.0
    assert votes_needed(1.0, 0.999, 10**6) == 1


@given(st.floats(0.51, 0.9999), st.floats(0.01, 0.9999), st.integers(1, 10**6))
def test_the_lead_is_the_smallest(p: float, target: float, steps: int) -> None:
    k = votes_needed(p, target, steps)
    assert steps * math.log(first_to_ahead(p, k)[0]) >= math.log(target) - 1e-9
    if k > 1:
        fewer = steps * math.log(first_to_ahead(p, k - 1)[0])
        assert fewer < math.log(target) + 1e-9


def test_a_lead_that_is_just_enough() -> None:
    assert votes_needed(0.9, 0.9, 1) == 1


@pytest.mark.parametrize("p", [0.5, 0.3, 0.0])
def test_voting_helps_only_above_one_half(p: float) -> None:
    with pytest.raises(PolicyError, match="above 1/2"):
        votes_needed(p, 0.9, 3)


@pytest.mark.parametrize(("p", "target", "steps"), [(1.1, 0.9, 1), (0.9, 1.0, 1), (0.9, 0.9, 0)])
def test_numbers_that_cannot_be(p: float, target: float, steps: int) -> None:
    with pytest.raises(ValueError, match="votes_needed"):
        votes_needed(p, target, steps)


@pytest.mark.parametrize(("p", "k"), [(-0.1, 1), (0.5, 0)])
def test_votes_that_cannot_be(p: float, k: int) -> None:
    with pytest.raises(ValueError, match="first_to_ahead"):
        first_to_ahead(p, k)
