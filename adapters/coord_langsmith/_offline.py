"""Evaluate end to end without a server: nothing is sent, whatever the environment says."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime, timezone
from time import perf_counter
from typing import Any, NamedTuple

from langsmith import tracing_context
from langsmith.schemas import Example, RunBase

from coord_plugins import PolicyError
from coord_plugins.host import clean

from ._asking import Ask, Work, adrive, drive
from ._goal import Goal, Subject, as_goal, judging
from ._offline_result import OfflineResult, OfflineRow

__all__ = ["OfflineResult", "OfflineRow", "aevaluate_offline", "evaluate_offline"]


def evaluate_offline(
    target: Any,
    data: Iterable[Mapping[str, Any] | Example],
    goal: Any,
    *,
    repetitions: int = 1,
    max_concurrency: int = 1,
    key: str = "e2e",
    threshold: float = 0.5,
    output: str | Callable[[Any], Any] | None = None,
) -> OfflineResult:
    """Run a pipeline on examples and judge every run, without a server and without a request.

    Tracing is off inside, also where `LANGSMITH_TRACING` is set; only a tracer that is handed to
    the target by name still sends. An error of the target is a failure; what is no `Exception`,
    as `KeyboardInterrupt`, passes.

    Args:
        target: A function of the inputs, or what has an `invoke`: a LangChain Runnable, a
            compiled or attached graph.
        data: LangSmith's examples, or dicts with "inputs" and, for references, "outputs" (or
            "reference_outputs").
        goal: As for `e2e_evaluator`.
        repetitions: Runs of each example.
        max_concurrency: Runs at the same time, in threads when above 1.
        key: How the result names what it measured.
        threshold: As for `e2e_evaluator`.
        output: What the goal sees of the outputs: a key, or a callable of them. The outputs are
            what LangSmith would record: a dict; other values are in its "output".

    Raises:
        PolicyError: The target or the goal is async, or cannot be called; an example has no
            inputs; there is none; a number is below 1.
    """
    plan = _plan(target, data, goal, repetitions, max_concurrency, threshold, output)

    def one(job: _Job) -> OfflineRow:
        with tracing_context(enabled=False):
            return drive(plan.work(job), "aevaluate_offline")

    return plan.result(key, _in_threads(one, plan.jobs, max_concurrency))


async def aevaluate_offline(
    target: Any,
    data: Iterable[Mapping[str, Any] | Example],
    goal: Any,
    *,
    repetitions: int = 1,
    max_concurrency: int = 1,
    key: str = "e2e",
    threshold: float = 0.5,
    output: str | Callable[[Any], Any] | None = None,
) -> OfflineResult:
    """The async form of `evaluate_offline`: target and goal may be async.

    What is not async runs in a thread, with the context copied. Cancellation passes.

    Args:
        target: A function of the inputs, sync or async, or what has an `ainvoke` or `invoke`.
        data: As for `evaluate_offline`.
        goal: As for `e2e_evaluator`.
        repetitions: Runs of each example.
        max_concurrency: Runs at the same time.
        key: How the result names what it measured.
        threshold: As for `e2e_evaluator`.
        output: As for `evaluate_offline`.

    Raises:
        PolicyError: The target or the goal cannot be called; an example has no inputs; there
            is none; a number is below 1.
    """
    plan = _plan(target, data, goal, repetitions, max_concurrency, threshold, output)

    async def one(job: _Job) -> OfflineRow:
        with tracing_context(enabled=False):
            return await adrive(plan.work(job))

    return plan.result(key, await _in_tasks(one, plan.jobs, max_concurrency))


class _Job(NamedTuple):
    place: int
    repetition: int
    example: Example


class _Plan(NamedTuple):
    call: Callable[[Any], Any]
    acall: Callable[[Any], Any]
    goal: Goal
    output: str | Callable[[Any], Any] | None
    jobs: list[_Job]
    repetitions: int

    def work(self, job: _Job) -> Work[OfflineRow]:
        """Run the target on one example and judge it."""
        inputs = job.example.inputs
        began, started = perf_counter(), datetime.now(timezone.utc)
        reply = yield Ask("the target", lambda: self.call(inputs), lambda: self.acall(inputs))
        seconds = perf_counter() - began
        error = None if reply.error is None else repr(reply.error)
        run = RunBase(
            id=uuid.uuid4(),
            name="Target",
            run_type="chain",
            start_time=started,
            end_time=datetime.now(timezone.utc),
            inputs=inputs or {},
            outputs=None if error else _recorded(reply.value),
            error=error,
            reference_example_id=job.example.id,
        )
        subject = Subject(run=run, example=job.example, repetition=job.repetition)
        judged = yield from judging(self.goal, subject, self.output)
        return OfflineRow(
            example=job.place,
            repetition=job.repetition,
            passed=judged.passed,
            value=judged.value,
            comment=judged.comment,
            error=clean(error),
            seconds=seconds,
        )

    def result(self, key: str, rows: Iterable[OfflineRow]) -> OfflineResult:
        return OfflineResult(key=key, rows=tuple(rows), repetitions=self.repetitions)


def _plan(
    target: Any,
    data: Iterable[Mapping[str, Any] | Example],
    goal: Any,
    repetitions: int,
    max_concurrency: int,
    threshold: float,
    output: str | Callable[[Any], Any] | None,
) -> _Plan:
    for name, number in (("repetitions", repetitions), ("max_concurrency", max_concurrency)):
        if number < 1:
            raise PolicyError(f"evaluate_offline: {name}={number!r}; it is at least 1")
    call = getattr(target, "invoke", target)
    acall = getattr(target, "ainvoke", call)
    if not callable(call):
        raise PolicyError(f"evaluate_offline: the target is not callable: {target!r}")
    if isinstance(data, str):
        raise PolicyError("evaluate_offline takes the examples themselves, not a dataset's name")
    examples = [_example(index, said) for index, said in enumerate(data)]
    if not examples:
        raise PolicyError("evaluate_offline: there is no example")
    jobs = [_Job(i, r, e) for i, e in enumerate(examples) for r in range(repetitions)]
    return _Plan(call, acall, as_goal(goal, threshold), output, jobs, repetitions)


def _example(index: int, said: Mapping[str, Any] | Example) -> Example:
    if isinstance(said, Example):
        return said
    found = said if isinstance(said, Mapping) else {}
    inputs, outputs = found.get("inputs"), found.get("outputs", found.get("reference_outputs"))
    if not isinstance(inputs, Mapping) or not isinstance(outputs, (Mapping, type(None))):
        raise PolicyError(
            f'evaluate_offline: example {index} is no {{"inputs": {{...}}, "outputs": {{...}}}}'
        )
    references = None if outputs is None else dict(outputs)
    return Example(id=uuid.uuid4(), inputs=dict(inputs), outputs=references)


def _recorded(said: Any) -> dict[str, Any]:
    """A target's output in the form in which LangSmith records it."""
    if isinstance(said, dict):
        return said
    dump = getattr(said, "model_dump", None)
    if callable(dump) and not isinstance(said, type):
        with suppress(TypeError, ValueError):  # what is no JSON is recorded as it is
            dumped: dict[str, Any] = dump(exclude_none=True, mode="json")
            return dumped
    return {"output": said}


def _in_threads(
    one: Callable[[_Job], OfflineRow], jobs: Sequence[_Job], limit: int
) -> Iterator[OfflineRow]:
    if limit == 1:
        yield from map(one, jobs)
        return
    over = threading.Event()  # nothing more is started: what raised here ends the evaluation

    def guarded(job: _Job) -> OfflineRow:
        if over.is_set():
            raise CancelledError
        try:
            return one(job)
        except BaseException:
            over.set()
            raise

    with ThreadPoolExecutor(limit) as pool:
        futures = [pool.submit(copy_context().run, guarded, job) for job in jobs]
        try:
            yield from (future.result() for future in futures)
        finally:
            over.set()


async def _in_tasks(
    one: Callable[[_Job], Awaitable[OfflineRow]], jobs: Sequence[_Job], limit: int
) -> list[OfflineRow]:
    rows: dict[int, OfflineRow] = {}
    waiting = iter(enumerate(jobs))

    async def worker() -> None:
        for place, job in waiting:
            rows[place] = await one(job)

    tasks = [asyncio.create_task(worker()) for _ in range(min(limit, len(jobs)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [rows[place] for place in range(len(jobs))]
