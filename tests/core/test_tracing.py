"""Listeners that trace: asked where a run happens, and of no consequence for it."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from coord_plugins import (
    AttemptsExhaustedError,
    Retry,
    ValidationEdge,
    check,
    flush,
    judge,
    retrying,
    track,
    validated,
)
from coord_plugins.host import Coord, Host, arun_part, arun_step, make_policy, run_step
from coord_plugins.testing import simulate

here: ContextVar[str] = ContextVar("here", default="-")


class Recorder:
    """Writes down what opens and closes, and where."""

    def __init__(self, fail: str | None = None) -> None:
        self.log: list[str] = []
        self.fail = fail

    def on_event(self, event: Any) -> None:
        pass

    def _maybe(self, name: str) -> None:
        if self.fail == name:
            raise RuntimeError(f"{name} is broken")

    def trace(self, run: Any) -> Recorder:
        self._maybe("trace")
        self.log.append(f"run {run.policy.pipeline}")
        return self

    def enter(self) -> Any:
        self._maybe("enter")
        token = here.set("root")
        return lambda: here.reset(token)

    def _open(self, name: str) -> Any:
        self.log.append(f"{here.get()} > {name}")
        token = here.set(name)

        class Span:
            def close(_, result: Any, error: BaseException | None) -> None:
                self._maybe("close")
                here.reset(token)
                said = type(error or result).__name__
                self.log.append(f"{name} = {said}")

        return Span()

    def step(self, step: Any, number: int) -> Any:
        self._maybe("step")
        return self._open(f"{step.name}#{number}")

    def repeat(self, step: Any, number: int) -> Any:
        self._maybe("repeat")
        last = step.events[-1]
        return self._open(f"attempt {number} after {last.error or last.decision}")

    def failed(self, step: Any, number: int) -> None:
        self._maybe("failed")
        self.log.append(f"attempt {number} failed: {step.events[-1].error}")

    def judge(self, step: Any, validator: Any, output: Any) -> Any:
        self._maybe("judge")
        return self._open(f"{validator.name}({output!r})")

    def reference(self, run: Any) -> dict[str, Any]:
        self._maybe("reference")
        return {"trace": "t-1"}

    def end(self, run: Any, record: Any) -> None:
        self._maybe("end")
        self.log.append(f"end {record.outcome} {run.output!r}")


def worker(*values: Any, is_async: bool = False) -> Any:
    left = list(values)

    def work() -> Any:
        value = left.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    async def awork() -> Any:
        return work()

    good = check(lambda out: out == "good", name="good", feedback="be good")
    named = awork if is_async else work
    named.__name__ = "work"
    return retrying(Retry(max_attempts=3, initial_interval=0.0))(
        validated(good, max_attempts=3)(named)
    )


TREE = [
    "run p",
    "root > work#1",
    "work#1 > good('bad')",
    "good('bad') = Judgement",
    "work#1 > attempt 2 after loop",
    "attempt 2 after loop = ConnectionError",
    "work#1 > attempt 3 after ConnectionError: gone",
    "attempt 3 after ConnectionError: gone > good('good')",
    "good('good') = Judgement",
    "attempt 3 after ConnectionError: gone = str",
    "work#1 = Accept",
    "end success.unjudged 'good'",
]


def test_a_step_its_repeats_and_its_verdicts_are_followed() -> None:
    tracer = Recorder()
    work = worker("bad", ConnectionError("gone"), "good")
    with track("p", goal=lambda out: out == "good", listeners=[tracer], store="off") as run:
        assert here.get() == "root"
        run.output = work()
    assert here.get() == "-"
    assert tracer.log == TREE
    record = run.coord.last
    assert record is not None
    assert record.metadata["trace"] == "t-1"
    assert run.traces is None  # nobody keeps what was traced


def test_a_first_execution_that_raises_is_told_when_it_is_repeated() -> None:
    tracer = Recorder()
    work = worker(ConnectionError("gone"), "good")
    with track("p", listeners=[tracer], store="off"):
        work()
    assert tracer.log[1:4] == [
        "root > work#1",
        "attempt 1 failed: ConnectionError: gone",
        "work#1 > attempt 2 after ConnectionError: gone",
    ]


def test_the_same_when_awaited() -> None:
    tracer = Recorder()
    work = worker("bad", ConnectionError("gone"), "good", is_async=True)

    async def main() -> None:
        goal = check(lambda out: out == "good", name="goal")
        async with track("p", goal=goal, listeners=[tracer], store="off") as run:
            run.output = await work()

    asyncio.run(main())
    assert tracer.log == TREE


def test_an_exhausted_step_closes_with_its_escalation() -> None:
    tracer = Recorder()
    work = worker("bad", "bad", "bad")
    with (
        pytest.raises(AttemptsExhaustedError),
        track("p", listeners=[tracer], store="off"),
    ):
        work()
    assert tracer.log[-3:] == [
        "attempt 3 after loop = str",
        "work#1 = Escalate",
        "end escalated.unjudged None",
    ]


def test_a_visit_after_a_loop_back_is_a_repeat_itself() -> None:
    tracer = Recorder()
    edge = ValidationEdge(
        "writer",
        check(lambda out: out == "good", name="good", feedback="be good"),
        back_to="researcher",
        max_attempts=2,
    )
    simulate(
        [edge],
        steps={"researcher": ["x", "y"], "writer": ["bad", "good"]},
        listeners=[tracer],
    )
    steps = [line for line in tracer.log if "#" in line.split(" > ")[-1] and ">" in line]
    assert [s.split(" > ")[-1] for s in steps] == [
        "researcher#1",
        "writer#1",
        "researcher#2",
        "writer#2",
    ]


@pytest.mark.parametrize(
    "method",
    ["trace", "enter", "step", "repeat", "failed", "judge", "close", "reference", "end"],
)
def test_a_tracer_that_fails_costs_the_run_nothing(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    work = worker(ConnectionError("gone"), "bad", "good")
    tracer = Recorder(fail=method)
    with track("p", goal=lambda out: out == "good", listeners=[tracer], store="off") as run:
        run.output = work()
    record = run.coord.last
    assert record is not None
    assert record.outcome == "success.unjudged"
    assert record.steps["work"].executions == 3
    assert f"{method} is broken" in caplog.text


def test_without_a_tracer_nothing_is_followed() -> None:
    work = worker("good")
    with track("p", store="off") as run:
        assert run.traces is None
        work()


def test_a_tracer_is_asked_by_a_nested_run_too() -> None:
    tracer = Recorder()
    with (
        track("outer", listeners=[tracer], store="off"),
        track("inner", listeners=[tracer], store="off"),
    ):
        pass
    assert [line for line in tracer.log if line.startswith("run")] == ["run outer", "run inner"]


def test_a_listener_that_delivers_further_is_flushed_and_rescued() -> None:
    from coord_plugins import _bus

    calls: list[Any] = []

    class Further:
        def on_event(self, event: Any) -> None:
            calls.append("event")

        def flush(self, timeout: float) -> bool:
            calls.append("flush")
            return False

        def rescue(self) -> None:
            calls.append("rescue")

    listener = Further()
    with track("p", listeners=[listener], store="off"):
        pass
    assert not flush(5)
    assert calls == ["event", "event", "flush"]
    delivery = _bus.delivery_of(listener)
    delivery.rescue()
    assert calls[-1] == "rescue"
    _bus._kept.pop(id(listener))


def test_a_judge_that_raises_stop_iteration_is_a_judge_that_failed() -> None:
    """In a thread, where a future cannot carry it: it used to wait for ever."""

    @validated(judge(lambda out: next(iter(())), name="empty"))
    async def work() -> str:
        return "x"

    async def main() -> Any:
        async with track("p", store="off") as run:
            with pytest.raises(Exception, match="empty"):
                await asyncio.wait_for(work(), 10)
            return run

    run = asyncio.run(main())
    assert run.tallies["work"].validator_errors == 1


def test_equal_listeners_are_one() -> None:
    class Equal(Recorder):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 1

    first, second = Equal(), Equal()
    with track("p", listeners=[first, second], store="off"):
        pass
    assert (len(first.log), len(second.log)) == (2, 0)


def test_what_a_listener_is_busy_with_at_the_end_is_kept_too() -> None:
    from coord_plugins import _bus

    entered, gate, kept = threading.Event(), threading.Event(), []

    class Slow:
        def on_event(self, event: Any) -> None:
            entered.set()
            gate.wait(5)

        def spool(self, events: list[Any]) -> None:
            kept.extend(events)

    listener = Slow()
    with track("p", listeners=[listener], store="off"):
        pass
    assert entered.wait(5)
    delivery = _bus.delivery_of(listener)
    assert not delivery.flush(0.0)
    delivery.rescue()
    assert [type(e).__name__ for e in kept] == ["RunStarted", "RunFinished"]
    gate.set()
    _bus._kept.pop(id(listener))


def test_control_flow_that_passes_is_no_error_of_the_step() -> None:
    class Signal(Exception):
        pass

    closed: list[Any] = []

    class Watching(Recorder):
        def step(self, step: Any, number: int) -> Any:
            class Span:
                def close(_, result: Any, error: BaseException | None) -> None:
                    closed.append(error)

            return Span()

    def raising(error: Exception) -> None:
        coord = Coord(
            make_policy(pipeline="p", listeners=[Watching()], store="off"),
            Host(name="h", control_flow=(Signal,)),
        )
        run = coord.start(None, is_async=False)
        assert run is not None

        def execute(_: Any) -> Any:
            raise error

        with pytest.raises(Signal):
            run_step(run.enter("a"), execute)

    raising(Signal("go on elsewhere"))
    assert closed == [None]


def test_a_part_of_a_repeat_is_a_repeat_only_when_it_is_made_again() -> None:
    tracer = Recorder()
    good = check(lambda out: out == "good", name="good", feedback="be good")
    policy = make_policy(
        ValidationEdge("a", good, max_attempts=2),
        pipeline="p",
        retry={"a": Retry(max_attempts=3, initial_interval=0.0)},
        listeners=[tracer],
        store="off",
    )
    said = ["bad", ConnectionError("gone"), "good"]

    async def call(_: Any) -> Any:
        one = said.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    async def execute(step: Any) -> Any:
        return await arun_part(step, call, object)

    async def main() -> None:
        run = Coord(policy, Host(name="h")).start(None, is_async=True)
        assert run is not None
        await arun_step(run.enter("a"), execute)

    asyncio.run(main())
    assert [line for line in tracer.log if ">" in line or "failed" in line] == [
        "- > a#1",
        "a#1 > good('bad')",
        "a#1 > attempt 2 after loop",
        "attempt 2 failed: ConnectionError: gone",
        "attempt 2 after loop > attempt 3 after ConnectionError: gone",
        "attempt 2 after loop > good('good')",
    ]
