"""The quick path of a decorated call means the same as the full loop, only cheaper.

Each case runs twice: outside of a run, where the quick path applies, and inside `track`, where
the full loop does. Calls of the function and of the validators are counted in both.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import BaseModel

from coord_plugins import (
    AsyncValidatorError,
    AttemptsExhaustedError,
    Retry,
    Verdict,
    check,
    current_feedback,
    current_step,
    retrying,
    schema,
    track,
    use_clock,
    validated,
)
from coord_plugins.testing import FakeClock

NO_WAIT = Retry(max_attempts=3, initial_interval=0)


class Reply(BaseModel):
    text: str
    line: int


def in_turn(*outcomes: Any) -> Callable[[Any], Any]:
    """A function that gives (or raises) the n-th outcome at its n-th call; the last repeats."""
    left = list(outcomes)

    def fn(*_: Any) -> Any:
        fn.calls += 1  # type: ignore[attr-defined]
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, Exception):
            raise said
        return said

    fn.calls = 0  # type: ignore[attr-defined]
    return fn


GOOD, BAD = {"text": "a", "line": 1}, {"text": "a", "line": "x"}
CASES = {
    "passes": ([GOOD], [True]),
    "raises once": ([ConnectionError("reset"), GOOD], [True]),
    "raises for good": ([KeyError("no")], [True]),
    "is rejected once": ([GOOD], [False, True]),
    "says why": ([GOOD], [(False, "because"), (True, "fine")]),
    "gives a verdict": ([GOOD], [Verdict(passed=True, value=7)]),
    "rejects with a verdict": ([GOOD], [Verdict(passed=False, explanation="no"), True]),
    "says no by raising": ([GOOD], [ValueError("not so"), True]),
    "never passes": ([GOOD], [False]),
    "validator fails once": ([GOOD], [RuntimeError("down"), True]),
    "validator fails for good": ([GOOD], [RuntimeError("down")]),
    "validator says nonsense": ([GOOD], ["maybe"]),
    "is not of the shape once": ([BAD, GOOD], [True]),
}


def outcome(call: Callable[[], Any], place: Any) -> Any:
    with place:
        try:
            return call()
        except Exception as error:
            return type(error), str(error)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("of", [None, "text"])
@pytest.mark.parametrize("name", CASES)
def test_same_result_and_same_calls(name: str, of: str | None, is_async: bool) -> None:
    found = []
    for place in (nullcontext(), track("quick", store="off")):
        outputs, verdicts = CASES[name]
        step, said = in_turn(*outputs), in_turn(*verdicts)
        heard: list[str | None] = []

        def work(step: Any = step, heard: Any = heard) -> Any:
            heard.append(current_feedback())
            return step()

        async def awork(work: Any = work) -> Any:
            return work()

        chain = (check(said, name="said"),) if of else (schema(Reply), check(said, name="said"))
        policy = validated(*chain, of=of, max_attempts=2, name="step")
        call = retrying(NO_WAIT)(policy(awork if is_async else work))
        result = outcome((lambda c=call: asyncio.run(c())) if is_async else call, place)
        found.append((result, step.calls, said.calls, heard))
    assert found[0] == found[1]


def test_the_parsed_value_comes_back_and_reaches_the_next_validator() -> None:
    seen: list[Any] = []

    def look(value: Any) -> bool:
        seen.append(value)
        return True

    call = validated(schema(Reply), look)(lambda: '{"text": "a", "line": 1}')
    assert call() == Reply(text="a", line=1)
    assert seen == [Reply(text="a", line=1)]


def test_the_step_is_there_and_stays_the_same_over_a_retry() -> None:
    steps: list[Any] = []
    keys: list[str] = []

    @retrying(NO_WAIT)
    def send() -> str:
        step = current_step()
        steps.append((step, step.execution, step.attempt))
        keys.append(step.idempotency_key)
        if len(keys) == 1:
            raise ConnectionError("reset")
        return "sent"

    assert send() == "sent"
    assert keys[0] == keys[1]
    assert steps[0][0] is steps[1][0]
    assert [s[1:] for s in steps] == [(1, 1), (2, 1)]
    send()
    assert keys[2] != keys[1]
    with pytest.raises(LookupError):
        current_step()


def test_a_deadline_counts_from_the_first_call() -> None:
    clock = FakeClock()

    def slow() -> str:
        clock.sleep(10)
        raise ConnectionError("reset")

    counted = in_turn(None)

    @retrying(Retry(max_attempts=5, initial_interval=0, max_elapsed=5))
    def call() -> str:
        counted()
        return slow()

    with use_clock(clock), pytest.raises(ConnectionError):
        call()
    assert counted.calls == 1  # type: ignore[attr-defined]


def test_the_mode_in_the_environment_is_read_on_every_call(monkeypatch: Any) -> None:
    call = validated(check(lambda output: False), max_attempts=1)(lambda: "bad")
    with pytest.raises(AttemptsExhaustedError):
        call()
    monkeypatch.setenv("COORD_MODE", "observe")
    assert call() == "bad"
    monkeypatch.delenv("COORD_MODE")
    with pytest.raises(AttemptsExhaustedError):
        call()
    monkeypatch.setattr(os, "environ", {"COORD_MODE": "off"})  # a plain mapping works as well
    assert call() == "bad"


def test_a_coroutine_from_a_synchronous_check_is_an_error() -> None:
    async def later(output: Any) -> bool:
        return True

    call = validated(check(lambda output: later(output), name="later"))(lambda: "x")
    with pytest.raises(AsyncValidatorError, match="later"):
        call()


def test_an_async_call_awaits_what_a_check_returns() -> None:
    async def later(output: Any) -> bool:
        return output == "x"

    async def work() -> str:
        return "x"

    call = validated(check(lambda output: later(output), name="later"))(work)
    assert asyncio.run(call()) == "x"
