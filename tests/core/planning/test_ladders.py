"""The search over ladders: exact over its family, and downhill where that is too large."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from coord_plugins import Value
from coord_plugins.planning import (
    LADDERS,
    EdgeRates,
    StepRates,
    best_flat,
    burden,
    predict,
    search_ladders,
)

NAMES = "abcdefghijkl"


def pipeline(n: int, s: float = 0.9) -> tuple[list[StepRates], list[EdgeRates]]:
    steps = [StepRates(name=NAMES[i], right=0.96 + 0.01 * (i % 3)) for i in range(n)]
    judges = [
        EdgeRates(step=NAMES[i], sensitivity=s, specificity=0.97, cost=0.2, max_attempts=1)
        for i in range(n)
    ]
    return steps, judges


def test_it_is_the_best_of_its_family() -> None:
    """Three steps: all sets of positions times all ladders, written out by hand."""
    steps, judges = pipeline(3)
    prices = Value(success=0.0, escalation_cost=20.0, silent_cost=100.0)
    found = search_ladders(steps, judges, value=prices)
    assert found is not None
    costs = []
    for chosen in product((False, True), repeat=3):
        for ladder in LADDERS:
            edges, last = [], -1
            for i, is_there in enumerate(chosen):
                if is_there:
                    where = {"block": last + 1, "previous": max(0, last), "start": 0}
                    targets = tuple(NAMES[where[rung]] for rung in ladder)
                    edges.append(replace(judges[i], targets=targets, max_attempts=len(ladder) + 1))
                    last = i
            costs.append(burden(predict(steps, edges), prices))
    assert burden(predict(steps, found), prices) == pytest.approx(min(costs), abs=1e-12)


def test_ladders_reach_what_flat_plans_do_not() -> None:
    steps, judges = pipeline(6)
    found = search_ladders(steps, judges, success=0.99)
    assert found is not None
    assert predict(steps, found).success >= 0.99
    assert search_ladders(steps, judges, success=0.9999) is None


def test_attempts_are_bounded() -> None:
    steps, judges = pipeline(3)
    found = search_ladders(steps, judges, success=0.9, max_attempts=2)
    assert found is not None
    assert all(e.max_attempts <= 2 for e in found)


def test_many_steps_go_downhill_from_the_best_flat_plan() -> None:
    """Ten judges: no worse than any flat plan, and no change of one edge is better."""
    steps, judges = pipeline(10, s=0.95)
    prices = Value(success=0.0, escalation_cost=10.0, silent_cost=60.0)
    found = search_ladders(steps, judges, value=prices, max_attempts=3)
    assert found is not None
    flat = best_flat(steps, judges, value=prices, max_attempts=3)
    least = burden(predict(steps, flat), prices)
    assert burden(predict(steps, found), prices) < least
    constrained = search_ladders(steps, judges, success=0.95, max_attempts=3)
    assert constrained is not None
    assert predict(steps, constrained).success >= 0.95
    assert search_ladders(steps, judges, success=0.99999, max_attempts=2) is None
