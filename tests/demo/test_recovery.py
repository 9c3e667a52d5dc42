"""What six steps at 97 % come to, and what checks with feedback recover."""

from __future__ import annotations

import math
import time
from typing import Any

from coord_plugins.demo import (
    FAULT_RATE,
    STEPS,
    RateLimited,
    goal,
    planned_fault,
    working,
)


def within(count: int, draws: int, share: float, sigmas: float = 5.0) -> bool:
    """Tell whether a count lies within that many standard deviations of a binomial."""
    return abs(count - draws * share) <= sigmas * math.sqrt(draws * share * (1 - share))


def test_plain_runs_succeed_as_often_as_six_steps_at_97_percent(desk: Any) -> None:
    model = desk.model(seed=7)
    begin = time.perf_counter()
    runs, met = 2000, 0
    for number in range(runs):
        ticket = desk.tickets[number % len(desk.tickets)]
        state, error = desk.run(model, ticket, number // len(desk.tickets))
        met += error is None and goal(state, desk.answers[ticket.id])[0]
        faults = [
            planned_fault(7, ticket.id, number // len(desk.tickets), step, 1) for step in STEPS
        ]
        assert (error is None and goal(state, desk.answers[ticket.id])[0]) == (not any(faults))
    seconds = time.perf_counter() - begin
    # 3.29 standard deviations hold 99.9 %.
    assert within(met, runs, (1 - FAULT_RATE) ** len(STEPS), sigmas=3.29)
    assert seconds < 3


def guarded_run(desk: Any, model: Any, number: int, *, deliver: bool) -> bool:
    """Run with retries and checks on every step; true when the goal is met."""
    ticket = desk.tickets[number % len(desk.tickets)]
    state = desk.start(ticket)
    with working(ticket.id, number // len(desk.tickets)):
        for step in STEPS:
            feedback: str | None = None
            for _ in range(4):
                try:
                    state[step] = desk.execute(model, step, state, feedback)
                except (ValueError, RateLimited, TimeoutError):
                    continue
                passed, why = desk.check(step, state)
                if passed:
                    break
                feedback = why if deliver else None
            else:
                return False
    return goal(state, desk.answers[ticket.id])[0]


def test_checks_with_feedback_recover_nearly_all_and_feedback_is_needed(desk: Any) -> None:
    runs = 2000
    rates = {}
    for deliver in (True, False):
        model = desk.model(seed=7)
        met = [guarded_run(desk, model, number, deliver=deliver) for number in range(runs)]
        rates[deliver] = sum(met) / runs
    assert rates[True] >= 0.99
    # Without feedback every sticky fault is lost: a quarter of the faults of each step.
    lost = 1 - (1 - FAULT_RATE / 4) ** len(STEPS)
    assert within(round(runs * (rates[True] - rates[False])), runs, lost)
