"""A host that judges inside of an execution, and one whose objects are attached in place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coord_plugins import Retry, ValidationEdge, check
from coord_plugins.host import (
    Accept,
    Coord,
    Fail,
    Host,
    Run,
    activate,
    arun_step,
    asettle,
    make_policy,
    run_step,
    settle,
)


def settled_inside(script: list[Any], is_async: bool, after: Any = None) -> tuple[Any, Run]:
    """A step whose executions settle themselves, as a host does that must judge before it saves."""
    policy = make_policy(
        ValidationEdge("writer", check(lambda o: "bad" not in o, name="v"), max_attempts=3),
        pipeline="p",
        retry=Retry(max_attempts=3, jitter=False, initial_interval=0.0),
        store="off",
    )
    run = Coord(policy, Host(name="h")).start(None, is_async=is_async)
    assert run is not None
    step = run.enter("writer")
    entries = list(script)

    def next_value() -> Any:
        entry = entries.pop(0)
        if isinstance(entry, Exception):
            raise entry
        return entry

    def execute(step: Any) -> Any:
        decision = settle(step, value=next_value())
        if isinstance(decision, Accept) and after is not None:
            raise after
        return "what the host made of it"  # and not what is judged

    async def aexecute(step: Any) -> Any:
        decision = await asettle(step, value=next_value())
        if isinstance(decision, Accept) and after is not None:
            raise after
        return "what the host made of it"

    with activate(run):
        if is_async:
            decision = asyncio.run(arun_step(step, aexecute))
        else:
            decision = run_step(step, execute)
    step.commit()
    assert entries == []
    return decision, run


@pytest.mark.parametrize("is_async", [False, True])
def test_an_execution_that_settles_itself_is_judged_once(is_async: bool) -> None:
    script = ["bad 1", TimeoutError(), "bad 2", "good"]
    decision, run = settled_inside(script, is_async)
    assert decision == Accept("good", False)
    tally = run.tallies["writer"]
    assert (tally.executions, tally.rejects, tally.passes, tally.retries) == (4, 2, 1, 1)


@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_after_the_acceptance_is_not_repeated(is_async: bool) -> None:
    """A transient one neither: what the host did with the candidate may have had effects."""
    broken = ConnectionError("the callback's server is down")
    decision, run = settled_inside(["bad", "good"], is_async, after=broken)
    assert decision == Fail(broken)
    tally = run.tallies["writer"]
    assert (tally.executions, tally.rejects, tally.passes, tally.errors) == (2, 1, 1, 0)
    record = run.coord.finish(run, None, broken)
    assert (record.outcome, record.lost_at) == ("error.crash", "writer")


def test_detaching_an_object_that_was_attached_in_place() -> None:
    undone: list[str] = []
    host = object()
    policy = make_policy(pipeline="p", store="off")
    coord = Coord(policy, Host(name="h"), bare=host, undo=lambda: undone.append("undone"))
    assert coord.detach() is host
    assert undone == ["undone"]
