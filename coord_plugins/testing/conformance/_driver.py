"""The driver for plain functions: also the example of how to write one."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable
from typing import Any

from ... import CoordWarning, collect_runs, current_feedback, use_clock
from .._plain import PLAIN, Checkpoint, Pause, Pipeline
from .._script import Script
from ._case import NOTES, Case, Killed, Observed, Ran


class PlainDriver:
    """Runs the suite on functions in a row, with checkpoints in memory."""

    host = PLAIN

    def run(self, case: Case, *, is_async: bool) -> Observed:
        """Build, attach, run once per input."""
        with warnings.catch_warnings(record=True) as warned, use_clock(case.clock):
            warnings.simplefilter("always", CoordWarning)
            pipeline = _build(case, is_async)
            runs = [_once(case, pipeline, is_async, given) for given in case.inputs]
        said = [str(w.message) for w in warned if issubclass(w.category, CoordWarning)]
        return Observed(runs=runs, log=case.log, warnings=said)

    def resume(self, case: Case, *, is_async: bool) -> Observed:
        """Run until it is killed or pauses, and again from the checkpoint."""
        kept = Checkpoint(state={"input": case.inputs[0]}, at=case.order[0])
        runs: list[Ran] = []
        with use_clock(case.clock):
            while not runs or isinstance(runs[-1].error, (Killed, Pause)):
                kept.durable = json.loads(json.dumps(kept.durable))  # as a database would
                runs.append(_once(case, _build(case, is_async), is_async, None, kept))
        return Observed(runs=runs, log=case.log)

    def pause(self) -> None:
        """This host's control flow."""
        raise Pause


def _build(case: Case, is_async: bool) -> Pipeline:
    make = _async_step if is_async else _step
    return Pipeline(
        {name: make(case, name) for name in case.scripts},
        *case.edges,
        order=case.order,
        host_steps=case.host_steps,
        pipeline="conformance",
        goal=case.goal,
        retry=case.retries(lambda script: make(case, script)),
        budget=case.budget,
        **case.settings,
    )


def _once(
    case: Case, pipeline: Pipeline, is_async: bool, input: Any, kept: Checkpoint | None = None
) -> Ran:
    async def main() -> tuple[Any, Checkpoint]:
        case.task = asyncio.current_task()
        return await pipeline.arun(input, kept=kept)

    output, state, error = None, None, None
    with collect_runs() as records:
        try:
            output, done = asyncio.run(main()) if is_async else pipeline.run(input, kept=kept)
            state = done.state
        except BaseException as raised:  # noqa: BLE001 - the suite looks at it
            error = raised
    record = records[-1] if records and not isinstance(error, (Killed, Pause)) else None
    return Ran(record=record, output=output, error=error, state=state)


def _received(case: Case, step: str | Script, state: dict[str, Any]) -> Any:
    name = step if isinstance(step, str) else case.last
    before = case.before(name)
    return state["input"] if before is None else state.get(before)


def _step(case: Case, step: str | Script) -> Callable[..., Any]:
    def declaring(state: dict[str, Any], feedback: str | None = None) -> Any:
        return case.call(step, _received(case, step, state), feedback)

    def asking(state: dict[str, Any]) -> Any:
        return case.call(step, _received(case, step, state), current_feedback())

    def reading(state: dict[str, Any]) -> Any:
        return case.call(step, _received(case, step, state), state.get(NOTES))

    def deaf(state: dict[str, Any]) -> Any:
        return case.call(step, _received(case, step, state))

    routes = {"parameter": declaring, "current": asking, "state": reading, "none": deaf}
    return routes[case.route]


def _async_step(case: Case, step: str | Script) -> Callable[..., Any]:
    async def declaring(state: dict[str, Any], feedback: str | None = None) -> Any:
        return await case.acall(step, _received(case, step, state), feedback)

    async def asking(state: dict[str, Any]) -> Any:
        return await case.acall(step, _received(case, step, state), current_feedback())

    async def reading(state: dict[str, Any]) -> Any:
        return await case.acall(step, _received(case, step, state), state.get(NOTES))

    async def deaf(state: dict[str, Any]) -> Any:
        return await case.acall(step, _received(case, step, state))

    routes = {"parameter": declaring, "current": asking, "state": reading, "none": deaf}
    return routes[case.route]
