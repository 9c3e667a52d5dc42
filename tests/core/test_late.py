"""Labels that arrive late: judge goals on a worker, and `record_outcome`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from coord_plugins import (
    LATER,
    OutcomeRecorded,
    PolicyError,
    flush,
    iter_runs,
    judge,
    record_outcome,
    run_context,
    track,
)
from coord_plugins._clock import use_clock
from coord_plugins.testing import FakeClock, scripted, simulate


class Hearing:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_event(self, event: Any) -> None:
        if isinstance(event, OutcomeRecorded):
            self.heard.append(event)


def test_the_call_returns_before_the_judge_speaks() -> None:
    release = threading.Event()

    def model(output: Any) -> bool:
        assert release.wait(30)
        return True

    hearing = Hearing()
    here = track("p", goal=judge(model), listeners=[hearing], store="off")
    with here:
        pass
    assert here.coord.last is not None
    assert here.coord.last.outcome == "unlabelled"
    assert flush(0.01) is False
    release.set()
    assert flush(10)
    assert here.coord.last.outcome == "success.first_pass"
    (event,) = hearing.heard
    assert (event.run_id, event.passed, event.source) == (here.coord.last.run_id, True, "measured")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_judge_goal_that_says_no_or_fails(is_async: bool) -> None:
    for answer, outcome, explanation, failed in (
        ((False, "not cited"), "silent_failure.first_pass", "not cited", None),
        (KeyError("x"), "unlabelled", None, "KeyError: 'x'"),
    ):

        def model(output: Any, answer: Any = answer) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def amodel(output: Any, answer: Any = answer) -> Any:
            await asyncio.sleep(0)
            return model(output, answer)

        hearing = Hearing()
        here = track(
            "p", goal=judge(amodel if is_async else model), listeners=[hearing], store="off"
        )
        with here:
            pass
        assert flush(10)
        record = here.coord.last
        assert record is not None
        assert (record.outcome, record.explanation, record.goal_error) == (
            outcome,
            explanation,
            failed,
        )
        (event,) = hearing.heard
        assert (event.explanation, event.goal_error) == (explanation, failed)


def test_a_run_that_failed_asks_no_goal() -> None:
    goal = scripted(True)
    seen = simulate(steps={"a": KeyError("x")}, goal=judge(goal))
    assert flush(10)
    assert (seen.outcome, goal.count) == ("error.crash", 0)


def test_record_outcome_by_run_and_by_task() -> None:
    here = track("p", goal=LATER)
    with run_context(task="t1"), here:
        pass
    assert here.coord.last is not None
    run_id = here.coord.last.run_id
    assert flush(10)
    assert record_outcome(run_id, passed=True, at=1.0) == run_id
    assert flush(10)
    assert stored() == {run_id: ("success.first_pass", "late")}
    assert (
        record_outcome(task="t1", pipeline="p", passed=False, source="reopened", at=2.0) == run_id
    )
    assert flush(10)
    assert stored() == {run_id: ("silent_failure.first_pass", "late")}
    record_outcome(run_id, passed=True, at=1.5)  # older than the latest: it changes nothing
    assert flush(10)
    assert stored() == {run_id: ("silent_failure.first_pass", "late")}


def stored() -> dict[str, tuple[str, str]]:
    return {r.run_id: (r.outcome, r.source) for r in iter_runs()}


def test_listeners_hear_it_too() -> None:
    hearing = Hearing()
    with track("p", goal=LATER, listeners=[hearing]) as run:
        pass
    with use_clock(FakeClock(100.0)):
        record_outcome(run.run_id, passed=False, source="ticket reopened")
    assert flush(10)
    assert hearing.heard == [
        OutcomeRecorded(run.run_id, False, 100.0, "late", "ticket reopened", None)
    ]


def test_what_cannot_hold() -> None:
    with pytest.raises(PolicyError, match="give run_id="):
        record_outcome(passed=True)
    with pytest.raises(PolicyError, match="give run_id="):
        record_outcome(task="t", passed=True)
    with pytest.raises(PolicyError, match="no run of task 'nobody'"):
        record_outcome(task="nobody", pipeline="p", passed=True)
