"""`validated` and `retrying` on any function: sync and async alike."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any

import pytest
from pydantic import BaseModel

from coord_plugins import (
    HUMAN,
    STOP,
    AsyncValidatorError,
    AttemptsExhaustedError,
    PolicyError,
    Retry,
    ValidatorError,
    check,
    collect_runs,
    configure,
    current_feedback,
    current_step,
    judge,
    retrying,
    schema,
    track,
    use_clock,
    validated,
)
from coord_plugins.testing import FakeClock, Script, scripted

fine = check(lambda o: "bad" not in str(o), name="fine", feedback="no bad")


class Both:
    """Runs one scripted function with the same decorators, synchronously and not."""

    def __init__(self, *decorators: Any, script: list[Any], recorded: bool) -> None:
        self.script = Script(script, "writer")
        self.decorators = decorators
        self.recorded = recorded
        self.clock = FakeClock()
        self.record: Any = None

    def call(self, is_async: bool, *args: Any) -> Any:
        fn = self.script.asynchronous() if is_async else self._plain()
        for decorator in reversed(self.decorators):
            fn = decorator(fn)

        async def main() -> Any:
            if not self.recorded:
                return await fn(*args)
            async with track("p", store="off"):
                return await fn(*args)

        with use_clock(self.clock), collect_runs() as runs:
            try:
                if is_async:
                    return asyncio.run(main())
                if not self.recorded:
                    return fn(*args)
                with track("p", store="off"):
                    return fn(*args)
            finally:
                self.record = runs[-1] if runs else None

    def _plain(self) -> Any:
        def writer(input: Any = None, *, feedback: str | None = None) -> Any:
            return self.script(input, feedback=feedback)

        return writer


pytestmark = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
recorded = pytest.mark.parametrize("recorded", [False, True], ids=["alone", "in a run"])


@recorded
def test_feedback_reaches_the_parameter(is_async: bool, recorded: bool) -> None:
    both = Both(validated(fine, max_attempts=3), script=["bad", "bad", "good"], recorded=recorded)
    assert both.call(is_async) == "good"
    assert both.script.feedback == [None, "no bad", "no bad"]


@recorded
def test_exhausted(is_async: bool, recorded: bool) -> None:
    both = Both(validated(fine), script=["bad"], recorded=recorded)
    with pytest.raises(AttemptsExhaustedError) as caught:
        both.call(is_async)
    assert (caught.value.step, caught.value.attempts, both.script.count) == ("writer", 2, 2) or (
        caught.value.step == "scripted"
    )


@recorded
def test_retry_and_edge_share_one_loop(is_async: bool, recorded: bool) -> None:
    """Tries are fresh for each candidate, whatever the order of the decorators."""
    retry = retrying(Retry(max_attempts=2, initial_interval=1.0, jitter=False))
    for decorators in ((retry, validated(fine)), (validated(fine), retry)):
        script = [TimeoutError(), "bad", TimeoutError(), "good"]
        both = Both(*decorators, script=script, recorded=recorded)
        assert both.call(is_async) == "good"
        assert (both.script.count, both.clock.sleeps) == (4, [1.0, 1.0])


@recorded
def test_fallbacks(is_async: bool, recorded: bool) -> None:
    backup = scripted("bad", "good", name="backup")
    fallback = backup.asynchronous() if is_async else backup
    both = Both(
        validated(fine),
        retrying(max_attempts=2, fallbacks=[fallback], jitter=False),
        script=[TimeoutError()],
        recorded=recorded,
    )
    assert both.call(is_async) == "good"
    assert (both.script.count, backup.count) == (4, 2)
    assert backup.feedback == [None, "no bad"]


@recorded
def test_otherwise_is_called_with_the_same_arguments(is_async: bool, recorded: bool) -> None:
    def by_hand(input: Any) -> Any:
        return f"desk got {input}"

    both = Both(validated(fine, otherwise=by_hand), script=["bad"], recorded=recorded)
    assert both.call(is_async, "ticket") == "desk got ticket"
    if recorded:
        assert both.record.outcome == "escalated.unjudged"


def test_stop(is_async: bool) -> None:
    both = Both(validated(fine, otherwise=STOP), script=["bad"], recorded=True)
    assert both.call(is_async) is None
    assert both.record.outcome == "escalated.unjudged"


@recorded
def test_modes(is_async: bool, recorded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both(validated(fine, mode="observe"), script=["bad"], recorded=recorded)
    assert (both.call(is_async), both.script.count) == ("bad", 1)
    for mode in ("observe", "off"):
        configure(mode=mode)  # type: ignore[arg-type]
        both = Both(validated(fine), retrying(), script=["bad"], recorded=recorded)
        assert (both.call(is_async), both.script.count) == ("bad", 1)
        both = Both(validated(fine), retrying(), script=[TimeoutError()], recorded=recorded)
        with pytest.raises(TimeoutError):
            both.call(is_async)
        assert both.script.count == 1
    configure(mode=None)
    monkeypatch.setenv("COORD_MODE", "observe")
    both = Both(validated(fine), script=["bad"], recorded=recorded)
    assert (both.call(is_async), both.script.count) == ("bad", 1)


def test_observe_records_what_it_would_reject(is_async: bool) -> None:
    both = Both(validated(fine, mode="observe"), script=["bad"], recorded=True)
    both.call(is_async)
    (step,) = both.record.steps.values()
    assert (step.would_reject, step.passes, step.rejects) == (1, 1, 0)


@recorded
def test_replaced_values(is_async: bool, recorded: bool) -> None:
    class Reply(BaseModel):
        amount: int

    both = Both(validated(schema(Reply)), script=['{"amount": 7}'], recorded=recorded)
    assert both.call(is_async) == Reply(amount=7)
    both = Both(validated(schema(int), of="n"), script=[{"n": "7", "m": 1}], recorded=recorded)
    assert both.call(is_async) == {"n": 7, "m": 1}


@recorded
def test_a_broken_selection_is_a_validator_error(is_async: bool, recorded: bool) -> None:
    both = Both(validated(fine, of=lambda o: o["x"]), script=[{}], recorded=recorded)
    with pytest.raises(ValidatorError):
        both.call(is_async)
    assert both.script.count == 1


@recorded
def test_the_message_route_and_feedback_to(is_async: bool, recorded: bool) -> None:
    got: list[Any] = []

    def make(*decorators: Any) -> Any:
        replies = iter(["bad", "good"])

        def writer(state: dict[str, Any]) -> str:
            got.append(state)
            return next(replies)

        async def awriter(state: dict[str, Any]) -> str:
            return writer(state)

        fn: Any = awriter if is_async else writer
        for decorator in decorators:
            fn = decorator(fn)
        return fn

    def run(fn: Any, given: Any) -> Any:
        async def main() -> Any:
            return await fn(given)

        return asyncio.run(main()) if is_async else fn(given)

    given = {"messages": ["hi"]}
    assert run(make(validated(fine)), given) == "good"
    said = {"role": "user", "content": "no bad"}
    assert got == [{"messages": ["hi"]}, {"messages": ["hi", said]}]
    assert given == {"messages": ["hi"]}
    got.clear()
    assert run(make(validated(fine, feedback_to="notes")), {"q": 1}) == "good"
    assert got == [{"q": 1}, {"q": 1, "notes": "no bad"}]
    got.clear()
    route = lambda state, words: {**state, "words": words.upper()}
    assert run(make(validated(fine, feedback_to=route)), {"q": 1}) == "good"
    assert got == [{"q": 1}, {"q": 1, "words": "NO BAD"}]


@recorded
def test_current_step_and_feedback_inside(is_async: bool, recorded: bool) -> None:
    seen: list[Any] = []
    replies = iter([TimeoutError(), "bad", "good"])

    def work() -> str:
        step = current_step()
        seen.append((step.name, step.attempt, current_feedback(), step.idempotency_key))
        reply = next(replies)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def awork() -> str:
        return work()

    fn = retrying(max_attempts=2, jitter=False)(
        validated(fine, name="w")(awork if is_async else work)
    )

    def call() -> Any:
        return asyncio.run(fn()) if is_async else fn()

    with use_clock(FakeClock()):
        if recorded:
            with track("p", store="off"):
                call()
        else:
            call()
    assert [s[:3] for s in seen] == [("w", 1, None), ("w", 1, None), ("w", 2, "no bad")]
    keys = [s[3] for s in seen]
    assert keys[0] == keys[1] != keys[2]
    assert len({k.split(":")[0] for k in keys}) == 1


def test_what_the_wrapper_keeps(is_async: bool) -> None:
    if is_async:

        @validated(fine)
        async def writer(x: int) -> str:
            """Doc."""
            return "good"

    else:

        @validated(fine)
        def writer(x: int) -> str:
            """Doc."""
            return "good"

    assert (writer.__name__, writer.__doc__) == ("writer", "Doc.")
    assert inspect.iscoroutinefunction(writer) == is_async
    assert list(inspect.signature(writer).parameters) == ["x"]


def test_methods_and_partials(is_async: bool) -> None:
    class Writer:
        replies = ["bad", "good"]

        @validated(fine)
        def write(self, *, feedback: str | None = None) -> str:
            return self.replies.pop(0)

        @validated(fine)
        async def awrite(self, *, feedback: str | None = None) -> str:
            return self.replies.pop(0)

    writer = Writer()
    Writer.replies = ["bad", "good"]
    assert (asyncio.run(writer.awrite()) if is_async else writer.write()) == "good"

    def add(a: int, b: int) -> str:
        return str(a + b)

    assert validated(fine)(functools.partial(add, 1))(2) == "3"


@recorded
def test_a_validator_that_fails_once(is_async: bool, recorded: bool) -> None:
    answers: list[Any] = [RuntimeError("down"), True]

    def shaky(output: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    both = Both(validated(shaky), script=["good"], recorded=recorded)
    assert (both.call(is_async), both.script.count, answers) == ("good", 1, [])


@recorded
def test_cancellation_and_exit_pass(is_async: bool, recorded: bool) -> None:
    for error in (SystemExit, GeneratorExit, KeyboardInterrupt):
        if is_async and error is KeyboardInterrupt:
            continue  # asyncio.run turns it into a cancellation of its own
        both = Both(retrying(retry_on=(BaseException,)), script=[error], recorded=recorded)
        with pytest.raises(error):
            both.call(is_async)
        assert both.script.count == 1


def test_async_validators(is_async: bool) -> None:
    async def later(output: str) -> bool:
        await asyncio.sleep(0)
        return "bad" not in output

    if not is_async:
        with pytest.raises(AsyncValidatorError, match="'later' is async"):
            validated(later)(lambda: "x")
        return
    both = Both(validated(judge(later, feedback="no")), script=["bad", "good"], recorded=True)
    assert both.call(True) == "good"


def test_what_cannot_hold(is_async: bool) -> None:
    with pytest.raises(PolicyError, match="otherwise='desk'"):
        validated(fine, otherwise="desk")(lambda: 1)
    with pytest.raises(PolicyError, match="callable or STOP"):
        validated(fine, otherwise=HUMAN)(lambda: 1)
    with pytest.raises(PolicyError, match="not both"):
        retrying(Retry(), max_attempts=2)
    with pytest.raises(PolicyError, match="fallbacks as callables"):
        retrying(fallbacks=["desk"])
    with pytest.raises(PolicyError, match="at least one validator"):
        validated()(lambda: 1)
    with pytest.raises(PolicyError, match="not a function"):
        validated(fine)("x")  # type: ignore[type-var]
