"""A small pipeline of plain functions whose truth is known, and records of its runs."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from coord_plugins import (
    STOP,
    AttemptsExhaustedError,
    Retry,
    RunRecord,
    ValidationEdge,
    check,
    collect_runs,
    current_run,
    use_clock,
)
from coord_plugins.testing import FakeClock
from coord_plugins.testing._plain import Pipeline


@dataclass
class World:
    """Steps in a row that err by chance; validators that err by chance."""

    seed: int = 1
    names: tuple[str, ...] = ("read", "draft", "send")
    right: float = 0.9
    sensitivity: float = 0.85
    specificity: float = 0.95
    upstream: float = 0.85
    recurs: float = 0.0
    """Share of errors that recur in the run whatever the feedback."""
    fails: float = 0.0
    """Share of calls that raise what a Retry repeats."""
    priced: bool = True
    judged: tuple[str, ...] | None = None
    source: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.source = random.Random(self.seed)
        self.stuck: set[str] = set()

    def step(self, name: str) -> Callable[..., Any]:
        def work(state: dict[str, Any], feedback: str | None = None) -> dict[str, Any]:
            if self.priced:
                current_run().add_usage(cost_usd=self.source.choice((0.5, 1.5)))
            if self.source.random() < self.fails:
                raise TimeoutError("slow")
            before = state[self.names[self.names.index(name) - 1]] if name != self.names[0] else {}
            born = before.get("born")
            if born is None and (name in self.stuck or self.source.random() >= self.right):
                born = name
                if self.source.random() < self.recurs:
                    self.stuck.add(name)
            return {"born": born, "step": name}

        return work

    def judge(self, output: dict[str, Any]) -> bool:
        if self.priced:
            current_run().add_usage(cost_usd=0.2)
        if output["born"] is None:
            return self.source.random() < self.specificity
        own = output["born"] == output["step"]
        return self.source.random() >= (self.sensitivity if own else self.upstream)

    def edges(self) -> list[ValidationEdge]:
        return [
            ValidationEdge(name, check(self.judge, name=f"checks {name}"), otherwise=STOP)
            for name in (self.names if self.judged is None else self.judged)
        ]

    def pipeline(self, *edges: ValidationEdge, **settings: Any) -> Pipeline:
        settings.setdefault("label", lambda value, step: value["born"] is None)
        settings.setdefault("goal", check(lambda output: output["born"] is None, name="right"))
        settings.setdefault("pipeline", "letters")
        settings.setdefault("store", "off")
        if self.fails:
            settings.setdefault("retry", Retry(max_attempts=5))
        return Pipeline(
            {name: self.step(name) for name in self.names},
            *edges,
            order=self.names,
            **settings,
        )

    def runs(self, count: int, *edges: ValidationEdge, **settings: Any) -> list[RunRecord]:
        """Run so often, observed unless edges are given."""
        if not edges:
            edges = tuple(self.edges())
            settings.setdefault("mode", "observe")
        pipeline = self.pipeline(*edges, **settings)
        with use_clock(FakeClock()), collect_runs() as records:
            for _ in range(count):
                self.stuck.clear()
                with suppress(TimeoutError, AttemptsExhaustedError):
                    pipeline.run({})
        return records


@pytest.fixture(scope="session")
def world() -> type[World]:
    return World
