"""The dynamic programs against every plan there is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from coord_plugins import Value
from coord_plugins.planning import (
    EdgeRates,
    StepRates,
    best_flat,
    burden,
    cheapest_flat,
    flat_front,
    predict,
)

NAMES = "abcdefghijklmnop"
Problem = tuple[list[StepRates], list[EdgeRates]]


def problem(seed: int, n: int) -> Problem:
    """A random pipeline; some steps have no validator, some calls fail."""
    source = random.Random(seed)
    steps = [
        StepRates(
            name=NAMES[i],
            right=source.uniform(0.8, 0.99),
            fatal=source.choice((0.0, 0.01)),
            invalid=source.choice((0.0, 0.02)),
            cost=source.uniform(0.2, 3.0),
        )
        for i in range(n)
    ]
    judges = [
        EdgeRates(
            step=NAMES[i],
            sensitivity=source.uniform(0.6, 1.0),
            specificity=source.uniform(0.85, 1.0),
            sensitivity_upstream=source.uniform(0.3, 1.0),
            cost=source.uniform(0.0, 0.5),
            max_attempts=1,
        )
        for i in range(n)
        if source.random() < 0.8
    ]
    return steps, judges


def every_flat_plan(found: Problem, attempts: int, first: int = 0) -> Iterator[list[EdgeRates]]:
    """All ways to cut the steps into bare ones and judged blocks."""
    steps, judges = found
    if first == len(steps):
        yield []
        return
    yield from every_flat_plan(found, attempts, first + 1)
    at = {judge.step: judge for judge in judges}
    for last in range(first, len(steps)):
        judge = at.get(steps[last].name)
        if judge is None:
            continue
        for rest in every_flat_plan(found, attempts, last + 1):
            for m in range(1, attempts + 1):
                target = (steps[first].name,) if m > 1 else ()
                yield [replace(judge, targets=target, max_attempts=m), *rest]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_beats_the_plans_found(seed: int) -> None:
    """Four steps, up to 3 attempts: every plan is tried."""
    found = problem(seed, 4)
    steps, judges = found
    plans = [predict(steps, edges) for edges in every_flat_plan(found, 3)]
    assert len(plans) > 30
    value = Value(success=3.0, escalation_cost=2.0, silent_cost=10.0, error_cost=1.0)
    edges = best_flat(steps, judges, value=value, max_attempts=3)
    least = min(burden(one, value) for one in plans)
    assert burden(predict(steps, edges), value) == pytest.approx(least, abs=1e-9)
    most = max(one.success for one in plans)
    bare = predict(steps).success
    for share in (0.0, 0.3, 0.6, 0.9, 0.999):
        target = bare + share * (most - bare)
        for prices in (Value(success=0.0), value):
            cheapest = cheapest_flat(steps, judges, success=target, max_attempts=3, value=prices)
            assert cheapest is not None
            one = predict(steps, cheapest)
            assert one.success >= target - 1e-9
            costs = [burden(p, prices) for p in plans if p.success >= target - 1e-12]
            assert burden(one, prices) == pytest.approx(min(costs), abs=1e-9)
    assert cheapest_flat(steps, judges, success=most + 1e-6, max_attempts=3) is None


def test_the_front_is_what_no_plan_beats() -> None:
    found = problem(11, 4)
    plans = [predict(found[0], edges) for edges in every_flat_plan(found, 2)]
    front = [predict(found[0], edges) for edges in flat_front(*found, max_attempts=2)]
    assert [p.cost for p in front] == sorted(p.cost for p in front)
    assert [p.success for p in front] == sorted(p.success for p in front)
    for one in plans:
        assert any(p.success >= one.success - 1e-9 and p.cost <= one.cost + 1e-9 for p in front)


@pytest.mark.parametrize("seed", range(3))
def test_in_place_only(seed: int) -> None:
    found = problem(seed, 4)
    steps, judges = found
    value = Value(success=0.0, escalation_cost=5.0, silent_cost=50.0)
    best = best_flat(steps, judges, value=value, max_attempts=3, in_place=True)
    plans = [
        predict(steps, edges)
        for edges in every_flat_plan(found, 3)
        if all(e.targets in ((), (e.step,)) for e in edges)
    ]
    least = min(burden(one, value) for one in plans)
    assert burden(predict(steps, best), value) == pytest.approx(least, abs=1e-9)


def test_many_steps_are_merged_on_a_grid() -> None:
    """Beyond ten steps the front is thinned, and stays within the grid of the true optimum."""
    steps = [StepRates(name=NAMES[i], right=0.95 + 0.004 * (i % 7)) for i in range(12)]
    judges = [
        EdgeRates(
            step=NAMES[i],
            sensitivity=0.9,
            specificity=0.97,
            cost=0.1 + 0.1 * (i % 3),
            max_attempts=1,
            sensitivity_upstream=0.9,
        )
        for i in range(2, 12, 4)
    ]
    edges = cheapest_flat(steps, judges, success=0.7, max_attempts=2)
    assert edges is not None
    found = predict(steps, edges)
    assert found.success >= 0.7
    plans = every_flat_plan((steps, judges), 2)
    costs = [p.cost for e in plans if (p := predict(steps, e)).success >= 0.7]
    assert found.cost <= min(costs) * 1.002


def test_aborting_early_is_cheap_where_a_failure_costs_nothing() -> None:
    """Why failures should be priced: an edge that only detects saves the steps after it."""
    steps, judges = problem(0, 4)
    edges = cheapest_flat(steps, judges, success=0.0)
    assert edges
    assert predict(steps, edges).cost < predict(steps).cost
    fair = Value(success=0.0, escalation_cost=10.0, silent_cost=10.0)
    assert cheapest_flat(steps, judges, success=0.0, value=fair) != edges


def test_steps_and_judges_must_fit() -> None:
    steps, judges = problem(0, 3)
    with pytest.raises(ValueError, match="there is no such step"):
        best_flat(steps, [replace(judges[0], step="x")], value=Value(success=1.0))
    with pytest.raises(ValueError, match="max_attempts must be at least 1"):
        cheapest_flat(steps, judges, success=0.5, max_attempts=0)
    sticky = [replace(step, sticky=0.5) for step in steps]
    with pytest.raises(ValueError, match="sticky errors need"):
        best_flat(sticky, judges, value=Value(success=1.0))
