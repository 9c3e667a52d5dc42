"""Golden values of the model and of the optimiser, to 1e-9, by public functions."""

from __future__ import annotations

import json
from ast import literal_eval
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coord_plugins import Value
from coord_plugins.planning import (
    EdgeRates,
    Prediction,
    StepRates,
    best_flat,
    burden,
    cheapest_flat,
    closed_block,
    predict,
    search_ladders,
    sticky_block,
)

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "golden.json").read_text(encoding="utf-8")
)
SECTIONS = (
    "block",
    "block2",
    "ladder",
    "ladder_each",
    "planner",
    "plans",
    "scalar",
    "sticky",
)
REPRODUCED = {(section, key) for section in SECTIONS for key in GOLDEN[section]}
"""The entries that this module reproduces."""
NAMES = ("a", "b", "c", "d", "e", "f")
STEPS = [StepRates(name=name, right=0.97) for name in NAMES]
JUDGEMENT = 0.2
"""Cost of one judgement where the key does not say; an execution costs 1."""
PRICES = Value(success=0.0, escalation_cost=20.0, silent_cost=100.0)


def judges(s: float, t: float, cost: float = JUDGEMENT, d: float = 1.0) -> list[EdgeRates]:
    """One judge per step, which sees an error born g steps before with s * d^g."""
    return [
        EdgeRates(
            step=NAMES[i],
            sensitivity=s,
            specificity=t,
            max_attempts=1,
            cost=cost,
            sensitivity_upstream=(
                s if d == 1.0 else {NAMES[born]: s * d ** (i - born) for born in range(i)}
            ),
        )
        for i in range(6)
    ]


def edge(judge: EdgeRates, attempts: int, *targets: int) -> EdgeRates:
    return replace(judge, targets=tuple(NAMES[i] for i in targets), max_attempts=attempts)


def same(found: Prediction, golden: dict[str, Any], **others: float) -> None:
    """Compare every number of an entry."""
    values = {
        "success": found.success,
        "silent": found.silent,
        "escalated": found.escalated,
        "esc": found.escalated,
        "esc_good": found.escalated_good,
        "cost": found.cost,
        **others,
    }
    numbers = {name: value for name, value in golden.items() if isinstance(value, float)}
    assert {name: values[name] for name in numbers} == pytest.approx(numbers, abs=1e-9, rel=0)


BLOCKS = {
    "each,in place": [(i, i) for i in range(6)],
    "end->step1": [(5, 0)],
    "end->step6": [(5, 5)],
    "halves": [(2, 0), (5, 3)],
    "thirds": [(1, 0), (3, 2), (5, 4)],
}


@pytest.mark.parametrize("key", GOLDEN["plans"])
def test_plans(key: str) -> None:
    """Disjoint and nested loops."""
    name, _, rates = key.partition(" s=")
    s, t, *rest = (float(part.partition("=")[2] or part) for part in rates.split())
    if name == "each m=2 + end->1 m=2":
        edges = [edge(j, 2) for j in judges(s, t)[:5]] + [edge(judges(s, t)[5], 2, 0)]
    else:
        edges = [edge(judges(s, t)[i], int(rest[0]), j) for i, j in BLOCKS[name]]
    same(predict(STEPS, edges), GOLDEN["plans"][key])


LADDERS: dict[str, Callable[[int], tuple[int, ...]]] = {
    "in place": lambda i: (i, i),
    "i,i-1": lambda i: (i, max(0, i - 1)),
    "i,i-1,0": lambda i: (i, max(0, i - 1), 0),
    "i,0": lambda i: (i, 0),
}


@pytest.mark.parametrize("key", GOLDEN["ladder_each"])
def test_ladders_that_cross(key: str) -> None:
    """With sensitivities that fade with the distance of the error."""
    rates, decay, name = key.split("|")
    placed = judges(*literal_eval(rates), d=float(decay.removeprefix("d=")))
    edges = [edge(j, len(LADDERS[name](i)) + 1, *LADDERS[name](i)) for i, j in enumerate(placed)]
    same(predict(STEPS, edges), GOLDEN["ladder_each"][key])


def attempts_as_cost(found: Prediction) -> tuple[Prediction, float]:
    """The closed forms count attempts; an attempt with its judgement costs 1.2."""
    return replace(found, cost=found.cost * (1.0 + JUDGEMENT)), found.cost


@pytest.mark.parametrize("section", ["block", "block2"])
def test_blocks(section: str) -> None:
    for key, golden in GOLDEN[section].items():
        found, attempts = attempts_as_cost(closed_block(*literal_eval(key)))
        same(found, golden, attempts=attempts)


@pytest.mark.parametrize("key", GOLDEN["sticky"])
def test_sticky_tasks(key: str) -> None:
    p, r, s, t, m = literal_eval(key)
    found, attempts = attempts_as_cost(sticky_block(p, s, t, m, r))
    same(found, GOLDEN["sticky"][key], attempts=attempts)


def written(edges: tuple[EdgeRates, ...]) -> str:
    """A flat plan as the entries write it."""
    return " ".join(
        f"V{NAMES.index(e.step) + 1}->{NAMES.index((*e.targets, e.step)[0]) + 1}(m{e.max_attempts})"
        for e in edges
    )


TIED = {"(0.9, 0.97, 0.05)|0.9"}
"""Equal steps make two plans equally good here; any of them is right."""


@pytest.mark.parametrize("key", GOLDEN["planner"])
def test_flat_plans_for_a_target(key: str) -> None:
    rates, target = key.split("|")
    edges = cheapest_flat(STEPS, judges(*literal_eval(rates)), success=float(target))
    assert edges is not None
    same(predict(STEPS, edges), GOLDEN["planner"][key])
    if key not in TIED:
        assert written(edges) == GOLDEN["planner"][key]["plan"]


@pytest.mark.parametrize("key", GOLDEN["scalar"])
def test_flat_plans_for_prices(key: str) -> None:
    edges = best_flat(STEPS, judges(*literal_eval(key)), value=PRICES, max_attempts=6)
    found = predict(STEPS, edges)
    same(found, GOLDEN["scalar"][key], J=burden(found, PRICES))
    assert written(edges) == GOLDEN["scalar"][key]["plan"]


@pytest.mark.parametrize("key", GOLDEN["ladder"])
def test_plans_with_ladders(key: str) -> None:
    rates, decay, wanted = key.split("|")
    placed = judges(*literal_eval(rates), d=float(decay.removeprefix("d=")))
    if wanted == "J":
        edges = search_ladders(STEPS, placed, value=PRICES)
    else:
        edges = search_ladders(STEPS, placed, success=float(wanted))
    golden = GOLDEN["ladder"][key]
    assert edges is not None
    same(predict(STEPS, edges), golden)
    assert [NAMES.index(e.step) + 1 for e in edges] == golden["pos"]
    before = [-1] + [NAMES.index(e.step) for e in edges]
    for e, last in zip(edges, before, strict=False):
        places = {"b": NAMES[last + 1], "prev": NAMES[max(0, last)], "0": NAMES[0]}
        assert e.targets == tuple(places[rung] for rung in golden["ladder"].split(","))


def test_what_no_flat_plan_reaches() -> None:
    """Validators of 0.9 and 0.97 end at 0.981078 without ladders, whatever the attempts."""
    assert cheapest_flat(STEPS, judges(0.9, 0.97), success=0.99) is None
    best = cheapest_flat(STEPS, judges(0.9, 0.97), success=0.981077)
    assert best is not None
    assert predict(STEPS, best).success == pytest.approx(0.981078, abs=1e-6)
