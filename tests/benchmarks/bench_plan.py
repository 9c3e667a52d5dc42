"""Planning: does what a plan promises come true, attached and run on LangGraph?

The 6 x 97 % pipeline with validators of sensitivity 0.9 and specificity 0.97 is recorded in
`observe`, planned from these records alone, and run again with the planned edges.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from measure import Size, table, verdict

from coord_plugins import (
    STOP,
    RunRecord,
    ValidationEdge,
    check,
    collect_runs,
    current_run,
    flush,
    iter_runs,
)
from coord_plugins._store import Store
from coord_plugins.planning import Plan, plan, rates_from_runs

STEPS = ("read", "search", "extract", "draft", "revise", "send")
RIGHT, SENSITIVITY, SPECIFICITY = 0.97, 0.9, 0.97
TARGET = 0.99
RUNS, REPETITIONS = 5_000, 20
WIDEST = 0.02
"""The widest band of success that a plan from 5,000 runs may give."""
ENOUGH = 17
"""Repetitions of 20 whose measurement must lie in its band."""
PRICES = {"worker": (1_000.0, 0.0), "validator": (200.0, 0.0)}
"""Dollars per million tokens: an execution costs about 1, a judgement about 0.2."""


class State(TypedDict):
    right: bool


def spend(model: str, tokens: int) -> None:
    """One model call of the step that runs."""
    current_run().add_usage(model=model, input_tokens=tokens, output_tokens=0)


class World:
    """A simulated worker and its validators; all chance comes from one seed."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)

    def node(self, name: str) -> Callable[..., Any]:
        def work(state: State, feedback: str | None = None) -> State:
            spend("worker", self.source.randint(800, 1_200))
            return {"right": state["right"] and self.source.random() < RIGHT}

        work.__name__ = name
        return work

    def validator(self, output: State) -> bool:
        spend("validator", 1_000)
        return self.source.random() < (SPECIFICITY if output["right"] else 1.0 - SENSITIVITY)

    def edges(self) -> list[ValidationEdge]:
        return [
            ValidationEdge(s, check(self.validator, name="rubric"), otherwise=STOP) for s in STEPS
        ]

    def graph(self) -> Any:
        from langgraph.graph import END, START, StateGraph

        graph = StateGraph(State)
        for name in STEPS:
            graph.add_node(name, self.node(name))
        for one, other in zip((START, *STEPS), (*STEPS, END), strict=True):
            graph.add_edge(one, other)
        return graph.compile()

    def attached(self, edges: list[ValidationEdge], **settings: Any) -> Any:
        from coord_langgraph import attach

        settings.setdefault("pipeline", "six")
        return attach(
            self.graph(),
            *edges,
            goal=check(lambda output: output["right"], name="right"),
            label=lambda value, step: value["right"],
            prices=PRICES,
            **settings,
        )


def runs_of(app: Any, count: int) -> list[RunRecord]:
    """Run so often; the records."""
    with collect_runs() as records:
        for _ in range(count):
            app.invoke({"right": True}, {"recursion_limit": 500})
    return records


@dataclass(frozen=True)
class Came:
    """What became of one plan."""

    plan: Plan
    success: float
    cost: float
    seconds: float
    """CPU time that planning took."""

    @property
    def success_in(self) -> bool:
        """Whether the measured success lies in the band of measurements."""
        figure = self.plan.expected.success
        return figure.runs_low <= self.success <= figure.runs_high

    @property
    def cost_in(self) -> bool:
        """Whether the measured cost does."""
        figure = self.plan.expected.cost
        return figure.runs_low <= self.cost <= figure.runs_high

    @property
    def width(self) -> float:
        """Of the band of the true success."""
        return self.plan.expected.success.high - self.plan.expected.success.low


def repetition(seed: int, count: int, target: float = TARGET) -> Came:
    """Record, plan from the store, attach the plan, run it."""
    world = World(seed)
    with tempfile.TemporaryDirectory() as directory:
        store = Store(f"sqlite:///{Path(directory) / 'runs.db'}")
        runs_of(world.attached(world.edges(), mode="observe", store=store), count)
        assert flush(300)
        began = time.process_time()
        rates = rates_from_runs(iter_runs(store, pipeline="six"), policies=store.policies("six"))
        planned = plan(rates, target=target, for_runs=count, seed=seed)
        spent = time.process_time() - began
        store.close()
    assert rates.runs == count
    found = runs_of(world.attached(planned.edges(world.edges()), store="off"), count)
    return Came(
        plan=planned,
        success=sum(record.succeeded for record in found) / count,
        cost=sum(record.cost for record in found) / count,
        seconds=spent,
    )


def planning(size: Size) -> None:
    """Bands against measurements."""
    count, repetitions = max(60, size.count(RUNS)), max(2, size.count(REPETITIONS))
    came = []
    for seed in range(repetitions):
        one = repetition(seed, count)
        came.append(one)
        if size.scale >= 1.0:
            figure = one.plan.expected.success
            print(
                f"  {seed:2}: success {figure.mean:.4f} [{figure.runs_low:.4f}, "
                f"{figure.runs_high:.4f}] measured {one.success:.4f}; cost "
                f"{one.plan.expected.cost.mean:.3f} measured {one.cost:.3f}; "
                f"width {one.width:.4f}; {one.seconds:.1f} s; "
                f"{'' if one.success_in else 'success OUT '}{'' if one.cost_in else 'cost OUT'}",
                flush=True,
            )
    needed = -(-ENOUGH * repetitions // REPETITIONS)
    rows = []
    for name, hits in {
        "success": sum(one.success_in for one in came),
        "cost": sum(one.cost_in for one in came),
        "both": sum(one.success_in and one.cost_in for one in came),
    }.items():
        rows.append((name, f"{hits}/{repetitions}", f"{needed}", verdict(hits >= needed)))
    table(f"measured within the band, {count:,} runs", ("", "inside", "at least", "target"), rows)
    widest = max(one.width for one in came)
    slowest = max(one.seconds for one in came)
    rows = [
        ("widest band of success", f"{widest:.4f}", f"{WIDEST}", verdict(widest <= WIDEST)),
        ("slowest plan, CPU seconds", f"{slowest:.1f}", "5", verdict(slowest <= 5.0)),
    ]
    table("width and time", ("", "", "at most", "target"), rows)
