"""The public testing helpers: fakes, `simulate`, `assert_outcome`."""

from __future__ import annotations

import asyncio

import pytest

from coord_plugins import (
    START,
    STOP,
    AttemptsExhaustedError,
    PolicyError,
    Retry,
    UnknownStepError,
    ValidationEdge,
    check,
    current_run,
    track,
    use_clock,
)
from coord_plugins.testing import (
    Act,
    FakeClock,
    assert_identities,
    assert_outcome,
    scripted,
    simulate,
)

fine = check(lambda o: "bad" not in o, name="fine", feedback="no bad")
sent = check(lambda o: o == "sent", name="sent")


def test_fake_clock() -> None:
    draws = iter([0.25, 0.5])
    clock = FakeClock(100.0, random=lambda: next(draws))
    clock.sleep(2.0)
    clock.advance(3.0)
    asyncio.run(clock.asleep(4.0))
    assert (clock.sleeps, clock.slept) == ([2.0, 4.0], 6.0)
    assert (clock.monotonic(), clock.time()) == (9.0, 109.0)
    assert (clock.random(), clock.random()) == (0.25, 0.5)


def test_scripted() -> None:
    step = scripted("a", KeyError, ValueError("x"), Act(then="b", seconds=2.0), name="step")
    with use_clock(FakeClock()) as clock:
        assert step("in") == "a"
        with pytest.raises(KeyError):
            step()
        with pytest.raises(ValueError, match="x"):
            asyncio.run(step.asynchronous()(feedback="words"))
        assert (step(), step()) == ("b", "b")
    assert (step.count, clock.sleeps) == (5, [2.0, 2.0])
    assert step.feedback == [None, None, "words", None, None]
    assert [c.input for c in step.calls] == ["in", None, None, None, None]
    with pytest.raises(ValueError, match="at least one entry"):
        scripted([])


def test_a_script_reports_usage_to_its_run() -> None:
    step = scripted(Act(then=1, cost_usd=0.5, tokens=2), Act(do=lambda: current_run().metadata))
    with track("p", store="off") as run:
        step()
    assert run.spent.cost_usd == 0.5
    with pytest.raises(LookupError):
        scripted(Act(cost_usd=1.0))()


@pytest.mark.parametrize("is_async", [False, True])
def test_simulate(is_async: bool) -> None:
    edge = ValidationEdge("writer", fine, back_to=("writer", "reader", START), otherwise="desk")
    steps = {"reader": "facts", "writer": ["bad"], "sender": "sent", "desk": "by hand"}
    seen = simulate(edge, steps, goal=sent, is_async=is_async)
    assert_outcome(
        seen,
        "escalated.unjudged",
        executions={"reader": 3, "writer": 4, "desk": 1, "sender": 1},
        attempts=4,
        feedback={"writer": [None, "no bad", "no bad", "no bad"], "reader": 2},
        lost_at="writer",
    )
    assert seen.output == "sent"
    assert_identities(seen.record)  # type: ignore[arg-type]


def test_simulate_returns_errors_and_raises_for_policies() -> None:
    seen = simulate(ValidationEdge("w", fine), {"w": "bad"})
    assert isinstance(seen.error, AttemptsExhaustedError)
    assert seen.output is None
    with pytest.raises(UnknownStepError, match="did you mean 'writer'"):
        simulate(ValidationEdge("writr", fine), {"writer": "x"})
    with pytest.raises(PolicyError):
        simulate(steps={"a": "x"}, retry="often")


def test_simulate_takes_an_order_and_a_clock() -> None:
    clock = FakeClock(random=lambda: 0.5)
    seen = simulate(
        steps={"b": [TimeoutError(), "sent"], "a": "x", "spare": "y"},
        order=["a", "b"],
        retry=Retry(max_attempts=2),
        goal=sent,
        clock=clock,
    )
    assert_outcome(seen, "success.crash_retried", executions={"a": 1, "b": 2}, lost_at=None)
    assert clock.sleeps == seen.sleeps == [0.25]


def test_simulate_off() -> None:
    seen = simulate(ValidationEdge("w", fine, otherwise=STOP), {"w": "bad"}, mode="off")
    assert (seen.record, seen.outcome, seen.output) == (None, "", "bad")
    with pytest.raises(AssertionError, match="there is no record"):
        assert_outcome(seen, "success", executions={})


def test_assert_outcome_shows_every_difference_at_once() -> None:
    seen = simulate(ValidationEdge("w", fine), {"w": ["bad", "good"]}, goal=sent)
    with pytest.raises(AssertionError) as caught:
        assert_outcome(
            seen, "success", executions={"w": 1}, attempts={"w": 1}, feedback={"w": 0}, lost_at=None
        )
    assert str(caught.value).splitlines() == [
        "the run went differently:",
        "  outcome: expected 'success', got 'silent_failure'",
        "  executions: expected {'w': 1}, got {'w': 2}",
        "  attempts: expected {'w': 1}, got {'w': 2}",
        "  feedback to w: expected 0, got 1",
        "  lost_at: expected None, got 'goal'",
        "the run ended as silent_failure.after_retry",
        "  w #1 loop: no bad",
    ]
    with pytest.raises(ValueError, match="is no outcome"):
        assert_outcome(seen, "sucess", executions={})
